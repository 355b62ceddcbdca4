"""The background steps of an import. Each chunk is one transaction together with the import's own position: a killed worker
goes on where the last chunk ended, and nothing is done twice.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson

from membership_service.index_rotation.jobs import wait_until_indexed
from membership_service.rosters import repository
from membership_service.rosters.child_process import TEXT_MEMORY, WORKBOOK_MEMORY, run_child
from membership_service.rosters.domain import FileRefused, Format, ImportState, RosterImport
from membership_service.rosters.files import opened_pieces
from membership_service.rosters.frames import CHUNK_ROWS, Kind, Task
from membership_service.rosters.reading import SNIFF_BYTES, format_of
from shared.database.engine import Database
from shared.database.scope import Scope
from shared.jobs import JobContext
from shared.kernel.clock import Clock, china_date
from shared.kernel.crash import crash_point
from shared.security.keys import KeyRing

EXPIRE: Final = "roster.expire"
EXPIRE_EVERY: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class RosterJobs:
    """The handlers, with what they need. The child loads the key ring from `keys_file` by itself."""

    database: Database
    ring: KeyRing
    keys_file: Path
    clock: Clock

    async def check(self, job: JobContext) -> None:
        """Let a child check and seal all rows, stage them and compare them with the members there are."""
        await wait_until_indexed(self.database, self.ring)
        async with self.database.read(Scope.everything()) as session:
            roster = await repository.get(session, _import_of(job))
        if roster.state is not ImportState.CHECKING or roster.file_key_wrapped is None:
            return
        try:
            found = await self._stage(job, roster)
        except FileRefused as refused:
            await self._refuse(job, roster.id, refused)
            return
        crash_point("roster.after_staging")
        async with job.chunk() as session:
            roster = await repository.get_for_change(session, roster.id)
            if roster.state is ImportState.CHECKING and found is not None:
                await repository.finish_check(session, roster)
                roster.format = found
                roster.finish(ImportState.CHECKED, self.clock.now())

    async def apply(self, job: JobContext) -> None:
        """Admit and change people, chunk by chunk, until the end of the file or a cancellation."""
        await wait_until_indexed(self.database, self.ring)
        import_id = _import_of(job)
        while True:
            async with job.chunk() as session:
                roster = await repository.get_for_change(session, import_id)
                if roster.state is not ImportState.APPLYING:
                    return
                now = self.clock.now()
                span = await repository.next_span(session, roster, CHUNK_ROWS)
                if span is None:
                    if roster.apply_left and await repository.withdraw_missing(
                        session, roster, now, china_date(now)
                    ):
                        continue
                    crash_point("roster.before_done")
                    await repository.count(session, roster)
                    roster.finish(ImportState.APPLIED, now)
                    return
                await repository.apply(session, roster, span, self.ring, now, china_date(now))
                roster.position = span.up_to
            crash_point("roster.mid_apply")

    async def undo(self, job: JobContext) -> None:
        """Take people back, chunk by chunk."""
        import_id = _import_of(job)
        while True:
            async with job.chunk() as session:
                roster = await repository.get_for_change(session, import_id)
                if roster.state is not ImportState.UNDOING:
                    return
                now = self.clock.now()
                span = await repository.next_span(session, roster, CHUNK_ROWS)
                if span is None:
                    if await repository.readmit_missing(session, roster, now, china_date(now)):
                        continue
                    roster.finish(ImportState.UNDONE, now)
                    return
                await repository.undo(session, roster, span, now, china_date(now))
                roster.position = span.up_to

    async def expire(self, job: JobContext) -> None:
        """Destroy the files and staged rows whose time has run out."""
        while True:
            async with job.chunk() as session:
                roster = await repository.next_expired(session, self.clock.now())
                if roster is None:
                    return
                if not await repository.forget_rows(session, roster.id):
                    await repository.forget_file(session, roster)

    async def _stage(self, job: JobContext, roster: RosterImport) -> Format | None:
        """Stage what the child sends; the file's format when all is staged, None after a cancellation."""
        status: dict[str, Any] = {}
        piece = self._pieces(roster.id)
        content = opened_pieces(self.ring.unwrap(roster.file_key_wrapped or b""), roster.id, piece)
        async with run_child(await self._task(roster), content) as frames:
            async for kind, frame in frames:
                if kind is Kind.STATUS:
                    status = orjson.loads(frame)
                elif kind is Kind.DONE:
                    return Format(orjson.loads(frame)["format"])
                elif not await self._stage_chunk(job, roster.id, frame, status):
                    return None
        return None

    async def _stage_chunk(
        self, job: JobContext, import_id: UUID, rows: bytes, status: dict[str, Any]
    ) -> bool:
        async with job.chunk() as session:
            roster = await repository.get_for_change(session, import_id)
            if roster.state is not ImportState.CHECKING:
                return False
            roster.warn(status["warnings"])
            today = china_date(self.clock.now())
            await repository.stage(session, roster, rows, status["last_row"], today)
            roster.staged = roster.rows = status["staged"]
        return True

    async def _refuse(self, job: JobContext, import_id: UUID, refused: FileRefused) -> None:
        """What was staged before the fault was found goes again, so that nobody applies half a file."""
        while True:
            async with job.chunk() as session:
                if await repository.forget_rows(session, import_id):
                    continue
                roster = await repository.get_for_change(session, import_id)
                if roster.state is ImportState.CHECKING:
                    roster.refuse(refused, self.clock.now())
                return

    async def _task(self, roster: RosterImport) -> Task:
        now = self.clock.now()
        key = self.ring.unwrap(roster.file_key_wrapped or b"")
        first = b""
        async for opened in opened_pieces(key, roster.id, self._pieces(roster.id)):
            first = opened[:SNIFF_BYTES]
            break
        return Task(
            import_id=roster.id,
            keys_file=str(self.keys_file.resolve()),
            file_bytes=roster.file_bytes,
            today=china_date(now),
            now_ms=int(now.timestamp() * 1000),
            memory_bytes=TEXT_MEMORY if format_of(first) is Format.TEXT else WORKBOOK_MEMORY,
            skip=roster.staged,
        )

    def _pieces(self, import_id: UUID) -> Callable[[int], Awaitable[bytes | None]]:
        async def piece(position: int) -> bytes | None:
            async with self.database.read(Scope.everything()) as session:
                return await repository.piece(session, import_id, position)

        return piece


def _import_of(job: JobContext) -> UUID:
    return UUID(job.payload["import_id"])
