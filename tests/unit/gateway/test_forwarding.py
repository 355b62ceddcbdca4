import httpx

from gateway_service.proxy.forwarding import http_client


async def test_nobody_is_handed_the_cookies_of_who_came_before() -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("cookie"))
        return httpx.Response(200, headers={"set-cookie": "session=rita; Path=/; Max-Age=3600"})

    async with http_client() as client:
        client._transport = httpx.MockTransport(answer)
        await client.get("http://identity.test/realms/unionhall")
        await client.get("http://identity.test/realms/unionhall")
        await client.get("http://identity.test/realms/unionhall", headers={"cookie": "session=sven"})
    assert seen == [None, None, "session=sven"]
