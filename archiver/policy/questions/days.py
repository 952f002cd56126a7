"""Questions about log dates: which are archived, which are empty, and which rules govern them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date

from archiver.policy.inventory import Inventory, Summary
from archiver.policy.ledger import governed_at, policy_of
from archiver.policy.questions.reply import Asked, Cell, Reply, archives, count, rows_of, summaries
from archiver.system.zone import DAY, local_date, rfc3339

IS_WELL = frozenset({"present", "empty", "destroyed", "not yet"})


def complete(inventory: Inventory, asked: Asked) -> Reply:
    """Say for each day: present, empty, destroyed, partial, missing, or not yet accounted for."""
    rows = rows_of(row for source in inventory.sources for row in _days(inventory, asked, source))
    wrong = [row for row in rows if row[2] not in IS_WELL]
    said = "nothing is known of these days"
    if rows:
        span = f"{rows[0][0]} to {rows[-1][0]}"
        said = f"every day from {span} is accounted for"
        if wrong:
            said = f"of {span}, {count(len(wrong), 'day is', 'days are')} missing or partial"
    columns = ("date", "source", "state", "archives", "lines", "note")
    return Reply(said, columns, rows, well=not wrong)


def _days(inventory: Inventory, asked: Asked, source: str) -> Iterator[tuple[Cell, ...]]:
    by_day: dict[date, list[Summary]] = defaultdict(list)
    touched: dict[date, Summary] = {}
    for summary in inventory.summaries:
        if summary.source == source:
            by_day[summary.date].append(summary)
            for instant in (summary.earliest, summary.latest):
                touched[local_date(instant, inventory.zone)] = summary
    done = inventory.complete.get(source)
    first = asked.first or min(by_day, default=None)
    last = asked.last or max([*by_day, *([done] if done else [])], default=None)
    if first is None or last is None:
        return
    for ahead in range((last - first).days + 1):
        day = first + ahead * DAY
        found = by_day.get(day, [])
        if found:
            state, note = _state(inventory, found)
        elif day in touched:
            state, note = "present", f"its lines are in the archive of {touched[day].date}"
        elif day > (done or date.max):
            state, note = "not yet", f"the runs have accounted for days up to {done}"
        else:
            state, note = "missing", "no archive, and no manifest that says it was empty"
        kept = [each for each in found if each.has_archive]
        yield str(day), source, state, len(kept), sum(each.lines for each in kept), note


def _state(inventory: Inventory, found: Sequence[Summary]) -> tuple[str, str]:
    """Return the state of a day that has manifests, and a note on it."""
    gone = [each for each in found if each.ordered]
    kept = [each for each in found if not each.ordered]
    if not kept:
        certificates = " ".join(str(each.destroyed or "under way") for each in gone)
        return "destroyed", f"certificate {certificates}"
    if gone:
        return "partial", f"{len(gone)} of {len(found)} archives were destroyed"
    poor = sum(_sound(inventory, each) < inventory.required for each in kept)
    if poor:
        needed = count(inventory.required, "verified copy", "verified copies")
        return "partial", f"{poor} of {len(kept)} with fewer than {needed}"
    if all(each.is_empty_day for each in kept):
        return "empty", "proven by its manifest"
    return "present", ""


def _sound(inventory: Inventory, summary: Summary) -> int:
    """Return how many of its copies are verified."""
    receipts = (inventory.receipt(summary, target) for target in summary.copies)
    return sum(bool(receipt and receipt.sound) for receipt in receipts)


def empty(inventory: Inventory, asked: Asked) -> Reply:
    """List the days without a line, each with the manifest that says so."""
    rows = rows_of(
        (str(each.date), each.source, each.key, each.digest, each.sequence, _sound(inventory, each))
        for each in summaries(inventory, asked)
        if each.is_empty_day
    )
    return Reply(
        f"{count(len(rows), 'day was', 'days were')} empty; each has a manifest, made by the run "
        "that found it empty, and chained to the manifest before it"
        if rows
        else "no day is recorded as empty",
        ("date", "source", "manifest", "sha256", "sequence", "verified_copies"),
        rows,
    )


def governing(inventory: Inventory, asked: Asked) -> Reply:
    """Say which rule governed each archive when it was stored, and which one does now."""
    rows = []
    unknown = 0
    policies = [record for record in inventory.records if record.kind == "policy"]
    for archive in archives(inventory, asked):
        record = governed_at(policies, archive.sealed_at)
        then = policy_of(record).rule_for(inventory.host, archive.source, archive.date)
        now = inventory.policy.rule_for(inventory.host, archive.source, archive.date)
        unknown += record is None
        rows.append(
            (
                str(archive.date),
                archive.source,
                archive.archive_key,
                rfc3339(archive.sealed_at),
                record.sequence if record else None,
                str(then or "no rule: kept") if record else "none recorded yet",
                str(now or "no rule: kept"),
            )
        )
    return Reply(
        f"{count(len(rows), 'archive')}; for {unknown}, the rules in force were not recorded",
        ("date", "source", "archive", "stored_at", "policy", "rule_then", "rule_now"),
        rows_of(rows),
    )
