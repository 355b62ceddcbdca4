"""`unionhall verify` sees each breach that is planted, and nothing when all is healed."""

import asyncio
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from typer.testing import CliRunner

from local_stack.layout import HOME_VARIABLE, Secrets
from tests.support.stack import RunningStack
from unionhall_cli.federation import federation
from unionhall_cli.main import app
from unionhall_cli.verify.digests import digest_findings
from unionhall_cli.verify.finding import Finding, Verdict
from unionhall_cli.verify.plaintext import plaintext_findings
from unionhall_cli.verify.programs import audit_findings, database_findings, view_finding

pytestmark = pytest.mark.timeout(240)

#: A made-up person of the unassigned region 999999.
DOCUMENT = b"999999199003071234"
DEAD_LETTERS = TopicPartition("unionhall.gateway.views.dead-letters.v1", 0)


@pytest.fixture(scope="module", autouse=True)
def loaded(stack: RunningStack) -> Iterator[None]:
    """The command finds the stack of the tests, with a federation in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOME_VARIABLE, str(stack.layout.root))
        patch.setenv("UNIONHALL_LANG", "en")
        ran = CliRunner().invoke(app, ["demo", "--scale", "tiny", "--json"])
        assert ran.exit_code == 0, ran.output
        yield


def sql(stack: RunningStack, service: str, *statements: str) -> Any:
    """Run as the superuser, whom no guard of the tables stops; the first value of the last one."""

    async def run() -> Any:
        password = Secrets.read(stack.layout).superuser
        url = f"postgresql://postgres:{password}@{stack.status.postgres}/unionhall_{service}"
        connection = await asyncpg.connect(url)
        try:
            await connection.execute("SET session_replication_role = replica")
            return [await connection.fetchval(statement) for statement in statements][-1]
        finally:
            await connection.close()

    return asyncio.run(run())


def breaches(findings: Iterable[Finding]) -> dict[str, list[str]]:
    """Place -> offenders."""
    return {f"{one.id} {one.what}": one.found for one in findings if one.verdict is not Verdict.OK}


@contextmanager
def changed(stack: RunningStack, service: str, plant: str, heal: str) -> Iterator[str]:
    """A breach for a while; what the planting statement returned."""
    planted = sql(stack, service, plant)
    assert planted is not None
    try:
        yield str(planted)
    finally:
        sql(stack, service, heal.format(id=planted))


def test_nothing_is_wrong_with_a_sound_federation() -> None:
    ran = CliRunner().invoke(app, ["verify", "--json"])
    assert ran.exit_code == 0, ran.output
    found = json.loads(ran.stdout)
    assert {one["id"] for one in found["findings"]} == {f"I{number}" for number in range(1, 13)}
    assert {one["verdict"] for one in found["findings"]} == {"ok"}
    assert all(one["zh"] and one["en"] for one in found["findings"])


def test_i1_names_the_aggregate_that_a_subscriber_lacks(stack: RunningStack) -> None:
    plant = """
        UPDATE member_places SET sequence = sequence - 1
        WHERE member_id = (SELECT min(member_id::text)::uuid FROM member_places) RETURNING member_id
    """
    heal = "UPDATE member_places SET sequence = sequence + 1 WHERE member_id = '{id}'"
    with changed(stack, "gateway", plant, heal) as member:
        found = breaches(digest_findings("administrator"))
    assert list(found) == ["I1 membership → gateway: members"]
    assert [one.split(":")[0] for one in found["I1 membership → gateway: members"]] == [member]
    assert breaches(digest_findings("administrator")) == {}


def test_i1_cannot_be_seen_by_somebody_without_a_post() -> None:
    found = list(digest_findings("member"))
    assert [one.verdict for one in found] == [Verdict.SKIPPED]


ON_DATABASES = {
    "I2 gateway: dashboard": (
        "gateway",
        """UPDATE dashboard_members SET sequence = sequence - 1 WHERE (slot, member_id) = (
            SELECT live, (SELECT min(member_id::text)::uuid FROM dashboard_members) FROM dashboard_state
        ) RETURNING member_id""",
        (
            "UPDATE dashboard_members SET sequence = sequence + 1 WHERE member_id = '{id}'"
            " AND slot = (SELECT live FROM dashboard_state)"
        ),
    ),
    "I6 gateway: facts": (
        "gateway",
        """INSERT INTO facts (event_id, topic, type, source, subject, sequence, time, member_id, data)
        SELECT gen_random_uuid(), topic, type, source, subject, 1000, time, NULL, data FROM facts
        WHERE topic LIKE '%members%' AND time > now() - interval '1 day' LIMIT 1 RETURNING subject""",
        "DELETE FROM facts WHERE subject = '{id}' AND sequence = 1000",
    ),
    "I6 membership: members": (
        "membership",
        """UPDATE member_history SET version = 99
        WHERE member_id = (SELECT min(member_id::text)::uuid FROM member_history) AND version = 1 RETURNING member_id""",
        "UPDATE member_history SET version = 1 WHERE member_id = '{id}' AND version = 99",
    ),
    "I6 membership: organisations": (
        "membership",
        """UPDATE organisation_history SET version = 99 WHERE version = 1 AND organisation_id = (
            SELECT min(organisation_id::text)::uuid FROM organisation_history) RETURNING organisation_id""",
        "UPDATE organisation_history SET version = 1 WHERE organisation_id = '{id}' AND version = 99",
    ),
    "I9 membership: idempotency_keys": (
        "membership",
        """UPDATE idempotency_keys SET reply_sealed = reply_sealed || '\\x00'::bytea
        WHERE (route, key) = (SELECT route, key FROM idempotency_keys LIMIT 1) RETURNING route || ' ' || key""",
        (
            "UPDATE idempotency_keys SET reply_sealed = substr(reply_sealed, 1, length(reply_sealed) - 1)"
            " WHERE route || ' ' || key = '{id}'"
        ),
    ),
}


def test_what_is_planted_in_the_databases_is_named(stack: RunningStack) -> None:
    with ExitStack() as planted:
        offenders = {
            place: [planted.enter_context(changed(stack, service, plant, heal))]
            for place, (service, plant, heal) in ON_DATABASES.items()
        }
        assert breaches(database_findings()) == offenders
    assert breaches(database_findings()) == {}


def test_i12_names_the_person_with_two_affiliations_and_fails_the_command(stack: RunningStack) -> None:
    definition = sql(stack, "membership", "SELECT pg_get_indexdef('uq_affiliations_holding'::regclass)")
    sql(stack, "membership", "DROP INDEX uq_affiliations_holding")
    plant = """
        INSERT INTO affiliations (member_id, from_version, organisation_id, from_on)
        SELECT member_id, 99, organisation_id, from_on FROM affiliations WHERE to_on IS NULL LIMIT 1 RETURNING member_id
    """
    heal = "DELETE FROM affiliations WHERE member_id = '{id}' AND from_version = 99"
    try:
        with changed(stack, "membership", plant, heal) as member:
            ran = CliRunner().invoke(app, ["verify", "--skip-rebuild", "--json"])
    finally:
        sql(stack, "membership", definition)
    assert ran.exit_code == 1
    broken = [one for one in json.loads(ran.stdout)["findings"] if one["verdict"] == "breach"]
    assert [(one["id"], one["what"], one["found"]) for one in broken] == [
        ("I12", "membership: affiliations", [member])
    ]


def test_i7_sees_a_figure_that_the_events_do_not_give(stack: RunningStack) -> None:
    sql(
        stack,
        "gateway",
        """UPDATE dashboard_totals SET count = count + 1
        WHERE slot = (SELECT live FROM dashboard_state) AND cell = 'gender=female'""",
    )
    assert view_finding(quiet=True).verdict is Verdict.BREACH
    # The rebuild has put it right.
    assert view_finding(quiet=True).verdict is Verdict.OK


def test_i8_sees_an_edited_audit_entry(stack: RunningStack) -> None:
    plant = "UPDATE audit_entries SET action = action || '!' WHERE id = (SELECT min(entry_id) FROM audit_chain) RETURNING id"
    heal = "UPDATE audit_entries SET action = rtrim(action, '!') WHERE id = {id}"
    with changed(stack, "membership", plant, heal):
        found = breaches(audit_findings())
    assert list(found) == ["I8 membership"]
    assert found["I8 membership"][0].endswith("entry-changed")
    assert breaches(audit_findings()) == {}


def test_i10_names_the_line_of_a_log_and_never_the_number(stack: RunningStack) -> None:
    log: Path = stack.layout.logs / "planted.log"
    log.write_bytes(b"all is well\nrefused " + DOCUMENT + b"\n")
    try:
        found = breaches(plaintext_findings())
    finally:
        log.unlink()
    assert found == {"I10 logs": ["planted.log:2 document"]}


def test_i10_reads_every_record_of_every_topic(stack: RunningStack) -> None:
    offset = asyncio.run(send(stack.status.kafka, b'{"phone": "15400000000"}'))
    try:
        found = breaches(plaintext_findings())
    finally:
        asyncio.run(forget(stack.status.kafka))
    assert found == {"I10 topics": [f"{DEAD_LETTERS.topic}[0]@{offset} phone"]}
    assert breaches(plaintext_findings()) == {}


async def send(kafka: str, value: bytes) -> int:
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    try:
        sent = await producer.send_and_wait(DEAD_LETTERS.topic, value, partition=0)
    finally:
        await producer.stop()
    return int(sent.offset)


async def forget(kafka: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_records({DEAD_LETTERS: RecordsToDelete(before_offset=-1)})
    finally:
        await admin.close()


def test_an_event_that_a_subscriber_gave_up_is_found_and_redriven(stack: RunningStack) -> None:
    sql(stack, "gateway", "ALTER TABLE directory_organisations ADD CONSTRAINT planted CHECK (code <> '99-9')")
    try:
        with federation("administrator") as api:
            top = api.get("/api/v1/organisations")[0]
            unit = api.post(
                "/api/v1/organisations",
                {
                    "code": "99-9",
                    "name": "示例新工会",
                    "kind": "city",
                    "parent_id": top["id"],
                    "founded_on": "2020-05-01",
                },
            )
        letter = wait_for_letter()
        found = breaches(digest_findings("administrator"))
        assert unit["id"] in found["I1 membership → gateway: organisations"][0]
        shown = json.loads(CliRunner().invoke(app, ["dead-letters", "show", letter["id"], "--json"]).stdout)
        assert (shown["consumer"], shown["key"]) == ("gateway.directory", unit["id"])
        assert "planted" in shown["cause"]
        again = CliRunner().invoke(app, ["dead-letters", "redrive", letter["id"], "--json"])
        assert (again.exit_code, json.loads(again.stdout)) == (1, {"asked": 1, "still_dead": [letter["id"]]})
    finally:
        sql(stack, "gateway", "ALTER TABLE directory_organisations DROP CONSTRAINT planted")
    redriven = CliRunner().invoke(app, ["dead-letters", "redrive", "--all", "--json"])
    assert (redriven.exit_code, json.loads(redriven.stdout)) == (0, {"asked": 1, "still_dead": []})
    assert breaches(digest_findings("administrator")) == {}


def wait_for_letter() -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = json.loads(CliRunner().invoke(app, ["dead-letters", "list", "--json"]).stdout)
        if found:
            letter: dict[str, Any] = found[0]
            return letter
        time.sleep(0.5)
    raise TimeoutError("no dead letter came")


def test_the_operator_s_verbs_answer(stack: RunningStack) -> None:
    """Each of them against the real stack, as a program would call it."""

    def said(*words: str) -> Any:
        ran = CliRunner().invoke(app, [*words, "--json"])
        assert ran.exit_code == 0, (words, ran.output)
        return (
            [json.loads(line) for line in ran.stdout.splitlines()]
            if "tail" in words
            else json.loads(ran.stdout)
        )

    assert said("status")["ready"]
    assert said("doctor")["ok"]
    assert said("token", "--user", "auditor")["access_token"].count(".") == 2
    outbox = {one["service"]: one for one in said("outbox", "status")}
    assert outbox["membership"]["leader"]
    assert {one["topic"].split(".")[2] for one in said("event", "lag")} >= {
        "members",
        "organisations",
        "posts",
    }
    assert [one["type"].split(".")[2] for one in said("event", "tail", "members", "-n", "3")] == [
        "member"
    ] * 3
    assert said("projection", "status")["live"] in {0, 1}
    assert said("projection", "rebuild")["state"] == "done"
    assert said("dead-letters", "list") == []
    assert said("roster", "status")[0]["state"]
