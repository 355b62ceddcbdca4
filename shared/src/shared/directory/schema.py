"""The replica's tables in a migration: who may do what with them, and how a row learns where its unit stands."""

from typing import Any

_TABLES = """
    CREATE TABLE directory_organisations (
        id uuid NOT NULL, number bigint NOT NULL, code text NOT NULL, name text NOT NULL, kind text NOT NULL,
        parent_id uuid, path text COLLATE "C", founded_on date NOT NULL, dissolved_on date, sequence bigint NOT NULL,
        CONSTRAINT pk_directory_organisations PRIMARY KEY (id)
    );
    CREATE INDEX ix_directory_organisations_parent_id ON directory_organisations (parent_id);
    CREATE INDEX ix_directory_organisations_path ON directory_organisations (path);
    CREATE TABLE directory_posts (
        id uuid NOT NULL, issuer text NOT NULL, subject text NOT NULL, role text NOT NULL, organisation_id uuid NOT NULL,
        starts_on date NOT NULL, ends_on date, sequence bigint NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_directory_posts PRIMARY KEY (id)
    );
    CREATE INDEX ix_directory_posts_subject_issuer ON directory_posts (subject, issuer);
    CREATE TABLE directory_members (
        id uuid NOT NULL, organisation_id uuid NOT NULL, status text NOT NULL, gender text NOT NULL, birth_year smallint,
        employment_form text NOT NULL, joined_on date, left_on date, user_issuer text, user_subject text,
        sequence bigint NOT NULL, CONSTRAINT pk_directory_members PRIMARY KEY (id)
    );
    CREATE INDEX ix_directory_members_organisation_id ON directory_members (organisation_id);
    CREATE INDEX ix_directory_members_user ON directory_members (user_subject, user_issuer);
"""

# Locks the unit until the caller's transaction ends: a move waits, and then finds the caller's new row to take along. The
# application may not write the replica, so the owner of the function locks for it.
_PLACE = """
    CREATE FUNCTION directory_place(organisation uuid) RETURNS text LANGUAGE sql SECURITY DEFINER
    SET search_path = pg_catalog, public AS
    'SELECT path FROM public.directory_organisations WHERE id = organisation AND dissolved_on IS NULL FOR SHARE';
    REVOKE ALL ON FUNCTION directory_place(uuid) FROM PUBLIC;
"""

_TABLE_NAMES = ("directory_organisations", "directory_posts", "directory_members")


def create_directory(op: Any, service: str) -> None:
    """Make the replica of organisations, posts and members for `service` ("welfare")."""
    app, worker = f"unionhall_{service}_app", f"unionhall_{service}_worker"
    # The driver prepares statements, one at a time.
    for statement in f"{_TABLES}{_PLACE}".strip().removesuffix(";").split(";\n"):
        op.execute(statement)
    op.execute(f"GRANT SELECT ON {', '.join(_TABLE_NAMES)} TO {app}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON {', '.join(_TABLE_NAMES)} TO {worker}")
    op.execute(f"GRANT EXECUTE ON FUNCTION directory_place(uuid) TO {app}, {worker}")


def drop_directory(op: Any) -> None:
    """Remove it again."""
    op.execute("DROP FUNCTION directory_place(uuid)")
    op.execute(f"DROP TABLE {', '.join(_TABLE_NAMES)}")
