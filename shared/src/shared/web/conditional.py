"""ETag and If-Match (RFC 9110 §8.8.3, §13.1.1). The entity tag of an aggregate is its version in quotes."""

import re
from typing import Annotated

from fastapi import Depends, Header, Response

from shared.kernel.errors import BadRequest, PreconditionRequired, StaleVersion

_TAG = re.compile(r'"(0|[1-9][0-9]{0,17})"')


async def read_version(
    if_match: Annotated[str | None, Header(description='The ETag that was read, e.g. "7"')] = None,
) -> int:
    """The version the caller has read. 428 without the header, 400 for anything but one strong tag of ours."""
    if if_match is None:
        raise PreconditionRequired("if-match-missing")
    tag = _TAG.fullmatch(if_match.strip())
    if tag is None:
        raise BadRequest("if-match-malformed")
    return int(tag[1])


IfMatch = Annotated[int, Depends(read_version)]


def set_etag(response: Response, version: int) -> None:
    """Say which version the reply shows."""
    response.headers["ETag"] = f'"{version}"'


def require_version(read: int, current: int) -> None:
    """Raise StaleVersion unless the caller has read the current version."""
    if read != current:
        raise StaleVersion("stale-version")
