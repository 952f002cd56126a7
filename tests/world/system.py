"""Find the operating system's programs that a test needs.

On somebody's machine a missing program skips the test, with the reason. In CI (CI=true)
it fails it: there nothing may be left untested.
"""

import os
import shutil

import pytest

# Where .ci/install-syslogds unpacks the two daemons, which conflict as packages.
UNPACKED = "/opt/archiver-test"

CANDIDATES = {
    # Only the unpacked one: a `syslogd` in PATH is as likely busybox's or sysklogd's.
    "inetutils-syslogd": [f"{UNPACKED}/inetutils/usr/sbin/syslogd"],
    "rsyslogd": [f"{UNPACKED}/rsyslog/usr/sbin/rsyslogd", "rsyslogd"],
}


def need(program: str) -> str:
    """Return the path of *program*, or skip the test (with CI=true: fail it).

    ARCHIVER_TEST_<PROGRAM>, say ARCHIVER_TEST_INETUTILS_SYSLOGD, names another one.
    """
    variable = "ARCHIVER_TEST_" + program.upper().replace("-", "_")
    asked = os.environ.get(variable)
    candidates = [asked] if asked else CANDIDATES.get(program, [program])
    # An ordinary user's PATH lacks the directories where daemons live.
    path = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    for candidate in candidates:
        if found := shutil.which(candidate, path=path):
            return found
    reason = f"{program} is not here (looked for {', '.join(candidates)}; {variable} names another)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
