"""An installation that is not the local stack, into which the demo is loaded through its gateway (Docker Compose)."""

import os
from typing import Final
from urllib.parse import urlsplit

from local_stack.state import StackStatus

#: Where its gateway answers. The issuer is named like for a service, and must give tokens for a password, as Keycloak can.
GATEWAY_VARIABLE: Final = "UNIONHALL_GATEWAY"
ISSUER_VARIABLE: Final = "UNIONHALL_OIDC_ISSUER"
BANK_VARIABLE: Final = "UNIONHALL_BANK_URL"
#: How somebody outside says `unionhall` there.
COMMAND: Final = "docker compose exec demo unionhall"
_TOKENS: Final = "/protocol/openid-connect"


def installation() -> StackStatus | None:
    """That installation, if one is named: it runs, and nobody here starts or stops it."""
    gateway = os.environ.get(GATEWAY_VARIABLE, "").rstrip("/")
    if not gateway:
        return None
    issuer = os.environ.get(ISSUER_VARIABLE, "")
    return StackStatus(
        gateway=gateway,
        phase="running",
        # The gateway shows the issuer below its own address, wherever that is seen from.
        identity=f"{gateway}{urlsplit(issuer).path}{_TOKENS}",
        issuer=issuer,
    )


def page() -> str:
    """Its address for people: the issuer's, since the gateway shows that below its own."""
    issuer = urlsplit(os.environ.get(ISSUER_VARIABLE, ""))
    return f"{issuer.scheme}://{issuer.netloc}"


def bank() -> str | None:
    """Its bank, if it has the made-up one."""
    return os.environ.get(BANK_VARIABLE) or None
