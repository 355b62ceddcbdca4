"""A bank that is none: takes batches of payments over HTTP, keeps its own books, and goes wrong as it is told to.

`PUT /batches/{id}` hands payments over, `GET /instructions/{id}` asks about one; an instruction is carried out once, however
often it is sent. `PUT /faults` switches what real banks do on bad days (see `FAULTS`), `GET /ledger` shows the books to tests.
Everything is in one SQLite file, committed before it answers, so that `kill -9` loses nothing. Of an account only the last four
digits stay.
"""

import argparse
import asyncio
import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local_stack.loopback import require_loopback
from local_stack.processes import LOOPBACK

#: What can go wrong, and what it is when nothing does.
FAULTS: dict[str, Any] = {
    # Seconds before an answer leaves; more than the caller waits is a time-out after accepting.
    "delay": 0.0,
    # The batch never arrives: nothing is kept, and the answer comes as late as `delay` says.
    "lose": False,
    # Every result is told twice.
    "twice": False,
    # Whatever is told as paid is told as failed right after.
    "contradict": False,
    # Seconds from taking a payment to paying it; until then it is accepted.
    "pay_after": 0.0,
    # Accounts with this ending are refused.
    "refuse_ending": "",
    # Payments to accounts with this ending get lost on the way: the bank knows nothing of them.
    "forget_ending": "",
    # An answer that is none.
    "garbage": False,
}
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS instructions (
        id TEXT PRIMARY KEY, batch TEXT NOT NULL, ending TEXT NOT NULL, amount_fen INTEGER NOT NULL,
        refused TEXT, pays_at REAL NOT NULL, sent INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS faults (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
# Sent again it is counted, for tests to see, and nothing else.
_TAKE = """
    INSERT INTO instructions VALUES (:id, :batch, :ending, :amount_fen, :refused, :pays_at, 1)
    ON CONFLICT (id) DO UPDATE SET sent = sent + 1
"""


class Bank:
    """The routes and the books."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._books = sqlite3.connect(folder / "bank.sqlite")
        self._books.row_factory = sqlite3.Row
        self._books.executescript(_SCHEMA)

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/batches/{batch}", self.take, methods=["PUT"]),
                Route("/instructions/{id}", self.tell),
                Route("/faults", self.faults, methods=["GET", "PUT"]),
                Route("/ledger", self.ledger),
                Route("/health", self.health),
            ]
        )

    async def take(self, request: Request) -> Response:
        """Carry out a batch."""
        faults = self._faults()
        body = await request.json()
        lost = str(faults["forget_ending"])
        kept = [one for one in body["instructions"] if not (lost and str(one["account"]).endswith(lost))]
        rows = [self._row(request.path_params["batch"], one, faults) for one in kept]
        if not faults["lose"]:
            with self._books:
                self._books.executemany(_TAKE, rows)
        told = [] if faults["lose"] else [self._told(row["id"]) for row in rows]
        return await _answer({"instructions": _spoilt([one for one in told if one], faults)}, faults)

    async def tell(self, request: Request) -> Response:
        """What became of an instruction."""
        told = self._told(request.path_params["id"])
        return await _answer(told or {"error": "unknown"}, self._faults(), 200 if told else 404)

    async def faults(self, request: Request) -> Response:
        """Switch faults; what is not named works again."""
        if request.method == "PUT":
            asked = await request.json()
            if unknown := asked.keys() - FAULTS.keys():
                return JSONResponse({"error": f"no such fault: {sorted(unknown)}"}, status_code=422)
            with self._books:
                self._books.execute("DELETE FROM faults")
                self._books.executemany(
                    "INSERT INTO faults VALUES (?, ?)",
                    [(name, json.dumps(value)) for name, value in asked.items()],
                )
        return JSONResponse(self._faults())

    async def ledger(self, _: Request) -> Response:
        """Every instruction that was ever taken, and how often it was sent."""
        rows = self._books.execute("SELECT id, batch, amount_fen, sent FROM instructions ORDER BY rowid")
        return JSONResponse(
            [dict(row) | {"state": self._told(row["id"])["state"]} for row in rows.fetchall()]
        )

    async def health(self, _: Request) -> Response:
        """Alive."""
        return JSONResponse({"ready": True, "reasons": []})

    def _faults(self) -> dict[str, Any]:
        rows = self._books.execute("SELECT name, value FROM faults").fetchall()
        return FAULTS | {row["name"]: json.loads(row["value"]) for row in rows}

    def _row(self, batch: str, one: dict[str, Any], faults: dict[str, Any]) -> dict[str, Any]:
        ending = str(one["account"])[-4:]
        refused = faults["refuse_ending"] and ending.endswith(faults["refuse_ending"])
        return {
            "id": str(one["id"]),
            "batch": batch,
            "ending": ending,
            "amount_fen": int(one["amount_fen"]),
            "refused": "account-closed" if refused else None,
            "pays_at": time.time() + float(faults["pay_after"]),
        }

    def _told(self, instruction: str) -> dict[str, Any]:
        row = self._books.execute("SELECT * FROM instructions WHERE id = ?", [instruction]).fetchone()
        if row is None:
            return {}
        state = "failed" if row["refused"] else "paid" if row["pays_at"] <= time.time() else "accepted"
        return {
            "id": row["id"],
            "state": state,
            "amount_fen": row["amount_fen"],
            "reason": row["refused"],
        }


def _spoilt(told: list[dict[str, Any]], faults: dict[str, Any]) -> list[dict[str, Any]]:
    """What is told of a batch, as the faults would have it."""
    if faults["contradict"]:
        told = told + [
            one | {"state": "failed", "reason": "account-closed"} for one in told if one["state"] == "paid"
        ]
    return told * 2 if faults["twice"] else told


async def _answer(content: Any, faults: dict[str, Any], status: int = 200) -> Response:
    await asyncio.sleep(float(faults["delay"]))
    if faults["garbage"]:
        return Response("<html>maintenance</html>", media_type="text/html")
    return JSONResponse(content, status_code=status)


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default=LOOPBACK)
    parser.add_argument(
        "--contained", action="store_true", help="in a container without published ports: any host will do"
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="where the books are kept")
    options = parser.parse_args()
    if not options.contained:
        require_loopback(options.host, "the fake bank", "it pays whoever asks, with no money")
    # The log of requests would say nothing that the books do not.
    uvicorn.run(
        Bank(options.folder).app(),
        host=options.host,
        port=options.port,
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
