"""`unionhall payout …`: batches of payments, to the bank and back."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from unionhall_cli.office.aggregate import (
    Aggregate,
    Id,
    Limit,
    StepVerbs,
    Unit,
    list_all,
    place,
    show,
    signed_in,
    tables,
)
from unionhall_cli.office.cases import CASES
from unionhall_cli.options import Json, Out, User, group
from unionhall_cli.output import both, give_up, say, show_json
from unionhall_cli.roster import unit_id

TREASURER, SENDER = "treasurer", "treasurer-city"
PAYOUTS = Aggregate("/api/v1/payouts", ("id", "number", "state", "line_count", "total_fen"))
#: Payments of one batch.
MOST_LINES = 500

app = group("发放批次：交给银行、登记结果", "Payouts: to the bank, and what came of them")


@app.command("list", help=both("列出发放批次", "List payouts"))
def list_payouts(
    unit: Unit = None,
    state: Annotated[
        str | None, typer.Option(help=both("只列此状态，如 sent", "only this state, as sent"))
    ] = None,
    limit: Limit = 20,
    user: User = TREASURER,
    as_json: Json = False,
) -> None:
    """Newest first."""
    with signed_in(user) as api:
        PAYOUTS.show_list(api, limit, as_json=as_json, organisation=place(api, unit), state=state)


@app.command(
    "show", help=both("查看一个批次、每笔付款和疑点", "One payout: each payment, and what does not fit")
)
def show_payout(found: Id, user: User = TREASURER, as_json: Json = False) -> None:
    """Accounts are masked."""
    with signed_in(user) as api:
        lines = list_all(api, f"{PAYOUTS.address}/{found}/lines", MOST_LINES)
        findings = list_all(api, f"{PAYOUTS.address}/{found}/findings", 4 * MOST_LINES)
        if not as_json:
            kept = ("case_number", "amount_fen", "account_masked", "state", "reason_text", "answered_at")
            lines = [{name: line[name] for name in kept} for line in lines]
        show(tables(PAYOUTS.read(api, found), lines=lines, findings=findings), as_json=as_json)


@app.command(help=both("将已批准的申请编成批次", "Put approved cases into a batch"))
def prepare(
    cases: Annotated[list[UUID] | None, typer.Argument(help=both("申请编号", "ids of cases"))] = None,
    every: Annotated[
        bool,
        typer.Option(
            "--all-approved", help=both("全部已批准的（最多 500）", "all that are approved, 500 at most")
        ),
    ] = False,
    unit: Unit = None,
    user: User = TREASURER,
    as_json: Json = False,
) -> None:
    """Somebody else sends it."""
    if bool(cases) == every:
        give_up("payout-of-what")
    with signed_in(user) as api:
        where = unit_id(api, unit)
        chosen = [str(one) for one in cases or []]
        if every:
            found = CASES.rows(api, MOST_LINES, stage="approved", organisation=where)
            chosen = [one["id"] for one in found if not one["flagged"]]
        if not chosen:
            give_up("nothing-to-pay")
        show(api.post(PAYOUTS.address, {"organisation_id": where, "case_ids": chosen}), as_json=as_json)


@app.command(
    help=both(
        "取出交给银行的文件（含账号，会留痕）",
        "Fetch the file for the bank: it holds accounts, and is audited",
    )
)
def file(found: Id, out: Out = None, user: User = TREASURER, as_json: Json = False) -> None:
    """CSV in UTF-8."""
    with signed_in(user) as api:
        content = api.send("GET", f"{PAYOUTS.address}/{found}/file").content
    path = out or Path(f"payout-{found}.csv")
    path.write_bytes(content)
    if as_json:
        show_json({"file": str(path.resolve()), "bytes": len(content)})
    else:
        say("file-written", name=str(path), size=len(content))


@app.command(help=both("交给银行（不能由编制人发出）", "Let it go to the bank: not by who prepared it"))
def send(
    found: Id,
    channel: Annotated[
        str, typer.Option(help=both("bank 接口，或 file 人工递交", "bank: over its interface; file: by hand"))
    ] = "bank",
    user: User = SENDER,
    as_json: Json = False,
) -> None:
    """What becomes of each payment: payout show."""
    with signed_in(user) as api:
        show(PAYOUTS.step(api, found, "sending", {"channel": channel}), as_json=as_json)


@app.command(help=both("登记银行的结果文件", "Book a result file of the bank"))
def result(
    found: Id,
    content: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help=both("结果文件（CSV）", "the file, a CSV"))
    ],
    user: User = TREASURER,
    as_json: Json = False,
) -> None:
    """What does not fit is kept as a finding."""
    with signed_in(user) as api, content.open("rb") as opened:
        booked = api.post(f"{PAYOUTS.address}/{found}/result", files={"file": (content.name, opened)})
        show(booked, as_json=as_json)


@app.command(help=both("登记疑点的处理结果", "Say how something that did not fit was cleared up"))
def resolve(
    found: Id,
    finding: Annotated[
        UUID, typer.Argument(help=both("疑点编号（见 show）", "id of the finding, as show has it"))
    ],
    resolution: Annotated[str, typer.Option(help=both("处理结果", "what came of it"))],
    user: User = TREASURER,
    as_json: Json = False,
) -> None:
    """It moves no money; a batch is closed when nothing is open."""
    with signed_in(user) as api:
        address = f"{PAYOUTS.address}/{found}/findings/{finding}/resolution"
        show(api.post(address, {"resolution": resolution}), as_json=as_json)


_steps = StepVerbs(app, PAYOUTS)
_steps.plain("cancel", "cancellation", TREASURER, both("发出前撤销批次", "Take it back before it is sent"))
_steps.plain("close", "closing", TREASURER, both("办结批次", "End it when the bank has answered for all"))
