"""A small service of one slice, on real PostgreSQL: notes, each at a unit."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI, Request, Response, UploadFile
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import MetaData, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

from shared.contracts.membership import Role
from shared.database.engine import Database
from shared.database.failures import violated_constraint
from shared.database.scope import policy_ddl
from shared.database.session import ReadSession
from shared.database.shared_tables import shared_tables
from shared.kernel.errors import Conflict, NotFound
from shared.kernel.ids import new_id
from shared.security.keys import KeyRing
from shared.security.policy import Action, Post
from shared.settings import ServiceSettings
from shared.testing.databases import DatabaseFactory
from shared.web.app import WebSetup, create_app
from shared.web.body import max_body
from shared.web.caller import CurrentCaller, PostsRead
from shared.web.conditional import IfMatch, require_version, set_etag
from shared.web.digest import Digested, digest_router
from shared.web.health import database_migrated, database_reachable
from shared.web.hot import Hot, HotCommand
from shared.web.idempotency import Idempotent
from shared.web.paging import Page, PageQuery, page_of
from shared.web.routing import api_router
from shared.web.session import Keys, Read, Write
from tests.support.tokens import AUDIENCE, ISSUER, Issuer

SERVICE = "membership"
router = api_router("/api/v1/notes", "notes")


class NewNote(BaseModel):
    model_config = ConfigDict(extra="forbid")

    path: Annotated[str, Field(max_length=40)]
    words: Annotated[str, Field(min_length=1, max_length=20)]
    amount: Annotated[int, Field(gt=0, le=10**12)] = 1


class Note(BaseModel):
    id: UUID
    words: str
    version: int = 1


@router.post("", status_code=201)
async def add(
    body: NewNote,
    session: Write,
    caller: CurrentCaller,
    _key: Idempotent,
    request: Request,
    response: Response,
) -> Note:
    caller.require(Action.MEMBER_APPLY, body.path)
    note = Note(id=new_id(), words=body.words)
    if body.words == "slow":
        request.app.state.began.set()
        await request.app.state.may_end.wait()
    try:
        await session.execute(
            text("INSERT INTO notes (id, path, words) VALUES (:id, :path, :words)"),
            {"id": note.id, "path": body.path, "words": body.words},
        )
    except IntegrityError as error:
        if violated_constraint(error) == "notes_words_key":
            raise Conflict("stale-version") from None
        raise
    set_etag(response, 1)
    return note


HOT = HotCommand(
    ", n AS (INSERT INTO notes (id, path, words) SELECT $9::uuid, $10::text, $11::text FROM s RETURNING id) SELECT id FROM n"
)


@router.post("/hot", status_code=201, response_model=Note)
async def add_hot(body: NewNote, hot: Hot) -> Response:
    hot.caller.require(Action.MEMBER_APPLY, body.path)
    note = Note(id=new_id(), words=body.words)
    try:
        _, response = await HOT.run(hot, note.id, body.path, body.words, reply=note)
    except asyncpg.UniqueViolationError:
        raise Conflict("stale-version") from None
    return response


@router.post("/returned", status_code=201)
async def refuse_by_returning(session: Write) -> Response:
    await session.execute(
        text("INSERT INTO notes (id, path, words) VALUES (gen_random_uuid(), '1/', 'returned')")
    )
    return Response(status_code=409)


@router.post("/deferred", status_code=201)
async def fail_at_commit(session: Write) -> dict[str, str]:
    await session.execute(text("INSERT INTO deferred (note) VALUES (gen_random_uuid())"))
    return {"all": "well"}


@router.post("/file", status_code=201)
@max_body(3 * 1024 * 1024)
async def upload(file: UploadFile, session: Write, _key: Idempotent) -> dict[str, int]:
    content = await file.read()
    await session.execute(
        text("INSERT INTO notes (id, path, words) VALUES (gen_random_uuid(), '1/', :words)"),
        {"words": f"file {len(content)}"},
    )
    return {"bytes": len(content)}


@router.post("/broken")
async def break_down(words: str) -> None:
    raise RuntimeError(f"a defect that quotes {words}")


@router.post("/deadlock")
async def collide(session: Write) -> None:
    await session.execute(text("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$"))


@router.post("/unmask")
async def unmask(caller: CurrentCaller) -> None:
    caller.require(Action.MEMBER_UNMASK, "1/")


@router.get("")
async def notes(session: Read, page: PageQuery, ring: Keys) -> Page[Note]:
    after = page.after(ring, "notes") or ["00000000-0000-0000-0000-000000000000"]
    rows = (
        await session.execute(
            text("SELECT id, words, version FROM notes WHERE id > :after ORDER BY id LIMIT :limit"),
            {"after": UUID(after[0]), "limit": page.limit + 1},
        )
    ).all()
    kept, following = page_of(rows, page.limit, ring, "notes", lambda row: [str(row.id)])
    items = [Note(id=row.id, words=row.words, version=row.version) for row in kept]
    return Page(items=items, next_cursor=following)


@router.put("/{note_id}")
async def change(note_id: UUID, words: str, session: Write, version: IfMatch, response: Response) -> Note:
    row = (
        await session.execute(text("SELECT version FROM notes WHERE id = :id FOR UPDATE"), {"id": note_id})
    ).one_or_none()
    if row is None:
        raise NotFound("not-found")
    require_version(version, row.version)
    await session.execute(
        text("UPDATE notes SET words = :words, version = version + 1 WHERE id = :id"),
        {"id": note_id, "words": words},
    )
    set_etag(response, version + 1)
    return Note(id=note_id, words=words, version=version + 1)


@dataclass
class Posts:
    """The posts that the app under test reads: subject -> path, all of them registrars but otto, an auditor."""

    held: dict[str, str] = field(
        default_factory=lambda: {"rita": "1/", "sven": "1/", "eva": "1/e/", "otto": "1/"}
    )
    as_of: datetime | None = None
    reads: int = 0

    async def read(self, _session: ReadSession, _issuer: str, subject: str, _today: date) -> PostsRead:
        self.reads += 1
        path = self.held.get(subject)
        role = Role.AUDITOR if subject == "otto" else Role.REGISTRAR
        posts = [Post(role, uuid4(), path)] if path else []
        return PostsRead(posts, self.as_of or datetime.now(UTC))


@dataclass
class Service:
    """The app under test and what stands around it."""

    app: FastAPI
    client: httpx.AsyncClient
    issuer: Issuer
    posts: Posts
    database: Database
    setup: WebSetup
    owner_url: str

    async def count(self, words: str | None = None) -> int:
        """How many notes there are, whoever may see them."""
        connection = await asyncpg.connect(self.owner_url)
        try:
            return int(
                await connection.fetchval(
                    "SELECT count(*) FROM notes WHERE $1::text IS NULL OR words = $1", words
                )
            )
        finally:
            await connection.close()

    def headers(self, subject: str = "rita", key: str | None = None, **more: str) -> dict[str, str]:
        """Headers of a command."""
        headers = {**self.issuer.headers(subject), **more}
        return {**headers, "Idempotency-Key": key} if key else headers


async def _lay_out(owner_url: str) -> None:
    engine = create_async_engine(owner_url.replace("postgresql://", "postgresql+asyncpg://"))
    metadata = MetaData()
    needed = [
        table for table in shared_tables(metadata) if table.name in {"idempotency_keys", "consumer_offsets"}
    ]
    statements = [
        'CREATE TABLE notes (id uuid PRIMARY KEY, path text COLLATE "C" NOT NULL, words text, version int DEFAULT 1)',
        "CREATE UNIQUE INDEX notes_words_key ON notes (words) WHERE words LIKE 'only %'",
        "CREATE TABLE deferred (note uuid REFERENCES notes DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TABLE schema_version (version_num text)",
        *policy_ddl("notes", SERVICE),
        f"GRANT USAGE ON SCHEMA public TO unionhall_{SERVICE}_app",
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO unionhall_{SERVICE}_app",
    ]
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: metadata.create_all(sync, tables=needed))
        for statement in statements:
            await connection.execute(text(statement))
    await engine.dispose()


@pytest.fixture(scope="session")
def ring(keys_file: Path) -> KeyRing:
    return KeyRing.load(keys_file)


@pytest.fixture(scope="session")
async def laid_out(make_database: DatabaseFactory) -> tuple[str, str]:
    urls = make_database(SERVICE, migrated=False)
    await _lay_out(urls.owner)
    return urls.owner, urls.app


@pytest.fixture
async def service(laid_out: tuple[str, str], issuer: Issuer, ring: KeyRing) -> AsyncIterator[Service]:
    owner_url, app_url = laid_out
    settings = ServiceSettings(
        database_url=app_url,
        oidc_issuer=ISSUER,
        oidc_audience=AUDIENCE,
        oidc_jwks_url="http://127.0.0.1:9/jwks",
    )
    database = Database(app_url, pool_size=8, application_name="notes")
    posts = Posts()
    setup = WebSetup(
        service="notes",
        settings=settings,
        database=database,
        routers=[
            router,
            digest_router(
                {
                    "notes": Digested("SELECT id, version FROM notes"),
                    "copies": Digested("SELECT id, version FROM notes", consumer="copier"),
                }
            ),
        ],
        posts_reader=posts.read,
        keys=ring,
        ready_checks=[database_reachable(database), database_migrated(database, "0001")],
        key_source=issuer,
    )
    app = create_app(setup)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://notes.test",
            timeout=timedelta(seconds=20).total_seconds(),
        ) as client,
    ):
        connection = await asyncpg.connect(owner_url)
        await connection.execute(
            "TRUNCATE notes, deferred, idempotency_keys, consumer_offsets; TRUNCATE schema_version"
        )
        await connection.close()
        yield Service(app, client, issuer, posts, database, setup, owner_url)
