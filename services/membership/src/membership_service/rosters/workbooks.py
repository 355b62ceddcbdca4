"""Reading `.xlsx` rosters. What could harm the reader is refused before it sees the file.

A 204 KiB workbook can cost 440 MB: sizes, entries and the true expansion are counted first, by a reader that keeps nothing.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import Final, cast

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError, SheetTypeEnum
from python_calamine import SheetVisibleEnum as Visible

from membership_service.rosters.columns import HEADER_WITHIN, Cell, Header, recognise
from membership_service.rosters.domain import (
    MAX_COLUMNS,
    MAX_WORKBOOK_BYTES,
    MAX_WORKBOOK_ROWS,
    FileRefused,
)

_MAX_ENTRIES: Final = 500
_MAX_EXPANDED: Final = 256 * 1024 * 1024
#: Sheets of text shrink to a twelfth or so; a bomb shrinks a thousandfold. Small files may shrink more.
_MAX_RATIO: Final = 100
_RATIO_FROM: Final = 16 * 1024 * 1024
_PIECE: Final = 1 << 18
_MACRO: Final = re.compile(r"vba|macro|activex|\.bin$", re.IGNORECASE)
_NESTED: Final = re.compile(r"\.(zip|xls[xmb]?|doc[xm]?|ppt[xm]?|jar|7z|rar|gz)$|/embeddings/", re.IGNORECASE)
#: Printer settings are .bin and harmless; nothing reads them.
_HARMLESS: Final = re.compile(r"^xl/printerSettings/[^/]+\.bin$")
_XML: Final = re.compile(r"\.(xml|rels|vml)$", re.IGNORECASE)


def inspect(raw: bytes) -> None:
    """Refuse what is not an honest workbook: macros, archives within, entities, paths that climb, expansion bombs."""
    if len(raw) > MAX_WORKBOOK_BYTES:
        raise FileRefused("roster-workbook-too-large", megabytes=MAX_WORKBOOK_BYTES // 2**20)
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            _inspect_entries(archive)
            _inspect_content(archive, len(raw))
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError):
        raise FileRefused("roster-file-unreadable") from None


def _inspect_entries(archive: zipfile.ZipFile) -> None:
    names = archive.namelist()
    if len(names) > _MAX_ENTRIES or sum(entry.file_size for entry in archive.infolist()) > _MAX_EXPANDED:
        raise FileRefused("roster-file-suspicious")
    if "xl/workbook.xml" not in names:
        raise FileRefused("roster-file-type")
    for name in names:
        if name.startswith("/") or "\\" in name or ".." in name.split("/") or _NESTED.search(name):
            raise FileRefused("roster-file-suspicious")
        if _MACRO.search(name) and not _HARMLESS.fullmatch(name):
            raise FileRefused("roster-file-macros")


def _inspect_content(archive: zipfile.ZipFile, compressed: int) -> None:
    expanded = 0
    for entry in archive.infolist():
        tail = b""
        with archive.open(entry) as stream:
            while piece := stream.read(_PIECE):
                expanded += len(piece)
                if expanded > _MAX_EXPANDED or (
                    expanded > _RATIO_FROM and expanded > _MAX_RATIO * compressed
                ):
                    raise FileRefused("roster-file-suspicious")
                if _XML.search(entry.filename) and (
                    b"<!DOCTYPE" in tail + piece or b"<!ENTITY" in tail + piece
                ):
                    raise FileRefused("roster-file-suspicious")
                tail = piece[-16:]
    content_types = (
        archive.read("[Content_Types].xml") if "[Content_Types].xml" in archive.namelist() else b""
    )
    if b"macroEnabled" in content_types:
        raise FileRefused("roster-file-macros")


def read_workbook(raw: bytes) -> Iterator[tuple[int, list[Cell]] | Header]:
    """First the Header, then (row number, cells) of every row that is not blank, of the first visible sheet with a header.

    Raises FileRefused. Inspect first.
    """
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(raw))
        sheet, header = _find_sheet(workbook)
        yield header
        for number, cells in enumerate(sheet.iter_rows(), 1):
            if number > header.row and any(cell != "" for cell in cells):
                yield number, cast("list[Cell]", cells)
    except PasswordError:
        raise FileRefused("roster-file-password") from None
    except CalamineError:
        raise FileRefused("roster-file-unreadable") from None


def _find_sheet(workbook: CalamineWorkbook) -> tuple[CalamineSheet, Header]:
    empty = True
    for metadata in workbook.sheets_metadata:
        if metadata.typ != SheetTypeEnum.WorkSheet or metadata.visible != Visible.Visible:
            continue
        sheet = workbook.get_sheet_by_name(metadata.name)
        if sheet.end is None:
            continue
        empty = False
        if sheet.end[0] > MAX_WORKBOOK_ROWS + HEADER_WITHIN:
            raise FileRefused("roster-workbook-too-many-rows", limit=MAX_WORKBOOK_ROWS)
        if sheet.end[1] >= MAX_COLUMNS:
            raise FileRefused("roster-too-many-columns", limit=MAX_COLUMNS)
        header = _header_of(sheet)
        if header is not None:
            _refuse_merged(sheet, header)
            return sheet, header
    raise FileRefused("roster-file-empty" if empty else "roster-header-missing")


def _header_of(sheet: CalamineSheet) -> Header | None:
    for number, cells in enumerate(sheet.to_python(skip_empty_area=False, nrows=HEADER_WITHIN), 1):
        header = recognise(number, cast("list[Cell]", cells))
        if header is not None:
            return header
    return None


def _refuse_merged(sheet: CalamineSheet, header: Header) -> None:
    """A title above the header may be merged; from the header on a merged cell would leave rows without their value."""
    for (_, _), (last_row, _) in sheet.merged_cell_ranges or ():
        if last_row + 1 >= header.row:
            raise FileRefused("roster-merged-cells", row=last_row + 1)
