"""How the linter's report is read, and that every exception has its reason."""

import re

from tests.k8s.linter import CONFIGURATION, failed


def test_a_failed_check_is_told() -> None:
    check = {"check_id": "CKV_K8S_20", "check_name": "No privileges", "resource": "Deployment.unionhall.x"}
    check["file_path"] = "/build/k8s/linted/local.yaml"
    report = {"summary": {"passed": 3}, "results": {"failed_checks": [check]}}
    assert list(failed(report)) == ["CKV_K8S_20 No privileges: Deployment.unionhall.x (local)"]
    assert list(failed([report])) == list(failed(report))


def test_a_report_about_nothing_is_no_pass() -> None:
    assert list(failed({"summary": {"passed": 0}})) == ["the linter looked at nothing"]
    assert list(failed({"passed": 0, "failed": 0})) == ["the linter looked at nothing"]


def test_every_exception_has_its_reason() -> None:
    lines = CONFIGURATION.read_text("utf-8").splitlines()
    exceptions = [number for number, line in enumerate(lines) if line.strip().startswith("- CKV")]
    assert exceptions
    assert all(re.match(r"  # \S.{20,}", lines[number - 1]) for number in exceptions)
