from hypothesis import given
from hypothesis import strategies as st

from shared.database.paths import ancestors, path_end, path_of

numbers = st.lists(st.integers(1, 2**40), min_size=1, max_size=6)


def path(labels: list[int]) -> str:
    made = ""
    for number in labels:
        made = path_of(made, number)
    return made


@given(numbers, numbers)
def test_a_subtree_is_one_range(top: list[int], below: list[int]) -> None:
    root, other = path(top), path(below)
    inside = other.startswith(root)
    assert (root <= other < path_end(root)) is inside
    assert root <= path(top + below) < path_end(root)


@given(numbers)
def test_ancestors_lead_to_the_unit(labels: list[int]) -> None:
    found = ancestors(path(labels))
    assert found[-1] == path(labels)
    assert found == [path(labels[: depth + 1]) for depth in range(len(labels))]
