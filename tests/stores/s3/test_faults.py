"""What can go wrong between a store and its bucket: nothing is lost, nothing is there twice.

And whoever reads what is said of it knows what to do: the right class, the cause by its name.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from archiver.errors import NoSpaceError, StoreError, StoreRefusedError
from archiver.stores.s3.store import S3Store
from tests.world.bucket import (
    INDEX,
    KEY,
    LARGE,
    SMALL,
    Bucket,
    Opening,
    got,
    made,
    put,
    said,
    sent_parts,
)
from tests.world.faults import (
    ACCESS_DENIED,
    EXPIRED_TOKEN,
    INTERNAL_ERROR,
    NO_SUCH_BUCKET,
    NOT_IMPLEMENTED,
    SLOW_DOWN,
    TOO_SKEWED,
    Action,
    Rule,
    answer,
    bad_gateway,
    cut,
    empty_200,
    faults,
    hang,
    lose_response,
    reset,
)
from tests.world.weed import Weed

pytestmark = pytest.mark.usefixtures("impatient")
# What waits for an answer that never comes waits so long, in seconds.
SOON = 0.5


def patience(fault: str) -> dict[str, float]:
    """Short where a server falls silent. Elsewhere a busy machine would be taken for the fault."""
    return {"read_timeout": SOON} if fault == "silent" else {}


def store_small(store: S3Store, place: Path) -> None:
    put(store, place, SMALL)


def store_large(store: S3Store, place: Path) -> None:
    put(store, place, LARGE)


def read(store: S3Store, _place: Path) -> None:
    assert got(store) == SMALL


def find(store: S3Store, _place: Path) -> None:
    assert store.find(KEY) is not None


def list_(store: S3Store, _place: Path) -> None:
    assert [each.key for each in store.listed()] == [KEY]


Doing = Callable[[S3Store, Path], None]
# What is done, and which of its requests is struck: method and target.
STEPS: dict[str, tuple[Doing, str, str]] = {
    "put": (store_small, "PUT", ""),
    "create": (store_large, "POST", r"\?uploads"),
    "part": (store_large, "PUT", "partNumber=1"),
    "complete": (store_large, "POST", "uploadId="),
    "head": (find, "HEAD", ""),
    "get": (read, "GET", "log.zst"),
    "list": (list_, "GET", "list-type=2"),
}
STORING = ["put", "create", "part", "complete"]
PASSING: dict[str, tuple[Action, str]] = {
    "busy": (SLOW_DOWN, r"the server is too busy \((SlowDown|503)\)"),
    "failing": (INTERNAL_ERROR, r"the server failed \((InternalError: .*fault|500)"),
    "proxy": (bad_gateway, r"the server failed \(502: Bad Gateway"),
    "reset": (reset, "broke off"),
    "silent": (hang, r"did not answer within 0.5 s"),
    "lost": (lose_response, r"broke off \(Remote end closed connection"),
}
# For these, what is below HTTP makes a difference.
OVER_TLS = [(step, how) for step in ("put", "part", "get") for how in ("reset", "silent", "lost")]
WAYS = [(step, fault, False) for step in STEPS for fault in PASSING]
WAYS += [(*each, True) for each in OVER_TLS]
# One of each kind of request: what it says is the same for all of a kind.
KINDS = ["put", "part", "complete", "get", "list"]


def prepared(step: str, store: S3Store, place: Path) -> bytes:
    """Store what is to be read, if it is; return what there has to be at the end."""
    if step not in STORING:
        put(store, place, SMALL)
    return SMALL if step not in STORING[1:] else LARGE


def all_is_well(bucket: Bucket, content: bytes) -> None:
    """The object is there, whole and once, and nothing half-done with it."""
    assert bucket.versions() == [content]
    assert bucket.uploads() == []


@pytest.mark.parametrize(("step", "fault", "tls"), WAYS)
def test_what_passes_is_waited_out(
    weed_server: Weed, opening: Opening, place: Path, step: str, fault: str, tls: bool
) -> None:
    """Once or twice, and nobody notices; also if it was done, and only the answer was lost."""
    bucket = made(weed_server, lock=True)
    doing, method, target = STEPS[step]
    content = prepared(step, opening(weed_server, bucket), place)
    with faults(weed_server, tls=tls) as through:
        rule = Rule(method, target, PASSING[fault][0], times=1 if fault == "silent" else 2)
        through.rules = [rule]
        doing(opening(through, bucket, **patience(fault)), place)
    assert rule.struck >= 1
    all_is_well(bucket, content)


@pytest.mark.parametrize("step", KINDS)
@pytest.mark.parametrize("fault", PASSING)
def test_what_does_not_pass_is_told_and_tried_again(
    weed_server: Weed, opening: Opening, place: Path, step: str, fault: str
) -> None:
    """By the next run, which ends with the same as if there had been no trouble."""
    bucket = made(weed_server, lock=True)
    doing, method, target = STEPS[step]
    action, words = PASSING[fault]
    content = prepared(step, opening(weed_server, bucket), place)
    with faults(weed_server, [Rule(method, target, action, times=None)]) as through:
        store = opening(through, bucket, attempts=2, **patience(fault))
        with pytest.raises(StoreError, match=words) as failed:
            doing(store, place)
        said(failed.value, bucket, keyed=step != "list")
        assert not isinstance(failed.value, StoreRefusedError)
        assert failed.value.retryable
        through.rules = []
        doing(store, place)
    all_is_well(bucket, content)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("put", "says that it stored .*, but it has nothing"),
        ("create", "returned no UploadId"),
        ("part", "returned no ETag"),
        ("complete", "says that it stored .*, but it has nothing"),
        ("head", "was looked for, but the answer is empty"),
        ("get", "the answer does not say what it holds"),
        ("list", "was listed, but the answer is empty"),
    ],
)
@pytest.mark.parametrize("tls", [False, True])
def test_an_empty_200_is_no_success(
    weed_server: Weed, opening: Opening, place: Path, step: str, words: str, tls: bool
) -> None:
    """Nor an empty object, nor an empty store; and what was sent is not sent again."""
    bucket = made(weed_server, lock=True)
    doing, method, target = STEPS[step]
    content = prepared(step, opening(weed_server, bucket), place)
    with faults(weed_server, [Rule(method, target, empty_200)], tls=tls) as through:
        store = opening(through, bucket)
        with pytest.raises(StoreError, match=words) as failed:
            doing(store, place)
        said(failed.value, bucket, keyed=step != "list")
        through.requests.clear()
        doing(store, place)
        if step == "complete":
            assert sent_parts(through) == []
    all_is_well(bucket, content)


@pytest.mark.parametrize("step", ["complete", "list"])
def test_an_error_within_a_200_is_an_error(
    weed_server: Weed, opening: Opening, place: Path, step: str
) -> None:
    """S3 may find out that it cannot after it has said that it can (CompleteMultipartUpload)."""
    bucket = made(weed_server, lock=True)
    doing, method, target = STEPS[step]
    content = prepared(step, opening(weed_server, bucket), place)
    within = answer(200, "InternalError")
    with faults(weed_server, [Rule(method, target, within, times=None)]) as through:
        store = opening(through, bucket)
        with pytest.raises(StoreError, match=r"the server failed \(InternalError") as failed:
            doing(store, place)
        said(failed.value, bucket, keyed=step != "list")
        through.rules = []
        doing(store, place)
    all_is_well(bucket, content)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("length", [False, True])
def test_a_list_that_is_cut_short_is_no_list(
    weed_server: Weed, opening: Opening, place: Path, tls: bool, length: bool
) -> None:
    bucket = made(weed_server)
    put(opening(weed_server, bucket), place, SMALL)
    rule = Rule("GET", "list-type=2", cut(to=200, length=length), times=None)
    with faults(weed_server, [rule], tls=tls) as through:
        store = opening(through, bucket, attempts=2)
        with pytest.raises(StoreError) as failed:
            list(store.listed())
        said(failed.value, bucket, keyed=False)
        rule.times = 0
        assert [each.key for each in store.listed()] == [KEY]


FINAL: dict[str, tuple[Action, str, str]] = {
    "expired": (
        EXPIRED_TOKEN,
        r"the session token has expired \(ExpiredToken",
        "refresh it, together",
    ),
    "skewed": (TOO_SKEWED, r"the clock here and the server's differ too much", "clock"),
    "denied": (ACCESS_DENIED, r"access denied \(AccessDenied", "allow these credentials s3:"),
    "bucket": (NO_SUCH_BUCKET, r"there is no bucket 'archive-", "`bucket`"),
    "unknown": (NOT_IMPLEMENTED, "the server does not know [A-Z]", "a server that does"),
}


# Without If-None-Match, which may be what is not known; and botocore suspects another region.
ONCE_MORE = {("unknown", "put"), ("expired", "head")}


@pytest.mark.parametrize("fault", FINAL)
@pytest.mark.parametrize("step", ["put", "part", "head", "get", "list"])
def test_what_stays_is_not_tried_again(
    weed_server: Weed, opening: Opening, place: Path, step: str, fault: str
) -> None:
    """Somebody has to do something, and is told what; it is told also where HEAD tells nothing."""
    bucket = made(weed_server, lock=True)
    doing, method, target = STEPS[step]
    action, words, hint = FINAL[fault]
    content = prepared(step, opening(weed_server, bucket), place)
    rule = Rule(method, target, action, times=None)
    # A HEAD that is refused is followed by a question, which is refused, too.
    also = [Rule("GET", "list-type=2", action, times=None)] if step == "head" else []
    with faults(weed_server, [rule, *also]) as through:
        store = opening(through, bucket)
        with pytest.raises(StoreRefusedError, match=words) as failed:
            doing(store, place)
        said(failed.value, bucket, keyed=step != "list")
        assert hint in failed.value.hint
        assert not failed.value.retryable
        assert rule.struck == (2 if (fault, step) in ONCE_MORE else 1)
        through.rules = []
        doing(store, place)
    all_is_well(bucket, content)


@pytest.mark.parametrize(
    ("code", "status"),
    [("InsufficientStorage", 507), ("XMinioStorageFull", 507), ("QuotaExceeded", 403)],
)
def test_a_full_server_that_says_so(
    weed_server: Weed, opening: Opening, place: Path, code: str, status: int
) -> None:
    bucket = made(weed_server, lock=True)
    with faults(weed_server, [Rule("PUT", "", answer(status, code))]) as through:
        store = opening(through, bucket)
        with pytest.raises(NoSpaceError, match="no space left") as failed:
            put(store, place, SMALL)
        said(failed.value, bucket)
        put(store, place, SMALL)
    all_is_well(bucket, SMALL)


def test_a_disk_that_is_full(full_weed: Weed, opening: Opening, place: Path) -> None:
    """SeaweedFS says that something failed. Nothing is there then, and all of it later."""
    bucket = made(full_weed, lock=True)
    store = opening(full_weed, bucket, attempts=1)
    put(store, place, b"", key=INDEX)
    put(store, place, b"first", key=INDEX, replace=True)
    full_weed.fill()
    with pytest.raises(StoreError, match="the server failed") as failed:
        put(store, place, SMALL)
    assert "is its disk full?" in failed.value.hint
    assert store.find(KEY) is None
    full_weed.relieve()
    put(store, place, SMALL)
    all_is_well(bucket, SMALL)
