from datetime import date, timedelta
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from gateway_service.dashboard.handlers import apply
from shared.contracts.envelope import Received
from shared.contracts.membership import POSTS
from shared.database.engine import Database
from shared.database.scope import Scope
from shared.directory import replica
from shared.kernel.ids import new_id
from tests.integration.gateway.histories import FIRST_DAY, member_event, organisation_event
from tests.support.tokens import ISSUER, Issuer

PROVINCE, COUNTY, OTHER = new_id(), new_id(), new_id()
MEMBER = new_id()
DAY = FIRST_DAY + timedelta(days=10)


def post_event(subject: str, organisation_id: UUID, role: str = "registrar") -> Received:
    post_id = new_id()
    template = organisation_event(post_id, 1, 1, None, FIRST_DAY)
    state = {
        "post_id": str(post_id),
        "issuer": ISSUER,
        "subject": subject,
        "role": role,
        "organisation_id": str(organisation_id),
        "starts_on": "2026-01-01",
        "ends_on": None,
    }
    values = {name: getattr(template, name) for name in Received.__slots__}
    return Received(
        **values
        | {"topic": POSTS.name, "type": "unionhall.membership.post.granted.v1", "data": {"state": state}}
    )


@pytest.fixture
async def fed(worker: Database) -> None:
    """A province with two counties; the member belongs to one of them. The child comes before its parent."""
    organisations = [
        organisation_event(COUNTY, 2, 1, PROVINCE, FIRST_DAY),
        organisation_event(OTHER, 3, 1, PROVINCE, FIRST_DAY),
        organisation_event(PROVINCE, 1, 1, None, FIRST_DAY),
    ]
    members = [
        member_event(MEMBER, 1, COUNTY, "applied", FIRST_DAY, "applied"),
        member_event(MEMBER, 2, COUNTY, "active", DAY, "admitted"),
    ]
    posts = [post_event("province", PROVINCE), post_event("county", COUNTY), post_event("other", OTHER)]
    async with worker.write(Scope.everything()) as session:
        for organisation in organisations:
            await replica.apply(session, [organisation])
        await replica.apply(session, posts)
        await apply(session, [*organisations, *members])
        await session.commit()


@pytest.mark.usefixtures("fed")
async def test_a_dashboard_shows_the_whole_subtree_on_a_day(
    gateway: httpx.AsyncClient, issuer: Issuer
) -> None:
    me = issuer.headers("province")
    address = f"/api/v1/organisations/{PROVINCE}/dashboard"
    before = (await gateway.get(address, params={"on": str(DAY - timedelta(days=1))}, headers=me)).json()
    assert (before["members"], before["by_status"]) == (0, {"applied": 1})
    on_day = (await gateway.get(address, params={"on": str(DAY)}, headers=me)).json()
    assert (on_day["members"], on_day["by_status"]) == (1, {"active": 1})
    assert sum(on_day["by_age_band"].values()) == sum(on_day["by_gender"].values()) == 1
    assert on_day["per_day"] == [
        {"day": str(DAY), "joined": 1, "left": 0, "transferred_in": 0, "transferred_out": 0}
    ]


@pytest.mark.usefixtures("fed")
@pytest.mark.parametrize(
    ("subject", "county", "province"),
    [("province", 200, 200), ("county", 200, 404), ("other", 404, 404), ("nobody", 404, 404)],
)
async def test_views_are_for_those_whose_posts_cover_the_place(
    gateway: httpx.AsyncClient, issuer: Issuer, subject: str, county: int, province: int
) -> None:
    me = issuer.headers(subject)
    assert (await gateway.get(f"/api/v1/organisations/{COUNTY}/dashboard", headers=me)).status_code == county
    assert (
        await gateway.get(f"/api/v1/organisations/{PROVINCE}/dashboard", headers=me)
    ).status_code == province
    assert (await gateway.get(f"/api/v1/members/{MEMBER}/timeline", headers=me)).status_code == county


@pytest.mark.usefixtures("fed")
async def test_a_timeline_reads_newest_first_in_pages_and_in_both_languages(
    gateway: httpx.AsyncClient, issuer: Issuer
) -> None:
    me = issuer.headers("county")
    address = f"/api/v1/members/{MEMBER}/timeline"
    first = (
        await gateway.get(address, params={"limit": 1}, headers=me | {"Accept-Language": "zh-CN"})
    ).json()
    assert [entry["title"] for entry in first["items"]] == ["批准入会"]
    second = await gateway.get(
        address, params={"limit": 1, "cursor": first["next_cursor"]}, headers=me | {"Accept-Language": "en"}
    )
    assert [entry["title"] for entry in second.json()["items"]] == ["Applied to join"]
    assert second.json()["next_cursor"] is None


@pytest.mark.usefixtures("fed")
async def test_a_moved_unit_takes_rights_and_figures_along(
    gateway: httpx.AsyncClient, issuer: Issuer, worker: Database
) -> None:
    moved_on = DAY + timedelta(days=5)
    moved = organisation_event(COUNTY, 2, 2, OTHER, moved_on, "moved")
    async with worker.write(Scope.everything()) as session:
        await replica.apply(session, [moved])
        await apply(session, [moved])
        await session.commit()
    other = issuer.headers("other")
    address = f"/api/v1/organisations/{OTHER}/dashboard"
    for on, members in ((moved_on - timedelta(days=1), 0), (moved_on, 1)):
        assert (await gateway.get(address, params={"on": str(on)}, headers=other)).json()[
            "members"
        ] == members
    assert (await gateway.get(f"/api/v1/members/{MEMBER}/timeline", headers=other)).status_code == 200


@pytest.mark.usefixtures("fed")
async def test_an_erased_member_keeps_a_timeline_and_counts_nowhere(
    gateway: httpx.AsyncClient, issuer: Issuer, worker: Database
) -> None:
    event = member_event(MEMBER, 3, COUNTY, "active", DAY, "erased")
    tombstone = Received(**{name: getattr(event, name) for name in Received.__slots__} | {"data": None})
    async with worker.write(Scope.everything()) as session:
        await apply(session, [tombstone])
        await session.commit()
        place = await session.execute(text("SELECT sequence FROM member_places"))
        assert place.scalar_one() == 3
    me = issuer.headers("county")
    entries = (
        await gateway.get(f"/api/v1/members/{MEMBER}/timeline", headers=me | {"Accept-Language": "en"})
    ).json()
    assert "Personal data erased" in [entry["title"] for entry in entries["items"]]
    shown = (
        await gateway.get(
            f"/api/v1/organisations/{COUNTY}/dashboard", params={"on": str(date(2026, 12, 1))}, headers=me
        )
    ).json()
    assert (shown["members"], shown["by_status"]) == (0, {})


@pytest.mark.usefixtures("fed")
@pytest.mark.parametrize(
    "query",
    [
        {"on": "yesterday"},
        {"days": "0"},
        {"days": "100000"},
        {"on": "2026-02-30"},
        {"on": "0001-01-01"},
        {"on": "9999-12-31"},
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(
    gateway: httpx.AsyncClient, issuer: Issuer, query: dict[str, str]
) -> None:
    answer = await gateway.get(
        f"/api/v1/organisations/{COUNTY}/dashboard", params=query, headers=issuer.headers("county")
    )
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["path"]
