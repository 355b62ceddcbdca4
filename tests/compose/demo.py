"""The profile demo, brought up with its own settings: what it holds is counted through the gateway and held against README.md."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from shared.contracts.welfare import CaseStage
from tests.compose.installation import Composed
from tests.identity import image
from unionhall_cli.demo.places import TOP_CODE

FILES = ("docker-compose.yml",)
SETTINGS = Path("deploy/compose/demo.env")
#: The address in it; the test takes another port.
ORIGIN = "http://127.0.0.1:8000"
#: Seconds to start all and to load the federation.
LOADED = 1800
PROMISE = re.compile(
    r"(?P<organisations>[\d,]+) organisations, a roster of (?P<members>[\d,]+) people and"
    r" (?P<rejected>[\d,]+) deliberately wrong rows, (?P<dossiers>[\d,]+) hardship"
    r" dossiers, (?P<cases>[\d,]+) aid cases in all stages, (?P<activities>[\d,]+) activities"
)


def steps(installation: Composed) -> Iterator[str]:
    """What was done, a line each. Raises AssertionError where the demo is not what is promised."""
    origin = f"http://127.0.0.1:{installation.port}"
    lines = SETTINGS.read_text("utf-8").replace(ORIGIN, origin).splitlines()
    installation.settings |= dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    name = installation.image("keycloak")
    yield f"{name}: {image.ensure(name)}"
    installation.build()
    yield "images built, the demo's too"
    up = ("up", "--detach", "--wait", "--wait-timeout", str(LOADED))
    installation.compose(*up, timeout=LOADED + 60)
    yield "up: the federation is loaded"
    promised, found = promise(), counted(installation, origin)
    stages = found.pop("stages")
    assert found == promised, f"README.md promises {promised}, there is {found}"
    assert stages == set(CaseStage), f"no aid case is {set(CaseStage) - stages}"
    yield f"as README.md promises: {', '.join(f'{count} {name}' for name, count in found.items())}"


def promise() -> dict[str, int]:
    """How much of everything README.md says there is."""
    told = PROMISE.search(" ".join(Path("README.md").read_text("utf-8").split()))
    assert told, "README.md no longer says what the demo holds"
    return {name: int(number.replace(",", "")) for name, number in told.groupdict().items()}


def counted(installation: Composed, origin: str) -> dict[str, Any]:
    """The same, by the gateway's answers, and the stages that aid cases are in."""
    with _user(installation, origin, "auditor") as auditor:
        units = auditor.get("/organisations").raise_for_status().json()
        [top] = [unit["id"] for unit in units if unit["code"] == TOP_CODE]
        below = {"organisation": top}
        dashboard = auditor.get(f"/organisations/{top}/dashboard", params={"days": 1}).raise_for_status()
        cases = list(_all(auditor, "/cases", below))
        with _user(installation, origin, "registrar-province") as registrar:
            [roster] = _all(registrar, "/rosters", below)
        return {
            "organisations": len(list(_all(auditor, f"/organisations/{top}/subtree", {}))),
            "members": dashboard.json()["members"],
            "rejected": roster["rejected"],
            "dossiers": len(list(_all(auditor, "/dossiers", below))),
            "cases": len(cases),
            "activities": len(list(_all(auditor, "/activities", below))),
            "stages": {case["stage"] for case in cases},
        }


def _user(installation: Composed, origin: str, name: str) -> httpx.Client:
    token = installation.compose("exec", "-T", "demo", "unionhall", "token", "--user", name).strip()
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=f"{origin}/api/v1", headers=headers, trust_env=False, timeout=60)


def _all(user: httpx.Client, path: str, asked: dict[str, str]) -> Iterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    while True:
        page = user.get(path, params={"limit": "200"} | asked | cursor).raise_for_status().json()
        yield from page["items"]
        if page["next_cursor"] is None:
            return
        cursor = {"cursor": page["next_cursor"]}
