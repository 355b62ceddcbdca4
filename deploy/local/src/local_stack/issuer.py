"""A small OpenID provider for this machine: authorization code with PKCE, and a password form, for demo users only.

It refuses to listen beyond loopback, because everybody may sign in as anybody. It proves who someone is and says
nothing about rights: those are posts, kept by the membership service.
"""

import argparse
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import jwt
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import FormData, QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from local_stack.login_page import login_page, message_page
from local_stack.loopback import require_loopback
from local_stack.plan import AUDIENCE, IDENTITY_PATH
from local_stack.processes import LOOPBACK
from local_stack.tokens import REFRESH, Signer, challenge_of
from local_stack.users import PASSWORD, DemoUser, demo_user, demo_users

#: Public clients: neither can keep a secret, so PKCE is required of both.
CLIENTS = {"unionhall-console", "unionhall-cli"}
_WHO, _WHY = "the local issuer", "everybody may sign in as anybody"
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
Parameters = QueryParams | FormData
#: The whole address: what browsers and parsers read differently (a backslash, a name before "@") is in none of ours.
_OF_THIS_MACHINE = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?([/?][^#\\\s]*)?")


class Issuer:
    """The routes. `public_url` is where browsers find it, behind the gateway; `issuer` is the name in the tokens."""

    def __init__(self, issuer: str, public_url: str, folder: Path) -> None:
        for url in (issuer, public_url):
            require_loopback(urlsplit(url).hostname or "", _WHO, _WHY)
        self.public_url = public_url.rstrip("/")
        self.signer = Signer(issuer, folder)

    def app(self) -> Starlette:
        """The ASGI application, below the path under which the gateway shows it."""
        routes = [
            Route("/.well-known/openid-configuration", self.discovery),
            Route("/jwks", self.jwks),
            Route("/authorize", self.authorize, methods=["GET"]),
            Route("/authorize", self.sign_in, methods=["POST"]),
            Route("/token", self.token, methods=["POST"]),
            Route("/logout", self.logout, methods=["GET", "POST"]),
            Route("/userinfo", self.userinfo),
            Route("/demo-users", self.demo_users),
            Route("/health", self.health),
        ]
        return Starlette(routes=[Mount(IDENTITY_PATH, routes=routes)])

    async def discovery(self, _: Request) -> Response:
        """OpenID Connect Discovery 1.0 §3."""
        at = self.public_url
        return JSONResponse({
            "issuer": self.signer.issuer,
            "authorization_endpoint": f"{at}/authorize",
            "token_endpoint": f"{at}/token",
            "jwks_uri": f"{at}/jwks",
            "userinfo_endpoint": f"{at}/userinfo",
            "end_session_endpoint": f"{at}/logout",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token", "password"],
            "code_challenge_methods_supported": ["S256"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "subject_types_supported": ["public"],
            "scopes_supported": ["openid"],
            "token_endpoint_auth_methods_supported": ["none"],
            "ui_locales_supported": ["zh-CN", "en"],
        })  # fmt: skip

    async def jwks(self, _: Request) -> Response:
        """The public key."""
        return JSONResponse(self.signer.jwks, headers={"Cache-Control": "max-age=300"})

    async def authorize(self, request: Request) -> Response:
        """Show who may sign in. A request that names no known client or place to return to is answered here."""
        return self._refused(request.query_params) or self._page(request.query_params)

    async def sign_in(self, request: Request) -> Response:
        """Check name and password, and go back with a code."""
        form = await request.form()
        if refused := self._refused(form):
            return refused
        user = _checked(form)
        if user is None:
            return self._page(form, wrong=True)
        redirect = _said(form, "redirect_uri")
        nonce = _said(form, "nonce") or None
        code = self.signer.code(
            user, _said(form, "client_id"), redirect, _said(form, "code_challenge"), nonce
        )
        return _back(redirect, {"code": code, "iss": self.signer.issuer}, form)

    async def token(self, request: Request) -> Response:
        """RFC 6749 §4.1.3, §4.3.2 and §6."""
        form = await request.form()
        client = _said(form, "client_id")
        if client not in CLIENTS:
            return _wrong("invalid_client", "unknown client_id", 401)
        match _said(form, "grant_type"):
            case "authorization_code":
                return self._exchange(form, client)
            case "refresh_token":
                return self._refresh(form, client)
            case "password":
                user = _checked(form)
                if user is None:
                    return _wrong("invalid_grant", "wrong name or password")
                return _granted(self.signer.grant(user, client))
            case _:
                return _wrong("unsupported_grant_type", "authorization_code, refresh_token or password")

    async def logout(self, request: Request) -> Response:
        """Nothing is kept here about a session, so there is nothing to end: go back."""
        target = request.query_params.get("post_logout_redirect_uri", "")
        if target and _may_return_to(target):
            return _back(target, {}, request.query_params)
        return HTMLResponse(message_page("已退出登录", "Signed out"))

    async def userinfo(self, request: Request) -> Response:
        """OpenID Connect Core 1.0 §5.3."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            subject = self.signer.read(token, AUDIENCE)["sub"]
        except jwt.InvalidTokenError:
            return Response(status_code=401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        user = _of_subject(subject)
        claims = {"name": user.zh, "preferred_username": user.username} if user else {}
        return JSONResponse({"sub": subject, **claims}, headers=NO_STORE)

    async def demo_users(self, _: Request) -> Response:
        """Who may sign in, for the page of the gateway."""
        users = [
            {
                "username": user.username,
                "subject": user.subject,
                "zh": user.zh,
                "en": user.en,
                "role": user.role,
            }
            for user in demo_users()
        ]
        return JSONResponse({"users": users, "password": PASSWORD})

    async def health(self, _: Request) -> Response:
        """Alive."""
        return JSONResponse({"ready": True, "reasons": []})

    def _exchange(self, form: FormData, client: str) -> Response:
        try:
            claims = self.signer.spend(_said(form, "code"))
        except jwt.InvalidTokenError:
            return _wrong("invalid_grant", "the code is unknown, used or older than a minute")
        if claims["azp"] != client or claims["redirect_uri"] != _said(form, "redirect_uri"):
            return _wrong("invalid_grant", "the code was given to another client or address")
        if challenge_of(_said(form, "code_verifier")) != claims["challenge"]:
            return _wrong("invalid_grant", "code_verifier does not match")
        return self._grant(claims, client, claims["nonce"])

    def _refresh(self, form: FormData, client: str) -> Response:
        try:
            claims = self.signer.read(_said(form, "refresh_token"), REFRESH)
        except jwt.InvalidTokenError:
            return _wrong("invalid_grant", "the refresh token is unknown or too old")
        if claims["azp"] != client:
            return _wrong("invalid_grant", "the refresh token was given to another client")
        return self._grant(claims, client, None)

    def _grant(self, claims: dict[str, Any], client: str, nonce: str | None) -> Response:
        user = _of_subject(claims["sub"])
        if user is None:
            return _wrong("invalid_grant", "the user no longer exists")
        return _granted(self.signer.grant(user, client, nonce))

    def _refused(self, asked: Parameters) -> Response | None:
        redirect = _said(asked, "redirect_uri")
        if _said(asked, "client_id") not in CLIENTS or not _may_return_to(redirect):
            page = message_page(
                "登录请求无效：应用或返回地址不对。", "Bad sign-in request: wrong client_id or redirect_uri."
            )
            return HTMLResponse(page, status_code=400)
        if _said(asked, "response_type") != "code":
            return _back(redirect, {"error": "unsupported_response_type"}, asked)
        if _said(asked, "code_challenge_method") != "S256" or len(_said(asked, "code_challenge")) != 43:
            return _back(
                redirect,
                {"error": "invalid_request", "error_description": "PKCE with S256 is required"},
                asked,
            )
        return None

    def _page(self, asked: Parameters, *, wrong: bool = False) -> Response:
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(_said(asked, "redirect_uri")))
        policy = f"default-src 'none'; style-src 'unsafe-inline'; form-action 'self' {origin}; frame-ancestors 'none'"
        page = login_page(
            f"{self.public_url}/authorize", {key: str(value) for key, value in asked.items()}, wrong=wrong
        )
        return HTMLResponse(
            page, headers={"Content-Security-Policy": policy, **NO_STORE}, status_code=401 if wrong else 200
        )


def _said(parameters: Parameters, name: str) -> str:
    value = parameters.get(name, "")
    return value if isinstance(value, str) else ""


def _checked(form: FormData) -> DemoUser | None:
    return demo_user(_said(form, "username")) if _said(form, "password") == PASSWORD else None


def _of_subject(subject: str) -> DemoUser | None:
    return next((user for user in demo_users() if user.subject == subject), None)


def _may_return_to(url: str) -> bool:
    """Only to this machine: nobody else can be given a code or be sent somewhere by this server."""
    return bool(_OF_THIS_MACHINE.fullmatch(url))


def _back(url: str, answer: dict[str, str], asked: Parameters) -> Response:
    state = _said(asked, "state")
    parameters = answer | ({"state": state} if state else {})
    joint = "&" if urlsplit(url).query else "?"
    return RedirectResponse(
        url + (joint + urlencode(parameters) if parameters else ""), status_code=303, headers=NO_STORE
    )


def _granted(answer: dict[str, Any]) -> Response:
    return JSONResponse(answer, headers=NO_STORE)


def _wrong(error: str, description: str, status: int = 400) -> Response:
    return JSONResponse(
        {"error": error, "error_description": description}, status_code=status, headers=NO_STORE
    )


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default=LOOPBACK)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--issuer", required=True, help="the name in the tokens")
    parser.add_argument("--public-url", required=True, help="where browsers reach this, behind the gateway")
    parser.add_argument("--folder", type=Path, required=True, help="where the key is kept")
    options = parser.parse_args()
    require_loopback(options.host, _WHO, _WHY)
    app = Issuer(options.issuer, options.public_url, options.folder).app()
    # The log of requests would hold authorization codes.
    uvicorn.run(app, host=options.host, port=options.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
