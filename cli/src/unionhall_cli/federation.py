"""Speaks to the gateway, as anybody could: the public API with the token of a demo user."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import jwt

from local_stack.control import status
from local_stack.layout import Layout, write_private
from local_stack.users import PASSWORD
from unionhall_cli.output import give_up, give_up_with, language

CLIENT_ID = "unionhall-cli"
#: Seconds before its end at which a token is no longer used.
MARGIN = 60
#: Seconds for which an answer "come back later" is followed.
PATIENCE = 60
SERVICE_UNAVAILABLE = int(httpx.codes.SERVICE_UNAVAILABLE)
LATER = frozenset({int(httpx.codes.TOO_MANY_REQUESTS), SERVICE_UNAVAILABLE})


def gateway_url() -> str:
    """The address of the running gateway; ends the command when there is none."""
    found = status()
    if found.phase != "running":
        give_up("not-running")
    return found.gateway


def token(user: str) -> str:
    """A bearer token of a demo user, kept until shortly before its end."""
    kept = Layout.default().root / "tokens.json"
    gateway = gateway_url()
    known: dict[str, str] = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    found = known.get(f"{gateway} {user}")
    if found and _ends_at(found) > time.time() + MARGIN:
        return found
    form = {
        "grant_type": "password",
        "client_id": CLIENT_ID,
        "username": user,
        "password": PASSWORD,
        "scope": "openid",
    }
    address = f"{status().identity}/token"
    answer = _patiently(gateway, lambda: httpx.post(address, data=form, timeout=30, trust_env=False))
    if answer.status_code in {httpx.codes.BAD_REQUEST, httpx.codes.UNAUTHORIZED}:
        give_up("no-such-user", user=user)
    if answer.is_error:
        _refuse(answer)
    fresh = str(answer.json()["access_token"])
    write_private(kept, known | {f"{gateway} {user}": fresh})
    return fresh


def _patiently(url: str, send: Callable[[], httpx.Response], later: frozenset[int] = LATER) -> httpx.Response:
    """The answer; one that says "come back later" is taken at its word, for PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            answer = send()
        except httpx.HTTPError:
            give_up("gateway-silent", url=url)
        pause = float(answer.headers.get("Retry-After", 1))
        if answer.status_code not in later or time.monotonic() + pause > deadline:
            return answer
        time.sleep(pause)


def _ends_at(bearer: str) -> float:
    return float(jwt.decode(bearer, options={"verify_signature": False})["exp"])


class Federation:
    """The public API as one user sees it. A refusal ends the command with its own words."""

    def __init__(self, user: str) -> None:
        """`user` is the name of a demo user."""
        self.user = user
        self._client = httpx.Client(base_url=gateway_url(), timeout=150, trust_env=False)

    def get(self, path: str, **parameters: Any) -> Any:
        """GET, as JSON."""
        return self.send("GET", path, params=parameters).json()

    def post(self, path: str, body: Any = None, *, version: int | None = None, **more: Any) -> Any:
        """POST of JSON, or of what `more` says (files, data), with an Idempotency-Key of its own; a step with its `version`."""
        content = {"json": body} if body is not None else {}
        headers = {"Idempotency-Key": str(uuid4())}
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        return self.send("POST", path, headers=headers, **content, **more).json()

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Any request. Ends the command unless it is answered with success."""
        answer = self.ask(method, path, **more)
        if answer.is_error:
            _refuse(answer)
        return answer

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Any request, with its answer whatever it says. Told to come back later, it does."""
        headers = more.pop("headers", {}) | {
            "Authorization": f"Bearer {token(self.user)}",
            "Accept-Language": language(),
        }
        # A file is read once, so an upload is sent once; what else a key or a GET makes harmless is sent again.
        harmless = "files" not in more and (method == "GET" or "Idempotency-Key" in headers)
        send = partial(self._client.request, method, path, headers=headers, **more)
        return _patiently(
            str(self._client.base_url), send, LATER if harmless else LATER - {SERVICE_UNAVAILABLE}
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()


@contextmanager
def federation(user: str) -> Iterator[Federation]:
    """The public API as `user`, for a while."""
    opened = Federation(user)
    try:
        yield opened
    finally:
        opened.close()


def _refuse(answer: httpx.Response) -> None:
    try:
        problem = answer.json()
        details = [f"{found['path']}: {found['detail']}" for found in problem.get("problems", [])]
        sentence = "\n  ".join([str(problem["detail"]), *details])
    except (ValueError, KeyError, TypeError):
        sentence = f"{answer.status_code} {answer.reason_phrase}"
    give_up_with(sentence, sentence)
