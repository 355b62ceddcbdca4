"""S10: somebody's secrets go through every flow; then they are looked for wherever they must not be."""

import logging
from collections.abc import Iterator

import asyncpg
import pytest

from shared.observability.logs import JsonFormatter
from tests.security.samples import SAMPLES, request_of
from tests.security.stage import CANARIES, MEMBER, Stage
from tests.security.world import SERVICES, user_at

#: A member's name is what its own service is for; it stands in no other.
_NAME_AT_HOME = {("membership", "name")}
_TABLES = """
    SELECT c.relname FROM pg_class c
    WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY c.relname
"""


def found_in(text: str) -> set[str]:
    """Which canaries are in a text: as they are, as hexadecimal bytes, or percent-encoded."""
    low = text.lower()
    return {
        kind
        for kind, canary in CANARIES.items()
        if canary in text
        or canary.encode().hex() in low
        or "".join(f"%{byte:02x}" for byte in canary.encode()) in low
    }


async def dumped(stage: Stage, service: str) -> Iterator[tuple[str, str]]:
    """Every table of a service with all its rows as text, bytes as hexadecimal."""
    connection = await asyncpg.connect(stage.world.urls[service].owner)
    try:
        tables = [row["relname"] for row in await connection.fetch(_TABLES)]
        found = []
        for table in tables:
            rows = await connection.fetch(f"SELECT t::text AS row FROM {table} t")
            found.append((table, "\n".join(row["row"] for row in rows)))
        return iter(found)
    finally:
        await connection.close()


async def more_flows(stage: Stage) -> None:
    """What the stage did not do yet: unmask, search, refuse what is wrong with it."""
    world = stage.world
    registrar, officer = user_at("registrar", "own"), user_at("welfare_officer", "own")
    reason = {"reason": "核对"}
    shown = await world.call(
        "membership", "POST", f"/members/{stage.ids['member_id']}/unmasking", by=registrar, json=reason
    )
    assert CANARIES["document"] in str(shown), "the canary is not where it belongs"
    shown = await world.call(
        "welfare", "POST", f"/dossiers/{stage.ids['dossier_id']}/unmasking", by=officer, json=reason
    )
    assert CANARIES["illness"] in str(shown)
    search = {"organisation_id": stage.own, "phone": CANARIES["phone"]}
    await world.call("membership", "POST", "/members/search", by=registrar, json=search)
    detail = await world.call("welfare", "GET", f"/cases/{stage.ids['case_id']}", by=officer)
    assert CANARIES["reason"] in str(detail)
    for path in (
        f"/members/{stage.ids['member_id']}/overview",
        f"/cases/{stage.ids['case_id']}/page",
        "/work",
    ):
        await world.send("gateway", "GET", path, by=officer)
    # Wrong on purpose, with the secrets in it: what comes back must not quote them.
    for service in ("membership", "welfare", "events"):
        for route, sample in SAMPLES[service].items():
            if sample.body is None:
                continue
            path, request = request_of(stage, route, sample)
            request["json"] = {name: list(CANARIES.values()) for name in request["json"]} | dict(CANARIES)
            reply = await world.send(service, route.split(" ")[0], path, by=MEMBER, **request)
            assert reply.status_code >= 400


async def test_no_secret_is_found_where_it_must_not_be(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await more_flows(stage)
    formatter = JsonFormatter("test")
    logs = "\n".join(formatter.format(record) for record in [*caplog.records, *stage.world.logged])
    assert len(logs) > 1000
    assert found_in(logs) == set(), "logs"
    assert len(stage.world.refusals) > 100
    for reply in stage.world.refusals:
        assert found_in(reply) == set(), reply
    for service in SERVICES:
        metrics = await stage.world.clients[service].get("/metrics")
        assert len(metrics.text) > 1000
        assert found_in(metrics.text) == set(), f"metrics of {service}"


async def test_no_secret_is_found_in_any_database(stage: Stage) -> None:
    """Everything that is sent to a topic stands in an outbox, every letter that is dead in its table: they are dumped too."""
    seen = 0
    for service in SERVICES:
        for table, text in await dumped(stage, service):
            kinds = {kind for kind in found_in(text) if (service, kind) not in _NAME_AT_HOME}
            assert kinds == set(), f"{service}.{table}: {kinds}"
            seen += bool(text)
    assert seen > 60


def test_the_search_finds_what_is_there() -> None:
    """Seen failing: as plain text, as bytes, in a URL."""
    document = CANARIES["document"]
    assert found_in(f"x{document}y") == {"document"}
    assert found_in(f"\\x{CANARIES['illness'].encode().hex()}") == {"illness"}
    assert found_in(f"/search?name={'%' + CANARIES['name'].encode().hex('%')}") == {"name"}
