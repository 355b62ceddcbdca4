"""Seen with Keycloak itself: a client with a cookie jar, shared by all, signed the next user in as the last."""

from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway_service.proxy.forwarding import http_client


async def test_nobody_is_handed_the_cookies_of_who_came_before() -> None:
    seen = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("cookie"))
        reply = web.Response()
        reply.set_cookie("session", "rita", max_age=3600)
        return reply

    app = web.Application()
    app.router.add_get("/realms", answer)
    async with TestServer(app, host="localhost") as server, http_client() as client:
        for headers in ({}, {}, {"cookie": "session=sven"}):
            async with client.get(server.make_url("/realms"), headers=headers) as reply:
                assert reply.status == 200
    assert seen == [None, None, "session=sven"]
