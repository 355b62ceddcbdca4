"""The matrix as a text that people read: for each route who, from where, is answered what.

`matrix.txt` is written by `WRITE_MATRIX=1 pytest tests/security/test_matrix.py` and reviewed like code: a line that
changed is a right that changed.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from tests.security.world import NOBODY, PLACES, ROLES

FILE: Final = Path(__file__).with_name("matrix.txt")
#: (role, place) -> answer; (NOBODY, "") for whoever is signed in without a post.
Answers = Mapping[tuple[str, str], str]
_HEAD: Final = """\
# Who may do what, from where: every route of every service, tried with real requests (tests/security/test_matrix.py).
#
# Everything asked for belongs to one unit. `own` holds a post at that unit, `parent` at the unit above it, `child` at one
# below, `sibling` beside it, `other` in another branch of the tree, `nobody` none at all.
# `yes` let in (done, or refused for another reason than rights: 409, 412), 403 sees it but may not, 404 not even that it exists.
# Any other number: a refusal that comes before rights are asked.
"""


def written(matrix: Mapping[str, Answers]) -> str:
    """The whole file."""
    return _HEAD + "".join(
        f"\n{route}\n{''.join(_lines(answers))}" for route, answers in sorted(matrix.items())
    )


def _lines(answers: Answers) -> list[str]:
    """One line for each answer and set of roles, with the places where they get it."""
    grouped: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for place in PLACES:
        for answer in sorted({answers[role, place] for role in ROLES}, reverse=True):
            roles = tuple(role for role in ROLES if answers[role, place] == answer)
            grouped.setdefault((answer, roles), []).append(place)
    lines = [
        f"    {answer:<4} {' '.join(places):<32} {'everyone' if roles == ROLES else ' '.join(roles)}\n"
        for (answer, roles), places in grouped.items()
    ]
    return [*lines, f"    {answers[NOBODY, '']:<4} {NOBODY}\n"]


def read() -> dict[str, str]:
    """The lines of the file by route."""
    blocks = FILE.read_text("utf-8").removeprefix(_HEAD).strip("\n").split("\n\n")
    return {head: f"{rest}\n" for head, _, rest in (block.partition("\n") for block in blocks)}


def differences(found: Mapping[str, Answers], known: Mapping[str, str]) -> list[str]:
    """Every route that answers otherwise than the file says, or that only one of the two knows."""
    said = {route: "".join(_lines(answers)) for route, answers in found.items()}
    return [
        f"{route}\n  file:\n{known.get(route, '    not listed')}\n  now:\n{said.get(route, '    not served')}"
        for route in sorted({*said, *known})
        if known.get(route, "").rstrip() != said.get(route, "").rstrip()
    ]


def let_in(found: Mapping[str, Answers], places: Iterable[str]) -> set[str]:
    """The routes that let in somebody whose posts are at one of these places only."""
    wanted = set(places)
    return {
        route
        for route, answers in found.items()
        if any(answer == "yes" and place in wanted for (_, place), answer in answers.items())
    }
