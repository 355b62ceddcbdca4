"""Roster import: what a file of members goes through, and the words for what can be wrong with it. Pure, no IO."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final

from shared.kernel.errors import Conflict

#: The sealed upload and the staged rows are destroyed this long after the upload (settled §28).
KEPT: Final = timedelta(days=30)
#: Larger rosters are streamed `.csv` (settled §29): the reader of workbooks holds a whole sheet in memory.
MAX_WORKBOOK_ROWS: Final = 100_000
MAX_ROWS: Final = 2_000_000
MAX_COLUMNS: Final = 200
MAX_UPLOAD_BYTES: Final = 512 * 1024 * 1024
MAX_WORKBOOK_BYTES: Final = 32 * 1024 * 1024


class Mode(StrEnum):
    """`add`: the file brings people. `full`: the file is everybody, and who is missing from it has left."""

    ADD = "add"
    FULL = "full"


class ImportState(StrEnum):
    """Where an import stands."""

    CHECKING = "checking"
    REFUSED = "refused"  # the file as a whole cannot be used
    CHECKED = "checked"
    APPLYING = "applying"
    APPLIED = "applied"
    CANCELLED = "cancelled"  # before or in the middle of applying; what was applied may be undone
    UNDOING = "undoing"
    UNDONE = "undone"


class Outcome(StrEnum):
    """What becomes of a row. A row is staged as `created` and changes only if the members there are say otherwise."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"


class Format(StrEnum):
    """The real type of an upload, by its first bytes."""

    WORKBOOK = "xlsx"
    TEXT = "csv"


class FileRefused(Exception):
    """The file as a whole cannot be used. `code` is a text of the catalogue, `params` its placeholders."""

    def __init__(self, code: str, /, **params: str | int) -> None:
        super().__init__(code)
        self.code = code
        self.params = params


@dataclass(frozen=True, slots=True)
class CellProblem:
    """One wrong cell: which column (its Chinese heading), the code of what is wrong, the value masked."""

    column: str
    code: str
    masked: str = ""
    params: dict[str, str | int] = field(default_factory=dict)


#: What to do about a problem; several problems share a remedy. Codes that are not listed have their remedy in their text.
REMEDIES: Final[dict[str, str]] = {
    "roster-required": "roster-remedy-fill",
    "roster-document-is-number": "roster-remedy-text-format",
    "roster-document-type-unknown": "roster-remedy-list",
    "roster-gender-unknown": "roster-remedy-list",
    "roster-employment-form-unknown": "roster-remedy-list",
    "gender-differs": "roster-remedy-compare-document",
    "birth-date-differs": "roster-remedy-compare-document",
    "roster-date-invalid": "roster-remedy-date",
    "roster-date-impossible": "roster-remedy-date",
    "name-invalid": "roster-remedy-compare-document",
    "roster-value-too-long": "roster-remedy-shorten",
    "roster-duplicate-rows": "roster-remedy-keep-one",
    "roster-organisation-unknown": "roster-remedy-organisation",
    "roster-member-elsewhere": "roster-remedy-transfer",
    "roster-member-deceased": "roster-remedy-ask-upper",
    "roster-changed-since-check": "roster-remedy-upload-again",
}
DEFAULT_REMEDY: Final = "roster-remedy-correct"


def remedy_of(code: str) -> str:
    """The code of the text that says what to do about the problem `code`."""
    return REMEDIES.get(code, DEFAULT_REMEDY)


_FROM: Final[dict[ImportState, frozenset[ImportState]]] = {
    ImportState.APPLYING: frozenset({ImportState.CHECKED}),
    ImportState.CANCELLED: frozenset({ImportState.CHECKING, ImportState.CHECKED, ImportState.APPLYING}),
    ImportState.UNDOING: frozenset({ImportState.APPLIED, ImportState.CANCELLED}),
}


def require_step(state: ImportState, to: ImportState) -> None:
    """Refuse a step that this state does not allow. Raises Conflict("roster-state")."""
    if state not in _FROM[to]:
        raise Conflict("roster-state", state=state.value)
