"""What holds of a sign-in through the gateway, step by step."""

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import jwt

from local_stack.users import demo_user
from tests.compose.installation import Composed
from tests.identity.browser import Browser

#: Seconds within which a new key is known: an unknown one is asked for at most every 30 s.
KEY_KNOWN = 45
INSIDE = "http://keycloak:8080/identity"


def checks(installation: Composed, origin: str) -> Iterator[str]:
    """A line for everything that was seen. Raises AssertionError for what is otherwise."""
    browser = Browser(origin)
    yield _discovery(browser)
    yield _hidden(browser)
    yield _refusals(Browser(origin))
    tokens = browser.sign_in("administrator")
    subject = _subject("administrator")
    claims = _claims(tokens["access_token"])
    assert (claims["iss"], claims["sub"]) == (browser.realm, subject), claims
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    assert "unionhall" in audiences, claims
    assert _claims(tokens["id_token"])["nonce"] == "n-1"
    yield "code and PKCE: tokens of this issuer for this audience, the subject is the local demo's"
    _bootstrap(installation, browser.realm, subject)
    me = browser.api("GET", "/me", tokens["access_token"]).raise_for_status().json()
    assert [post["role"] for post in me["posts"]] == ["administrator"], me
    assert browser.api("GET", "/me", tokens["id_token"]).status_code == httpx.codes.UNAUTHORIZED
    assert browser.api("GET", "/me", tokens["refresh_token"]).status_code == httpx.codes.UNAUTHORIZED
    yield "the access token opens the gateway; the ID token and the refresh token do not"
    yield _refreshing(browser, tokens)
    yield _roles(installation, origin)
    yield from _rotation(installation, origin)
    yield _signing_out(origin)


def _discovery(browser: Browser) -> str:
    found = browser.discovery()
    assert found["issuer"] == browser.realm, found["issuer"]
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "end_session_endpoint"):
        assert found[name].startswith(f"{browser.origin}/identity/"), (name, found[name])
    return "the provider is found at the gateway's own origin, and names no other"


def _hidden(browser: Browser) -> str:
    for path in (
        "/admin/",
        "/admin/master/console/",
        "/realms/master",
        "/%61dmin/",
        "/realms/unionhall/..%2fmaster",
    ):
        assert browser.http.get(f"{browser.origin}/identity{path}").status_code == httpx.codes.NOT_FOUND, path
    return "its administration is not shown there"


def _refusals(browser: Browser) -> str:
    said = browser.sent_back(browser.begin(code_challenge="", code_challenge_method=""))
    assert said["error"] == ["invalid_request"], said
    assert browser.begin(redirect_uri="https://elsewhere.example/").status_code == httpx.codes.BAD_REQUEST
    assert browser.code("administrator", "not the password") is None
    code = browser.code("administrator", "demo")
    assert code
    wrong = browser.exchange(code, code_verifier="x" * 64)
    assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_grant"), wrong.text
    return "refused: no PKCE, another redirect, a wrong password, a wrong verifier"


def _bootstrap(installation: Composed, issuer: str, subject: str) -> None:
    installation.compose(
        "run", "--rm", "--no-deps", "-T", "membership-worker", "bootstrap",
        "--issuer", issuer, "--subject", subject,
        "--organisation-name", "示例省总工会", "--founded-on", "2025-01-01",
    )  # fmt: skip
    # Who holds no post is remembered for some seconds.
    time.sleep(6)


def _refreshing(browser: Browser, tokens: dict[str, Any]) -> str:
    fresh = browser.refresh(tokens["refresh_token"]).raise_for_status().json()
    assert fresh["access_token"] != tokens["access_token"]
    assert browser.api("GET", "/me", fresh["access_token"]).is_success
    again = browser.refresh(tokens["refresh_token"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant"), again.text
    return "a refresh token gives new tokens, once"


def _roles(installation: Composed, origin: str) -> str:
    """Keycloak says that an ordinary member is an administrator, in every way it can; nobody listens."""
    admin = Administration(installation)
    admin.send("POST", "/roles", json={"name": "administrator"})
    role = admin.send("GET", "/roles/administrator")
    admin.send("POST", f"/users/{_subject('member')}/role-mappings/realm", json=[role])
    [client] = admin.send("GET", "/clients", params={"clientId": "unionhall-console"})
    admin.send("PUT", f"/clients/{client['id']}", json=client | {"fullScopeAllowed": True})
    browser = Browser(origin)
    token = browser.sign_in("member")["access_token"]
    assert "administrator" in _claims(token)["realm_access"]["roles"], _claims(token)
    me = browser.api("GET", "/me", token).raise_for_status().json()
    assert me["posts"] == [], me
    body = {
        "organisation_id": str(uuid4()), "issuer": browser.realm, "subject": "x", "role": "administrator",
        "starts_on": "2026-01-01",
    }  # fmt: skip
    headers = {"Idempotency-Key": str(uuid4())}
    refused = browser.api("POST", "/posts", token, json=body, headers=headers)
    assert refused.status_code in {httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND}, refused.text
    return f"a token that claims the role administrator gives no right ({refused.status_code})"


def _rotation(installation: Composed, origin: str) -> Iterator[str]:
    admin = Administration(installation)
    before = Browser(origin).sign_in("administrator")["access_token"]
    realm = admin.send("GET", "")
    [old] = [
        one
        for one in admin.send("GET", "/components", params={"type": "org.keycloak.keys.KeyProvider"})
        if one["providerId"] == "rsa-generated"
    ]
    admin.send(
        "POST",
        "/components",
        json={
            "name": "rsa-next",
            "providerId": "rsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider",
            "parentId": realm["id"],
            "config": {"priority": ["200"], "keySize": ["2048"], "algorithm": ["RS256"]},
        },
    )
    browser = Browser(origin)
    after = browser.sign_in("administrator")["access_token"]
    assert _key_of(after) != _key_of(before)
    took = _accepted(browser, after)
    assert browser.api("GET", "/me", before).is_success
    yield f"a new signing key is known after {took:.0f} s, without a restart; tokens of the old one go on"
    admin.send("DELETE", f"/components/{old['id']}")
    installation.compose("restart", "gateway", "membership")
    installation.compose("up", "--detach", "--wait", "--wait-timeout", "120", "gateway", "keycloak")
    assert browser.api("GET", "/me", before).status_code == httpx.codes.UNAUTHORIZED
    assert browser.api("GET", "/me", after).is_success
    yield "a key that was withdrawn opens nothing once the keys are read again"


def _accepted(browser: Browser, token: str) -> float:
    began = time.monotonic()
    while not browser.api("GET", "/me", token).is_success:
        assert time.monotonic() - began < KEY_KNOWN, f"a token of the new key is refused after {KEY_KNOWN} s"
        time.sleep(1)
    return time.monotonic() - began


def _signing_out(origin: str) -> str:
    browser = Browser(origin)
    tokens = browser.sign_in("administrator")
    assert browser.begin().is_redirect, "who is signed in is asked again"
    out = browser.sign_out(tokens["id_token"])
    assert browser.sent_back(out) == {}, out.headers
    again = browser.refresh(tokens["refresh_token"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant"), again.text
    assert browser.begin().status_code == httpx.codes.OK, "the session goes on after signing out"
    return "signing out ends the session and its refresh token"


class Administration:
    """Keycloak's own administrator, from within the network: the gateway shows nothing of it."""

    def __init__(self, installation: Composed) -> None:
        self._installation = installation

    def send(self, method: str, path: str, **request: Any) -> Any:
        """A request about the realm, as JSON. Raises ComposeFailed for a refusal."""
        form = {
            "grant_type": "password",
            "client_id": "admin-cli",
            "username": "admin",
            "password": self._installation.secret("keycloak_admin_password"),
        }
        address = f"{INSIDE}/realms/master/protocol/openid-connect/token"
        [granted] = self._installation.inside({"method": "POST", "url": address, "data": form})
        headers = {"Authorization": f"Bearer {granted.json()['access_token']}"}
        url = f"{INSIDE}/admin/realms/unionhall{path}"
        [reply] = self._installation.inside({"method": method, "url": url, "headers": headers, **request})
        return reply.json()


def _subject(username: str) -> str:
    user = demo_user(username)
    assert user
    return user.subject


def _claims(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def _key_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])
