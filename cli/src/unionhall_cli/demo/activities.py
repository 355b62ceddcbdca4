"""Activities of the demo in all stages: drafts, full waiting lists, lotteries, some that just began, with check-ins and feedback.

What has taken place was announced a moment before: everything goes through the public API, which knows no past activities.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from local_stack.users import demo_users
from unionhall_cli.demo.aid import CITY, ENTERPRISE, Frame
from unionhall_cli.demo.crowd import Count, Crowd, together

ACTIVITIES: Final = "/api/v1/activities"
_TITLES: Final = (
    ("春季登山", "outing", "示例山"), ("法律讲座", "lecture", "工人文化宫报告厅"), ("羽毛球赛", "competition", "市体育馆"),
    ("亲子游园", "family_day", "滨江公园"), ("摄影培训", "course", "职工书屋"), ("合唱排练", "culture", "工人文化宫"),
    ("集体生日会", "birthday_party", "职工食堂"), ("义务植树", "volunteering", "湿地公园"), ("太极拳晨练", "sport", "人民广场"),
)  # fmt: skip
#: Twenty activities. "held" have begun by the end; "full" have a waiting list.
_STAGES: Final = (
    "held", "full", "draft", "held", "submitted", "full", "approved", "drawn", "published", "held",
    "open", "closed", "lottery", "archived", "cancelled", "full", "published", "undrawn", "open", "draft",
)  # fmt: skip
_HELD: Final = frozenset({"held", "archived"})
_BY_LOT: Final = frozenset({"drawn", "undrawn", "lottery"})
_CROWDED: Final = _BY_LOT | {"full"}
#: Seconds from the draft of what is to be held to its begin: time to announce it and to register.
_LEAD: Final = 15.0
_LOOK: Final = 1.0
_COMMENTS: Final = ("组织得很好", "希望多办几次", "场地有点小", "老师讲得清楚", "", "时间可以再长一些")
#: Another step may have come first, by itself: its time had come.
_RACES: Final = frozenset({"stale-version", "activity-stage", "activity-not-begun"})


@dataclass(frozen=True)
class Plan:
    """One activity to be made."""

    number: int
    stage: str
    organiser: str
    approver: str
    unit: str
    others: list[dict[str, Any]]

    @property
    def capacity(self) -> int:
        """Few seats where they are to be full."""
        return 3 + self.number % 3 if self.stage in _CROWDED else 8

    @property
    def asking(self) -> int:
        """How many are registered by the organiser: more than there are seats where they are few, else half of them."""
        return self.capacity + 2 if self.stage in _CROWDED else self.capacity // 2

    @property
    def guests(self) -> list[str]:
        """The demo users who register themselves for what is held: every other one."""
        return members()[self.number % 2 :: 2] if self.stage in _HELD else []


@dataclass
class Made:
    """What came of a plan. `places` are the registrations of demo users."""

    plan: Plan
    document: dict[str, Any]
    places: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Where the API has it."""
        return f"{ACTIVITIES}/{self.document['id']}"


async def hold_activities(
    crowd: Crowd,
    frame: Frame,
    wanted: int,
    pool: Sequence[dict[str, Any]],
    tell: Callable[[float, float], None],
) -> int:
    """Make as many activities as are missing; how many there are."""
    listed = await crowd.all("organiser", ACTIVITIES, 1000, organisation=frame.units[CITY])
    there = {one["title"] for one in listed}
    plans = [_plan(frame, number, pool) for number in range(wanted) if _title(number) not in there]
    # What has to begin by the end comes first.
    plans.sort(key=lambda plan: plan.stage not in _HELD)
    count = Count(tell, len(plans) + sum(plan.stage in _HELD for plan in plans))
    made = await together([count.of(_make(crowd, plan)) for plan in plans])
    await together([count.of(_hold(crowd, one)) for one in made if one.plan.stage in _HELD])
    return wanted


def members() -> list[str]:
    """The demo users who are members."""
    return [user.username for user in demo_users() if not user.role]


def _plan(frame: Frame, number: int, pool: Sequence[dict[str, Any]]) -> Plan:
    rng = Random(f"{frame.seed}-activity-{number}")  # noqa: S311 - made-up data
    of_enterprise = number % 4 == 3
    organiser, approver = (
        ("organiser-enterprise", "approver") if of_enterprise else ("organiser", "approver-city")
    )
    unit = frame.units[ENTERPRISE if of_enterprise else CITY]
    # Demo users who are members register themselves.
    others = [one for one in pool if not one["own"] and (not of_enterprise or one["organisation_id"] == unit)]
    chosen = rng.sample(others, min(len(others), 16))
    return Plan(number, _STAGES[number % len(_STAGES)], organiser, approver, unit, chosen)


async def _make(crowd: Crowd, plan: Plan) -> Made:
    """From the draft to the stage that was planned, or to the last before it takes place."""
    lead = _LEAD
    while True:
        made = Made(plan, (await crowd.post(plan.organiser, ACTIVITIES, _draft(plan, lead))).document)
        if await _announce(crowd, made):
            break
        # On a slow machine its time was over before it was announced: once more, with more time.
        lead *= 2
        await _step(crowd, made, plan.organiser, "cancellation", {"reason": "未及时发布"})
    if plan.stage in {"draft", "submitted", "approved", "published"}:
        return made
    await _register(crowd, made)
    if plan.stage in {"closed", "drawn", "undrawn"}:
        await _step(crowd, made, plan.organiser, "closing")
    if plan.stage == "drawn":
        await crowd.post(plan.organiser, f"{made.address}/lottery/draw")
    if plan.stage == "cancelled":
        await _step(crowd, made, plan.organiser, "cancellation", {"reason": "天气原因取消"})
    return made


def _draft(plan: Plan, lead: float) -> dict[str, Any]:
    _, kind, where = _TITLES[plan.number % len(_TITLES)]
    now = datetime.now(UTC)
    opens, starts = now - timedelta(days=1), now + timedelta(days=7 + plan.number % 40)
    closes = starts - timedelta(days=2)
    if plan.stage in _HELD:
        closes = starts = now + timedelta(seconds=lead)
    elif plan.stage in {"draft", "submitted", "approved", "published"}:
        opens = now + timedelta(days=2)
    return {
        "organisation_id": plan.unit,
        "title": _title(plan.number),
        "kind": kind,
        "description": "示例活动，人物与地点均为虚构。",
        "place": where,
        "sessions": [{"starts_at": starts.isoformat(), "ends_at": (starts + timedelta(hours=2)).isoformat()}],
        "mode": "lottery" if plan.stage in _BY_LOT else "first_come",
        "capacity": plan.capacity,
        "registration_opens_at": opens.isoformat(),
        "registration_closes_at": closes.isoformat(),
    }


def _title(number: int) -> str:
    return f"{_TITLES[number % len(_TITLES)][0]}（第 {number + 1} 期）"


async def _announce(crowd: Crowd, made: Made) -> bool:
    """Up to the stage that was planned, at most open; False if the time for it is over."""
    plan = made.plan
    steps = ["submission", "approval", "publication", "opening"]
    last = {"draft": 0, "submitted": 1, "approved": 2, "published": 3}.get(plan.stage, 4)
    for path in steps[:last]:
        user = plan.approver if path == "approval" else plan.organiser
        bear = {"registration-period-over", "activity-in-past", *_RACES}
        step = f"{made.address}/{path}"
        answer = await crowd.ask(user, "POST", step, version=made.document["version"], bear=bear)
        if answer.refusal in _RACES:
            made.document = await crowd.get(plan.organiser, made.address)
        elif answer.refusal:
            made.document = await crowd.get(plan.organiser, made.address)
            return False
        else:
            made.document = answer.document
    return True


async def _register(crowd: Crowd, made: Made) -> None:
    """Members who are demo users first, so that they have seats where something is held; then others, some of whom wait."""
    address, bear = f"{made.address}/registrations", {"registration-closed", "registration-exists"}
    guests = made.plan.guests
    seated = await together([crowd.ask(user, "POST", address, body={}, bear=bear) for user in guests])
    made.places = {
        user: answer.document["id"] for user, answer in zip(guests, seated, strict=True) if not answer.refusal
    }
    others = [
        crowd.ask(made.plan.organiser, "POST", address, body={"member_id": one["id"]}, bear=bear)
        for one in made.plan.others[: made.plan.asking]
    ]
    await together(others)


async def _hold(crowd: Crowd, made: Made) -> None:
    """Wait until it begins, let those with a seat check in but for one in five, and the demo users say how it was."""
    starts = datetime.fromisoformat(made.document["starts_at"])
    await asyncio.sleep(max(0.0, (starts - datetime.now(UTC)).total_seconds()))
    while made.document["stage"] != "held":
        path = "holding" if made.document["stage"] == "closed" else "closing"
        await _step(crowd, made, made.plan.organiser, path)
    seats = await crowd.all(made.plan.organiser, f"{made.address}/registrations", 200, status="confirmed")
    present = [one for place, one in enumerate(seats) if place % 5 != 4]
    now = datetime.now(UTC).isoformat()
    rows = [
        {"registration_id": one["id"], "at": now, "device_id": "demo", "local_id": one["id"]}
        for one in present
    ]
    if rows:
        await crowd.post(made.plan.organiser, f"{made.address}/check-ins/batch", {"rows": rows})
    came = {one["id"] for one in present}
    told = [(user, own) for user, own in made.places.items() if own in came]
    await together([_tell(crowd, made, user, own, place) for place, (user, own) in enumerate(told)])
    if made.plan.stage == "archived":
        made.document = await crowd.get(made.plan.organiser, made.address)
        await _step(crowd, made, made.plan.organiser, "archiving")


async def _tell(crowd: Crowd, made: Made, user: str, own: str, place: int) -> None:
    score = 5 - (made.plan.number + place) % 3
    said = {"score": score, "comment": _COMMENTS[(made.plan.number + place) % len(_COMMENTS)] or None}
    await crowd.post(user, f"/api/v1/registrations/{own}/feedback", said)


async def _step(crowd: Crowd, made: Made, user: str, path: str, body: Any = None) -> None:
    """A step, with the version that stands; where another came first, only the document is read anew."""
    step = f"{made.address}/{path}"
    answer = await crowd.ask(user, "POST", step, body=body, version=made.document["version"], bear=_RACES)
    if answer.refusal:
        await asyncio.sleep(_LOOK / 4)
        made.document = await crowd.get(user, made.address)
    else:
        made.document = answer.document
