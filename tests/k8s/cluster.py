"""The product on a real cluster, as overlays/local has it, in a namespace that is deleted afterwards.

`KUBECONFIG` names the cluster, `K8S_GATEWAY` the address at which its NodePort 30800 answers, `K8S_LOAD` a command that brings
images into it (`kind load docker-image`): then they are built here first. Without it the nodes have them already.
"""

import base64
import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from local_stack.plan import SERVICES
from tests.compose.installation import ASK
from tests.k8s import identity
from tests.k8s.manifests import ROOT, Document
from tests.k8s.tools import BUILD
from tests.support.tokens import AUDIENCE, ISSUER, Issuer, Signed

GATEWAY: Final = os.environ.get("K8S_GATEWAY", "http://127.0.0.1:30800")
ADMINISTRATOR: Final = "k8s-administrator"
#: What is installed, and what it is updated to: the same programs under another version.
VERSION, NEXT = "0.1.0", "0.1.1"
IMAGES: Final = tuple(f"unionhall/{service}:{version}" for version in (VERSION, NEXT) for service in SERVICES)
SERVERS: Final = ("postgres:18", "apache/kafka:4.3.1")
#: What has to be done before a process of the product is of use.
FIRST: Final = "app.kubernetes.io/component notin (http,worker)"
#: Seconds for pods to come up.
PATIENCE: Final = 300
KUBECTL: Final = shutil.which("kubectl") or "kubectl"
#: Connections are kept for less time than servers keep them, as careful clients do.
_LIMITS: Final = httpx.Limits(keepalive_expiry=2)


class ClusterFailed(AssertionError):
    """A command failed; what it said."""


def answers() -> bool:
    """Whether there is a cluster to test with."""
    asked = [KUBECTL, "get", "--raw", "/readyz", "--request-timeout=5s"]
    return (
        shutil.which(KUBECTL) is not None
        and subprocess.run(asked, capture_output=True, check=False).returncode == 0
    )


class Counting(httpx.AsyncHTTPTransport):
    """Notes every answer, and every failure to get one, before anybody repeats the request."""

    def __init__(self, cluster: "Cluster") -> None:
        super().__init__(limits=_LIMITS)
        self._cluster = cluster

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it on."""
        self._cluster.requests += 1
        began = time.monotonic()
        try:
            response = await super().handle_async_request(request)
        except httpx.TransportError as error:
            self._cluster.failures.append(f"{request.method} {request.url.path}: {type(error).__name__}")
            raise
        self._cluster.slowest = max(self._cluster.slowest, time.monotonic() - began)
        if response.is_server_error:
            await response.aread()
            code = response.text[:200] if response.headers.get("content-type", "").endswith("json") else ""
            self._cluster.failures.append(
                f"{request.method} {request.url.path}: {response.status_code} {code}"
            )
        return response


@dataclass
class Cluster:
    """The namespaces `unionhall` and `identity`."""

    issuer: Issuer = field(default_factory=Issuer)
    #: RS256 or ES256: of the issuer's two keys the one that it signs with.
    signs_with: str = "RS256"
    requests: int = 0
    slowest: float = 0.0
    failures: list[str] = field(default_factory=list)

    def kubectl(
        self, *words: str, given: str | None = None, timeout: float = 600, namespace: str = "unionhall"
    ) -> str:
        """What it printed. Raises ClusterFailed."""
        ran = subprocess.run(
            [KUBECTL, "--namespace", namespace, *words],
            input=given, capture_output=True, text=True, check=False, timeout=timeout,
        )  # fmt: skip
        if ran.returncode:
            raise ClusterFailed(
                f"kubectl {' '.join(words)}: {ran.stderr.strip()[-2000:]}\n{self._complaints()}"
            )
        return ran.stdout

    def get(self, *words: str) -> Document:
        """What `kubectl get` tells."""
        found: Document = json.loads(self.kubectl("get", *words, "-o", "json"))
        return found

    def load(self) -> None:
        """Build the images and bring them in."""
        if not (command := os.environ.get("K8S_LOAD")):
            return
        for image in IMAGES:
            service, version = image.removeprefix("unionhall/").split(":")
            build = ["docker", "build", "--quiet", "--tag", image]
            build += [f"--build-arg=SERVICE={service}", f"--build-arg=VERSION={version}", str(ROOT)]
            subprocess.run(build, check=True, capture_output=True, timeout=1800)
        subprocess.run([*shlex.split(command), *IMAGES, *SERVERS], check=True, timeout=900)

    def prepare(self) -> None:
        """Namespace, secrets by the script that users have, and somebody who publishes the keys of the test's own issuer."""
        self.kubectl("apply", "-f", str(ROOT / "deploy/k8s/base/namespace.yaml"))
        script = [str(ROOT / "deploy/k8s/make-secrets"), "postgres", str(BUILD / "secrets")]
        made = subprocess.run(script, capture_output=True, text=True, check=True)
        self.kubectl("apply", "-f", "-", given=made.stdout)
        self.publish(self.issuer.jwks())

    def publish(self, keys: Document) -> None:
        """From now on these are the issuer's keys."""
        documents = yaml.safe_dump_all(identity.documents(json.dumps(keys), IMAGES[0]))
        self.kubectl("apply", "-f", "-", given=documents, namespace=identity.NAMESPACE)
        self.kubectl(
            "rollout", "status", "deploy/identity", f"--timeout={PATIENCE}s", namespace=identity.NAMESPACE
        )

    def install(self) -> None:
        """As the book says: servers and jobs first, then all."""
        folder = overlay(VERSION)
        self.do_first(folder)
        assert not self.deployments(), "a process of the product was started before its database was migrated"
        self.kubectl("apply", "-k", folder)
        for name in self.deployments():
            self.rolled_out(name)

    def do_first(self, folder: str) -> None:
        """Servers and jobs of an overlay; the jobs of the version before are in the way."""
        self.kubectl("delete", "job", "--selector", "app.kubernetes.io/component in (migrate,topics)")
        self.kubectl("apply", "-k", folder, "--selector", FIRST)
        self.kubectl("wait", "--for=condition=complete", f"--timeout={PATIENCE}s", "job", "--all")

    def deployments(self) -> list[str]:
        """`deployment.apps/membership-http` and so on."""
        return self.kubectl("get", "deployments", "-o", "name").split()

    def rolled_out(self, name: str) -> None:
        """Wait until every pod is the new one."""
        self.kubectl("rollout", "status", name, f"--timeout={PATIENCE}s")

    def restart(self) -> None:
        """All processes of the product, one Deployment after the other, as the runbook says after a change of keys."""
        for name in self.deployments():
            self.kubectl("rollout", "restart", name)
            self.rolled_out(name)
        # Those that were told to end still answer, and seal, with the keys that they have.
        until(self._none_is_ending, "the processes of before have ended")

    def bootstrap(self) -> str:
        """The first administrator, as the book says; the id of the top unit."""
        said = self.kubectl(
            "exec", "deploy/membership-worker", "--", "bootstrap", "--issuer", ISSUER, "--subject", ADMINISTRATOR,
            "--organisation-name", "示例省总工会", "--founded-on", "2025-01-01",
        )  # fmt: skip
        return said.strip().splitlines()[-1]

    def token(self, subject: str) -> str:
        """Signed with the issuer's key of now."""
        if self.signs_with == "RS256":
            return self.issuer.token_for(subject)
        header = {"kid": "test-ec"}
        return self.issuer.token_for(subject, key=self.issuer.curve_key, algorithm="ES256", headers=header)

    def user(self, subject: str) -> httpx.AsyncClient:
        """A client of the gateway, signed in by the test's own issuer."""
        return httpx.AsyncClient(
            base_url=f"{GATEWAY}/api/v1",
            auth=Signed(partial(self.token, subject)),
            timeout=30,
            transport=Counting(self),
        )

    def program(self, service: str, module: str) -> str:
        """What a program in a service's worker prints, which may end with 1."""
        words = ["exec", f"deploy/{service}-worker", "--", "sh", "-c", f"python -m {module} || [ $? = 1 ]"]
        return self.kubectl(*words)

    def answers(self, service: str, paths: Sequence[str]) -> Sequence[tuple[int, str]]:
        """Status and text of what a service answers the administrator in a pod of its own: nobody else reaches it."""
        headers = {"Authorization": f"Bearer {self.token(ADMINISTRATOR)}"}
        at = "http://127.0.0.1:8080"
        asked = [{"method": "GET", "url": f"{at}{path}", "headers": headers} for path in paths]
        words = ["exec", "-i", f"deploy/{service}-http", "--", "python", "-c", ASK]
        return [
            (status, text) for status, text, _ in json.loads(self.kubectl(*words, given=json.dumps(asked)))
        ]

    def pods(self, *labels: str) -> list[Document]:
        """Pods with these labels that nobody told to end."""
        found = self.get("pods", "-l", ",".join(labels))
        return [pod for pod in found["items"] if "deletionTimestamp" not in pod["metadata"]]

    def sql(self, service: str, statement: str) -> str:
        """What the database answers to its superuser, a row a line."""
        words = ["exec", "postgres-0", "--", "psql", "-U", "postgres", "-d", f"unionhall_{service}"]
        return self.kubectl(*words, "-v", "ON_ERROR_STOP=1", "-Atqc", statement).strip()

    def key_ring(self) -> Document:
        """As the pods are given it."""
        held = self.get("secret", "keys")["data"]["keys.json"]
        found: Document = json.loads(base64.b64decode(held))
        return found

    def give_keys(self, ring: Document) -> None:
        """Another ring for processes that start from now on."""
        data = {"keys.json": json.dumps(ring)}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": data}
        self.kubectl("apply", "-f", "-", given=json.dumps(secret))

    def _none_is_ending(self) -> bool:
        return not [pod for pod in self.get("pods")["items"] if "deletionTimestamp" in pod["metadata"]]

    def evict(self, pod: str) -> bool:
        """Ask for a pod's eviction as `kubectl drain` does; whether it was granted. Raises ClusterFailed for any other answer."""
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": "unionhall"},
        }
        path = f"/api/v1/namespaces/unionhall/pods/{pod}/eviction"
        try:
            self.kubectl("create", "--raw", path, "-f", "-", given=json.dumps(eviction))
        except ClusterFailed as refused:
            if "disruption budget" in str(refused) or "TooManyRequests" in str(refused):
                return False
            raise
        return True

    def _complaints(self) -> str:
        asked = [KUBECTL, "--namespace", "unionhall", "get", "pods", "-o", "wide"]
        told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
        lines = [line.split() for line in told.splitlines()[1:]]
        waiting = [
            words[0]
            for words in lines
            if words[2] not in {"Running", "Completed"}
            or (words[1].startswith("0/") and words[2] == "Running")
        ]
        for pod in waiting[:4]:
            for asking in (["logs", "--tail=15", pod], ["describe", "pod", pod]):
                seen = subprocess.run(
                    [KUBECTL, "--namespace", "unionhall", *asking],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                told += f"--- {' '.join(asking)}\n{(seen.stdout + seen.stderr)[-1500:]}\n"
        return told


@contextmanager
def installed() -> Iterator[Cluster]:
    """The product, up and running; gone afterwards."""
    cluster = Cluster()
    try:
        cluster.load()
        cluster.prepare()
        cluster.install()
        yield cluster
    finally:
        for namespace in ("unionhall", identity.NAMESPACE):
            asked = [KUBECTL, "delete", "namespace", namespace, "--ignore-not-found", "--timeout=120s"]
            subprocess.run(asked, capture_output=True, check=False)


def until(true: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait for it. Raises AssertionError with what did not become so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not so after {seconds:.0f} s: {what}"
        time.sleep(1)


def overlay(version: str, name: str = "", **more: Any) -> str:
    """The folder of overlays/local with the test's issuer, a version of the images, and what is added."""
    folder = BUILD / "cluster" / (name or version)
    folder.mkdir(parents=True, exist_ok=True)
    literals = [f"UNIONHALL_OIDC_ISSUER={ISSUER}", f"UNIONHALL_OIDC_AUDIENCE={AUDIENCE}"]
    issuer = {"name": "common-http", "behavior": "merge", "literals": literals}
    content = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "unionhall",
        "resources": [_from(folder, ROOT / "deploy/k8s/overlays/local")],
        "images": [{"name": f"unionhall/{service}", "newTag": version} for service in SERVICES],
        **more,
        "configMapGenerator": [issuer, *more.get("configMapGenerator", ())],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content), "utf-8")
    return str(folder)


def _from(folder: Path, target: Path) -> str:
    up = "../" * len(folder.relative_to(ROOT).parts)
    return f"{up}{target.relative_to(ROOT)}"
