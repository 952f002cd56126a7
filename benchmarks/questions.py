"""What each of the auditor's questions costs, over many archives.

python -m benchmarks.questions --archives 10000 [--json]

A catalog is filled with that many daily archives, of two sources, each with a copy in two stores
and both its receipts, with five rules, twenty holds and a third of them destroyed. Then each
question is asked as a user asks it: a process of its own. This is a report, never a test.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from archiver.archives.manifest import Manifest, digest
from archiver.archives.manifest import decode as decode_manifest
from archiver.archives.manifest import encode as encode_manifest
from archiver.archives.receipts import Receipt
from archiver.catalog import Catalog, making
from archiver.config.settings import load
from archiver.policy.bodies import (
    Evidence,
    HoldAdded,
    Order,
    Ordered,
    PolicyNoted,
    StoreReply,
    Tombstone,
)
from archiver.policy.ledger import Record, encode
from archiver.policy.questions import QUESTIONS
from archiver.policy.rules import Scope
from archiver.system.zone import day_start
from benchmarks.nightly import timed

SAMPLE = Path(__file__).parents[1] / "tests" / "data" / "manifest.json"
TARGETS = ("home", "away")
SOURCES = ("mail-in", "mail-out")
CONFIG = """\
schema = 1
[host]
name = "mx1"
timezone = "Europe/Rome"
state_dir = "state"
spool_dir = "spool"
[storage]
required = 2
"""
TARGET = '[storage.target.{0}]\ntype = "local"\npath = "{0}"\n'
SOURCE = '[[source]]\nname = "{0}"\npath = "{0}.log"\nreopen = "none"\n'
RULE = """\
[[retention.rule]]
name = "rule{0}"
match = {{ source = "{1}", to = {2}-12-31 }}
minimum = "P1Y"
maximum = "P{3}Y"
basis = "law {0}"
"""


def configure(directory: Path) -> None:
    """Two sources, two stores, five rules."""
    tables = [TARGET.format(name) for name in TARGETS] + [SOURCE.format(name) for name in SOURCES]
    for number, (source, year) in enumerate(
        [("mail-in", 2015), ("mail-out", 2018), ("mail-in", 2021), ("mail-*", 2023), ("*", 2099)]
    ):
        tables.append(RULE.format(number, source, year, 9 + number))
    (directory / "archiver.toml").write_text(CONFIG + "".join(tables))


class Filler:
    """Fills a catalog as runs would have."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.sample = decode_manifest(SAMPLE.read_bytes())
        self.head: str | None = None
        self.number = 0

    def record(self, body: object, at: int) -> int:
        self.number += 1
        record = Record("mx1", self.number, self.head, at, "root", "0", body)  # type: ignore[arg-type]
        document = encode(record)
        self.head = digest(document)
        self.catalog.records.note(record, document)
        self.catalog.records.apply(record)
        for target in TARGETS:
            self.catalog.copies.note(record.key, target)
        return self.number

    def archive(self, source: str, day: date, sequence: int, at: int) -> tuple[Manifest, str]:
        manifest = replace(
            self.sample,
            host="mx1",
            source=source,
            date=day,
            sequence=sequence,
            previous=None if sequence == 1 else "0" * 64,
            first_line=at,
            earliest=at,
            latest=at + 80_000,
            sealed_at=at + 90_000,
        )
        document = encode_manifest(manifest)
        self.catalog.note(manifest, document)
        sums = {manifest.archive_key: manifest.sha256, manifest.manifest_key: digest(document)}
        for target in TARGETS:
            self.catalog.copies.note(manifest.manifest_key, target)
            for key, sha256 in sums.items():
                receipt = Receipt(key, target, manifest.size, sha256, at + 90_000)
                self.catalog.copies.note_receipt(receipt, recorded=True)
        return manifest, digest(document)

    def destroy(self, each: Manifest, sha256: str, order: int, at: int) -> None:
        evidence = tuple(Evidence(target, at) for target in TARGETS)
        replies = tuple(StoreReply(target, f"/{target}", at, ()) for target in TARGETS)
        what = (each.manifest_key, sha256, each.archive_key, each.sha256, each.size)
        lines = (each.source, each.date, each.lines, each.raw_size, each.raw_sha256)
        times = (each.earliest, each.latest)
        why = ("rule0", "law", "must expire: past its maximum")
        self.record(Tombstone(order, 1, *what, *lines, *times, *why, evidence, replies), at)


def fill(directory: Path, archives: int) -> None:
    config = load(directory / "archiver.toml")
    config.host.state_dir.mkdir()
    days = archives // len(SOURCES)
    last = date.today() - timedelta(1)  # noqa: DTZ011 (whichever day it is here)
    now = day_start(last, config.host.zone) + 100_000
    with making(config.host.catalog, "mx1") as catalog, catalog.changing():
        filler = Filler(catalog)
        filler.record(PolicyNoted(config.retention.rules), now - 10**8)
        for number in range(20):
            scope = Scope(("mail-in",), ("mx1",), last - timedelta(number * 30), last)
            filler.record(HoldAdded(f"case-{number}", scope, "because"), now)
        made = [
            filler.archive(source, day, sequence, day_start(day, config.host.zone))
            for source in SOURCES
            for sequence in range(1, days + 1)
            for day in [last - timedelta(days - sequence)]
        ]
        gone = [pair for pair in made if pair[0].sequence <= days // 3]
        ordered = [
            Ordered(m.manifest_key, d, m.sha256, "rule0", "law", "past", ()) for m, d in gone
        ]
        order = filler.record(Order("auto", tuple(ordered)), now)
        for manifest, sha256 in gone:
            filler.destroy(manifest, sha256, order, now)


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--archives", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        configure(directory)
        fill(directory, options.archives)
        base = [sys.executable, "-m", "archiver", "-c", str(directory / "archiver.toml")]
        asked = [["retention", "ask", question] for question in QUESTIONS]
        costs: dict[str, float] = {}
        for words in [*asked, ["retention", "list"], ["retention", "plan"], ["hold", "list"]]:
            times = [timed(*base, *words).seconds for _ in range(options.runs)]
            costs[" ".join(words)] = sorted(times)[len(times) // 2]
    if options.json:
        print(json.dumps({"archives": options.archives, "seconds": costs}, indent=1))
        return 0
    print(f"{options.archives} archives, two copies each, a third destroyed; seconds:")
    for asked_, seconds in sorted(costs.items(), key=lambda item: -item[1]):
        print(f"  {seconds:6.2f}  {asked_}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
