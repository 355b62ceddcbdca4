"""What welfare asks membership over HTTP, in the caller's own name and before any transaction: it fails closed.

A wrong or late answer is 503, never "not a member": a person must not enter two dossiers because a service was down.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final
from uuid import UUID

import httpx
from fastapi import Depends, FastAPI, Request

from shared.contracts.membership import MemberStatus
from shared.kernel.errors import Forbidden, Invalid, NotFound, TooMany, Unauthenticated, Unavailable
from shared.web.caller import bearer_token

#: Seconds for a whole answer; the officer at the screen waits no longer.
DEADLINE: Final = 3.0
_RETRY_SECONDS: Final = 5
_AN_HOUR: Final = 3600


@dataclass(frozen=True, slots=True)
class KnownMember:
    """The member behind a document, and the version of the member that membership has."""

    id: UUID
    sequence: int


@dataclass(frozen=True, slots=True)
class MemberDetail:
    """What membership says of a member now; `sequence` is the version of that. A decision needs the exact day of birth."""

    id: UUID
    name: str
    birth_date: date | None
    status: MemberStatus
    organisation_id: UUID
    sequence: int


class MembershipClient:
    """One for each process; every call carries the token of the user who asks."""

    def __init__(self, base_url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """`transport` is for tests; else it goes over the network."""
        self._client = httpx.AsyncClient(
            base_url=base_url, timeout=DEADLINE, transport=transport, trust_env=False
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def find_by_document(
        self, token: str, document_type: str, document_number: str
    ) -> KnownMember | None:
        """The member who has this document, wherever; None for nobody.

        Raises Unavailable("membership-unavailable") without a good answer, Invalid for a document that membership refuses,
        TooMany when the caller looked beyond his own units too often today.
        """
        body = {"document_type": document_type, "document_number": document_number}
        answer = await self.post(token, "/internal/v1/members/by-document", body)
        try:
            if answer["member_id"] is None:
                return None
            return KnownMember(UUID(answer["member_id"]), int(answer["sequence"]))
        except (KeyError, TypeError, ValueError):
            raise _no_answer() from None

    async def details(self, token: str, ids: Sequence[UUID]) -> dict[UUID, MemberDetail]:
        """These members by id, as far as the caller has them in his charge. Raises Unavailable without a good answer."""
        body = {"ids": [str(one) for one in ids]}
        answer = await self.post(token, "/internal/v1/members/details", body)
        try:
            found = [_detail(item) for item in answer["items"]]
        except (KeyError, TypeError, ValueError):
            raise _no_answer() from None
        return {detail.id: detail for detail in found}

    async def post(self, token: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object that membership answers. Raises as `find_by_document`."""
        try:
            reply = await self._client.post(path, json=body, headers={"Authorization": f"Bearer {token}"})
            match reply.status_code:
                case 200:
                    answer = reply.json()
                case 401:
                    raise Unauthenticated("token-invalid")
                case 403:
                    raise Forbidden("not-allowed")
                case 422:
                    raise Invalid("document-refused", field="document_number")
                case 429:
                    raise TooMany("member-look-ups-used-up", retry_after=_AN_HOUR)
                case _:
                    raise _no_answer()
        except (httpx.HTTPError, ValueError):
            raise _no_answer() from None
        if not isinstance(answer, dict):
            raise _no_answer()
        return answer


def _detail(item: Mapping[str, Any]) -> MemberDetail:
    born = item["birth_date"]
    return MemberDetail(
        UUID(item["id"]),
        str(item["name"]),
        date.fromisoformat(born) if born else None,
        MemberStatus(item["status"]),
        UUID(item["organisation_id"]),
        int(item["version"]),
    )


def _no_answer() -> Unavailable:
    return Unavailable("membership-unavailable", retry_after=_RETRY_SECONDS)


def opening(
    base_url: str, transport: httpx.AsyncBaseTransport | None
) -> Callable[[FastAPI], Awaitable[None]]:
    """What the process does at its start."""

    async def start(app: FastAPI) -> None:
        app.state.membership = MembershipClient(base_url, transport)

    return start


async def closing(app: FastAPI) -> None:
    """What the process does at its end."""
    client: MembershipClient = app.state.membership
    await client.close()


@dataclass(frozen=True, slots=True)
class Asking:
    """The client together with the token of this request."""

    client: MembershipClient
    token: str

    async def find_by_document(self, document_type: str, document_number: str) -> KnownMember | None:
        """See `MembershipClient.find_by_document`."""
        return await self.client.find_by_document(self.token, document_type, document_number)

    async def detail(self, member_id: UUID) -> MemberDetail:
        """One member now. Raises NotFound for one who is not in the caller's charge, else as `MembershipClient.details`."""
        found = (await self.client.details(self.token, [member_id])).get(member_id)
        if found is None:
            raise NotFound("not-found")
        return found


async def asking(request: Request) -> Asking:
    """Membership, asked in the caller's name."""
    token = bearer_token(request)
    if token is None:
        raise Unauthenticated("token-missing")
    return Asking(request.app.state.membership, token)


Membership = Annotated[Asking, Depends(asking)]
