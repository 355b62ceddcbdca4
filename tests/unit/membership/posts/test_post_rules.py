from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import pytest

from membership_service.posts.domain import Holder, Post, Term
from shared.contracts.membership import Role
from shared.kernel.errors import Conflict, Forbidden, Invalid
from shared.security.acting import By

TODAY = date(2026, 3, 16)
#: Half past midnight in China is still yesterday in UTC.
BY = By("issuer", "administrator", datetime(2026, 3, 15, 16, 30, tzinfo=UTC))


def granted(term: Term, subject: str = "registrar", by: By = BY) -> Post:
    return Post.grant(
        post_id=uuid4(),
        holder=Holder("issuer", subject),
        role=Role.REGISTRAR,
        organisation_id=UUID(int=1),
        path="1/",
        term=term,
        by=by,
    )


def test_nobody_grants_a_post_to_himself() -> None:
    with pytest.raises(Forbidden) as refused:
        granted(Term(TODAY, None), subject="administrator")
    assert refused.value.code == "post-to-oneself"
    assert (
        granted(Term(TODAY, None), subject="administrator", by=By("other", "administrator", BY.at)).version
        == 1
    )


@pytest.mark.parametrize(
    ("term", "code"),
    [
        (Term(date(2026, 3, 15), None), "date-in-past"),
        (Term(TODAY, date(2026, 3, 15)), "post-ends-before-start"),
    ],
)
def test_a_term_lies_ahead(term: Term, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        granted(term)
    assert refused.value.code == code
    assert granted(Term(TODAY, TODAY)).ends_on == TODAY


def test_a_post_ends_at_once_or_on_a_day_and_never_later_than_before() -> None:
    post = granted(Term(TODAY, date(2026, 12, 31)))
    post.end(date(2026, 6, 30), BY)
    assert (post.ends_on, post.version) == (date(2026, 6, 30), 2)
    with pytest.raises(Conflict) as refused:
        post.end(date(2026, 7, 1), BY)
    assert refused.value.code == "post-ended"
    post.end(None, BY)
    assert (post.ends_on, post.version) == (date(2026, 3, 15), 3)
    with pytest.raises(Conflict):
        post.end(None, BY)


def test_nobody_ends_his_own_post_and_no_day_before_yesterday() -> None:
    post = granted(Term(TODAY, None))
    with pytest.raises(Forbidden) as refused:
        post.end(None, By("issuer", "registrar", BY.at))
    assert refused.value.code == "post-own"
    with pytest.raises(Invalid):
        post.end(date(2026, 3, 14), BY)
