"""Tables of roster imports. Staging holds ciphertext, blind indexes and masked text only (settled §28)."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    column,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from membership_service.metadata import mapper, metadata
from membership_service.rosters.domain import Format, ImportState, Mode, RosterImport
from shared.database.metadata import text_enum
from shared.database.paths import Path

_Moment = DateTime(timezone=True)


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default=text("0"))


roster_imports = Table(
    "roster_imports",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("organisation_id", Uuid, ForeignKey("organisations.id"), nullable=False),
    Column("path", Path, nullable=False),
    Column("mode", text_enum(Mode), nullable=False),
    Column("state", text_enum(ImportState), nullable=False),
    Column("file_name", Text, nullable=False),
    Column("file_bytes", BigInteger, nullable=False),
    # Tells that the same file came before; keyed, because a roster of one person could be guessed from a plain hash.
    Column("file_blind", LargeBinary, nullable=False),
    # None once the file is destroyed: without its key the sealed pieces cannot be read.
    Column("file_key_wrapped", LargeBinary),
    Column("format", text_enum(Format)),
    Column("uploaded_issuer", Text, nullable=False),
    Column("uploaded_subject", Text, nullable=False),
    Column("uploaded_at", _Moment, nullable=False),
    Column("expires_at", _Moment, nullable=False),
    Column("decided_issuer", Text),
    Column("decided_subject", Text),
    Column("decided_at", _Moment),
    Column("apply_left", Boolean, nullable=False, server_default=text("false")),
    # Why people leave by a full roster, or why the import is undone.
    Column("reason", Text),
    Column("job_id", Uuid),
    Column("finished_at", _Moment),
    Column("refusal", Text),
    Column("refusal_params", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("warnings", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    _count("rows"),
    # How far the running step is: rows of the file checked; number of the last row applied or undone.
    _count("staged"),
    _count("position"),
    _count("last_row"),
    _count("created"),
    _count("updated"),
    _count("unchanged"),
    _count("rejected"),
    # Of a full roster: who is missing from it, and how many of them were withdrawn.
    _count("missing"),
    _count("withdrawn"),
    _count("undone"),
    _count("kept"),
    Column("version", Integer, nullable=False),
    Index("ix_roster_imports_path_id", "path", "id"),
    Index("ix_roster_imports_file_blind", "organisation_id", "file_blind"),
    Index(
        "ix_roster_imports_expires_at", "expires_at", postgresql_where=text("file_key_wrapped IS NOT NULL")
    ),
)

roster_file_pieces = Table(
    "roster_file_pieces",
    metadata,
    Column("import_id", Uuid, ForeignKey("roster_imports.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("sealed", LargeBinary, nullable=False),
)

#: The first columns are those of `staged.STAGED`, which the child fills. No foreign key: it would cost a look-up a row, and
#: rows come and go with their import only.
roster_rows = Table(
    "roster_rows",
    metadata,
    Column("import_id", Uuid, primary_key=True),
    Column("row_number", Integer, primary_key=True, autoincrement=False),
    Column("outcome", Text, nullable=False),
    Column("problems", JSONB),
    Column("member_id", Uuid),
    Column("name", Text),
    Column("name_pinyin", Text),
    Column("name_initials", Text),
    Column("other_pinyin", Text),
    Column("other_initials", Text),
    Column("document_type", Text),
    Column("document_masked", Text),
    Column("document_sealed", LargeBinary),
    Column("document_blind", LargeBinary),
    Column("last4_blind", LargeBinary),
    Column("phone_sealed", LargeBinary),
    Column("phone_blind", LargeBinary),
    Column("birth_date_sealed", LargeBinary),
    Column("data_key_wrapped", LargeBinary),
    Column("key_version", Integer),
    Column("gender", Text),
    Column("birth_year", Integer),
    Column("employment_form", Text),
    Column("organisation_code", Text),
    Column("joined_on", Date),
    # Of a person who was a member before: who, the version compared with, the version made, and what held before.
    Column("matched_id", Uuid),
    Column("matched_version", BigInteger),
    Column("applied_version", BigInteger),
    Column("previous", JSONB),
    Index(
        "ix_roster_rows_problems", "import_id", "row_number", postgresql_where=text("problems IS NOT NULL")
    ),
)

#: Of a full roster: members of the subtree who are not in the file. `applied_version` withdrew them; it is 0
#: if they had changed since the check and stay.
roster_missing = Table(
    "roster_missing",
    metadata,
    Column("import_id", Uuid, ForeignKey("roster_imports.id"), primary_key=True),
    Column("member_id", Uuid, ForeignKey("members.id"), primary_key=True),
    Column("matched_version", BigInteger, nullable=False),
    Column("applied_version", BigInteger),
)

#: The rows with problems of the imports in scope: what the application role may see of the staged rows.
roster_problems = table(
    "roster_problems",
    column("import_id", Uuid),
    column("row_number", Integer),
    column("outcome", Text),
    column("problems", JSONB),
)

mapper.map_imperatively(
    RosterImport, roster_imports, version_id_col=roster_imports.c.version, version_id_generator=False
)
