"""Tables of members. Prefix and order of paths, names and keys are byte order (C collation): each search is an index range.

`members` filters rows by `path`. `affiliations` and `member_history` belong to a member and are read by member id alone,
so their policy asks whether the member is visible; `transfers` are visible from both ends.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Sequence,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.orm import relationship

from membership_service.members.documents import DocumentType
from membership_service.members.domain import Affiliation, Happening, HistoryEntry, Member
from membership_service.members.transfers.domain import Transfer, TransferState
from membership_service.metadata import mapper, metadata
from membership_service.organisations.dependents import Dependents, register
from shared.contracts.membership import EmploymentForm, Gender, MemberStatus
from shared.database.metadata import text_enum
from shared.database.paths import Path

_Key = Text(collation="C")
_Moment = DateTime(timezone=True)

#: Member numbers are issued in order of admission, ten digits; a rolled-back admission leaves a hole.
member_numbers = Sequence("member_numbers", metadata=metadata)

members = Table(
    "members",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("member_number", Text, unique=True),
    Column("name", _Key, nullable=False),
    Column("name_pinyin", _Key, nullable=False),
    Column("name_initials", _Key, nullable=False),
    Column("other_pinyin", _Key),
    Column("other_initials", _Key),
    Column("document_type", text_enum(DocumentType), nullable=False),
    Column("document_sealed", LargeBinary),
    Column("document_blind", LargeBinary, unique=True),
    Column("last4_blind", LargeBinary),
    Column("phone_sealed", LargeBinary),
    Column("phone_blind", LargeBinary),
    Column("birth_date_sealed", LargeBinary),
    Column("data_key_wrapped", LargeBinary),
    Column("key_version", SmallInteger, nullable=False),
    Column("gender", text_enum(Gender), nullable=False),
    Column("birth_year", SmallInteger),
    Column("employment_form", text_enum(EmploymentForm), nullable=False),
    Column("status", text_enum(MemberStatus), nullable=False),
    Column("organisation_id", Uuid, ForeignKey("organisations.id"), nullable=False),
    Column("path", Path, nullable=False),
    Column("joined_on", Date),
    Column("left_on", Date),
    Column("applied_at", _Moment),
    Column("applied_by_issuer", Text),
    Column("applied_by_subject", Text),
    Column("escalated_at", _Moment),
    Column("user_issuer", Text),
    Column("user_subject", Text),
    Column("erased_at", _Moment),
    Column("version", Integer, nullable=False),
    Column("created_at", _Moment, nullable=False),
    Column("updated_at", _Moment, nullable=False),
    CheckConstraint("(erased_at IS NULL) = (data_key_wrapped IS NOT NULL)", name="erased_without_key"),
    Index("ix_members_path_id", "path", "id"),
    Index("ix_members_name", "name", "path", "id"),
    Index("ix_members_name_pinyin", "name_pinyin", "path", "id"),
    Index("ix_members_name_initials", "name_initials", "path", "id"),
    Index(
        "ix_members_other_pinyin",
        "other_pinyin",
        "path",
        "id",
        postgresql_where=text("other_pinyin IS NOT NULL"),
    ),
    Index(
        "ix_members_other_initials",
        "other_initials",
        "path",
        "id",
        postgresql_where=text("other_initials IS NOT NULL"),
    ),
    Index("ix_members_last4", "last4_blind", "path", "id"),
    Index("ix_members_phone", "phone_blind", "path", "id", postgresql_where=text("phone_blind IS NOT NULL")),
    Index("ix_members_applied", "path", "id", postgresql_where=text("status = 'applied'")),
    Index("ix_members_returned", "path", "id", postgresql_where=text("status = 'returned'")),
    Index(
        "uq_members_user",
        "user_issuer",
        "user_subject",
        unique=True,
        postgresql_where=text("user_subject IS NOT NULL"),
    ),
)

affiliations = Table(
    "affiliations",
    metadata,
    Column("member_id", Uuid, ForeignKey("members.id"), primary_key=True),
    Column("from_version", Integer, primary_key=True, autoincrement=False),
    Column("organisation_id", Uuid, ForeignKey("organisations.id"), nullable=False),
    Column("from_on", Date),
    Column("to_on", Date),
    CheckConstraint("to_on >= from_on", name="ends_after_start"),
    # One person belongs to one organisation at a time, whatever the code above thinks.
    Index("uq_affiliations_holding", "member_id", unique=True, postgresql_where=text("to_on IS NULL")),
)

member_history = Table(
    "member_history",
    metadata,
    Column("member_id", Uuid, ForeignKey("members.id"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("happening", text_enum(Happening), nullable=False),
    Column("happened_at", _Moment, nullable=False),
    Column("on_date", Date, nullable=False),
    Column("organisation_id", Uuid, nullable=False),
    Column("other_organisation_id", Uuid),
    Column("actor_issuer", Text, nullable=False),
    Column("actor_subject", Text, nullable=False),
    Column("reason", Text),
)

transfers = Table(
    "transfers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("member_id", Uuid, ForeignKey("members.id"), nullable=False),
    Column("member_number", Text),
    Column("from_organisation_id", Uuid, ForeignKey("organisations.id"), nullable=False),
    Column("from_path", Path, nullable=False),
    Column("to_organisation_id", Uuid, ForeignKey("organisations.id"), nullable=False),
    Column("to_path", Path, nullable=False),
    Column("state", text_enum(TransferState), nullable=False),
    Column("status_before", text_enum(MemberStatus), nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_by_issuer", Text, nullable=False),
    Column("requested_by_subject", Text, nullable=False),
    Column("requested_at", _Moment, nullable=False),
    Column("due_at", _Moment, nullable=False),
    Column("released_at", _Moment),
    Column("escalated_at", _Moment),
    Column("ended_at", _Moment),
    Column("answer", Text),
    Column("version", Integer, nullable=False),
    Index(
        "uq_transfers_open",
        "member_id",
        unique=True,
        postgresql_where=text("state IN ('requested', 'released')"),
    ),
    Index("ix_transfers_from_path", "from_path", "id"),
    Index("ix_transfers_to_path", "to_path", "id"),
    Index("ix_transfers_requested", "from_path", "id", postgresql_where=text("state = 'requested'")),
    Index("ix_transfers_released", "to_path", "id", postgresql_where=text("state = 'released'")),
    Index(
        "ix_transfers_due",
        "due_at",
        postgresql_where=text("state IN ('requested', 'released') AND escalated_at IS NULL"),
    ),
)

#: How often a user on one day of China unmasked (`kind` unmask), met a person registered elsewhere (hint; in rosters
#: roster-hint), or asked for one whom nobody knows (miss).
daily_uses = Table(
    "daily_uses",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("uses", Integer, nullable=False),
)

# Versions are counted by the domain (one version is one event); the mapper adds the compare to every UPDATE.
mapper.map_imperatively(
    Member,
    members,
    version_id_col=members.c.version,
    version_id_generator=False,
    properties={
        "affiliations": relationship(
            Affiliation, order_by=affiliations.c.from_version, lazy="raise", passive_deletes="all"
        )
    },
)
mapper.map_imperatively(Affiliation, affiliations)
mapper.map_imperatively(HistoryEntry, member_history)
mapper.map_imperatively(Transfer, transfers, version_id_col=transfers.c.version, version_id_generator=False)

register(
    Dependents(
        name="members",
        table=members,
        organisation=(members.c.organisation_id,),
        live=members.c.status.in_(
            [MemberStatus.APPLIED, MemberStatus.ACTIVE, MemberStatus.TRANSFERRING, MemberStatus.RETAINED]
        ),
    )
)
