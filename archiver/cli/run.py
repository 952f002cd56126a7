"""`archiver run`."""

from typing import Any

import click

from archiver.archives.manifest import Manifest
from archiver.cli.answer import Answer, Invocation, human_size, verb
from archiver.cli.options import source_option, sources_named
from archiver.cli.reporting import attended
from archiver.nightly import NightReport
from archiver.nightly import plan as plan_
from archiver.nightly import run as run_
from archiver.policy.inventory import Summary
from archiver.retention.expire import Certificate
from archiver.rotation.turn import SourceReport
from archiver.service.reporting import Attended


@click.command(short_help="Rotate, archive and copy what is due.")
@click.option("-n", "--dry-run", is_flag=True, help="Tell what would be done; touch nothing.")
@click.option("--force", is_flag=True, help="Rotate now, whatever the time.")
@click.option("--no-expiry", is_flag=True, help="Destroy nothing: `retention expire --auto` does.")
@source_option()
@verb
def run(
    invocation: Invocation, dry_run: bool, force: bool, no_expiry: bool, names: tuple[str, ...]
) -> Answer:
    """Rotate what is due, make its writer let go, archive, verify, copy and catalogue it.

    First finishes what an earlier run left. Running it again does nothing twice, so it can
    stand in cron, nightly or hourly. Says nothing unless something fails or a terminal
    watches.
    """
    config = invocation.config()
    chosen = [source.name for source in sources_named(config, names)]
    if dry_run:
        return _answer(
            plan_(config, chosen, now=invocation.now, force=force, root=invocation.root),
            dry_run=True,
        )

    def work(around: Attended) -> Answer:
        report = run_(
            config,
            chosen,
            now=invocation.now,
            force=force,
            expiring=not no_expiry,
            meter=invocation.meter,
            asked_to_stop=invocation.asked_to_stop,
            root=invocation.root,
        )
        made = [manifest for each in report.sources for manifest in each.archived]
        around.archives = [each.archive_key for each in made if not each.is_empty_day]
        return _answer(report, dry_run=False)

    return attended(invocation, "run", names, work)


def _answer(report: NightReport, *, dry_run: bool) -> Answer:
    destroyed = report.expiry.destroyed
    return Answer(
        data={
            "dry_run": dry_run,
            "sources": [_data(each) for each in report.sources],
            "destroyed": [certificate(each) for each in destroyed],
        },
        text="\n".join(
            [*(_text(each, dry=dry_run) for each in report.sources), *map(gone, destroyed)]
        ),
        failures=report.failures,
        exit_status=report.exit_status,
        chatty=not dry_run,
    )


def _data(each: SourceReport) -> dict[str, Any]:
    return {
        "source": each.source,
        "rotated": each.rotated,
        "reason": each.reason,
        "pending": each.pending,
        "waiting": each.waiting,
        "archived": [summary(manifest) for manifest in each.archived],
        "failed": [failure.code for failure in each.failures],
    }


def summary(manifest: Manifest | Summary) -> dict[str, Any]:
    """Return what JSON documents tell of an archive."""
    return {
        "key": None if manifest.is_empty_day else manifest.archive_key,
        "date": manifest.date.isoformat(),
        "lines": manifest.lines,
        "raw_size": manifest.raw_size,
        "size": manifest.size,
        "sha256": manifest.sha256,
        "sequence": manifest.sequence,
    }


def certificate(each: Certificate) -> dict[str, Any]:
    """Return what JSON documents tell of an archive that was destroyed."""
    stone = each.stone
    return {
        "certificate": each.number,
        "record": each.key,
        "key": stone.archive,
        "date": stone.date.isoformat(),
        "sha256": stone.sha256,
        "reason": stone.reason,
    }


def gone(each: Certificate) -> str:
    """Say in one line what was destroyed."""
    stone = each.stone
    name = stone.archive.rpartition("/")[2]
    where = ", ".join(reply.target for reply in stone.stores)
    return f"{stone.date}  destroyed: {name} in {where} (certificate {each.number})"


def _text(each: SourceReport, *, dry: bool) -> str:
    would = "would be " if dry else ""
    lines = [f"{each.source}: {would}{'rotated' if each.rotated else 'left alone'}"]
    if each.reason:
        lines[0] += f" ({each.reason})"
    lines += [f"  would be finished: {name}" for name in each.pending]
    lines += [f"  {line(manifest)}" for manifest in each.archived]
    lines += [f"  left for the next run: {what}" for what in each.waiting]
    return "\n".join(lines)


def line(manifest: Manifest) -> str:
    """Say in one line what an archive holds."""
    if manifest.is_empty_day:
        return f"{manifest.date}  a day without lines, recorded"
    saved = f"{human_size(manifest.raw_size)} in {human_size(manifest.size)}"
    name = manifest.archive_key.rpartition("/")[2]
    return f"{manifest.date}  {manifest.lines} lines, {saved}  {name}"


__all__ = ["NightReport", "certificate", "gone", "line", "run", "summary"]
