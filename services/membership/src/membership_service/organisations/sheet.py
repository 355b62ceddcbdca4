"""Reads a sheet of units (.xlsx or .csv) in a child process, whose memory and time are bounded: a file may be a trap.

Run as a program it reads the file from standard input and writes JSON to standard output; it knows nothing of the database.
"""

import asyncio
import csv
import io
import resource
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import orjson
from python_calamine import CalamineError, CalamineWorkbook

from shared.kernel.errors import DomainError, Invalid, TooLarge

MAX_SHEET_BYTES: Final = 8 * 1024 * 1024
MAX_ROWS: Final = 20_000
_MAX_COLUMNS: Final = 50
_MAX_EXPANDED: Final = 96 * 1024 * 1024
_MEMORY: Final = 768 * 1024 * 1024
_SECONDS: Final = 30
#: Headings, in both languages, and the field of `SheetRow` that each fills.
_HEADINGS: Final = {
    "编码": "code",
    "code": "code",
    "名称": "name",
    "name": "name",
    "类型": "kind",
    "kind": "kind",
    "上级编码": "parent_code",
    "parent code": "parent_code",
    "parent_code": "parent_code",
    "成立日期": "founded_on",
    "founded on": "founded_on",
    "founded_on": "founded_on",
}
_NEEDED: Final = {"code", "name", "kind"}


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A row as written, texts stripped; `number` counts from 1 as a spreadsheet does. `founded_on` is ISO 8601 or as typed."""

    number: int
    code: str = ""
    name: str = ""
    kind: str = ""
    parent_code: str = ""
    founded_on: str = ""


class SheetRefused(Exception):
    """The file as a whole cannot be used; the argument is the code that says why."""


async def read_sheet(content: bytes) -> Sequence[SheetRow]:
    """The rows of a sheet. Raises TooLarge or Invalid with the code of what is wrong with the file."""
    if len(content) > MAX_SHEET_BYTES:
        raise TooLarge("sheet-too-large", megabytes=MAX_SHEET_BYTES // 2**20)
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            output, _ = await child.communicate(content)
    except TimeoutError:
        raise _refusal("sheet-unreadable") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        raise _refusal("sheet-unreadable")
    answer = orjson.loads(output)
    if "refused" in answer:
        raise _refusal(answer["refused"])
    return [SheetRow(**row) for row in answer["rows"]]


def _refusal(code: str) -> DomainError:
    return Invalid(code, field="file")


def parse(content: bytes) -> list[dict[str, Any]]:
    """The rows as the fields of SheetRow. Raises SheetRefused."""
    cells = _workbook(content) if content.startswith(b"PK\x03\x04") else _text(content)
    fields: list[str | None] | None = None
    rows: list[dict[str, Any]] = []
    for number, row in enumerate(cells, 1):
        texts = [_as_text(cell) for cell in row[:_MAX_COLUMNS]]
        if fields is None:
            headings = [_HEADINGS.get(cell.lower()) for cell in texts]
            fields = headings if set(headings) >= _NEEDED else None
            if fields is None and number >= 10:
                break
        elif any(texts):
            if len(rows) >= MAX_ROWS:
                raise SheetRefused("sheet-too-many-rows")
            rows.append(
                {name: cell for name, cell in zip(fields, texts, strict=False) if name} | {"number": number}
            )
    if fields is None:
        raise SheetRefused("sheet-header-missing")
    if not rows:
        raise SheetRefused("sheet-empty")
    return rows


def _workbook(content: bytes) -> Iterator[Sequence[Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if any("vbaProject" in name for name in archive.namelist()):
                raise SheetRefused("sheet-has-macros")
            if sum(entry.file_size for entry in archive.infolist()) > _MAX_EXPANDED:
                raise SheetRefused("sheet-unreadable")
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
        yield from workbook.get_sheet_by_index(0).to_python(skip_empty_area=False)
    except (CalamineError, zipfile.BadZipFile):
        raise SheetRefused("sheet-unreadable") from None


def _text(content: bytes) -> Iterator[Sequence[str]]:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        try:
            yield from csv.reader(io.StringIO(text, newline=""), strict=True)
        except csv.Error:
            raise SheetRefused("sheet-unreadable") from None
        return
    raise SheetRefused("sheet-unreadable")


def _as_text(cell: object) -> str:
    if isinstance(cell, datetime):
        return cell.date().isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def main() -> None:
    """The child: bounded by its own limits, ends without a word when it meets them."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    try:
        answer: dict[str, Any] = {"rows": parse(sys.stdin.buffer.read())}
    except SheetRefused as refused:
        answer = {"refused": str(refused)}
    sys.stdout.buffer.write(orjson.dumps(answer))


if __name__ == "__main__":
    main()
