"""Keyset paging: `?cursor=&limit=`, at most 200 rows, cursors sealed so that they show nothing and cannot be made up."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypeVar

import orjson
from fastapi import Depends, Query
from pydantic import BaseModel, Field

from shared.kernel.errors import BadRequest
from shared.security.keys import KeyRing, SealBroken
from shared.web.body import Body

MAX_LIMIT: Final = 200
DEFAULT_LIMIT: Final = 50
_MAX_CURSOR: Final = 1024

Item = TypeVar("Item")
Row = TypeVar("Row")

CursorField = Annotated[
    str | None, Field(max_length=_MAX_CURSOR, description="next_cursor of the page before")
]
LimitField = Annotated[int, Field(ge=1, le=MAX_LIMIT, description="rows of a page")]


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page is asked for. `purpose` of `after` ties a cursor to one list and its filters."""

    cursor: str | None
    limit: int

    def after(self, ring: KeyRing, purpose: str) -> list[Any] | None:
        """The sort key of the last row of the page before; None for the first page. Raises BadRequest."""
        return None if self.cursor is None else open_cursor(ring, purpose, self.cursor)


async def page_query(
    cursor: Annotated[str | None, Query(max_length=_MAX_CURSOR)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
) -> PageRequest:
    """The page that the query string names."""
    return PageRequest(cursor, limit)


PageQuery = Annotated[PageRequest, Depends(page_query)]


class PageBody(Body):
    """Base of the body of `POST .../search`: paging in the body, because a search is not to stand in a URL."""

    cursor: CursorField = None
    limit: LimitField = DEFAULT_LIMIT

    @property
    def page(self) -> PageRequest:
        """The page asked for."""
        return PageRequest(self.cursor, self.limit)


class Page(BaseModel, Generic[Item]):
    """One page. `next_cursor` is null on the last."""

    items: list[Item]
    next_cursor: str | None = None


def page_of(
    rows: Sequence[Row], limit: int, ring: KeyRing, purpose: str, sort_key: Callable[[Row], Sequence[Any]]
) -> tuple[Sequence[Row], str | None]:
    """Cut `rows`, read with `limit + 1`, to a page; with the cursor of the next if there is more."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], seal_cursor(ring, purpose, sort_key(rows[limit - 1]))


def seal_cursor(ring: KeyRing, purpose: str, values: Sequence[Any]) -> str:
    """A cursor for `values` (JSON, UUIDs and dates as text), which opens only for the same `purpose`."""
    sealed = ring.seal("cursor", orjson.dumps(list(values)), context=_context(purpose))
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def open_cursor(ring: KeyRing, purpose: str, cursor: str) -> list[Any]:
    """The values of a cursor. Raises BadRequest("cursor-broken") if it was changed, made up or belongs elsewhere."""
    try:
        sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        values: list[Any] = orjson.loads(ring.unseal("cursor", sealed, context=_context(purpose)))
    except (binascii.Error, ValueError, SealBroken):
        raise BadRequest("cursor-broken", field="cursor") from None
    return values


def _context(purpose: str) -> bytes:
    return b"cursor|" + purpose.encode()
