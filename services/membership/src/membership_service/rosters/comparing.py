"""The set-based SQL that compares staged rows with each other and with the members there are. asyncpg parameters ($1 …).

Runs as the worker, who sees every row; ranges are (after, up to] of row numbers.
"""
# ruff: noqa: S608 -- every statement is made of constants of this module

from typing import Final

from membership_service.rosters.columns import Column

RANGE: Final = "r.import_id = $1 AND r.row_number > $2 AND r.row_number <= $3"
#: Statuses from which a roster admits; in the others the person belongs somewhere already, or is dead.
JOINS: Final = "('applied', 'returned', 'withdrawn')"
_BELONGS: Final = "('applied', 'active', 'retained', 'transferring')"


def problem(column: Column, code: str, masked: str = "''", params: str = "'{}'::jsonb") -> str:
    """SQL of the JSON list of one problem; `code`, `masked` and `params` are SQL."""
    one = f"jsonb_build_object('column', '{column.value}', 'code', {code}, 'masked', {masked}, 'params', {params})"
    return f"jsonb_build_array({one})"


#: SQL: whether a cell that is no unit's code looks like somebody's number, which is neither shown nor kept. Phones, accounts,
#: resident IDs and permanent residence have eleven digits or more, however they are spaced; then passports and permits (up to
#: three letters and at least seven digits; ten digits and a letter) and military documents (…字第…号). Units are numbered in
#: digits too, so up to ten of them and nothing else are a mistyped code.
_IS_NUMBER: Final = r"""
    regexp_replace(r.organisation_code, '[^0-9A-Z\u4e00-\u9fff]', '', 'g')
        ~ '[0-9]{11}|(^|[^0-9A-Z])[A-Z]{1,3}[0-9]{7}|^[0-9]{10}[A-Z]$|[0-9]{4}号'
"""
_UNKNOWN_UNIT: Final = problem(
    Column.ORGANISATION,
    "'roster-organisation-unknown'",
    f"CASE WHEN {_IS_NUMBER} THEN '' ELSE r.organisation_code END",
)
_REFUSAL: Final = problem(Column.DOCUMENT_NUMBER, "c.refusal", "r.document_masked")
_TWICE: Final = problem(
    Column.DOCUMENT_NUMBER,
    "'roster-duplicate-rows'",
    "r.document_masked",
    "jsonb_build_object('rows', array_to_string((twice.numbers)[1:10], ', '))",
)

#: Also of rows that the child has rejected: all that is wrong is told at once. $4 path and $5 path end of the import's unit.
#: OFFSET 0 keeps the search by code apart: without statistics the planner would go through the whole subtree for each row.
REJECT_UNKNOWN_UNITS: Final = f"""
    UPDATE roster_rows r SET outcome = 'rejected', problems = coalesce(r.problems, '[]') || {_UNKNOWN_UNIT},
        organisation_code = CASE WHEN {_IS_NUMBER} THEN NULL ELSE r.organisation_code END
    WHERE {RANGE} AND r.organisation_code IS NOT NULL AND NOT EXISTS (
        SELECT FROM (SELECT * FROM organisations WHERE code = r.organisation_code OFFSET 0) o
        WHERE o.dissolved_on IS NULL AND o.path >= $4 AND o.path < $5
    )
"""

#: $4, $5 as above, $6 the import's unit. Only what differs from "a new person" is written. Gives those of whom the file learns
#: that they are registered outside the subtree.
COMPARE: Final = f"""
    WITH compared AS MATERIALIZED (
        SELECT r.row_number, m.id, m.version,
            CASE
                WHEN m.status = 'deceased' AND m.path >= $4 AND m.path < $5 THEN 'roster-member-deceased'
                WHEN m.status = 'deceased' THEN 'roster-member-elsewhere'
                WHEN m.status IN {_BELONGS} AND m.organisation_id <> coalesce(o.id, $6) THEN 'roster-member-elsewhere'
            END AS refusal,
            m.path,
            m.status IN {JOINS} OR m.name <> r.name OR r.phone_blind <> coalesce(m.phone_blind, '')
                OR r.employment_form <> m.employment_form OR (r.gender <> 'unknown' AND r.gender <> m.gender)
                OR r.birth_year <> coalesce(m.birth_year, 0) AS differs
        FROM roster_rows r
        JOIN members m ON m.document_blind = r.document_blind
        LEFT JOIN organisations o ON o.code = r.organisation_code
        WHERE {RANGE} AND r.outcome = 'created'
    )
    , written AS (
    UPDATE roster_rows r SET
        outcome = CASE WHEN c.refusal IS NOT NULL THEN 'rejected' WHEN c.differs THEN 'updated' ELSE 'unchanged' END,
        problems = CASE WHEN c.refusal IS NOT NULL THEN {_REFUSAL} END,
        matched_id = CASE WHEN c.refusal IS NULL THEN c.id END,
        matched_version = CASE WHEN c.refusal IS NULL THEN c.version END
    FROM compared c WHERE r.import_id = $1 AND r.row_number = c.row_number
    )
    SELECT id, path FROM compared WHERE refusal = 'roster-member-elsewhere' AND NOT (path >= $4 AND path < $5)
"""

#: How many rows of a range share their phone with somebody else of the import's subtree ($4, $5).
COUNT_SHARED_PHONES: Final = f"""
    SELECT count(*) FROM roster_rows r
    WHERE {RANGE} AND r.phone_blind IS NOT NULL AND EXISTS (
        SELECT FROM members m
        WHERE m.phone_blind = r.phone_blind AND m.document_blind IS DISTINCT FROM r.document_blind
            AND m.path >= $4 AND m.path < $5
    )
"""

#: Every row of a person who stands in the file twice is rejected and names the others. $1 import.
REJECT_DUPLICATES: Final = f"""
    WITH twice AS (
        SELECT document_blind, array_agg(row_number ORDER BY row_number) AS numbers
        FROM roster_rows WHERE import_id = $1 AND document_blind IS NOT NULL
        GROUP BY document_blind HAVING count(*) > 1
    )
    UPDATE roster_rows r SET outcome = 'rejected', matched_id = NULL, matched_version = NULL,
        problems = coalesce(r.problems, '[]') || {_TWICE}
    FROM twice WHERE r.import_id = $1 AND r.document_blind = twice.document_blind
"""

#: What has become of the rows of a range that are not rejected.
APPLIED: Final = f"""
    SELECT count(*) FILTER (WHERE outcome = 'created') AS created, count(*) FILTER (WHERE outcome = 'updated') AS updated,
        count(*) FILTER (WHERE outcome = 'unchanged') AS unchanged
    FROM roster_rows r WHERE {RANGE}
"""

TOTALS: Final = """
    SELECT count(*) FILTER (WHERE outcome = 'created') AS created, count(*) FILTER (WHERE outcome = 'updated') AS updated,
        count(*) FILTER (WHERE outcome = 'unchanged') AS unchanged, count(*) FILTER (WHERE outcome = 'rejected') AS rejected,
        count(*) AS rows, coalesce(max(row_number), 0) AS last_row
    FROM roster_rows WHERE import_id = $1
"""

#: Phones that stand in the file more than once.
COUNT_PHONES_TWICE: Final = """
    SELECT count(phone_blind) - count(DISTINCT phone_blind) FROM roster_rows WHERE import_id = $1 AND outcome <> 'rejected'
"""

#: Of a full roster: members of the subtree ($2 path, $3 path end) whose document is not in the file.
FIND_MISSING: Final = """
    INSERT INTO roster_missing (import_id, member_id, matched_version)
    SELECT $1, m.id, m.version FROM members m
    WHERE m.path >= $2 AND m.path < $3 AND m.status IN ('active', 'retained') AND NOT EXISTS (
        SELECT FROM roster_rows r WHERE r.import_id = $1 AND r.document_blind = m.document_blind
    )
    ON CONFLICT DO NOTHING
"""

#: Row numbers that end a chunk of $3 rows after row $2: the next position, NULL when no row is left.
NEXT_POSITION: Final = """
    SELECT max(row_number) FROM (
        SELECT row_number FROM roster_rows WHERE import_id = $1 AND row_number > $2 ORDER BY row_number LIMIT $3
    ) AS chunk
"""
