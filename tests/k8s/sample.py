"""A small build without a fault: membership's HTTP process. Tests break one thing in it at a time."""

from copy import deepcopy
from typing import Any

import yaml

from tests.k8s.manifests import Build, Document

_WRITTEN = """
apiVersion: v1
kind: Namespace
metadata: {name: unionhall, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: common-http-k4t5m6h7g8, namespace: unionhall}
data:
  UNIONHALL_KEYS_FILE: /run/secrets/keys.json
  UNIONHALL_LOG_LEVEL: INFO
  UNIONHALL_OTLP_ENDPOINT: ""
  UNIONHALL_OIDC_AUDIENCE: unionhall
  UNIONHALL_DRAIN_SECONDS: "5"
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: membership-service, namespace: unionhall}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: membership-http, namespace: unionhall}
spec:
  replicas: 2
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  selector: {matchLabels: {app.kubernetes.io/name: membership, app.kubernetes.io/component: http}}
  template:
    metadata:
      labels: {app.kubernetes.io/name: membership, app.kubernetes.io/component: http, app.kubernetes.io/part-of: unionhall}
    spec:
      serviceAccountName: membership-service
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: 40
      securityContext: {runAsNonRoot: true, runAsUser: 10001, fsGroup: 10001, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: service
          image: unionhall/membership:0.1.0
          envFrom: [{configMapRef: {name: common-http-k4t5m6h7g8}}]
          ports: [{name: http, containerPort: 8080}]
          startupProbe: {httpGet: {path: /health/live, port: http}}
          livenessProbe: {httpGet: {path: /health/live, port: http}}
          readinessProbe: {httpGet: {path: /health/ready, port: http}, periodSeconds: 5, timeoutSeconds: 5, failureThreshold: 3}
          lifecycle: {preStop: {sleep: {seconds: 5}}}
          resources: {requests: {cpu: 100m, memory: 192Mi}, limits: {memory: 384Mi}}
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
          volumeMounts: [{name: secrets, mountPath: /run/secrets}, {name: tmp, mountPath: /tmp}]
      volumes:
        - name: secrets
          projected:
            sources:
              - secret: {name: membership-app, items: [{key: url, path: unionhall_database_url}]}
              - secret: {name: keys, items: [{key: keys.json, path: keys.json}]}
        - {name: tmp, emptyDir: {medium: Memory, sizeLimit: 64Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: membership-http, namespace: unionhall}
spec:
  selector: {app.kubernetes.io/name: membership, app.kubernetes.io/component: http}
  ports: [{name: http, port: 8080, targetPort: http}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: membership-http, namespace: unionhall}
spec: {maxUnavailable: 1, selector: {matchLabels: {app.kubernetes.io/name: membership, app.kubernetes.io/component: http}}}
"""
_DOCUMENTS: list[Document] = [document for document in yaml.safe_load_all(_WRITTEN) if document]


def sample(*more: Document) -> Build:
    """A fresh copy, with what a test adds."""
    return Build("sample", frozenset({"base"}), [*deepcopy(_DOCUMENTS), *more])


def of(build: Build, kind: str) -> Document:
    """The one document of a kind, to be changed."""
    (found,) = build.of(kind)
    return found


def pod(build: Build) -> Document:
    """The specification of the Deployment's pods, to be changed."""
    found: Document = of(build, "Deployment")["spec"]["template"]["spec"]
    return found


def put(document: Document, path: str, value: Any) -> None:
    """Sets `containers.0.image`; None removes."""
    *way, last = path.split(".")
    place: Any = document
    for step in way:
        place = place[int(step) if isinstance(place, list) else step]
    if value is None:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
