"""S13: whatever is done to the audit is found; what was properly written verifies."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.database.scope import Scope
from shared.jobs.runner import JobRunner
from shared.security.chain import (
    CHAIN_JOB,
    ChainHead,
    ChainReport,
    chain_handler,
    chain_head,
    link_batch,
    verify_chain,
)
from shared.security.keys import KeyRing
from shared.testing.waiting import Eventually
from tests.integration.security.conftest import Scene, ring_of

PATH = "1/a/"


async def append(scene: Scene, count: int = 1, *, path: str | None = PATH) -> None:
    """One transaction of a user with `count` audited acts."""
    async with scene.app.write(Scope((PATH,))) as session:
        session.act_as("https://union.example/identity", str(uuid4()), "request-1")
        for number in range(count):
            session.audit(
                "member.read", "member", uuid4(), {"reason": "check", "number": str(number)}, path=path
            )
        await session.flush_events()
        await session.commit()


async def link(scene: Scene, ring: KeyRing, limit: int = 1000) -> int:
    async with scene.worker.write(Scope.everything()) as session:
        linked = await link_batch(session, ring, limit)
        await session.commit()
        return linked


async def verify(scene: Scene, ring: KeyRing, *anchors: ChainHead) -> ChainReport:
    async with scene.worker.read(Scope.everything()) as session:
        return await verify_chain(session, ring, anchors)


async def head_of(scene: Scene) -> ChainHead:
    async with scene.worker.read(Scope.everything()) as session:
        head = await chain_head(session)
    assert head
    return head


@pytest.fixture
async def chained(scene: Scene, ring: KeyRing) -> Scene:
    """Ten linked entries."""
    await append(scene, 10)
    assert await link(scene, ring) == 10
    return scene


async def test_an_honest_chain_verifies_and_reports_its_tail(chained: Scene, ring: KeyRing) -> None:
    head = await head_of(chained)
    await append(chained, 3)
    report = await verify(chained, ring, head)
    assert (report.valid, report.links, report.head, report.tail) == (True, 10, head, 3)
    assert report.oldest_in_tail is not None
    assert await link(chained, ring) == 3
    report = await verify(chained, ring, head)
    assert (report.valid, report.links, report.tail) == (True, 13, 0)


async def test_an_empty_chain_verifies(scene: Scene, ring: KeyRing) -> None:
    report = await verify(scene, ring)
    assert (report.valid, report.links, report.head, report.tail) == (True, 0, None, 0)
    assert await link(scene, ring) == 0


@pytest.mark.parametrize(
    ("tampering", "position", "reason"),
    [
        ("UPDATE audit_entries SET actor_subject = 'someone else' WHERE id = 4", 4, "entry-changed"),
        ('UPDATE audit_entries SET details = \'{"reason": "other"}\' WHERE id = 4', 4, "entry-changed"),
        ("UPDATE audit_entries SET at = at - interval '1 microsecond' WHERE id = 4", 4, "entry-changed"),
        ("UPDATE audit_entries SET path = NULL WHERE id = 4", 4, "entry-changed"),
        ("DELETE FROM audit_entries WHERE id = 4", 4, "entry-missing"),
        ("DELETE FROM audit_chain WHERE position = 4", 4, "link-missing"),
        (
            "DELETE FROM audit_entries WHERE id = 1; DELETE FROM audit_chain WHERE position = 1",
            1,
            "link-missing",
        ),
        (
            (
                "DELETE FROM audit_entries WHERE id = 4; DELETE FROM audit_chain WHERE position = 4;"
                "UPDATE audit_chain SET position = -position; DELETE FROM audit_chain WHERE position = -4;"
                "UPDATE audit_chain SET position = CASE WHEN position < -4 THEN -position - 1 ELSE -position END"
            ),
            4,
            "entry-changed",
        ),
        (
            (
                "UPDATE audit_chain SET entry_id = -5 WHERE position = 5;"
                "UPDATE audit_chain SET entry_id = 5 WHERE position = 6;"
                "UPDATE audit_chain SET entry_id = 6 WHERE position = 5"
            ),
            5,
            "entry-changed",
        ),
        ("UPDATE audit_chain SET hash = sha256('forged') WHERE position = 7", 7, "entry-changed"),
        ("UPDATE audit_chain SET key_id = 'k9' WHERE position = 7", 7, "key-missing"),
        ("TRUNCATE audit_entries", 1, "entry-missing"),
    ],
)
async def test_tampering_is_found_where_it_was_done(
    chained: Scene, ring: KeyRing, tampering: str, position: int, reason: str
) -> None:
    assert (await verify(chained, ring)).valid
    await chained.tamper(*tampering.split(";"))
    report = await verify(chained, ring)
    assert (report.valid, report.first_broken, report.reason) == (False, position, reason)


async def test_an_inserted_entry_with_a_forged_link_is_found(chained: Scene, ring: KeyRing) -> None:
    await chained.tamper(
        "INSERT INTO audit_entries (actor_issuer, actor_subject, action, subject_kind, subject_id)"
        " VALUES ('i', 's', 'member.read', 'member', gen_random_uuid())",
        "INSERT INTO audit_chain (position, entry_id, hash, key_id, linked_below)"
        " SELECT 11, max(id), sha256('x'), 'k1', '0' FROM audit_entries",
    )
    report = await verify(chained, ring)
    assert (report.first_broken, report.reason) == (11, "entry-changed")


async def test_a_cut_off_end_is_found_by_the_head_kept_elsewhere(chained: Scene, ring: KeyRing) -> None:
    head = ChainHead.imported((await head_of(chained)).exported())
    await chained.tamper(
        "DELETE FROM audit_chain WHERE position > 7", "DELETE FROM audit_entries WHERE id > 7"
    )
    assert (await verify(chained, ring)).valid  # nothing inside the database can tell
    report = await verify(chained, ring, head)
    assert (report.first_broken, report.reason) == (8, "cut-off")
    await chained.tamper("TRUNCATE audit_chain, audit_entries")
    report = await verify(chained, ring, head)
    assert (report.first_broken, report.reason) == (1, "cut-off")


async def test_a_chain_written_anew_without_the_key_is_found(chained: Scene, ring: KeyRing) -> None:
    await chained.tamper("DELETE FROM audit_entries WHERE id = 4", "TRUNCATE audit_chain")
    forger = ring_of("x")
    assert await link(chained, forger) == 9
    assert (await verify(chained, ring)).reason == "key-missing"
    await chained.tamper("UPDATE audit_chain SET key_id = 'k1'")
    assert (await verify(chained, ring)).reason == "entry-changed"


async def test_a_chain_written_anew_even_with_the_key_is_found_by_the_head_kept_elsewhere(
    chained: Scene, ring: KeyRing
) -> None:
    head = await head_of(chained)
    await chained.tamper("UPDATE audit_entries SET action = 'nothing' WHERE id = 4", "TRUNCATE audit_chain")
    assert await link(chained, ring) == 10
    assert (await verify(chained, ring)).valid
    report = await verify(chained, ring, head)
    assert (report.first_broken, report.reason) == (10, "head-differs")


async def test_32_parallel_appends_are_all_linked_once(scene: Scene, ring: KeyRing) -> None:
    stop = asyncio.Event()

    async def chain() -> None:
        while not stop.is_set():
            await link(scene, ring, 7)

    chainers = [asyncio.create_task(chain()) for _ in range(2)]
    await asyncio.gather(*(append(scene, 1 + number % 3) for number in range(32) for _ in range(3)))
    stop.set()
    await asyncio.gather(*chainers)
    while await link(scene, ring, 7):
        pass
    expected = 3 * sum(1 + number % 3 for number in range(32))
    report = await verify(scene, ring)
    assert (report.valid, report.links, report.tail) == (True, expected, 0)


async def test_an_entry_committed_late_is_linked_late_but_surely(scene: Scene, ring: KeyRing) -> None:
    async with scene.app.write(Scope((PATH,))) as slow:
        slow.audit("member.read", "member", uuid4())
        await slow.flush_events()
        await append(scene, 5)
        assert await link(scene, ring) == 5
        await append(scene, 2)
        assert await link(scene, ring) == 2
        await slow.commit()
    assert await link(scene, ring) == 1
    assert await link(scene, ring) == 0
    report = await verify(scene, ring)
    assert (report.valid, report.links, report.tail) == (True, 8, 0)


async def test_a_full_batch_loses_none_of_the_rest(scene: Scene, ring: KeyRing) -> None:
    await append(scene, 10)
    assert [await link(scene, ring, 4) for _ in range(4)] == [4, 4, 2, 0]


async def test_new_entries_are_linked_after_a_restore_in_which_transaction_ids_began_anew(
    chained: Scene, ring: KeyRing
) -> None:
    await chained.tamper("UPDATE audit_chain SET linked_below = '9000000000000'")
    await append(chained, 2)
    assert await link(chained, ring) == 2
    assert (await verify(chained, ring)).valid


async def test_the_chain_goes_on_under_a_new_key_and_needs_the_old_one_to_verify(
    chained: Scene, ring: KeyRing
) -> None:
    await append(chained, 2)
    both = ring_of("k1 k2")
    assert await link(chained, both) == 2
    assert (await verify(chained, both)).valid
    report = await verify(chained, ring)
    assert (report.first_broken, report.reason) == (11, "key-missing")


async def test_the_job_links_everything_again_and_again(
    scene: Scene, ring: KeyRing, eventually: Eventually
) -> None:
    async def all_linked() -> bool:
        report = await verify(scene, ring)
        return (report.valid, report.links, report.tail) == (True, expected, 0)

    stop = asyncio.Event()
    runner = JobRunner(
        scene.worker, {CHAIN_JOB: chain_handler(ring)}, every={CHAIN_JOB: timedelta(seconds=0.2)}
    )
    running = asyncio.create_task(runner.run(stop))
    try:
        expected = 1005
        await append(scene, 1005)
        await eventually(all_linked)
        expected = 1007
        await append(scene, 2)
        await eventually(all_linked)
    finally:
        stop.set()
        await running


@pytest.mark.parametrize("role", ["app", "worker"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET action = 'x'",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
        "UPDATE audit_chain SET hash = '\\x00'",
        "DELETE FROM audit_chain",
        "TRUNCATE audit_chain",
        "ALTER TABLE audit_entries DISABLE ROW LEVEL SECURITY",
    ],
)
async def test_no_running_program_may_change_the_audit(chained: Scene, role: str, statement: str) -> None:
    database = chained.app if role == "app" else chained.worker
    with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
        await _execute(database.write(Scope((PATH,))), statement)


async def test_the_application_cannot_write_links(chained: Scene) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        await _execute(
            chained.app.write(Scope((PATH,))),
            "INSERT INTO audit_chain (position, entry_id, hash, key_id, linked_below) VALUES (99, 99, '', 'k', '0')",
        )


async def test_the_application_reads_only_entries_of_its_scope_but_writes_any(scene: Scene) -> None:
    await append(scene, 2, path="1/a/5/")
    await append(scene, 3, path="1/b/")
    await append(scene, 4, path=None)
    for scope, expected in [(Scope((PATH,)), 2), (Scope(("1/",)), 5), (Scope.nothing(), 0)]:
        async with scene.app.read(scope) as session:
            assert await session.scalar(text("SELECT count(*) FROM audit_entries")) == expected
    async with scene.worker.read(Scope.everything()) as session:
        assert await session.scalar(text("SELECT count(*) FROM audit_entries")) == 9


async def test_an_entry_goes_with_its_transaction(scene: Scene, ring: KeyRing) -> None:
    async with scene.app.write(Scope((PATH,))) as session:
        session.audit("member.unmask", "member", uuid4())
        await session.flush_events()
        await session.rollback()
    assert await link(scene, ring) == 0
    assert (await verify(scene, ring)).tail == 0


async def _execute(opening: Any, statement: str) -> None:
    async with opening as session:
        await session.execute(text(statement))


def test_the_exported_head_survives_its_journey() -> None:
    head = ChainHead(7, bytes(range(32)))
    assert ChainHead.imported(head.exported()) == head
