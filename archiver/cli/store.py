"""`archiver store`."""

from typing import Any

import click

from archiver.cli.answer import Answer, Invocation, table, verb
from archiver.cli.completion import targets
from archiver.cli.options import refuse_unknown
from archiver.errors import ArchiverError, Problems, explained
from archiver.stores import probe_report
from archiver.stores.probe import probe as probe_
from archiver.stores.probe_report import ProbeReport
from archiver.system.files import exclusive, make_directory
from archiver.system.zone import rfc3339


@click.group(short_help="Check what a store really enforces.")
def store() -> None:
    """Stores are configured as [storage.target.NAME]."""


@store.command(short_help="Test what stores really enforce: locks, deletion, checksums and more.")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=targets)
@click.option("--lock", is_flag=True, help="Test locks even where the configuration asks for none.")
@verb
def probe(invocation: Invocation, names: tuple[str, ...], lock: bool) -> Answer:
    """Test, on each store or on those named, whether it does what it is relied upon for, and what
    it lets these credentials do; with small objects of its own below `probe/`, locked for two
    minutes at most.

    A store with locks gets archives only after it has passed; `run` probes it by itself, once.
    """
    config = invocation.config()
    known = {target.name: target for target in config.storage.targets}
    refuse_unknown("target", names, known)
    reports: list[ProbeReport] = []
    failures = Problems()
    with explained("probing"):
        make_directory(config.host.state_dir)
        with exclusive(config.host.state_dir / "lock"):
            for name in dict.fromkeys(names or known):
                try:
                    report = probe_(known[name], invocation.now, lock=lock)
                except ArchiverError as problem:
                    failures.add(problem)
                    continue
                probe_report.save(config.host.state_dir, report)
                reports.append(report)
                if refused := probe_report.refused(known[name], report):
                    failures.add(refused)
    return Answer(
        data={"targets": [_data(report) for report in reports]},
        text="\n\n".join(_text(report) for report in reports),
        failures=failures,
        exit_status=failures.worst,
    )


def _data(report: ProbeReport) -> dict[str, Any]:
    return {
        "target": report.target,
        "ok": report.ok,
        "probed_at": rfc3339(report.at),
        "fingerprint": report.fingerprint,
        "left": report.left,
        "checks": [
            {
                "name": check.name,
                "verdict": check.verdict,
                "evidence": check.evidence,
                "relied_upon": check.name in report.relied_upon,
            }
            for check in report.checks
        ],
    }


def _text(report: ProbeReport) -> str:
    rows = [(check.name, check.verdict, check.evidence) for check in report.checks]
    lines = [table((report.target.upper(), "VERDICT", "EVIDENCE"), rows)]
    if report.ok:
        lines.append(f"{report.target}: all that the configuration relies upon is enforced")
    else:
        lines.append(f"{report.target}: relied upon, but {probe_report.sentence(report.failed)}")
    if report.findings:
        lines.append(f"also note: {probe_report.sentence(report.findings)}")
    if report.left:
        lines.append(f"objects left below probe/, locked or not removable: {report.left}")
    return "\n".join(lines)
