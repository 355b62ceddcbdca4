"""Budgets and the journal."""

from alembic import op

from shared.database.migrations import grant
from shared.database.scope import policy_ddl

revision = "0003_funds"
down_revision = "0002_dossiers"
branch_labels = None
depends_on = None

_SERVICE = "welfare"
_APP = "unionhall_welfare_app"
_WORKER = "unionhall_welfare_worker"
_SYSTEM = f"{_WORKER}, unionhall_welfare_owner"

_TABLES = (
    """
    CREATE TABLE budgets (
        id UUID NOT NULL,
        organisation_id UUID NOT NULL,
        path TEXT COLLATE "C" NOT NULL,
        year SMALLINT NOT NULL,
        source VARCHAR(32) NOT NULL,
        name TEXT NOT NULL,
        allocated_fen BIGINT NOT NULL,
        reserved_fen BIGINT NOT NULL,
        paid_fen BIGINT NOT NULL,
        version BIGINT NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_budgets PRIMARY KEY (id),
        CONSTRAINT ck_budgets_not_negative CHECK (reserved_fen >= 0 AND paid_fen >= 0),
        CONSTRAINT ck_budgets_not_overdrawn CHECK (reserved_fen + paid_fen <= allocated_fen),
        CONSTRAINT uq_budgets_purpose UNIQUE (organisation_id, year, source, name)
    )
    """,
    # A hot budget is updated for every approval: room on its page for new versions of the row.
    "ALTER TABLE budgets SET (fillfactor = 20)",
    "CREATE INDEX ix_budgets_year_path_id ON budgets (year, path, id)",
    """
    CREATE TABLE journal_entries (
        id UUID NOT NULL,
        kind VARCHAR(32) NOT NULL,
        on_date DATE NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        actor_issuer TEXT NOT NULL,
        actor_subject TEXT NOT NULL,
        case_id UUID,
        reason TEXT,
        reverses UUID,
        xid XID8 DEFAULT pg_current_xact_id() NOT NULL,
        CONSTRAINT pk_journal_entries PRIMARY KEY (id),
        CONSTRAINT fk_journal_entries_reverses_journal_entries FOREIGN KEY(reverses) REFERENCES journal_entries (id)
    )
    """,
    "CREATE UNIQUE INDEX uq_journal_entries_reservation ON journal_entries (case_id) WHERE kind = 'reservation'",
    "CREATE UNIQUE INDEX uq_journal_entries_end ON journal_entries (case_id) WHERE kind IN ('payment', 'release')",
    "CREATE UNIQUE INDEX uq_journal_entries_reverses ON journal_entries (reverses) WHERE reverses IS NOT NULL",
    """
    CREATE TABLE journal_lines (
        budget_id UUID NOT NULL,
        version BIGINT NOT NULL,
        account VARCHAR(32) NOT NULL,
        entry_id UUID NOT NULL,
        amount_fen BIGINT NOT NULL,
        available_fen BIGINT NOT NULL,
        reserved_fen BIGINT NOT NULL,
        paid_fen BIGINT NOT NULL,
        CONSTRAINT pk_journal_lines PRIMARY KEY (budget_id, version, account),
        CONSTRAINT ck_journal_lines_moves_something CHECK (amount_fen <> 0),
        CONSTRAINT ck_journal_lines_not_overdrawn CHECK (available_fen >= 0 AND reserved_fen >= 0 AND paid_fen >= 0),
        CONSTRAINT fk_journal_lines_budget_id_budgets FOREIGN KEY(budget_id) REFERENCES budgets (id),
        CONSTRAINT fk_journal_lines_entry_id_journal_entries FOREIGN KEY(entry_id) REFERENCES journal_entries (id)
    )
    """,
    "CREATE INDEX ix_journal_lines_entry_id ON journal_lines (entry_id)",
)

# The journal says no even to its owner; whoever takes the triggers off knows what he does, and `unionhall verify` finds it.
_GUARDS = (
    """
    CREATE FUNCTION journal_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the journal is append-only: correct it by a reversal' USING ERRCODE = 'insufficient_privilege';
    END $$
    """,
    *(
        f"""
        CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only()
        """
        for table in ("journal_entries", "journal_lines")
    ),
    # As the owner, who sees all lines of an entry, whatever the scope of whoever made it.
    """
    CREATE FUNCTION journal_must_balance() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public AS $$
    BEGIN
        IF (SELECT sum(amount_fen) FROM public.journal_lines WHERE entry_id = NEW.entry_id) <> 0 THEN
            RAISE EXCEPTION 'journal entry % does not balance', NEW.entry_id USING ERRCODE = 'check_violation';
        END IF;
        IF NOT EXISTS (
            SELECT FROM public.journal_entries WHERE id = NEW.entry_id AND xid = pg_current_xact_id()
        ) THEN
            RAISE EXCEPTION 'journal entry % is closed', NEW.entry_id USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    END $$
    """,
    "REVOKE ALL ON FUNCTION journal_must_balance() FROM PUBLIC",
    """
    CREATE CONSTRAINT TRIGGER journal_lines_balance AFTER INSERT ON journal_lines DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION journal_must_balance()
    """,
)

# An approver below a budget reserves in it without seeing it: the one thing to be known of it is where it is.
_LOOK_UP = (
    """
    CREATE FUNCTION find_budget_path(budget uuid) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, public AS 'SELECT path FROM public.budgets WHERE id = budget'
    """,
    "REVOKE ALL ON FUNCTION find_budget_path(uuid) FROM PUBLIC",
    f"GRANT EXECUTE ON FUNCTION find_budget_path(uuid) TO {_APP}, {_WORKER}",
)

# The figures of a budget change here alone. Apart from the statement that calls it, because whoever has waited for a hot budget
# judges it anew, and PostgreSQL sets up the whole statement again for that, under the lock. With the caller's rights, so that
# row-level security holds.
_MOVE_MONEY = """
    CREATE FUNCTION move_money(budget uuid, of_year integer, allocated bigint, reserved bigint, paid bigint)
    RETURNS TABLE (version bigint, available_fen bigint, reserved_fen bigint, paid_fen bigint)
    LANGUAGE plpgsql VOLATILE ROWS 1
    AS $$ #variable_conflict use_column
    BEGIN
        RETURN QUERY UPDATE public.budgets AS b SET
            allocated_fen = b.allocated_fen + allocated,
            reserved_fen = b.reserved_fen + reserved,
            paid_fen = b.paid_fen + paid,
            version = b.version + 1
        WHERE b.id = budget AND (of_year IS NULL OR b.year = of_year)
          AND b.reserved_fen + reserved >= 0 AND b.paid_fen + paid >= 0
          AND b.reserved_fen + reserved + b.paid_fen + paid <= b.allocated_fen + allocated
        RETURNING b.version, b.allocated_fen - b.reserved_fen - b.paid_fen, b.reserved_fen, b.paid_fen;
    END $$
"""
_MOVE_MONEY_RIGHTS = (
    "REVOKE ALL ON FUNCTION move_money(uuid, integer, bigint, bigint, bigint) FROM PUBLIC",
    f"GRANT EXECUTE ON FUNCTION move_money(uuid, integer, bigint, bigint, bigint) TO {_APP}, {_WORKER}",
)

_OF_VISIBLE_BUDGET = "EXISTS (SELECT FROM budgets WHERE budgets.id = budget_id)"
# An entry is written before its lines; it is read through them.
_WITH_VISIBLE_LINE = "EXISTS (SELECT FROM journal_lines WHERE journal_lines.entry_id = journal_entries.id)"
_POLICIES = (
    *policy_ddl("budgets", _SERVICE),
    *(
        f"ALTER TABLE {table} {what} ROW LEVEL SECURITY"
        for table in ("journal_entries", "journal_lines")
        for what in ("ENABLE", "FORCE")
    ),
    f"""
    CREATE POLICY journal_lines_scope ON journal_lines TO {_APP}
    USING ({_OF_VISIBLE_BUDGET}) WITH CHECK ({_OF_VISIBLE_BUDGET})
    """,
    f"CREATE POLICY journal_entries_scope ON journal_entries FOR SELECT TO {_APP} USING ({_WITH_VISIBLE_LINE})",
    f"CREATE POLICY journal_entries_insert ON journal_entries FOR INSERT TO {_APP} WITH CHECK (true)",
    *(
        f"CREATE POLICY {table}_unscoped ON {table} TO {_SYSTEM} USING (true) WITH CHECK (true)"
        for table in ("journal_entries", "journal_lines")
    ),
)


def upgrade() -> None:
    for statement in (*_TABLES, *_GUARDS, *_LOOK_UP, _MOVE_MONEY, *_MOVE_MONEY_RIGHTS, *_POLICIES):
        op.execute(statement)
    grant(op, _SERVICE, "budgets", app="SELECT, INSERT, UPDATE", worker="SELECT, INSERT, UPDATE")
    for table in ("journal_entries", "journal_lines"):
        grant(op, _SERVICE, table, app="SELECT, INSERT", worker="SELECT, INSERT")


def downgrade() -> None:
    op.execute("DROP FUNCTION move_money(uuid, integer, bigint, bigint, bigint)")
    op.execute("DROP FUNCTION find_budget_path(uuid)")
    # Entries are seen through their lines, which hold on to their entries: neither table would go first.
    op.execute("DROP POLICY journal_entries_scope ON journal_entries")
    for table in ("journal_lines", "journal_entries", "budgets"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION journal_must_balance()")
    op.execute("DROP FUNCTION journal_is_append_only()")
