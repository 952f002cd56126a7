"""Questions about copies: where they are, how they are protected, and when last verified."""

from collections.abc import Iterator
from datetime import date

from archiver.archives.receipts import UNPROTECTED, Protection, Receipt
from archiver.policy.inventory import Inventory, Place, Summary
from archiver.policy.questions.reply import Asked, Reply, archives, count, rows_of
from archiver.policy.rules import Rule, holds_on
from archiver.system.zone import DAY_SECONDS, local_date, rfc3339

EPOCH = date(1970, 1, 1)
# Seconds by which a server may record an earlier end of a lock than it was asked for.
SLACK = 60


def _copies(inventory: Inventory, asked: Asked) -> Iterator[tuple[Summary, Place, Receipt | None]]:
    """Yield every copy of every archive, with the place that it is in and its receipt, if any."""
    places = {place.name: place for place in inventory.places}
    for archive in archives(inventory, asked):
        for target in archive.copies:
            if target in places:
                yield archive, places[target], inventory.receipt(archive, target)


def locks(inventory: Inventory, asked: Asked) -> Reply:
    """List the copies whose lock or hold is not what configuration, rules and cases ask for."""
    rows, right = [], 0
    for archive, place, receipt in _copies(inventory, asked):
        if place.lock == "off" and not place.legal_hold:
            continue
        have = receipt.protection if receipt else UNPROTECTED
        wrong = "; ".join(_wrong(inventory, archive, place, receipt))
        right += not wrong
        if wrong or asked.everything:
            until = rfc3339(have.until) if have.mode else None
            seen = rfc3339(receipt.at) if receipt else None
            lock = have.mode or "none"
            rows.append(
                (str(archive.date), archive.source, archive.archive_key, place.name, lock, until)
                + (int(have.hold), seen, wrong or "as it should be")
            )
    wrongs = len(rows) if not asked.everything else len(rows) - right
    return Reply(
        f"{count(right, 'copy is', 'copies are')} locked and held as required, {wrongs} not; "
        "by what the stores last reported"
        if right or rows
        else "no store is configured to lock or hold anything",
        ("date", "source", "archive", "target", "lock", "until", "held", "told_at", "verdict"),
        rows_of(rows),
        well=not wrongs,
    )


def _wrong(
    inventory: Inventory, archive: Summary, place: Place, receipt: Receipt | None
) -> Iterator[str]:
    if receipt is None:
        yield "it was never read back"
        return
    have = receipt.protection
    until = ((archive.date - EPOCH).days + 1) * DAY_SECONDS + int(place.lock_for)
    if place.lock != "off" and until > receipt.at + SLACK:
        wanted = Protection(place.lock, until - SLACK)
        if not have.covers(wanted):
            yield f"the configuration asks for {place.lock} until {rfc3339(until)}"
    if holds_on(inventory.holds, inventory.host, archive.source, archive.date) and not have.hold:
        yield "a case holds it, the store does not"
    elif place.legal_hold and not have.hold:
        yield "the configuration asks for a hold"
    rule = inventory.policy.rule_for(inventory.host, archive.source, archive.date)
    if rule and have.mode:
        yield from _against(inventory, archive, rule, local_date(have.until, inventory.zone))


def _against(inventory: Inventory, archive: Summary, rule: Rule, ends: date) -> Iterator[str]:
    """Yield how a lock's end differs from what the rule that governs now allows."""
    minimum = rule.minimum.after(archive.date)
    maximum = rule.maximum.after(archive.date) if rule.maximum else date.max
    if ends < minimum and minimum >= inventory.today:
        yield f"the lock ends before the minimum of rule {rule.name} does, on {minimum}"
    if ends > maximum:
        yield f"the lock ends after the maximum of rule {rule.name}, on {maximum}"


def verified(inventory: Inventory, asked: Asked) -> Reply:
    """Say when each copy was last read back whole, and compared with the manifest's digest."""
    rows = []
    never, oldest = 0, None
    for archive, place, receipt in _copies(inventory, asked):
        state = "never" if receipt is None else "verified" if receipt.sound else "damaged or gone"
        never += state != "verified"
        if receipt and receipt.sound:
            oldest = min(oldest or receipt.at, receipt.at)
        at = rfc3339(receipt.at) if receipt else None
        age = (inventory.now - receipt.at) // DAY_SECONDS if receipt else None
        rows.append(
            (str(archive.date), archive.source, archive.archive_key, place.name, state, at, age)
        )
    since = (
        f"; the longest ago on {local_date(oldest, inventory.zone)}" if oldest is not None else ""
    )
    return Reply(
        f"{count(len(rows) - never, 'copy is', 'copies are')} verified{since}; {never} not",
        ("date", "source", "archive", "target", "state", "read_back_at", "days_ago"),
        rows_of(rows),
        well=not never,
    )


def places(inventory: Inventory, asked: Asked) -> Reply:
    """Say for each copy where it is, in which version, how it is encrypted and how locked."""
    rows = []
    few = 0
    for archive in archives(inventory, asked):
        sound = sum(copy.verified for copy in inventory.copies(archive))
        few += sound < inventory.required
    for archive, place, receipt in _copies(inventory, asked):
        kept = receipt.protection if receipt else UNPROTECTED
        lock = f"{kept.mode} until {rfc3339(kept.until)}" if kept.mode else None
        rows.append(
            (str(archive.date), archive.source, archive.archive_key, place.name, place.where)
            + (receipt.version if receipt else None, _encrypted(place), lock, int(kept.hold))
        )
    return Reply(
        f"{count(len(rows), 'copy', 'copies')}; {count(few, 'archive has', 'archives have')} fewer "
        f"than {inventory.required} verified ones",
        ("date", "source", "archive", "target", "where", "version", "encrypted", "lock", "held"),
        rows_of(rows),
        well=not few,
    )


def _encrypted(place: Place) -> str:
    if place.sse:
        return f"by the server: {place.sse}{f', key {place.kms_key}' if place.kms_key else ''}"
    return "no" if place.near else "by the bucket's default, if it has one; none was requested"


def readable(inventory: Inventory, asked: Asked) -> Reply:
    """Say how soon each archive can be read, and whether its rule asks for sooner."""
    near = {place.name for place in inventory.places if place.near}
    rows, late = [], 0
    for archive in archives(inventory, asked):
        sound = [copy.target for copy in inventory.copies(archive) if copy.verified]
        rule = inventory.policy.rule_for(inventory.host, archive.source, archive.date)
        immediate = rule.immediate.after(archive.date) if rule and rule.immediate else None
        if near.intersection(sound):
            time = "at once"
        elif sound:
            time = "after one request; after hours, if the bucket has moved it to a cold class"
        else:
            time = "not known: no copy is verified"
        due = immediate is not None and immediate >= inventory.today
        late += due and not sound
        until = str(immediate) if immediate else None
        rows.append(
            (str(archive.date), archive.source, archive.archive_key, time, until, " ".join(sound))
        )
    return Reply(
        f"{count(len(rows), 'archive')}, of which {late} should be readable at once and may not "
        "be; `archiver fetch` says what must be restored first, and `--restore` requests it",
        ("date", "source", "archive", "readable", "immediate_until", "from"),
        rows_of(rows),
        well=not late,
    )


def readers(inventory: Inventory, asked: Asked) -> Reply:  # noqa: ARG001 (every question takes both)
    """Say that this is not recorded."""
    return Reply(
        "reading is not recorded yet: who has access to the stores can read them without a trace "
        "here. A bucket's own access log shows who read its objects",
        well=False,
        answered=False,
    )


def proof(inventory: Inventory, asked: Asked) -> Reply:
    """Say how somebody without this program can prove that an archive was not altered."""
    rows = rows_of(
        (str(each.date), each.source, each.archive_key, each.sha256, each.key, each.digest)
        + (each.sequence,)
        for each in archives(inventory, asked)
    )
    return Reply(
        "`sha256sum ARCHIVE` must print the archive's sha256, which is in its manifest; the "
        "manifest's own is in the next one (docs/format.md, Verify). `zstd -dc ARCHIVE | grep` "
        "shows the line. This proves whole archives, against a digest that was noted elsewhere. A "
        "proof of a single line, and a signature, are not there yet",
        ("date", "source", "archive", "sha256", "manifest", "manifest_sha256", "sequence"),
        rows,
    )
