"""What the scratch consumer does with events. Called through the module, so that a variant can put another in its place."""

from collections.abc import Sequence

from shared.contracts.envelope import Received
from shared.database.session import WriteSession, driver

KNOWN_TYPE = "unionhall.scratch.thing.noted.v1"
POISON = "poison"
#: Tables of the scratch database: effects, one row each; a counting view; and what cures the handler's bug.
TABLES = (
    "CREATE TABLE effects (position bigint GENERATED ALWAYS AS IDENTITY, subject uuid, sequence bigint)",
    "CREATE TABLE counts (subject uuid PRIMARY KEY, sequence bigint NOT NULL, how_many int NOT NULL)",
    "CREATE TABLE cured (cured boolean)",
    "GRANT ALL ON effects, counts, cured TO unionhall_scratch_worker",
)


class UnknownType(ValueError):
    """Nobody here knows what to do with it."""


async def check(session: WriteSession, events: Sequence[Received]) -> None:
    """The planted bug of the handler, and types that it does not know; both until the table `cured` has a row."""
    connection = await driver(session)
    if await connection.fetchval("SELECT EXISTS (SELECT 1 FROM cured)"):
        return
    for event in events:
        if event.type != KNOWN_TYPE:
            raise UnknownType(f"type {event.type}")
        if event.data and event.data["note"] == POISON:
            raise ZeroDivisionError


async def act(session: WriteSession, events: Sequence[Received]) -> None:
    """Effects that must not happen twice: nothing in the table itself forbids it."""
    await check(session, events)
    connection = await driver(session)
    await connection.execute(
        "INSERT INTO effects (subject, sequence) SELECT * FROM unnest($1::uuid[], $2::bigint[])",
        [event.subject for event in events],
        [event.sequence for event in events],
    )


async def count(session: WriteSession, events: Sequence[Received]) -> None:
    """A counting view: an event that is not newer than what its row says was counted before."""
    connection = await driver(session)
    for event in events:
        await connection.execute(
            """
            INSERT INTO counts AS known VALUES ($1, $2, 1)
            ON CONFLICT (subject) DO UPDATE SET sequence = excluded.sequence, how_many = known.how_many + 1
            WHERE excluded.sequence > known.sequence
            """,
            event.subject,
            event.sequence,
        )
