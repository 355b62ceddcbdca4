"""One good request for every route: what the matrix, the attacks on bodies and those on keys are made from.

A route that takes a version is asked with one that is long over, so that whoever is let in is answered 412 and changes nothing:
the same request can be sent by everybody. `tests/security/test_matrix.py` fails for a route without a sample.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final
from uuid import uuid4

from tests.security import stage as stages
from tests.security.stage import Stage
from tests.support.rosters import HEADINGS, comma_separated, resident_id, row_of
from tests.support.tokens import ISSUER

#: A version that nothing has.
LONG_OVER: Final = 999_999
_serial = count(10)
Body = Callable[[Stage], dict[str, Any]]


@dataclass(frozen=True)
class Sample:
    """What a request carries besides its method and path; `ids` says which thing stands for which part of the path."""

    body: Body | None = None
    query: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    files: Body | None = None


def request_of(stage: Stage, route: str, sample: Sample) -> tuple[str, dict[str, Any]]:
    """The path and the arguments of a request; `route` is "POST /api/v1/cases/{case_id}/approval"."""
    _, template = route.split(" ")
    known = stage.ids | {"number": "1", "kind": "posts", "bucket": "0", "token": "no-such-token"}
    known |= {name: stage.ids[kind] for name, kind in sample.ids.items()}
    path = template.removeprefix("/api/v1").format_map(known)
    request: dict[str, Any] = {"version": LONG_OVER}
    if sample.query:
        request["params"] = {name: value.format_map(known) for name, value in sample.query.items()}
    if sample.body is not None:
        request["json"] = sample.body(stage)
    if sample.files is not None:
        request |= sample.files(stage)
    return path, request


def _fixed(**body: Any) -> Body:
    return lambda _: dict(body)


def _unit(name: str, /, **body: Any) -> Body:
    return lambda stage: body | {"organisation_id": stage.world.units[name]}


def _id(name: str, kind: str, /, **body: Any) -> Body:
    return lambda stage: body | {name: stage.ids[kind]}


_REASON: Final = Sample(_fixed(reason="说明"))
_NONE: Final = Sample()
_OWN: Final = Sample(query={"organisation": "{organisation_id}"})


def _person(**fields: Any) -> dict[str, Any]:
    serial = next(_serial)
    person = {
        "name": "李雷",
        "document_number": resident_id(serial % 400, born=f"19{50 + serial // 400:02d}0202"),
    }
    return person | fields


def _applicant(stage: Stage) -> dict[str, Any]:
    return stages.applicant(stage, next(_serial))


def _new_unit(stage: Stage) -> dict[str, Any]:
    return {
        "parent_id": stage.own,
        "code": f"N{next(_serial)}",
        "name": "新工会",
        "kind": "group",
        "founded_on": "2026-01-01",
    }


def _post(stage: Stage) -> dict[str, Any]:
    return {
        "organisation_id": stage.own,
        "issuer": ISSUER,
        "subject": f"granted-{next(_serial)}",
        "role": "auditor",
        "starts_on": stage.world.clock.now().date().isoformat(),
    }


def _enterprise(stage: Stage) -> dict[str, Any]:
    return stages.enterprise(stage, next(_serial))


def _changed_enterprise(stage: Stage) -> dict[str, Any]:
    return {key: value for key, value in stages.enterprise(stage, 1).items() if key != "credit_code"}


def _roster(stage: Stage) -> dict[str, Any]:
    serial = next(_serial)
    row = row_of(证件号码=resident_id(serial % 400, born=f"19{50 + serial // 400:02d}0303"))
    return {
        "files": {"file": ("名册.csv", comma_separated([HEADINGS, row]))},
        "data": {"organisation_id": stage.own, "mode": "add"},
    }


def _tree(stage: Stage) -> dict[str, Any]:
    rows = [
        ["编码", "名称", "类型", "上级编码", "成立日期"],
        [f"I{next(_serial)}", "导入", "小组", "", "2026-01-01"],
    ]
    return {"files": {"file": ("树.csv", comma_separated(rows))}, "data": {"under": stage.own}}


def _result(_: Stage) -> dict[str, Any]:
    line = f"instruction_id,state,amount,reason\n{uuid4()},paid,,\n"
    return {"files": {"file": ("result.csv", line.encode(), "text/csv")}}


def _batch(stage: Stage) -> dict[str, Any]:
    row = {"registration_id": stage.ids["attended"], "at": stage.world.clock.now().isoformat()}
    return {"rows": [row | {"device_id": "d", "local_id": str(next(_serial))}]}


def _dossier(stage: Stage) -> dict[str, Any]:
    return stages.household(stage, _person()["document_number"])


def _split(stage: Stage) -> dict[str, Any]:
    return {"person_ids": [stage.ids["person_id"]], "head_id": stage.ids["person_id"]}


def _budget(stage: Stage) -> dict[str, Any]:
    return stages.budget(stage, f"预算 {next(_serial)}")


def _terms(stage: Stage) -> dict[str, Any]:
    return {key: value for key, value in stages.programme(stage).items() if key != "organisation_id"}


def _case(stage: Stage) -> dict[str, Any]:
    return stages.application(stage, member_id=stage.ids["member_id"])


def _allocation(stage: Stage) -> dict[str, Any]:
    return {"organisation_id": stage.world.units["child"], "amount_fen": 1, "reason": "下拨"}


def _payout(stage: Stage) -> dict[str, Any]:
    return {"organisation_id": stage.own, "case_ids": [stage.ids["submitted case"]]}


def _plan(stage: Stage) -> dict[str, Any]:
    return {key: value for key, value in stages.plan(stage).items() if key != "organisation_id"}


def _by_document(stage: Stage) -> dict[str, Any]:
    return {"to_organisation_id": stage.own, "reason": "调入", "document_number": stages.ELSEWHERE}


_M, _O, _C, _D, _P, _A = (
    f"/api/v1/{name}"
    for name in (
        "members/{member_id}",
        "organisations/{organisation_id}",
        "cases/{case_id}",
        "dossiers/{dossier_id}",
        "payouts/{payout_id}",
        "activities/{activity_id}",
    )
)
_AWAY: Final[Body] = lambda stage: {"to_organisation_id": stage.world.units["sibling"], "reason": "调动"}  # noqa: E731

MEMBERSHIP: Final[dict[str, Sample]] = {
    "POST /api/v1/members/applications": Sample(_applicant),
    "GET /api/v1/members": _OWN,
    "POST /api/v1/members/search": Sample(_unit("own", name="欧阳")),
    "POST /api/v1/members/names": Sample(lambda stage: {"ids": [stage.ids["member_id"]]}),
    f"GET {_M}": _NONE,
    f"PATCH {_M}": Sample(_fixed(name="王大伟", reason="更正")),
    f"GET {_M}/history": _NONE,
    f"PUT {_M}/user": Sample(_fixed(issuer=ISSUER, subject="somebody")),
    f"DELETE {_M}/user": _NONE,
    f"POST {_M}/unmasking": _REASON,
    f"POST {_M}/approval": Sample(ids={"member_id": "applicant"}),
    f"POST {_M}/erasure": _REASON,
    f"POST {_M}/return": Sample(_fixed(reason="说明"), ids={"member_id": "applicant"}),
    f"POST {_M}/retention": _REASON,
    f"POST {_M}/restoration": _REASON,
    f"POST {_M}/withdrawal": _REASON,
    f"POST {_M}/death": Sample(_fixed(reason="说明", on="2026-03-01")),
    "POST /api/v1/organisations": Sample(_new_unit),
    "GET /api/v1/organisations": _NONE,
    "POST /api/v1/organisations/search": Sample(_id("within", "organisation_id", words="示例")),
    "POST /api/v1/organisations/imports": Sample(files=_tree),
    f"GET {_O}": _NONE,
    f"PATCH {_O}": Sample(_fixed(name="改名", kind="county")),
    f"GET {_O}/then": Sample(query={"on": "2026-01-01"}),
    f"GET {_O}/children": _NONE,
    f"GET {_O}/subtree": _NONE,
    f"POST {_O}/move/preview": Sample(
        lambda stage: {"parent_id": stage.world.units["child"]}, ids={"organisation_id": "plan unit"}
    ),
    f"POST {_O}/move": Sample(lambda stage: {"parent_id": stage.world.root}),
    f"POST {_O}/dissolution": Sample(lambda stage: {"successor_id": stage.world.units["parent"]}),
    f"GET {_O}/history": _NONE,
    f"GET {_O}/plans": _NONE,
    f"DELETE {_O}/plans/{{plan_id}}": Sample(ids={"organisation_id": "plan unit"}),
    f"GET {_O}/rates": _NONE,
    "POST /api/v1/enterprises": Sample(_enterprise),
    "POST /api/v1/enterprises/search": Sample(_id("within", "organisation_id")),
    "GET /api/v1/enterprises/{enterprise_id}": _NONE,
    "PUT /api/v1/enterprises/{enterprise_id}": Sample(_changed_enterprise),
    "POST /api/v1/posts": Sample(_post),
    "GET /api/v1/posts": _OWN,
    "GET /api/v1/posts/{post_id}": _NONE,
    "POST /api/v1/posts/{post_id}/end": Sample(_fixed()),
    "GET /api/v1/me": _NONE,
    "GET /api/v1/me/member": _NONE,
    "POST /api/v1/me/application": Sample(_applicant),
    "POST /api/v1/me/application/withdrawal": Sample(_fixed()),
    "POST /api/v1/me/transfer": Sample(_AWAY),
    "POST /api/v1/transfers": Sample(_by_document),
    "GET /api/v1/transfers": _OWN,
    "GET /api/v1/transfers/{transfer_id}": _NONE,
    "POST /api/v1/transfers/{transfer_id}/release": _NONE,
    "POST /api/v1/transfers/{transfer_id}/acceptance": _NONE,
    "POST /api/v1/transfers/{transfer_id}/refusal": _REASON,
    "POST /api/v1/transfers/{transfer_id}/cancellation": _REASON,
    f"POST {_M}/transfers": Sample(_AWAY, ids={"member_id": "second member"}),
    "GET /api/v1/rosters/template": _NONE,
    "POST /api/v1/rosters": Sample(files=_roster),
    "GET /api/v1/rosters": _OWN,
    "GET /api/v1/rosters/{import_id}": _NONE,
    "GET /api/v1/rosters/{import_id}/missing": _NONE,
    "GET /api/v1/rosters/{import_id}/problems": _NONE,
    "GET /api/v1/rosters/{import_id}/errors.xlsx": _NONE,
    "POST /api/v1/rosters/{import_id}/apply": Sample(_fixed()),
    "POST /api/v1/rosters/{import_id}/cancel": _NONE,
    "POST /api/v1/rosters/{import_id}/undo": _REASON,
    "POST /internal/v1/members/by-document": Sample(
        lambda _: {"document_type": "resident_id", "document_number": stages.CANARIES["document"]}
    ),
    "POST /internal/v1/members/details": Sample(lambda stage: {"ids": [stage.ids["member_id"]]}),
}
WELFARE: Final[dict[str, Sample]] = {
    "POST /api/v1/cases": Sample(_case),
    "GET /api/v1/cases": _OWN,
    f"GET {_C}": _NONE,
    f"PATCH {_C}": Sample(_fixed(requested_fen=5)),
    f"GET {_C}/decision": Sample(ids={"case_id": "paid case"}),
    f"GET {_C}/history": _NONE,
    f"POST {_C}/submission": _NONE,
    f"POST {_C}/approval": Sample(_fixed(), ids={"case_id": "submitted case"}),
    f"POST {_C}/return": _REASON,
    f"POST {_C}/rejection": _REASON,
    f"POST {_C}/withdrawal": _REASON,
    f"POST {_C}/cancellation": _REASON,
    f"POST {_C}/acknowledgement": _NONE,
    f"POST {_C}/unflagging": _REASON,
    "POST /api/v1/me/cases": Sample(stages.application),
    "GET /api/v1/me/cases": _NONE,
    "GET /api/v1/me/programmes": _NONE,
    "POST /api/v1/me/cases/{case_id}/acknowledgement": Sample(ids={"case_id": "paid case"}),
    "POST /api/v1/dossiers": Sample(_dossier),
    "GET /api/v1/dossiers": _OWN,
    "POST /api/v1/dossiers/search": Sample(
        lambda stage: {"organisation_id": stage.own, "last_four": stages.CANARIES["document"][-4:]}
    ),
    f"GET {_D}": _NONE,
    f"PATCH {_D}": Sample(_fixed(primary_cause="illness")),
    f"GET {_D}/history": _NONE,
    f"POST {_D}/persons": Sample(lambda _: _person(relation="spouse", occupation="employed")),
    f"PATCH {_D}/persons/{{person_id}}": Sample(_fixed(phone="13900000001")),
    f"POST {_D}/persons/{{person_id}}/removal": _NONE,
    f"PUT {_D}/persons/{{person_id}}/lines": Sample(
        lambda _: {"lines": [{"kind": "income-wage", "amount_fen": 1, "on": "2026-03-01"}]}
    ),
    f"POST {_D}/split": Sample(_split),
    f"POST {_D}/close": Sample(_fixed(reason="moved_away")),
    f"POST {_D}/unmasking": _REASON,
    f"GET {_D}/assessment": _NONE,
    f"POST {_D}/submission": _NONE,
    f"POST {_D}/return": _REASON,
    f"POST {_D}/decision": Sample(_fixed(hardship_class="none")),
    f"GET {_D}/decisions": _NONE,
    f"GET {_D}/decisions/{{decision_id}}/recomputation": _NONE,
    f"GET {_D}/reviews": _NONE,
    f"POST {_D}/reviews/{{review_id}}/completion": Sample(_fixed(outcome="unchanged")),
    "POST /api/v1/programmes": Sample(stages.programme),
    "GET /api/v1/programmes": _OWN,
    "GET /api/v1/programmes/{programme_id}": _NONE,
    "PUT /api/v1/programmes/{programme_id}": Sample(_terms),
    "POST /api/v1/programmes/{programme_id}/preview": Sample(_fixed(amount_fen=100)),
    "POST /api/v1/programmes/{programme_id}/eligibility": Sample(_id("member_id", "member_id")),
    "GET /api/v1/rules": _OWN,
    "POST /api/v1/rules": Sample(
        _unit("own", key="dibao_line", value=100_000, valid_from="2030-01-01", source="示例")
    ),
    "GET /api/v1/rules/effective": _OWN,
    "GET /api/v1/rules/{rule_id}": _NONE,
    "POST /api/v1/rules/defaults": Sample(_unit("own")),
    "POST /api/v1/rules/{rule_id}/end": Sample(_fixed(on="2040-01-01")),
    "POST /api/v1/budgets": Sample(_budget),
    "GET /api/v1/budgets": Sample(query={"organisation": "{organisation_id}", "year": "2026"}),
    "GET /api/v1/budgets/{budget_id}": _NONE,
    "POST /api/v1/budgets/{budget_id}/income": Sample(_fixed(amount_fen=100, reason="捐款")),
    "POST /api/v1/budgets/{budget_id}/allocations": Sample(_allocation),
    "POST /api/v1/budgets/{budget_id}/entries/{entry_id}/reversal": _REASON,
    "GET /api/v1/budgets/{budget_id}/statement": _NONE,
    "GET /api/v1/budgets/{budget_id}/statement.csv": _NONE,
    "POST /api/v1/payouts": Sample(_payout),
    "GET /api/v1/payouts": _OWN,
    f"GET {_P}": _NONE,
    f"GET {_P}/lines": _NONE,
    f"GET {_P}/findings": _NONE,
    f"GET {_P}/file": _NONE,
    f"POST {_P}/sending": Sample(_fixed(channel="file")),
    f"POST {_P}/cancellation": _NONE,
    f"POST {_P}/result": Sample(files=_result),
    f"POST {_P}/findings/{{finding_id}}/resolution": Sample(_fixed(resolution="已核对")),
    f"POST {_P}/closing": _NONE,
}
EVENTS: Final[dict[str, Sample]] = {
    f"POST {_A}/registrations": Sample(_id("member_id", "second member")),
    f"GET {_A}/registrations": _NONE,
    f"GET {_A}/registrations/counts": _NONE,
    f"PUT {_A}/seats": Sample(_fixed(capacity=120)),
    "GET /api/v1/registrations": Sample(query={"member": "{member_id}"}),
    "GET /api/v1/registrations/{registration_id}": _NONE,
    "POST /api/v1/registrations/{registration_id}/cancellation": _REASON,
    "GET /api/v1/me/registrations": _NONE,
    "POST /api/v1/activities": Sample(stages.plan),
    "GET /api/v1/activities": _OWN,
    f"GET {_A}": _NONE,
    f"PUT {_A}": Sample(_plan, ids={"activity_id": "draft activity"}),
    f"PATCH {_A}": Sample(_fixed(place="别处")),
    f"GET {_A}/history": _NONE,
    **{
        f"POST {_A}/{step}": _NONE
        for step in ("approval", "submission", "publication", "opening", "closing", "holding", "archiving")
    },
    f"POST {_A}/return": _REASON,
    f"POST {_A}/cancellation": _REASON,
    "GET /api/v1/me/activities": _NONE,
    "GET /api/v1/me/activities/{activity_id}": _NONE,
    "POST /api/v1/me/check-ins": Sample(_fixed(code="forged")),
    f"GET {_A}/sessions/{{number}}/code": _NONE,
    f"POST {_A}/check-ins": Sample(_id("registration_id", "attended"), ids={"activity_id": "held activity"}),
    f"GET {_A}/check-ins": _NONE,
    f"POST {_A}/check-ins/batch": Sample(_batch, ids={"activity_id": "held activity"}),
    "POST /api/v1/registrations/{registration_id}/feedback": Sample(
        _fixed(score=5), ids={"registration_id": "attended"}
    ),
    f"GET {_A}/feedback": Sample(ids={"activity_id": "held activity"}),
    f"GET {_A}/feedback/comments": Sample(ids={"activity_id": "held activity"}),
    f"GET {_A}/lottery": Sample(ids={"activity_id": "lottery"}),
    f"POST {_A}/lottery/draw": Sample(ids={"activity_id": "lottery"}),
    f"GET {_A}/lottery/entries.csv": Sample(ids={"activity_id": "lottery"}),
    "GET /api/v1/calendars/{token}.ics": _NONE,
    "POST /api/v1/me/calendar": _NONE,
}
GATEWAY: Final[dict[str, Sample]] = {
    f"GET {_O}/dashboard": _NONE,
    f"GET {_O}/live": _NONE,
    f"GET {_M}/timeline": _NONE,
    f"GET {_M}/overview": _NONE,
    f"GET {_C}/page": _NONE,
    "GET /api/v1/work": _NONE,
}
_EVERYWHERE: Final[dict[str, Sample]] = {
    "GET /api/v1/audit": _OWN,
    "GET /internal/v1/digest/{kind}": _NONE,
    "GET /internal/v1/digest/{kind}/{bucket}": _NONE,
}
_WORK: Final[dict[str, Sample]] = {"GET /internal/v1/work": _NONE}
SAMPLES: Final[dict[str, dict[str, Sample]]] = {
    "membership": MEMBERSHIP | _EVERYWHERE | _WORK,
    "welfare": WELFARE | _EVERYWHERE | _WORK,
    "events": EVENTS | _EVERYWHERE | _WORK,
    "gateway": GATEWAY | _EVERYWHERE,
}
