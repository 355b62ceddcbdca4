"""Roster import: what a file of members goes through, and the words for what can be wrong with it. Pure, no IO."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from shared.kernel.errors import Conflict

#: The sealed upload and the staged rows are destroyed this long after the upload (settled §28).
KEPT: Final = timedelta(days=30)
#: Larger rosters are streamed `.csv` (settled §29): the reader of workbooks holds a whole sheet in memory.
MAX_WORKBOOK_ROWS: Final = 100_000
MAX_ROWS: Final = 2_000_000
MAX_COLUMNS: Final = 200
#: More than two million rows weigh. The HTTP process keeps it in /tmp while it is sealed: deploy/ has room for one.
MAX_UPLOAD_BYTES: Final = 256 * 1024 * 1024
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


#: How many people registered outside the import's subtree the rosters of one user may meet in one day (settled §27). Beyond
#: that a file looks like fishing for members; the upper unit, in whose subtree they stand, imports without a limit.
HINT_DAILY_CAP: Final = 1000


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
    "roster-document-says-not": "roster-remedy-fill",
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
    ImportState.UNDOING: frozenset({ImportState.APPLIED, ImportState.CANCELLED, ImportState.UNDOING}),
}


@dataclass(eq=False, kw_only=True)
class RosterImport:
    """One upload and what became of it. `staged` and `position` tell how far the running step is.

    A check counts what would become of each row; from `apply` on, created, updated and unchanged count what has become of the
    rows that were reached. With the rejected and the remaining rows they always add up to `rows`.
    """

    id: UUID
    organisation_id: UUID
    path: str
    mode: Mode
    state: ImportState = ImportState.CHECKING
    file_name: str
    file_bytes: int
    file_blind: bytes
    file_key_wrapped: bytes | None
    format: Format | None = None
    uploaded_issuer: str
    uploaded_subject: str
    uploaded_at: datetime
    expires_at: datetime
    decided_issuer: str | None = None
    decided_subject: str | None = None
    decided_at: datetime | None = None
    apply_left: bool = False
    reason: str | None = None
    job_id: UUID | None = None
    finished_at: datetime | None = None
    refusal: str | None = None
    refusal_params: dict[str, str | int] = field(default_factory=dict)
    warnings: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    staged: int = 0
    position: int = 0
    last_row: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    missing: int = 0
    withdrawn: int = 0
    undone: int = 0
    kept: int = 0
    version: int = 1

    @property
    def progress(self) -> float:
        """How far the running step is, 0 to 1. How many rows a file has is known at its end only: a check says half."""
        if self.state is ImportState.CHECKING:
            return 0.5 if self.staged else 0.0
        if self.state in {ImportState.APPLYING, ImportState.UNDOING}:
            return self._reached
        if self.state is ImportState.CANCELLED:
            return self._reached if self.decided_at else 0.0
        return 1.0

    @property
    def remaining(self) -> int:
        """Rows of which nothing has become: not yet checked, not yet reached, or never to be after a cancellation."""
        return self.rows - self.created - self.updated - self.unchanged - self.rejected

    @property
    def _reached(self) -> float:
        return self.position / self.last_row if self.last_row else 0.0

    def apply(self, issuer: str, subject: str, at: datetime, left_reason: str | None) -> None:
        """Let the good rows become members. With a `left_reason`, who is missing from a full roster leaves.

        That needs a file without rejected rows: a mistyped number must not make its holder leave.
        """
        if left_reason is not None and self.mode is not Mode.FULL:
            raise Conflict("roster-not-full")
        if left_reason is not None and self.rejected:
            raise Conflict("roster-left-needs-clean", rejected=self.rejected)
        self._step(ImportState.APPLYING)
        self.decided_issuer, self.decided_subject, self.decided_at = issuer, subject, at
        self.apply_left, self.reason, self.position = left_reason is not None, left_reason, 0
        self.created = self.updated = self.unchanged = 0

    def cancel(self, at: datetime) -> None:
        """Stop between two chunks. What is applied stays and may be undone."""
        if self.state is ImportState.CHECKED:
            self.created = self.updated = self.unchanged = 0
        self._step(ImportState.CANCELLED)
        self.finished_at = at

    def undo(self, issuer: str, subject: str, at: datetime, reason: str) -> None:
        """Take back what was applied, row by row, by new events; rows that changed since stay as they are."""
        if self.decided_at is None:
            raise Conflict("roster-nothing-applied")
        goes_on = self.state is ImportState.UNDOING  # the job was given up before its end
        self._step(ImportState.UNDOING)
        if not goes_on:
            self.last_row, self.position = self.position, 0
        self.decided_issuer, self.decided_subject, self.decided_at = issuer, subject, at
        self.reason = reason

    def refuse(self, refused: FileRefused, at: datetime) -> None:
        """The file as a whole cannot be used."""
        self.state, self.finished_at = ImportState.REFUSED, at
        self.refusal, self.refusal_params = refused.code, refused.params
        self.rows = self.staged = 0
        self.warnings = {}
        self.version += 1

    def warn(self, counts: dict[str, int]) -> None:
        """Add to the counted warnings."""
        self.warnings = {
            code: self.warnings.get(code, 0) + counts.get(code, 0) for code in {**self.warnings, **counts}
        }

    def finish(self, state: ImportState, at: datetime) -> None:
        """A background step is done."""
        self.state, self.finished_at = state, at
        self.version += 1

    def _step(self, to: ImportState) -> None:
        if self.state not in _FROM[to]:
            raise Conflict("roster-state", state=self.state.value)
        self.state = to
        self.version += 1
