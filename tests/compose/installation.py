"""The product under `docker compose`, in a project of its own with secrets of its own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from local_stack.processes import free_port
from tests.support.tokens import AUDIENCE, ISSUER, Issuer, Signed

ADMINISTRATOR = "compose-administrator"
FILES = ("docker-compose.yml", "tests/compose/identity.yml")
#: Whole lines of a container's log that are shown when something fails.
LOG_LINES = "40"
BUILT = "--built"
DOCKER = shutil.which("docker") or ""
MAKE_SECRETS = Path(__file__).resolve().parents[2] / "deploy/compose/make-secrets"


#: Asks and prints what was answered, as JSON.
ASK = """
import json, sys, httpx
with httpx.Client(trust_env=False, timeout=60) as client:
    answers = [client.request(**one) for one in json.load(sys.stdin)]
print(json.dumps([[one.status_code, one.text, dict(one.headers)] for one in answers]))
"""


#: Where a build may come from.
GIT = shutil.which("git") or ""


class ComposeFailed(Exception):
    """A command failed; what it said."""


class Reply(NamedTuple):
    """What was answered inside."""

    status: int
    text: str
    headers: dict[str, str]

    def json(self) -> Any:
        """Its body. Raises ComposeFailed for a refusal."""
        if not httpx.codes.is_success(self.status):
            raise ComposeFailed(f"{self.status} {self.text[:500]}")
        return json.loads(self.text) if self.text else None


def engine_answers() -> bool:
    """Whether there is something to test with."""
    if not DOCKER:
        return False
    asked = ([DOCKER, "version"], [DOCKER, "compose", "version"])
    return all(subprocess.run(ask, capture_output=True, check=False).returncode == 0 for ask in asked)


def docker(
    *words: str, timeout: float = 120, env: dict[str, str] | None = None, given: str | None = None
) -> str:
    """What a command of the engine prints, `given` on its standard input. Raises ComposeFailed with what it complains of."""
    said = f"docker {' '.join(words)[:300]}"
    try:
        ran = subprocess.run(
            [DOCKER, *words],
            env=env,
            input=given or "",
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise ComposeFailed(f"{said}: has not ended after {timeout:.0f} s") from None
    if ran.returncode:
        raise ComposeFailed(f"{said}: {ran.stderr[-3000:]}")
    return ran.stdout


def revision() -> str:
    """The commit that is checked out; `unknown` where there is no git."""
    words = (GIT, "rev-parse", "HEAD")
    said = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip() if GIT else ""
    return said or "unknown"


@dataclass
class Composed:
    """One project of compose."""

    folder: Path
    project: str
    port: int = field(default_factory=free_port)
    issuer: Issuer = field(default_factory=Issuer)
    files: tuple[str, ...] = FILES
    #: What is said in `.env` besides, or instead.
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What a user would write into `.env`."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("UNIONHALL_", "COMPOSE_"))
        }
        said = {
            "UNIONHALL_OIDC_ISSUER": ISSUER,
            "UNIONHALL_OIDC_AUDIENCE": AUDIENCE,
            "UNIONHALL_OIDC_JWKS_URL": "http://identity:8080/identity/jwks",
            "UNIONHALL_IDENTITY_URL": "http://identity:8080/identity",
            "SECRETS_FOLDER": str(self.folder / "secrets"),
            "IDENTITY_FOLDER": str(self.folder / "public"),
            "GATEWAY_PORT": str(self.port),
            "REVISION": revision(),
        }
        return kept | said | self.settings

    def prepare(self) -> None:
        """Secrets by the script that users have; the issuer's public keys."""
        subprocess.run([str(MAKE_SECRETS), str(self.folder / "secrets")], check=True)
        public = self.folder / "public" / "identity"
        public.mkdir(parents=True)
        (public / "jwks").write_text(json.dumps(self.issuer.jwks()), encoding="utf-8")
        # The temporary folder is its owner's alone, and the container is somebody else.
        for path in (self.folder, self.folder / "public", public):
            path.chmod(0o755)

    def compose(self, *words: str, timeout: float = 900, given: str | None = None) -> str:
        """Run `docker compose`, `given` on its standard input; what it printed.

        Raises ComposeFailed with the logs of what is not well.
        """
        files = [word for file in self.files for word in ("--file", file)]
        # No `.env` of whoever runs this is read.
        command = ("compose", "--env-file", "/dev/null", "--project-name", self.project, *files, *words)
        try:
            return docker(*command, timeout=timeout, env=self.environment, given=given)
        except ComposeFailed as failed:
            raise ComposeFailed(f"{failed}\n{self._complaints()}") from None

    def build(self) -> None:
        """All images. Left out with `--built` on the command line: they are there already."""
        if BUILT not in sys.argv:
            self.compose("build", timeout=1800)

    def image(self, service: str) -> str:
        """The image that compose uses for a service."""
        return str(self._configured(service)["image"])

    def labels(self, service: str) -> dict[str, str]:
        """What the image that compose builds for a service has to say of itself."""
        return {
            "org.opencontainers.image.version": self._configured(service)["build"]["args"]["VERSION"],
            "org.opencontainers.image.revision": self.environment["REVISION"],
        }

    def _configured(self, service: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.compose("config", "--format", "json"))["services"][service]
        return found

    def bootstrap(self) -> str:
        """The first administrator, as the book says; the id of the top unit."""
        said = self.compose(
            "run", "--rm", "--no-deps", "-T", "membership-worker", "bootstrap",
            "--issuer", ISSUER, "--subject", ADMINISTRATOR,
            "--organisation-name", "示例省总工会", "--founded-on", "2025-01-01",
        )  # fmt: skip
        return said.strip().splitlines()[-1]

    def program(self, service: str, module: str) -> str:
        """What a program of a service's worker prints, which may end with 1."""
        return self.compose(
            "run", "--rm", "--no-deps", "-T", "--entrypoint", "sh", f"{service}-worker",
            "-c", f"python -m {module} || [ $? = 1 ]", timeout=300,
        )  # fmt: skip

    def answers(self, service: str, paths: Sequence[str]) -> Sequence[tuple[int, str]]:
        """Status and text of what a service's HTTP process answers the administrator, inside."""
        headers = {"Authorization": f"Bearer {self.issuer.token_for(ADMINISTRATOR)}"}
        at = f"http://{service}:8080"
        asked = [{"method": "GET", "url": f"{at}{path}", "headers": headers} for path in paths]
        return [(one.status, one.text) for one in self.inside(*asked)]

    def inside(self, *requests: dict[str, Any], service: str = "membership") -> list[Reply]:
        """Replies to requests that come from within the project's network, in their order."""
        words = ("exec", "-T", service, "python", "-c", ASK)
        said = self.compose(*words, timeout=120, given=json.dumps(requests))
        return [Reply(*one) for one in json.loads(said)]

    def secret(self, name: str) -> str:
        """What `make-secrets` made."""
        return (self.folder / "secrets" / name).read_text("utf-8").strip()

    def user(self, subject: str) -> httpx.AsyncClient:
        """A client of the gateway, signed in by the test's own issuer."""
        url = f"http://127.0.0.1:{self.port}/api/v1"
        return httpx.AsyncClient(
            base_url=url, auth=Signed(partial(self.issuer.token_for, subject)), trust_env=False, timeout=30
        )

    def containers(self) -> list[dict[str, Any]]:
        """What `docker inspect` says of every container of the project."""
        ids = self.compose("ps", "--all", "--quiet").split()
        found: list[dict[str, Any]] = json.loads(docker("inspect", *ids))
        return found

    def container(self, service: str) -> dict[str, Any]:
        """What `docker inspect` says of the container of a service."""
        [found] = [
            one
            for one in self.containers()
            if one["Config"]["Labels"]["com.docker.compose.service"] == service
        ]
        return found

    def memory(self) -> str:
        """What each container uses now."""
        ids = self.compose("ps", "--quiet").split()
        words = ("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", *ids)
        lines = docker(*words).splitlines()
        used = {
            line.split()[0].removeprefix(f"{self.project}-").removesuffix("-1"): line.split()[1]
            for line in lines
        }
        return ", ".join(f"{name} {amount}" for name, amount in sorted(used.items()))

    def check_running(self) -> None:
        """Nothing but the gateway is published, on loopback; the services have no right that they do not need."""
        published = {}
        for container in self.containers():
            name = container["Config"]["Labels"]["com.docker.compose.service"]
            for bindings in container["HostConfig"]["PortBindings"].values():
                published[name] = [(binding["HostIp"], binding["HostPort"]) for binding in bindings]
            if name in {"postgres", "kafka", "identity"}:
                continue
            host = container["HostConfig"]
            assert host["ReadonlyRootfs"], name
            assert host["CapDrop"] == ["ALL"], name
            assert not host["CapAdd"], name
            assert host["Memory"] > 0, name
            assert container["Config"]["User"] not in {"", "0", "root"}, name
            assert not [word for word in container["Config"]["Env"] if "postgresql://" in word], name
        assert published == {"gateway": [("127.0.0.1", str(self.port))]}, published

    def check_stopped(self) -> None:
        """Everything ended by itself after SIGTERM: nothing had to be killed, nothing was out of memory."""
        for container in self.containers():
            name, state = container["Config"]["Labels"]["com.docker.compose.service"], container["State"]
            # 143: Java and Python's plain server end by the signal. 137 would be a kill.
            allowed = {0, 143} if name in {"kafka", "identity"} else {0}
            assert state["ExitCode"] in allowed or name == "identity", (
                f"{name} ended with {state['ExitCode']}"
            )
            assert not state["OOMKilled"], name

    def _complaints(self) -> str:
        seen = subprocess.run(
            [DOCKER, "ps", "--all", "--filter", f"label=com.docker.compose.project={self.project}",
             "--format", "{{.ID}} {{.Names}} {{.Status}}"],
            capture_output=True, text=True, check=False,
        ).stdout.splitlines()  # fmt: skip
        told = []
        for line in seen:
            if "(healthy)" in line or "Exited (0)" in line:
                continue
            logs = subprocess.run(
                [DOCKER, "logs", "--tail", LOG_LINES, line.split()[0]],
                capture_output=True,
                text=True,
                check=False,
            )
            told.append(f"--- {line}\n{logs.stdout}{logs.stderr}")
        return "\n".join(told)


@contextmanager
def temporary(files: tuple[str, ...] = FILES, **settings: str) -> Iterator[Composed]:
    """A project that is gone afterwards, with its volumes; the images stay, so that another run is quicker."""
    with tempfile.TemporaryDirectory(prefix="unionhall-compose-", ignore_cleanup_errors=True) as folder:
        if not os.environ.get("DOCKER_HOST", "unix:").startswith("unix:"):
            print(
                "note: folders of this machine are mounted and its 127.0.0.1 is asked: DOCKER_HOST must be on it"
            )
        project = f"unionhall-test-{os.getpid()}"
        installation = Composed(Path(folder), project, files=files, settings=settings)
        installation.prepare()
        try:
            yield installation
        finally:
            installation.compose("down", "--volumes", "--timeout", "30")
