"""Loads the demo federation as its users would: through the gateway, with their tokens, and the public import of rosters.

Every step first looks at what is there, so that a second run, or one that follows a killed one, only does what is missing.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from local_stack import control, elsewhere
from local_stack.users import DemoUser, demo_user, demo_users
from unionhall_cli.demo.places import TOP_CODE, TOP_FOUNDED, TOP_NAME, Employer, Scale
from unionhall_cli.federation import Federation, federation
from unionhall_cli.output import give_up

#: Done and expected of the running step.
Progress = Callable[[float, float], None]
#: Seconds between two looks at what runs in the background.
_LOOK: Final = 0.2
#: Seconds after which a view that shows nothing new is given up.
_PATIENCE: Final = 120
_AWAITED: Final = frozenset({"checking", "applying"})
#: How the service's program ends if somebody is administrator already.
_ALREADY: Final = 3


@dataclass(frozen=True)
class Loaded:
    """What the demo has: the top unit and the import that brought the members."""

    organisation_id: str
    roster: dict[str, Any]


def top_unit(user: str = "auditor") -> str | None:
    """The id of the province's unit, if `user` holds a post there.

    Services remember for some seconds who holds none: asking as the auditor leaves the administrator unasked.
    """
    with federation(user) as asked:
        for unit in asked.get("/api/v1/organisations"):
            if unit["code"] == TOP_CODE:
                return str(unit["id"])
    return None


def bootstrap(issuer: str) -> str:
    """Found the province and write its first administrator's post, the one thing that no user can do; the unit's id.

    If that was done before and by the demo, all is well; ends the command if another federation is there. At another
    installation its operator does it.
    """
    if elsewhere.installation():
        return top_unit(_administrator().username) or give_up("demo-not-bootstrapped")
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "membership_service.bootstrap"),
            *("--issuer", issuer, "--subject", _administrator().subject),
            *("--organisation-code", TOP_CODE, "--organisation-name", TOP_NAME),
            *("--founded-on", TOP_FOUNDED.isoformat()),
        ],
        env=control.environment_of("membership"),
        capture_output=True,
        text=True,
        check=False,
    )
    top = top_unit(_administrator().username)
    if top is None:
        if ran.returncode == _ALREADY:
            give_up("demo-other-federation")
        give_up("demo-bootstrap-failed", reason=(ran.stderr.strip().splitlines() or ["?"])[-1])
    return top


def import_units(top: str, sheet: bytes) -> dict[str, int]:
    """Found all units of the sheet, in one request; {"created": …, "unchanged": …}."""
    with federation(_administrator().username) as administrator:
        found: dict[str, int] = administrator.post(
            "/api/v1/organisations/imports",
            files={"file": ("示例省工会组织.csv", sheet, "text/csv")},
            data={"under": top},
        )
    return found


def unit_ids(top: str, codes: set[str]) -> dict[str, str]:
    """Ids of units by their codes, read page by page."""
    with federation(_administrator().username) as administrator:
        listed = _all(administrator, f"/api/v1/organisations/{top}/subtree")
        return {unit["code"]: unit["id"] for unit in listed if unit["code"] in codes}


def grant_posts(top: str, issuer: str, units: dict[str, str], on: date) -> None:
    """Give every demo user the post that `users.toml` names, unless he has it."""
    with federation(_administrator().username) as administrator:
        there = {
            (post["subject"], post["role"], post["organisation_id"])
            for post in _all(administrator, "/api/v1/posts", organisation=top)
        }
        for user in demo_users():
            unit = units.get(user.organisation)
            if not user.role or unit is None or (user.subject, user.role, unit) in there:
                continue
            administrator.post(
                "/api/v1/posts",
                {
                    "organisation_id": unit,
                    "issuer": issuer,
                    "subject": user.subject,
                    "role": user.role,
                    "starts_on": on.isoformat(),
                },
            )


def register_employers(
    top: str, employers: Sequence[Employer], units: dict[str, str], on: date, progress: Progress
) -> None:
    """Enter the employers that are not in the register yet."""
    with federation(registrar().username) as officer:
        there = {found["credit_code"] for found in _search_all(officer, top)}
        for done, employer in enumerate(employers):
            progress(done, len(employers))
            if employer.credit_code not in there:
                officer.post("/api/v1/enterprises", _registration(employer, units, on))
    progress(len(employers), len(employers))


def roster_of(top: str, scale: Scale) -> dict[str, Any] | None:
    """The newest import of this scale's roster, unless it brought nothing: refused, cancelled or undone."""
    with federation(registrar().username) as officer:
        for roster in _all(officer, "/api/v1/rosters", organisation=top):
            if roster["file_name"] == scale.file_name:
                brought = roster["state"] in _AWAITED | {"checked", "applied"}
                return roster if brought else None
    return None


def upload(top: str, path: Path) -> dict[str, Any]:
    """Hand in the roster. It is checked in the background."""
    with federation(registrar().username) as officer, path.open("rb") as file:
        uploaded: dict[str, Any] = officer.post(
            "/api/v1/rosters", files={"file": (path.name, file)}, data={"organisation_id": top, "mode": "add"}
        )
    return uploaded


def finish_roster(roster: dict[str, Any], scale: Scale, progress: Progress) -> dict[str, Any]:
    """Wait until it is checked, apply it, wait until it is applied."""
    expected = scale.members + scale.spoilt_rows
    with federation(registrar().username) as officer:
        for seen in _followed(officer, roster):
            progress(0.5 * seen["rows"] / expected, 1)
            roster = seen
        if roster["state"] == "checked":
            roster = officer.post(f"/api/v1/rosters/{roster['id']}/apply", {}, version=roster["version"])
        for seen in _followed(officer, roster):
            progress(0.5 + 0.5 * seen["progress"], 1)
            roster = seen
    if roster["state"] != "applied":
        give_up("demo-roster-stopped", state=roster["state"])
    return roster


def await_view(top: str, members: int, progress: Progress) -> int:
    """Wait until the gateway's dashboard counts as many members; how many it counts. What it shows comes over Kafka."""
    shown, last_change = 0, time.monotonic()
    with federation(_administrator().username) as administrator:
        while shown < members:
            answer = administrator.ask("GET", f"/api/v1/organisations/{top}/dashboard", params={"days": 1})
            # Until the unit and the post have arrived there, it knows neither.
            now_shown = int(answer.json()["members"]) if answer.is_success else 0
            if now_shown != shown:
                shown, last_change = now_shown, time.monotonic()
            if time.monotonic() - last_change > _PATIENCE:
                give_up("demo-view-behind", shown=shown, members=members)
            progress(shown, members)
            time.sleep(_LOOK)
    return shown


def registrar() -> DemoUser:
    """Who loads the demo: the registrar of the province."""
    return _user("registrar-province")


def _administrator() -> DemoUser:
    return _user("administrator")


def _user(name: str) -> DemoUser:
    found = demo_user(name)
    if found is None:
        raise LookupError(name)
    return found


def _registration(employer: Employer, units: dict[str, str], on: date) -> dict[str, Any]:
    body = asdict(employer)
    area, union = body.pop("area_code"), body.pop("organisation_code")
    return body | {
        "area_id": units[area],
        "organisation_id": units[union] if union else None,
        "unionised": bool(union),
        "verified_on": on.isoformat(),
    }


def _followed(officer: Federation, roster: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The import as it goes on, until it needs somebody or is done."""
    while True:
        seen = officer.get(f"/api/v1/rosters/{roster['id']}")
        yield seen
        if seen["state"] not in _AWAITED or seen["given_up"]:
            return
        time.sleep(_LOOK)


def _all(user: Federation, path: str, **parameters: Any) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        page = user.get(path, limit=200, **parameters, **({"cursor": cursor} if cursor else {}))
        yield from page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _search_all(user: Federation, top: str) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        body = {"within": top, "limit": 200} | ({"cursor": cursor} if cursor else {})
        page = user.post("/api/v1/enterprises/search", body)
        yield from page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return
