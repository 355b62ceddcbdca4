"""The local issuer: code with PKCE, password, refresh; and what it must refuse."""

import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest

from local_stack.loopback import require_loopback
from local_stack.plan import IDENTITY_PATH, python_process
from local_stack.processes import accepts, free_port
from local_stack.tokens import challenge_of
from local_stack.users import demo_users

PUBLIC = "http://127.0.0.1:8000/identity"
BACK = "http://127.0.0.1:8000/signed-in"
CLIENT = "unionhall-console"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("issuer")
    port = free_port()
    arguments = ["-m", "local_stack.issuer", "--port", str(port), "--issuer", PUBLIC]
    arguments += ["--public-url", PUBLIC, "--folder", str(folder)]
    child = python_process("issuer", arguments, folder, {}, port, f"{IDENTITY_PATH}/health")
    child.spawn()
    try:
        child.wait_ready(20)
        yield f"http://127.0.0.1:{port}{IDENTITY_PATH}"
    finally:
        child.stop()


@pytest.fixture
async def http(address: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
        yield client


def request_of(verifier: str, **other: str) -> dict[str, str]:
    return {
        "client_id": CLIENT,
        "redirect_uri": BACK,
        "response_type": "code",
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
        "state": "s-1",
        "nonce": "n-1",
        **other,
    }


async def code_for(http: httpx.AsyncClient, verifier: str, username: str = "registrar-city") -> str:
    form = request_of(verifier) | {"username": username, "password": "demo"}
    answer = await http.post("/authorize", data=form)
    assert answer.status_code == 303, answer.text
    target = urlsplit(answer.headers["location"])
    assert f"{target.scheme}://{target.netloc}{target.path}" == BACK
    said = parse_qs(target.query)
    assert said["state"] == ["s-1"]
    return said["code"][0]


def exchange(code: str, verifier: str) -> dict[str, str]:
    return {
        "grant_type": "authorization_code",
        "client_id": CLIENT,
        "redirect_uri": BACK,
        "code": code,
        "code_verifier": verifier,
    }


async def claims_of(http: httpx.AsyncClient, token: str, audience: str) -> dict[str, object]:
    keys = jwt.PyJWKSet.from_dict((await http.get("/jwks")).json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, object] = jwt.decode(token, key, algorithms=["RS256"], audience=audience, issuer=PUBLIC)
    return claims


async def test_discovery_names_the_public_address(http: httpx.AsyncClient) -> None:
    found = (await http.get("/.well-known/openid-configuration")).json()
    assert found["issuer"] == PUBLIC
    assert found["token_endpoint"] == f"{PUBLIC}/token"
    assert found["code_challenge_methods_supported"] == ["S256"]


async def test_code_with_pkce_gives_tokens_that_the_keys_verify(http: httpx.AsyncClient) -> None:
    verifier = secrets.token_urlsafe(48)
    answer = await http.post("/token", data=exchange(await code_for(http, verifier), verifier))
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    granted = answer.json()
    access = await claims_of(http, granted["access_token"], "unionhall")
    assert access["sub"] == next(user.subject for user in demo_users() if user.username == "registrar-city")
    assert "role" not in access
    assert "name" not in access
    identity = await claims_of(http, granted["id_token"], CLIENT)
    assert identity["nonce"] == "n-1"
    about = await http.get("/userinfo", headers={"Authorization": f"Bearer {granted['access_token']}"})
    assert about.json()["preferred_username"] == "registrar-city"
    with pytest.raises(jwt.InvalidAudienceError):
        await claims_of(http, granted["refresh_token"], "unionhall")


async def test_a_code_is_good_once(http: httpx.AsyncClient) -> None:
    verifier = secrets.token_urlsafe(48)
    code = await code_for(http, verifier)
    assert (await http.post("/token", data=exchange(code, verifier))).status_code == 200
    again = await http.post("/token", data=exchange(code, verifier))
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "change",
    [
        {"code_verifier": "another-verifier-that-is-long-enough-for-the-rule"},
        {"redirect_uri": "http://127.0.0.1:8000/elsewhere"},
        {"client_id": "unionhall-cli"},
        {"code": "made-up"},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_a_code_of_somebody_else_is_refused(http: httpx.AsyncClient, change: dict[str, str]) -> None:
    verifier = secrets.token_urlsafe(48)
    code = await code_for(http, verifier)
    answer = await http.post("/token", data=exchange(code, verifier) | change)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_password_and_refresh(http: httpx.AsyncClient) -> None:
    form = {"grant_type": "password", "client_id": "unionhall-cli", "username": "auditor", "password": "demo"}
    granted = (await http.post("/token", data=form)).json()
    refresh = {
        "grant_type": "refresh_token",
        "client_id": "unionhall-cli",
        "refresh_token": granted["refresh_token"],
    }
    renewed = await http.post("/token", data=refresh)
    assert renewed.status_code == 200
    first = await claims_of(http, granted["access_token"], "unionhall")
    second = await claims_of(http, renewed.json()["access_token"], "unionhall")
    assert first["sub"] == second["sub"]
    assert first["jti"] != second["jti"]
    stolen = await http.post("/token", data=refresh | {"refresh_token": granted["access_token"]})
    assert stolen.status_code == 400


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 200),
        ({"username": "nobody"}, 400),
        ({"password": "Demo"}, 400),
        ({"client_id": "another"}, 401),
        ({"grant_type": "client_credentials"}, 400),
    ],
)
async def test_the_token_endpoint_refuses_what_is_not_a_demo_user(
    http: httpx.AsyncClient, change: dict[str, str], status: int
) -> None:
    form = {"grant_type": "password", "client_id": CLIENT, "username": "auditor", "password": "demo"}
    assert (await http.post("/token", data=form | change)).status_code == status


async def test_the_login_page_names_every_user_in_both_languages_and_escapes(http: httpx.AsyncClient) -> None:
    page = await http.get("/authorize", params=request_of("v" * 50, state='"><script>'))
    assert page.status_code == 200
    assert "form-action 'self' http://127.0.0.1:8000" in page.headers["content-security-policy"]
    assert all(user.zh in page.text and user.en in page.text for user in demo_users())
    assert "<script" not in page.text


@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uri": "https://elsewhere.example/steal"},
        {"redirect_uri": "http://127.0.0.1.elsewhere.example/"},
        {"redirect_uri": "http://[::1].elsewhere.example/"},
        {"redirect_uri": "http://[::1/"},
        {"redirect_uri": "http://elsewhere.example\\@127.0.0.1/"},
        {"client_id": "another"},
    ],
)
async def test_nobody_is_sent_anywhere_else(http: httpx.AsyncClient, change: dict[str, str]) -> None:
    asked = request_of("v" * 50, **change)
    assert (await http.get("/authorize", params=asked)).status_code == 400
    signed = await http.post("/authorize", data=asked | {"username": "auditor", "password": "demo"})
    assert signed.status_code == 400
    assert "location" not in signed.headers


async def test_without_pkce_nothing_is_granted(http: httpx.AsyncClient) -> None:
    answer = await http.get("/authorize", params=request_of("v" * 50, code_challenge_method="plain"))
    assert "error=invalid_request" in answer.headers["location"]


async def test_a_wrong_password_shows_the_page_again(http: httpx.AsyncClient) -> None:
    form = request_of("v" * 50) | {"username": "auditor", "password": "wrong"}
    answer = await http.post("/authorize", data=form)
    assert answer.status_code == 401
    assert "用户名或密码不对" in answer.text


def test_it_refuses_to_listen_beyond_loopback(tmp_path: Path) -> None:
    port = free_port()
    arguments = ["--host", "0.0.0.0", "--port", str(port), "--issuer", PUBLIC]  # noqa: S104 - that is refused
    arguments += ["--public-url", PUBLIC, "--folder", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "local_stack.issuer", *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode != 0
    assert "loopback only" in done.stderr
    assert not accepts(port)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_is_allowed(host: str) -> None:
    require_loopback(host, "a stand-in", "it is open to all")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "unionhall.example", ""])  # noqa: S104 - refused
def test_everything_else_is_not(host: str) -> None:
    with pytest.raises(SystemExit):
        require_loopback(host, "a stand-in", "it is open to all")
