"""A night on which a bucket's server, or the way to it, fails: the cause is told, nothing is lost.

Two copies are required, so the segment stays in the spool. The next night all is well.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import botocore.auth
import pytest

from tests.world.faults import (
    ACCESS_DENIED,
    EXPIRED_TOKEN,
    SLOW_DOWN,
    TOO_SKEWED,
    Faults,
    Rule,
    bad_gateway,
    cut,
    empty_200,
    faults,
    hang,
    lose_response,
    other_bytes,
    reset,
)
from tests.world.host import MONDAY, Host, Said, after, lines
from tests.world.loopback import certify
from tests.world.s3_host import Bucket, FarHost, incompressible
from tests.world.weed import Weed

ARCHIVE, MANIFEST, ANYTHING = r"\.log\.zst", r"manifest\.json", r"."
STORE, INTEGRITY = 12, 5
TUESDAY, WEDNESDAY = after(MONDAY), after(MONDAY, 2)


@dataclass(frozen=True)
class Fault:
    """Which requests meet it, how the run ends then, and which words of its own tell the cause."""

    rule: Rule
    status: int
    says: str
    more: Mapping[str, str] = field(default_factory=dict)


FAULTS = {
    "503": Fault(Rule("PUT", ARCHIVE, SLOW_DOWN), STORE, r"too busy \(SlowDown\)"),
    "503 always": Fault(Rule(".*", ANYTHING, SLOW_DOWN), STORE, r"too busy \(SlowDown\)"),
    "reset": Fault(Rule("PUT", ARCHIVE, reset), STORE, "connection to .* broke off|TLS failed"),
    "hang": Fault(
        Rule("PUT", MANIFEST, hang),
        STORE,
        "did not answer within 0.3 s",
        {"read_timeout": '"300ms"'},
    ),
    "502": Fault(Rule("PUT", ARCHIVE, bad_gateway), STORE, r"the server failed \(502"),
    "200 and nothing stored": Fault(
        Rule("PUT", ARCHIVE, empty_200), STORE, "says that it stored .*, but it has nothing"
    ),
    "short": Fault(Rule("GET", ARCHIVE, cut()), STORE, "broke off"),
    "short, unseen": Fault(Rule("GET", ARCHIVE, cut(length=False)), INTEGRITY, "gives"),
    "other bytes": Fault(Rule("GET", ARCHIVE, other_bytes), INTEGRITY, "gives back something else"),
    "expired": Fault(Rule(".*", ANYTHING, EXPIRED_TOKEN), STORE, "the session token has expired"),
    "skewed": Fault(Rule(".*", ANYTHING, TOO_SKEWED), STORE, "the clock here and the server's"),
    "denied": Fault(
        Rule("PUT", ARCHIVE, ACCESS_DENIED), STORE, r"access denied \(.*\n.* s3:PutObject"
    ),
    "lost response": Fault(Rule("PUT", ARCHIVE, lose_response), STORE, "broke off"),
}


@pytest.fixture(params=["http", "https"])
def faulty(request: pytest.FixtureRequest, weed_server: Weed) -> Iterator[Faults]:
    with faults(weed_server, tls=request.param == "https") as server:
        yield server


def host_of(place: Path, far: Bucket) -> FarHost:
    """A host that needs both copies, and has a day's log."""
    host = FarHost(place, targets=("store",), buckets={"far": far}, required=2)
    host.write(lines(MONDAY, "09:00:00", "23:59:59"))
    return host


def run(host: Host, day: object = TUESDAY) -> Said:
    said = host.archiver("run", now=host.at(str(day)))
    assert not re.search("Traceback|unexpected", said.err), said.err
    told = re.findall("(?m)^archiver: .*", said.err)
    assert len(set(told)) == len(told), "each is told once"
    return said


def all_is_well_again(host: FarHost) -> None:
    """An ordinary run ends with 0, and then every archive is there, once, in both places."""
    said = run(host, WEDNESDAY)
    assert (said.status, said.err) == (0, "")
    assert host.spooled() == []
    assert lines(MONDAY, "09:00:00", "23:59:59") == host.everywhere()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_and_costs_nothing(
    place: Path, weed_server: Weed, faulty: Faults, name: str
) -> None:
    fault = FAULTS[name]
    more = {"attempts": "1", **fault.more}
    host = host_of(place, Bucket(weed_server, weed_server.bucket(lock=True), faulty, more=more))
    faulty.rules = [fault.rule]
    fault.rule.times = None
    said = run(host)
    assert said.status == fault.status
    assert re.search(fault.says, said.err), said.err
    assert {"intent", "log"} <= {name.rpartition(".")[2] for name in host.spooled()}
    faulty.rules = []
    all_is_well_again(host)


@pytest.mark.parametrize(
    "rule", [Rule("PUT", ARCHIVE, lose_response), Rule("PUT", MANIFEST, reset)]
)
def test_what_passes_by_itself_is_tried_again(
    place: Path, weed_server: Weed, faulty: Faults, rule: Rule
) -> None:
    """A response lost after the server had stored it all: asked again, it is found there."""
    rule.struck, faulty.rules = 0, [rule]
    host = host_of(place, Bucket(weed_server, weed_server.bucket(lock=True), faulty))
    assert (run(host).status, run(host).err) == (0, "")
    assert rule.struck == 1
    all_is_well_again(host)


MIB = 2**20


@pytest.mark.parametrize(
    ("asked", "says"),
    [("partNumber=2", "returned no ETag"), (r"\?uploadId=[^&]*$", "but it has nothing")],
)
def test_nothing_is_done_in_the_middle_of_an_upload_in_parts(
    place: Path, weed_server: Weed, faulty: Faults, asked: str, says: str
) -> None:
    """An empty 200 for a part, or for its completion: the next run goes on with that upload."""
    bucket = weed_server.bucket(lock=True)
    far = Bucket(weed_server, bucket, faulty, more={"attempts": "1", "part_size": '"5MiB"'})
    host = FarHost(place, targets=("store",), buckets={"far": far}, required=2)
    written = incompressible(MONDAY, 6 * MIB)
    host.write(written)
    faulty.rules = [Rule("PUT|POST", asked, empty_200)]
    said = run(host)
    assert said.status == STORE
    assert re.search(says, said.err), said.err
    assert len(far.uploads()) == 1
    faulty.requests.clear()
    said = run(host, WEDNESDAY)
    assert (said.status, said.err) == (0, "")
    again = [seen.target for seen in faulty.requests if "partNumber=1" in seen.target]
    assert (again, far.uploads()) == ([], [])
    assert written == host.everywhere()


def test_a_bucket_that_is_not_there(place: Path, weed_server: Weed) -> None:
    host = host_of(place, Bucket(weed_server, "archive-nowhere", weed_server))
    said = run(host)
    assert said.status == STORE
    assert "there is no bucket 'archive-nowhere'" in said.err
    far = Bucket(weed_server, weed_server.bucket(lock=True), weed_server)
    host.configure(targets=("store",), buckets={"far": far}, required=2)
    all_is_well_again(host)


def test_credentials_that_may_only_read(place: Path, weed_server: Weed) -> None:
    far = Bucket(weed_server, weed_server.bucket(lock=True), weed_server, identity="reader")
    host = host_of(place, far)
    said = run(host)
    assert said.status == STORE
    assert re.search(r"access denied \(.*\n.*s3:PutObject", said.err), said.err
    host.configure(targets=("store",), buckets={"far": replace(far, identity="writer")}, required=2)
    all_is_well_again(host)


@pytest.mark.parametrize("hours", [-24, 24])
def test_a_clock_that_is_wrong(
    place: Path, weed_server: Weed, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """A day ahead or behind: the server refuses what is signed so."""
    host = host_of(place, Bucket(weed_server, weed_server.bucket(lock=True), weed_server))
    wrong = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=hours)
    with monkeypatch.context() as clock:
        clock.setattr(botocore.auth, "get_current_datetime", lambda: wrong)
        said = run(host)
    assert said.status == STORE
    assert "clock" in said.err
    all_is_well_again(host)


def test_a_server_that_is_not_trusted(place: Path, tls_weed: Weed, tmp_path: Path) -> None:
    certify(tmp_path)
    bucket = tls_weed.bucket(lock=True)
    stranger = {"ca_bundle": f'"{tmp_path}/ca.pem"'}
    host = host_of(place, Bucket(tls_weed, bucket, tls_weed, more=stranger))
    said = run(host)
    assert said.status == STORE
    assert "certificate is not trusted" in said.err
    host.configure(
        targets=("store",), buckets={"far": Bucket(tls_weed, bucket, tls_weed)}, required=2
    )
    all_is_well_again(host)


def test_a_disk_that_is_full_over_there(place: Path, full_weed: Weed) -> None:
    """The segment is kept until there is room again."""
    far = Bucket(full_weed, full_weed.bucket(lock=True), full_weed, more={"attempts": "1"})
    # A bucket's first object would be waited for, for half a minute, by the server itself.
    full_weed.client().put_object(Bucket=far.name, Key="first", Body=b"first")
    host = FarHost(place, targets=("store",), buckets={"far": far}, required=2)
    host.log.touch(0o640)
    # What it stores first of all is a record of the ledger; and a server that has refused several
    # objects takes minutes to notice that there is room again.
    assert run(host, MONDAY).status == 0
    full_weed.fill()
    written = incompressible(MONDAY, MIB // 2)
    host.write(written)
    said = run(host)
    assert said.status == STORE
    assert re.search(r"the server failed \(InternalError.*\n.*is its disk full", said.err), said.err
    full_weed.relieve()
    said = run(host, WEDNESDAY)
    assert (said.status, said.err) == (0, "")
    assert written == host.everywhere()
