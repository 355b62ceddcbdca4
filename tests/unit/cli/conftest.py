"""The command against a gateway that is a function."""

from collections.abc import Callable

import httpx
import pytest

from unionhall_cli import federation as federation_module
from unionhall_cli.federation import Federation

Handler = Callable[[httpx.Request], httpx.Response]
Serve = Callable[[Handler], None]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Lets a function be the gateway; nobody signs in, and people read English."""

    def served(answer: Handler) -> None:
        class Answered(Federation):
            def __init__(self, user: str) -> None:
                super().__init__(user)
                self._client = httpx.Client(base_url="http://gateway", transport=httpx.MockTransport(answer))

        monkeypatch.setenv("UNIONHALL_LANG", "en")
        monkeypatch.setattr(federation_module, "gateway_url", lambda: "http://gateway")
        monkeypatch.setattr(federation_module, "token", lambda user: user)
        monkeypatch.setattr(federation_module, "Federation", Answered)

    return served
