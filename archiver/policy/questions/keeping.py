"""Questions about how long archives are kept: rules, holds, and what was destroyed."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from archiver.policy.bodies import Order, PolicyNoted, Tombstone, Withdrawal
from archiver.policy.inventory import Inventory
from archiver.policy.ledger import Record, policy_of
from archiver.policy.questions.reply import Asked, Cell, Reply, archives, count, rows_of
from archiver.policy.rules import Hold, changes
from archiver.system.zone import local_date, rfc3339


def expiring(inventory: Inventory, asked: Asked) -> Reply:
    """List what comes to the end of its minimum or maximum within so many days from today."""
    until = inventory.today + timedelta(asked.within)
    rows = []
    for archive in archives(inventory, asked):
        decision = inventory.decision(archive)
        must, may = decision.must_go_by, decision.expires_on
        begins = may is not None and inventory.today <= may <= until
        ends = must is not None and inventory.today <= must <= until
        if begins or ends:
            rows.append(
                (
                    str(archive.date),
                    archive.source,
                    archive.archive_key,
                    str(may) if may else None,
                    str(must) if must else None,
                    decision.rule.expire if decision.rule else None,
                    decision.reason,
                )
            )
    musts = sum(row[4] is not None and row[4] <= str(until) for row in rows)
    return Reply(
        f"until {until}, {count(musts, 'archive reaches', 'archives reach')} the end of the "
        f"maximum, and {len(rows) - musts} more the end of the minimum",
        ("date", "source", "archive", "may_from", "must_by", "expires", "now"),
        rows_of(rows),
    )


def overdue(inventory: Inventory, asked: Asked) -> Reply:
    """List what is past its maximum, and what keeps it."""
    rows = []
    for archive in archives(inventory, asked):
        decision = inventory.decision(archive)
        if decision.past_since:
            since, reason = str(decision.past_since), decision.reason
            rows.append((str(archive.date), archive.source, archive.archive_key, since, reason))
    return Reply(
        f"{count(len(rows), 'archive is', 'archives are')} past the maximum"
        if rows
        else "nothing is past its maximum",
        ("date", "source", "archive", "past_since", "why"),
        rows_of(rows),
        well=not rows,
    )


def held(inventory: Inventory, asked: Asked) -> Reply:
    """List the holds, what they cover, and how many of the copies the stores hold themselves."""
    chosen = [each for each in inventory.holds if asked.everything or each.released is None]
    in_force = sum(each.released is None for each in chosen)
    columns = ("case", "from", "to", "sources", "archives", "copies_held", "copies_not_held")
    return Reply(
        f"{count(in_force, 'hold is', 'holds are')} in force"
        if in_force
        else "no hold is in force",
        (*columns, "since", "by", "reason", "released", "released_by", "released_for"),
        tuple(_hold(inventory, each) for each in chosen),
    )


def _hold(inventory: Inventory, hold: Hold) -> tuple[Cell, ...]:
    scope = hold.scope
    covered = [e for e in inventory.archives if scope.covers(inventory.host, e.source, e.date)]
    able = {place.name for place in inventory.places if place.lock != "off" or place.legal_hold}
    receipts = [
        inventory.receipt(each, name) for each in covered for name in each.copies if name in able
    ]
    on_store = sum(bool(receipt and receipt.protection.hold) for receipt in receipts)
    return (
        hold.case,
        str(scope.first) if scope.first else None,
        str(scope.last) if scope.last else None,
        " ".join(scope.sources),
        len(covered),
        on_store,
        len(receipts) - on_store,
        rfc3339(hold.since),
        hold.by,
        hold.reason,
        None if hold.released is None else rfc3339(hold.released),
        hold.released_by,
        hold.released_for,
    )


def policy_changes(inventory: Inventory, asked: Asked) -> Reply:  # noqa: ARG001 (every question takes both)
    """List the versions of the rules: when first seen, in which file, and what changed."""
    rows: list[tuple[Cell, ...]] = []
    before: Record | None = None
    for record in inventory.records:
        if isinstance(record.body, PolicyNoted):
            file = record.body.file
            differences = changes(policy_of(before).rules, record.body.rules)
            rows += [
                (
                    record.sequence,
                    rfc3339(record.at),
                    record.by,
                    file.path if file else None,
                    file.sha256 if file else None,
                    file.owner if file else None,
                    rfc3339(file.modified) if file else None,
                    difference,
                )
                for difference in differences or ("no rule: everything is kept",)
            ]
            before = record
    columns = ("record", "first_seen_at", "run_by", "file", "sha256", "file_owner")
    noted = len({row[0] for row in rows})
    return Reply(
        f"{count(noted, 'version')} of the rules, as the runs first saw them; who wrote the file "
        "is not recorded, only the file's owner and time",
        (*columns, "file_modified_at", "difference"),
        tuple(rows),
    )


def deletions(inventory: Inventory, asked: Asked) -> Reply:
    """List what was destroyed, what is ordered to be destroyed, and which orders were withdrawn."""
    chosen = {each.key for each in inventory.summaries if asked.has(each.date)}
    orders = {each.sequence: each for each in inventory.records if isinstance(each.body, Order)}
    rows = tuple(
        row
        for record in inventory.records
        for row in _deleted(inventory, record, orders)
        if row[-1] in chosen
    )
    gone = sum(row[0] == "destroyed" for row in rows)
    waiting = sum(row[0] == "ordered" for row in rows)
    columns = ("state", "record", "at", "by", "order", "ordered_by", "why", "archive", "rule")
    return Reply(
        f"{count(gone, 'archive was', 'archives were')} destroyed, each with a certificate"
        + (f"; {waiting} more ordered, but not carried out yet" if waiting else ""),
        (*columns, "basis", "reason", "stores", "manifest"),
        rows,
        well=not waiting,
    )


def _deleted(
    inventory: Inventory, record: Record, orders: dict[int, Record]
) -> Iterator[tuple[Cell, ...]]:
    """Yield the rows of `deletions` that a record stands for, the manifest's key last."""
    body = record.body
    begin = (record.sequence, rfc3339(record.at), record.by)
    if isinstance(body, Tombstone):
        order = orders.get(body.order)
        why = order.body.why if order and isinstance(order.body, Order) else None
        stores = " ".join(each.target for each in body.stores)
        ordered = (body.order, order.by if order else None, why)
        rule = (body.rule, body.basis, body.reason)
        yield ("destroyed", *begin, *ordered, body.archive, *rule, stores, body.manifest)
    elif isinstance(body, Withdrawal):
        for withdrawn in body.archives:
            reason = (None, None, withdrawn.reason)
            yield ("withdrawn", *begin, body.order, None, None, None, *reason, None, withdrawn.key)
    elif isinstance(body, Order):
        number = record.sequence
        waiting = {e.key for e in inventory.summaries if e.ordered == number and not e.destroyed}
        for one in body.archives:
            if one.key in waiting:
                rule = (one.rule, one.basis, one.reason)
                yield ("ordered", *begin, number, record.by, body.why, None, *rule, None, one.key)


def below_minimum(inventory: Inventory, asked: Asked) -> Reply:
    """List what was destroyed within its minimum, or has too few verified copies within it."""
    rows: list[tuple[Cell, ...]] = []
    for archive in archives(inventory, asked):
        rule = inventory.policy.rule_for(inventory.host, archive.source, archive.date)
        if rule and rule.minimum.after(archive.date) >= inventory.today:
            sound = sum(copy.verified for copy in inventory.copies(archive))
            if sound < inventory.required:
                ends = str(rule.minimum.after(archive.date))
                what = f"{sound} of {inventory.required} verified copies"
                rows.append(
                    (str(archive.date), archive.source, archive.archive_key, rule.name, ends, what)
                )
    policies: Sequence[Record] = [e for e in inventory.records if isinstance(e.body, PolicyNoted)]
    numbered = {each.sequence: each for each in policies}
    for record in inventory.records:
        stone = record.body
        if isinstance(stone, Tombstone) and asked.has(stone.date):
            policy = policy_of(numbered.get(stone.policy or 0))
            rule = policy.rule_for(inventory.host, stone.source, stone.date)
            if rule is None or rule.minimum.after(stone.date) >= local_date(
                record.at, inventory.zone
            ):
                ends = str(rule.minimum.after(stone.date)) if rule else ""
                what = f"destroyed on {local_date(record.at, inventory.zone)}"
                name = rule.name if rule else "no rule"
                rows.append((str(stone.date), stone.source, stone.archive, name, ends, what))
    return Reply(
        f"{count(len(rows), 'archive is', 'archives are')} below the minimum"
        if rows
        else "nothing is below its minimum",
        ("date", "source", "archive", "rule", "minimum_ends", "what"),
        rows_of(rows),
        well=not rows,
    )
