"""A namespace with a plain server of one file, in the identity provider's place."""

import hashlib
from collections.abc import Iterator
from typing import Final

from tests.k8s.manifests import Document

NAMESPACE: Final = "identity"
_CERTIFICATES: Final = "/public/identity/realms/unionhall/protocol/openid-connect"
_LABELS: Final = {"app": "identity"}


def documents(keys: str, image: str) -> Iterator[Document]:
    """All of it. Other keys make another name, and so another pod."""
    named = f"keys-{hashlib.sha256(keys.encode()).hexdigest()[:8]}"
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _meta(named), "data": {"certs": keys}}
    service = {"selector": _LABELS, "ports": [{"port": 8080}]}
    yield {"apiVersion": "v1", "kind": "Service", "metadata": _meta("identity"), "spec": service}
    template = {"metadata": {"labels": _LABELS}, "spec": _pod(named, image)}
    spec = {"selector": {"matchLabels": _LABELS}, "template": template}
    yield {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _meta("identity"), "spec": spec}


def _meta(name: str) -> dict[str, str]:
    return {"name": name, "namespace": NAMESPACE}


def _pod(keys: str, image: str) -> Document:
    container = {
        "name": "identity",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["python", "-m", "http.server", "8080", "--directory", "/public"],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 2, "timeoutSeconds": 5},
        "volumeMounts": [{"name": "keys", "mountPath": _CERTIFICATES}],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
    }
    return {
        "enableServiceLinks": False,
        # The server does not listen to the signal that would end it.
        "terminationGracePeriodSeconds": 2,
        "containers": [container],
        "volumes": [{"name": "keys", "configMap": {"name": keys}}],
    }
