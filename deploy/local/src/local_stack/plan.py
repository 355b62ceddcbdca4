"""Which processes there are, on which ports, and the settings that each is given in its environment."""

import os
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

from local_stack.layout import Layout, Secrets
from local_stack.processes import LOOPBACK, ChildProcess
from shared.database.provision import database_urls

#: Every process of this local stack carries the folder in its environment, so that none is ever lost sight of.
MARK_VARIABLE = "UNIONHALL_LOCAL_STACK"
#: Give way to a server of the user's own: a superuser's URL, and host:port.
POSTGRES_VARIABLE = "UNIONHALL_POSTGRES_URL"
KAFKA_VARIABLE = "UNIONHALL_KAFKA_BOOTSTRAP"
#: Compiled Python is kept, whatever the shell says that started us: else every process of every start compiles anew.
BYTECODE_VARIABLE = "PYTHONDONTWRITEBYTECODE"
#: What a user may set for all services.
PASSED_ON = {"UNIONHALL_LOG_LEVEL", "UNIONHALL_OTLP_ENDPOINT"}

SERVICES = ("membership", "welfare", "events", "gateway")
AUDIENCE = "unionhall"
IDENTITY_PATH = "/identity"

#: Taken when free, so that addresses stay the same from one start to the next.
PREFERRED_PORTS = {
    "gateway": 8000,
    "gateway-worker": 18001,
    "membership": 18010,
    "membership-worker": 18011,
    "welfare": 18020,
    "welfare-worker": 18021,
    "events": 18030,
    "events-worker": 18031,
    "issuer": 18080,
    "bank": 18090,
    "postgres": 15432,
    "kafka": 19092,
    "kafka-controller": 19093,
}


@dataclass(frozen=True)
class Addresses:
    """Where everything is: ports by name, the two servers, the name that the issuer signs with."""

    ports: dict[str, int]
    postgres: str
    kafka: str
    issuer: str

    @property
    def gateway(self) -> str:
        """The one address that people use."""
        return f"http://{LOOPBACK}:{self.ports['gateway']}"

    @property
    def identity(self) -> str:
        """The issuer as the gateway reaches it."""
        return f"http://{LOOPBACK}:{self.ports['issuer']}{IDENTITY_PATH}"


def base_environment(layout: Layout) -> dict[str, str]:
    """The user's environment without any setting of ours, and the mark of this local stack."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if (not name.startswith("UNIONHALL_") or name in PASSED_ON) and name != BYTECODE_VARIABLE
    }
    return kept | {MARK_VARIABLE: str(layout.root), "PYTHONUNBUFFERED": "1"}


def service_settings(service: str, layout: Layout, secrets: Secrets, addresses: Addresses) -> dict[str, str]:
    """All settings of one service, for its HTTP process, its worker, its migrations and the operator's commands."""
    urls = database_urls(addresses.postgres, service, secrets.roles)
    settings = {
        "UNIONHALL_DATABASE_URL": urls.app,
        "UNIONHALL_WORKER_DATABASE_URL": urls.worker,
        "UNIONHALL_OWNER_DATABASE_URL": urls.owner,
        "UNIONHALL_KAFKA_BOOTSTRAP": addresses.kafka,
        "UNIONHALL_OIDC_ISSUER": addresses.issuer,
        "UNIONHALL_OIDC_AUDIENCE": AUDIENCE,
        "UNIONHALL_OIDC_JWKS_URL": f"{addresses.identity}/jwks",
        "UNIONHALL_KEYS_FILE": str(layout.keys),
        # One machine and a few demo users stand for the offices of a whole province.
        "UNIONHALL_RATE_LIMIT_PER_MINUTE": "60000",
        "UNIONHALL_HTTP_HOST": LOOPBACK,
        "UNIONHALL_HTTP_PORT": str(addresses.ports[service]),
        "UNIONHALL_WORKER_PORT": str(addresses.ports[f"{service}-worker"]),
    }
    if service == "welfare":
        settings["UNIONHALL_MEMBERSHIP_URL"] = f"http://{LOOPBACK}:{addresses.ports['membership']}"
        settings["UNIONHALL_BANK_URL"] = f"http://{LOOPBACK}:{addresses.ports['bank']}"
    if service == "gateway":
        for owner in SERVICES[:-1]:
            settings[f"UNIONHALL_{owner.upper()}_URL"] = f"http://{LOOPBACK}:{addresses.ports[owner]}"
        settings["UNIONHALL_IDENTITY_URL"] = addresses.identity
    return settings


def service_processes(
    service: str, layout: Layout, settings: dict[str, str], ports: dict[str, int]
) -> list[ChildProcess]:
    """The HTTP process and the worker of one service. Neither is given the passwords of the other, nor the owner's."""
    worker = f"{service}-worker"
    ours = base_environment(layout)
    run = ["-m", f"{service}_service.worker", "--run", "relay,consumers,jobs"]
    return [
        python_process(
            service,
            ["-m", f"{service}_service.app"],
            layout.logs,
            ours | without(settings, "UNIONHALL_WORKER_DATABASE_URL", "UNIONHALL_OWNER_DATABASE_URL"),
            ports[service],
        ),
        python_process(
            worker,
            run,
            layout.logs,
            ours | without(settings, "UNIONHALL_DATABASE_URL", "UNIONHALL_OWNER_DATABASE_URL"),
            ports[worker],
        ),
    ]


def without(settings: dict[str, str], *names: str) -> dict[str, str]:
    """The settings but for these."""
    return {name: value for name, value in settings.items() if name not in names}


def python_process(
    name: str,
    arguments: list[str],
    logs: Path,
    environment: dict[str, str],
    port: int,
    health: str = "/health/ready",
) -> ChildProcess:
    """A child of our own interpreter that says on `port` when it is ready."""
    return ChildProcess(
        name=name,
        argv=[sys.executable, *arguments],
        log=logs / f"{name}.log",
        ready=answers_ok(f"http://{LOOPBACK}:{port}{health}"),
        port=port,
        env=environment,
    )


def answers_ok(url: str) -> Callable[[], bool]:
    """A probe: whether a GET of this address on loopback answers 200 within a second."""
    # No proxy of the user's environment stands between this machine and itself.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def probe() -> bool:
        try:
            with opener.open(url, timeout=1) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    return probe
