"""`unionhall dossier …`: hardship files of households."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer

from shared.kernel.clock import china_date
from unionhall_cli.office.aggregate import (
    Aggregate,
    Id,
    Limit,
    StepVerbs,
    Unit,
    fen_of,
    place,
    show,
    signed_in,
    tables,
)
from unionhall_cli.options import Json, User, group
from unionhall_cli.output import both, give_up, language
from unionhall_cli.roster import unit_id

OFFICER, APPROVER = "welfare-officer", "approver"
DOSSIERS = Aggregate(
    "/api/v1/dossiers",
    ("id", "number", "status", "hardship_class", "primary_cause"),
)

app = group("困难职工档案", "Hardship files of households")

Name = Annotated[str, typer.Option("--name", prompt=True, help=both("姓名", "name"))]
Document = Annotated[
    str,
    typer.Option(
        "--document",
        prompt=True,
        hide_input=True,
        help=both("证件号码；不给则询问", "document number; asked for if not given"),
    ),
]
DocumentType = Annotated[str, typer.Option(help=both("证件类型", "kind of document"))]
Occupation = Annotated[
    str,
    typer.Option(
        help=both(
            "就业状况：employed、unemployed、retired、student、child 等",
            "employed, unemployed, retired, student, child …",
        )
    ),
]
Health = Annotated[
    str,
    typer.Option(help=both("健康状况：good、chronic、serious、disabled", "good, chronic, serious, disabled")),
]


@app.command("list", help=both("列出档案（不显示姓名）", "List files; nobody is named"))
def list_dossiers(
    unit: Unit = None,
    status: Annotated[
        str | None, typer.Option(help=both("draft、open 或 closed", "draft, open or closed"))
    ] = None,
    awaiting: Annotated[
        bool, typer.Option("--awaiting", help=both("只列等待认定的", "only those that wait for a decision"))
    ] = False,
    limit: Limit = 20,
    user: User = OFFICER,
    as_json: Json = False,
) -> None:
    """By place in the tree."""
    with signed_in(user) as api:
        where = place(api, unit)
        DOSSIERS.show_list(api, limit, as_json=as_json, organisation=where, status=status, awaiting=awaiting)


@app.command("show", help=both("查看一份档案（已脱敏，查看会留痕）", "One file, masked; the look is audited"))
def show_dossier(found: Id, user: User = OFFICER, as_json: Json = False) -> None:
    """With its decisions."""
    with signed_in(user) as api:
        decisions = api.get(f"{DOSSIERS.address}/{found}/decisions")["items"]
        show(tables(DOSSIERS.read(api, found), decisions=decisions), as_json=as_json)


@app.command("open", help=both("建立档案，登记户主", "Begin a file with the head of the household"))
def open_dossier(
    cause: Annotated[
        str,
        typer.Option(help=both("致困原因，如 illness、schooling", "why: illness, schooling, unemployment …")),
    ],
    name: Name,
    document: Document,
    unit: Unit = None,
    document_type: DocumentType = "resident_id",
    occupation: Occupation = "employed",
    health: Health = "good",
    user: User = OFFICER,
    as_json: Json = False,
) -> None:
    """Membership says whether the head is a member."""
    head = {
        "name": name, "document_number": document, "document_type": document_type, "relation": "head",
        "occupation": occupation, "health": health,
    }  # fmt: skip
    with signed_in(user) as api:
        body = {"organisation_id": unit_id(api, unit), "primary_cause": cause, "head": head}
        show(api.post(DOSSIERS.address, body), as_json=as_json)


@app.command("add-person", help=both("登记家庭成员", "Enter one more person of the household"))
def add_person(
    found: Id,
    relation: Annotated[
        str, typer.Option(help=both("与户主关系：spouse、child、parent 等", "spouse, child, parent …"))
    ],
    name: Name,
    document: Document,
    document_type: DocumentType = "resident_id",
    occupation: Occupation = "employed",
    health: Health = "good",
    user: User = OFFICER,
    as_json: Json = False,
) -> None:
    """Nobody stands in two files."""
    person = {
        "name": name, "document_number": document, "document_type": document_type, "relation": relation,
        "occupation": occupation, "health": health,
    }  # fmt: skip
    with signed_in(user) as api:
        show(DOSSIERS.step(api, found, "persons", person), as_json=as_json)


@app.command(
    help=both(
        "登记一人十二个月的收入和刚性支出", "Enter income and rigid spending of a person over twelve months"
    )
)
def amounts(
    found: Id,
    person: Annotated[UUID, typer.Argument(help=both("人员编号", "id of the person"))],
    lines: Annotated[
        list[str],
        typer.Argument(
            help=both(
                "类别=金额（元），如 income-wage=24000",
                "kind=yuan, as income-wage=24000 spending-illness=8000.50",
            )
        ),
    ],
    user: User = OFFICER,
    as_json: Json = False,
) -> None:
    """They take the place of what was there."""
    body = {"lines": [_line(one) for one in lines]}
    with signed_in(user) as api:
        show(DOSSIERS.step(api, found, f"persons/{person}/lines", body, method="PUT"), as_json=as_json)


@app.command(help=both("按规则逐项测算困难类别", "What the rules make of the household, line by line"))
def classify(found: Id, user: User = OFFICER, as_json: Json = False) -> None:
    """Nothing is decided by it."""
    with signed_in(user) as api:
        assessment = api.get(f"{DOSSIERS.address}/{found}/assessment")
        if not as_json:
            words_of = "zh" if language() == "zh-CN" else "en"
            assessment["lines"] = [
                {"line": line[words_of], "amount_fen": line["amount_fen"]} for line in assessment["lines"]
            ]
        show(assessment, as_json=as_json)


@app.command(help=both("认定困难类别（不能由建档人认定）", "Decide on the class: not by who gathered"))
def decide(
    found: Id,
    hardship_class: Annotated[
        str | None,
        typer.Option(
            "--class",
            help=both("同意的类别；默认为测算结果", "the class agreed to; default: what the rules give"),
        ),
    ] = None,
    user: User = APPROVER,
    as_json: Json = False,
) -> None:
    """Rules and figures are kept with the decision."""
    with signed_in(user) as api:
        seen = hardship_class or api.get(f"{DOSSIERS.address}/{found}/assessment")["hardship_class"]
        show(DOSSIERS.step(api, found, "decision", {"hardship_class": seen}), as_json=as_json)


@app.command(help=both("结档", "End a file"))
def close(
    found: Id,
    reason: Annotated[
        str, typer.Option(help=both("原因，如 out_of_hardship", "why: out_of_hardship, moved_away …"))
    ],
    note: Annotated[str | None, typer.Option(help=both("说明", "in words"))] = None,
    user: User = OFFICER,
    as_json: Json = False,
) -> None:
    """Its persons may stand in another file from now on."""
    with signed_in(user) as api:
        show(DOSSIERS.step(api, found, "close", {"reason": reason, "note": note}), as_json=as_json)


_steps = StepVerbs(app, DOSSIERS)
_steps.plain("submit", "submission", OFFICER, both("提交认定", "Ask for the decision"))
_steps.reasoned("return", "return", APPROVER, both("退回补充", "Return it to those who gather"))


def _line(written: str) -> dict[str, object]:
    kind, equals, amount = written.partition("=")
    if not equals:
        give_up("line-unreadable", line=written)
    return {"kind": kind, "amount_fen": fen_of(amount), "on": china_date(datetime.now(UTC)).isoformat()}
