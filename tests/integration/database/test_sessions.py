"""Sessions on real PostgreSQL: who sees what, what is committed, what goes in last."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.contracts.envelope import Topic
from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.database.scope import Scope, policy_ddl
from shared.database.session import driver
from shared.database.shared_tables import inbox_quarters
from shared.kernel.errors import Conflict
from shared.kernel.ids import new_id
from shared.testing.databases import DatabaseFactory
from tests.support.scratch import SERVICE, noted, prepare

TOPIC = Topic("unionhall.scratch.things.v1")
PATHS = ["1/", "1/a/", "1/a/1/", "1/ab/", "1/b/", "2/"]
SELECT = "SELECT path FROM things ORDER BY path"


@pytest.fixture(scope="module")
def urls(make_database: DatabaseFactory) -> DatabaseUrls:
    made = make_database(SERVICE, migrated=False)
    statements = (
        'CREATE TABLE things (path text COLLATE "C")',
        f"INSERT INTO things VALUES {', '.join(f'({path!r})' for path in PATHS)}",
        *policy_ddl("things", SERVICE),
        "GRANT SELECT, INSERT, UPDATE ON things TO unionhall_scratch_app, unionhall_scratch_worker",
    )
    with ThreadPoolExecutor(1) as pool:
        pool.submit(prepare, made, *statements).result()
    return made


@pytest.fixture
async def app(urls: DatabaseUrls) -> AsyncIterator[Database]:
    # One connection: what one user leaves behind the next one finds.
    made = Database(urls.app, pool_size=1, application_name="test")
    yield made
    await made.close()


async def seen(database: Database, scope: Scope) -> list[str]:
    async with database.read(scope) as session:
        return list(await session.scalars(text(SELECT)))


@pytest.mark.parametrize(
    ("scope", "paths"),
    [
        (("1/a/",), ["1/a/", "1/a/1/"]),
        (("1/b/", "2/"), ["1/b/", "2/"]),
        (("1/",), PATHS[:5]),
        (("3/",), []),
        ((), []),
    ],
)
async def test_a_scope_shows_its_subtrees_and_nothing_else(
    app: Database, scope: tuple[str, ...], paths: list[str]
) -> None:
    assert await seen(app, Scope(scope)) == paths


async def test_everything_is_for_the_worker_alone(app: Database, urls: DatabaseUrls) -> None:
    worker = Database(urls.worker, pool_size=1, application_name="test")
    assert await seen(worker, Scope.everything()) == PATHS
    await worker.close()
    assert await seen(app, Scope.everything()) == []


async def test_a_scope_does_not_outlive_its_transaction(app: Database) -> None:
    assert await seen(app, Scope(("1/",))) == PATHS[:5]
    assert await seen(app, Scope.nothing()) == []
    async with app.write(Scope(("1/",))) as session:
        await session.execute(text("UPDATE things SET path = path"))
        await session.rollback()
        # The same session after a rollback: a new transaction, without a scope.
        assert list(await session.scalars(text(SELECT))) == []
    async with app.driver() as connection:
        assert await connection.fetch(SELECT) == []


@pytest.mark.parametrize("garbage", ["''", "','", "'1'", "'%'", "'1/a'", "'/'", "' 1/'", "NULL"])
async def test_a_garbled_scope_shows_nothing(urls: DatabaseUrls, garbage: str) -> None:
    connection = await asyncpg.connect(urls.app)
    try:
        await connection.execute(f"SELECT set_config('app.scope', {garbage}, false)")
        assert await connection.fetch(SELECT) == []
        # Its allowed twin.
        await connection.execute("SELECT set_config('app.scope', '1/a/', false)")
        assert len(await connection.fetch(SELECT)) == 2
    finally:
        await connection.close()


async def test_nothing_is_written_outside_of_the_scope(app: Database) -> None:
    async with app.write(Scope(("1/a/",))) as session:
        await session.execute(text("INSERT INTO things VALUES ('1/a/2/')"))
        with pytest.raises(DBAPIError, match="row-level security"):
            await session.execute(text("INSERT INTO things VALUES ('1/b/2/')"))


async def test_a_widened_scope_ends_with_the_transaction(app: Database) -> None:
    async with app.write(Scope(("2/",))) as session:
        await session.widen_scope("1/b/")
        assert list(await session.scalars(text(SELECT))) == ["1/b/", "2/"]
    assert await seen(app, Scope(("2/",))) == ["2/"]


async def test_a_read_session_changes_nothing(app: Database) -> None:
    async with app.read(Scope(("1/",))) as session:
        with pytest.raises(DBAPIError, match="read-only"):
            await session.execute(text("UPDATE things SET path = path"))


async def test_what_nobody_commits_is_rolled_back(app: Database) -> None:
    async with app.write(Scope(("1/",))) as session:
        await session.execute(text("INSERT INTO things VALUES ('1/zz/')"))
        session.emit(noted(TOPIC, new_id(), 1))
        await session.flush_events()
    assert "1/zz/" not in await seen(app, Scope(("1/",)))
    async with app.driver() as connection:
        assert await connection.fetchval("SELECT count(*) FROM outbox") == 0


async def test_the_driver_is_inside_the_transaction_of_its_session(app: Database) -> None:
    async with app.write(Scope.everything()) as session:
        connection = await driver(session)
        assert connection.is_in_transaction()
        inside = await connection.fetchval("SELECT pg_current_xact_id()::text")
        assert await session.scalar(text("SELECT pg_current_xact_id()::text")) == inside


async def test_events_and_audit_rows_go_in_last_and_in_order(app: Database, urls: DatabaseUrls) -> None:
    subject = new_id()
    async with app.write(Scope(("1/",))) as session:
        session.act_as("https://issuer", "someone", "request-1")
        for version in (1, 2, 3):
            session.emit(noted(TOPIC, subject, version))
        session.audit("member.read", "member", subject, {"reason": "test"}, path="1/a/")
        assert await session.scalar(text("SELECT count(*) FROM outbox")) == 0
        await session.flush_events()
        await session.commit()
    owner = await asyncpg.connect(urls.owner)
    rows = await owner.fetch("SELECT sequence FROM outbox WHERE key = $1 ORDER BY id", subject)
    assert [row["sequence"] for row in rows] == [1, 2, 3]
    await owner.execute("TRUNCATE outbox")
    await owner.close()


async def test_an_event_too_large_for_a_fact_is_refused(app: Database) -> None:
    async with app.write(Scope.nothing()) as session:
        session.emit(noted(TOPIC, new_id(), 1, "x" * 300_000))
        with pytest.raises(ValueError, match="more than"):
            await session.flush_events()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE outbox SET payload = NULL",
        "DELETE FROM outbox",
        "TRUNCATE outbox",
        "UPDATE relay_progress SET last_id = 0",
        "DELETE FROM inbox",
        "INSERT INTO inbox VALUES (uuidv7(), 'x')",
        "UPDATE consumer_offsets SET next_offset = 0",
        "DELETE FROM audit_entries",
        "UPDATE audit_entries SET action = 'x'",
        "DELETE FROM dead_letters",
        "CREATE TABLE planted ()",
    ],
)
async def test_the_application_may_not_rewrite_history(urls: DatabaseUrls, statement: str) -> None:
    connection = await asyncpg.connect(urls.app)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
        # Its allowed twin.
        await connection.execute("SELECT count(*) FROM outbox")
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "statement", ["DELETE FROM outbox", "UPDATE outbox SET payload = NULL", "DELETE FROM inbox"]
)
async def test_the_worker_may_not_either(urls: DatabaseUrls, statement: str) -> None:
    connection = await asyncpg.connect(urls.worker)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
        await connection.execute("TRUNCATE outbox")
    finally:
        await connection.close()


async def test_connections_are_given_out_in_the_order_of_asking(app: Database) -> None:
    order: list[int] = []

    async def ask(number: int) -> None:
        async with app.write(Scope.nothing()) as session:
            order.append(number)
            await session.execute(text("SELECT pg_sleep(0.01)"))

    await asyncio.gather(*(ask(number) for number in range(20)))
    assert order == list(range(20))


async def test_nobody_is_given_a_connection_that_the_server_has_ended(urls: DatabaseUrls) -> None:
    database = Database(urls.app, pool_size=3, application_name="ended")
    nothing = Scope.nothing()
    try:
        async with database.read(nothing), database.read(nothing), database.read(nothing):
            pass
        # As a restart of the server does; a role may end what is its own.
        other = await asyncpg.connect(urls.app)
        connected = "SELECT pid FROM pg_stat_activity WHERE application_name = 'ended'"
        ended = f"SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 5000)) FROM ({connected}) AS them"
        assert await other.fetchval(ended) == 3
        await other.close()
        for _ in range(3):
            assert await seen(database, nothing) == []
    finally:
        await database.close()


async def test_every_id_of_a_quarter_lies_in_its_partition(urls: DatabaseUrls) -> None:
    quarters = inbox_quarters()
    assert all(end == following for (_, _, end), (_, following, _) in pairwise(quarters))
    owner = await asyncpg.connect(urls.owner)
    try:
        for moment, name in (
            (datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC), "inbox_2026_01"),
            (datetime(2026, 4, 1, tzinfo=UTC), "inbox_2026_04"),
            (datetime(2020, 1, 1, tzinfo=UTC), "inbox_other"),
            (datetime(2050, 1, 1, tzinfo=UTC), "inbox_other"),
        ):
            event_id = new_id(int(moment.timestamp() * 1000))
            await owner.execute("INSERT INTO inbox VALUES ($1, 'test')", event_id)
            place = await owner.fetchval(
                "SELECT tableoid::regclass::text FROM inbox WHERE event_id = $1", event_id
            )
            assert place == name
    finally:
        await owner.close()


async def test_what_is_to_be_last_comes_behind_the_outbox_rows_and_may_refuse_all(urls: DatabaseUrls) -> None:
    worker = Database(urls.worker, pool_size=1, application_name="test")
    event = noted(TOPIC, new_id(), 1)
    written = text("SELECT count(*) FROM outbox WHERE key = :key")
    seen = []

    async def transact(refuse: bool) -> None:  # noqa: FBT001 - named below
        async with worker.write(Scope.everything()) as session:

            async def last() -> None:
                seen.append(await session.scalar(written, {"key": event.subject}))
                if refuse:
                    raise Conflict("budget-exhausted")

            session.at_last(last)
            session.emit(event)
            await session.flush_events()
            await session.commit()

    with pytest.raises(Conflict):
        await transact(refuse=True)
    async with worker.read(Scope.everything()) as session:
        assert await session.scalar(written, {"key": event.subject}) == 0
    await transact(refuse=False)
    async with worker.read(Scope.everything()) as session:
        assert await session.scalar(written, {"key": event.subject}) == 1
    assert seen == [1, 1]
    await worker.close()


async def test_a_process_opens_no_more_connections_than_its_two_pools_have(urls: DatabaseUrls) -> None:
    made = Database(urls.app, pool_size=2, application_name="test-pools")

    async def in_a_transaction() -> None:
        async with made.read(Scope.nothing()) as session:
            await session.execute(text("SELECT pg_sleep(0.05)"))

    async def in_a_statement() -> None:
        async with made.driver() as connection:
            await connection.execute("SELECT pg_sleep(0.05)")

    try:
        await asyncio.gather(*(ask() for ask in (in_a_transaction, in_a_statement) for _ in range(10)))
        async with made.driver() as connection:
            opened = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test-pools'"
            )
    finally:
        await made.close()
    assert opened == 4
