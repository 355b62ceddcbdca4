"""`python -m tests.k8s check`: builds deploy/k8s in every way, holds it against schemas, the code, compose and the house's rules.

What it needs and how it comes by it is in tools.py. What cannot be had is SKIPPED, which is a failure unless ALLOW_SKIP=1.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from tests.k8s import (
    addresses,
    agreement,
    capacity,
    flows,
    hardening,
    linter,
    outages,
    product,
    prometheus,
    references,
    tools,
)
from tests.k8s.manifests import ROOT, Build, BuildFailed, builds
from tests.k8s.schemas import Schemas


def main(argv: Sequence[str]) -> int:
    """0 when nothing was found and nothing skipped."""
    if not argv or argv[0] != "check" or set(argv[1:]) - set(CHECKS):
        print(f"usage: python -m tests.k8s check [{'] ['.join(CHECKS)}]")
        return 2
    began = time.monotonic()
    skipped: list[str] = []
    try:
        made = builds(tools.kustomize(), tools.BUILD / "combinations")
    except BuildFailed as failed:
        print(f"FAILED k8s-check: {failed}")
        return 1
    except tools.Missing as missing:
        print(f"SKIPPED k8s-check: {missing}")
        return 0 if os.environ.get("ALLOW_SKIP") == "1" else 1
    print(f"builds: {len(made)}, documents: {sum(len(build.documents) for build in made)}")
    chosen = argv[1:] or CHECKS
    found = [line for name in chosen for line in _looked(name, partial(CHECKS[name], made), skipped)]
    for line in found:
        print(f"  {line}")
    print(
        f"{'FAILED' if found else 'passed'} k8s-check in {time.monotonic() - began:.0f} s: {len(found)} found"
    )
    if skipped:
        print(f"SKIPPED of k8s-check: {', '.join(skipped)}")
    return 1 if found or (skipped and os.environ.get("ALLOW_SKIP") != "1") else 0


def _looked(name: str, look: Callable[[], list[str]], skipped: list[str]) -> list[str]:
    began = time.monotonic()
    try:
        found = look()
    except tools.Missing as missing:
        print(f"SKIPPED {name}: {missing}")
        skipped.append(name)
        return []
    print(f"{name}: {time.monotonic() - began:.1f} s, {len(found)} found", flush=True)
    return [f"{name}: {line}" for line in found]


def _each(made: Iterable[Build], look: Callable[[Build], list[str]]) -> list[str]:
    """What `look` finds, each finding once with the first build that has it."""
    found: dict[str, str] = {}
    for build in made:
        for line in look(build):
            found.setdefault(line, build.name)
    return [f"{line} ({build})" for line, build in found.items()]


def _schemas(made: Iterable[Build]) -> list[str]:
    schemas = Schemas(tools.kubernetes_schemas(), tools.definitions())
    seen: set[str] = set()
    found = []
    for build in made:
        for document in build.documents:
            if (text := repr(document)) not in seen:
                seen.add(text)
                found += [f"{line} ({build.name})" for line in schemas.complaints(document)]
    return found


def _compose(made: Iterable[Build]) -> list[str]:
    compose = agreement.composed()
    return _each(made, lambda build: agreement.complaints(build, compose))


def _room(made: Iterable[Build]) -> list[str]:
    return [*_each(made, capacity.complaints), *capacity.of_compose(agreement.composed())]


def _flows(made: Iterable[Build]) -> list[str]:
    listed = flows.declared()
    return _each(made, lambda build: [*flows.complaints(build, listed), *addresses.complaints(build, listed)])


def _prometheus(made: Iterable[Build]) -> list[str]:
    return prometheus.complaints(tools.rules_reader(), made, tools.BUILD / "questions.yml")


def _linter(made: Iterable[Build]) -> list[str]:
    return linter.complaints(tools.python(), made, tools.BUILD / "linted")


#: In this order; `make k8s-check ARGS="names flows"` runs some.
CHECKS: Mapping[str, Callable[[Sequence[Build]], list[str]]] = {
    "schemas": _schemas,
    "pods": lambda made: _each(made, hardening.complaints),
    "outages": lambda made: _each(made, outages.complaints),
    "names": lambda made: _each(made, references.complaints),
    "code": lambda made: _each(made, product.complaints),
    "compose": _compose,
    "room": _room,
    "flows": _flows,
    "prometheus": _prometheus,
    "linter": _linter,
}


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main(sys.argv[1:]))
