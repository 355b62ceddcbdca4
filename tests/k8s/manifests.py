"""What kustomize makes of deploy/k8s: every overlay, and the base with every combination of components."""

import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/k8s"
OVERLAYS = ("local", "staging", "production")
COMPONENTS = ("strimzi", "cloudnative-pg", "keda", "hpa", "monitoring", "gateway-api")
#: Kinds that make pods here, and where the template of the pod is in all of them.
WORKLOADS = ("Deployment", "StatefulSet", "Job")
Document = dict[str, Any]


class _Loader(yaml.CSafeLoader):
    """Quick, and a plain `=` is a text: PyYAML gives it a meaning that nobody else knows."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: str(node.value))


class BuildFailed(Exception):
    """kustomize refused; what it said."""


@dataclass(frozen=True)
class Workload:
    """Something that makes pods."""

    document: Document

    @property
    def kind(self) -> str:
        """Deployment, StatefulSet or Job."""
        return str(self.document["kind"])

    @property
    def name(self) -> str:
        """`membership-http`."""
        return str(self.document["metadata"]["name"])

    @property
    def labels(self) -> dict[str, str]:
        """Of its pods."""
        return dict(self.document["spec"]["template"]["metadata"].get("labels", {}))

    @property
    def pod(self) -> Document:
        """The specification of its pods."""
        found: Document = self.document["spec"]["template"]["spec"]
        return found

    @property
    def container(self) -> Document:
        """The first container, which is the only one in all of ours."""
        found: Document = self.pod["containers"][0]
        return found

    @property
    def is_ours(self) -> bool:
        """Whether it runs an image of this project's."""
        return self.labels.get("app.kubernetes.io/part-of") == "unionhall"


@dataclass(frozen=True)
class Build:
    """One result of kustomize. `parts`: "base", and the overlay or components that went into it."""

    name: str
    parts: frozenset[str]
    documents: Sequence[Document]

    def of(self, *kinds: str) -> list[Document]:
        """The documents of these kinds."""
        return [document for document in self.documents if document["kind"] in kinds]

    def named(self, kind: str, name: str) -> Document | None:
        """The document of this kind and name."""
        return next((found for found in self.of(kind) if found["metadata"]["name"] == name), None)

    @property
    def workloads(self) -> list[Workload]:
        """All that makes pods."""
        return [Workload(document) for document in self.of(*WORKLOADS)]


def documents(text: str) -> list[Document]:
    """All of a text."""
    return [document for document in yaml.load_all(text, _Loader) if document]


def builds(kustomize: Sequence[str], scratch: Path) -> list[Build]:
    """All of them; `scratch` takes the files of combinations. Raises BuildFailed."""
    wanted = [*_overlays(), *_combinations(scratch)]
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda one: Build(one[0], one[1], build(kustomize, one[2])), wanted))


def build(kustomize: Sequence[str], folder: Path) -> list[Document]:
    """The documents of one folder. Raises BuildFailed."""
    ran = subprocess.run([*kustomize, str(folder)], capture_output=True, text=True, check=False, timeout=120)
    if ran.returncode:
        raise BuildFailed(f"{folder.relative_to(ROOT)}: {ran.stderr.strip()}")
    # What kustomize calls deprecated today will be refused tomorrow.
    if "deprecated" in ran.stderr:
        raise BuildFailed(f"{folder.relative_to(ROOT)}: {ran.stderr.strip()}")
    return documents(ran.stdout)


def _overlays() -> Iterator[tuple[str, frozenset[str], Path]]:
    for overlay in OVERLAYS:
        folder = FOLDER / "overlays" / overlay
        written = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
        components = {Path(component).name for component in written.get("components", ())}
        yield overlay, frozenset({"base", overlay, *components}), folder


def _combinations(scratch: Path) -> Iterator[tuple[str, frozenset[str], Path]]:
    chosen = chain.from_iterable(combinations(COMPONENTS, count) for count in range(len(COMPONENTS) + 1))
    for components in chosen:
        name = "+".join(("base", *components))
        folder = scratch / name
        folder.mkdir(parents=True, exist_ok=True)
        up = "../" * len(folder.relative_to(ROOT).parts)
        content = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "unionhall",
            "resources": [f"{up}deploy/k8s/base"],
            "components": [f"{up}deploy/k8s/components/{component}" for component in components],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(content), "utf-8")
        yield name, frozenset({"base", *components}), folder
