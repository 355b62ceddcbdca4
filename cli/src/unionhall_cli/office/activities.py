"""`unionhall activity …`: what members do together, from the draft to the feedback."""

from typing import Annotated, Any
from uuid import UUID

import typer

from unionhall_cli.office.aggregate import (
    Aggregate,
    Id,
    Limit,
    Moment,
    StepVerbs,
    Unit,
    china,
    list_all,
    place,
    show,
    signed_in,
    tables,
)
from unionhall_cli.options import Json, User, group
from unionhall_cli.output import both, give_up
from unionhall_cli.roster import unit_id

ORGANISER, APPROVER, MEMBER = "organiser", "approver-city", "member"
ACTIVITIES = Aggregate("/api/v1/activities", ("id", "title", "stage", "mode", "capacity", "starts_at"))
REGISTRATIONS = Aggregate("/api/v1/registrations", ("id", "status", "position", "attended"))

app = group("活动：策划、报名、签到、反馈", "Activities: plan, register, check in, feedback")

OfMember = Annotated[
    UUID | None,
    typer.Option(
        "--member", help=both("会员编号；默认为用户本人", "id of a member; default: the user as a member")
    ),
]


@app.command("list", help=both("列出活动", "List activities"))
def list_activities(
    unit: Unit = None,
    stage: Annotated[
        str | None, typer.Option(help=both("只列此环节，如 open", "only this stage, as open"))
    ] = None,
    limit: Limit = 20,
    user: User = ORGANISER,
    as_json: Json = False,
) -> None:
    """By place in the tree."""
    with signed_in(user) as api:
        ACTIVITIES.show_list(api, limit, as_json=as_json, organisation=place(api, unit), stage=stage)


@app.command("show", help=both("查看活动、名额和报名", "One activity with its registrations"))
def show_activity(found: Id, limit: Limit = 50, user: User = ORGANISER, as_json: Json = False) -> None:
    """How many hold a seat and how many wait, and who."""
    with signed_in(user) as api:
        address = f"{ACTIVITIES.address}/{found}/registrations"
        seats = api.get(f"{address}/counts")
        rows = list_all(api, address, limit)
        if not as_json:
            rows = [{name: row[name] for name in REGISTRATIONS.columns} for row in rows]
        document = ACTIVITIES.read(api, found) | {"counts": seats}
        show(tables(document, registrations=rows), as_json=as_json)


@app.command(help=both("起草活动", "Plan an activity"))
def draft(
    title: Annotated[str, typer.Option(help=both("名称", "title"))],
    where: Annotated[str, typer.Option("--place", help=both("地点", "where"))],
    starts: Moment,
    ends: Moment,
    capacity: Annotated[int, typer.Option(min=1, help=both("名额", "seats"))],
    opens: Moment,
    closes: Moment,
    kind: Annotated[
        str, typer.Option(help=both("类别，如 outing、lecture、sport", "outing, lecture, sport, course …"))
    ] = "outing",
    lottery: Annotated[
        bool, typer.Option("--lottery", help=both("抽签；默认先到先得", "by lot; default: first come"))
    ] = False,
    description: Annotated[str, typer.Option(help=both("说明", "in words"))] = "",
    unit: Unit = None,
    user: User = ORGANISER,
    as_json: Json = False,
) -> None:
    """For all members of the unit and those below it. --opens and --closes: the time for registering."""
    with signed_in(user) as api:
        body: dict[str, Any] = {
            "organisation_id": unit_id(api, unit),
            "title": title,
            "kind": kind,
            "description": description,
            "place": where,
            "sessions": [{"starts_at": china(starts), "ends_at": china(ends)}],
            "mode": "lottery" if lottery else "first_come",
            "capacity": capacity,
            "registration_opens_at": china(opens),
            "registration_closes_at": china(closes),
        }
        show(api.post(ACTIVITIES.address, body), as_json=as_json)


_steps = StepVerbs(app, ACTIVITIES)
_steps.plain("submit", "submission", ORGANISER, both("提交审批", "Ask for approval"))
_steps.plain(
    "approve", "approval", APPROVER, both("批准（不能由起草人批准）", "Approve: not by who planned it")
)
_steps.reasoned("return", "return", APPROVER, both("退回修改", "Return it to be worked over"))
_steps.plain("publish", "publication", ORGANISER, both("发布", "Announce it to its audience"))
_steps.plain("open", "opening", ORGANISER, both("开放报名", "Take registrations from now on"))
_steps.plain("close", "closing", ORGANISER, both("截止报名", "Take no more registrations"))
_steps.plain("hold", "holding", ORGANISER, both("登记已举办", "It took place"))
_steps.plain("archive", "archiving", ORGANISER, both("归档", "Nothing more is to be done"))
_steps.reasoned("cancel", "cancellation", ORGANISER, both("取消活动", "Call it off"))


@app.command(help=both("报名：本人，或由组织者代报", "Register: oneself, or a member as the organiser"))
def register(found: Id, member: OfMember = None, user: User = MEMBER, as_json: Json = False) -> None:
    """Confirmed, waiting, or in the lottery; who waits is told how many stand before him."""
    body = {} if member is None else {"member_id": str(member)}
    with signed_in(user) as api:
        made = api.post(f"{ACTIVITIES.address}/{found}/registrations", body)
        if made["status"] == "waiting":
            made |= {"ahead": REGISTRATIONS.read(api, made["id"])["ahead"]}
        show(made, as_json=as_json)


@app.command(
    "cancel-registration", help=both("取消报名，候补者递补", "Give up a place; the first who waits has it")
)
def cancel_registration(
    registration: Annotated[UUID, typer.Argument(help=both("报名编号", "id of the registration"))],
    reason: Annotated[
        str | None, typer.Option(help=both("原因（代取消时）", "why, for somebody else's"))
    ] = None,
    user: User = MEMBER,
    as_json: Json = False,
) -> None:
    """One's own, or a member's as the organiser."""
    with signed_in(user) as api:
        show(REGISTRATIONS.step(api, registration, "cancellation", {"reason": reason}), as_json=as_json)


@app.command(
    "check-in",
    help=both(
        "签到：组织者代签，或会员用二维码上的代码", "Check in: by hand, or a member by the code on the screen"
    ),
)
def check_in(
    found: Annotated[
        UUID | None,
        typer.Argument(help=both("活动编号（用代码签到时不需要）", "id of the activity; not with a code")),
    ] = None,
    member: OfMember = None,
    registration: Annotated[UUID | None, typer.Option(help=both("报名编号", "id of a registration"))] = None,
    code: Annotated[str | None, typer.Option(help=both("屏幕上的代码", "the code on the screen"))] = None,
    user: User = ORGANISER,
    as_json: Json = False,
) -> None:
    """By --member or --registration as the organiser; by --code as a member (--user member)."""
    given = [one for one in (member, registration, code) if one is not None]
    if len(given) != 1 or (code is None) == (found is None):
        give_up("check-in-whom")
    with signed_in(user) as api:
        if code is not None:
            show(api.post("/api/v1/me/check-ins", {"code": code}), as_json=as_json)
            return
        body = {"member_id": str(member)} if member else {"registration_id": str(registration)}
        show(api.post(f"{ACTIVITIES.address}/{found}/check-ins", body), as_json=as_json)


@app.command(
    help=both("反馈：会员评分，或查看汇总", "Feedback: a member's score, or the summary of an activity")
)
def feedback(
    found: Annotated[
        UUID,
        typer.Argument(
            help=both("活动编号；评分时为报名编号", "id of an activity; of the registration with --score")
        ),
    ],
    score: Annotated[
        int | None, typer.Option(min=1, max=5, help=both("1（差）到 5（好）", "1 (poor) to 5"))
    ] = None,
    comment: Annotated[str | None, typer.Option(help=both("意见", "in words"))] = None,
    user: Annotated[
        str | None,
        typer.Option(
            "--user",
            "-u",
            help=both(
                "演示用户；评分默认 member，汇总默认 organiser",
                "demo user: member with --score, else organiser",
            ),
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Nothing is shown of fewer than five answers."""
    with signed_in(user or (ORGANISER if score is None else MEMBER)) as api:
        if score is None:
            show(api.get(f"{ACTIVITIES.address}/{found}/feedback"), as_json=as_json)
            return
        body = {"score": score, "comment": comment}
        show(api.post(f"{REGISTRATIONS.address}/{found}/feedback", body), as_json=as_json)
