"""The tree over HTTP: units are founded, renamed, moved, dissolved, listed and searched."""

from datetime import timedelta
from uuid import uuid4

from tests.support.membership import ROOT_ADMIN, Federation


async def test_a_unit_is_founded_renamed_and_has_a_history(federation: Federation) -> None:
    county = await federation.unit(name="甲县总工会")
    renamed = await federation.call(
        "PATCH", f"/organisations/{county['id']}", version=1, json={"name": "甲市总工会", "kind": "city"}
    )
    assert (renamed["name"], renamed["kind"], renamed["version"]) == ("甲市总工会", "city", 2)
    history = await federation.call("GET", f"/organisations/{county['id']}/history")
    assert [(row["happening"], row["valid_from"], row["valid_to"]) for row in history["items"]] == [
        ("created", "2025-06-01", "2026-03-16"),
        ("renamed", "2026-03-16", None),
    ]
    assert history["items"][1]["recorded_subject"] == ROOT_ADMIN
    assert await federation.events(county["id"]) == [
        ("organisation.created.v1", 1),
        ("organisation.renamed.v1", 2),
    ]


async def test_the_same_code_is_taken_also_beyond_ones_sight(federation: Federation) -> None:
    mine, other = await federation.unit(), await federation.unit()
    administrator = await federation.user("administrator", mine["id"])
    body = {
        "parent_id": mine["id"],
        "code": other["code"],
        "name": "乙",
        "kind": "branch",
        "founded_on": "2026-01-01",
    }
    refused = await federation.call("POST", "/organisations", by=administrator, expect=409, json=body)
    assert refused["code"] == "organisation-code-taken"
    assert "编码" in refused["detail"]


async def test_a_stale_version_is_refused_and_the_fresh_one_is_not(federation: Federation) -> None:
    county = await federation.unit()
    path = f"/organisations/{county['id']}"
    await federation.call("PATCH", path, version=1, json={"name": "新名", "kind": "county"})
    await federation.call("PATCH", path, version=1, expect=412, json={"name": "又名", "kind": "county"})
    await federation.call("PATCH", path, expect=428, json={"name": "又名", "kind": "county"})
    await federation.call("PATCH", path, version=2, json={"name": "又名", "kind": "county"})


async def test_a_move_takes_along_everything_that_carries_the_path(federation: Federation) -> None:
    old, new = await federation.unit(), await federation.unit()
    joint = await federation.unit(old["id"], kind="joint")
    branch = await federation.unit(joint["id"], kind="branch")
    registrar = await federation.user("registrar", branch["id"])
    preview = await federation.call(
        "POST", f"/organisations/{joint['id']}/move/preview", json={"parent_id": new["id"]}
    )
    assert preview["affected"] | {"members": 0} == {
        "organisations": 2,
        "posts": 1,
        "enterprises": 0,
        "members": 0,
    }
    assert [unit["id"] for unit in preview["first_units"]] == [joint["id"], branch["id"]]
    moved = await federation.call(
        "POST", f"/organisations/{joint['id']}/move", version=1, json={"parent_id": new["id"]}
    )
    assert moved["plan"] is None
    assert (moved["organisation"]["parent_id"], moved["organisation"]["parent_since"]) == (
        new["id"],
        "2026-03-16",
    )
    below = await federation.call("GET", f"/organisations/{new['id']}/subtree")
    assert [unit["id"] for unit in below["items"]] == [new["id"], joint["id"], branch["id"]]
    assert [
        unit["id"] for unit in (await federation.call("GET", f"/organisations/{old['id']}/subtree"))["items"]
    ] == [old["id"]]
    paths = await federation.rows(
        """
        SELECT count(DISTINCT path) AS paths, min(path) AS path FROM (
            SELECT path FROM organisations WHERE id = $1
            UNION ALL SELECT path FROM posts WHERE subject = $2
            UNION ALL SELECT path FROM organisation_history WHERE organisation_id = $1
        ) AS all_paths
        """,
        branch["id"],
        registrar,
    )
    parent = await federation.rows("SELECT path FROM organisations WHERE id = $1", new["id"])
    assert paths[0]["paths"] == 1
    assert paths[0]["path"].startswith(parent[0]["path"])
    assert await federation.events(branch["id"]) == [("organisation.created.v1", 1)]
    assert (await federation.events(joint["id"]))[-1] == ("organisation.moved.v1", 2)
    mine = await federation.call("GET", f"/organisations/{branch['id']}", by=registrar)
    assert mine["id"] == branch["id"]


async def test_a_circle_and_the_root_are_refused(federation: Federation) -> None:
    county = await federation.unit()
    joint = await federation.unit(county["id"], kind="joint")
    for unit, parent, code in (
        (county, joint["id"], "organisation-cycle"),
        (county, county["id"], "organisation-cycle"),
        (joint, county["id"], "organisation-already-there"),
        ({"id": federation.root_id}, county["id"], "organisation-root-fixed"),
    ):
        for route in ("move/preview", "move"):
            refused = await federation.call(
                "POST",
                f"/organisations/{unit['id']}/{route}",
                version=1,
                expect=409,
                json={"parent_id": parent},
            )
            assert refused["code"] == code
    await federation.call(
        "POST", f"/organisations/{joint['id']}/move", version=1, json={"parent_id": federation.root_id}
    )


async def test_the_tree_of_a_past_day_is_read_as_it_was(federation: Federation) -> None:
    old, new = await federation.unit(), await federation.unit()
    joint = await federation.unit(old["id"], kind="joint", name="旧名联合工会", founded_on="2026-01-10")
    path = f"/organisations/{joint['id']}"
    await federation.call("PATCH", path, version=1, json={"name": "新名联合工会", "kind": "joint"})
    await federation.call("POST", f"{path}/move", version=2, json={"parent_id": new["id"]})
    then = await federation.call("GET", f"{path}/then?on=2026-02-01")
    assert (then["name"], then["parent_id"]) == ("旧名联合工会", old["id"])
    refused = await federation.call("GET", f"{path}/then?on=2026-01-09", expect=404)
    assert refused["code"] == "organisation-not-then"
    now = await federation.call("GET", f"{path}/then?on=2026-03-16")
    assert (now["name"], now["parent_id"]) == ("新名联合工会", new["id"])
    for parent, on, expected in (
        (old, "?on=2026-02-01", [joint["id"]]),
        (old, "?on=2026-03-16", []),
        (old, "", []),
        (new, "?on=2026-02-01", []),
        (new, "", [joint["id"]]),
    ):
        page = await federation.call("GET", f"/organisations/{parent['id']}/children{on}")
        assert [unit["id"] for unit in page["items"]] == expected


async def test_a_unit_is_dissolved_once_nothing_stands_on_it(federation: Federation) -> None:
    county, successor = await federation.unit(), await federation.unit()
    joint = await federation.unit(county["id"], kind="joint")
    await federation.user("registrar", county["id"])
    path, body = f"/organisations/{county['id']}/dissolution", {"successor_id": successor["id"]}
    refused = await federation.call("POST", path, version=1, expect=409, language="en", json=body)
    assert refused["code"] == "organisation-not-empty"
    assert [problem["code"] for problem in refused["problems"]] == [
        "organisation-still-has-organisations",
        "organisation-still-has-posts",
    ]
    assert "1 units still stand" in refused["problems"][0]["detail"]
    await federation.call("POST", f"/organisations/{joint['id']}/dissolution", version=1, json=body)
    posts = await federation.call("GET", f"/posts?organisation={county['id']}")
    await federation.call("POST", f"/posts/{posts['items'][0]['id']}/end", version=1, json={})
    ended = await federation.call("POST", path, version=1, json=body)
    assert ended["organisation"]["dissolved_on"] == "2026-03-16"
    assert (await federation.events(county["id"]))[-1] == ("organisation.dissolved.v1", 2)
    again = await federation.call("POST", path, version=2, expect=409, json=body)
    assert again["code"] == "organisation-dissolved"
    found = await federation.call(
        "POST", "/organisations/search", json={"within": federation.root_id, "words": county["code"]}
    )
    assert found["items"] == []


async def test_children_and_subtree_come_in_pages(federation: Federation) -> None:
    county = await federation.unit()
    children = [(await federation.unit(county["id"], kind="joint"))["id"] for _ in range(5)]
    for path, expected in (("children", children), ("subtree", [county["id"], *children])):
        seen: list[str] = []
        cursor = ""
        while True:
            page = await federation.call("GET", f"/organisations/{county['id']}/{path}?limit=2{cursor}")
            seen += [unit["id"] for unit in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert seen == expected


async def test_search_finds_by_part_of_the_name_and_start_of_the_code(
    federation: Federation, unique: str
) -> None:
    county = await federation.unit()
    plant = await federation.unit(county["id"], kind="enterprise", name=f"示例{unique}机械厂工会")
    other = await federation.unit(kind="enterprise", name=f"外地{unique}机械厂工会")

    async def found(within: str, words: str) -> list[str]:
        page = await federation.call("POST", "/organisations/search", json={"within": within, "words": words})
        return [unit["id"] for unit in page["items"]]

    assert await found(county["id"], f"{unique}机械") == [plant["id"]]
    assert await found(federation.root_id, f"{unique}机械") == [plant["id"], other["id"]]
    assert await found(county["id"], plant["code"].lower()) == [plant["id"]]
    assert await found(county["id"], "%") == []


async def test_each_sees_and_changes_only_his_own_subtree(federation: Federation) -> None:
    mine, other = await federation.unit(), await federation.unit()
    below = await federation.unit(mine["id"], kind="joint")
    registrar = await federation.user("registrar", mine["id"])
    administrator = await federation.user("administrator", mine["id"])
    body = {"name": "改名", "kind": "joint"}
    await federation.call("GET", f"/organisations/{below['id']}", by=registrar)
    for path in (
        f"/organisations/{other['id']}",
        f"/organisations/{federation.root_id}",
        f"/organisations/{uuid4()}",
    ):
        assert (await federation.call("GET", path, by=registrar, expect=404))["code"] == "not-found"
    refused = await federation.call(
        "PATCH", f"/organisations/{below['id']}", by=registrar, version=1, expect=403, json=body
    )
    assert refused["code"] == "not-allowed"
    await federation.call(
        "PATCH", f"/organisations/{other['id']}", by=administrator, version=1, expect=404, json=body
    )
    await federation.call("PATCH", f"/organisations/{below['id']}", by=administrator, version=1, json=body)
    search = {"within": federation.root_id, "words": "示例"}
    await federation.call("POST", "/organisations/search", by=registrar, expect=404, json=search)
    held = await federation.call("GET", "/organisations", by=registrar)
    assert [unit["id"] for unit in held] == [mine["id"]]
    # Out of one's own subtree, and to a kind above one's own parent, nobody moves.
    move = {"parent_id": other["id"]}
    await federation.call(
        "POST", f"/organisations/{below['id']}/move", by=administrator, version=2, expect=404, json=move
    )
    higher = {"name": "升格", "kind": "city"}
    refused = await federation.call(
        "PATCH", f"/organisations/{mine['id']}", by=administrator, version=1, expect=403, json=higher
    )
    assert refused["code"] == "organisation-kind-by-parent"


async def test_the_same_key_founds_one_unit(federation: Federation) -> None:
    body = {
        "parent_id": federation.root_id,
        "code": f"K-{uuid4().hex[:8]}",
        "name": "丙",
        "kind": "county",
        "founded_on": "2026-01-01",
    }
    headers = federation.issuer.headers(ROOT_ADMIN) | {"Idempotency-Key": str(uuid4())}
    first = await federation.client.post("/api/v1/organisations", json=body, headers=headers)
    second = await federation.client.post("/api/v1/organisations", json=body, headers=headers)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second.headers["Idempotency-Replayed"] == "true"


async def test_unknown_fields_and_wrong_dates_are_refused(federation: Federation) -> None:
    body = {
        "parent_id": federation.root_id,
        "code": "Z-1",
        "name": "丁",
        "kind": "county",
        "founded_on": "2026-01-01",
    }
    for changes, code in (
        ({"path": "1/"}, "field-unknown"),
        ({"founded_on": "2026-03-17"}, "organisation-founded-in-future"),
        ({"kind": "national"}, "organisation-kind-above-parent"),
        ({"code": "a b"}, "field-malformed"),
    ):
        refused = await federation.call("POST", "/organisations", expect=422, json=body | changes)
        assert code in {problem["code"] for problem in refused["problems"]}


async def test_a_plan_for_a_past_day_is_refused(federation: Federation) -> None:
    county, joint = await federation.unit(), await federation.unit(kind="joint")
    yesterday = (federation.clock.now() - timedelta(days=1)).date().isoformat()
    refused = await federation.call(
        "POST",
        f"/organisations/{joint['id']}/move",
        version=1,
        expect=422,
        json={"parent_id": county["id"], "on": yesterday},
    )
    assert refused["code"] == "date-in-past"
