"""What a check of an invariant found."""

from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """`skipped`: it could not be looked at now; the finding says why."""

    OK = "ok"
    BREACH = "breach"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """`id` as in the list of invariants ("I1"); `what` is where it was looked; `found` names offenders or the reason."""

    id: str
    what: str
    verdict: Verdict
    found: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, invariant: str, what: str, offenders: list[str]) -> "Finding":
        """A breach if there are offenders."""
        return cls(invariant, what, Verdict.BREACH if offenders else Verdict.OK, offenders)
