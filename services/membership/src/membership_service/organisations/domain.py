"""A unit of the union tree and its rules (Trade Union Law of the PRC, art. 10–11). Pure: no IO."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Self
from uuid import UUID

from shared.contracts.membership import OrganisationKind
from shared.kernel.errors import Conflict, FieldProblem, Invalid

#: From the top down. A unit never stands above one of a higher level; an industry union may stand at any level.
LEVELS: tuple[OrganisationKind, ...] = (
    OrganisationKind.NATIONAL,
    OrganisationKind.PROVINCIAL,
    OrganisationKind.CITY,
    OrganisationKind.COUNTY,
    OrganisationKind.TOWNSHIP,
    OrganisationKind.JOINT,
    OrganisationKind.ENTERPRISE,
    OrganisationKind.BRANCH,
    OrganisationKind.GROUP,
)


@dataclass(frozen=True, slots=True)
class Numbered:
    """The lasting number of a new unit and the path that it gives (`shared.database.paths`)."""

    number: int
    path: str


@dataclass(eq=False, kw_only=True)
class Organisation:
    """A union unit. `path` is where it stands today; every change raises `version` by one, and one version is one event."""

    id: UUID
    number: int
    code: str
    name: str
    kind: OrganisationKind
    parent_id: UUID | None
    parent_since: date
    founded_on: date
    dissolved_on: date | None = None
    path: str
    version: int = 1

    @classmethod
    def found(
        cls,
        *,
        organisation_id: UUID,
        numbered: Numbered,
        code: str,
        name: str,
        kind: OrganisationKind,
        parent: "Organisation",
        founded_on: date,
        today: date,
    ) -> Self:
        """A new unit under `parent`. It stands below its parent from the later of their founding days.

        Raises Invalid for a founding day in the future or a kind above the parent's, Conflict for a dissolved parent.
        """
        if founded_on > today:
            raise Invalid("organisation-founded-in-future", field="founded_on")
        parent.must_stand()
        must_fit_below(kind, parent.kind)
        return cls(
            id=organisation_id,
            number=numbered.number,
            code=code,
            name=name,
            kind=kind,
            parent_id=parent.id,
            parent_since=max(founded_on, parent.founded_on),
            founded_on=founded_on,
            path=numbered.path,
        )

    @classmethod
    def root(
        cls,
        *,
        organisation_id: UUID,
        numbered: Numbered,
        code: str,
        name: str,
        kind: OrganisationKind,
        founded_on: date,
    ) -> Self:
        """The top of the tree, which only the bootstrap of a federation writes."""
        return cls(
            id=organisation_id,
            number=numbered.number,
            code=code,
            name=name,
            kind=kind,
            parent_id=None,
            parent_since=founded_on,
            founded_on=founded_on,
            path=numbered.path,
        )

    def rename(self, *, name: str, kind: OrganisationKind, parent: "Organisation | None") -> None:
        """Take another name or kind; `parent` is the present parent, None for the root."""
        self.must_stand()
        if (name, kind) == (self.name, self.kind):
            raise Invalid("organisation-unchanged", field="name")
        if parent is not None:
            must_fit_below(kind, parent.kind)
        self.name, self.kind = name, kind
        self.version += 1

    def must_be_movable(self, parent: "Organisation") -> None:
        """Refuse a move that would break the tree: of the root, below itself, to a dissolved unit, to where it stands already."""
        self.must_stand()
        parent.must_stand()
        if self.parent_id is None:
            raise Conflict("organisation-root-fixed")
        if parent.path.startswith(self.path):
            raise Conflict("organisation-cycle", field="parent_id")
        if parent.id == self.parent_id:
            raise Conflict("organisation-already-there", field="parent_id")
        must_fit_below(self.kind, parent.kind)

    def move(self, parent: "Organisation", *, path: str, on: date) -> None:
        """Stand below `parent`, at `path`, from `on`. The paths of all below are the repository's to rewrite."""
        self.must_be_movable(parent)
        if on < self.parent_since:
            raise Conflict("organisation-move-before-parent", field="on", since=self.parent_since.isoformat())
        self.parent_id, self.parent_since = parent.id, on
        self.path = path
        self.version += 1

    def must_be_dissolvable(self, successor: "Organisation", standing: Mapping[str, int]) -> None:
        """Refuse while anything stands on the unit. `standing` counts it by kind: {"organisations": 2, "members": 15}."""
        self.must_stand()
        successor.must_stand()
        if self.parent_id is None:
            raise Conflict("organisation-root-fixed")
        if successor.id == self.id:
            raise Invalid("organisation-own-successor", field="successor_id")
        left = {kind: count for kind, count in standing.items() if count}
        if left:
            raise Conflict(
                "organisation-not-empty",
                problems=tuple(
                    FieldProblem(kind, f"organisation-still-has-{kind}", {"count": left[kind]})
                    for kind in sorted(left)
                ),
            )

    def dissolve(self, successor: "Organisation", standing: Mapping[str, int], *, on: date) -> None:
        """End on `on`; `successor` takes the running affairs."""
        self.must_be_dissolvable(successor, standing)
        self.dissolved_on = on
        self.version += 1

    def must_stand(self) -> None:
        """Raises Conflict when the unit is dissolved."""
        if self.dissolved_on is not None:
            raise Conflict("organisation-dissolved", unit=self.code)


def must_fit_below(kind: OrganisationKind, parent_kind: OrganisationKind) -> None:
    """A unit never outranks its parent; industry unions are free. Raises Invalid("organisation-kind-above-parent")."""
    if OrganisationKind.INDUSTRY in {kind, parent_kind}:
        return
    if LEVELS.index(kind) < LEVELS.index(parent_kind):
        raise Invalid("organisation-kind-above-parent", field="kind")


class PlanKind(StrEnum):
    """What can be decided now for a day to come."""

    MOVE = "move"
    DISSOLVE = "dissolve"


class PlanState(StrEnum):
    """Where a plan stands. `refused`: on its day the rules no longer allowed it."""

    PLANNED = "planned"
    DONE = "done"
    REFUSED = "refused"
    CANCELLED = "cancelled"


@dataclass(eq=False, kw_only=True)
class Plan:
    """A move or dissolution decided for a later day. `target_id` is the new parent or the successor."""

    id: UUID
    organisation_id: UUID
    kind: PlanKind
    target_id: UUID
    effective_on: date
    planned_issuer: str
    planned_subject: str
    planned_at: datetime
    path: str
    state: PlanState = PlanState.PLANNED
    refusal: str | None = None

    def cancel(self) -> None:
        """Take the plan back before its day."""
        self._end(PlanState.CANCELLED)

    def carry_out(self) -> None:
        """Note that it was done."""
        self._end(PlanState.DONE)

    def refuse(self, code: str) -> None:
        """Note which rule stood against it on its day."""
        self._end(PlanState.REFUSED)
        self.refusal = code

    def _end(self, state: PlanState) -> None:
        if self.state is not PlanState.PLANNED:
            raise Conflict("plan-ended")
        self.state = state


class Happening(StrEnum):
    """What made a version of a unit."""

    CREATED = "created"
    RENAMED = "renamed"
    MOVED = "moved"
    DISSOLVED = "dissolved"


@dataclass(eq=False, kw_only=True)
class Chapter:
    """One version of a unit in its history: what held from `valid_from` until the day before `valid_to`.

    Two times are kept: the days on which it held, and when who recorded it. `path` is where the unit stands *today*, for
    rights are those of today; the tree of a past day is read from `parent_id`.
    """

    organisation_id: UUID
    version: int
    happening: Happening
    valid_from: date
    valid_to: date | None = None
    recorded_at: datetime
    recorded_issuer: str
    recorded_subject: str
    name: str
    kind: OrganisationKind
    parent_id: UUID | None
    successor_id: UUID | None = None
    dissolved: bool = False
    path: str


def effective_day(on: date | None, today: date) -> date:
    """The day from which a change holds; the past is refused, because figures of past days have been reported."""
    if on is not None and on < today:
        raise Invalid("date-in-past", field="on", today=today.isoformat())
    return on or today
