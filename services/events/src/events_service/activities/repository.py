"""Every query of activities and their seats."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import and_, or_, select, text, tuple_, update

from events_service.activities.audience import welcomes
from events_service.activities.domain import AUTHORING, Activity, HistoryEntry
from events_service.activities.plan import Quota, seats_by_pool
from events_service.activities.tables import activities, activity_history, activity_seats
from shared.contracts.events_service import ActivityStage
from shared.database.paths import ancestors, in_subtree
from shared.database.session import ReadSession, WriteSession
from shared.kernel.clock import china_date
from shared.kernel.errors import NotFound

_PATH: Final = text("SELECT find_activity_path(:id)")
_WELCOMES: Final = text(f"""
    SELECT {welcomes(":today")} FROM activities a, directory_members d
    JOIN directory_organisations o ON o.id = d.organisation_id,
    LATERAL (SELECT d.id, o.path, d.status, d.gender, d.birth_year, d.employment_form, d.user_issuer, d.user_subject) m
    WHERE a.id = :activity AND d.id = :member
""")  # noqa: S608 - made of the constant above
_FOR_MEMBER: Final = text(f"""
    SELECT a.id FROM activities a, directory_members d
    JOIN directory_organisations o ON o.id = d.organisation_id,
    LATERAL (SELECT d.id, o.path, d.status, d.gender, d.birth_year, d.employment_form, d.user_issuer, d.user_subject) m
    WHERE d.id = :member AND a.path = ANY (:above) AND a.stage IN ('published', 'open', 'closed')
        AND a.starts_at > :now AND (a.starts_at, a.id) > (:after_start, :after_id) AND {welcomes(":today")}
    ORDER BY a.starts_at, a.id LIMIT :limit
""")  # noqa: S608 - made of the constant above
_LOCK_SEATS: Final = text("""
    SELECT seats, taken, pool FROM activity_seats WHERE activity_id = :id ORDER BY pool FOR NO KEY UPDATE
""")
_SUCCEED: Final = text("""
    INSERT INTO unit_successors (organisation_id, successor_id) VALUES (:unit, :successor)
    ON CONFLICT (organisation_id) DO UPDATE SET successor_id = excluded.successor_id
""")
#: Whoever was handed to a unit that is dissolved goes on to its successor; the depth bounds a circle that cannot be.
_HEIRS: Final = text("""
    WITH RECURSIVE onward AS (
        SELECT organisation_id AS unit, successor_id AS heir, 1 AS depth FROM unit_successors
        WHERE organisation_id = ANY (:units)
        UNION ALL
        SELECT onward.unit, next.successor_id, depth + 1 FROM onward
        JOIN unit_successors next ON next.organisation_id = onward.heir WHERE depth < 32
    )
    SELECT DISTINCT ON (onward.unit) onward.unit, onward.heir, o.path
    FROM onward LEFT JOIN directory_organisations o ON o.id = onward.heir
    ORDER BY onward.unit, onward.depth DESC
""")

#: A day before any activity: where the first page begins.
_EARLIEST: Final = datetime.fromisoformat("1900-01-01T00:00:00+00:00")
_LOWEST: Final = UUID(int=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What activities to list: in a stage, taking place at a time in [from, to)."""

    stage: ActivityStage | None = None
    starts_from: datetime | None = None
    starts_to: datetime | None = None


async def get(session: ReadSession, activity_id: UUID) -> Activity:
    """The activity. Raises NotFound, also for what the caller may not see."""
    return _found(await session.scalar(select(Activity).where(activities.c.id == activity_id)))


async def get_for_change(session: WriteSession, activity_id: UUID) -> Activity:
    """The activity, locked. Whoever also locks seats or registrations does that after this."""
    locked = select(Activity).where(activities.c.id == activity_id).with_for_update(key_share=True)
    return _found(await session.scalar(locked.execution_options(populate_existing=True)))


def add(session: WriteSession, activity: Activity) -> None:
    """Write a new activity."""
    session.add(activity)


def add_entry(session: WriteSession, entry: HistoryEntry) -> None:
    """Write a history entry."""
    session.add(entry)


async def path_of(session: ReadSession, activity_id: UUID) -> str | None:
    """Where an activity stands, seen by the caller or not; None for an unknown one."""
    found: str | None = await session.scalar(_PATH, {"id": activity_id})
    return found


async def authors(session: ReadSession, activity_id: UUID) -> set[tuple[str, str]]:
    """The users (issuer, subject) who made the plan what it is."""
    columns = activity_history.c
    found = select(columns.actor_issuer, columns.actor_subject).where(
        columns.activity_id == activity_id, columns.happening.in_(AUTHORING)
    )
    return {(row.actor_issuer, row.actor_subject) for row in await session.execute(found)}


async def authored(session: ReadSession, ids: Sequence[UUID], issuer: str, subject: str) -> set[UUID]:
    """Which of these activities a user made what they are."""
    columns = activity_history.c
    found = select(columns.activity_id).where(
        columns.activity_id.in_(ids),
        columns.happening.in_(AUTHORING),
        columns.actor_issuer == issuer,
        columns.actor_subject == subject,
    )
    return set(await session.scalars(found))


async def history(session: ReadSession, activity_id: UUID, after: int, limit: int) -> Sequence[HistoryEntry]:
    """Up to `limit` entries after version `after`, oldest first."""
    columns = activity_history.c
    found = select(HistoryEntry).where(columns.activity_id == activity_id, columns.version > after)
    return (await session.scalars(found.order_by(columns.version).limit(limit))).all()


async def page(
    session: ReadSession,
    roots: Sequence[str],
    filters: Filters,
    after: tuple[str, UUID] | None,
    limit: int,
) -> Sequence[Activity]:
    """Up to `limit` activities of the subtrees `roots`, by place in the tree."""
    columns = activities.c
    found = select(Activity).where(or_(*(in_subtree(columns.path, root) for root in roots)))
    if filters.stage:
        found = found.where(columns.stage == filters.stage)
    if filters.starts_from:
        found = found.where(columns.starts_at >= filters.starts_from)
    if filters.starts_to:
        found = found.where(columns.starts_at < filters.starts_to)
    if after:
        found = found.where(and_(columns.path >= after[0], tuple_(columns.path, columns.id) > after))
    return (await session.scalars(found.order_by(columns.path, columns.id).limit(limit))).all()


async def in_stages(
    session: ReadSession, roots: Sequence[str], stages: Sequence[ActivityStage], limit: int
) -> Sequence[Activity]:
    """Up to `limit` activities of the subtrees `roots` in one of the stages, those that wait longest first.

    Of drafts, those that came back: others wait for nobody.
    """
    columns = activities.c
    within = or_(*(in_subtree(columns.path, root) for root in roots))
    waits = or_(columns.stage != ActivityStage.DRAFT, columns.returned_reason.is_not(None))
    found = select(Activity).where(within, columns.stage.in_(stages), waits)
    return (await session.scalars(found.order_by(columns.stage_since, columns.id).limit(limit))).all()


async def page_for_member(
    session: ReadSession,
    member_id: UUID,
    member_path: str,
    now: datetime,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[Activity]:
    """Up to `limit` announced activities to come whose audience includes the member, soonest first."""
    start, last = after or (_EARLIEST, _LOWEST)
    parameters = {
        "member": member_id,
        "above": ancestors(member_path),
        "now": now,
        "today": china_date(now),
        "after_start": start,
        "after_id": last,
        "limit": limit,
    }
    ids = list(await session.scalars(_FOR_MEMBER, parameters))
    columns = activities.c
    found = select(Activity).where(columns.id.in_(ids)).order_by(columns.starts_at, columns.id)
    return (await session.scalars(found)).all()


async def is_welcome(session: ReadSession, activity_id: UUID, member_id: UUID, now: datetime) -> bool:
    """Whether the audience includes the member; False also for an activity out of sight."""
    parameters = {"activity": activity_id, "member": member_id, "today": china_date(now)}
    return bool(await session.scalar(_WELCOMES, parameters))


async def due(session: WriteSession, stage: ActivityStage, now: datetime, limit: int) -> Sequence[Activity]:
    """Up to `limit` activities in `stage` whose time to move on has come, locked, skipping those somebody has."""
    columns = activities.c
    moment = {
        ActivityStage.PUBLISHED: columns.registration_opens_at,
        ActivityStage.OPEN: columns.registration_closes_at,
        ActivityStage.CLOSED: columns.ends_at,
    }[stage]
    found = select(Activity).where(columns.stage == stage, moment <= now).order_by(moment).limit(limit)
    return (await session.scalars(found.with_for_update(key_share=True, skip_locked=True))).all()


async def of_unit_for_change(session: WriteSession, organisation_id: UUID, limit: int) -> Sequence[Activity]:
    """Up to `limit` activities of a unit, locked."""
    columns = activities.c
    found = (
        select(Activity).where(columns.organisation_id == organisation_id).order_by(columns.id).limit(limit)
    )
    return (await session.scalars(found.with_for_update(key_share=True))).all()


async def make_seats(session: WriteSession, activity: Activity) -> None:
    """Write the seats of an activity that is announced: nobody is registered yet."""
    pools = seats_by_pool(activity.capacity, activity.quotas)
    units = [None, *(quota.organisation_id for quota in activity.quotas)]
    rows = [
        {
            "activity_id": activity.id,
            "pool": pool,
            "unit_id": unit,
            "organisation_id": activity.organisation_id,
            "path": activity.path,
            "seats": seats,
            "taken": 0,
            "last_position": 0,
            "is_open": activity.is_open,
            "closes_at": activity.registration_closes_at,
            "by_lottery": activity.mode == "lottery",
        }
        for pool, (unit, seats) in enumerate(zip(units, pools, strict=True))
    ]
    await session.execute(activity_seats.insert(), rows)


async def mark_seats(session: WriteSession, activity: Activity) -> None:
    """Let the seats say what their activity says: open or not, where it stands. Waits for registrations under way."""
    await session.execute(
        update(activity_seats)
        .where(activity_seats.c.activity_id == activity.id)
        .values(is_open=activity.is_open, organisation_id=activity.organisation_id, path=activity.path)
    )


async def taken_for_change(session: WriteSession, activity_id: UUID) -> list[int]:
    """How many seats of each pool are taken, by pool; the rows stay locked."""
    return [row.taken for row in await session.execute(_LOCK_SEATS, {"id": activity_id})]


async def set_seats(
    session: WriteSession, activity_id: UUID, capacity: int, quotas: tuple[Quota, ...]
) -> None:
    """Write other numbers of seats; the rows are locked, and none falls below what is taken."""
    for pool, seats in enumerate(seats_by_pool(capacity, quotas)):
        mine = and_(activity_seats.c.activity_id == activity_id, activity_seats.c.pool == pool)
        await session.execute(update(activity_seats).where(mine).values(seats=seats))


async def succeed(session: WriteSession, unit: UUID, successor: UUID) -> None:
    """Remember who takes over from a dissolved unit."""
    await session.execute(_SUCCEED, {"unit": unit, "successor": successor})


async def heirs(session: ReadSession, units: Sequence[UUID]) -> dict[UUID, tuple[UUID, str | None]]:
    """For each dissolved unit the one that has its affairs in the end, and where that stands (None: not known yet)."""
    rows = await session.execute(_HEIRS, {"units": list(units)})
    return {row.unit: (row.heir, row.path) for row in rows}


def _found(activity: Activity | None) -> Activity:
    if activity is None:
        raise NotFound("not-found")
    return activity
