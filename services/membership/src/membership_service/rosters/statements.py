"""The set-based SQL that applies and undoes ranges of staged rows. asyncpg parameters ($1 …).

Runs as the worker, who sees every row; ranges are (after, up to] of row numbers. Units are locked before members
(`membership_service.organisations.repository.get_to_stand_on` says why).
"""
# ruff: noqa: S608 -- every statement is made of constants of this module

from typing import Final

from membership_service.rosters.columns import Column
from membership_service.rosters.comparing import JOINS, RANGE, problem

_CHANGED: Final = problem(Column.DOCUMENT_NUMBER, "'roster-changed-since-check'", "r.document_masked")
_KEPT: Final = problem(Column.DOCUMENT_NUMBER, "'roster-undo-changed-since'", "r.document_masked")

#: The units that rows of a range join, kept from moving and dissolving; $4 the import's unit, $5 path and $6 path end of it.
LOCK_UNITS: Final = f"""
    SELECT o.id, o.code FROM organisations o
    WHERE o.dissolved_on IS NULL AND o.path >= $5 AND o.path < $6 AND (o.id = $4 OR o.code IN (
        SELECT r.organisation_code FROM roster_rows r WHERE {RANGE} AND r.organisation_code IS NOT NULL
    ))
    ORDER BY o.id FOR SHARE
"""

#: The event's data; the members row is `m`.
_STATE: Final = """json_build_object(
    'member_id', m.id, 'organisation_id', m.organisation_id, 'status', m.status, 'gender', m.gender, 'birth_year', m.birth_year,
    'employment_form', m.employment_form, 'joined_on', m.joined_on, 'left_on', m.left_on, 'user', CASE
        WHEN m.user_subject IS NOT NULL THEN json_build_object('issuer', m.user_issuer, 'subject', m.user_subject) END)"""


def _outbox(rows: str, kind: str, data: str, now: str) -> str:
    """INSERT of one outbox row for each row of `rows` (as m): `kind` and `data` are SQL."""
    return f"""
        INSERT INTO outbox (event_id, topic, key, type, sequence, source, time, payload)
        SELECT uuidv7(), 'unionhall.membership.members.v1', m.id, 'unionhall.membership.member.' || {kind} || '.v1', m.version,
            '/unionhall/membership', {now}, convert_to(({data})::text, 'UTF8')
        FROM {rows} m"""


_ADMITTED: Final = _outbox(
    "admitted", "'admitted'", f"json_build_object('on', m.joined_on, 'state', {_STATE})", "$6::timestamptz"
)
_CHANGED_OR_ADMITTED: Final = _outbox(
    "changed",
    f"CASE WHEN m.old_status IN {JOINS} THEN 'admitted' ELSE 'changed' END",
    f"json_build_object('on', $8::date, 'state', {_STATE})",
    "$7::timestamptz",
)
_GONE: Final = _outbox(
    "gone",
    "'withdrawn'",
    f"json_build_object('on', m.left_on, 'undone', true, 'state', {_STATE})",
    "$4::timestamptz",
)
_RESTORED: Final = _outbox(
    "restored",
    "CASE WHEN m.leaves THEN 'withdrawn' ELSE 'changed' END",
    f"""CASE WHEN m.leaves THEN json_build_object('on', $5::date, 'undone', true, 'state', {_STATE})
            ELSE json_build_object('on', $5::date, 'state', {_STATE}) END""",
    "$4::timestamptz",
)
_LEFT: Final = _outbox(
    "gone",
    "'withdrawn'",
    f"json_build_object('on', m.left_on, 'undone', false, 'state', {_STATE})",
    "$3::timestamptz",
)
_BACK: Final = _outbox(
    "back", "'admitted'", f"json_build_object('on', m.joined_on, 'state', {_STATE})", "$3::timestamptz"
)
#: What the events need of a member.
_NEW: Final = """m.id, m.organisation_id, m.status, m.gender, m.birth_year, m.employment_form, m.joined_on, m.left_on,
            m.version, m.user_issuer, m.user_subject"""
#: Columns of the history that every step fills.
_HISTORY: Final = """member_id, version, happening, happened_at, on_date, organisation_id, actor_issuer,
            actor_subject"""

#: The unit of a row, by the index of codes; $4 ids of the locked units, $5 code of the import's unit.
_IN_UNIT: Final = """JOIN organisations unit
            ON unit.code = coalesce(r.organisation_code, $5::text) AND unit.id = ANY($4::uuid[])"""

#: Admit the new people of a range. $4, $5 as above, $6 now, $7 today, $8 issuer and $9 subject of who applies. A person who
#: came meanwhile by another way is left out; one conflict target, because each costs a look-up in its index before the insert.
CREATE: Final = f"""
    WITH admitted AS (
        INSERT INTO members AS m (
            id, member_number, name, name_pinyin, name_initials, other_pinyin, other_initials, document_type, document_sealed,
            document_blind, last4_blind, phone_sealed, phone_blind, birth_date_sealed, data_key_wrapped, key_version, gender,
            birth_year, employment_form, status, organisation_id, path, joined_on, version, created_at, updated_at)
        SELECT r.member_id, lpad(nextval('member_numbers')::text, 10, '0'), r.name, r.name_pinyin, r.name_initials,
            r.other_pinyin, r.other_initials, r.document_type, r.document_sealed, r.document_blind, r.last4_blind,
            r.phone_sealed, r.phone_blind, r.birth_date_sealed, r.data_key_wrapped, r.key_version, r.gender, r.birth_year,
            coalesce(r.employment_form, 'contract'), 'active', unit.id, unit.path, coalesce(r.joined_on, $7::date), 1,
            $6::timestamptz, $6::timestamptz
        FROM roster_rows r {_IN_UNIT}
        WHERE {RANGE} AND r.outcome = 'created'
        ORDER BY r.row_number
        ON CONFLICT (document_blind) DO NOTHING
        RETURNING {_NEW}
    ),
    belonging AS (
        INSERT INTO affiliations (member_id, from_version, organisation_id, from_on)
        SELECT m.id, m.version, m.organisation_id, m.joined_on FROM admitted m
    ),
    remembered AS (
        INSERT INTO member_history ({_HISTORY})
        SELECT m.id, m.version, 'admitted', $6::timestamptz, m.joined_on, m.organisation_id, $8::text, $9::text
        FROM admitted m
    ),
    published AS ({_ADMITTED})
    SELECT count(*) FROM admitted
"""

#: New people of a range who are not there after CREATE.
REJECT_NOT_CREATED: Final = f"""
    UPDATE roster_rows r SET outcome = 'rejected',
        problems = {_CHANGED}
    WHERE {RANGE} AND r.outcome = 'created' AND NOT EXISTS (SELECT FROM members m WHERE m.id = r.member_id)
"""

#: The people of a range to change, locked, if they are as they were when compared; $4, $5 as in CREATE.
LOCK_UPDATED: Final = f"""
    SELECT r.row_number, m.id, m.data_key_wrapped AS member_key, m.key_version AS member_key_version, r.member_id AS sealed_for,
        r.data_key_wrapped AS row_key, r.key_version AS row_key_version,
        CASE WHEN r.phone_blind <> coalesce(m.phone_blind, '') THEN r.phone_sealed END AS phone_sealed,
        CASE WHEN r.birth_year <> coalesce(m.birth_year, 0) THEN r.birth_date_sealed END AS birth_date_sealed,
        unit.id AS unit_id, unit.path AS unit_path
    FROM roster_rows r
    JOIN members m ON m.id = r.matched_id
    {_IN_UNIT}
    WHERE {RANGE} AND r.outcome = 'updated' AND r.applied_version IS NULL
        AND m.version = r.matched_version AND m.erased_at IS NULL
        AND (m.status IN {JOINS} OR m.organisation_id = unit.id)
    ORDER BY m.id FOR UPDATE OF m
"""

#: $1 import, $2 row numbers, $3 sealed phones and $4 sealed birth dates (NULL: as before), $5 units, $6 paths, $7 now,
#: $8 today, $9 issuer, $10 subject. What held before is kept for an undo, in ciphertext where it was.
UPDATE: Final = f"""
    WITH given AS (
        SELECT * FROM unnest($2::int[], $3::bytea[], $4::bytea[], $5::uuid[], $6::text[])
            AS given (row_number, phone_sealed, birth_date_sealed, unit_id, unit_path)
    ),
    changed AS (
        UPDATE members m SET
            name = r.name, name_pinyin = r.name_pinyin, name_initials = r.name_initials,
            other_pinyin = r.other_pinyin, other_initials = r.other_initials,
            phone_sealed = coalesce(g.phone_sealed, m.phone_sealed),
            phone_blind = CASE WHEN g.phone_sealed IS NULL THEN m.phone_blind ELSE r.phone_blind END,
            birth_date_sealed = coalesce(g.birth_date_sealed, m.birth_date_sealed),
            birth_year = coalesce(r.birth_year, m.birth_year),
            gender = CASE WHEN r.gender = 'unknown' THEN m.gender ELSE r.gender END,
            employment_form = coalesce(r.employment_form, m.employment_form),
            status = CASE WHEN m.status IN {JOINS} THEN 'active' ELSE m.status END,
            organisation_id = CASE WHEN m.status IN {JOINS} THEN g.unit_id ELSE m.organisation_id END,
            path = CASE WHEN m.status IN {JOINS} THEN g.unit_path ELSE m.path END,
            joined_on = CASE WHEN m.status IN {JOINS} THEN $8::date ELSE m.joined_on END,
            left_on = CASE WHEN m.status IN {JOINS} THEN NULL ELSE m.left_on END,
            escalated_at = CASE WHEN m.status IN {JOINS} THEN NULL ELSE m.escalated_at END,
            member_number = coalesce(m.member_number, lpad(nextval('member_numbers')::text, 10, '0')),
            version = m.version + 1, updated_at = $7::timestamptz
        FROM given g JOIN roster_rows r ON r.import_id = $1 AND r.row_number = g.row_number
        WHERE m.id = r.matched_id
        RETURNING {_NEW},
            r.row_number, old.status AS old_status, jsonb_build_object(
                'status', old.status, 'name', old.name, 'name_pinyin', old.name_pinyin, 'name_initials', old.name_initials,
                'other_pinyin', old.other_pinyin, 'other_initials', old.other_initials,
                'phone_sealed', encode(old.phone_sealed, 'hex'), 'phone_blind', encode(old.phone_blind, 'hex'),
                'birth_date_sealed', encode(old.birth_date_sealed, 'hex'), 'birth_year', old.birth_year,
                'gender', old.gender, 'employment_form', old.employment_form) AS previous
    ),
    kept AS (
        UPDATE roster_rows r SET applied_version = m.version, previous = m.previous
        FROM changed m WHERE r.import_id = $1 AND r.row_number = m.row_number
    ),
    approved AS (
        UPDATE affiliations a SET from_on = $8::date FROM changed m
        WHERE a.member_id = m.id AND a.to_on IS NULL AND m.old_status = 'applied'
    ),
    belonging AS (
        INSERT INTO affiliations (member_id, from_version, organisation_id, from_on)
        SELECT m.id, m.version, m.organisation_id, $8::date FROM changed m WHERE m.old_status IN ('returned', 'withdrawn')
    ),
    remembered AS (
        INSERT INTO member_history ({_HISTORY})
        SELECT m.id, m.version, CASE WHEN m.old_status IN {
    JOINS
} THEN 'admitted' ELSE 'changed' END, $7::timestamptz, $8::date, m.organisation_id,
            $9::text, $10::text
        FROM changed m
    ),
    published AS ({_CHANGED_OR_ADMITTED})
    SELECT count(*) FROM changed
"""

#: People of a range to change who were no longer as compared.
REJECT_NOT_UPDATED: Final = f"""
    UPDATE roster_rows r SET outcome = 'rejected',
        problems = {_CHANGED}
    WHERE {RANGE} AND r.outcome = 'updated' AND r.applied_version IS NULL
"""

#: Undo the admissions of a range. $4 now, $5 today, $6 issuer, $7 subject, $8 reason. The document number becomes free.
UNDO_CREATED: Final = f"""
    WITH gone AS (
        UPDATE members m SET status = 'withdrawn', left_on = greatest($5::date, m.joined_on), document_blind = NULL,
            last4_blind = NULL, phone_blind = NULL, version = m.version + 1, updated_at = $4::timestamptz
        FROM roster_rows r
        WHERE {RANGE} AND r.outcome = 'created' AND m.id = r.member_id AND m.version = 1
        RETURNING {_NEW}
    ),
    ended AS (UPDATE affiliations a SET to_on = m.left_on FROM gone m WHERE a.member_id = m.id AND a.to_on IS NULL),
    remembered AS (
        INSERT INTO member_history ({_HISTORY}, reason)
        SELECT m.id, m.version, 'withdrawn', $4::timestamptz, m.left_on, m.organisation_id, $6::text, $7::text, $8::text
        FROM gone m
    ),
    published AS ({_GONE})
    SELECT count(*) FROM gone
"""

#: Undo the changes of a range: details as before; who was admitted again leaves again. Parameters as in UNDO_CREATED.
UNDO_UPDATED: Final = f"""
    WITH restored AS (
        UPDATE members m SET
            name = r.previous->>'name', name_pinyin = r.previous->>'name_pinyin', name_initials = r.previous->>'name_initials',
            other_pinyin = r.previous->>'other_pinyin', other_initials = r.previous->>'other_initials',
            phone_sealed = decode(r.previous->>'phone_sealed', 'hex'), phone_blind = decode(r.previous->>'phone_blind', 'hex'),
            birth_date_sealed = decode(r.previous->>'birth_date_sealed', 'hex'),
            birth_year = (r.previous->>'birth_year')::int, gender = r.previous->>'gender',
            employment_form = r.previous->>'employment_form',
            status = CASE WHEN r.previous->>'status' IN {JOINS} THEN 'withdrawn' ELSE m.status END,
            left_on = CASE WHEN r.previous->>'status' IN {
    JOINS
} THEN greatest($5::date, m.joined_on) ELSE m.left_on END,
            version = m.version + 1, updated_at = $4::timestamptz
        FROM roster_rows r
        WHERE {RANGE} AND r.outcome = 'updated' AND m.id = r.matched_id AND m.version = r.applied_version
        RETURNING {_NEW},
            r.previous->>'status' IN {JOINS} AS leaves
    ),
    ended AS (
        UPDATE affiliations a SET to_on = m.left_on FROM restored m WHERE a.member_id = m.id AND a.to_on IS NULL AND m.leaves
    ),
    remembered AS (
        INSERT INTO member_history ({_HISTORY}, reason)
        SELECT m.id, m.version, CASE WHEN m.leaves THEN 'withdrawn' ELSE 'changed' END, $4::timestamptz, $5::date,
            m.organisation_id, $6::text, $7::text, $8::text
        FROM restored m
    ),
    published AS ({_RESTORED})
    SELECT count(*) FROM restored
"""

#: Let up to $2 of the missing leave. $3 now, $4 today, $5 issuer, $6 subject, $7 reason. Gives how many were looked at and left.
WITHDRAW_MISSING: Final = f"""
    WITH batch AS MATERIALIZED (
        SELECT x.member_id, x.matched_version, m.version FROM roster_missing x JOIN members m ON m.id = x.member_id
        WHERE x.import_id = $1 AND x.applied_version IS NULL
        ORDER BY x.member_id LIMIT $2 FOR UPDATE OF m
    ),
    gone AS (
        UPDATE members m SET status = 'withdrawn', left_on = greatest($4::date, m.joined_on), version = m.version + 1,
            updated_at = $3::timestamptz
        FROM batch WHERE m.id = batch.member_id AND m.version = batch.matched_version
        RETURNING {_NEW}
    ),
    marked AS (
        UPDATE roster_missing x
        SET applied_version = CASE WHEN batch.version = batch.matched_version THEN batch.version + 1 ELSE 0 END
        FROM batch WHERE x.import_id = $1 AND x.member_id = batch.member_id
    ),
    ended AS (UPDATE affiliations a SET to_on = m.left_on FROM gone m WHERE a.member_id = m.id AND a.to_on IS NULL),
    remembered AS (
        INSERT INTO member_history ({_HISTORY}, reason)
        SELECT m.id, m.version, 'withdrawn', $3::timestamptz, m.left_on, m.organisation_id, $5::text, $6::text, $7::text
        FROM gone m
    ),
    published AS ({_LEFT})
    SELECT (SELECT count(*) FROM batch) AS seen, (SELECT count(*) FROM gone) AS gone
"""

#: Take up to $2 of those who left by this import in again. $3 now, $4 today, $5 issuer, $6 subject, $7 reason.
READMIT_MISSING: Final = f"""
    WITH batch AS MATERIALIZED (
        SELECT x.member_id, x.applied_version FROM roster_missing x JOIN members m ON m.id = x.member_id
        WHERE x.import_id = $1 AND x.applied_version > 0
        ORDER BY x.member_id LIMIT $2 FOR UPDATE OF m
    ),
    back AS (
        UPDATE members m SET status = 'active', left_on = NULL, joined_on = $4::date, version = m.version + 1,
            updated_at = $3::timestamptz
        FROM batch WHERE m.id = batch.member_id AND m.version = batch.applied_version
        RETURNING {_NEW}
    ),
    marked AS (
        UPDATE roster_missing x SET applied_version = 0 FROM batch WHERE x.import_id = $1 AND x.member_id = batch.member_id
    ),
    belonging AS (
        INSERT INTO affiliations (member_id, from_version, organisation_id, from_on)
        SELECT m.id, m.version, m.organisation_id, m.joined_on FROM back m
    ),
    remembered AS (
        INSERT INTO member_history ({_HISTORY}, reason)
        SELECT m.id, m.version, 'admitted', $3::timestamptz, m.joined_on, m.organisation_id, $5::text, $6::text, $7::text
        FROM back m
    ),
    published AS ({_BACK})
    SELECT (SELECT count(*) FROM batch) AS seen, (SELECT count(*) FROM back) AS back
"""

#: Rows of a range that an undo must leave, marked with why. Locks all its people, so that UNDO_CREATED and UNDO_UPDATED, which
#: follow in the same transaction, see the same.
KEEP_CHANGED: Final = f"""
    WITH standing AS MATERIALIZED (
        SELECT r.row_number, m.version <> coalesce(r.applied_version, 1) AS is_changed
        FROM roster_rows r JOIN members m ON m.id = coalesce(r.matched_id, r.member_id)
        WHERE {RANGE} AND (r.outcome = 'created' OR (r.outcome = 'updated' AND r.applied_version IS NOT NULL))
        ORDER BY m.id FOR UPDATE OF m
    ), kept AS (
        UPDATE roster_rows r SET
            problems = {_KEPT}
        FROM standing s WHERE r.import_id = $1 AND r.row_number = s.row_number AND s.is_changed
        RETURNING 1
    )
    SELECT count(*) FROM kept
"""
