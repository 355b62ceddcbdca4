"""Makes the error workbook: the child reads the sealed file again and keeps the rows that were rejected."""

from datetime import datetime
from uuid import UUID

from fastapi import Request

from membership_service.rosters import repository, use_cases
from membership_service.rosters.child_process import WORKBOOK_MEMORY, ChildDied, run_child
from membership_service.rosters.domain import ImportState
from membership_service.rosters.error_workbook import MAX_ROWS
from membership_service.rosters.files import opened_pieces
from membership_service.rosters.frames import Kind, Task
from membership_service.rosters.schemas import reasons_of
from shared.database.scope import Scope
from shared.kernel.clock import china_date
from shared.kernel.errors import Conflict, Unavailable
from shared.kernel.texts import Language, text
from shared.security.keys import KeyRing
from shared.security.policy import Caller
from shared.web.session import database_of, transaction


async def error_report(
    request: Request, caller: Caller, now: datetime, ring: KeyRing, import_id: UUID, language: Language
) -> bytes:
    """The workbook. It opens sessions of its own: none is held while the child works.

    It shows documents and phones in plain, so that it is asked for stands in the audit before it is made.
    """
    database, scope = database_of(request), Scope(caller.visible_paths())
    async with transaction(request, caller) as session:
        roster = await use_cases.read(session, caller, import_id)
        if roster.state in {ImportState.CHECKING, ImportState.REFUSED}:
            raise Conflict("roster-state", state=roster.state.value)
        if roster.file_key_wrapped is None:
            raise Conflict("roster-file-destroyed")
        file_key, file_bytes = ring.unwrap(roster.file_key_wrapped), roster.file_bytes
        rows = await repository.problem_rows(session, import_id, 0, MAX_ROWS)
        session.audit("roster.errors-read", "roster", roster.id, path=roster.path)

    async def piece(position: int) -> bytes | None:
        async with database.read(scope) as session:
            return await repository.piece(session, import_id, position)

    task = Task(
        import_id=import_id,
        keys_file="",
        file_bytes=file_bytes,
        today=china_date(now),
        now_ms=0,
        memory_bytes=WORKBOOK_MEMORY,
        reasons={row.row_number: reasons_of(row) for row in rows},
        legend=text("roster-reason-legend", language),
    )
    content = opened_pieces(file_key, import_id, piece)
    try:
        async with run_child(task, content) as frames:
            async for kind, workbook in frames:
                if kind is Kind.WORKBOOK:
                    return workbook
    except ChildDied:
        raise Unavailable("roster-reader-failed", retry_after=5) from None
    raise Unavailable("roster-reader-failed", retry_after=5)
