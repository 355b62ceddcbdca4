"""Payouts of the demo, over the fake bank on a bad day: payments that fail, that nobody knows of, that are not sent yet."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

import httpx

from local_stack import control
from unionhall_cli.demo.aid import CITY, COUNTY, LOST, REFUSED, Frame
from unionhall_cli.demo.crowd import Crowd, together
from unionhall_cli.output import give_up

#: Seconds for the bank to answer.
_PATIENCE: Final = 60.0
_LOOK: Final = 0.3


async def pay(crowd: Crowd, frame: Frame) -> int:
    """Pay most of what is approved, unless that was done before; how many payouts there are."""
    city = frame.units[CITY]
    there = len(await crowd.all("treasurer-city", "/api/v1/payouts", 200, organisation=city))
    if there:
        return there
    county = await _approved(crowd, frame.units[COUNTY])
    others = [one for one in await _approved(crowd, city) if one not in county]
    # Whoever the bank will not like comes first: they are to be seen.
    county.sort(key=lambda one: not one["account_masked"].endswith((REFUSED, LOST)))
    await _set_faults({"refuse_ending": REFUSED, "forget_ending": LOST})
    try:
        made = await together(
            [
                _payout(crowd, frame.units[COUNTY], _most(county), "treasurer", "treasurer-city"),
                _payout(crowd, city, _most(others), "treasurer-city", "treasurer-province"),
            ]
        )
    finally:
        await _set_faults({})
    left = others[len(_most(others)) :]
    made.append(await _payout(crowd, city, left[: -(-len(left) // 3)], "treasurer-city", None))
    await _acknowledge(crowd, city)
    return sum(made)


async def _approved(crowd: Crowd, unit: str) -> list[dict[str, Any]]:
    return await crowd.all("treasurer-city", "/api/v1/cases", 1000, organisation=unit, stage="approved")


def _most(cases: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(cases[: len(cases) * 2 // 3])


async def _payout(
    crowd: Crowd, unit: str, cases: Sequence[dict[str, Any]], preparer: str, sender: str | None
) -> bool:
    """A batch; without a sender it stays prepared. Whether there was anything to pay."""
    if not cases:
        return False
    body = {"organisation_id": unit, "case_ids": [one["id"] for one in cases]}
    payout = (await crowd.post(preparer, "/api/v1/payouts", body)).document
    address = f"/api/v1/payouts/{payout['id']}"
    if sender is None:
        return True
    await crowd.post(sender, f"{address}/sending", {"channel": "bank"}, version=payout["version"])
    lost = sum(one["account_masked"].endswith(LOST) for one in cases)
    deadline = time.monotonic() + _PATIENCE
    while True:
        lines = await crowd.all(sender, f"{address}/lines", 1000)
        answered = sum(line["state"] in {"paid", "failed"} for line in lines)
        if answered == len(lines) - lost:
            return True
        if time.monotonic() > deadline:
            give_up("demo-bank-silent")
        await asyncio.sleep(_LOOK)


async def _acknowledge(crowd: Crowd, city: str) -> None:
    """Half of those who were paid say so."""
    paid = await crowd.all("welfare-officer-city", "/api/v1/cases", 1000, organisation=city, stage="paid")
    steps = [
        crowd.post(
            "welfare-officer-city", f"/api/v1/cases/{one['id']}/acknowledgement", version=one["version"]
        )
        for one in paid[::2]
    ]
    await together(steps)


async def _set_faults(faults: dict[str, Any]) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        (await client.put(f"{control.bank_url()}/faults", json=faults)).raise_for_status()
