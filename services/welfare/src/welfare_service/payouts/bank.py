"""The bank's interface, as this service speaks it: one batch handed over under its id, single instructions asked about.

`PUT /batches/{id}` with the instructions; `GET /instructions/{id}`. Both answer with `state` accepted, paid or failed for an
instruction. No call is made inside a transaction, and none is repeated here: silence is an answer of its own.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

import httpx

from welfare_service.payouts.domain import Answer, Said

#: Seconds until silence is taken for an answer.
DEADLINE: Final = 10.0
#: A bank's reason is kept only as a code: free text may hold names and accounts.
_CODE: Final = re.compile(r"[a-z][a-z0-9-]{1,39}")


class BankSilent(Exception):
    """No answer that can be understood; what was sent may have arrived."""


class BankNotReached(Exception):
    """Nobody listened: surely nothing arrived."""


class Instruction(NamedTuple):
    """One payment as the bank gets it."""

    id: UUID
    account: str
    name: str
    amount_fen: int


class BankClient:
    """One for each process."""

    def __init__(
        self, base_url: str, *, deadline: float = DEADLINE, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """`transport` is for tests; else it goes over the network, by no proxy, following nobody elsewhere."""
        self._client = httpx.AsyncClient(
            base_url=base_url,
            timeout=deadline,
            transport=transport,
            trust_env=False,
            follow_redirects=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def send(self, batch_id: UUID, instructions: Sequence[Instruction]) -> list[tuple[UUID, Answer]]:
        """Hand a batch over; all that the bank says at once, in its order. Raises BankNotReached, BankSilent."""
        body = {
            "instructions": [
                {"id": str(one.id), "account": one.account, "name": one.name, "amount_fen": one.amount_fen}
                for one in instructions
            ]
        }
        answer = await self._call("PUT", f"/batches/{batch_id}", body)
        try:
            return [(UUID(one["id"]), _answer(one)) for one in answer["instructions"]]
        except (KeyError, TypeError, ValueError):
            raise BankSilent from None

    async def ask(self, instruction_id: UUID) -> Answer | None:
        """What became of an instruction; None for one that the bank does not know (yet). Raises BankNotReached, BankSilent."""
        answer = await self._call("GET", f"/instructions/{instruction_id}")
        try:
            return None if answer is None else _answer(answer)
        except (KeyError, TypeError, ValueError):
            raise BankSilent from None

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        try:
            reply = await self._client.request(method, path, json=body)
            if reply.status_code == 404 and method == "GET":
                return None
            if not reply.is_success:
                raise BankSilent
            return reply.json()
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise BankNotReached from None
        except (httpx.HTTPError, ValueError):
            raise BankSilent from None


def _answer(said: Any) -> Answer:
    amount = said["amount_fen"]
    if not isinstance(amount, int) or isinstance(amount, bool):
        raise TypeError("amount_fen")
    return Answer(Said(said["state"]), amount, reason_code(said.get("reason")))


def reason_code(reason: object) -> str | None:
    """A bank's reason, if it is a code; else None."""
    return reason if isinstance(reason, str) and _CODE.fullmatch(reason) else None
