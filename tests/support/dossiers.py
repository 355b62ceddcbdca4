"""Dossiers for tests of welfare, and a membership service that knows people by their documents."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID

import httpx
import orjson

from shared.kernel.ids import new_id
from tests.support.welfare import Unit, Welfare

_serial = count(1)
#: A canary: never to be found anywhere but sealed, or in an unmasked reply.
ILLNESS = "canary-illness-慢性肾病"


def passport() -> str:
    """A passport number of nobody yet."""
    return f"E{next(_serial):08d}"


def person(relation: str = "head", **fields: Any) -> dict[str, Any]:
    """Somebody to be entered."""
    return {
        "name": "欧阳示例",
        "document_type": "passport",
        "document_number": passport(),
        "relation": relation,
        "occupation": "employed",
    } | fields


@dataclass
class KnownPeople(httpx.AsyncBaseTransport):
    """Answers `by-document` for the people it was told of; or as `answer` says."""

    known: dict[str, UUID] = field(default_factory=dict)
    answer: Callable[[], httpx.Response] | None = None
    tokens: list[str] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/internal/v1/members/by-document"
        self.tokens.append(request.headers["authorization"])
        if self.answer is not None:
            return self.answer()
        body = orjson.loads(await request.aread())
        member = self.known.get(body["document_number"])
        return httpx.Response(200, json={"member_id": member and str(member), "sequence": member and 1})

    def member(self, document_number: str) -> UUID:
        """Make whoever has this document a member."""
        return self.known.setdefault(document_number, new_id())


@dataclass
class Office:
    """A unit with rules and with everybody who works on dossiers."""

    welfare: Welfare
    people: KnownPeople
    unit: Unit
    officer: str
    approver: str

    async def draft(self, *, expect: int = 201, by: str | None = None, **fields: Any) -> dict[str, Any]:
        """A new file; `head` may be given."""
        body = {"organisation_id": str(self.unit.id), "primary_cause": "illness", "head": person()} | fields
        made: dict[str, Any] = await self.welfare.call(
            "POST", "/dossiers", by=by or self.officer, json=body, expect=expect
        )
        return made

    async def step(
        self,
        dossier: dict[str, Any],
        path: str,
        method: str = "POST",
        *,
        by: str | None = None,
        **request: Any,
    ) -> dict[str, Any]:
        """A step of a dossier at the version that `dossier` shows; what the reply shows."""
        found: dict[str, Any] = await self.welfare.call(
            method,
            f"/dossiers/{dossier['id']}{path}",
            by=by or self.officer,
            version=request.pop("version", dossier["version"]),
            **request,
        )
        return found

    async def lines(
        self, dossier: dict[str, Any], *amounts: tuple[str, int], person_at: int = 0
    ) -> dict[str, Any]:
        """Enter these amounts for one of the persons, as of today."""
        today = self.welfare.by("x").today.isoformat()
        lines = [{"kind": kind, "amount_fen": fen, "on": today} for kind, fen in amounts]
        place = f"/persons/{dossier['persons'][person_at]['id']}/lines"
        return await self.step(dossier, place, "PUT", json={"lines": lines})

    async def decided(self, dossier: dict[str, Any], hardship_class: str = "deep") -> dict[str, Any]:
        """Submit and decide; the decision."""
        submitted = await self.step(dossier, "/submission")
        return await self.step(
            submitted, "/decision", by=self.approver, json={"hardship_class": hardship_class}
        )

    async def get(self, dossier_id: str, *, by: str | None = None, expect: int = 200) -> dict[str, Any]:
        """The file as it stands."""
        found: dict[str, Any] = await self.welfare.call(
            "GET", f"/dossiers/{dossier_id}", by=by or self.officer, expect=expect
        )
        return found


async def office_of(welfare: Welfare, people: KnownPeople, unit: Unit | None = None) -> Office:
    """An office at a new unit (or this one), with the default rules set there."""
    unit = unit or await welfare.unit()
    administrator = await welfare.user("administrator", unit)
    officer, approver = await welfare.user("welfare_officer", unit), await welfare.user("approver", unit)
    await welfare.call("POST", "/rules/defaults", by=administrator, json={"organisation_id": str(unit.id)})
    welfare.clock.advance(timedelta(seconds=6))
    return Office(welfare, people, unit, officer, approver)
