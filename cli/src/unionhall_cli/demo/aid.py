"""Rules, budgets, programmes, dossiers and aid cases in all stages, in the first city of the demo federation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Any, Final

from unionhall_cli.demo.crowd import Count, Crowd, together
from unionhall_cli.demo.households import Household

CITY, COUNTY, ENTERPRISE = "9901", "990101", "990101001"
_YUAN: Final = 100
#: Name, kind of money, yuan.
_BUDGETS: Final = (("送温暖资金", "own", 3_000_000), ("金秋助学资金", "government", 1_000_000))
#: Yuan that the county gets of the first.
_HANDED_DOWN: Final = 400_000
_IN_HARDSHIP: Final = {"hardship_class": ["deep", "relative", "accidental"]}
WARMTH, SCHOOLING, MEDICAL, CARE = "送温暖", "金秋助学", "大病救助", "职工慰问"
#: Twenty cases. Of what is approved, `payments` pays the most.
_STAGES: Final = (
    "approved", "submitted", "draft", "approved", "approved", "rejected", "submitted", "draft", "returned", "submitted",
    "approved", "withdrawn", "draft", "submitted", "draft", "cancelled", "approved", "draft", "approved", "submitted",
)  # fmt: skip
#: Twenty dossiers: those that are not decided, and the one that was closed again.
_GATHERED: Final = frozenset({5, 9, 13})
_WAITING: Final = frozenset({7, 15, 17})
_SENT_BACK, _CLOSED = 11, 19
#: Endings of accounts that the fake bank refuses, and of those that it loses.
REFUSED, LOST = "0007", "0003"


@dataclass(frozen=True)
class Frame:
    """Ids of units by code, the day, and the seed of everything that is drawn."""

    units: dict[str, str]
    today: date
    seed: int

    def clerk(self, code: str) -> str:
        """Who gathers for a unit."""
        return "welfare-officer" if code.startswith(COUNTY) else "welfare-officer-city"

    def judge(self, code: str) -> str:
        """Who decides."""
        return "approver" if code.startswith(COUNTY) else "approver-city"


@dataclass(frozen=True)
class Applicant:
    """A member who asks for help; `programme` by name. `code` is that of the unit or of one above it."""

    member_id: str
    name: str
    code: str
    programme: str


async def set_up(crowd: Crowd, frame: Frame) -> dict[str, str]:
    """Rules, budgets and programmes, as far as they are missing; programme ids by name."""
    await crowd.post("administrator", "/api/v1/rules/defaults", {"organisation_id": frame.units["99"]})
    year, city, county = frame.today.year, frame.units[CITY], frame.units[COUNTY]
    there = await crowd.all("treasurer-city", "/api/v1/budgets", 200, year=year, organisation=city)
    budgets = {one["name"]: one["id"] for one in there if one["organisation_id"] == city}
    for name, source, amount in _BUDGETS:
        if name not in budgets:
            body = {
                "organisation_id": city,
                "year": year,
                "source": source,
                "name": name,
                "amount_fen": amount * _YUAN,
            }
            budgets[name] = (await crowd.post("treasurer-city", "/api/v1/budgets", body)).document["id"]
    lower = next((one["id"] for one in there if one["organisation_id"] == county), None)
    if lower is None:
        body = {"organisation_id": county, "amount_fen": _HANDED_DOWN * _YUAN, "reason": "下拨县级慰问经费"}
        above = budgets[_BUDGETS[0][0]]
        handed = await crowd.post("treasurer-city", f"/api/v1/budgets/{above}/allocations", body)
        lower = handed.document["id"]
    return await _programmes(crowd, frame, [budgets[name] for name, *_ in _BUDGETS] + [lower])


async def _programmes(crowd: Crowd, frame: Frame, budgets: list[str]) -> dict[str, str]:
    own, schooling, county = budgets
    fixed = {"amount_rule": "fixed"}
    asked = {"amount_rule": "requested"}
    everybody = {"everybody": True}
    wanted: tuple[tuple[str, str, str, str, dict[str, Any]], ...] = (
        (WARMTH, "warmth", CITY, own, fixed | {"fixed_fen": 1_500 * _YUAN, "eligibility": _IN_HARDSHIP}),
        (SCHOOLING, "schooling", CITY, schooling, asked | {"cap_per_time_fen": 5_000 * _YUAN, "eligibility": _IN_HARDSHIP}),
        (MEDICAL, "medical", CITY, own, asked | {"cap_per_time_fen": 30_000 * _YUAN, "eligibility": _IN_HARDSHIP}),
        (CARE, "member_care", CITY, own, fixed | {"fixed_fen": 500 * _YUAN, "eligibility": everybody}),
        ("县级临时救助", "emergency", COUNTY, county, asked | {"cap_per_time_fen": 3_000 * _YUAN, "eligibility": everybody}),
    )  # fmt: skip
    found = await crowd.all("welfare-officer-city", "/api/v1/programmes", 200)
    there = {one["name"]: one["id"] for one in found}
    for name, kind, code, budget, terms in wanted:
        if name in there:
            continue
        body = terms | {
            "organisation_id": frame.units[code], "budget_id": budget, "name": name, "kind": kind,
            "starts_on": f"{frame.today.year}-01-01", "ends_on": f"{frame.today.year}-12-31",
        }  # fmt: skip
        there[name] = (await crowd.post(frame.clerk(code), "/api/v1/programmes", body)).document["id"]
    return there


async def open_dossiers(
    crowd: Crowd, frame: Frame, wanted: Sequence[Household], tell: Callable[[float, float], None]
) -> tuple[int, dict[str, Any]]:
    """Open what is missing, in all states; how many there are, and those that were opened now with their persons, by id.

    Who stands in a dossier already is left where he is.
    """
    there, opened = await _count(crowd, frame, "/api/v1/dossiers", len(wanted)), {}
    if there < len(wanted):
        count = Count(tell, len(wanted))
        files = await together([count.of(_open_dossier(crowd, frame, household)) for household in wanted])
        opened = {file["id"]: file for file in files if file}
        there = await _count(crowd, frame, "/api/v1/dossiers", len(wanted))
    return there, opened


async def _count(crowd: Crowd, frame: Frame, address: str, most: int) -> int:
    return len(await crowd.all("welfare-officer-city", address, most, organisation=frame.units[CITY]))


async def _open_dossier(crowd: Crowd, frame: Frame, household: Household) -> dict[str, Any] | None:
    """The dossier with all its persons; None if the person stands in another one."""
    code = household.head.unit.code
    clerk = frame.clerk(code)
    body = {
        "organisation_id": frame.units[code], "primary_cause": household.cause, "head": household.head_body,
    }  # fmt: skip
    made = await crowd.ask(clerk, "POST", "/api/v1/dossiers", body=body, bear={"person-in-dossier"})
    if made.refusal:
        return None
    file: dict[str, Any] = made.document
    address = f"/api/v1/dossiers/{file['id']}"
    for person in household.family:
        file = (await crowd.post(clerk, f"{address}/persons", person, version=file["version"])).document
    if household.number % 20 in _GATHERED:
        return file
    head = next(person["id"] for person in file["persons"] if person["relation"] == "head")
    lines = {"lines": household.lines}
    step = f"{address}/persons/{head}/lines"
    file = (await crowd.ask(clerk, "PUT", step, body=lines, version=file["version"])).document
    await _judge_dossier(crowd, frame, household, file)
    return file


async def _judge_dossier(crowd: Crowd, frame: Frame, household: Household, file: dict[str, Any]) -> None:
    """From the dossier with its figures to the state that its number says."""
    code, address = household.head.unit.code, f"/api/v1/dossiers/{file['id']}"
    clerk, judge = frame.clerk(code), frame.judge(code)
    state = household.number % 20
    sent = (await crowd.post(clerk, f"{address}/submission", version=file["version"])).document
    if state in _WAITING:
        return
    if state == _SENT_BACK:
        reason = {"reason": "请补充收入证明"}
        await crowd.post(judge, f"{address}/return", reason, version=sent["version"])
        return
    agreed = {"hardship_class": household.expected}
    decided = await crowd.post(judge, f"{address}/decision", agreed, version=sent["version"])
    if state == _CLOSED:
        closed = {"reason": "out_of_hardship"}
        await crowd.post(clerk, f"{address}/close", closed, version=decided.document["version"])


async def applicants(
    crowd: Crowd, frame: Frame, pool: Sequence[dict[str, Any]], opened: dict[str, Any]
) -> list[Applicant]:
    """Heads of decided households first, then other members of the city. `opened` are dossiers that need no reading."""
    found = []
    codes = {unit: code for code, unit in frame.units.items()}
    query = {"organisation": frame.units[CITY], "status": "open"}
    files = await crowd.all("welfare-officer-city", "/api/v1/dossiers", 1000, **query)
    unread = [one["id"] for one in files if one["id"] not in opened]
    read = await together([crowd.get("welfare-officer-city", f"/api/v1/dossiers/{one}") for one in unread])
    known = opened | dict(zip(unread, read, strict=True))
    details = [known[one["id"]] for one in files]
    names = {one["id"]: one["name"] for one in pool}
    standing = {person["member_id"] for file in details for person in file["persons"]}
    for file in details:
        head = next(person for person in file["persons"] if person["relation"] == "head")
        if head["member_id"] in names:
            programme = {
                "illness": MEDICAL,
                "disability": MEDICAL,
                "accident": MEDICAL,
                "schooling": SCHOOLING,
            }
            named = programme.get(file["primary_cause"], WARMTH)
            code = codes[file["organisation_id"]]
            found.append(Applicant(head["member_id"], names[head["member_id"]], code, named))
    others = [one for one in pool if one["id"] not in standing and one["status"] == "active"]
    found += [Applicant(one["id"], one["name"], codes[one["organisation_id"]], CARE) for one in others]
    return found


async def open_cases(
    crowd: Crowd,
    frame: Frame,
    wanted: int,
    programmes: dict[str, str],
    pool: Sequence[dict[str, Any]],
    opened: dict[str, Any],
    tell: Callable[[float, float], None],
) -> int:
    """Open as many cases as are missing, in all stages up to approval; how many there are. `opened`: see `applicants`."""
    query = {"organisation": frame.units[CITY]}
    there = await crowd.all("welfare-officer-city", "/api/v1/cases", wanted, **query)
    if len(there) >= wanted:
        return wanted
    helped = {one["member_id"] for one in there}
    chosen = [
        (number, one)
        for number, one in enumerate((await applicants(crowd, frame, pool, opened))[:wanted])
        if one.member_id not in helped
    ]
    count = Count(tell, len(chosen))
    work = [
        count.of(_open_case(crowd, frame, number, one, programmes[one.programme])) for number, one in chosen
    ]
    await together(work)
    return len(there) + len(chosen)


async def _open_case(crowd: Crowd, frame: Frame, number: int, who: Applicant, programme: str) -> None:
    stage = _STAGES[number % len(_STAGES)]
    clerk, judge = frame.clerk(who.code), frame.judge(who.code)
    body: dict[str, Any] = {
        "programme_id": programme, "member_id": who.member_id, "reason": "家庭遇到困难，申请帮扶（虚构）",
        "payee_name": who.name, "account": _account(frame, number),
    }  # fmt: skip
    if who.programme in {SCHOOLING, MEDICAL}:
        # One in forty is so much that the unit above has to approve it.
        many = 250 if number % 40 == 1 else Random(f"{frame.seed}-{number}").randint(10, 50)  # noqa: S311 - made-up data
        body["requested_fen"] = (many if who.programme == MEDICAL else min(many, 50)) * 100 * _YUAN
    case = (await crowd.post(clerk, "/api/v1/cases", body)).document
    address = f"/api/v1/cases/{case['id']}"
    if stage == "draft":
        return
    case = (await crowd.post(clerk, f"{address}/submission", version=case["version"])).document
    judged: dict[str, tuple[str, str, dict[str, Any]]] = {
        "returned": (judge, "return", {"reason": "请补充医疗费用票据"}),
        "rejected": (judge, "rejection", {"reason": "不符合本项目范围"}),
        "withdrawn": (clerk, "withdrawal", {"reason": "申请人撤回"}),
    }
    if stage in judged:
        user, step, said = judged[stage]
        await crowd.post(user, f"{address}/{step}", said, version=case["version"])
    elif stage != "submitted":
        case = (await crowd.post(judge, f"{address}/approval", {}, version=case["version"])).document
        if stage == "cancelled":
            said = {"reason": "申请人已获其他救助"}
            await crowd.post(judge, f"{address}/cancellation", said, version=case["version"])


def _account(frame: Frame, number: int) -> str:
    """Sixteen digits. Some of those that are to be paid end as the fake bank does not like it."""
    round_, place = divmod(number, len(_STAGES))
    bad = {(0, 4): REFUSED, (1, 10): LOST}.get((round_ % 2, place), "1111")
    return f"6200{frame.seed % 100:02}{number:06}{bad}"
