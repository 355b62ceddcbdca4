"""The notes service as a process of its own, for tests that need signals and sockets. Arguments: database URL, key file, port."""

import asyncio
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

from fastapi import Request

from shared.contracts.membership import Role
from shared.database.engine import Database
from shared.database.session import ReadSession
from shared.security.keys import KeyRing
from shared.security.policy import Post
from shared.settings import load
from shared.web.app import WebSetup, create_app, serve
from shared.web.caller import PostsRead
from shared.web.routing import api_router
from tests.integration.web.conftest import router
from tests.support.tokens import Issuer

pauses = api_router("/api/v1/pauses")


@pauses.get("/{tenths}")
async def pause(tenths: int, request: Request) -> dict[str, bool]:
    await asyncio.sleep(tenths / 10)
    return {"draining": request.app.state.draining.begun}


async def read_posts(_session: ReadSession, _issuer: str, _subject: str, _today: date) -> PostsRead:
    return PostsRead([Post(Role.REGISTRAR, uuid4(), "1/")], datetime.now(UTC))


if __name__ == "__main__":
    from shared.settings import HTTP_NEEDS, ServiceSettings

    settings = load(ServiceSettings, *HTTP_NEEDS)
    issuer = Issuer()
    Path(sys.argv[1]).write_text(issuer.token_for("rita"), "utf-8")
    database = Database(settings.database_url, pool_size=4, application_name="served-notes")
    setup = WebSetup(
        service="notes",
        settings=settings,
        database=database,
        routers=[router, pauses],
        posts_reader=read_posts,
        keys=KeyRing.load(settings.keys_file),
        key_source=issuer,
    )
    serve(create_app(setup), settings, "notes")
