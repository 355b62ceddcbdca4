"""What one can do with a roster: one function per verb, each in the transaction that it is given."""

from uuid import UUID

from membership_service.organisations import repository as organisations
from membership_service.rosters import files, repository
from membership_service.rosters.domain import KEPT, Mode, RosterImport
from shared.database.session import ReadSession, WriteSession
from shared.jobs import enqueue
from shared.kernel.errors import Invalid
from shared.kernel.ids import new_id
from shared.security.acting import By
from shared.security.keys import KeyRing
from shared.security.policy import Action, Caller
from shared.web.conditional import require_version

CHECK = "roster.check"
APPLY = "roster.apply"
UNDO = "roster.undo"
_LONGEST_NAME = 200


async def upload(
    session: WriteSession,
    caller: Caller,
    by: By,
    ring: KeyRing,
    *,
    organisation_id: UUID,
    mode: Mode,
    file_name: str,
    content: files.Upload,
) -> RosterImport:
    """Keep a file sealed and have it checked in the background."""
    unit = await organisations.get(session, organisation_id)
    caller.require(Action.ROSTER_IMPORT, unit.path)
    file_blind, size = await files.fingerprint(ring, content)
    if size == 0:
        raise Invalid("roster-file-empty", field="file")
    key, wrapped = files.new_key(ring)
    roster = RosterImport(
        id=new_id(),
        organisation_id=unit.id,
        path=unit.path,
        mode=mode,
        file_name=file_name.replace("\0", "")[-_LONGEST_NAME:],
        file_bytes=size,
        file_blind=file_blind,
        file_key_wrapped=wrapped,
        uploaded_issuer=by.issuer,
        uploaded_subject=by.subject,
        uploaded_at=by.at,
        expires_at=by.at + KEPT,
    )
    repository.add(session, roster)
    await session.flush()
    async for position, sealed in files.sealed_pieces(key, roster.id, content):
        await repository.add_piece(session, roster.id, position, sealed)
    session.audit("roster.uploaded", "roster", roster.id, path=unit.path)
    roster.job_id = await enqueue(session, CHECK, {"import_id": str(roster.id)})
    return roster


async def read(session: ReadSession, caller: Caller, import_id: UUID) -> RosterImport:
    """An import, for those who may import there."""
    roster = await repository.get(session, import_id)
    caller.require(Action.ROSTER_IMPORT, roster.path)
    return roster


async def apply(
    session: WriteSession, caller: Caller, by: By, import_id: UUID, version: int, *, left_reason: str | None
) -> RosterImport:
    """Let the good rows become members in the background. This is the approval of them all (settled §26)."""
    roster = await _locked(session, caller, Action.ROSTER_IMPORT, import_id, version)
    roster.apply(by.issuer, by.subject, by.at, left_reason)
    session.audit("roster.applied", "roster", roster.id, path=roster.path)
    roster.job_id = await enqueue(session, APPLY, {"import_id": str(roster.id)})
    return roster


async def cancel(
    session: WriteSession, caller: Caller, by: By, import_id: UUID, version: int
) -> RosterImport:
    """Stop an import before the next chunk."""
    roster = await _locked(session, caller, Action.ROSTER_IMPORT, import_id, version)
    roster.cancel(by.at)
    session.audit("roster.cancelled", "roster", roster.id, path=roster.path)
    return roster


async def undo(
    session: WriteSession, caller: Caller, by: By, import_id: UUID, version: int, reason: str
) -> RosterImport:
    """Take back in the background what was applied."""
    roster = await _locked(session, caller, Action.ROSTER_UNDO, import_id, version)
    roster.undo(by.issuer, by.subject, by.at, reason)
    session.audit("roster.undone", "roster", roster.id, path=roster.path)
    roster.job_id = await enqueue(session, UNDO, {"import_id": str(roster.id)})
    return roster


async def _locked(
    session: WriteSession, caller: Caller, action: Action, import_id: UUID, version: int
) -> RosterImport:
    roster = await repository.get_for_change(session, import_id)
    caller.require(action, roster.path)
    require_version(version, roster.version)
    return roster
