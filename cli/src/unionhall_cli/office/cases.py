"""`unionhall case …`: aid cases, from the application to the acknowledgement."""

from typing import Annotated, Any
from uuid import UUID

import typer

from unionhall_cli.federation import Federation
from unionhall_cli.office.aggregate import (
    Aggregate,
    Amount,
    Id,
    Limit,
    StepVerbs,
    Unit,
    fen_of,
    list_all,
    place,
    show,
    signed_in,
    tables,
)
from unionhall_cli.options import Json, User, group
from unionhall_cli.output import both, give_up

OFFICER, APPROVER = "welfare-officer", "approver"
CASES = Aggregate(
    "/api/v1/cases",
    ("id", "case_number", "stage", "requested_fen", "due_on"),
)
PROGRAMMES = "/api/v1/programmes"

app = group("帮扶申请：登记、审批、跟踪", "Aid cases: apply, decide, follow up")


@app.command("list", help=both("列出帮扶申请", "List cases"))
def list_cases(
    unit: Unit = None,
    stage: Annotated[
        str | None, typer.Option(help=both("只列此环节，如 submitted", "only this stage, as submitted"))
    ] = None,
    mine: Annotated[
        bool, typer.Option("--mine", help=both("只列等我办理的", "only what waits for me"))
    ] = False,
    flagged: Annotated[
        bool, typer.Option("--flagged", help=both("只列需要复核的", "only those to be looked at"))
    ] = False,
    limit: Limit = 20,
    user: User = OFFICER,
    as_json: Json = False,
) -> None:
    """By place in the tree."""
    with signed_in(user) as api:
        asked: dict[str, Any] = {"stage": stage, "holder": "mine" if mine else None, "flagged": flagged}
        CASES.show_list(api, limit, as_json=as_json, organisation=place(api, unit), **asked)


@app.command(
    "show",
    help=both("查看一份申请及其经过（查看会留痕）", "One case and what happened to it; the look is audited"),
)
def show_case(found: Id, user: User = OFFICER, as_json: Json = False) -> None:
    """With its history."""
    with signed_in(user) as api:
        history = list_all(api, f"{CASES.address}/{found}/history", 200)
        told = [
            {name: entry[name] for name in ("happening", "happened_at", "actor_subject", "reason", "code")}
            for entry in history
        ]
        document = CASES.read(api, found)
        show(tables(document, history=history if as_json else told), as_json=as_json)


@app.command(help=both("代会员登记申请", "Begin an application for a member"))
def draft(
    member: Annotated[UUID, typer.Option(help=both("会员编号（UUID）", "id of the member"))],
    programme: Annotated[str, typer.Option(help=both("帮扶项目的名称或编号", "name or id of the programme"))],
    reason: Annotated[str, typer.Option(help=both("申请原因", "why help is needed"))],
    payee: Annotated[str, typer.Option(prompt=True, help=both("收款人姓名", "who is paid"))],
    account: Annotated[str, typer.Option(prompt=True, help=both("银行账号", "bank account"))],
    amount: Amount = None,
    user: User = OFFICER,
    as_json: Json = False,
) -> None:
    """Without --amount where the programme fixes it. Payee and account are asked for if not given: shells keep a history."""
    body = {
        "member_id": str(member), "reason": reason, "payee_name": payee, "account": account,
        "requested_fen": fen_of(amount),
    }  # fmt: skip
    with signed_in(user) as api:
        show(api.post(CASES.address, body | {"programme_id": programme_id(api, programme)}), as_json=as_json)


@app.command(help=both("修改草稿或退回的申请", "Mend a draft or a returned case"))
def change(
    found: Id,
    amount: Amount = None,
    reason: Annotated[str | None, typer.Option(help=both("申请原因", "why help is needed"))] = None,
    payee: Annotated[str | None, typer.Option(help=both("收款人姓名", "who is paid"))] = None,
    account: Annotated[str | None, typer.Option(help=both("银行账号", "bank account"))] = None,
    user: User = OFFICER,
    as_json: Json = False,
) -> None:
    """What is left out stays."""
    given = {"requested_fen": fen_of(amount), "reason": reason, "payee_name": payee, "account": account}
    body = {name: value for name, value in given.items() if value is not None}
    with signed_in(user) as api:
        show(CASES.step(api, found, "", body, method="PATCH"), as_json=as_json)


@app.command(help=both("批准，可少于申请额", "Approve what is asked for, or less"))
def approve(found: Id, amount: Amount = None, user: User = APPROVER, as_json: Json = False) -> None:
    """The amount is reserved in the budget."""
    with signed_in(user) as api:
        show(CASES.step(api, found, "approval", {"approved_fen": fen_of(amount)}), as_json=as_json)


_steps = StepVerbs(app, CASES)
_steps.plain("submit", "submission", OFFICER, both("提交审批", "Ask for the decision"))
_steps.reasoned("return", "return", APPROVER, both("退回补正", "Return it to be mended"))
_steps.reasoned("reject", "rejection", APPROVER, both("不予批准", "Refuse it for good"))
_steps.reasoned("withdraw", "withdrawal", OFFICER, both("审批前撤回", "Take it back before it is decided"))
_steps.reasoned(
    "cancel",
    "cancellation",
    APPROVER,
    both("批准后取消，释放预算", "Stop it after approval; the money is free again"),
)
_steps.plain(
    "acknowledge", "acknowledgement", OFFICER, both("登记会员已收到款", "The member has received the money")
)
_steps.reasoned("unflag", "unflagging", APPROVER, both("复核后继续办理", "It was looked at and may go on"))


def programme_id(api: Federation, named: str) -> str:
    """The id of a running programme by its id or name; ends the command when there is none."""
    running = list_all(api, PROGRAMMES, 1000, running="true")
    for one in running:
        if named in {one["id"], one["name"]}:
            return str(one["id"])
    return give_up("no-such-programme", name=named, known=", ".join(one["name"] for one in running) or "–")
