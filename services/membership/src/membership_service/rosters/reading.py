"""One way to read a roster, whatever it is: the real type is found by the first bytes, never by the name."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final, cast

from membership_service.rosters.columns import Cell, Header
from membership_service.rosters.domain import MAX_WORKBOOK_BYTES, FileRefused, Format
from membership_service.rosters.text_files import read_text
from membership_service.rosters.workbooks import inspect, read_workbook

SNIFF_BYTES: Final = 8
_ZIP: Final = b"PK\x03\x04"
#: What people upload by mistake: old .xls and encrypted workbooks (OLE), PDF, RAR, 7z, gzip, images, programs.
_FOREIGN: Final = (
    b"\xd0\xcf\x11\xe0",
    b"%PDF",
    b"Rar!",
    b"7z\xbc\xaf",
    b"\x1f\x8b",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"MZ",
    b"\x7fELF",
)

Row = tuple[int, Sequence[Cell]]


def format_of(first: bytes) -> Format:
    """The type of a file that begins so. Raises FileRefused for an empty file and for foreign types."""
    if not first:
        raise FileRefused("roster-file-empty")
    if first.startswith(_ZIP):
        return Format.WORKBOOK
    if first.startswith(_FOREIGN) or first[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise FileRefused("roster-file-type" if first.startswith(_FOREIGN) else "roster-encoding-unknown")
    return Format.TEXT


class _Whole:
    """The sniffed bytes and the rest as one stream."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        self._first, self._rest = first, rest

    def read(self, size: int = -1) -> bytes:
        first, self._first = self._first, b""
        return first + self._rest.read(size - len(first) if size > 0 else size)


def read_roster(stream: BinaryIO) -> tuple[Format, Header, Iterator[Row]]:
    """Type, header and rows of a roster. Rows are read as they are asked for; they too may raise FileRefused."""
    first = stream.read(SNIFF_BYTES)
    found = format_of(first)
    whole = cast("BinaryIO", _Whole(first, stream))
    if found is Format.WORKBOOK:
        raw = whole.read(MAX_WORKBOOK_BYTES + 1)
        inspect(raw)
        rows = cast("Iterator[Row | Header]", read_workbook(raw))
    else:
        rows = cast("Iterator[Row | Header]", read_text(whole))
    header = next(rows)
    if not isinstance(header, Header):
        raise TypeError("a reader yields the header first")
    return found, header, cast("Iterator[Row]", rows)
