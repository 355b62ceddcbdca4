"""What a case is judged by at submission and at approval, and what is kept of it so that it can be judged again."""

from datetime import date
from typing import Any, NamedTuple

from shared.database.session import WriteSession
from shared.directory.members import MemberReference, read_members, require_fresh
from shared.kernel.calendar import seeded_calendar
from shared.kernel.errors import Conflict, FieldProblem, Invalid
from shared.kernel.money import Fen, yuan
from welfare_service.cases.domain import AidCase
from welfare_service.membership_client import MemberDetail
from welfare_service.programmes.domain import Programme, ProgrammeKind
from welfare_service.programmes.judging import Judgement, Known, age_by_year, age_on, judge_by, known_of
from welfare_service.programmes.repository import BELONGING
from welfare_service.rules.domain import RuleKey, RuleSet
from welfare_service.rules.use_cases import rule_set


class Decision(NamedTuple):
    """What follows from the rules: how high an amount must go, and what is kept."""

    levels_up: int
    rules: RuleSet
    kept: dict[str, Any]


class Grounds(NamedTuple):
    """What a decision rests on, beside what membership says."""

    programme: Programme
    member: MemberReference
    known: Known
    rules: RuleSet


async def decide(
    session: WriteSession,
    case: AidCase,
    programme: Programme,
    amount: Fen,
    detail: MemberDetail | None,
    today: date,
) -> Decision:
    """Judge a case on `today`: membership, eligibility, caps, level.

    `detail` is what membership said just now; without it (a member who applies alone) the age is by year of birth.
    Raises StaleReplica, Conflict with a problem for each reason, Invalid for an amount over a cap.
    """
    found = (await read_members(session, [case.member_id])).get(case.member_id)
    member = require_fresh(found, detail.sequence if detail else None)
    grounds = Grounds(
        programme,
        member,
        await known_of(session, programme, member.id, today),
        await rule_set(session, case.path, today),
    )
    return decide_on(grounds, amount, detail, today)


def decide_on(grounds: Grounds, amount: Fen, detail: MemberDetail | None, today: date) -> Decision:
    """The same when all is read. Raises as `decide`, but for StaleReplica."""
    programme, member, known, rules = grounds
    if (detail.status if detail else member.status) not in BELONGING:
        raise Conflict("member-belongs-nowhere", field="member_id")
    judgement = judge_by(programme, member, known, _age(member, detail, today), today)
    _refuse_unfit(judgement)
    levels_up = rules.levels_up(amount)
    _refuse_over_caps(programme, rules, amount, judgement)
    kept = {
        "programme_version": programme.version,
        "amount_fen": amount,
        "levels_up": levels_up,
        "age_exact": detail is not None,
        "facts": judgement.facts,
        "aid_before": {
            "year_of_programme_fen": judgement.before.year_of_programme_fen,
            "year_of_kind_fen": judgement.before.year_of_kind_fen,
        },
        "rules": [
            {"key": used.key.value, "id": str(used.id), "version": used.version} for used in rules.used
        ],
    }
    return Decision(levels_up, rules, kept)


async def due_on(session: WriteSession, case: AidCase, stage: str, today: date) -> date | None:
    """The last working day for whoever holds the case in `stage`; None where no rule sets a limit."""
    return due_by(await rule_set(session, case.path, today), stage, today)


def due_by(rules: RuleSet, stage: str, today: date) -> date | None:
    """The same by rules that were read."""
    try:
        days = rules.due_days(stage)
    except Conflict:
        # No rule of that kind at all: nothing has to be done by a day, and a payment is never held up by it.
        return None
    return None if days is None else seeded_calendar().add_workdays(today, days)


def _age(member: MemberReference, detail: MemberDetail | None, today: date) -> int | None:
    return age_on(today, detail.birth_date) if detail else age_by_year(today, member.birth_year)


def _refuse_unfit(judgement: Judgement) -> None:
    if judgement.reasons:
        problems = tuple(
            FieldProblem(
                "member_id", f"eligibility-{reason.criterion}" + ("-excluded" if reason.negated else "")
            )
            for reason in judgement.reasons
        )
        raise Conflict("case-not-eligible", problems=problems)


def _refuse_over_caps(programme: Programme, rules: RuleSet, amount: Fen, judgement: Judgement) -> None:
    """Caps of the programme; for 送温暖 also those that the rules set for a time and for a person and year."""
    before = judgement.before
    times = [programme.cap_per_time_fen]
    years = [(programme.cap_per_year_fen, before.year_of_programme_fen)]
    if programme.kind is ProgrammeKind.WARMTH:
        times.append(rules.fen(RuleKey.CAP_PER_TIME))
        years.append((rules.fen(RuleKey.CAP_PER_PERSON_YEAR), before.year_of_kind_fen))
    for cap in times:
        if cap is not None and amount > cap:
            raise Invalid("amount-over-cap", field="requested_fen", cap=yuan(Fen(cap)))
    for cap, granted in years:
        if cap is not None and granted + amount > cap:
            raise Conflict(
                "year-cap-reached", field="requested_fen", cap=yuan(Fen(cap)), granted=yuan(Fen(granted))
            )
