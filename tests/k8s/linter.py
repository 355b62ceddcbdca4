"""checkov over the overlays, in an environment of its own. Exceptions and their reasons are in deploy/k8s/checkov.yaml."""

import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.k8s.manifests import FOLDER, OVERLAYS, Build

CONFIGURATION = FOLDER / "checkov.yaml"


def complaints(python: Path, builds: Iterable[Build], scratch: Path) -> list[str]:
    """What the linter finds in what the overlays come to."""
    scratch.mkdir(parents=True, exist_ok=True)
    for build in builds:
        if build.name in OVERLAYS:
            (scratch / f"{build.name}.yaml").write_text(yaml.safe_dump_all(build.documents), "utf-8")
    return list(failed(_asked(python, [scratch / f"{overlay}.yaml" for overlay in OVERLAYS])))


def failed(report: Any) -> Iterator[str]:
    """The failed checks of a report; a report about nothing is an error."""
    reports = report if isinstance(report, list) else [report]
    passed = sum(one["summary"]["passed"] for one in reports if "summary" in one)
    if not passed:
        yield "the linter looked at nothing"
    for one in reports:
        for check in one.get("results", {}).get("failed_checks", ()):
            overlay = Path(check["file_path"]).stem
            yield f"{check['check_id']} {check['check_name']}: {check['resource']} ({overlay})"


def _asked(python: Path, files: Sequence[Path]) -> Any:
    words = ["--config-file", str(CONFIGURATION), "--framework", "kubernetes", "--output", "json"]
    ran = subprocess.run(
        [str(python.with_name("checkov")), "--file", *map(str, files), *words,
         "--quiet", "--compact", "--skip-download", "--soft-fail"],
        capture_output=True, text=True, check=True, timeout=900,
        env={**os.environ, "LOG_LEVEL": "ERROR", "BC_SKIP_MAPPING": "TRUE"},
    )  # fmt: skip
    return json.loads(ran.stdout)
