from datetime import UTC, datetime
from uuid import uuid4

import pytest

from membership_service.members.transfers.domain import DAYS_TO_ANSWER, Transfer, TransferState, common_path
from shared.contracts.membership import MemberStatus
from shared.kernel.errors import Conflict

AT = datetime(2026, 11, 21, 4, tzinfo=UTC)


def asked() -> Transfer:
    return Transfer(
        id=uuid4(), member_id=uuid4(), from_organisation_id=uuid4(), from_path="1/2/3/", to_organisation_id=uuid4(),
        to_path="1/2/4/", status_before=MemberStatus.ACTIVE, reason="new job", requested_by_issuer="iss",
        requested_by_subject="anna", requested_at=AT, due_at=AT + DAYS_TO_ANSWER,
    )  # fmt: skip


def test_release_comes_before_acceptance() -> None:
    transfer = asked()
    with pytest.raises(Conflict, match="transfer-not-released"):
        transfer.accept(AT, from_above=False)
    with pytest.raises(Conflict, match="transfer-not-released"):
        transfer.accept(AT, from_above=True)
    transfer.release(AT)
    transfer.accept(AT, from_above=False)
    assert (transfer.state, transfer.version) == (TransferState.ACCEPTED, 3)


def test_after_escalation_the_upper_unit_decides_alone() -> None:
    transfer = asked()
    transfer.escalated_at = AT
    transfer.accept(AT, from_above=True)
    assert transfer.state is TransferState.ACCEPTED


def test_an_ended_transfer_stays_ended() -> None:
    transfer = asked()
    transfer.refuse(AT, "no")
    with pytest.raises(Conflict, match="transfer-ended"):
        transfer.release(AT)
    with pytest.raises(Conflict, match="transfer-ended"):
        transfer.accept(AT, from_above=True)
    with pytest.raises(Conflict, match="transfer-ended"):
        transfer.refuse(AT, "no")
    with pytest.raises(Conflict, match="transfer-ended"):
        transfer.cancel(AT, "no")


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        ("1/2/3/", "1/2/4/", "1/2/"),
        ("1/2/", "1/2/4/", "1/2/"),
        ("1/2/", "1/20/", "1/"),
        ("1/", "2/", ""),
        ("1/2/", "1/2/", "1/2/"),
    ],
)
def test_the_common_unit_above(one: str, other: str, common: str) -> None:
    assert common_path(one, other) == common
    assert common_path(other, one) == common
