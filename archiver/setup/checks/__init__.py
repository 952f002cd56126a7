"""The checks of `doctor`: one function each, which takes a Patient and yields Findings.

    places    the log, its directories, free space, other rotators
    writer    syslogd: its configuration, how it is told, whether its release can be proven
    stored    stores, probes, secrets, missing days, the last run
    system    the clock, and what starts the archiver

They read files, ask the stores and call systemctl, and change nothing: only `writer.proof` makes
a scratch file in the spool, which it removes.
"""

from archiver.setup.checks.found import CRITICAL, OK, WARNING, Finding, Patient

__all__ = ["CRITICAL", "OK", "WARNING", "Finding", "Patient"]
