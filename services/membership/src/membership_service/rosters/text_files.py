"""Reading `.csv` rosters as a stream: encoding, delimiter and header are found, a row is never held longer than needed."""

import codecs
import csv
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, Final

from membership_service.rosters.columns import HEADER_WITHIN, Header, recognise
from membership_service.rosters.domain import MAX_COLUMNS, MAX_ROWS, FileRefused

_PIECE: Final = 1 << 18
#: No honest line of a roster is longer; a file without line ends would otherwise fill the memory.
_MAX_LINE: Final = 64 * 1024
_MAX_FIELD: Final = 4096
_DELIMITERS: Final = (",", "\t", ";")


def read_text(stream: BinaryIO) -> Iterator[tuple[int, list[str]] | Header]:
    """First the Header, then (row number, cells) of every row that is not blank. Rows count from 1 like in a spreadsheet.

    Raises FileRefused for an unknown encoding, no header, a broken quotation, over-long lines, too many rows.
    """
    csv.field_size_limit(_MAX_FIELD)
    lines = _lines(stream)
    first = list(islice(lines, HEADER_WITHIN))
    if not any(line.strip() for line in first):
        raise FileRefused("roster-file-empty")
    delimiter, header = _find_header(first)
    yield header
    reader = csv.reader(_again(first, lines), delimiter=delimiter)
    number = 0
    try:
        for number, cells in enumerate(reader, 1):
            if number > header.row and any(cells):
                if number - header.row > MAX_ROWS:
                    raise FileRefused("roster-too-many-rows", limit=MAX_ROWS)
                if len(cells) > MAX_COLUMNS:
                    raise FileRefused("roster-too-many-columns", limit=MAX_COLUMNS)
                yield number, cells
    except csv.Error:
        raise FileRefused("roster-row-unreadable", row=number + 1) from None


def _again(first: list[str], rest: Iterator[str]) -> Iterator[str]:
    yield from first
    yield from rest


def _find_header(lines: list[str]) -> tuple[str, Header]:
    for delimiter in _DELIMITERS:
        try:
            for number, cells in enumerate(csv.reader(lines, delimiter=delimiter), 1):
                header = recognise(number, cells)
                if header is not None:
                    return delimiter, header
        except csv.Error:
            continue
    raise FileRefused("roster-header-missing")


def _lines(stream: BinaryIO) -> Iterator[str]:
    rest = ""
    number = 0
    for text in _decoded(stream):
        lines = (rest + text).split("\n")
        rest = lines.pop()
        number += len(lines)
        for line in lines:
            yield line + "\n"
        if len(rest) > _MAX_LINE:
            raise FileRefused("roster-row-unreadable", row=number + 1)
    if rest:
        yield rest


def _decoded(stream: BinaryIO) -> Iterator[str]:
    """The text in pieces, with line feeds as line ends. The encoding is decided by the first piece that is not plain ASCII."""
    decoder: codecs.IncrementalDecoder | None = None
    held = ""
    piece = stream.read(_PIECE).removeprefix(codecs.BOM_UTF8)
    while piece:
        if b"\0" in piece:
            raise FileRefused("roster-encoding-unknown")
        if decoder is None and not piece.isascii():
            decoder = _decoder_for(piece)
        try:
            text = held + (decoder.decode(piece) if decoder else piece.decode("ascii"))
        except UnicodeDecodeError:
            raise FileRefused("roster-encoding-unknown") from None
        held = "\r" if text.endswith("\r") else ""
        yield text.removesuffix("\r").replace("\r\n", "\n").replace("\r", "\n")
        piece = stream.read(_PIECE)
    try:
        yield (held + (decoder.decode(b"", final=True) if decoder else "")).replace("\r", "\n")
    except UnicodeDecodeError:
        raise FileRefused("roster-encoding-unknown") from None


def _decoder_for(piece: bytes) -> codecs.IncrementalDecoder:
    for encoding in ("utf-8", "gb18030"):
        try:
            codecs.getincrementaldecoder(encoding)("strict").decode(piece)
        except UnicodeDecodeError:
            continue
        return codecs.getincrementaldecoder(encoding)("strict")
    raise FileRefused("roster-encoding-unknown")
