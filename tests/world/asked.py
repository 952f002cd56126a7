"""What a client is told by an S3 server."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

ONCE: dict[str, Any] = {"retries": {"mode": "standard", "total_max_attempts": 1}}


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[int, str]:
    """The status and the code with which it is refused."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def got(client: Any, bucket: str, key: str, **arguments: Any) -> bytes:
    """What is got, to its end."""
    body: bytes = client.get_object(Bucket=bucket, Key=key, **arguments)["Body"].read()
    return body
