"""Every query of the organisation tree. Lists name their subtree as a range of paths; row-level security only filters."""

from collections.abc import Collection, Sequence
from datetime import date
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Uuid,
    and_,
    any_,
    bindparam,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from membership_service.metadata import metadata
from membership_service.organisations.dependents import DEPENDENTS
from membership_service.organisations.domain import (
    Chapter,
    Happening,
    Numbered,
    Organisation,
    Plan,
    PlanState,
)
from membership_service.organisations.tables import (
    organisation_history,
    organisation_numbers,
    organisation_plans,
    organisations,
)
from shared.database.failures import violated_constraint
from shared.database.paths import Path, in_subtree, path_end, path_of
from shared.database.session import ReadSession, WriteSession, driver
from shared.kernel.errors import Conflict, NotFound
from shared.security.acting import By

#: Key of the advisory lock under which moves happen one after the other: two at once could close a circle.
_TREE_LOCK = 0x7472_6565
#: Seconds for one table of a move: a city with all its members takes longer than any other statement may.
_MOVE_SECONDS = 300
#: Units written at once: between two flushes the process gets to its other requests.
_FLUSH = 500


async def get(session: ReadSession, organisation_id: UUID) -> Organisation:
    """The unit as it is today. Raises NotFound, also for what the caller may not see."""
    return _found(await session.scalar(select(Organisation).where(organisations.c.id == organisation_id)))


async def get_many(session: ReadSession, organisation_ids: Collection[UUID]) -> Sequence[Organisation]:
    """Those of the units that the caller sees, by path."""
    found = (
        select(Organisation).where(organisations.c.id.in_(organisation_ids)).order_by(organisations.c.path)
    )
    return (await session.scalars(found)).all()


async def get_for_change(session: WriteSession, organisation_id: UUID) -> Organisation:
    """The unit, locked until the transaction ends, so that its versions and their events have one order.

    FOR NO KEY UPDATE: rows that merely refer to the unit by foreign key are not held up.
    """
    locked = _fresh(
        select(Organisation).where(organisations.c.id == organisation_id).with_for_update(key_share=True)
    )
    return _found(await session.scalar(locked))


async def get_to_stand_on(session: WriteSession, organisation_id: UUID) -> Organisation:
    """The unit, kept from moving and dissolving until the transaction ends.

    Whoever writes a row that carries the unit's path takes this lock first: a move waits for it, and then takes the row along.
    """
    locked = _fresh(
        select(Organisation).where(organisations.c.id == organisation_id).with_for_update(read=True)
    )
    return _found(await session.scalar(locked))


async def get_many_to_stand_on(
    session: WriteSession, organisation_ids: Collection[UUID]
) -> Sequence[Organisation]:
    """Several units, held like one (`get_to_stand_on`), in an order that cannot deadlock with itself."""
    locked = select(Organisation).where(organisations.c.id.in_(organisation_ids)).order_by(organisations.c.id)
    return (await session.scalars(_fresh(locked.with_for_update(read=True)))).all()


async def get_root(session: ReadSession) -> Organisation | None:
    """The top of the tree, if there is one yet."""
    return await session.scalar(select(Organisation).where(organisations.c.parent_id.is_(None)))


async def get_parent(session: ReadSession, organisation: Organisation) -> Organisation | None:
    """The present parent; None for the root and for a parent above the caller's scope."""
    if organisation.parent_id is None:
        return None
    return await session.scalar(select(Organisation).where(organisations.c.id == organisation.parent_id))


async def by_codes(session: ReadSession, codes: Collection[str]) -> dict[str, Organisation]:
    """The units with these codes that the caller sees, by code."""
    found = await session.scalars(select(Organisation).where(organisations.c.code.in_(codes)))
    return {organisation.code: organisation for organisation in found}


async def next_numbered(session: WriteSession, parent_path: str) -> Numbered:
    """A number never used before, and the path it gives under `parent_path` ("" for the root)."""
    number = (await next_numbers(session, 1))[0]
    return Numbered(number, path_of(parent_path, number))


def path_for(parent: Organisation, number: int) -> str:
    """Where the unit with this number stands, or would stand, under `parent`."""
    return path_of(parent.path, number)


async def next_numbers(session: WriteSession, count: int) -> list[int]:
    """`count` numbers never used before, rising."""
    drawn = select(organisation_numbers.next_value()).select_from(func.generate_series(1, count))
    return sorted((await session.scalars(drawn)).all())


async def add(session: WriteSession, organisations_: Sequence[Organisation]) -> None:
    """Write new units, parents first. Raises Conflict for a code that any unit has, seen by the caller or not."""
    try:
        for start in range(0, len(organisations_), _FLUSH):
            session.add_all(organisations_[start : start + _FLUSH])
            await session.flush()
    except IntegrityError as error:
        if violated_constraint(error) == "uq_organisations_code":
            raise Conflict("organisation-code-taken", field="code") from None
        raise


async def lock_tree(session: WriteSession) -> None:
    """Let moves happen one after the other, until the transaction ends. Taken before any row of the tree is locked."""
    await session.execute(select(func.pg_advisory_xact_lock(_TREE_LOCK)))


async def move_along(session: WriteSession, old: str, new: str) -> None:
    """Rewrite the paths of all that stood below `old`: units first, then everything that carries a path.

    Rows of members, posts and enterprises that are just being written hold their unit (`get_to_stand_on`), so the first
    statement waits for them and the later ones see them.
    """
    await session.flush()
    connection = await driver(session)
    columns = [column for table in metadata.sorted_tables for column in table.columns if column.type is Path]
    for column in sorted(columns, key=lambda column: column.table is not organisations):
        name, table = column.name, column.table.name
        await connection.execute(
            f"UPDATE {table} SET {name} = $1::text || substr({name}, $2) WHERE {name} >= $3 AND {name} < $4",  # noqa: S608
            *(new, len(old) + 1, old, path_end(old)),
            timeout=_MOVE_SECONDS,
        )


async def affected_below(session: ReadSession, path: str) -> dict[str, int]:
    """How much stands in a subtree, by kind of dependents; the unit itself counts as one of the organisations."""
    counts = [
        select(func.count())
        .select_from(kind.table)
        .where(in_subtree(kind.table.c.path, path), kind.live)
        .scalar_subquery()
        for kind in DEPENDENTS.values()
    ]
    return dict(zip(DEPENDENTS, (await session.execute(select(*counts))).one(), strict=True))


async def standing_on(session: ReadSession, organisation: Organisation) -> dict[str, int]:
    """How much stands directly on a unit and would be orphaned by its end, by kind of dependents."""
    counts = [
        select(func.count())
        .select_from(kind.table)
        .where(
            in_subtree(kind.table.c.path, organisation.path),
            or_(*(column == organisation.id for column in kind.organisation)),
            kind.live,
        )
        .scalar_subquery()
        for kind in DEPENDENTS.values()
    ]
    return dict(zip(DEPENDENTS, (await session.execute(select(*counts))).one(), strict=True))


async def children(
    session: ReadSession, parent: Organisation, after: int, limit: int
) -> Sequence[Organisation]:
    """Up to `limit` standing units directly below `parent` with a number above `after`, by number."""
    page = _standing_below(parent.path).where(
        organisations.c.parent_id == parent.id, organisations.c.number > after
    )
    return (await session.scalars(page.order_by(organisations.c.number).limit(limit))).all()


async def subtree(session: ReadSession, path: str, after: str, limit: int) -> Sequence[Organisation]:
    """Up to `limit` standing units of a subtree with a path above `after`, each before those below it."""
    page = _standing_below(path).where(organisations.c.path > after)
    return (await session.scalars(page.order_by(organisations.c.path).limit(limit))).all()


async def search(
    session: ReadSession, path: str, words: str, after: str, limit: int
) -> Sequence[Organisation]:
    """Up to `limit` standing units of a subtree whose name contains `words` or whose code begins with it, by path."""
    named = or_(
        func.strpos(organisations.c.name, words) > 0, organisations.c.code.bool_op("^@")(words.upper())
    )
    page = _standing_below(path).where(organisations.c.path > after, named)
    return (await session.scalars(page.order_by(organisations.c.path).limit(limit))).all()


async def record(
    session: WriteSession, organisation: Organisation, happening: Happening, valid_from: date, by: By
) -> Chapter:
    """Write the new version into the history; what held before ends on `valid_from`."""
    await session.execute(
        update(organisation_history)
        .where(
            organisation_history.c.organisation_id == organisation.id,
            organisation_history.c.valid_to.is_(None),
        )
        .values(valid_to=valid_from)
    )
    chapter = Chapter(
        organisation_id=organisation.id,
        version=organisation.version,
        happening=happening,
        valid_from=valid_from,
        recorded_at=by.at,
        recorded_issuer=by.issuer,
        recorded_subject=by.subject,
        name=organisation.name,
        kind=organisation.kind,
        parent_id=organisation.parent_id,
        dissolved=organisation.dissolved_on is not None,
        path=organisation.path,
    )
    session.add(chapter)
    return chapter


async def begin_histories(session: WriteSession, organisations_: Sequence[Organisation], by: By) -> None:
    """Write the first version of units into the history, set-based: a sheet founds many."""
    first = {
        "organisation_id": organisations.c.id,
        "version": organisations.c.version,
        "happening": literal(Happening.CREATED, organisation_history.c.happening.type),
        "valid_from": organisations.c.parent_since,
        "recorded_at": literal(by.at),
        "recorded_issuer": literal(by.issuer),
        "recorded_subject": literal(by.subject),
        "name": organisations.c.name,
        "kind": organisations.c.kind,
        "parent_id": organisations.c.parent_id,
        "dissolved": false(),
        "path": organisations.c.path,
    }
    ids = bindparam("ids", [organisation.id for organisation in organisations_], ARRAY(Uuid))
    written = select(*first.values()).where(organisations.c.id == any_(ids))
    await session.execute(insert(organisation_history).from_select(list(first), written))


async def history(
    session: ReadSession, organisation: Organisation, after: int, limit: int
) -> Sequence[Chapter]:
    """Up to `limit` chapters of a unit with a version above `after`, oldest first."""
    page = select(Chapter).where(
        organisation_history.c.organisation_id == organisation.id, organisation_history.c.version > after
    )
    return (await session.scalars(page.order_by(organisation_history.c.version).limit(limit))).all()


async def chapter_on(session: ReadSession, organisation: Organisation, on: date) -> Chapter:
    """What held for the unit on a day. Raises NotFound for a day before it was founded or after it ended."""
    held = select(Chapter).where(organisation_history.c.organisation_id == organisation.id, _holds(on))
    chapter = await session.scalar(held)
    if chapter is None:
        raise NotFound("organisation-not-then", on=on.isoformat())
    return chapter


async def children_on(
    session: ReadSession, parent: Organisation, on: date, after: int, limit: int
) -> Sequence[tuple[Organisation, Chapter]]:
    """Up to `limit` units that stood directly below `parent` on a day, with what held then, by number above `after`."""
    page = (
        select(Organisation, Chapter)
        .join(organisation_history, organisation_history.c.organisation_id == organisations.c.id)
        .where(organisation_history.c.parent_id == parent.id, _holds(on), organisations.c.number > after)
        .order_by(organisations.c.number)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in await session.execute(page)]


def add_plan(session: WriteSession, plan: Plan) -> None:
    """Write a new plan."""
    session.add(plan)


async def has_open_plan(session: ReadSession, organisation: Organisation) -> bool:
    """Whether something is already decided for the unit; one at a time."""
    found = select(organisation_plans.c.id).where(
        organisation_plans.c.organisation_id == organisation.id,
        organisation_plans.c.state == PlanState.PLANNED,
    )
    return await session.scalar(found) is not None


async def get_plan(session: WriteSession, organisation: Organisation, plan_id: UUID) -> Plan:
    """A plan of a unit, locked. Raises NotFound."""
    plan = await session.scalar(
        select(Plan)
        .where(organisation_plans.c.id == plan_id, organisation_plans.c.organisation_id == organisation.id)
        .with_for_update()
    )
    if plan is None:
        raise NotFound("not-found")
    return plan


async def plans(session: ReadSession, organisation: Organisation) -> Sequence[Plan]:
    """The unit's plans, newest first; at most 200."""
    found = select(Plan).where(organisation_plans.c.organisation_id == organisation.id)
    return (await session.scalars(found.order_by(organisation_plans.c.planned_at.desc()).limit(200))).all()


async def next_due_plan(session: WriteSession, today: date) -> Plan | None:
    """The oldest plan whose day has come and that no other worker is carrying out, locked."""
    due = (
        select(Plan)
        .where(organisation_plans.c.state == PlanState.PLANNED, organisation_plans.c.effective_on <= today)
        .order_by(organisation_plans.c.effective_on, organisation_plans.c.planned_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return await session.scalar(due)


def _standing_below(path: str) -> Select[Organisation]:
    return select(Organisation).where(
        in_subtree(organisations.c.path, path), organisations.c.dissolved_on.is_(None)
    )


def _holds(on: date) -> ColumnElement[bool]:
    history_ = organisation_history.c
    return and_(
        history_.valid_from <= on,
        or_(history_.valid_to.is_(None), history_.valid_to > on),
        ~history_.dissolved,
    )


def _fresh(statement: Select[Organisation]) -> Select[Organisation]:
    """A locked row is read anew, whatever the session remembers of it."""
    return statement.execution_options(populate_existing=True)


def _found(organisation: Organisation | None) -> Organisation:
    if organisation is None:
        raise NotFound("not-found")
    return organisation
