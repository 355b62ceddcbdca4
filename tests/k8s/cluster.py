"""The product on a real cluster, as overlays/local has it, in a namespace that is deleted afterwards.

`KUBECONFIG` names the cluster, `K8S_GATEWAY` the address at which its NodePort 30800 answers, `K8S_LOAD` a command that brings
images into it (`kind load docker-image`); without one the nodes have them already.
"""

import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import yaml

from tests.k8s.manifests import ROOT, Document
from tests.k8s.references import SERVICES
from tests.k8s.tools import BUILD
from tests.support.tokens import AUDIENCE, ISSUER, Issuer

GATEWAY: Final = os.environ.get("K8S_GATEWAY", "http://127.0.0.1:30800")
ADMINISTRATOR: Final = "k8s-administrator"
#: What has to be done before a process of the product is of use.
FIRST: Final = "app.kubernetes.io/component notin (http,worker)"
IMAGES: Final = tuple(f"unionhall/{service}:0.1.0" for service in SERVICES)
SERVERS: Final = ("postgres:18", "apache/kafka:4.3.1")
_CERTIFICATES: Final = "/public/identity/realms/unionhall/protocol/openid-connect"
_PATIENCE: Final = "--timeout=300s"
KUBECTL: Final = shutil.which("kubectl") or "kubectl"


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
        super().__init__()
        self._cluster = cluster

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it on."""
        self._cluster.requests += 1
        try:
            response = await super().handle_async_request(request)
        except httpx.TransportError as error:
            self._cluster.failures.append(f"{request.method} {request.url.path}: {type(error).__name__}")
            raise
        if response.is_server_error:
            self._cluster.failures.append(f"{request.method} {request.url.path}: {response.status_code}")
        return response


@dataclass
class Cluster:
    """The namespaces `unionhall` and `identity`."""

    issuer: Issuer = field(default_factory=Issuer)
    requests: int = 0
    failures: list[str] = field(default_factory=list)

    def kubectl(self, *words: str, given: str | None = None, timeout: float = 600) -> str:
        """What it printed. Raises ClusterFailed."""
        ran = subprocess.run(
            [KUBECTL, "--namespace", "unionhall", *words],
            input=given, capture_output=True, text=True, check=False, timeout=timeout,
        )  # fmt: skip
        if ran.returncode:
            raise ClusterFailed(
                f"kubectl {' '.join(words)}: {ran.stderr.strip()[-2000:]}\n{self._complaints()}"
            )
        return ran.stdout

    def load(self) -> None:
        """Bring the images in."""
        if command := os.environ.get("K8S_LOAD"):
            subprocess.run([*shlex.split(command), *IMAGES, *SERVERS], check=True, timeout=900)

    def prepare(self) -> None:
        """Namespace, secrets by the script that users have, and somebody who publishes the keys of the test's own issuer."""
        self.kubectl("apply", "-f", str(ROOT / "deploy/k8s/base/namespace.yaml"))
        script = [str(ROOT / "deploy/k8s/make-secrets"), "postgres", str(BUILD / "secrets")]
        made = subprocess.run(script, capture_output=True, text=True, check=True)
        self.kubectl("apply", "-f", "-", given=made.stdout)
        self.kubectl("apply", "-f", "-", given=yaml.safe_dump_all(_identity(json.dumps(self.issuer.jwks()))))

    def install(self) -> None:
        """As the book says: servers and jobs first, then all."""
        folder = str(_overlay())
        self.kubectl("apply", "-k", folder, "--selector", FIRST)
        self.kubectl("wait", "--for=condition=complete", _PATIENCE, "job", "--all")
        self.kubectl("apply", "-k", folder)
        for name in self.deployments():
            self.rolled_out(name)

    def deployments(self) -> list[str]:
        """Names of all Deployments."""
        return self.kubectl("get", "deployments", "-o", "name").split()

    def rolled_out(self, name: str) -> None:
        """Wait until every pod is the new one."""
        self.kubectl("rollout", "status", name, _PATIENCE)

    def bootstrap(self) -> str:
        """The first administrator, as the book says; the id of the top unit."""
        said = self.kubectl(
            "exec", "deploy/membership-worker", "--", "bootstrap", "--issuer", ISSUER, "--subject", ADMINISTRATOR,
            "--organisation-name", "示例省总工会", "--founded-on", "2025-01-01",
        )  # fmt: skip
        return said.strip().splitlines()[-1]

    def user(self, subject: str) -> httpx.AsyncClient:
        """A client of the gateway, signed in by the test's own issuer for as long as the test may take."""
        token = self.issuer.token_for(subject, exp=int(time.time()) + 7200)
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.AsyncClient(
            base_url=f"{GATEWAY}/api/v1", headers=headers, timeout=30, transport=Counting(self)
        )

    def pods(self, *labels: str) -> list[Document]:
        """Pods with these labels that nobody told to end."""
        found: Any = json.loads(self.kubectl("get", "pods", "-l", ",".join(labels), "-o", "json"))
        return [pod for pod in found["items"] if "deletionTimestamp" not in pod["metadata"]]

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
        waiting = [
            line.split()[0]
            for line in told.splitlines()[1:]
            if " Running " not in line and " Completed " not in line
        ]
        for pod in waiting[:4]:
            for words in (["logs", "--tail=15", pod], ["describe", "pod", pod]):
                seen = subprocess.run(
                    [KUBECTL, "--namespace", "unionhall", *words],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                told += f"--- {' '.join(words)}\n{(seen.stdout + seen.stderr)[-1500:]}\n"
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
        for namespace in ("unionhall", "identity"):
            asked: Sequence[str] = [
                "kubectl",
                "delete",
                "namespace",
                namespace,
                "--ignore-not-found",
                "--timeout=120s",
            ]
            subprocess.run(asked, capture_output=True, check=False)


def _overlay() -> Any:
    """overlays/local with the test's issuer."""
    folder = BUILD / "cluster"
    folder.mkdir(parents=True, exist_ok=True)
    up = "../" * len(folder.relative_to(ROOT).parts)
    literals = [f"UNIONHALL_OIDC_ISSUER={ISSUER}", f"UNIONHALL_OIDC_AUDIENCE={AUDIENCE}"]
    content = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "unionhall",
        "resources": [f"{up}deploy/k8s/overlays/local"],
        "configMapGenerator": [{"name": "common-http", "behavior": "merge", "literals": literals}],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content), "utf-8")
    return folder


def _identity(keys: str) -> Iterator[Document]:
    """A namespace with a plain server of one file, in the identity provider's place."""
    meta = {"name": "identity", "namespace": "identity"}
    labels = {"app": "identity"}
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "identity"}}
    yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"certs": keys}}
    ports = [{"port": 8080}]
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta,
        "spec": {"selector": labels, "ports": ports},
    }
    container = {
        "name": "identity",
        "image": IMAGES[0],
        "imagePullPolicy": "IfNotPresent",
        "args": ["python", "-m", "http.server", "8080", "--directory", "/public"],
        "volumeMounts": [{"name": "keys", "mountPath": _CERTIFICATES}],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
    }
    pod = {
        "enableServiceLinks": False,
        "containers": [container],
        "volumes": [{"name": "keys", "configMap": {"name": "identity"}}],
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    yield {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}
