"""Posts over HTTP: they are granted, end, are listed, and they alone give rights."""

import subprocess
import sys
from datetime import timedelta
from uuid import uuid4

import pytest

from membership_service.bootstrap import ALREADY, Top, bootstrap_administrator
from membership_service.bootstrap import main as bootstrap
from membership_service.posts.domain import Holder
from shared.contracts.membership import OrganisationKind
from shared.database.engine import Database
from shared.database.scope import Scope
from shared.kernel.errors import Conflict
from shared.testing.databases import DatabaseFactory
from tests.support.membership import ROOT_ADMIN, Federation
from tests.support.tokens import ISSUER


def post(at: str, subject: str = "", **changes: str) -> dict[str, str]:
    body = {"organisation_id": at, "issuer": ISSUER, "subject": subject or str(uuid4())}
    return body | {"role": "registrar", "starts_on": "2026-03-16"} | changes


async def test_who_am_i_shows_the_posts_that_hold_today(federation: Federation) -> None:
    county = await federation.unit(name="甲县总工会")
    subject = await federation.user("auditor", county["id"])
    await federation.call(
        "POST", "/posts", json=post(county["id"], subject, starts_on="2026-03-20"), expect=201
    )
    me = await federation.call("GET", "/me", by=subject)
    assert (me["issuer"], me["subject"]) == (ISSUER, subject)
    assert [(held["role"], held["organisation"]["name"]) for held in me["posts"]] == [
        ("auditor", "甲县总工会")
    ]
    federation.clock.advance(timedelta(days=4))
    assert len((await federation.call("GET", "/me", by=subject))["posts"]) == 2
    assert (await federation.call("GET", "/me", by="nobody"))["posts"] == []


async def test_rights_begin_and_end_with_the_post(federation: Federation) -> None:
    county = await federation.unit()
    path = f"/organisations/{county['id']}"
    subject = f"s-{uuid4().hex}"
    await federation.call("GET", path, by=subject, expect=404)
    granted = await federation.call("POST", "/posts", json=post(county["id"], subject), expect=201)
    federation.clock.advance(timedelta(seconds=6))
    await federation.call("GET", path, by=subject)
    ended = await federation.call("POST", f"/posts/{granted['id']}/end", version=1, json={})
    assert ended["ends_on"] == "2026-03-15"
    federation.clock.advance(timedelta(seconds=6))
    await federation.call("GET", path, by=subject, expect=404)
    assert await federation.events(granted["id"]) == [("post.granted.v1", 1), ("post.ended.v1", 2)]


async def test_only_an_administrator_of_the_place_grants_and_never_to_himself(federation: Federation) -> None:
    mine, other = await federation.unit(), await federation.unit()
    administrator = await federation.user("administrator", mine["id"])
    registrar = await federation.user("registrar", mine["id"])
    await federation.call("POST", "/posts", by=administrator, json=post(mine["id"]), expect=201)
    await federation.call("POST", "/posts", by=administrator, json=post(other["id"]), expect=404)
    await federation.call("POST", "/posts", by=registrar, json=post(mine["id"]), expect=403)
    refused = await federation.call(
        "POST", "/posts", by=administrator, json=post(mine["id"], administrator), expect=403
    )
    assert refused["code"] == "post-to-oneself"


async def test_the_same_post_is_not_granted_twice_in_one_time(federation: Federation) -> None:
    county = await federation.unit()
    first = post(county["id"], ends_on="2026-06-30")
    await federation.call("POST", "/posts", json=first, expect=201)
    again = await federation.call("POST", "/posts", json=first | {"starts_on": "2026-06-30"}, expect=409)
    assert again["code"] == "post-exists"
    later = first | {"starts_on": "2026-07-01", "ends_on": "2026-12-31"}
    await federation.call("POST", "/posts", json=later, expect=201)
    await federation.call("POST", "/posts", json=first | {"role": "auditor"}, expect=201)


async def test_posts_are_listed_for_overseers_of_the_place_only(federation: Federation) -> None:
    county = await federation.unit()
    branch = await federation.unit(county["id"], kind="branch")
    auditor = await federation.user("auditor", county["id"])
    registrar = await federation.user("registrar", branch["id"])
    seen: list[str] = []
    cursor = ""
    while True:
        page = await federation.call("GET", f"/posts?organisation={county['id']}&limit=1{cursor}", by=auditor)
        seen += [item["subject"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [auditor, registrar]
    post_id = page["items"][0]["id"]
    await federation.call("GET", f"/posts/{post_id}", by=auditor)
    await federation.call("GET", f"/posts?organisation={branch['id']}", by=registrar, expect=403)
    await federation.call("GET", f"/posts/{post_id}", by=registrar, expect=403)
    stranger = await federation.user("auditor", (await federation.unit())["id"])
    await federation.call("GET", f"/posts/{post_id}", by=stranger, expect=404)
    await federation.call("GET", f"/posts?organisation={county['id']}", by=stranger, expect=404)


async def test_the_application_role_writes_no_post_outside_its_scope(federation: Federation) -> None:
    """Row-level security alone, without the policy module."""
    mine, other = await federation.unit(), await federation.unit()
    ids = [mine["id"], other["id"]]
    rows = await federation.rows("SELECT id::text, path FROM organisations WHERE id = ANY($1)", ids)
    paths = {row["id"]: row["path"] for row in rows}
    await federation.user("registrar", other["id"])
    database = Database(federation.urls.app, pool_size=1, application_name="test-scope")
    move = "UPDATE posts SET ends_on = '2030-01-01' WHERE path ^@ $1 RETURNING id"
    try:
        for scope, count in ((paths[mine["id"]], 0), (paths[other["id"]], 1)):
            async with database.write(Scope((scope,))) as session:
                connection = await (await session.connection()).get_raw_connection()
                driver = connection.driver_connection
                assert driver is not None
                assert len(await driver.fetch(move, paths[other["id"]])) == count
    finally:
        await database.close()


async def test_the_first_administrator_is_appointed_once(federation: Federation) -> None:
    database = Database(federation.urls.worker, pool_size=1, application_name="test-bootstrap")
    top = Top("OTHER", "另一个总工会", OrganisationKind.PROVINCIAL)
    try:
        async with database.write(Scope.everything()) as session:
            with pytest.raises(Conflict) as refused:
                await bootstrap_administrator(
                    session, Holder(ISSUER, "intruder"), top, federation.clock.now()
                )
    finally:
        await database.close()
    assert refused.value.code == "already-bootstrapped"
    audited = await federation.rows(
        "SELECT action, actor_issuer FROM audit_entries WHERE subject_id IN (SELECT id FROM posts WHERE subject = $1)",
        ROOT_ADMIN,
    )
    assert [tuple(row) for row in audited] == [("post.granted", "system")]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--issuer", ""),
        ("--issuer", "identity.test"),
        ("--subject", " "),
        ("--organisation-name", ""),
        ("--organisation-code", "9 9"),
        ("--founded-on", "9999-01-01"),
        ("--founded-on", "yesterday"),
    ],
)
def test_what_could_never_be_mended_is_not_written(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first administrator is appointed once: nobody could sign in as one without a name."""
    given = {"--issuer": ISSUER, "--subject": "first", "--organisation-name": "示例省总工会", option: value}
    with pytest.raises(SystemExit) as ended:
        bootstrap([word for pair in given.items() for word in pair])
    assert ended.value.code == 2
    assert f"argument {option}: " in capsys.readouterr().err


def test_bootstrap_as_a_program(make_database: DatabaseFactory) -> None:
    urls = make_database("membership")
    command = [
        *(sys.executable, "-m", "membership_service.bootstrap", "--issuer", ISSUER, "--subject", "first"),
        *("--organisation-name", "示例省总工会"),
    ]
    environment = {"UNIONHALL_WORKER_DATABASE_URL": urls.worker, "PATH": ""}
    first = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=25)
    assert first.returncode == 0, first.stderr
    second = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=25)
    assert second.returncode == ALREADY
    assert "首位管理员" in second.stderr
    assert "administrator already" in second.stderr
