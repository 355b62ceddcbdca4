"""Somebody at a browser, without the browser: signs in by authorization code and PKCE as a page of this origin would."""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

CLIENT = "unionhall-console"


class Form(HTMLParser):
    """The form of the sign-in page: where it is sent."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by the parser."""
        found = dict(attrs)
        if tag == "form" and found.get("id") == "kc-form-login":
            self.action = found.get("action") or ""


@dataclass
class Browser:
    """One session: cookies are kept, redirects are looked at and not followed."""

    origin: str
    http: httpx.Client = field(init=False)
    verifier: str = ""

    def __post_init__(self) -> None:
        self.http = httpx.Client(trust_env=False, timeout=60)
        # As browsers do, a loopback address counts as secure.
        self.http.cookies.jar.set_policy(DefaultCookiePolicy(secure_protocols=("http", "https")))

    @property
    def realm(self) -> str:
        """The issuer."""
        return f"{self.origin}/identity/realms/unionhall"

    @property
    def back(self) -> str:
        """Where the provider sends people back to."""
        return f"{self.origin}/signed-in"

    def discovery(self) -> Any:
        """What the provider says of itself."""
        return self.http.get(f"{self.realm}/.well-known/openid-configuration").raise_for_status().json()

    def begin(self, **changes: str) -> httpx.Response:
        """Ask to sign in. An empty change leaves a parameter out."""
        self.verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest())
        asked = {
            "client_id": CLIENT,
            "response_type": "code",
            "scope": "openid",
            "redirect_uri": self.back,
            "state": "s-1",
            "nonce": "n-1",
            "code_challenge": challenge.rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        } | changes
        parameters = {name: value for name, value in asked.items() if value}
        return self.http.get(f"{self.realm}/protocol/openid-connect/auth", params=parameters)

    def code(self, username: str, password: str) -> str | None:
        """The code behind the sign-in page; None when it shows itself again."""
        page = self.begin()
        action = Form(page.raise_for_status().text).action
        assert action.startswith(f"{self.origin}/identity/"), f"the form leads to {action!r}"
        answer = self.http.post(action, data={"username": username, "password": password})
        if answer.status_code == httpx.codes.OK:
            return None
        said = self.sent_back(answer)
        assert said["state"] == ["s-1"], said
        return str(said["code"][0])

    def sent_back(self, answer: httpx.Response) -> dict[str, list[str]]:
        """What the provider says as it sends somebody back."""
        assert answer.is_redirect, f"{answer.status_code} {answer.text[:500]}"
        target = urlsplit(answer.headers["location"])
        assert f"{target.scheme}://{target.netloc}{target.path}" == self.back, answer.headers["location"]
        return parse_qs(target.query)

    def exchange(self, code: str, **changes: str) -> httpx.Response:
        """Tokens for a code."""
        form = {
            "grant_type": "authorization_code",
            "client_id": CLIENT,
            "redirect_uri": self.back,
            "code": code,
            "code_verifier": self.verifier,
        }
        return self._token(form | changes)

    def refresh(self, token: str) -> httpx.Response:
        """New tokens for a refresh token."""
        return self._token({"grant_type": "refresh_token", "client_id": CLIENT, "refresh_token": token})

    def sign_in(self, username: str, password: str = "demo") -> dict[str, Any]:
        """All of it: the tokens."""
        code = self.code(username, password)
        assert code, f"{username} was not signed in"
        granted: dict[str, Any] = self.exchange(code).raise_for_status().json()
        return granted

    def sign_out(self, id_token: str) -> httpx.Response:
        """End the session at the provider."""
        asked = {"id_token_hint": id_token, "post_logout_redirect_uri": self.back}
        return self.http.get(f"{self.realm}/protocol/openid-connect/logout", params=asked)

    def api(self, method: str, path: str, token: str, **request: Any) -> httpx.Response:
        """A call of the product, as a page makes it."""
        headers = {"Authorization": f"Bearer {token}", **request.pop("headers", {})}
        return self.http.request(method, f"{self.origin}/api/v1{path}", headers=headers, **request)

    def _token(self, form: dict[str, str]) -> httpx.Response:
        return self.http.post(f"{self.realm}/protocol/openid-connect/token", data=form)
