"""What the tests of effects do in welfare and in the events service, over HTTP."""

import csv
import io
from datetime import timedelta
from typing import Any
from uuid import UUID

from tests.integration.effects.house import House, Office, now
from tests.support.aid import application
from tests.support.dossiers import person

_CHINA = timedelta(hours=8)


async def programme(house: House, office: Office) -> dict[str, Any]:
    """A programme for everybody of a unit, with money of its own."""
    year = (now() + _CHINA).year
    budget = {
        "organisation_id": str(office.unit.id),
        "year": year,
        "source": "own",
        "name": "帮扶",
        "amount_fen": 10_000_000,
    }
    made = await house.call("welfare", "POST", "/budgets", by=office["treasurer"], json=budget, expect=201)
    terms = {
        "organisation_id": str(office.unit.id),
        "budget_id": made["id"],
        "name": "生活救助",
        "kind": "living",
        "starts_on": f"{year}-01-01",
        "ends_on": f"{year + 1}-12-31",
        "amount_rule": "requested",
        "cap_per_time_fen": 300_000,
        "eligibility": {"everybody": True},
    }
    found: dict[str, Any] = await house.call(
        "welfare", "POST", "/programmes", by=office["welfare_officer"], json=terms, expect=201
    )
    return found


async def submitted(
    house: House, office: Office, of: dict[str, Any], member: UUID, **fields: Any
) -> dict[str, Any]:
    """A case that waits for a decision."""
    body = application(of, member_id=str(member), **fields)
    made = await house.call("welfare", "POST", "/cases", by=office["welfare_officer"], json=body, expect=201)
    return await case_step(house, made, "submission", office["welfare_officer"])


async def case_step(house: House, case: dict[str, Any], step: str, by: str, **body: Any) -> dict[str, Any]:
    """A step of a case at the version that `case` shows."""
    path = f"/cases/{case['id']}/{step}"
    found: dict[str, Any] = await house.call(
        "welfare", "POST", path, by=by, version=case["version"], json=body or None
    )
    return found


async def dossier(house: House, office: Office, document: str) -> dict[str, Any]:
    """A file of the household of whoever has the document."""
    head = person(document_type="resident_id", document_number=document)
    body = {"organisation_id": str(office.unit.id), "primary_cause": "illness", "head": head}
    found: dict[str, Any] = await house.call(
        "welfare", "POST", "/dossiers", by=office["welfare_officer"], json=body, expect=201
    )
    return found


async def classified(house: House, office: Office, made: dict[str, Any]) -> None:
    """The class of a household without income is decided."""
    path = f"/dossiers/{made['id']}"
    await house.call(
        "welfare", "POST", f"{path}/submission", by=office["welfare_officer"], version=made["version"]
    )
    body = {"hardship_class": "deep"}
    version = made["version"] + 1
    await house.call("welfare", "POST", f"{path}/decision", by=office["approver"], version=version, json=body)


async def paid(house: House, office: Office, case: dict[str, Any]) -> None:
    """A submitted case is approved, and paid by a batch that goes as a file."""
    await case_step(house, case, "approval", office["approver"], approved_fen=None)
    body = {"organisation_id": str(office.unit.id), "case_ids": [case["id"]]}
    batch = await house.call("welfare", "POST", "/payouts", by=office["treasurer"], json=body, expect=201)
    path = f"/payouts/{batch['id']}"
    sending = {"by": office["payer"], "version": batch["version"], "json": {"channel": "file"}}
    await house.call("welfare", "POST", f"{path}/sending", **sending)
    [line] = (await house.call("welfare", "GET", f"{path}/lines", by=office["payer"]))["items"]
    out = io.StringIO()
    csv.writer(out).writerows([["instruction_id", "state"], [line["id"], "paid"]])
    files = {"file": ("result.csv", out.getvalue().encode(), "text/csv")}
    result = await house.call("welfare", "POST", f"{path}/result", by=office["payer"], files=files)
    assert result["paid"] == 1


async def activity(house: House, office: Office, capacity: int = 1) -> str:
    """An activity that begins within the hour and takes registrations."""
    start = now() + timedelta(hours=1)
    body = {
        "organisation_id": str(office.unit.id),
        "title": "健步走",
        "kind": "sport",
        "place": "滨江公园",
        "sessions": [{"starts_at": start.isoformat(), "ends_at": (start + timedelta(hours=2)).isoformat()}],
        "capacity": capacity,
        "registration_opens_at": now().isoformat(),
        "registration_closes_at": start.isoformat(),
    }
    made = await house.call("events", "POST", "/activities", by=office["organiser"], json=body, expect=201)
    for version, step in enumerate(("submission", "approval", "publication", "opening"), 1):
        by = office["approver"] if step == "approval" else office["organiser"]
        await house.call("events", "POST", f"/activities/{made['id']}/{step}", by=by, version=version)
    found: str = made["id"]
    return found


async def registered(house: House, activity_id: str, subject: str) -> dict[str, Any]:
    """A member registers."""
    path = f"/activities/{activity_id}/registrations"
    found: dict[str, Any] = await house.call("events", "POST", path, by=subject, json={}, expect=201)
    return found


async def statuses(house: House, activity_id: str) -> dict[UUID, str]:
    """The registrations of an activity: member and status."""
    rows = await house.rows(
        "events", "SELECT member_id, status FROM registrations WHERE activity_id = $1", UUID(activity_id)
    )
    return {row["member_id"]: row["status"] for row in rows}


async def flag(house: House, case: dict[str, Any]) -> tuple[str | None, int]:
    """Why a case is flagged, and its version."""
    [row] = await house.rows(
        "welfare", "SELECT flag_reason, version FROM cases WHERE id = $1", UUID(case["id"])
    )
    return row["flag_reason"], row["version"]


async def reviews(house: House, made: dict[str, Any]) -> list[str]:
    """Why a dossier is to be looked at again."""
    rows = await house.rows(
        "welfare", "SELECT reason FROM dossier_reviews WHERE dossier_id = $1 ORDER BY id", UUID(made["id"])
    )
    return [row["reason"] for row in rows]


async def status(house: House, service: str, path: str, by: str) -> int:
    """The status of a GET."""
    return (await house.send(service, "GET", path, by=by)).status_code
