"""Attacks with tokens, each beside the good token that is let in; and what rights come from."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import RSAAlgorithm

from shared.kernel.errors import Unauthenticated, Unavailable
from shared.web.app import create_app
from shared.web.tokens import PublishedKeys, TokenVerifier, usable_keys
from tests.integration.web.conftest import Service
from tests.support.tokens import AUDIENCE, ISSUER, KEY_ID, Issuer, assembled

NOTES = "/api/v1/notes"
FOREIGN = rsa.generate_private_key(65537, 2048)


def hmac_with_public_key(issuer: Issuer) -> str:
    secret = issuer.public_pem()
    header = {"alg": "HS256", "typ": "at+jwt", "kid": KEY_ID}
    unsigned = assembled(header, issuer.claims("rita")).rstrip(".")
    return assembled(
        header, issuer.claims("rita"), hmac.new(secret, unsigned.encode(), hashlib.sha256).digest()
    )


def embedded_key(issuer: Issuer) -> str:
    jwk = RSAAlgorithm.to_jwk(FOREIGN.public_key(), as_dict=True)
    return issuer.token_for(
        "rita", key=FOREIGN, headers={"jwk": {**jwk, "kid": KEY_ID}, "jku": "http://evil.test/jwks"}
    )


BAD: dict[str, Callable[[Issuer], str]] = {
    "none": lambda issuer: assembled({"alg": "none", "typ": "at+jwt", "kid": KEY_ID}, issuer.claims("rita")),
    "HS256 with the public key": hmac_with_public_key,
    "key of its own": embedded_key,
    "foreign key, known id": lambda issuer: issuer.token_for("rita", key=FOREIGN),
    "unknown key id": lambda issuer: issuer.token_for("rita", headers={"kid": "no-such-key"}),
    "no key id": lambda issuer: jwt.encode(
        issuer.claims("rita"), issuer.private_key, algorithm="RS256", headers={"typ": "at+jwt"}
    ),
    "ES256 under an RSA key's id": lambda issuer: issuer.token_for(
        "rita", key=issuer.curve_key, algorithm="ES256", headers={"kid": KEY_ID}
    ),
    "RS512": lambda issuer: issuer.token_for("rita", algorithm="RS512"),
    "wrong issuer": lambda issuer: issuer.token_for("rita", iss="https://other.test"),
    "wrong audience": lambda issuer: issuer.token_for("rita", aud="another-service"),
    "no audience": lambda issuer: issuer.token_for("rita", aud=None),
    "no subject": lambda issuer: issuer.token_for("rita", sub=None),
    "empty subject": lambda issuer: issuer.token_for(""),
    "no end": lambda issuer: issuer.token_for("rita", exp=None),
    "expired": lambda issuer: issuer.token_for("rita", exp=int(time.time()) - 60),
    "not yet valid": lambda issuer: issuer.token_for("rita", nbf=int(time.time()) + 120),
    "issued in the future": lambda issuer: issuer.token_for("rita", iat=int(time.time()) + 120),
    "not yet valid, foreign key": lambda issuer: issuer.token_for(
        "rita", key=FOREIGN, nbf=int(time.time()) + 120
    ),
    "ID token": lambda issuer: issuer.token_for("rita", headers={"typ": "JWT"}, nonce="n"),
    "refresh token": lambda issuer: issuer.token_for("rita", headers={"typ": "JWT"}, typ="Refresh"),
    "changed afterwards": lambda issuer: issuer.token_for("rita")[:-8] + "AAAAAAAA",
    "not a token": lambda _: "x.y.z",
    "huge": lambda issuer: issuer.token_for("rita", padding="x" * 9000),
}
#: Told apart, because an operator has to look at the clocks; all others get one answer.
TOLD = {
    "expired": "token-expired",
    "not yet valid": "token-not-yet-valid",
    "issued in the future": "token-not-yet-valid",
}
GOOD: dict[str, Callable[[Issuer], str]] = {
    "RS256": lambda issuer: issuer.token_for("rita"),
    "ES256": lambda issuer: issuer.token_for(
        "rita", key=issuer.curve_key, algorithm="ES256", headers={"kid": "test-ec"}
    ),
    "Keycloak's way": lambda issuer: issuer.token_for("rita", headers={"typ": "JWT"}, typ="Bearer"),
    "several audiences": lambda issuer: issuer.token_for("rita", aud=["account", AUDIENCE]),
    "clock 20 s behind": lambda issuer: issuer.token_for("rita", exp=int(time.time()) - 20),
    "clock 20 s ahead": lambda issuer: issuer.token_for(
        "rita", nbf=int(time.time()) + 20, iat=int(time.time()) + 20
    ),
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_token_is_refused(service: Service, kind: str) -> None:
    headers = {"Authorization": f"Bearer {BAD[kind](service.issuer)}"}
    reply = await service.client.get(NOTES, headers=headers)
    assert reply.status_code == 401, reply.text
    assert reply.json()["code"] == TOLD.get(kind, "token-invalid")
    assert reply.headers["www-authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize(("language", "words"), [("en", "clocks"), ("zh-CN", "时钟")])
async def test_a_token_of_the_future_speaks_of_the_clocks(
    service: Service, language: str, words: str
) -> None:
    token = service.issuer.token_for("rita", iat=int(time.time()) + 120)
    reply = await service.client.get(
        NOTES, headers={"Authorization": f"Bearer {token}", "Accept-Language": language}
    )
    assert words in reply.text


@pytest.mark.parametrize("kind", GOOD)
async def test_a_good_token_is_let_in(service: Service, kind: str) -> None:
    headers = {"Authorization": f"Bearer {GOOD[kind](service.issuer)}"}
    assert (await service.client.get(NOTES, headers=headers)).status_code == 200


@pytest.mark.parametrize("header", [None, "Basic cml0YTpyaXRh", "Bearer", "Bearer "])
async def test_no_token_is_refused(service: Service, header: str | None) -> None:
    reply = await service.client.get(NOTES, headers={"Authorization": header} if header else {})
    assert (reply.status_code, reply.json()["code"]) == (401, "token-missing")
    assert reply.headers["www-authenticate"] == "Bearer"


async def test_claims_of_roles_give_nothing(service: Service) -> None:
    token = service.issuer.token_for(
        "stranger", roles=["administrator"], realm_access={"roles": ["administrator"]}, scope="admin"
    )
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "claims-key-1"}
    reply = await service.client.post(NOTES, json={"path": "1/", "words": "mine"}, headers=headers)
    assert reply.status_code == 404
    allowed = await service.client.post(
        NOTES, json={"path": "1/", "words": "mine"}, headers=service.headers(key="claims-key-1")
    )
    assert allowed.status_code == 201


async def test_a_verified_token_is_remembered_for_a_minute_and_never_past_its_end(issuer: Issuer) -> None:
    class Now:
        seconds = time.time()

    issuer.asked.clear()
    verifier = TokenVerifier(ISSUER, AUDIENCE, issuer, clock=lambda: Now.seconds)
    token = issuer.token_for("rita")
    for _ in range(3):
        assert (await verifier.verify(token)).subject == "rita"
    assert len(issuer.asked) == 1
    Now.seconds += 61
    await verifier.verify(token)
    assert len(issuer.asked) == 2
    short = issuer.token_for("rita", exp=int(time.time()) - 25)
    await verifier.verify(short)
    Now.seconds += 10
    issuer.asked.clear()
    await verifier.verify(short)
    assert issuer.asked, "a token near its end was not looked at again"


async def test_a_post_that_ends_takes_effect_within_seconds(service: Service) -> None:
    body = {"path": "1/", "words": "mine"}
    assert (
        await service.client.post(NOTES, json=body, headers=service.headers(key="post-key-01"))
    ).status_code == 201
    service.posts.held.pop("rita")
    later = datetime.now(UTC) + timedelta(seconds=6)

    class Later:
        def now(self) -> datetime:
            return later

    service.app.state.callers._clock = Later()
    assert (
        await service.client.post(NOTES, json=body, headers=service.headers(key="post-key-02"))
    ).status_code == 404


async def test_posts_are_read_once_for_many_requests(service: Service) -> None:
    for _ in range(5):
        await service.client.get(NOTES, headers=service.headers())
    assert service.posts.reads == 1


async def test_old_posts_allow_no_sensitive_action(service: Service) -> None:
    assert (await service.client.post(f"{NOTES}/unmask", headers=service.headers())).status_code == 200
    service.app.state.callers._kept.clear()
    service.posts.as_of = datetime.now(UTC) - timedelta(seconds=61)
    refused = await service.client.post(f"{NOTES}/unmask", headers=service.headers())
    assert (refused.status_code, refused.json()["code"]) == (503, "posts-stale")
    assert int(refused.headers["retry-after"]) > 0
    assert (await service.client.get(NOTES, headers=service.headers())).status_code == 200


class Provider:
    """A JWKS endpoint on loopback that counts how often it is read."""

    def __init__(self, document: Any) -> None:
        self.document = document
        self.reads = 0
        self.status = 200
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Provider"]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks"
        try:
            yield self
        finally:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.reads += 1
        body = orjson.dumps(self.document)
        head = f"HTTP/1.1 {self.status} X\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def published(provider: Provider, now: Callable[[], float]) -> AsyncIterator[PublishedKeys]:
    keys = PublishedKeys(provider.url, clock=now)
    try:
        yield keys
    finally:
        await keys.close()


class Ticker:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


async def test_a_flood_of_unknown_keys_reads_the_provider_once_per_cool_down(issuer: Issuer) -> None:
    now = Ticker()
    async with Provider(issuer.jwks()).serving() as provider, published(provider, now) as keys:
        verifier = TokenVerifier(ISSUER, AUDIENCE, keys)
        flood = [issuer.token_for("rita", headers={"kid": f"made-up-{number}"}) for number in range(100)]
        results = await asyncio.gather(*(verifier.verify(token) for token in flood), return_exceptions=True)
        assert all(isinstance(result, Unauthenticated) for result in results)
        assert provider.reads == 1
        now.seconds += 31
        await asyncio.gather(*(verifier.verify(token) for token in flood), return_exceptions=True)
        assert provider.reads == 2
        assert (await verifier.verify(issuer.token_for("rita"))).subject == "rita"


async def test_a_new_key_is_found_after_the_cool_down_and_old_keys_outlive_the_provider(
    issuer: Issuer,
) -> None:
    now = Ticker()
    old, new = issuer.jwks()["keys"]
    async with Provider({"keys": [old]}).serving() as provider, published(provider, now) as keys:
        assert await keys.key("test-rsa") is not None
        provider.document = {"keys": [old, new]}
        assert await keys.key("test-ec") is None
        now.seconds += 31
        assert await keys.key("test-ec") is not None
        provider.status = 500
        now.seconds += 3600
        assert await keys.key("test-rsa") is not None
        provider.document, provider.status = {"keys": [new]}, 200
        now.seconds += 31
        assert await keys.key("test-rsa") is None


async def test_without_any_key_the_answer_is_come_again(issuer: Issuer, service: Service) -> None:
    now = Ticker()
    async with Provider({"keys": []}).serving() as provider, published(provider, now) as keys:
        verifier = TokenVerifier(ISSUER, AUDIENCE, keys)
        token = issuer.token_for("rita")
        for _ in range(5):
            with pytest.raises(Unavailable):
                await verifier.verify(token)
        assert provider.reads == 1
        provider.document = issuer.jwks()
        now.seconds += 1.5
        assert (await verifier.verify(token)).subject == "rita"
    # The address in the settings leads nowhere: the app starts all the same and says what is wrong.
    app = create_app(replace(service.setup, key_source=None))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://notes.test") as client:
        reply = await client.get(NOTES, headers=issuer.headers("rita"))
    assert (reply.status_code, reply.json()["code"]) == (503, "identity-unavailable")


def test_only_fit_keys_are_used(issuer: Issuer) -> None:
    good = issuer.jwks()["keys"]
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that it is refused is the point
    small = RSAAlgorithm.to_jwk(weak.public_key(), as_dict=True)
    curve = jwt.algorithms.ECAlgorithm.to_jwk(
        ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True
    )
    bad = [
        {**small, "kid": "small", "alg": "RS256"},
        {**curve, "kid": "p384"},
        {**good[0], "kid": "encryption", "use": "enc"},
        {**good[0], "kid": "other-algorithm", "alg": "RS512"},
        {"kty": "oct", "kid": "secret", "k": "c2VjcmV0", "alg": "HS256"},
        {"kty": "RSA", "kid": "broken"},
        {**good[0], "kid": ""},
        "nonsense",
    ]
    assert set(usable_keys({"keys": [*good, *bad]})) == {"test-rsa", "test-ec"}
    unreadable: list[Any] = [None, [], {"keys": "x"}, {}]
    assert [usable_keys(document) for document in unreadable] == [{}] * 4
