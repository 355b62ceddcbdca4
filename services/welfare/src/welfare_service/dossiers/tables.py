"""Tables of dossiers. `dossiers` and their reviews filter rows by `path`; all else belongs to a dossier and is read by its id."""

from sqlalchemy import (
    BigInteger,
    Boolean,
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
from sqlalchemy.dialects.postgresql import JSONB

from shared.contracts.welfare import DossierStatus, HardshipClass
from shared.database.metadata import text_enum
from shared.database.paths import Path
from welfare_service.dossiers.domain import (
    Dossier,
    Happening,
    HistoryEntry,
    Line,
    Person,
)
from welfare_service.dossiers.kinds import (
    Cause,
    DocumentType,
    Health,
    Insurance,
    LineKind,
    Occupation,
    Relation,
)
from welfare_service.dossiers.records import Decision, Review, ReviewKind
from welfare_service.metadata import mapper, metadata

_Moment = DateTime(timezone=True)

#: File numbers (档案编号) are given in order, ten digits; a rolled-back draft leaves a hole.
dossier_numbers = Sequence("dossier_numbers", metadata=metadata)

dossiers = Table(
    "dossiers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("number", Text, nullable=False, unique=True),
    Column("organisation_id", Uuid, nullable=False),
    Column("path", Path, nullable=False),
    Column("status", text_enum(DossierStatus), nullable=False),
    Column("primary_cause", text_enum(Cause), nullable=False),
    Column("secondary_cause", text_enum(Cause)),
    Column("exclusions", JSONB, nullable=False),
    Column("hardship_class", text_enum(HardshipClass), nullable=False),
    Column("classified_on", Date),
    Column("recheck_on", Date),
    Column("awaiting_since", _Moment),
    Column("data_key_wrapped", LargeBinary, nullable=False),
    Column("key_version", SmallInteger, nullable=False),
    Column("head_sequence", BigInteger, nullable=False, server_default="0"),
    Column("version", Integer, nullable=False),
    Column("created_at", _Moment, nullable=False),
    Column("updated_at", _Moment, nullable=False),
    Index("ix_dossiers_path_id", "path", "id"),
    Index("ix_dossiers_organisation_id", "organisation_id"),
    Index(
        "ix_dossiers_awaiting",
        "path",
        "awaiting_since",
        "id",
        postgresql_where=text("awaiting_since IS NOT NULL"),
    ),
    Index("ix_dossiers_recheck", "recheck_on", "id", postgresql_where=text("recheck_on IS NOT NULL")),
)

dossier_persons = Table(
    "dossier_persons",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("dossier_id", Uuid, ForeignKey("dossiers.id"), nullable=False),
    Column("member_id", Uuid),
    Column("relation", text_enum(Relation), nullable=False),
    Column("health", text_enum(Health), nullable=False),
    Column("insurance", text_enum(Insurance), nullable=False),
    Column("occupation", text_enum(Occupation), nullable=False),
    Column("is_able", Boolean, nullable=False),
    Column("birth_year", SmallInteger),
    Column("document_type", text_enum(DocumentType), nullable=False),
    Column("name_sealed", LargeBinary),
    Column("document_sealed", LargeBinary),
    Column("document_blind", LargeBinary),
    Column("last4_blind", LargeBinary),
    Column("phone_sealed", LargeBinary),
    Column("illness_sealed", LargeBinary),
    Column("data_key_wrapped", LargeBinary),
    Column("key_version", SmallInteger, nullable=False),
    Column("entered_on", Date, nullable=False),
    Column("left_on", Date),
    Column("is_standing", Boolean, nullable=False),
    # Nobody stands in two dossiers: neither by document nor, whatever document was shown this time, as a member. One index over
    # either key would miss somebody who was entered by document first and became a member later.
    Index(
        "uq_dossier_persons_document",
        "document_blind",
        unique=True,
        postgresql_where=text("is_standing AND document_blind IS NOT NULL"),
    ),
    Index(
        "uq_dossier_persons_member",
        "member_id",
        unique=True,
        postgresql_where=text("is_standing AND member_id IS NOT NULL"),
    ),
    Index(
        "uq_dossier_persons_head",
        "dossier_id",
        unique=True,
        postgresql_where=text("is_standing AND relation = 'head'"),
    ),
    Index("ix_dossier_persons_dossier_id", "dossier_id"),
    Index("ix_dossier_persons_last4", "last4_blind", "dossier_id"),
)

dossier_lines = Table(
    "dossier_lines",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("person_id", Uuid, ForeignKey("dossier_persons.id"), nullable=False),
    Column("kind", text_enum(LineKind), nullable=False),
    Column("on_date", Date, nullable=False),
    Column("amount_sealed", LargeBinary, nullable=False),
    Index("ix_dossier_lines_person_id", "person_id"),
)

#: Union aid that the household received. The amount is no secret of the household: the case and the journal have it too.
dossier_aid = Table(
    "dossier_aid",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("dossier_id", Uuid, ForeignKey("dossiers.id"), nullable=False),
    Column("member_id", Uuid, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("on_date", Date, nullable=False),
    CheckConstraint("amount_fen > 0", name="amount_positive"),
    Index("ix_dossier_aid_dossier_id", "dossier_id"),
)

dossier_history = Table(
    "dossier_history",
    metadata,
    Column("dossier_id", Uuid, ForeignKey("dossiers.id"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("happening", text_enum(Happening), nullable=False),
    Column("happened_at", _Moment, nullable=False),
    Column("on_date", Date, nullable=False),
    Column("organisation_id", Uuid, nullable=False),
    Column("actor_issuer", Text, nullable=False),
    Column("actor_subject", Text, nullable=False),
    Column("reason", Text),
    Column("note_sealed", LargeBinary),
)

#: Who gathered what a dossier says: they do not decide on it, nor on one that was split off it.
dossier_gatherers = Table(
    "dossier_gatherers",
    metadata,
    Column("dossier_id", Uuid, ForeignKey("dossiers.id"), primary_key=True),
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
)

dossier_decisions = Table(
    "dossier_decisions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("dossier_id", Uuid, ForeignKey("dossiers.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("decided_on", Date, nullable=False),
    Column("decided_at", _Moment, nullable=False),
    Column("decided_by_issuer", Text, nullable=False),
    Column("decided_by_subject", Text, nullable=False),
    Column("hardship_class", text_enum(HardshipClass), nullable=False),
    Column("inputs_digest", Text, nullable=False),
    Column("inputs_sealed", LargeBinary, nullable=False),
    Column("rules", JSONB, nullable=False),
    Index("uq_dossier_decisions_dossier_id_version", "dossier_id", "version", unique=True),
)

dossier_reviews = Table(
    "dossier_reviews",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("dossier_id", Uuid, ForeignKey("dossiers.id"), nullable=False),
    Column("organisation_id", Uuid, nullable=False),
    Column("path", Path, nullable=False),
    Column("kind", text_enum(ReviewKind), nullable=False),
    Column("reason", Text, nullable=False),
    Column("member_id", Uuid),
    Column("since", _Moment, nullable=False),
    Column("due_on", Date),
    Column("done_at", _Moment),
    Column("done_by_issuer", Text),
    Column("done_by_subject", Text),
    Column("outcome", Text),
    Index("ix_dossier_reviews_dossier_id", "dossier_id", "id"),
    Index("ix_dossier_reviews_organisation_id", "organisation_id"),
    Index("ix_dossier_reviews_open", "path", "due_on", "id", postgresql_where=text("done_at IS NULL")),
    Index(
        "uq_dossier_reviews_open",
        "dossier_id",
        "kind",
        "reason",
        "member_id",
        unique=True,
        postgresql_where=text("done_at IS NULL"),
        postgresql_nulls_not_distinct=True,
    ),
)

#: How often a user unmasked on one day of China (`kind` is what: "dossier").
daily_uses = Table(
    "daily_uses",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("uses", Integer, nullable=False),
)

# Versions are counted by the domain (one version is one event); the mapper adds the compare to every UPDATE. Persons and lines
# are put in place by the repository: a dossier is read whole or not at all.
mapper.map_imperatively(Dossier, dossiers, version_id_col=dossiers.c.version, version_id_generator=False)
mapper.map_imperatively(Person, dossier_persons)
mapper.map_imperatively(Line, dossier_lines)
mapper.map_imperatively(HistoryEntry, dossier_history)
mapper.map_imperatively(Decision, dossier_decisions)
mapper.map_imperatively(Review, dossier_reviews)
