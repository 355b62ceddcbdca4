"""The parent's side of the child: starts it, feeds it the file, hands its frames on. Nothing of a row is looked at here."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import orjson

from membership_service.rosters.domain import FileRefused
from membership_service.rosters.frames import HEAD_BYTES, Kind, Task, read_head

#: Address space of the child. A streamed .csv needs about 130 MB, a workbook of 100,000 rows 130 MB more.
TEXT_MEMORY: Final = 256 * 1024 * 1024
WORKBOOK_MEMORY: Final = 512 * 1024 * 1024
_MODULE: Final = "membership_service.rosters.child"
#: Exit codes by which native code ends a process that asked for more memory than it may have.
_OUTGROWN: Final = frozenset({-6, 134})


class ChildDied(Exception):
    """The child ended before its task was done, through no fault of the file: the job is worth another try."""


@asynccontextmanager
async def run_child(
    task: Task, content: AsyncIterator[bytes]
) -> AsyncIterator[AsyncIterator[tuple[Kind, bytes]]]:
    """The frames of a child that works on `task` and a file. Leaving ends the child, whatever it is at."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-m",
        _MODULE,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # Not ours: it holds the addresses of databases. Names are read character by character: phrases are not needed (40 MB).
        env={"PYPINYIN_NO_PHRASES": "true"},
    )
    assert child.stdin is not None  # noqa: S101 - a pipe was asked for
    assert child.stdout is not None  # noqa: S101
    feeding = asyncio.create_task(_feed(child.stdin, task, content))
    try:
        yield _frames(child.stdout, child)
    finally:
        feeding.cancel()
        with suppress(asyncio.CancelledError):
            await feeding
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
        await child.wait()


async def _feed(pipe: asyncio.StreamWriter, task: Task, content: AsyncIterator[bytes]) -> None:
    try:
        pipe.write(task.dump())
        async for piece in content:
            if pipe.is_closing():
                return
            pipe.write(piece)
            await pipe.drain()
    except (BrokenPipeError, ConnectionResetError):
        # The child ended first: its last frame or its exit code says why.
        return
    finally:
        # Also when the file cannot be opened: the child finds it short and ends, so that nobody waits for anybody.
        pipe.close()


async def _frames(
    pipe: asyncio.StreamReader, child: asyncio.subprocess.Process
) -> AsyncIterator[tuple[Kind, bytes]]:
    while True:
        try:
            kind, length = read_head(await pipe.readexactly(HEAD_BYTES))
            content = await pipe.readexactly(length)
        except asyncio.IncompleteReadError:
            if await child.wait() in _OUTGROWN:
                raise FileRefused("roster-file-suspicious") from None
            raise ChildDied(f"exit code {child.returncode}") from None
        if kind is Kind.REFUSED:
            refused = orjson.loads(content)
            raise FileRefused(refused["code"], **refused["params"])
        yield kind, content
        if kind in {Kind.DONE, Kind.WORKBOOK}:
            return
