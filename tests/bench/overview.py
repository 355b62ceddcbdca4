"""The overview of a member, composed by the gateway of the answers of three services, beside the slowest of them alone."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import httpx

from shared.database.provision import DatabaseUrls
from tests.bench.federations import Membership, membership
from tests.bench.figures import Figure, figure, percentile
from tests.bench.ground import Ground, Size, address
from tests.bench.hot_row import owner
from tests.bench.people import document, name, phone
from tests.support.tokens import ISSUER

_READER: Final = "overview-reader"
_ROLES: Final = ("registrar", "welfare_officer", "organiser")
_BLOCK: Final = 25
#: The replica as it is in every service, and which values each statement takes.
_REPLICA: Final = (
    (
        """
        INSERT INTO directory_organisations (id, number, code, name, kind, path, founded_on, sequence)
        VALUES ($1, 1, 'TOP', '示例省总工会', 'federation', '1/', '2020-01-01', 1)
        """,
        ("unit",),
    ),
    (
        """
        INSERT INTO directory_members (id, organisation_id, status, gender, birth_year, employment_form, joined_on, sequence)
        VALUES ($2, $1, 'active', 'female', 1990, 'contract', '2025-01-01', 1)
        """,
        ("unit", "member"),
    ),
    (
        """
        INSERT INTO directory_posts (id, issuer, subject, role, organisation_id, starts_on, sequence)
        SELECT gen_random_uuid(), $2, $3, role, $1, '2020-01-01', 1 FROM unnest($4::text[]) AS role
        """,
        ("unit", "issuer", "reader", "roles"),
    ),
    (
        "INSERT INTO consumer_freshness (consumer, source, as_of) VALUES ($1, 'membership', '2100-01-01Z')",
        ("consumer",),
    ),
)
#: Five cases of the member. $1 the unit, $2 the member.
_CASES: Final = """
    WITH programme AS (
        INSERT INTO programmes (id, organisation_id, path, budget_id, name, kind, starts_on, ends_on, amount_rule, fixed_fen,
            eligibility, version, created_at, updated_at)
        VALUES (gen_random_uuid(), $1, '1/', gen_random_uuid(), '生活救助', 'living', '2026-01-01', '2026-12-31', 'fixed', 1,
            '{}', 1, now(), now()) RETURNING id
    )
    INSERT INTO cases (id, case_number, organisation_id, path, programme_id, member_id, stage, stage_since, levels_up,
        requested_fen, approved_fen, approved_on, key_version, flagged, drafted_by_issuer, drafted_by_subject, is_own, version,
        created_at, updated_at)
    SELECT gen_random_uuid(), 'BENCH-' || n, $1, '1/', programme.id, $2, 'acknowledged', now(), 0, 1, 1, '2026-02-01', 1, false,
        'i', 's', false, 1, now(), now()
    FROM programme, generate_series(1, 5) AS n
"""
#: Ten activities and a registration for each. $1 the unit, $2 the member.
_REGISTRATIONS: Final = """
    WITH held AS (
        INSERT INTO activities (id, organisation_id, path, title, kind, description, place, sessions, starts_at, ends_at,
            audience_organisation_id, audience_genders, audience_forms, audience_roles, mode, capacity, quotas,
            registration_opens_at, registration_closes_at, stage, stage_since, version)
        SELECT gen_random_uuid(), $1, '1/', '健步走', 'sport', '', '公园', '[]', now(), now(), $1, '{}', '{}', '{}', 'first_come',
            500, '[]', now(), now(), 'held', now(), 1
        FROM generate_series(1, 10) RETURNING id
    )
    INSERT INTO registrations (id, activity_id, member_id, organisation_id, path, pool, position, status, registered_at, version)
    SELECT gen_random_uuid(), held.id, $2, $1, '1/', 0, 1, 'confirmed', now(), 1 FROM held
"""


async def overview(ground: Ground, size: Size) -> list[Figure]:
    """99th percentile in ms of one request after the other, blocks in turn; every service is a process of its own."""
    async with membership(ground, "jobs") as service:
        member = await _member(service)
        addresses = {"membership": address(service.environment)}
        for owning, filling in (("welfare", _CASES), ("events", _REGISTRATIONS)):
            addresses[owning] = await _owner_of(ground, service, owning, filling, member)
        urls = ground.databases("gateway")
        settings = {f"UNIONHALL_{owning.upper()}_URL": url for owning, url in addresses.items()}
        environment = ground.environment("gateway", urls, **settings)
        await _replicate(ground, urls, "gateway", UUID(service.federation.root_id), None)
        await asyncio.to_thread(ground.http, "gateway_service.app", environment)
        asked = {
            "overview": f"{address(environment)}/api/v1/members/{member}/overview",
            "membership": f"{addresses['membership']}/api/v1/members/{member}",
            "cases": f"{addresses['welfare']}/api/v1/cases?member={member}",
            "dossiers": f"{addresses['welfare']}/api/v1/dossiers?member={member}",
            "registrations": f"{addresses['events']}/api/v1/registrations?member={member}",
        }
        headers = ground.issuer.headers(_READER)
        async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=30) as client:
            await _be_whole(client, asked["overview"])
            rounds = [await _round(client, asked, size.of(40, 2)) for _ in range(size.rounds)]
    slowest = [max(p99 for part, p99 in found.items() if part != "overview") for found in rounds]
    whole = [found["overview"] for found in rounds]
    return [figure("overview_p99_vs_owner", "ms", whole, slowest, target="ratio <= 1.3")]


async def _member(service: Membership) -> str:
    federation = service.federation
    for role in _ROLES:
        await federation.user(role, federation.root_id, _READER)
    person = {"name": name(0), "document_number": document(0), "phone": phone(0)}
    body = person | {"organisation_id": federation.root_id}
    applied = await federation.call("POST", "/members/applications", by=_READER, json=body, expect=201)
    return str(applied["id"])


async def _owner_of(ground: Ground, service: Membership, owning: str, filling: str, member: str) -> str:
    """Start a service in which the member has a history; where it listens."""
    urls = ground.databases(owning)
    unit = UUID(service.federation.root_id)
    await _replicate(ground, urls, owning, unit, UUID(member))
    async with owner(ground, urls) as connection:
        await connection.execute(filling, unit, UUID(member))
        await connection.execute("ANALYZE")
    environment = ground.environment(owning, urls, UNIONHALL_MEMBERSHIP_URL=address(service.environment))
    await asyncio.to_thread(ground.http, f"{owning}_service.app", environment)
    return address(environment)


async def _replicate(
    ground: Ground, urls: DatabaseUrls, service: str, unit: UUID, member: UUID | None
) -> None:
    """What the service would have heard of membership; the gateway keeps no members of this shape."""
    values: Mapping[str, Any] = {
        "unit": unit,
        "member": member,
        "issuer": ISSUER,
        "reader": _READER,
        "roles": list(_ROLES),
        "consumer": f"{service}.directory",
    }
    async with owner(ground, urls) as connection:
        for statement, names in _REPLICA:
            if "member" not in names or member is not None:
                await connection.execute(statement, *(values[one] for one in names))


async def _be_whole(client: httpx.AsyncClient, url: str) -> None:
    """Raise unless every part is there, with the member's history."""
    found = (await client.get(url)).raise_for_status().json()
    parts = found["parts"]
    counts = [len(parts[part]["items"]) for part in ("cases", "registrations") if parts[part]]
    if found["missing"] or counts != [5, 10]:
        raise RuntimeError(f"the overview lacks something: {found}")


async def _round(client: httpx.AsyncClient, asked: Mapping[str, str], blocks: int) -> dict[str, float]:
    taken: dict[str, list[float]] = {part: [] for part in asked}
    for _ in range(blocks):
        for part, url in asked.items():
            for _ in range(_BLOCK):
                began = time.perf_counter()
                reply = await client.get(url)
                taken[part].append((time.perf_counter() - began) * 1000)
                reply.raise_for_status()
    found = {part: percentile(times, 0.99) for part, times in taken.items()}
    medians = {part: round(percentile(times, 0.5), 2) for part, times in taken.items()}
    print(
        f"  p99 ms { ({part: round(one, 2) for part, one in found.items()}) }  p50 ms {medians}", flush=True
    )
    return found
