"""`archiver retention`: what is kept, why, and until when; and what an auditor asks."""

import csv
import difflib
import io
import json
from collections.abc import Iterator
from datetime import date

import click

from archiver.cli.answer import Answer, Invocation, table, verb
from archiver.cli.completion import sources
from archiver.cli.dates import days
from archiver.cli.retention_expire import expire_, plan
from archiver.config.toml_tables import duration_in_seconds
from archiver.errors import ArchiverError, NotFoundError, UsageError, worst
from archiver.find.snapshot import catalogued
from archiver.policy.decide import Verdict
from archiver.policy.inventory import Inventory
from archiver.policy.ledger import Tombstone, decode
from archiver.policy.questions import QUESTIONS, Asked, Reply
from archiver.retention.gather import inventory_of
from archiver.system.zone import DAY_SECONDS

VERDICTS = {"keep": Verdict.KEEP, "may": Verdict.MAY, "must": Verdict.MUST}


@click.group(short_help="How long archives are kept, and why.")
def retention() -> None:
    """What the retention rules say of each archive, and what was done by them."""


retention.add_command(plan)
retention.add_command(expire_)


@retention.command(short_help="Which rules govern, which holds are in force, and a day's verdict.")
@click.option("--date", "day", metavar="D|D..D", help="The verdict about these log dates, too.")
@click.option("--host", metavar="NAME", help="With --store: which of the hosts in it.")
@verb
def show(invocation: Invocation, day: str | None, host: str | None) -> Answer:
    """Show which rules govern each source now, the holds in force, and whether the clock is
    trusted; with --date also the verdict about each archive of those days, and its reason.
    """
    inventory, problems = _known(invocation, (), host)
    first, last = _days(invocation, inventory, day)
    governing = inventory.policy.in_words(inventory.host, inventory.sources)
    holds = [each for each in inventory.holds if each.released is None]
    lines = [*governing]
    lines += [f"held by case {each.case}: {each.reason}" for each in holds]
    lines += [f"nothing is destroyed now: {inventory.doubt}"] if inventory.doubt else []
    rows = [row for row in _verdicts(inventory, first, last) if day]
    if rows:
        lines += ["", table(("DATE", "SOURCE", "VERDICT", "WHY"), [row[:4] for row in rows])]
    return Answer(
        data={
            "governing": list(governing),
            "holds": [each.case for each in holds],
            "doubt": inventory.doubt,
            "archives": [dict(zip(COLUMNS, row, strict=True)) for row in rows],
        },
        text="\n".join(lines),
        failures=problems,
        exit_status=worst(problems),
    )


Row = tuple[str, str, str, str, str | None, str | None, str]
COLUMNS = ("date", "source", "verdict", "reason", "expires_on", "must_go_by", "archive")


@retention.command("list", short_help="Every archive: whether it is kept, and until when.")
@click.option("--expiring", metavar="AGE", help="Only what expires within that time, such as 30d.")
@click.option("--verdict", type=click.Choice(list(VERDICTS)), help="Only with this verdict.")
@click.option("--date", "day", metavar="D|D..D", help="Only these log dates.")
@click.option(
    "--source",
    "names",
    multiple=True,
    metavar="NAME",
    shell_complete=sources,
    help="Only this source.",
)
@click.option("--host", metavar="NAME", help="With --store: which of the hosts in it.")
@verb
def list_(
    invocation: Invocation,
    expiring: str | None,
    verdict: str | None,
    day: str | None,
    names: tuple[str, ...],
    host: str | None,
) -> Answer:
    """List every archive with its verdict: kept, may expire, must expire; why; from when on it may
    be destroyed, and until when it may be there.
    """
    inventory, problems = _known(invocation, names, host)
    rows = list(_verdicts(inventory, *_days(invocation, inventory, day)))
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
        else "nothing of that kind is archived",
        failures=problems,
        exit_status=worst(problems),
    )


@retention.command(short_help="Answer what an auditor asks.")
@click.argument("question", required=False)
@click.option("--date", "day", metavar="D|D..D", help="About these log dates.")
@click.option(
    "--source",
    "names",
    multiple=True,
    metavar="NAME",
    shell_complete=sources,
    help="Only this source.",
)
@click.option("--within", default="30d", show_default=True, help="With `expiring`: how far ahead.")
@click.option("--all", "everything", is_flag=True, help="Also what is as it should be, or over.")
@click.option("--certificate", type=int, metavar="N", help="With `deletions`: this one, whole.")
@click.option("--csv", "as_csv", is_flag=True, help="The table as CSV (RFC 4180).")
@click.option("--host", metavar="NAME", help="With --store: which of the hosts in it.")
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
    """Answer QUESTION, one of fifteen; without one, list them. An answer is a sentence and a table.

    It comes from what is known here, as of the last run: no store is asked. A question that is
    answered ends with 0, whatever the answer is; the JSON document's `well` tells.
    """
    if question is None:
        return _questions()
    if question not in QUESTIONS:
        near = difflib.get_close_matches(question, QUESTIONS, n=1)
        raise UsageError(
            f"no question {question!r}",
            hint=f"did you mean {near[0]}?" if near else f"there are: {', '.join(QUESTIONS)}",
        )
    if certificate is not None:
        return _certificate(invocation, certificate, host)
    acts = QUESTIONS[question].of_acts
    inventory, problems = _known(invocation, names, host, acts=acts)
    first, last = _days(invocation, inventory, day)
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
        exit_status=worst(problems),
    )


def _questions() -> Answer:
    rows = [(name, question.text) for name, question in QUESTIONS.items()]
    return Answer(
        data={"questions": [{"question": name, "text": text} for name, text in rows]},
        text=table(("QUESTION", ""), rows),
    )


def _certificate(invocation: Invocation, number: int, host: str | None) -> Answer:
    """Give the document as it is stored: its digest stands in the record after it."""
    problems: list[ArchiverError] = []
    with catalogued(invocation.config_to_read(host), problems) as catalog:
        document = catalog.records.document(number)
    if document is None or not isinstance(decode(document).body, Tombstone):
        raise NotFoundError(
            f"record {number} of the ledger is no certificate",
            hint="`archiver retention ask deletions` lists them",
        )
    return Answer(
        data=json.loads(document),
        text=document.decode().rstrip("\n"),
        failures=problems,
        exit_status=worst(problems),
    )


def _known(
    invocation: Invocation, names: tuple[str, ...], host: str | None, *, acts: bool = False
) -> tuple[Inventory, list[ArchiverError]]:
    config = invocation.config_to_read(host)
    problems: list[ArchiverError] = []
    with catalogued(config, problems) as catalog:
        inventory = inventory_of(config, catalog, now=invocation.now, sources=names, acts=acts)
    for name in names:
        if name not in inventory.sources:
            raise UsageError(
                f"no source {name!r} here", hint="`archiver list` tells which there are"
            )
    return inventory, problems


def _days(
    invocation: Invocation, inventory: Inventory, day: str | None
) -> tuple[date | None, date | None]:
    return days(day, inventory.zone, invocation.now) if day else (None, None)


def _within(text: str) -> int:
    try:
        return int(duration_in_seconds(text) // DAY_SECONDS)
    except ValueError as error:
        raise UsageError(f"{text!r}: {error}", hint="30d") from error


def _verdicts(inventory: Inventory, first: date | None, last: date | None) -> Iterator[Row]:
    for each in inventory.archives:
        if (first or date.min) <= each.date <= (last or date.max):
            decision = inventory.decision(each)
            ends = (decision.expires_on, decision.must_go_by)
            may, must = (str(end) if end else None for end in ends)
            verdict = decision.verdict.value
            day, key = str(each.date), each.archive_key
            yield day, each.source, verdict, decision.reason, may, must, key


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
