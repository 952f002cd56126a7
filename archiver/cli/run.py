"""`archiver run`."""

from typing import Any

import click

from archiver.archives.manifest import Manifest
from archiver.cli.answer import Answer, Invocation, count, human_size, verb
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
@click.option("-n", "--dry-run", is_flag=True, help="Show what would be done; touch nothing.")
@click.option("--force", is_flag=True, help="Rotate now, whether it is due or not.")
@click.option(
    "--no-expiry", is_flag=True, help="Destroy nothing: `retention expire --auto` does that."
)
@source_option()
@verb
def run(
    invocation: Invocation, dry_run: bool, force: bool, no_expiry: bool, names: tuple[str, ...]
) -> Answer:
    """Rotate each log that is due, make its writer let go of it, archive, verify, copy and
    catalogue it.

    First finishes what an earlier run left. Running it again does nothing twice, so cron may start
    it nightly or hourly. Prints nothing unless something fails or stdout is a terminal.
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
        made = [manifest for source in report.sources for manifest in source.archived]
        around.archives = [each.archive_key for each in made if not each.is_empty_day]
        return _answer(report, dry_run=False)

    return attended(invocation, "run", names, work)


def _answer(report: NightReport, *, dry_run: bool) -> Answer:
    destroyed = report.expiry.destroyed
    return Answer(
        data={
            "dry_run": dry_run,
            "sources": [_data(each) for each in report.sources],
            "destroyed": [certificate_data(each) for each in destroyed],
        },
        text="\n".join(
            [
                *(_text(each, dry=dry_run) for each in report.sources),
                *map(destroyed_line, destroyed),
            ]
        ),
        failures=report.failures,
        exit_status=report.exit_status,
        chatty=not dry_run,
    )


def _data(report: SourceReport) -> dict[str, Any]:
    return {
        "source": report.source,
        "rotated": report.rotated,
        "reason": report.reason,
        "pending": report.pending,
        "waiting": report.waiting,
        "archived": [archive_data(manifest) for manifest in report.archived],
        "failed": [failure.code for failure in report.failures],
    }


def archive_data(manifest: Manifest | Summary) -> dict[str, Any]:
    """Return what JSON documents say about an archive."""
    return {
        "key": None if manifest.is_empty_day else manifest.archive_key,
        "date": manifest.date.isoformat(),
        "lines": manifest.lines,
        "raw_size": manifest.raw_size,
        "size": manifest.size,
        "sha256": manifest.sha256,
        "sequence": manifest.sequence,
    }


def certificate_data(certificate: Certificate) -> dict[str, Any]:
    """Return what JSON documents say about an archive that was destroyed."""
    tombstone = certificate.stone
    return {
        "certificate": certificate.number,
        "record": certificate.key,
        "key": tombstone.archive,
        "date": tombstone.date.isoformat(),
        "sha256": tombstone.sha256,
        "reason": tombstone.reason,
    }


def destroyed_line(certificate: Certificate) -> str:
    """Return the line for people about an archive that was destroyed."""
    tombstone = certificate.stone
    name = tombstone.archive.rpartition("/")[2]
    where = ", ".join(reply.target for reply in tombstone.stores)
    return f"{tombstone.date}  destroyed: {name} in {where} (certificate {certificate.number})"


def _text(report: SourceReport, *, dry: bool) -> str:
    would = "would be " if dry else ""
    lines = [f"{report.source}: {would}{'rotated' if report.rotated else 'left alone'}"]
    if report.reason:
        lines[0] += f" ({report.reason})"
    lines += [f"  would be finished: {name}" for name in report.pending]
    lines += [f"  {archive_line(manifest)}" for manifest in report.archived]
    lines += [f"  left for the next run: {what}" for what in report.waiting]
    return "\n".join(lines)


def archive_line(manifest: Manifest) -> str:
    """Return the line for people about what an archive holds."""
    if manifest.is_empty_day:
        return f"{manifest.date}  a day without lines, recorded"
    saved = f"{human_size(manifest.raw_size)} in {human_size(manifest.size)}"
    name = manifest.archive_key.rpartition("/")[2]
    return f"{manifest.date}  {count(manifest.lines, 'line')}, {saved}  {name}"
