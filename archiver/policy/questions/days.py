"""Questions about log dates: are all of them there, and under which rules did each come?"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date

from archiver.policy.inventory import Inventory, Summary
from archiver.policy.ledger import governed_at, policy_of
from archiver.policy.questions.reply import Asked, Cell, Reply, archives, count, rows_of, summaries
from archiver.system.zone import DAY, local_date, rfc3339

IS_WELL = frozenset({"present", "empty", "destroyed", "not yet"})


def complete(inventory: Inventory, asked: Asked) -> Reply:
    """Tell of each day: present, empty, destroyed, partial, missing, or not yet accounted for."""
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
    for each in inventory.summaries:
        if each.source == source:
            by_day[each.date].append(each)
            for instant in (each.earliest, each.latest):
                touched[local_date(instant, inventory.zone)] = each
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
            state, note = "missing", "there is neither an archive nor a record of its emptiness"
        there = [each for each in found if each.is_there]
        yield str(day), source, state, len(there), sum(each.lines for each in there), note


def _state(inventory: Inventory, found: Sequence[Summary]) -> tuple[str, str]:
    """Say how it stands with a day of which there are manifests, and why."""
    gone = [each for each in found if each.ordered]
    there = [each for each in found if not each.ordered]
    if not there:
        certificates = " ".join(str(each.destroyed or "under way") for each in gone)
        return "destroyed", f"certificate {certificates}"
    if gone:
        return "partial", f"{len(gone)} of {len(found)} archives were destroyed"
    poor = sum(_sound(inventory, each) < inventory.required for each in there)
    if poor:
        return (
            "partial",
            f"{poor} of {len(there)} lack verified copies: {inventory.required} must be",
        )
    if all(each.is_empty_day for each in there):
        return "empty", "proven by its manifest"
    return "present", ""


def _sound(inventory: Inventory, each: Summary) -> int:
    receipts = (inventory.receipt(each, target) for target in each.copies)
    return sum(bool(receipt and receipt.sound) for receipt in receipts)


def empty(inventory: Inventory, asked: Asked) -> Reply:
    """Tell which days had no line, each with the manifest that says so."""
    rows = rows_of(
        (str(each.date), each.source, each.key, each.digest, each.sequence, _sound(inventory, each))
        for each in summaries(inventory, asked)
        if each.is_empty_day
    )
    return Reply(
        f"{count(len(rows), 'day was', 'days were')} empty; each has a manifest, made by the run "
        "that found it so, and chained to the one before"
        if rows
        else "no day is recorded as empty",
        ("date", "source", "manifest", "sha256", "sequence", "verified_copies"),
        rows,
    )


def governing(inventory: Inventory, asked: Asked) -> Reply:
    """Tell which rule governed each archive when it was stored, and which one does now."""
    rows = []
    unknown = 0
    policies = [record for record in inventory.records if record.kind == "policy"]
    for each in archives(inventory, asked):
        record = governed_at(policies, each.sealed_at)
        then = policy_of(record).rule_for(inventory.host, each.source, each.date)
        now = inventory.policy.rule_for(inventory.host, each.source, each.date)
        unknown += record is None
        rows.append(
            (
                str(each.date),
                each.source,
                each.archive_key,
                rfc3339(each.sealed_at),
                record.sequence if record else None,
                str(then or "no rule: kept") if record else "none was noted yet",
                str(now or "no rule: kept"),
            )
        )
    return Reply(
        f"{count(len(rows), 'archive')}; of {unknown} it was not noted which rules were in force",
        ("date", "source", "archive", "stored_at", "policy", "rule_then", "rule_now"),
        rows_of(rows),
    )
