"""What goes wrong on an S3 server, or on the way to it, in the words of an operator.

The codes are those of AWS (S3 API reference, "Error responses") and of servers that add their own.
An answer to HEAD has no body, and so no code: the store then asks for a list, which has one.
What may pass by itself is a StoreError; what somebody must change is a StoreRefusedError.
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

# All that a call, or reading the body of an answer, may raise.
FAULTS = (boto.BotoCoreError, boto.ClientError, HTTPError, OSError, ResponseParserError)
AGAIN = "nothing was lost: the next run tries again"
# What answers without saying anything is mostly a proxy, not the server.
BETWEEN = f"is there a proxy between here and the server? {AGAIN.capitalize()}"

MISSING = frozenset({"NoSuchKey", "404", "NoSuchVersion"})
DENIED = frozenset({"AccessDenied", "AllAccessDisabled", "AccountProblem", "403", "Forbidden"})
FULL = frozenset({"InsufficientStorage", "507", "XMinioStorageFull", "QuotaExceeded"})
SKEWED = frozenset({"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"})
UNKNOWN = frozenset({"NotImplemented", "501", "MethodNotAllowed", "405"})
BUSY = frozenset({"SlowDown", "ServiceUnavailable", "TooManyRequests", "Throttling"})
# What passes by itself, though its status is below 500.
PASSING = frozenset({"RequestTimeout", "408", "OperationAborted", "ConditionalRequestConflict"})
PASSING |= {"NoSuchUpload", "InvalidPart", "IncompleteBody", "409"}
# The bytes that arrived do not have the digest that was sent with them.
MISMATCHED = frozenset({"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch"})
MISMATCHED |= {"XAmzContentChecksumMismatch"}
LOCKED = frozenset({"ObjectLocked", "FileImmutable"})
# Servers without a code of their own for a lock say so in the message.
LOCK_WORDS = re.compile(r"object.?lock|\bWORM\b|retention|legal.?hold|immutab", re.IGNORECASE)
CHANGING = frozenset({"PutObject", "DeleteObject", "CompleteMultipartUpload"})
CHANGING |= {"PutObjectRetention"}

_BUCKET = "there is no bucket {bucket!r}", "make it, or correct `bucket` and `endpoint_url`"
_TOKEN = "the session token has expired", "refresh it, together with the other two credentials"
_REGION = "bucket {bucket!r} is in another region", "set `region` of the target"
FINAL = {
    "NoSuchBucket": _BUCKET,
    "InvalidBucketName": _BUCKET,
    "InvalidAccessKeyId": (
        "the server does not know the access key id",
        "correct access_key_id; does it belong to this endpoint_url?",
    ),
    "SignatureDoesNotMatch": (
        "the secret access key does not belong to the access key id",
        "correct secret_access_key; a proxy that alters requests causes this, too",
    ),
    "ExpiredToken": _TOKEN,
    "ExpiredTokenException": _TOKEN,
    "TokenRefreshRequired": _TOKEN,
    "InvalidToken": (
        "the session token does not belong to the access key id",
        "get new credentials, all three together",
    ),
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "301": _REGION,
    "307": _REGION,
}
# What a policy has to allow (IAM's names), where that name is not the operation's.
ACTIONS = {
    "HeadObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListParts": "s3:ListMultipartUploadParts",
    "PutObjectRetention": "s3:PutObjectRetention (to turn governance into compliance, some servers "
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
    """Return the server's code for an error; empty if no server has answered."""
    if isinstance(error, boto.ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


def status_of(error: Exception) -> int:
    """Return the HTTP status; 0 if no server has answered."""
    if isinstance(error, boto.ClientError):
        return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return 0


def explained(
    error: Exception, target: S3Target, doing: str, key: str = "", *, locking: bool = False
) -> ArchiverError:
    """Return our own error for it, which says what it means.

    doing: a phrase that a key completes, such as "storing". key: without the target's prefix;
    empty: it is about the bucket. locking: a lock or a hold was asked for.
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
    """Return the error that says that a lock or a hold is in the way.

    Its message is stored in the ledger, where an archive was not destroyed for that reason.
    """
    remark = f" ({said.rstrip('.')})" if said else ""
    return LockedError(
        _sentence(target, f"a lock or a legal hold forbids it{remark}", doing, key),
        hint="wait until the lock ends or the hold is released; the archiver bypasses neither",
    )


def _answered(
    error: boto.ClientError, target: S3Target, doing: str, key: str, *, locking: bool
) -> ArchiverError:
    """Explain an answer that is an error."""
    code, status, operation = code_of(error), status_of(error), str(error.operation_name)
    said = str(error.response.get("Error", {}).get("Message", "")).rstrip(".")
    if code in MISSING and operation not in {"ListObjectsV2", *ROLES}:
        return missing(target, key)
    if code == "InvalidObjectState":
        what = "it is in cold storage, and must be restored first"
        hint = "`archiver fetch … --restore` asks for that; try again in some hours"
        return ColdError(_sentence(target, what, doing, key), hint=hint, key=key, store=target.name)
    if code in LOCKED or (operation in CHANGING and _by_a_lock(code, said)):
        return locked(target, doing, key, said)
    if code in FULL or status == 507:
        what = f"no space left, or the quota is used up ({code})"
        hint = "make room there, or raise the quota; nothing was deleted, the next run tries again"
        return NoSpaceError(_sentence(target, what, doing, key), hint=hint)
    if code in BUSY or status in {429, 503}:
        what = f"the server is too busy ({code})"
        return StoreError(_sentence(target, what, doing, key), hint=AGAIN)
    if code in PASSING | MISMATCHED or (status >= 500 and status != 501):
        what = f"the server failed ({code}: {said})"
        hint = f"see the server's log: is its disk full? {AGAIN.capitalize()}"
        return StoreError(_sentence(target, what, doing, key), hint=hint)
    what, hint = _final(error, target, locking=locking)
    words = f"{code}: {said}" if said not in {"", code} else code
    return StoreRefusedError(_sentence(target, f"{what} ({words})", doing, key), hint=hint)


def _final(error: boto.ClientError, target: S3Target, *, locking: bool) -> tuple[str, str]:
    """Return what is wrong and what to try, where it is no use to try the same again."""
    code, status, operation = code_of(error), status_of(error), str(error.operation_name)
    if code in FINAL:
        what, hint = FINAL[code]
        return what.format(bucket=target.bucket), hint
    if code in SKEWED:
        return _clocks(error), "set this machine's clock, or the server's (ntpd, chronyd)"
    if code in UNKNOWN or status in {405, 501}:
        return (
            f"the server does not know {operation}",
            "use a server that does, or change the setting that needs it",
        )
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
        return what, "use a bucket made with Object Lock, or no object_lock and legal_hold"
    hint = "see the server's log, and check the target's settings: http or https, the region"
    return "the server refuses it", hint


def _unanswered(error: Exception, target: S3Target) -> tuple[str, str, bool]:
    """Explain an answer that did not come, or broke off: what is wrong, what to try, and whether
    somebody must change something.
    """
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
    """Return the error that says that there is no such object."""
    return NotFoundError(
        f"store {target.name!r}: {place(target, key)} is not there",
        hint="`archiver list` shows the other copies; `archiver repair` restores this one",
    )


def _by_a_lock(code: str, said: str) -> bool:
    return code in DENIED | {"InvalidRequest"} and bool(LOCK_WORDS.search(said))


def _clocks(error: boto.ClientError) -> str:
    """Say what time it is here and, if the server tells its own, on the server."""
    details = error.response.get("Error", {})
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    theirs = details.get("ServerTime") or _rfc3339(headers.get("date", ""))
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
        return (
            "the server does not speak TLS there",
            "correct endpoint_url: http://, or the port",
            True,
        )
    return f"TLS failed ({reason})", AGAIN, False


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, then what botocore and urllib3 have wrapped in it."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and cause not in seen:
            seen.append(cause)
            yield cause
            wrapped = getattr(cause, "kwargs", {})
            waiting += [wrapped.get("error") if isinstance(wrapped, dict) else None]
            waiting += [getattr(cause, "reason", None), *cause.args, cause.__cause__]


def _reason(error: Exception) -> str:
    """Return what the innermost cause with a text says, on one line."""
    words = ""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.strerror:
            return re.sub(r"^\[.*?\]\s*|\s*\(_ssl\.c:\d+\)", "", cause.strerror)
        words = str(cause) or words
    return " ".join(words.split())[:200]
