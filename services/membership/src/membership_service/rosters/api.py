"""Routes of roster imports. Thin: parse, call one use case or query, show."""

from typing import Annotated
from urllib.parse import quote
from uuid import UUID

from fastapi import Form, Query, Request, Response, UploadFile, status

from membership_service.organisations import repository as organisations
from membership_service.rosters import repository, use_cases
from membership_service.rosters.domain import MAX_UPLOAD_BYTES, Mode, RosterImport
from membership_service.rosters.reports import error_report
from membership_service.rosters.schemas import (
    ApplyRoster,
    MissingView,
    ProblemRowView,
    RosterView,
    UndoRoster,
)
from membership_service.rosters.template import MEDIA_TYPE, template
from shared.kernel.texts import Language
from shared.security.acting import By
from shared.security.policy import Action
from shared.web.body import max_body
from shared.web.caller import CurrentCaller
from shared.web.change import Change, ChangeCall
from shared.web.conditional import set_etag
from shared.web.idempotency import Idempotent
from shared.web.language import CurrentLanguage
from shared.web.paging import Page, PageQuery, page_of
from shared.web.routing import api_router
from shared.web.session import CurrentClock, Keys, Read, Write

router = api_router("/api/v1/rosters", "rosters")

_WORKBOOK = {"content": {MEDIA_TYPE: {}}, "description": "an .xlsx workbook"}


@router.get("/template", response_class=Response, responses={200: _WORKBOOK})
async def get_template(_caller: CurrentCaller) -> Response:
    """The empty roster to fill in."""
    return _workbook(template(), "会员名册模板-roster-template.xlsx")


@router.post("", status_code=status.HTTP_202_ACCEPTED)
@max_body(MAX_UPLOAD_BYTES + 64 * 1024)
async def upload_roster(  # noqa: PLR0913, PLR0917 -- one parameter for each part of the form; FastAPI names them
    file: UploadFile,
    organisation_id: Annotated[
        UUID, Form(description="the unit whose roster it is; rows may name units below it by code")
    ],
    _key: Idempotent,
    session: Write,
    caller: CurrentCaller,
    clock: CurrentClock,
    ring: Keys,
    language: CurrentLanguage,
    response: Response,
    mode: Annotated[
        Mode, Form(description="add: people of the file; full: the file is everybody")
    ] = Mode.ADD,
) -> RosterView:
    """Upload a roster (.xlsx, .csv). It is checked in the background; nothing changes until it is applied."""
    roster = await use_cases.upload(
        session,
        caller,
        By.caller(caller, clock.now()),
        ring,
        organisation_id=organisation_id,
        mode=mode,
        file_name=file.filename or "",
        content=file,
    )
    set_etag(response, roster.version)
    response.headers["Location"] = f"{router.prefix}/{roster.id}"
    return RosterView.of(roster, language, await repository.same_file_before(session, roster))


@router.get("")
async def list_rosters(
    organisation: Annotated[UUID, Query(description="imports of this unit and those below it")],
    page: PageQuery,
    session: Read,
    caller: CurrentCaller,
    ring: Keys,
    language: CurrentLanguage,
) -> Page[RosterView]:
    """Imports of a subtree, newest first."""
    unit = await organisations.get(session, organisation)
    caller.require(Action.ROSTER_IMPORT, unit.path)
    purpose = f"rosters:{unit.id}"
    after = page.after(ring, purpose)
    found = await repository.page(session, unit.path, UUID(after[0]) if after else None, page.limit + 1)
    rosters, cursor = page_of(found, page.limit, ring, purpose, lambda roster: [str(roster.id)])
    return Page(items=[RosterView.of(roster, language) for roster in rosters], next_cursor=cursor)


@router.get("/{import_id}")
async def get_roster(
    import_id: UUID, session: Read, caller: CurrentCaller, language: CurrentLanguage, response: Response
) -> RosterView:
    """How far an import is, and its totals."""
    roster = await use_cases.read(session, caller, import_id)
    set_etag(response, roster.version)
    earlier = await repository.same_file_before(session, roster)
    return RosterView.of(roster, language, earlier, job=await repository.job_of(session, roster))


@router.get("/{import_id}/missing")
async def list_missing(
    import_id: UUID, page: PageQuery, session: Read, caller: CurrentCaller, ring: Keys
) -> Page[MissingView]:
    """Of a full roster: the members who are not in the file. They leave only if that is asked for when it is applied."""
    roster = await use_cases.read(session, caller, import_id)
    purpose = f"roster-missing:{roster.id}"
    after = page.after(ring, purpose)
    found = await repository.missing(session, roster.id, UUID(after[0]) if after else None, page.limit + 1)
    rows, cursor = page_of(found, page.limit, ring, purpose, lambda row: [str(row.id)])
    return Page(items=[MissingView.model_validate(row) for row in rows], next_cursor=cursor)


@router.get("/{import_id}/problems")
async def list_problems(
    import_id: UUID,
    page: PageQuery,
    session: Read,
    caller: CurrentCaller,
    ring: Keys,
    language: CurrentLanguage,
) -> Page[ProblemRowView]:
    """Rows with problems in the order of the file: column, masked value, reason and remedy."""
    roster = await use_cases.read(session, caller, import_id)
    purpose = f"roster-problems:{roster.id}"
    after = page.after(ring, purpose)
    found = await repository.problem_rows(session, roster.id, after[0] if after else 0, page.limit + 1)
    rows, cursor = page_of(found, page.limit, ring, purpose, lambda row: [row.row_number])
    return Page(items=[ProblemRowView.of(row, language) for row in rows], next_cursor=cursor)


@router.get("/{import_id}/errors.xlsx", response_class=Response, responses={200: _WORKBOOK})
async def get_error_workbook(
    import_id: UUID,
    request: Request,
    caller: CurrentCaller,
    clock: CurrentClock,
    ring: Keys,
    language: CurrentLanguage,
) -> Response:
    """The rejected rows as they came, with a column that says why. Correct them there and upload the file again."""
    content = await error_report(request, caller, clock.now(), ring, import_id, language)
    return _workbook(content, "错误数据-errors.xlsx")


@router.post("/{import_id}/apply", status_code=status.HTTP_202_ACCEPTED)
async def apply_roster(
    import_id: UUID, body: ApplyRoster, _key: Idempotent, call: Change, language: CurrentLanguage
) -> RosterView:
    """Let the good rows become members, in the background. The rejected rows stay out."""
    left_reason = body.left_reason if body.apply_left else None
    roster = await use_cases.apply(
        call.session, call.caller, call.by, import_id, call.version, left_reason=left_reason
    )
    return _shown(call, roster, language)


@router.post("/{import_id}/cancel")
async def cancel_roster(
    import_id: UUID, _key: Idempotent, call: Change, language: CurrentLanguage
) -> RosterView:
    """Stop an import before its next chunk. What was applied stays, and may be undone."""
    roster = await use_cases.cancel(call.session, call.caller, call.by, import_id, call.version)
    return _shown(call, roster, language)


@router.post("/{import_id}/undo", status_code=status.HTTP_202_ACCEPTED)
async def undo_roster(
    import_id: UUID, body: UndoRoster, _key: Idempotent, call: Change, language: CurrentLanguage
) -> RosterView:
    """Take back what an import did, row by row. Rows that changed since stay as they are and are listed among the problems."""
    roster = await use_cases.undo(call.session, call.caller, call.by, import_id, call.version, body.reason)
    return _shown(call, roster, language)


def _shown(call: ChangeCall, roster: RosterImport, language: Language) -> RosterView:
    call.leaves(roster.version)
    return RosterView.of(roster, language)


def _workbook(content: bytes, name: str) -> Response:
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return Response(content, media_type=MEDIA_TYPE, headers=headers)
