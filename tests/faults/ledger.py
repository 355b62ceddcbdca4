"""The truth of a run (what was acknowledged) against what came of it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from uuid import UUID

#: One version of one aggregate.
Fact = tuple[UUID, int]


@dataclass
class Found:
    """How a run ended. Counts are of effects; `problems` are other promises that were broken, each in a sentence."""

    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether everything held."""
        return not (self.lost or self.doubled or self.disordered or self.problems)

    def __add__(self, other: "Found") -> "Found":
        return Found(
            self.lost + other.lost,
            self.doubled + other.doubled,
            self.disordered + other.disordered,
            self.problems + other.problems,
        )

    def expect(self, truth: object, problem: str) -> None:
        """Note a broken promise."""
        if not truth:
            self.problems.append(problem)


def judge(acknowledged: Iterable[Fact], effects: Sequence[Fact]) -> Found:
    """Compare effects, in the order in which they happened, with the ledger. An effect of nothing counts as doubled."""
    wanted, happened = Counter(acknowledged), Counter(effects)
    of_subject: dict[UUID, list[int]] = defaultdict(list)
    for subject, sequence in dict.fromkeys(effects):
        of_subject[subject].append(sequence)
    return Found(
        lost=(wanted - happened).total(),
        doubled=(happened - wanted).total(),
        disordered=sum(
            after < before for sequences in of_subject.values() for before, after in pairwise(sequences)
        ),
    )


def judge_counts(acknowledged: Iterable[Fact], counted: dict[UUID, tuple[int, int]]) -> Found:
    """The same for a counting view, `{subject: (newest sequence, events counted)}`."""
    wanted: dict[UUID, int] = defaultdict(int)
    newest: dict[UUID, int] = defaultdict(int)
    for subject, sequence in acknowledged:
        wanted[subject] += 1
        newest[subject] = max(newest[subject], sequence)
    found = Found()
    for subject in wanted.keys() | counted.keys():
        sequence, how_many = counted.get(subject, (0, 0))
        found.lost += max(0, wanted[subject] - how_many)
        found.doubled += max(0, how_many - wanted[subject])
        found.disordered += bool(how_many) and sequence != newest[subject]
    return found
