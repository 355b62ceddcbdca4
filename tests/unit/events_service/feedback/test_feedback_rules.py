import pytest

from events_service.feedback.domain import Summary, must_be_open, summary
from shared.contracts.events_service import ActivityStage
from shared.kernel.errors import Conflict


def test_figures_of_five_and_more_are_shown() -> None:
    assert summary(9, {5: 3, 2: 2}) == Summary(9, 5, 3.8, {1: 0, 2: 2, 3: 0, 4: 0, 5: 3})


@pytest.mark.parametrize("scores", [{}, {5: 1}, {1: 2, 5: 2}])
def test_figures_of_fewer_than_five_are_not(scores: dict[int, int]) -> None:
    found = summary(9, scores)
    assert found == Summary(9, None, None, None)
    assert found.is_suppressed


def test_an_archived_activity_hears_nothing_more() -> None:
    must_be_open(ActivityStage.HELD)
    with pytest.raises(Conflict, match="feedback-archived"):
        must_be_open(ActivityStage.ARCHIVED)
