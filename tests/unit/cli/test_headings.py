"""Whatever a verb of officers shows of an answer has a heading in both languages."""

import pytest
from pydantic import BaseModel

from events_service.activities import schemas as activities
from events_service.checkins import schemas as checkins
from events_service.lottery import schemas as lottery
from events_service.registrations import schemas as registrations
from unionhall_cli.output import heading
from welfare_service.cases import schemas as cases
from welfare_service.dossiers import schemas as dossiers
from welfare_service.funds import schemas as funds
from welfare_service.payouts import schemas as payouts

SHOWN = (
    cases.DetailReply, cases.HistoryReply, dossiers.DetailReply, dossiers.PersonReply, dossiers.LineReply,
    dossiers.HistoryReply, funds.BudgetView, payouts.PayoutView, payouts.LineView, payouts.FindingView,
    payouts.ResultView, activities.ActivityView, activities.SessionView, activities.QuotaView,
    activities.EntryView, registrations.RegistrationDetail, checkins.CheckInReply, lottery.LotteryReply,
)  # fmt: skip


@pytest.mark.parametrize(
    "reply", SHOWN, ids=lambda reply: f"{reply.__module__.split('.')[-2]}-{reply.__name__}"
)
def test_every_field_of_an_answer_has_a_heading(
    monkeypatch: pytest.MonkeyPatch, reply: type[BaseModel]
) -> None:
    # In English some are called what the field is called.
    monkeypatch.setenv("UNIONHALL_LANG", "zh-CN")
    assert not [field for field in reply.model_fields if heading(field) == field]
