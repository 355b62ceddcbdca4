"""Bodies of requests and replies about rosters."""

from datetime import datetime
from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from membership_service.rosters.domain import Format, ImportState, Mode, RosterImport, remedy_of
from membership_service.rosters.repository import ProblemRow
from shared.contracts.membership import MemberStatus
from shared.jobs import JobStatus
from shared.kernel.texts import Language, text
from shared.web.body import Body, Reason

#: States in which a job works on the import.
_RUNNING: Final = frozenset({ImportState.CHECKING, ImportState.APPLYING, ImportState.UNDOING})


class ApplyRoster(Body):
    """How to apply."""

    apply_left: Annotated[
        bool, Field(description="of a full roster: who is missing from the file leaves the organisation")
    ] = False
    left_reason: Annotated[Reason, Field(description="why they left, for their history")] = (
        "不在全员名册中 (not in the full roster)"
    )


class UndoRoster(Body):
    """Why to undo; it enters the history of every member taken back."""

    reason: Reason


class WarningView(BaseModel):
    """Something worth a look that refuses nothing, with how often it occurs."""

    code: str
    count: int
    text: str


class Refusal(BaseModel):
    """Why the file as a whole cannot be used."""

    code: str
    text: str


class RosterView(BaseModel):
    """An import. `created + updated + unchanged + rejected + remaining = rows`: after a check that is what would become of the
    rows; from applying on it is what has become of them, and `remaining` are those not reached.

    Rejected rows never become members; the others may be applied all the same. `progress` is 0 to 1 of the running step.
    `same_file_as` is an earlier import of the same file. `roster-unattended` among the warnings: nobody has begun to work on it
    for half a minute. `given_up`: the running step failed again and again; cancel it, or ask for the undo once more.
    """

    id: UUID
    organisation_id: UUID
    mode: Mode
    state: ImportState
    progress: float
    file_name: str
    format: Format | None
    rows: int
    created: int
    updated: int
    unchanged: int
    rejected: int
    remaining: int
    missing: int
    withdrawn: int
    undone: int
    kept: int
    warnings: list[WarningView]
    refusal: Refusal | None
    same_file_as: UUID | None
    uploaded_at: datetime
    finished_at: datetime | None
    given_up: bool
    version: int

    @classmethod
    def of(
        cls,
        roster: RosterImport,
        language: Language,
        same_file_as: UUID | None = None,
        *,
        job: JobStatus | None = None,
    ) -> Self:
        """The view of `roster` in `language`; with `job`, the one of its newest step, also of how that stands."""
        refusal = roster.refusal and Refusal(
            code=roster.refusal, text=text(roster.refusal, language, **roster.refusal_params)
        )
        return cls(
            **{
                name: getattr(roster, name)
                for name in cls.model_fields
                if name not in {"progress", "warnings", "refusal", "same_file_as", "given_up"}
            },
            progress=round(roster.progress, 3),
            warnings=[
                WarningView(code=code, count=count, text=text(code, language))
                for code, count in _warnings(roster, job)
            ],
            refusal=refusal or None,
            same_file_as=same_file_as,
            given_up=job is not None and job.state == "failed",
        )


def _warnings(roster: RosterImport, job: JobStatus | None) -> list[tuple[str, int]]:
    is_unattended = job is not None and job.unattended and roster.state in _RUNNING
    return [*([("roster-unattended", 1)] if is_unattended else []), *sorted(roster.warnings.items())]


class MissingView(BaseModel):
    """A member who is missing from a full roster."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    member_number: str | None
    name: str
    organisation_id: UUID
    status: MemberStatus


class CellProblemView(BaseModel):
    """What is wrong with a cell, and what to do. `value` is masked."""

    column: str
    code: str
    value: str
    reason: str
    remedy: str


class ProblemRowView(BaseModel):
    """A row of the file, counted as spreadsheets do, with its problems."""

    row: int
    outcome: str
    problems: list[CellProblemView]

    @classmethod
    def of(cls, row: ProblemRow, language: Language) -> Self:
        """The view of `row` in `language`."""
        return cls(
            row=row.row_number,
            outcome=row.outcome,
            problems=[
                CellProblemView(
                    column=problem["column"],
                    code=problem["code"],
                    value=problem["masked"],
                    reason=text(problem["code"], language, **problem["params"]),
                    remedy=text(remedy_of(problem["code"]), language),
                )
                for problem in row.problems
            ],
        )


def reasons_of(row: ProblemRow) -> str:
    """The words of an error workbook's last column, in both languages: whoever corrects it may not be who downloaded it."""
    parts = []
    for problem in row.problems:
        chinese = f"{problem['column']}：{_words(problem, 'zh-CN')}"
        parts.append(f"{chinese} / {_words(problem, 'en')}")
    return "\n".join(parts)


def _words(problem: dict[str, object], language: Language) -> str:
    code, params = str(problem["code"]), problem["params"]
    assert isinstance(params, dict)  # noqa: S101 - staged by this service
    return f"{text(code, language, **params)} {text(remedy_of(code), language)}"
