"""What an S3 server, or the way to it, does wrong: in the words of an operator.

Codes are those of AWS (S3 API reference, "Error responses") and of servers that add their own.
An answer to HEAD has no body, and so no code: the store asks again, by a list.
What may pass by itself is a StoreError; what somebody must change, a StoreRefusedError.
"""

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.exceptions import SSLError as URLLib3SSLError

from archiver.config.targets import S3Target
from archiver.errors import (
    ArchiverError,
    ColdError,
    LockedError,
    NoSpaceError,
    NotFoundError,
    StoreError,
    StoreRefusedError,
)

# All that may come out of a call, or of the body of an answer.
FAULTS = (boto.BotoCoreError, boto.ClientError, HTTPError, OSError, ResponseParserError)
AGAIN = "nothing was lost: the next run tries again"
# A server that answers, and tells nothing, is mostly none: a proxy is.
BETWEEN = f"what stands between here and the server? {AGAIN.capitalize()}"

MISSING = frozenset({"NoSuchKey", "404", "NoSuchVersion"})
DENIED = frozenset({"AccessDenied", "AllAccessDisabled", "AccountProblem", "403", "Forbidden"})
FULL = frozenset({"InsufficientStorage", "507", "XMinioStorageFull", "QuotaExceeded"})
SKEWED = frozenset({"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"})
UNKNOWN = frozenset({"NotImplemented", "501", "MethodNotAllowed", "405"})
BUSY = frozenset({"SlowDown", "ServiceUnavailable", "TooManyRequests", "Throttling"})
# What comes right by itself, though its status is not of the 500s.
PASSING = frozenset({"RequestTimeout", "408", "OperationAborted", "ConditionalRequestConflict"})
PASSING |= {"NoSuchUpload", "InvalidPart", "IncompleteBody", "409"}
# What arrived is not what was digested before it was sent.
MISMATCHED = frozenset({"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch"})
MISMATCHED |= {"XAmzContentChecksumMismatch"}
LOCKED = frozenset({"ObjectLocked", "FileImmutable"})
# Servers that have no code of their own for a lock say it in the message.
LOCK_WORDS = re.compile(r"object.?lock|\bWORM\b|retention|legal.?hold|immutab", re.IGNORECASE)
CHANGING = frozenset({"PutObject", "DeleteObject", "CompleteMultipartUpload"})
CHANGING |= {"PutObjectRetention"}

_BUCKET = "there is no bucket {bucket!r}", "make it, or correct `bucket` and `endpoint_url`"
_TOKEN = "the session token has expired", "refresh it: all three credentials are given together"
_REGION = "bucket {bucket!r} is in another region", "set `region` of the target"
FINAL = {
    "NoSuchBucket": _BUCKET,
    "InvalidBucketName": _BUCKET,
    "InvalidAccessKeyId": (
        "the server does not know the access key id",
        "correct access_key_id; is it one of this endpoint_url?",
    ),
    "SignatureDoesNotMatch": (
        "the secret access key is not that of the access key id",
        "correct secret_access_key; a proxy that alters requests does this, too",
    ),
    "ExpiredToken": _TOKEN,
    "ExpiredTokenException": _TOKEN,
    "TokenRefreshRequired": _TOKEN,
    "InvalidToken": ("the session token is not that of the access key id", "get new credentials"),
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "301": _REGION,
    "307": _REGION,
}
# What a policy has to allow (IAM's names), where it is not named as the operation is.
ACTIONS = {
    "HeadObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListParts": "s3:ListMultipartUploadParts",
    "PutObjectRetention": "s3:PutObjectRetention (to make compliance of governance, some servers "
    "want s3:BypassGovernanceRetention, too)",
}
# What a profile has botocore ask of AWS before it asks the bucket anything.
ROLES = frozenset({"AssumeRole", "AssumeRoleWithWebIdentity", "GetRoleCredentials"})
MAKING = frozenset({"PutObject", "CreateMultipartUpload"})
LOCKING = "s3:PutObject, s3:PutObjectRetention and s3:PutObjectLegalHold"

WHERE = (
    "see access_key_id of the target, AWS_ACCESS_KEY_ID, AWS_PROFILE, ~/.aws, the machine's role"
)
# Whose files: a service has another home than the administrator, and perhaps none.
PROFILE = (
    "correct AWS_PROFILE, or that profile in what this user reads: ~/.aws/config and "
    "~/.aws/credentials, or the files that AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name"
)
LOGIN = (
    "`{}`, as this user and with this AWS_PROFILE; what runs at night, when nobody can log in, "
    "needs a key or a role"
)
CREDENTIALS = (
    (
        (boto.SSOError, boto.TokenRetrievalError, boto.NoAuthTokenError),
        LOGIN.format("aws sso login"),
    ),
    # Of `aws login`, which botocore has not always known.
    (getattr(boto, "LoginError", ()), LOGIN.format("aws login")),
    (
        (
            boto.ProfileNotFound,
            boto.ConfigParseError,
            boto.InvalidConfigError,
            boto.InfiniteLoopConfigError,
            boto.UnknownCredentialError,
            boto.RefreshWithMFAUnsupportedError,
        ),
        PROFILE,
    ),
    (
        (
            boto.NoCredentialsError,
            boto.PartialCredentialsError,
            boto.CredentialRetrievalError,
            boto.MetadataRetrievalError,
        ),
        WHERE,
    ),
)
# A network's errors are others.
UNREADABLE = (FileNotFoundError, IsADirectoryError, PermissionError)
GARBLED = (ResponseParserError, boto.PaginationError, boto.FlexibleChecksumError)
BROKEN_OFF = (boto.ConnectionClosedError, boto.ResponseStreamingError, boto.IncompleteReadError)
SILENT = (
    (boto.ConnectTimeoutError, "no connection to {url} within {0}"),
    ((boto.ReadTimeoutError, ReadTimeoutError), "{url} did not answer within {1}"),
    (boto.ProxyConnectionError, "the proxy on the way to {url} cannot be reached ({reason})"),
    (boto.EndpointConnectionError, "{url} cannot be reached ({reason})"),
    (BROKEN_OFF, "the connection to {url} broke off ({reason})"),
    ((boto.HTTPClientError, HTTPError, OSError), "the connection to {url} failed ({reason})"),
)


def code_of(error: Exception) -> str:
    """The server's word for it; empty where no server has answered."""
    if isinstance(error, boto.ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


def status_of(error: Exception) -> int:
    """The HTTP status; 0 where no server has answered."""
    if isinstance(error, boto.ClientError):
        return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return 0


def explained(
    error: Exception, target: S3Target, doing: str, key: str = "", *, locking: bool = False
) -> ArchiverError:
    """Return the error of our own that says what `error` means.

    doing: a phrase that a key completes, such as "storing". key: without the target's prefix;
    empty if it is about the bucket. locking: a lock or a hold was asked for.
    """
    for inner in _causes(error):
        if isinstance(inner, ArchiverError):
            return inner
    if isinstance(error, boto.ClientError):
        return _answered(error, target, doing, key, locking=locking)
    what, hint, final = _unanswered(error, target)
    kind = StoreRefusedError if final else StoreError
    return kind(_sentence(target, what, doing, key), hint=hint)


def without_credentials(target: S3Target, reason: str) -> StoreRefusedError:
    """Return the error that says that what AWS's own tools use here leads to no credentials."""
    what = f"no credentials were found ({reason})"
    return StoreRefusedError(_sentence(target, what, "connecting", ""), hint=WHERE)


def locked(target: S3Target, doing: str, key: str, said: str = "") -> LockedError:
    """A lock or a hold is in the way."""
    remark = f" ({said.rstrip('.')})" if said else ""
    return LockedError(
        _sentence(target, f"a lock or a legal hold forbids it{remark}", doing, key),
        hint="wait until the lock ends or the hold is lifted; the archiver lifts none",
    )


def _answered(
    error: boto.ClientError, target: S3Target, doing: str, key: str, *, locking: bool
) -> ArchiverError:
    """A server has answered, and its answer is no."""
    code, status, operation = code_of(error), status_of(error), str(error.operation_name)
    said = str(error.response.get("Error", {}).get("Message", "")).rstrip(".")
    if code in MISSING and operation not in {"ListObjectsV2", *ROLES}:
        return missing(target, key)
    if code == "InvalidObjectState":
        what = "it is in cold storage, and must be restored first"
        hint = "`archiver fetch … --restore` asks for it; come back in some hours"
        return ColdError(_sentence(target, what, doing, key), hint=hint, key=key, store=target.name)
    if code in LOCKED or (operation in CHANGING and _by_a_lock(code, said)):
        return locked(target, doing, key, said)
    if code in FULL or status == 507:
        what = f"no space left, or none allowed ({code})"
        hint = "make room there, or raise the quota; nothing was deleted, the next run tries again"
        return NoSpaceError(_sentence(target, what, doing, key), hint=hint)
    if code in BUSY or status in {429, 503}:
        what = f"the server is too busy ({code})"
        return StoreError(_sentence(target, what, doing, key), hint=AGAIN)
    if code in PASSING | MISMATCHED or (status >= 500 and status != 501):
        what = f"the server failed ({code}: {said})"
        hint = f"look at the server's log: is its disk full? {AGAIN.capitalize()}"
        return StoreError(_sentence(target, what, doing, key), hint=hint)
    what, hint = _final(error, target, locking=locking)
    words = f"{code}: {said}" if said not in {"", code} else code
    return StoreRefusedError(_sentence(target, f"{what} ({words})", doing, key), hint=hint)


def _final(error: boto.ClientError, target: S3Target, *, locking: bool) -> tuple[str, str]:
    """What it is, and what to try, where trying the same again is no use."""
    code, status, operation = code_of(error), status_of(error), str(error.operation_name)
    if code in FINAL:
        what, hint = FINAL[code]
        return what.format(bucket=target.bucket), hint
    if code in SKEWED:
        return _clocks(error), "set this machine's clock, or the server's (ntpd, chronyd)"
    if code in UNKNOWN or status in {405, 501}:
        return f"the server does not know {operation}", "use a server that does, or do without"
    if operation in ROLES:
        what = "no credentials were found: AWS gives none for the role of the profile"
        return (
            what,
            "correct AWS_PROFILE, or that profile; or allow who asks for that role to have it",
        )
    if code in DENIED or status == 403:
        action = LOCKING if locking and operation in MAKING else ACTIONS.get(operation)
        return "access denied", f"allow these credentials {action or 's3:' + operation} there"
    if locking and code.startswith(("InvalidRequest", "ObjectLockConfiguration")):
        what = f"bucket {target.bucket!r} takes no locks"
        return what, "make a bucket with Object Lock, or a target without object_lock, legal_hold"
    hint = "look at the server's log, and at the target's settings: http or https, the region"
    return "the server refuses", hint


def _unanswered(error: Exception, target: S3Target) -> tuple[str, str, bool]:
    """No server has answered, or not to the end: what it is, what to try, and if it is final."""
    reason = _reason(error)
    url = _asked(error) or target.endpoint_url or "the server"
    check = f"is {url} up, and reachable from here? {AGAIN.capitalize()}"
    if isinstance(error, (boto.SSLError, URLLib3SSLError, ssl.SSLError)):
        return _of_tls(error, reason, target)
    for kinds, hint in CREDENTIALS:
        if isinstance(error, kinds):
            return f"no credentials were found ({reason})", hint, True
    if isinstance(error, GARBLED):
        hint = f"is endpoint_url an S3 server's, and no proxy between? {AGAIN.capitalize()}"
        return f"{url} does not speak S3 ({reason})", hint, False
    for kinds, what in SILENT:
        if isinstance(error, kinds):
            seconds = f"{target.connect_timeout:g} s", f"{target.read_timeout:g} s"
            told = what.format(*seconds, url=url, reason=reason)
            return told, check, False
    hint = "correct the target's settings, or what AWS's own tools read: AWS_…, ~/.aws/config"
    return f"no request can be made ({reason})", hint, True


def _asked(error: Exception) -> str:
    """Return who has not answered, if the error tells. It may be who gives credentials, or a server
    that AWS_ENDPOINT_URL names, of which the target knows nothing.
    """
    told = getattr(error, "kwargs", {})
    url = urlsplit(str(told.get("endpoint_url", "")) if isinstance(told, dict) else "")
    # Without a password, which is no part of it, and may have been written there.
    host = url.netloc.rpartition("@")[2]
    return f"{url.scheme}://{host}" if host else ""


def place(target: S3Target, key: str = "") -> str:
    """Name an object for people. key: without the target's prefix."""
    return f"s3://{target.bucket}/{target.prefix}{key}"


def _sentence(target: S3Target, what: str, doing: str, key: str) -> str:
    return f"store {target.name!r}: {what}, while {doing} {place(target, key)}"


def missing(target: S3Target, key: str) -> NotFoundError:
    """There is no such object."""
    return NotFoundError(
        f"store {target.name!r}: {place(target, key)} is not there",
        hint="look with `archiver list`; another store may hold a copy",
    )


def _by_a_lock(code: str, said: str) -> bool:
    return code in DENIED | {"InvalidRequest"} and bool(LOCK_WORDS.search(said))


def _clocks(error: boto.ClientError) -> str:
    """Both times, as far as the server tells its own."""
    told = error.response.get("Error", {})
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    theirs = told.get("ServerTime") or _rfc3339(headers.get("date", ""))
    ours = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    says = f", the server's {theirs}" if theirs else ""
    return f"the clock here and the server's differ too much: here it is {ours}{says}"


def _rfc3339(http_date: str) -> str:
    try:
        return parsedate_to_datetime(http_date).isoformat().replace("+00:00", "Z")
    except ValueError:
        return ""


def _of_tls(error: Exception, reason: str, target: S3Target) -> tuple[str, str, bool]:
    if any(isinstance(each, UNREADABLE) for each in _causes(error)):
        what = f"the certificates of those to trust cannot be read ({reason})"
        return what, "correct ca_bundle, or AWS_CA_BUNDLE: a file (PEM) of authorities", True
    if re.search(r"certificate|hostname", reason, re.IGNORECASE):
        public = "public authorities, or those in AWS_CA_BUNDLE,"
        trusted = f"those in ca_bundle {target.ca_bundle}" if target.ca_bundle else public
        return (
            f"the server's certificate is not trusted ({reason})",
            f"only {trusted} are trusted: set ca_bundle to a file (PEM) with the authority that "
            "signed it, and endpoint_url to a name in the certificate",
            True,
        )
    if re.search(r"wrong.version.number|http.request|unknown.protocol", reason, re.IGNORECASE):
        return "the server does not speak TLS there", "correct endpoint_url: http://, or port", True
    return f"TLS failed ({reason})", AGAIN, False


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what botocore and urllib3 have wrapped."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, BaseException) and each not in seen:
            seen.append(each)
            yield each
            wrapped = getattr(each, "kwargs", {})
            waiting += [wrapped.get("error") if isinstance(wrapped, dict) else None]
            waiting += [getattr(each, "reason", None), *each.args, each.__cause__]


def _reason(error: Exception) -> str:
    """The innermost cause that has words of its own, on one line."""
    words = ""
    for each in _causes(error):
        if isinstance(each, OSError) and each.strerror:
            return re.sub(r"^\[.*?\]\s*|\s*\(_ssl\.c:\d+\)", "", each.strerror)
        words = str(each) or words
    return " ".join(words.split())[:200]
