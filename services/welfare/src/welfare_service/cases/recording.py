"""Writes a step of a case: its row, what happened, the audit entry, the event."""

from shared.database.session import WriteSession
from welfare_service.cases import events, repository
from welfare_service.cases.domain import AidCase, HistoryEntry


async def record(session: WriteSession, case: AidCase, entry: HistoryEntry) -> None:
    """Write a step: the case's row under its version, the history entry, the audit entry, and last the event."""
    await session.flush()
    repository.add_entry(session, entry)
    details = {"code": entry.code} if entry.code else None
    session.audit(f"case.{entry.happening}", "case", case.id, details, path=case.path)
    session.emit(events.event_of(case, entry))
