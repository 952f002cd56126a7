"""`archiver retention`: what is kept, why, and until when; and what an auditor asks."""

import csv
import difflib
import io
import json
from collections.abc import Iterator
from datetime import date

import click

from archiver.cli.answer import Answer, Invocation, table, verb
from archiver.cli.dates import days_or_all
from archiver.cli.options import date_option, host_option, source_option
from archiver.cli.retention_expire import expire_, plan
from archiver.config.toml_tables import duration_in_seconds
from archiver.errors import NotFoundError, Problems, UsageError
from archiver.find.snapshot import catalogued
from archiver.policy.bodies import Tombstone
from archiver.policy.decide import Verdict
from archiver.policy.inventory import Inventory
from archiver.policy.ledger import decode
from archiver.policy.questions import QUESTIONS, Asked, Reply
from archiver.retention.gather import inventory_of
from archiver.system.zone import DAY_SECONDS

VERDICTS = {"keep": Verdict.KEEP, "may": Verdict.MAY, "must": Verdict.MUST}


@click.group(short_help="Show and apply the rules on how long archives are kept.")
def retention() -> None:
    """What the retention rules say about each archive, and what was done because of them."""


retention.add_command(plan)
retention.add_command(expire_)


@retention.command(short_help="Show the rules and holds in force, and the verdict about a day.")
@date_option("Also show the verdict about these log dates.")
@host_option()
@verb
def show(invocation: Invocation, day: str | None, host: str | None) -> Answer:
    """Show which rules govern each source now, the holds in force, and whether the clock is
    trusted; with --date also the verdict about each archive of those days, and its reason.
    """
    inventory, problems = _inventory(invocation, (), host)
    first, last = days_or_all(day or None, inventory.zone, inventory.now)
    governing = inventory.policy.in_words(inventory.host, inventory.sources)
    holds = [hold for hold in inventory.holds if hold.released is None]
    lines = [*governing]
    lines += [f"held by case {hold.case}: {hold.reason}" for hold in holds]
    lines += [f"nothing is destroyed now: {inventory.doubt}"] if inventory.doubt else []
    rows = [row for row in _verdicts(inventory, first, last) if day]
    if rows:
        lines += ["", table(("DATE", "SOURCE", "VERDICT", "WHY"), [row[:4] for row in rows])]
    return Answer(
        data={
            "governing": list(governing),
            "holds": [hold.case for hold in holds],
            "doubt": inventory.doubt,
            "archives": [dict(zip(COLUMNS, row, strict=True)) for row in rows],
        },
        text="\n".join(lines),
        failures=problems,
        exit_status=problems.worst,
    )


Row = tuple[str, str, str, str, str | None, str | None, str]
COLUMNS = ("date", "source", "verdict", "reason", "expires_on", "must_go_by", "archive")


@retention.command("list", short_help="List every archive: whether it is kept, and until when.")
@click.option(
    "--expiring", metavar="AGE", help="Only what may be destroyed within this time, such as 30d."
)
@click.option(
    "--verdict", type=click.Choice(list(VERDICTS)), help="Only archives with this verdict."
)
@date_option()
@source_option()
@host_option()
@verb
def list_(
    invocation: Invocation,
    expiring: str | None,
    verdict: str | None,
    day: str | None,
    names: tuple[str, ...],
    host: str | None,
) -> Answer:
    """List every archive with its verdict (keep, may expire, must expire) and the reason; the first
    day on which it may be destroyed, and the last on which it may still exist.
    """
    inventory, problems = _inventory(invocation, names, host)
    rows = list(_verdicts(inventory, *days_or_all(day or None, inventory.zone, inventory.now)))
    if verdict:
        rows = [row for row in rows if row[2] == VERDICTS[verdict].value]
    if expiring:
        until = date.fromordinal(inventory.today.toordinal() + _within(expiring)).isoformat()
        rows = [row for row in rows if row[4] and row[4] <= until]
    header = ("DATE", "SOURCE", "VERDICT", "WHY", "MAY FROM", "MUST BY")
    return Answer(
        data={"archives": [dict(zip(COLUMNS, row, strict=True)) for row in rows]},
        text=table(header, [[cell or "" for cell in row[:6]] for row in rows])
        if rows
        else "no such archives",
        failures=problems,
        exit_status=problems.worst,
    )


@retention.command(short_help="Answer an auditor's question.")
@click.argument("question", required=False)
@date_option("Only about these log dates.")
@source_option()
@click.option(
    "--within", default="30d", show_default=True, help="With `expiring`: how far ahead to look."
)
@click.option(
    "--all", "everything", is_flag=True, help="Also list what is in order, and what is over."
)
@click.option(
    "--certificate",
    type=int,
    metavar="N",
    help="With `deletions`: print this certificate, as stored.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print the table as CSV (RFC 4180).")
@host_option()
@verb
def ask(
    invocation: Invocation,
    question: str | None,
    day: str | None,
    names: tuple[str, ...],
    within: str,
    everything: bool,
    certificate: int | None,
    as_csv: bool,
    host: str | None,
) -> Answer:
    """Answer QUESTION; without one, list the fifteen there are. An answer is a sentence and a
    table.

    It comes from the catalog, as of the last run: no store is asked. The exit status is 0 whatever
    the answer is; `well` in the JSON document says whether all is well.
    """
    if question is None:
        return _questions()
    if question not in QUESTIONS:
        near = difflib.get_close_matches(question, QUESTIONS, n=1)
        raise UsageError(
            f"no question {question!r}",
            hint=f"did you mean {near[0]}?" if near else f"one of: {', '.join(QUESTIONS)}",
        )
    if certificate is not None:
        return _certificate(invocation, certificate, host)
    acts = QUESTIONS[question].of_acts
    inventory, problems = _inventory(invocation, names, host, acts=acts)
    first, last = days_or_all(day or None, inventory.zone, inventory.now)
    asked = Asked(first, last, _within(within), everything)
    reply = QUESTIONS[question].answer(inventory, asked)
    return Answer(
        data={
            "question": question,
            "said": reply.said,
            "well": reply.well,
            "answered": reply.answered,
            "columns": list(reply.columns),
            "rows": [dict(zip(reply.columns, row, strict=True)) for row in reply.rows],
        },
        text=_csv(reply) if as_csv else _text(reply),
        failures=problems,
        exit_status=problems.worst,
    )


def _questions() -> Answer:
    rows = [(name, question.text) for name, question in QUESTIONS.items()]
    return Answer(
        data={"questions": [{"question": name, "text": text} for name, text in rows]},
        text=table(("QUESTION", ""), rows),
    )


def _certificate(invocation: Invocation, number: int, host: str | None) -> Answer:
    """Answer with the document as it is stored: the record after it holds its digest."""
    problems = Problems()
    with catalogued(invocation.config_to_read(host), problems) as catalog:
        document = catalog.records.document(number)
    if document is None or not isinstance(decode(document).body, Tombstone):
        raise NotFoundError(
            f"record {number} of the ledger is not a certificate",
            hint="`archiver retention ask deletions` lists them",
        )
    return Answer(
        data=json.loads(document),
        text=document.decode().rstrip("\n"),
        failures=problems,
        exit_status=problems.worst,
    )


def _inventory(
    invocation: Invocation, names: tuple[str, ...], host: str | None, *, acts: bool = False
) -> tuple[Inventory, Problems]:
    config = invocation.config_to_read(host)
    problems = Problems()
    with catalogued(config, problems) as catalog:
        inventory = inventory_of(config, catalog, now=invocation.now, sources=names, acts=acts)
    for name in names:
        if name not in inventory.sources:
            raise UsageError(
                f"no source {name!r} is configured or archived here",
                hint="`archiver list` shows the sources",
            )
    return inventory, problems


def _within(text: str) -> int:
    try:
        return int(duration_in_seconds(text) // DAY_SECONDS)
    except ValueError as error:
        raise UsageError(f"{text!r}: {error}", hint="such as 30d") from error


def _verdicts(inventory: Inventory, first: date | None, last: date | None) -> Iterator[Row]:
    for archive in inventory.archives:
        if (first or date.min) <= archive.date <= (last or date.max):
            decision = inventory.decision(archive)
            ends = (decision.expires_on, decision.must_go_by)
            may, must = (str(end) if end else None for end in ends)
            verdict = decision.verdict.value
            day, key = str(archive.date), archive.archive_key
            yield day, archive.source, verdict, decision.reason, may, must, key


def _text(reply: Reply) -> str:
    header = [column.upper().replace("_", " ") for column in reply.columns]
    rows = [["" if cell is None else str(cell) for cell in row] for row in reply.rows]
    return f"{reply.said}\n\n{table(header, rows)}" if rows else reply.said


def _csv(reply: Reply) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(reply.columns)
    writer.writerows(reply.rows)
    return out.getvalue().rstrip("\r\n")
