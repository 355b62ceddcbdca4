"""The child process that reads a roster: `python -m membership_service.rosters.child`, a task and the file on standard input.

It has no database and no network, may not write files, and dies when it outgrows its memory: what a file can do to its
reader stays here. Whatever it says comes in frames on standard output.
"""

import os
import resource
import sys
from pathlib import Path
from typing import BinaryIO, Final, cast

import orjson

from membership_service.members import names, sealing
from membership_service.rosters import copying
from membership_service.rosters.checking import Person, RowChecker
from membership_service.rosters.columns import Column
from membership_service.rosters.domain import FileRefused
from membership_service.rosters.error_workbook import error_workbook
from membership_service.rosters.frames import CHUNK_ROWS, Kind, Task, write_frame
from membership_service.rosters.reading import read_roster
from membership_service.rosters.staged import ready_row, rejected_row
from shared.kernel.ids import ordered_id
from shared.security.keys import KeyRing
from shared.security.randomness import RandomPool

_ORPHANED: Final = 3
_CPU_SECONDS: Final = 1800
_NAMES_KEPT: Final = 20_000


class _Upload:
    """The file on standard input. An early end means that the parent died, never that the file is short."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._left = stream, size

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        piece = self._stream.read(wanted)
        if len(piece) < wanted:
            os._exit(_ORPHANED)
        self._left -= wanted
        return piece


def main() -> None:
    """Do the one task of this process."""
    out = sys.stdout.buffer
    task = Task.load(sys.stdin.buffer.readline())
    _limit(task.memory_bytes)
    upload = cast("BinaryIO", _Upload(sys.stdin.buffer, task.file_bytes))
    try:
        if task.reasons is None:
            _check(task, upload, out)
        else:
            _, header, rows = read_roster(upload)
            write_frame(out, Kind.WORKBOOK, error_workbook(header, rows, task.reasons, task.legend))
    except FileRefused as refused:
        write_frame(out, Kind.REFUSED, orjson.dumps({"code": refused.code, "params": refused.params}))
    except MemoryError:
        write_frame(out, Kind.REFUSED, orjson.dumps({"code": "roster-file-suspicious", "params": {}}))


def _limit(memory_bytes: int) -> None:
    """Bound this process: address space, processor time, no files, no core dump (it would hold people's numbers)."""
    for what, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, _CPU_SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def _check(task: Task, upload: BinaryIO, out: BinaryIO) -> None:
    draw = RandomPool()
    sealer = sealing.Sealer(KeyRing.load(Path(task.keys_file)), draw)
    found, header, rows = read_roster(upload)
    checker = RowChecker(header, task.today)
    chunk: list[bytes] = []
    count = last = 0
    for number, cells in rows:
        count += 1
        if count <= task.skip:
            continue
        checked = checker.check(cells)
        if isinstance(checked, Person):
            member_id = ordered_id(task.now_ms, number, draw(8))
            chunk.append(ready_row(sealer, task.import_id, number, checked, member_id))
        else:
            code = checker.organisation_code(cells)
            chunk.append(rejected_row(task.import_id, number, checked, code))
        last = number
        if len(chunk) == CHUNK_ROWS:
            _send(out, chunk, count, last, checker)
            chunk = []
    if chunk:
        _send(out, chunk, count, last, checker)
    if count == 0:
        raise FileRefused("roster-file-empty")
    totals = {
        "rows": count,
        "format": found.value,
        "organisation_column": Column.ORGANISATION in header.positions,
    }
    write_frame(out, Kind.DONE, orjson.dumps(totals))


def _send(out: BinaryIO, chunk: list[bytes], count: int, last: int, checker: RowChecker) -> None:
    """`warnings` are those of this chunk alone, so that their sum survives a restart in the middle."""
    status = {"staged": count, "last_row": last, "warnings": dict(checker.warnings)}
    checker.warnings.clear()
    for remembered in (names.normalise, names.keys):
        # Names repeat, but a million people have too many of them to be kept.
        if remembered.cache_info().currsize > _NAMES_KEPT:
            remembered.cache_clear()
    write_frame(out, Kind.STATUS, orjson.dumps(status))
    write_frame(out, Kind.ROWS, b"".join((copying.HEADER, *chunk, copying.TRAILER)))


if __name__ == "__main__":
    main()
