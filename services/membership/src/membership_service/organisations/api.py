"""Routes of the organisation tree. Thin: parse, call one use case or query, show."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Form, Query, Response, UploadFile, status

from membership_service.organisations import repository, tree_import, use_cases
from membership_service.organisations.domain import Organisation
from membership_service.organisations.schemas import (
    ChangeView,
    ChapterView,
    CreateOrganisation,
    DissolveOrganisation,
    ImportedTree,
    MoveOrganisation,
    MovePreviewView,
    OrganisationThen,
    OrganisationView,
    PlanView,
    RenameOrganisation,
    SearchOrganisations,
)
from membership_service.organisations.sheet import MAX_SHEET_BYTES, SheetRow, read_sheet
from shared.security.acting import By
from shared.security.keys import KeyRing
from shared.security.policy import Action
from shared.web.body import max_body
from shared.web.caller import CurrentCaller
from shared.web.conditional import IfMatch, set_etag
from shared.web.idempotency import Idempotent
from shared.web.paging import Page, PageQuery, PageRequest, page_of
from shared.web.routing import api_router
from shared.web.session import CurrentClock, Keys, Read, Write

router = api_router("/api/v1/organisations", "organisations")

On = Annotated[date | None, Query(description="as of this day; without it, today")]


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_organisation(
    body: CreateOrganisation,
    _key: Idempotent,
    session: Write,
    caller: CurrentCaller,
    clock: CurrentClock,
    response: Response,
) -> OrganisationView:
    """Found a unit."""
    by = By.caller(caller, clock.now())
    organisation = await use_cases.create(session, caller, by, **dict(body))
    set_etag(response, organisation.version)
    return OrganisationView.of(organisation)


@router.get("")
async def list_my_organisations(session: Read, caller: CurrentCaller) -> list[OrganisationView]:
    """The units at which the caller holds a post: where to begin."""
    held = await repository.get_many(session, {post.organisation_id for post in caller.posts})
    return [OrganisationView.of(organisation) for organisation in held]


@router.post("/search")
async def search_organisations(
    body: SearchOrganisations, session: Read, caller: CurrentCaller, ring: Keys
) -> Page[OrganisationView]:
    """Standing units of a subtree by name or code."""
    top = await _readable(session, caller, body.within)
    purpose = f"organisations-search:{top.id}:{body.words}"
    after = body.page.after(ring, purpose)
    found = await repository.search(session, top.path, body.words, after[0] if after else "", body.limit + 1)
    return _page_by_path(found, body.page, ring, purpose)


async def _rows_of(file: UploadFile, _caller: CurrentCaller) -> Sequence[SheetRow]:
    """Read before the transaction begins, for who is signed in: a child process reads it, bounded in memory and time."""
    return await read_sheet(await file.read())


@router.post("/imports", status_code=status.HTTP_201_CREATED)
@max_body(MAX_SHEET_BYTES + 64 * 1024)
async def import_organisations(
    rows: Annotated[Sequence[SheetRow], Depends(_rows_of)],
    under: Annotated[UUID, Form(description="the unit below which all rows belong")],
    _key: Idempotent,
    session: Write,
    caller: CurrentCaller,
    clock: CurrentClock,
) -> ImportedTree:
    """Found the units of a sheet (.xlsx or .csv: code, name, kind, parent code, founded on): all of them or none."""
    by = By.caller(caller, clock.now())
    created, unchanged = await tree_import.import_tree(session, caller, by, under, rows)
    return ImportedTree(created=created, unchanged=unchanged)


@router.get("/{organisation_id}")
async def get_organisation(
    organisation_id: UUID, session: Read, caller: CurrentCaller, response: Response
) -> OrganisationView:
    """A unit as it is today."""
    organisation = await _readable(session, caller, organisation_id)
    set_etag(response, organisation.version)
    return OrganisationView.of(organisation)


@router.get("/{organisation_id}/then")
async def get_organisation_then(
    organisation_id: UUID, on: date, session: Read, caller: CurrentCaller
) -> OrganisationThen:
    """A unit as it was on a day."""
    organisation = await _readable(session, caller, organisation_id)
    return OrganisationThen.of(organisation, await repository.chapter_on(session, organisation, on))


@router.get("/{organisation_id}/children")
async def list_children(
    organisation_id: UUID, page: PageQuery, session: Read, caller: CurrentCaller, ring: Keys, on: On = None
) -> Page[OrganisationThen]:
    """The units directly below, today or as of a day; which of them one sees is decided by the rights of today."""
    parent = await _readable(session, caller, organisation_id)
    purpose = f"organisations-children:{parent.id}:{on}"
    after = page.after(ring, purpose)
    number = after[0] if after else 0
    if on is not None:
        then = await repository.children_on(session, parent, on, number, page.limit + 1)
        rows, cursor = page_of(then, page.limit, ring, purpose, lambda row: [row[0].number])
        return Page(items=[OrganisationThen.of(*row) for row in rows], next_cursor=cursor)
    today = await repository.children(session, parent, number, page.limit + 1)
    units, cursor = page_of(today, page.limit, ring, purpose, lambda unit: [unit.number])
    items = [OrganisationThen.model_validate(unit, from_attributes=True) for unit in units]
    return Page(items=items, next_cursor=cursor)


@router.get("/{organisation_id}/subtree")
async def list_subtree(
    organisation_id: UUID, page: PageQuery, session: Read, caller: CurrentCaller, ring: Keys
) -> Page[OrganisationView]:
    """The unit and all below it that stand, each before those below it."""
    top = await _readable(session, caller, organisation_id)
    purpose = f"organisations-subtree:{top.id}"
    after = page.after(ring, purpose)
    found = await repository.subtree(session, top.path, after[0] if after else "", page.limit + 1)
    return _page_by_path(found, page, ring, purpose)


@router.patch("/{organisation_id}")
async def rename_organisation(
    organisation_id: UUID,
    body: RenameOrganisation,
    version: IfMatch,
    session: Write,
    caller: CurrentCaller,
    clock: CurrentClock,
    response: Response,
) -> OrganisationView:
    """Another name or kind, from today."""
    by = By.caller(caller, clock.now())
    organisation = await use_cases.rename(session, caller, by, organisation_id, version, **dict(body))
    set_etag(response, organisation.version)
    return OrganisationView.of(organisation)


@router.post("/{organisation_id}/move/preview")
async def preview_move(
    organisation_id: UUID, body: MoveOrganisation, session: Read, caller: CurrentCaller
) -> MovePreviewView:
    """Who would move along. Refused for the reasons for which the move would be."""
    return MovePreviewView.of(await use_cases.preview_move(session, caller, organisation_id, body.parent_id))


@router.post("/{organisation_id}/move")
async def move_organisation(
    organisation_id: UUID,
    body: MoveOrganisation,
    version: IfMatch,
    _key: Idempotent,
    session: Write,
    caller: CurrentCaller,
    clock: CurrentClock,
    response: Response,
) -> ChangeView:
    """Put the unit, with all below it, under another parent."""
    by = By.caller(caller, clock.now())
    organisation, plan = await use_cases.move(session, caller, by, organisation_id, version, **dict(body))
    set_etag(response, organisation.version)
    return ChangeView.of(organisation, plan)


@router.post("/{organisation_id}/dissolution")
async def dissolve_organisation(
    organisation_id: UUID,
    body: DissolveOrganisation,
    version: IfMatch,
    _key: Idempotent,
    session: Write,
    caller: CurrentCaller,
    clock: CurrentClock,
    response: Response,
) -> ChangeView:
    """End a unit on which nothing stands any more."""
    by = By.caller(caller, clock.now())
    organisation, plan = await use_cases.dissolve(session, caller, by, organisation_id, version, **dict(body))
    set_etag(response, organisation.version)
    return ChangeView.of(organisation, plan)


@router.get("/{organisation_id}/history")
async def list_history(
    organisation_id: UUID, page: PageQuery, session: Read, caller: CurrentCaller, ring: Keys
) -> Page[ChapterView]:
    """All versions of the unit, oldest first."""
    organisation = await _readable(session, caller, organisation_id)
    purpose = f"organisations-history:{organisation.id}"
    after = page.after(ring, purpose)
    found = await repository.history(session, organisation, after[0] if after else 0, page.limit + 1)
    chapters, cursor = page_of(found, page.limit, ring, purpose, lambda chapter: [chapter.version])
    return Page(items=[ChapterView.of(chapter) for chapter in chapters], next_cursor=cursor)


@router.get("/{organisation_id}/plans")
async def list_plans(organisation_id: UUID, session: Read, caller: CurrentCaller) -> list[PlanView]:
    """What is, or was, decided for a later day; newest first."""
    organisation = await _readable(session, caller, organisation_id)
    return [PlanView.of(plan) for plan in await repository.plans(session, organisation)]


@router.delete("/{organisation_id}/plans/{plan_id}")
async def cancel_plan(
    organisation_id: UUID, plan_id: UUID, session: Write, caller: CurrentCaller
) -> PlanView:
    """Take a plan back before its day."""
    return PlanView.of(await use_cases.cancel_plan(session, caller, organisation_id, plan_id))


async def _readable(session: Read, caller: CurrentCaller, organisation_id: UUID) -> Organisation:
    organisation = await repository.get(session, organisation_id)
    caller.require(Action.ORGANISATION_READ, organisation.path)
    return organisation


def _page_by_path(
    found: Sequence[Organisation], page: PageRequest, ring: KeyRing, purpose: str
) -> Page[OrganisationView]:
    units, cursor = page_of(found, page.limit, ring, purpose, lambda unit: [unit.path])
    return Page(items=[OrganisationView.of(unit) for unit in units], next_cursor=cursor)
