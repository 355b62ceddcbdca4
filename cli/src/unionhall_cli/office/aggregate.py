"""What the verbs of welfare and of the events service share: sign in, list, show, take a step with the version that was read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from threading import Timer
from typing import Annotated, Any
from uuid import UUID, uuid4

import typer

from shared.kernel.errors import Invalid
from shared.kernel.money import fen_from_yuan
from unionhall_cli.federation import Federation, federation
from unionhall_cli.options import Json, User
from unionhall_cli.output import (
    CHINA,
    both,
    complaints,
    give_up,
    say,
    show_document,
    show_json,
    show_rows,
    words,
)
from unionhall_cli.roster import unit_id

#: Seconds after which whoever waits is told so.
SOON = 2.0

Unit = Annotated[
    str | None,
    typer.Option(
        "--unit",
        help=both(
            "工会组织编码，含下级；默认为自己的组织", "code of a unit, with those below; default: one's own"
        ),
    ),
]
Limit = Annotated[
    int, typer.Option("--limit", "-n", min=1, max=10_000, help=both("最多列出多少条", "how many at most"))
]
Amount = Annotated[str | None, typer.Option("--amount", help=both("金额（元）", "amount in yuan"))]
Moment = Annotated[
    datetime,
    typer.Option(formats=["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"], help=both("北京时间", "China time")),
]
Id = Annotated[UUID, typer.Argument(help=both("编号（list 的第一列）", "id, as list shows it"))]


@contextmanager
def signed_in(user: str) -> Iterator[Federation]:
    """The public API as `user`; whoever waits longer than SOON is told so."""
    spinner = complaints.status(words("still-waiting"))
    timer = Timer(SOON, spinner.start)
    timer.daemon = True
    timer.start()
    try:
        with federation(user) as api:
            yield api
    finally:
        timer.cancel()
        spinner.stop()


@dataclass(frozen=True)
class Aggregate:
    """Aggregates of one kind: where the API has them, and which fields a list shows."""

    address: str
    columns: tuple[str, ...]

    def rows(self, api: Federation, limit: int, **asked: Any) -> list[dict[str, Any]]:
        """The first `limit` of a list, page by page; what is None is not asked for."""
        return list_all(api, self.address, limit, **asked)

    def show_list(self, api: Federation, limit: int, *, as_json: bool, **asked: Any) -> None:
        """Print the first `limit` of a list."""
        found = self.rows(api, limit, **asked)
        if as_json:
            show_json(found)
            return
        show_rows(self.columns, found)
        if len(found) == limit:
            say("more-than-limit", limit=limit)

    def read(self, api: Federation, found: UUID | str) -> dict[str, Any]:
        """One as it stands."""
        document: dict[str, Any] = api.get(f"{self.address}/{found}")
        return document

    def step(
        self, api: Federation, found: UUID | str, path: str, body: Any = None, method: str = "POST"
    ) -> Any:
        """Take a step with the version that stands now; without a `path` it is the whole that changes.

        Ends the command if it is refused.
        """
        address = f"{self.address}/{found}"
        tag = api.send("GET", address).headers["ETag"]
        headers = {"If-Match": tag, "Idempotency-Key": str(uuid4())}
        content = {} if body is None else {"json": body}
        return api.send(method, f"{address}/{path}".rstrip("/"), headers=headers, **content).json()


def list_all(api: Federation, address: str, limit: int, **asked: Any) -> list[dict[str, Any]]:
    """The first `limit` items of a list of the API."""
    wanted = {name: value for name, value in asked.items() if value not in {None, False}}
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while len(found) < limit:
        more = {"cursor": cursor} if cursor else {}
        page = api.get(address, limit=min(200, limit - len(found)), **wanted, **more)
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    return found


def show(document: Any, *, as_json: bool) -> None:
    """Print one answer."""
    show_json(document) if as_json else show_document(document)


def tables(document: dict[str, Any], **rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """An answer with lists of another route, to be shown as one."""
    return document | {name: list(items) for name, items in rows.items()}


def fen_of(amount: str | None) -> int | None:
    """Fen from an amount in yuan; ends the command for anything that is none."""
    if amount is None:
        return None
    try:
        return int(fen_from_yuan(amount))
    except Invalid:
        give_up("amount-unreadable", amount=amount)


def china(moment: datetime) -> str:
    """A moment as the API takes it; what was typed is China's time."""
    return moment.replace(tzinfo=CHINA).isoformat()


def place(api: Federation, unit: str | None) -> str | None:
    """The id of a unit by its code; None: everything in one's charge."""
    return unit_id(api, unit) if unit else None


class StepVerbs:
    """Adds the verbs that do nothing but take one step of an aggregate: their only words are the reason."""

    def __init__(self, app: typer.Typer, aggregate: Aggregate) -> None:
        self._app = app
        self._aggregate = aggregate

    def plain(self, name: str, path: str, actor: str, says: str) -> None:
        """A step without words."""
        aggregate = self._aggregate

        def verb(found: Id, user: User = actor, as_json: Json = False) -> None:
            with signed_in(user) as api:
                show(aggregate.step(api, found, path), as_json=as_json)

        self._app.command(name, help=says)(verb)

    def reasoned(self, name: str, path: str, actor: str, says: str) -> None:
        """A step that says why."""
        aggregate = self._aggregate

        def verb(
            found: Id,
            reason: Annotated[
                str, typer.Option("--reason", help=both("原因，记入历史", "why; it enters the history"))
            ],
            user: User = actor,
            as_json: Json = False,
        ) -> None:
            with signed_in(user) as api:
                show(aggregate.step(api, found, path, {"reason": reason}), as_json=as_json)

        self._app.command(name, help=says)(verb)
