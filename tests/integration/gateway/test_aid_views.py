"""Aid and activities in timeline, dashboard and live news: what is there, and for whom."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from gateway_service.dashboard.handlers import apply
from shared.contracts.envelope import Received
from shared.database.engine import Database
from shared.database.scope import Scope
from shared.directory import replica
from shared.kernel.ids import new_id
from tests.integration.gateway.aid_histories import (
    activity_event,
    case_event,
    dossier_event,
    programme_event,
    registration_event,
)
from tests.integration.gateway.histories import FIRST_DAY, member_event, organisation_event
from tests.integration.gateway.test_live import follow
from tests.integration.gateway.test_views import post_event
from tests.support.service import on_a_port
from tests.support.tokens import Issuer

PROVINCE, COUNTY, OTHER = new_id(), new_id(), new_id()
MEMBER, SPOUSE, STRANGER = new_id(), new_id(), new_id()
CASE, PROGRAMME, DOSSIER, ACTIVITY, REGISTRATION = (new_id() for _ in range(5))
PAID_ON = FIRST_DAY + timedelta(days=20)
TIMELINE, DASHBOARD = f"/api/v1/members/{MEMBER}/timeline", f"/api/v1/organisations/{COUNTY}/dashboard"
REGISTRATION_TITLES = {"Registered for an activity", "Attended an activity"}
AID_TITLES = {"Aid paid", "Aid approved", "Hardship class decided"}
_KEPT = text("SELECT data::text FROM facts WHERE sequence = 2 AND topic = 'unionhall.membership.members.v1'")
#: Subject of the token → role and unit of the post.
POSTS = {
    "welfare": ("welfare_officer", COUNTY),
    "treasurer": ("treasurer", COUNTY),
    "registrar": ("registrar", COUNTY),
    "organiser": ("organiser", PROVINCE),
    "auditor": ("auditor", COUNTY),
    "foreign": ("welfare_officer", OTHER),
    # Sees the member's place by one post; aid and registrations by others that do not cover it.
    "both": ("registrar", COUNTY),
}


def history() -> list[Received]:
    money = {"programme_id": str(PROGRAMME), "requested_fen": 90_000}
    return [
        member_event(MEMBER, 1, COUNTY, "active", FIRST_DAY, "admitted"),
        member_event(SPOUSE, 1, OTHER, "active", FIRST_DAY, "admitted"),
        programme_event(PROGRAMME, 1, PROVINCE, "春节慰问"),
        dossier_event(DOSSIER, 1, COUNTY, [MEMBER, SPOUSE], FIRST_DAY),
        case_event(
            CASE, 1, COUNTY, MEMBER, "approved", FIRST_DAY, **money, approved_fen=60_000, paid_fen=None
        ),
        case_event(CASE, 2, COUNTY, MEMBER, "paid", PAID_ON, **money, approved_fen=60_000, paid_fen=60_000),
        activity_event(ACTIVITY, 1, COUNTY, "open", 30, FIRST_DAY),
        registration_event(REGISTRATION, 1, COUNTY, MEMBER, "confirmed", FIRST_DAY),
        registration_event(REGISTRATION, 2, COUNTY, MEMBER, "confirmed", PAID_ON, "attended", attended=True),
        *(
            registration_event(
                new_id(), 1, COUNTY, STRANGER, "confirmed", PAID_ON, "rated", satisfaction=score
            )
            for score in (5, 5, 4, 4)
        ),
        registration_event(new_id(), 1, COUNTY, STRANGER, "waiting", PAID_ON),
    ]


@pytest.fixture
async def fed(worker: Database) -> None:
    organisations = [
        organisation_event(PROVINCE, 1, 1, None, FIRST_DAY),
        organisation_event(COUNTY, 2, 1, PROVINCE, FIRST_DAY),
        organisation_event(OTHER, 3, 1, PROVINCE, FIRST_DAY),
    ]
    posts = [post_event(subject, unit, role) for subject, (role, unit) in POSTS.items()]
    posts += [post_event("both", OTHER, role) for role in ("welfare_officer", "organiser")]
    async with worker.write(Scope.everything()) as session:
        await replica.apply(session, [*organisations, *posts])
        await apply(session, [*organisations, *history()])
        await session.commit()


async def timeline(gateway: httpx.AsyncClient, issuer: Issuer, subject: str, **query: Any) -> dict[str, Any]:
    me = issuer.headers(subject) | {"Accept-Language": "en"}
    answer = await gateway.get(TIMELINE, headers=me, params=query)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def titles(gateway: httpx.AsyncClient, issuer: Issuer, subject: str) -> set[str]:
    return {entry["title"] for entry in (await timeline(gateway, issuer, subject))["items"]}


@pytest.mark.usefixtures("fed")
async def test_a_timeline_tells_of_aid_and_activities(gateway: httpx.AsyncClient, issuer: Issuer) -> None:
    found = await timeline(gateway, issuer, "auditor")
    told = {entry["title"] for entry in found["items"]}
    assert told == {"Admitted as a member"} | AID_TITLES | REGISTRATION_TITLES
    [paid] = [entry for entry in found["items"] if entry["title"] == "Aid paid"]
    assert (paid["on"], paid["details"]["state"]["paid_fen"]) == (str(PAID_ON), 60_000)
    zh = issuer.headers("welfare") | {"Accept-Language": "zh-CN"}
    assert "帮扶款项已发放" in {
        one["title"] for one in (await gateway.get(TIMELINE, headers=zh)).json()["items"]
    }


@pytest.mark.usefixtures("fed")
async def test_its_pages_meet_without_a_gap_though_facts_come_from_two_places(
    gateway: httpx.AsyncClient, issuer: Issuer
) -> None:
    whole = [entry["event_id"] for entry in (await timeline(gateway, issuer, "auditor"))["items"]]
    read, page = [], await timeline(gateway, issuer, "auditor", limit=2)
    read += [entry["event_id"] for entry in page["items"]]
    while page["next_cursor"]:
        page = await timeline(gateway, issuer, "auditor", limit=2, cursor=page["next_cursor"])
        read += [entry["event_id"] for entry in page["items"]]
    assert read == whole
    assert len(set(whole)) == 6


@pytest.mark.usefixtures("fed")
@pytest.mark.parametrize(
    ("subject", "seen"),
    [
        ("auditor", AID_TITLES | REGISTRATION_TITLES),
        ("welfare", AID_TITLES),
        ("treasurer", AID_TITLES - {"Hardship class decided"}),
        ("registrar", set()),
        ("organiser", REGISTRATION_TITLES),
        ("both", set()),
    ],
)
async def test_aid_and_registrations_are_told_only_to_those_who_may_read_them_there(
    gateway: httpx.AsyncClient, issuer: Issuer, subject: str, seen: set[str]
) -> None:
    found = await titles(gateway, issuer, subject)
    assert found == {"Admitted as a member"} | seen


@pytest.mark.usefixtures("fed")
async def test_a_household_stays_out_of_the_timelines_of_its_members(
    gateway: httpx.AsyncClient, issuer: Issuer
) -> None:
    answer = await gateway.get(TIMELINE, headers=issuer.headers("welfare"))
    assert str(SPOUSE) not in answer.text
    spouse = f"/api/v1/members/{SPOUSE}/timeline"
    assert (await gateway.get(spouse, headers=issuer.headers("welfare"))).status_code == 404
    found = await gateway.get(spouse, headers=issuer.headers("foreign") | {"Accept-Language": "en"})
    assert {one["title"] for one in found.json()["items"]} == {
        "Admitted as a member",
        "Hardship class decided",
    }
    assert str(MEMBER) not in found.text


@pytest.mark.usefixtures("fed")
async def test_of_an_erased_member_nothing_is_told_but_that(
    gateway: httpx.AsyncClient, issuer: Issuer, worker: Database
) -> None:
    event = member_event(MEMBER, 2, COUNTY, "active", PAID_ON, "erased")
    values = {name: getattr(event, name) for name in Received.__slots__}
    tombstone = Received(**values | {"data": None, "time": datetime(2026, 6, 1, tzinfo=UTC)})
    late = case_event(CASE, 3, COUNTY, MEMBER, "acknowledged", PAID_ON)
    async with worker.write(Scope.everything()) as session:
        await apply(session, [tombstone])
        await apply(session, [late, dossier_event(DOSSIER, 2, COUNTY, [MEMBER], PAID_ON)])
        await session.commit()
    [entry] = (await timeline(gateway, issuer, "welfare"))["items"]
    assert (entry["title"], entry["details"], entry["organisation_id"]) == ("Personal data erased", {}, None)
    me = issuer.headers("welfare")
    on_that_day = (await gateway.get(DASHBOARD, params={"on": str(FIRST_DAY)}, headers=me)).json()
    assert on_that_day["members"] == 1  # the figures of past days stay


@pytest.mark.usefixtures("fed")
async def test_an_account_is_not_kept_in_the_history(
    gateway: httpx.AsyncClient, issuer: Issuer, worker: Database
) -> None:
    user = {"issuer": "https://identity.test", "subject": "account-of-the-member"}
    async with worker.write(Scope.everything()) as session:
        await apply(session, [member_event(MEMBER, 2, COUNTY, "active", PAID_ON, user=user)])
        await session.commit()
        [[kept]] = (await session.execute(_KEPT)).all()
    assert "account-of-the-member" not in kept
    answer = await gateway.get(TIMELINE, headers=issuer.headers("welfare"))
    assert "account-of-the-member" not in answer.text


@pytest.mark.usefixtures("fed")
async def test_a_dashboard_shows_aid_and_activities_on_a_day(
    gateway: httpx.AsyncClient, issuer: Issuer
) -> None:
    me = issuer.headers("welfare")
    before = (
        await gateway.get(DASHBOARD, params={"on": str(PAID_ON - timedelta(days=1))}, headers=me)
    ).json()
    after = (await gateway.get(DASHBOARD, params={"on": str(PAID_ON)}, headers=me)).json()
    programme = {
        "programme_id": str(PROGRAMME),
        "name": "春节慰问",
        "requested_fen": 90_000,
        "approved_fen": 60_000,
    }
    assert before["aid"] == {
        "as_of": None,
        "cases_by_stage": {"approved": 1},
        "payments": 0,
        "people": 0,
        "by_programme": [programme | {"paid_fen": 0}],
    }
    assert after["aid"] == {
        "as_of": None,
        "cases_by_stage": {"paid": 1},
        "payments": 1,
        "people": 1,
        "by_programme": [programme | {"paid_fen": 60_000}],
    }
    assert (before["activities"]["attended"], before["activities"]["registrations"]) == (0, 1)
    shown = after["activities"]
    assert (shown["by_stage"], shown["seats"], shown["attended"]) == ({"open": 1}, 30, 1)
    assert (shown["registrations"], shown["waiting"], shown["ratings"]) == (5, 1, 4)


@pytest.mark.usefixtures("fed")
async def test_a_mean_of_four_would_tell_who_said_what(
    gateway: httpx.AsyncClient, issuer: Issuer, worker: Database
) -> None:
    me = issuer.headers("welfare")
    assert (await gateway.get(DASHBOARD, headers=me)).json()["activities"]["satisfaction"] is None
    async with worker.write(Scope.everything()) as session:
        await apply(
            session,
            [registration_event(new_id(), 1, COUNTY, STRANGER, "confirmed", PAID_ON, satisfaction=1)],
        )
        await session.commit()
    assert (await gateway.get(DASHBOARD, headers=me)).json()["activities"]["satisfaction"] == 3.8


@pytest.mark.usefixtures("fed")
@pytest.mark.parametrize(
    ("subject", "status", "aid"),
    [
        ("welfare", 200, True),
        ("treasurer", 200, True),
        ("registrar", 200, False),
        ("organiser", 200, False),
        ("both", 200, False),
        ("foreign", 404, False),
    ],
)
async def test_figures_of_aid_are_for_those_who_may_read_cases_there(
    gateway: httpx.AsyncClient, issuer: Issuer, subject: str, status: int, *, aid: bool
) -> None:
    answer = await gateway.get(DASHBOARD, headers=issuer.headers(subject))
    assert answer.status_code == status
    if status == 200:
        assert (answer.json()["aid"] is not None) is aid
        assert answer.json()["activities"]["seats"] == 30
        assert aid or "60000" not in answer.text


@pytest.mark.usefixtures("fed")
async def test_news_of_aid_are_for_the_same(
    gateway: httpx.AsyncClient, issuer: Issuer, worker: Database
) -> None:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(on_a_port(gateway._transport.app))  # type: ignore[attr-defined]
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=url, trust_env=False))
        officer = await follow(stack, client, COUNTY, issuer.headers("welfare"))
        for event, heard in (
            (case_event(CASE, 3, COUNTY, MEMBER, "acknowledged", PAID_ON), False),
            (registration_event(REGISTRATION, 3, COUNTY, MEMBER, "confirmed", PAID_ON, "rated"), True),
        ):
            registrar = await follow(stack, client, COUNTY, issuer.headers("registrar"))
            await asyncio.sleep(0.3)
            async with worker.write(Scope.everything()) as session:
                await apply(session, [event])
                await session.commit()
            assert await officer.next_event() == "changed"
            if heard:
                assert await registrar.next_event() == "changed"
            else:
                with pytest.raises(TimeoutError):
                    await registrar.next_event(0.5)
