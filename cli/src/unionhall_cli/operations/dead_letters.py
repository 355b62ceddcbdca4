"""`unionhall dead-letters list | show | redrive | close`: events that a consumer gave up."""

import asyncio
import getpass
import time
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.markup import escape

from shared.database.scope import Scope
from shared.messaging import dead_letters
from shared.messaging.consumer_redrive import close_letter, request_redrive
from unionhall_cli.operations import services
from unionhall_cli.options import Json, group
from unionhall_cli.output import both, give_up, say, show_json, show_table

app = group("消费者放弃的事件（死信）", "Events that a consumer gave up")

Consumer = Annotated[
    str | None, typer.Option("--consumer", help=both("只看这个消费者", "of this consumer only"))
]
#: Seconds that a redrive is waited for: the consumer looks for requests every few seconds.
_PATIENCE = 30.0
#: As long as reasons may be elsewhere.
_REASON_LENGTH = 500


@app.command("list", help=both("列出死信", "List dead letters"))
def list_letters(
    consumer: Consumer = None,
    parked: Annotated[
        bool,
        typer.Option("--parked", help=both("列出排在死信之后的事件", "those that wait behind a dead letter")),
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help=both("最多几条", "at most so many"))] = 100,
    as_json: Json = False,
) -> None:
    """Oldest first, without their contents."""
    found = services.do(_list(consumer, dead_letters.PARKED if parked else dead_letters.DEAD, limit))
    if as_json:
        show_json(found)
        return
    if not found:
        say("no-dead-letters")
        return
    show_table(
        ["column-letter", "column-consumer", "column-event", "column-record", "column-tries", "column-cause"],
        [
            (
                one["id"],
                one["consumer"],
                escape(str(one["type"])),
                f"{one['topic']}[{one['partition']}]@{one['offset']}",
                one["tries"],
                escape(one["cause"]),
            )
            for one in found
        ],
    )


@app.command(help=both("查看一条死信的内容和原因", "One dead letter with its contents and cause"))
def show(
    letter_id: Annotated[UUID, typer.Argument(help=both("死信编号", "its id"))], as_json: Json = False
) -> None:
    """Headers, contents, and where in the code it failed."""
    found = services.do(_show(letter_id))
    if found is None:
        give_up("no-such-letter", id=str(letter_id))
    if as_json:
        show_json(found)
    else:
        show_table(
            ["column-field", "column-value"], [(name, escape(_shown(value))) for name, value in found.items()]
        )


@app.command(help=both("重新处理死信", "Have dead letters tried again"))
def redrive(
    letter_ids: Annotated[list[UUID] | None, typer.Argument(help=both("死信编号", "ids"))] = None,
    consumer: Consumer = None,
    everything: Annotated[bool, typer.Option("--all", help=both("全部死信", "all dead letters"))] = False,
    as_json: Json = False,
) -> None:
    """They go through the same handler, the oldest of a key first; waits for it. Exit code 1 if some failed again."""
    if not letter_ids and consumer is None and not everything:
        give_up("redrive-what")
    asked, left = services.do(_redrive(letter_ids or None, consumer))
    if as_json:
        show_json({"asked": asked, "still_dead": left})
    else:
        say("redriven" if not left else "redriven-some", asked=asked, left=len(left))
    if left:
        raise typer.Exit(1)


@app.command(help=both("不再处理一条死信，写明原因", "Give a dead letter up for good, and say why"))
def close(
    letter_id: Annotated[UUID, typer.Argument(help=both("死信编号", "its id"))],
    reason: Annotated[
        str,
        typer.Option(
            "--reason",
            help=both("原因，记入审计；不写姓名和号码", "why; it enters the audit: no names, no numbers"),
        ),
    ],
    as_json: Json = False,
) -> None:
    """What waited behind it goes on. Who closed it is the user of this machine."""
    if not reason.strip():
        give_up("letter-reason-missing")
    found = services.do(_close(letter_id, reason.strip()[:_REASON_LENGTH]))
    if found is None:
        give_up("no-such-dead-letter", id=str(letter_id))
    if as_json:
        show_json(found)
    else:
        say("letter-closed", id=str(letter_id), service=found["service"], behind=found["behind"])


async def _list(consumer: str | None, state: str, limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for service in services.names():
        async with services.database(service) as database, database.read(Scope.everything()) as session:
            letters = await dead_letters.list_dead_letters(
                session, consumer=consumer, state=state, limit=limit
            )
            found += [{"service": service} | letter for letter in letters]
    return sorted(found, key=lambda letter: letter["created_at"])[:limit]


async def _show(letter_id: UUID) -> dict[str, Any] | None:
    for service in services.names():
        async with services.database(service) as database, database.read(Scope.everything()) as session:
            found = await dead_letters.show_dead_letter(session, letter_id)
            if found is not None:
                return {"service": service} | found
    return None


async def _redrive(ids: list[UUID] | None, consumer: str | None) -> tuple[int, list[str]]:
    """How many were asked for, and which of them are dead again afterwards."""
    asked, left = 0, []
    for service in services.names():
        async with services.database(service) as database:
            letters = await request_redrive(database, ids=ids, consumer=consumer, now=datetime.now(UTC))
            asked += len(letters)
            ends = time.monotonic() + _PATIENCE
            while letters:
                async with database.read(Scope.everything()) as session:
                    waiting, dead = await dead_letters.still_dead(session, letters)
                if not waiting or time.monotonic() > ends:
                    left += [str(letter) for letter in (*waiting, *dead)]
                    break
                await asyncio.sleep(0.3)
    return asked, left


async def _close(letter_id: UUID, reason: str) -> dict[str, Any] | None:
    for service in services.names():
        async with services.database(service) as database:
            behind = await close_letter(
                database, letter_id, by=getpass.getuser(), reason=reason, now=datetime.now(UTC)
            )
            if behind is not None:
                return {"service": service, "id": str(letter_id), "behind": behind}
    return None


def _shown(value: object) -> str:
    if isinstance(value, list):
        return "\n".join(": ".join(map(str, part)) if isinstance(part, list) else str(part) for part in value)
    return str(value)
