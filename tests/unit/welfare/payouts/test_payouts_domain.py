"""Payments as a machine: whatever the bank says, how often and in whatever order, each is booked once."""

from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shared.kernel.errors import Conflict, Forbidden, Invalid
from shared.kernel.ids import new_id
from welfare_service.funds.statement import cell
from welfare_service.payouts import files
from welfare_service.payouts.bank import Instruction, reason_code
from welfare_service.payouts.domain import (
    FINAL,
    Answer,
    Channel,
    Effect,
    FindingKind,
    Heard,
    LineState,
    Payout,
    PayoutLine,
    PayoutState,
    Said,
    missing,
)

AT = datetime(2026, 6, 1, tzinfo=UTC)
AMOUNT = 300


def line(case_id: UUID | None = None, attempt: int = 1) -> PayoutLine:
    return PayoutLine(
        id=new_id(),
        payout_id=new_id(),
        case_id=case_id or new_id(),
        attempt=attempt,
        budget_id=new_id(),
        member_id=new_id(),
        case_number="1",
        amount_fen=AMOUNT,
        account_masked="*",
    )


def payout() -> Payout:
    return Payout(
        id=new_id(),
        number="P1",
        organisation_id=new_id(),
        path="1/",
        line_count=1,
        total_fen=AMOUNT,
        prepared_by_issuer="iss",
        prepared_by_subject="ann",
        prepared_at=AT,
    )


class Disbursing(RuleBasedStateMachine):
    """One case, batch after batch, a bank that says anything of any instruction it ever got, workers that die."""

    def __init__(self) -> None:
        super().__init__()
        self.case = new_id()
        self.lines: list[PayoutLine] = []
        self.effects: list[tuple[UUID, Effect]] = []
        self.sent: Counter[UUID] = Counter()
        self.findings: list[FindingKind] = []

    @property
    def living(self) -> list[PayoutLine]:
        return [one for one in self.lines if one.state is not LineState.FAILED]

    @initialize()
    def begin(self) -> None:
        self.prepare()

    @rule()
    def prepare(self) -> None:
        # The unique index: one living line of a case.
        if not self.living:
            self.lines.append(line(self.case, len(self.lines) + 1))

    @rule(dies=st.booleans())
    def send(self, dies: bool) -> None:  # noqa: FBT001 - drawn
        for one in self.lines:
            if one.state is LineState.PENDING:
                one.hand_over(AT)
                if not dies:
                    self.sent[one.id] += 1

    @rule()
    def nobody_listens(self) -> None:
        for one in self.lines:
            if one.state is LineState.PENDING:
                one.hand_over(AT)
                one.take_back()

    @rule(data=st.data(), said=st.sampled_from(Said), amount=st.sampled_from([None, AMOUNT, AMOUNT + 1]))
    def bank_says(self, data: st.DataObject, said: Said, amount: int | None) -> None:
        one = data.draw(st.sampled_from(self.lines))
        before = one.state
        heard = one.hear(Answer(said, amount), AT)
        if heard.effect is not Effect.NOTHING:
            self.effects.append((one.id, heard.effect))
            assert before not in FINAL
        if heard.finding is not None:
            self.findings.append(heard.finding)
            assert heard.effect is Effect.NOTHING
            assert one.state is before

    @invariant()
    def sent_at_most_once(self) -> None:
        assert set(self.sent.values()) <= {1}

    @invariant()
    def booked_at_most_once(self) -> None:
        assert set(Counter(id_ for id_, _ in self.effects).values()) <= {1}
        assert [effect for _, effect in self.effects].count(Effect.PAID) <= 1
        for one in self.lines:
            if one.state in FINAL:
                said = Effect.PAID if one.state is LineState.PAID else Effect.FAILED
                assert (one.id, said) in self.effects

    @invariant()
    def one_instruction_lives(self) -> None:
        assert len(self.living) <= 1


Disbursing.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestDisbursing = Disbursing.TestCase


@pytest.mark.parametrize(
    ("state", "answer", "heard", "then"),
    [
        (LineState.PENDING, Answer(Said.PAID), Heard(finding=FindingKind.NOT_SENT), LineState.PENDING),
        (LineState.UNKNOWN, Answer(Said.ACCEPTED), Heard(), LineState.ACCEPTED),
        (LineState.UNKNOWN, Answer(Said.PAID, AMOUNT), Heard(Effect.PAID), LineState.PAID),
        (LineState.ACCEPTED, Answer(Said.FAILED), Heard(Effect.FAILED), LineState.FAILED),
        (LineState.ACCEPTED, Answer(Said.PAID, 299), Heard(finding=FindingKind.AMOUNT), LineState.ACCEPTED),
        (LineState.PAID, Answer(Said.PAID), Heard(), LineState.PAID),
        (LineState.PAID, Answer(Said.ACCEPTED), Heard(), LineState.PAID),
        (LineState.PAID, Answer(Said.FAILED), Heard(finding=FindingKind.CONTRADICTS), LineState.PAID),
        (LineState.FAILED, Answer(Said.PAID), Heard(finding=FindingKind.CONTRADICTS), LineState.FAILED),
    ],
)
def test_what_an_answer_does(state: LineState, answer: Answer, heard: Heard, then: LineState) -> None:
    one = line()
    one.state = state
    one.handed_at = None if state is LineState.PENDING else AT
    assert (one.hear(answer, AT), one.state) == (heard, then)


def test_a_batch_is_sent_by_another_and_only_once() -> None:
    batch = payout()
    with pytest.raises(Forbidden, match="four-eyes"):
        batch.send("iss", "ann", Channel.BANK, AT)
    batch.send("iss", "bob", Channel.BANK, AT)
    with pytest.raises(Conflict, match="payout-not-in-state"):
        batch.send("iss", "eve", Channel.BANK, AT)
    with pytest.raises(Conflict, match="payout-not-in-state"):
        batch.cancel("iss", "ann", AT)
    with pytest.raises(Conflict, match="payout-not-in-state"):
        batch.close("iss", "ann", AT, open_findings=False)
    with pytest.raises(Forbidden, match="four-eyes"):
        batch.divert("iss", "ann")
    batch.divert("iss", "bob")
    assert (batch.channel, batch.version) == (Channel.FILE, 3)


def test_a_batch_is_answered_when_every_line_is() -> None:
    batch = payout()
    batch.send("iss", "bob", Channel.FILE, AT)
    seen = []
    for states in ({LineState.PAID, LineState.UNKNOWN}, {LineState.PAID, LineState.FAILED}):
        batch.look(states, AT)
        seen.append(batch.state)
    assert seen == [PayoutState.SENT, PayoutState.ANSWERED]
    with pytest.raises(Conflict, match="payout-has-findings"):
        batch.close("iss", "bob", AT, open_findings=True)
    batch.close("iss", "bob", AT, open_findings=False)
    assert (batch.state, batch.closed_at) == (PayoutState.CLOSED, AT)


def test_what_a_file_leaves_out() -> None:
    answered, awaited = line(), line()
    answered.state, awaited.state = LineState.PAID, LineState.ACCEPTED
    assert missing([answered, awaited], {new_id()}) == [awaited]
    assert missing([answered, awaited], {awaited.id}) == []


def test_rows_of_a_result_file() -> None:
    one = new_id()
    content = f'Reason,STATE,instruction_id,amount\nname-mismatch,失败,{one},\n,paid,{one},"1,234.50"\n\n,,,\n,x,y,z\n'
    rows = files.read_result(content.encode("utf-8-sig"))
    assert [(row.number, row.instruction_id, row.said) for row in rows] == [
        (2, one, "failed"),
        (3, one, "paid"),
        (6, None, None),
    ]
    assert rows[0].answer == Answer(Said.FAILED, None, "name-mismatch")
    assert rows[1].answer == Answer(Said.PAID, 123_450)
    assert rows[2].problem is FindingKind.MALFORMED
    assert rows[2].reference is None
    assert files.doubles(rows) == {3}


@pytest.mark.parametrize(
    "amount", ["-1", "0", "0.001", "1e5", "NaN", "１００", "1_000", "inf", "99999999999999"]
)
def test_amounts_of_a_result_file_that_are_none(amount: str) -> None:
    [row] = files.read_result(f"instruction_id,state,amount\n{new_id()},paid,{amount}\n".encode())
    assert (row.problem, row.answer) == (FindingKind.MALFORMED, None)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\0", b"a,b\n", b"instruction_id,state\n"])
def test_no_result_file(content: bytes) -> None:
    with pytest.raises(Invalid):
        files.read_result(content)


def test_only_a_code_is_kept_of_a_reason() -> None:
    assert reason_code("account-closed") == "account-closed"
    for text in ("户名不符 张三", "6222021234567890123", "Account closed", "", None, 5, "x" * 50):
        assert reason_code(text) is None


def test_a_name_never_becomes_a_formula() -> None:
    content = files.instruction_file([Instruction(new_id(), "622", "=1+1", 5)], "P1").decode("utf-8-sig")
    assert ",'=1+1,0.05,P1" in content
    assert [cell(text) for text in ("-张", "＝1", "王")] == ["'-张", "'＝1", "王"]
