"""Role x action x place, each denial beside its allowed twin."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.membership import Role
from shared.kernel.errors import DomainError, Forbidden, NotFound, Unavailable
from shared.security.policy import PERMISSIONS, SENSITIVE, Action, Caller, Post, outermost

HERE, CHILD, PARENT, SIBLING, OTHER_TREE = "1/a/", "1/a/7/", "1/", "1/ab/", "2/"


def caller(*posts: tuple[Role, str], stale: bool = False) -> Caller:
    held = tuple(Post(role, uuid4(), path) for role, path in posts)
    return Caller(
        "https://union.example/identity", "somebody", held, datetime(2026, 3, 2, tzinfo=UTC), stale=stale
    )


#: Written out by hand, so that a change of the table in policy.py is a change of two places.
MATRIX = {
    "organisation.read": "registrar welfare_officer approver treasurer organiser auditor administrator",
    "organisation.change": "administrator",
    "enterprise.read": "registrar welfare_officer approver treasurer organiser auditor administrator",
    "enterprise.change": "registrar administrator",
    "post.read": "auditor administrator",
    "post.grant": "administrator",
    "member.read": "registrar welfare_officer approver treasurer organiser auditor administrator",
    "member.apply": "registrar",
    "member.approve": "registrar",
    "member.change": "registrar",
    "member.end": "registrar",
    "member.transfer": "registrar",
    "member.unmask": "registrar",
    "member.erase": "administrator",
    "roster.import": "registrar",
    "roster.undo": "registrar",
    "dashboard.read": "registrar welfare_officer approver treasurer organiser auditor administrator",
    "timeline.read": "registrar welfare_officer approver treasurer organiser auditor administrator",
    "audit.read": "auditor",
    "operations.read": "auditor administrator",
    "rule.read": "registrar welfare_officer approver treasurer organiser auditor administrator",
    "rule.change": "administrator",
    "dossier.read": "welfare_officer approver auditor",
    "dossier.change": "welfare_officer",
    "dossier.decide": "approver",
    "dossier.unmask": "welfare_officer",
    "programme.read": "registrar welfare_officer approver treasurer organiser auditor administrator",
    "programme.change": "welfare_officer",
    "case.read": "welfare_officer approver treasurer auditor",
    "case.change": "welfare_officer",
    "case.approve": "approver",
    "budget.read": "welfare_officer approver treasurer auditor",
    "budget.change": "treasurer",
    "payout.read": "treasurer auditor",
    "payout.change": "treasurer",
    "activity.read": "registrar welfare_officer approver treasurer organiser auditor administrator",
    "activity.change": "organiser",
    "activity.approve": "approver",
    "registration.read": "organiser auditor",
    "registration.change": "organiser",
    "registration.check-in": "organiser",
}


def test_the_matrix_names_every_action() -> None:
    assert MATRIX.keys() == {str(action) for action in Action} == {str(action) for action in PERMISSIONS}


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("role", Role)
def test_each_role_may_do_what_the_matrix_says(action: Action, role: Role) -> None:
    holder = caller((role, HERE))
    if role in MATRIX[action].split():
        assert holder.allows(action, HERE)
        holder.require(action, HERE)
        assert holder.require_somewhere(action) == (HERE,)
    else:
        assert not holder.allows(action, HERE)
        assert holder.paths(action) == ()
        with pytest.raises(Forbidden):
            holder.require(action, HERE)
        with pytest.raises(Forbidden):
            holder.require_somewhere(action)


@pytest.mark.parametrize(
    ("path", "refusal"),
    [(HERE, None), (CHILD, None), (PARENT, NotFound), (SIBLING, NotFound), (OTHER_TREE, NotFound)],
)
def test_a_post_holds_for_its_unit_and_all_below(path: str, refusal: type[DomainError] | None) -> None:
    registrar = caller((Role.REGISTRAR, HERE))
    assert registrar.allows(Action.MEMBER_CHANGE, path) is (refusal is None)
    if refusal is None:
        registrar.require(Action.MEMBER_CHANGE, path)
    else:
        with pytest.raises(refusal):
            registrar.require(Action.MEMBER_CHANGE, path)


def test_a_right_at_one_unit_is_none_at_another_where_one_only_reads() -> None:
    both = caller((Role.REGISTRAR, HERE), (Role.AUDITOR, SIBLING))
    both.require(Action.MEMBER_CHANGE, HERE)
    both.require(Action.MEMBER_READ, SIBLING)
    with pytest.raises(Forbidden):
        both.require(Action.MEMBER_CHANGE, SIBLING)


def test_without_a_post_nothing_is_there() -> None:
    stranger = caller()
    assert stranger.scope().setting() == ""
    for action in Action:
        with pytest.raises(NotFound):
            stranger.require(action, HERE)


def test_the_scope_is_the_outermost_of_all_posts() -> None:
    holder = caller((Role.AUDITOR, CHILD), (Role.REGISTRAR, HERE), (Role.ORGANISER, OTHER_TREE))
    assert holder.scope().paths == (HERE, OTHER_TREE)
    assert holder.paths(Action.AUDIT_READ) == (CHILD,)


@pytest.mark.parametrize("action", Action)
def test_stale_posts_refuse_exactly_the_sensitive_actions(action: Action) -> None:
    posts = [(role, HERE) for role in Role]
    caller(*posts).require(action, HERE)
    stale = caller(*posts, stale=True)
    if action in SENSITIVE:
        with pytest.raises(Unavailable) as refusal:
            stale.require(action, HERE)
        assert (refusal.value.code, refusal.value.retry_after) == ("posts-stale", 10)
        with pytest.raises(Unavailable):
            stale.require_somewhere(action)
    else:
        stale.require(action, HERE)


def test_unmasking_and_approving_are_sensitive() -> None:
    assert {Action.MEMBER_UNMASK, Action.MEMBER_APPROVE} <= SENSITIVE


def test_an_auditor_changes_nothing_and_an_administrator_never_unmasks() -> None:
    reads = {Action(action) for action in MATRIX if action.endswith(".read")}
    assert {action for action in Action if Role.AUDITOR in PERMISSIONS[action]} == reads
    assert Role.ADMINISTRATOR not in PERMISSIONS[Action.MEMBER_UNMASK]


def test_one_user_is_an_issuer_and_a_subject() -> None:
    somebody = caller()
    assert somebody.is_same_user("https://union.example/identity", "somebody")
    assert not somebody.is_same_user("https://elsewhere.example", "somebody")
    assert not somebody.is_same_user("https://union.example/identity", "somebody else")


@given(
    st.lists(
        st.lists(st.sampled_from("123a"), min_size=1, max_size=4).map(lambda labels: "/".join(labels) + "/")
    )
)
def test_outermost_covers_all_and_none_twice(paths: list[str]) -> None:
    kept = outermost(paths)
    assert all(any(path.startswith(root) for root in kept) for path in paths)
    assert not [1 for root in kept for other in kept if root != other and root.startswith(other)]
