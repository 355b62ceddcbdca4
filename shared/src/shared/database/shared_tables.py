"""Tables that every service has: outbox and relay, consumers, jobs, idempotency keys, audit; who may do what with each.

`create_shared_tables` (migrations.py) makes them in a service's first migration.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from shared.database.types import Snapshot, Xid8
from shared.security.audit import AUDIT_GRANTS, audit_tables

#: Partitions of the outbox; a row goes to the slot of the minute in which its transaction began.
OUTBOX_SLOTS = 4
OUTBOX_SLOT_SECONDS = 60
_SLOT = f"(extract(epoch FROM now())::bigint / {OUTBOX_SLOT_SECONDS} % {OUTBOX_SLOTS})::smallint"
#: The inbox has one partition a quarter, all made at once: no role makes tables at run time.
INBOX_YEARS = range(2026, 2041)

#: Table -> role -> privileges. Insert-only where history must stand.
GRANTS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "outbox": {"app": ("SELECT", "INSERT"), "worker": ("SELECT", "INSERT", "TRUNCATE")},
    "relay_progress": {"app": ("SELECT",), "worker": ("SELECT", "INSERT", "UPDATE")},
    "consumer_offsets": {"app": ("SELECT",), "worker": ("SELECT", "INSERT", "UPDATE", "DELETE")},
    "consumer_freshness": {"app": ("SELECT",), "worker": ("SELECT", "INSERT", "UPDATE", "DELETE")},
    "inbox": {"app": ("SELECT",), "worker": ("SELECT", "INSERT", "TRUNCATE")},
    "dead_letters": {"app": ("SELECT", "UPDATE"), "worker": ("SELECT", "INSERT", "UPDATE", "DELETE")},
    "jobs": {"app": ("SELECT", "INSERT", "UPDATE"), "worker": ("SELECT", "INSERT", "UPDATE", "DELETE")},
    "idempotency_keys": {
        "app": ("SELECT", "INSERT", "UPDATE", "DELETE"),
        "worker": ("SELECT", "DELETE"),
    },
    **AUDIT_GRANTS,
}


def shared_tables(metadata: MetaData) -> list[Table]:
    """Declare them all in `metadata`, in an order in which they can be made."""
    return [
        _outbox(metadata),
        _relay_progress(metadata),
        _consumer_offsets(metadata),
        _consumer_freshness(metadata),
        _inbox(metadata),
        _dead_letters(metadata),
        _jobs(metadata),
        _idempotency_keys(metadata),
        *audit_tables(metadata),
    ]


def _moment(name: str, *, default: bool = True, nullable: bool = False) -> Column[object]:
    return Column(
        name, DateTime(timezone=True), nullable=nullable, server_default=func.now() if default else None
    )


def _outbox(metadata: MetaData) -> Table:
    """Append-only: no status, no UPDATE, no DELETE; slots are truncated once all their rows are sent.

    `id` gives the order (CACHE 1: a later insert has a larger one), `xid` lets the relay ask by snapshot what is new. A tombstone
    has no payload. `time` is the event's time, `created_at` the database's.
    """
    return Table(
        "outbox",
        metadata,
        Column("id", BigInteger, Identity(always=True, cache=1), nullable=False),
        Column("slot", SmallInteger, nullable=False, server_default=text(_SLOT)),
        Column("xid", Xid8, nullable=False, server_default=text("pg_current_xact_id()")),
        Column("event_id", Uuid, nullable=False),
        Column("topic", Text, nullable=False),
        Column("key", Uuid, nullable=False),
        Column("type", Text, nullable=False),
        Column("sequence", BigInteger, nullable=False),
        Column("source", Text, nullable=False),
        Column("time", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("payload", LargeBinary),
        Column("traceparent", Text),
        _moment("created_at"),
        PrimaryKeyConstraint("id", "slot"),
        Index("ix_outbox_xid_id", "xid", "id"),
        postgresql_partition_by="LIST (slot)",
    )


def _relay_progress(metadata: MetaData) -> Table:
    """One row: all visible in `previous` is sent; of the rest visible in `target`, all up to `last_id`.

    `leader` is the relay that has not signed off: after a crash its successor waits out the requests that may still be under way.
    """
    return Table(
        "relay_progress",
        metadata,
        Column("id", Boolean, primary_key=True, server_default=text("true")),
        Column("system_identifier", BigInteger),
        Column("previous", Snapshot, nullable=False),
        Column("target", Snapshot),
        Column("last_id", BigInteger, nullable=False, server_default=text("0")),
        Column("leader", Uuid),
        _moment("sent_until", default=False, nullable=True),
        _moment("updated_at"),
    )


def _consumer_offsets(metadata: MetaData) -> Table:
    """The truth about what a consumer has applied; Kafka's own offsets only show its lag."""
    return Table(
        "consumer_offsets",
        metadata,
        Column("consumer", Text, nullable=False),
        Column("topic", Text, nullable=False),
        Column("partition", Integer, nullable=False),
        Column("next_offset", BigInteger, nullable=False),
        # Where an effects consumer began: what lies before is not its business.
        Column("started_at_offset", BigInteger, nullable=False),
        _moment("updated_at"),
        PrimaryKeyConstraint("consumer", "topic", "partition"),
    )


def _consumer_freshness(metadata: MetaData) -> Table:
    """Everything that `source` had committed at `as_of` is applied by `consumer`."""
    return Table(
        "consumer_freshness",
        metadata,
        Column("consumer", Text, nullable=False),
        Column("source", Text, nullable=False),
        _moment("as_of", default=False),
        PrimaryKeyConstraint("consumer", "source"),
    )


def _inbox(metadata: MetaData) -> Table:
    """Events whose effect took place; partitioned by the time inside the UUIDv7."""
    return Table(
        "inbox",
        metadata,
        Column("event_id", Uuid, nullable=False),
        Column("consumer", Text, nullable=False),
        PrimaryKeyConstraint("event_id", "consumer"),
        postgresql_partition_by="RANGE (event_id)",
    )


def _dead_letters(metadata: MetaData) -> Table:
    """Events that a consumer gave up ("dead"), later ones of the same key behind them ("parked"), and both "redriven".

    "closed" is what an operator gave up for good; `redriven_at` is the moment of that too. `headers` are pairs of name and
    text; `value` holds the record's bytes as they came.
    """
    return Table(
        "dead_letters",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("consumer", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("topic", Text, nullable=False),
        Column("partition", Integer, nullable=False),
        Column("offset", BigInteger, nullable=False),
        Column("key", LargeBinary),
        Column("event_id", Uuid),
        Column("type", Text),
        Column("headers", JSONB, nullable=False),
        Column("value", LargeBinary),
        Column("cause", Text, nullable=False),
        Column("stack", ARRAY(Text), nullable=False),
        Column("tries", Integer, nullable=False, server_default=text("1")),
        _moment("created_at"),
        Column("redrive_requested_at", DateTime(timezone=True)),
        Column("redriven_at", DateTime(timezone=True)),
        Index("uq_dead_letters_record", "consumer", "topic", "partition", "offset", unique=True),
        Index(
            "ix_dead_letters_open", "consumer", "key", postgresql_where=text("state IN ('dead', 'parked')")
        ),
    )


def _jobs(metadata: MetaData) -> Table:
    """Work that outlives a request. `lease` names the run that may write. A periodic kind has one row for ever."""
    return Table(
        "jobs",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("kind", Text, nullable=False),
        Column("payload", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
        Column("state", Text, nullable=False, server_default=text("'waiting'")),
        _moment("run_after"),
        Column("attempts", Integer, nullable=False, server_default=text("0")),
        Column("lease", Uuid),
        Column("leased_until", DateTime(timezone=True)),
        Column("progress", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
        Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
        Column("periodic", Boolean, nullable=False, server_default=text("false")),
        Column("error", Text),
        _moment("created_at"),
        Column("finished_at", DateTime(timezone=True)),
        Index("ix_jobs_due", "run_after", postgresql_where=text("state IN ('waiting', 'running')")),
        Index("uq_jobs_periodic_kind", "kind", unique=True, postgresql_where=text("periodic")),
    )


def _idempotency_keys(metadata: MetaData) -> Table:
    """Replies to requests with a key, sealed, for seven days."""
    return Table(
        "idempotency_keys",
        metadata,
        Column("subject_hash", LargeBinary, nullable=False),
        Column("route", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("body_hash", LargeBinary, nullable=False),
        Column("status", Integer, nullable=False),
        Column("reply_sealed", LargeBinary, nullable=False),
        _moment("created_at"),
        PrimaryKeyConstraint("subject_hash", "route", "key"),
        Index("ix_idempotency_keys_created_at", "created_at"),
    )


def inbox_quarters() -> list[tuple[str, UUID, UUID]]:
    """(partition, first id, first id after it) for every quarter; the bounds are the UUIDv7 of its first milliseconds."""
    quarters = [(year, month) for year in INBOX_YEARS for month in (1, 4, 7, 10)]
    bounds = [*quarters, (INBOX_YEARS.stop, 1)]
    return [
        (f"inbox_{year}_{month:02}", _first_id(year, month), _first_id(*bounds[index + 1]))
        for index, (year, month) in enumerate(quarters)
    ]


def _first_id(year: int, month: int) -> UUID:
    milliseconds = int(datetime(year, month, 1, tzinfo=UTC).timestamp() * 1000)
    return UUID(int=milliseconds << 80)
