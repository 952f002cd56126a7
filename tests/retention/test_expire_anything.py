"""Whatever comes, in whatever order: nothing goes that must stay, and nothing stays unsaid.

Nights, holds, releases, changed rules, damage, a store that is away, a clock that jumps, an
interrupted deletion; and after each, everything that is gone is judged by an oracle of its own.
"""

import json
import shutil
import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from archiver.archives.names import ledger_prefix
from archiver.policy.bodies import Tombstone
from archiver.policy.ledger import decode
from archiver.stores.local import LocalStore
from tests.retention.test_expire import interrupted
from tests.world.host import Host, after, flip, lines

START = date(2024, 2, 20)  # a leap day is near
RULES = """
[[retention.rule]]
name = "mail"
minimum = "P{minimum}D"
maximum = "P{maximum}D"
basis = "a law"
expire = "{expire}"
"""


class Keeping(RuleBasedStateMachine):
    """One host with two stores, whose days go by."""

    @initialize()
    def begin(self) -> None:
        self.place = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))  # noqa: S108
        self.place.chmod(0o755)
        self.host = Host(self.place, targets=("store", "second"), required=2)
        self.host.log.touch(0o640)
        self.minimum: int | None = None
        self.today, self.minutes = START, 0
        self.held: dict[str, tuple[date, date]] = {}
        self.damaged: set[str] = set()
        self.wrong_clock = False
        self.destroyed: set[str] = set()
        self.night()

    def teardown(self) -> None:
        if hasattr(self, "place"):
            shutil.rmtree(self.place, ignore_errors=True)

    def now(self) -> int:
        self.minutes += 1
        jump = 3650 * 86_400 if self.wrong_clock else 0
        return self.host.at(self.today, "00:05") + self.minutes * 60 + jump

    def archiver(self, *words: str) -> Any:
        return self.host.archiver(*words, now=self.now())

    @rule(count=st.integers(1, 4))
    def days_go_by(self, count: int) -> None:
        for _ in range(count):
            if not self.wrong_clock:
                self.host.write(lines(self.today, "10:00:00"))
            self.today, self.minutes = after(self.today), 0
            self.night()

    @rule()
    def night(self) -> None:
        self.host.run(self.now())
        self.judge()

    @rule(minimum=st.integers(0, 4), more=st.integers(0, 4), auto=st.booleans())
    def rules_change(self, minimum: int, more: int, auto: bool) -> None:
        text = RULES.format(
            minimum=minimum, maximum=minimum + more, expire="auto" if auto else "manual"
        )
        self.host.configure(targets=("store", "second"), required=2, tables=text)
        self.minimum = minimum

    @rule()
    def rules_go(self) -> None:
        self.host.configure(targets=("store", "second"), required=2)
        self.minimum = None

    @rule(case=st.sampled_from("AB"), ago=st.integers(0, 6), long=st.integers(0, 3))
    def a_hold_comes(self, case: str, ago: int, long: int) -> None:
        first = self.today - timedelta(ago)
        last = first + timedelta(long)
        words = ("--from", str(first), "--to", str(last), "--reason", "x")
        said = self.archiver("hold", "add", case, *words)
        assert said.status in {0, 5, 12}, said.err
        self.held[f"{case}{len(self.held)}"] = (first, last)

    @rule(case=st.sampled_from("AB"))
    def a_case_is_released(self, case: str) -> None:
        if self.archiver("hold", "release", case, "--reason", "y").status != 4:
            self.held = {name: each for name, each in self.held.items() if name[0] != case}

    @rule(named=st.booleans(), call=st.none() | st.integers(1, 6))
    def somebody_asks(self, named: bool, call: int | None) -> None:
        words = ["retention", "expire", "--yes"]
        if named:
            words += ["--date", f"{START}..{self.today}"]
        if call is None:
            self.archiver(*words)
        else:
            with interrupted(LocalStore, "destroy", call=call):
                self.archiver(*words)
        self.judge()

    @rule(which=st.integers(0, 9))
    def a_copy_is_damaged_and_noticed(self, which: int) -> None:
        """In both stores: none is sound."""
        paths = sorted(path.relative_to(self.host.store) for path in self.archives())
        # The same bit flipped twice would mend what the first time damaged.
        keys = [key for key in paths if str(key) not in self.damaged]
        if keys and not self.destroyed_in_part():
            key = keys[which % len(keys)]
            for target in ("store", "second"):
                flip(self.place / target / key, 9)
            self.archiver("repair")
            self.damaged.add(str(key))

    @rule()
    @precondition(lambda self: hasattr(self, "place"))
    def the_catalog_is_lost(self) -> None:
        self.host.config.host.catalog.unlink(missing_ok=True)

    @rule()
    def a_store_is_away_for_a_night(self) -> None:
        self.host.take_away("second")
        self.host.run(self.now())
        self.host.bring_back("second")
        self.judge()

    @rule()
    def the_clock_jumps_for_a_night(self) -> None:
        self.wrong_clock = True
        self.night()
        self.archiver("retention", "expire", "--yes", "--date", f"{START}..{self.today}")
        self.judge()
        self.wrong_clock = False

    def archives(self, target: str = "store") -> list[Path]:
        return list((self.place / target).glob("host=mx1/source=maillog/*/*.log.zst"))

    def destroyed_in_part(self) -> bool:
        return len(self.archives()) != len(self.archives("second"))

    def judge(self) -> None:
        """Of what has a new certificate: might it go, by what holds now?"""
        for stone in self.stones():
            if stone.archive in self.destroyed:
                continue
            self.destroyed.add(stone.archive)
            assert self.minimum is not None, "no rule governs it"
            assert self.today > stone.date + timedelta(self.minimum), "within its minimum"
            assert not any(a <= stone.date <= b for a, b in self.held.values()), "held"
            assert stone.archive not in self.damaged, "no copy was verified"
            assert not self.wrong_clock, "by a clock that jumped"

    def stones(self) -> list[Tombstone]:
        paths = sorted((self.host.store / ledger_prefix("mx1")).glob("*.json"))
        bodies = [decode(path.read_bytes()).body for path in paths]
        return [body for body in bodies if isinstance(body, Tombstone)]

    @invariant()
    def all_that_is_gone_has_one_certificate(self) -> None:
        """And what has one is gone everywhere."""
        if not hasattr(self, "place"):
            return
        stones = [stone.archive for stone in self.stones()]
        assert len(stones) == len(set(stones))
        there = {
            str(p.relative_to(self.place / t))
            for t in ("store", "second")
            for p in self.archives(t)
        }
        assert there.isdisjoint(stones)
        manifests = (self.host.store).glob("host=mx1/source=maillog/*/*.manifest.json")
        kinds = {path: json.loads(path.read_bytes())["kind"] for path in manifests}
        keys = {
            str(path.relative_to(self.host.store)).replace(".manifest.json", ".log.zst")
            for path, kind in kinds.items()
            if kind == "archive"
        }
        assert keys <= there | set(stones), "an archive went without a certificate"


Keeping.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestKeeping = Keeping.TestCase
