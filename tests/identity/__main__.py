"""`python -m tests.identity`: Keycloak itself behind the gateway, from the first sign-in to the last sign-out.

Needs a Docker engine and `docker compose`. Without: says SKIPPED, and is a failure unless ALLOW_SKIP=1.
"""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.compose.installation import Composed, ComposeFailed, engine_answers, temporary
from tests.identity import image, passage

FILES = ("docker-compose.yml",)
#: Only what signing in needs: the rest starts with the gateway.
NEEDED = ("gateway", "keycloak")


def main() -> int:
    """0 when every step passed."""
    if not engine_answers():
        print("SKIPPED identity-test: no Docker engine with compose answers")
        return 0 if os.environ.get("ALLOW_SKIP") == "1" else 1
    began = time.monotonic()
    try:
        with temporary(FILES, COMPOSE_PROFILES="identity", KEYCLOAK_DEMO="yes") as installation:
            for said in _try(installation):
                print(f"{time.monotonic() - began:6.1f} s  {said}", flush=True)
    except (ComposeFailed, AssertionError, httpx.HTTPError) as failure:
        print(f"FAILED identity-test: {failure}")
        return 1
    print(f"passed identity-test in {time.monotonic() - began:.0f} s")
    return 0


def _try(installation: Composed) -> Iterator[str]:
    origin = f"http://127.0.0.1:{installation.port}"
    issuer = f"{origin}/identity/realms/unionhall"
    inside = "http://keycloak:8080/identity"
    installation.settings |= {
        "UNIONHALL_OIDC_ISSUER": issuer,
        "UNIONHALL_OIDC_JWKS_URL": f"{inside}/realms/unionhall/protocol/openid-connect/certs",
        "UNIONHALL_IDENTITY_URL": inside,
    }
    name = installation.image("keycloak")
    yield f"{name}: {image.ensure(name)}"
    installation.build()
    yield "images built"
    installation.compose("up", "--detach", "--wait", "--wait-timeout", "600", *NEEDED)
    yield "up: Keycloak imported the realm and is ready, and so is the gateway"
    yield from passage.checks(installation, origin)


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parents[2])
    sys.exit(main())
