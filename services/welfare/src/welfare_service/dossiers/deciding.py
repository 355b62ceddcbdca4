"""From what was gathered to a class: submit, assess, decide by another person, and recompute an old decision exactly."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from shared.contracts.welfare import HardshipClass
from shared.database.session import ReadSession, WriteSession
from shared.kernel.errors import Conflict
from shared.kernel.ids import new_id
from shared.security.acting import By
from shared.security.keys import KeyRing
from shared.security.policy import Action, Caller
from welfare_service.dossiers import repository, sealing
from welfare_service.dossiers.classification import Aid, Assessment, Inputs, a_year_before, classify
from welfare_service.dossiers.domain import Dossier
from welfare_service.dossiers.records import Decision, ReviewKind, kept
from welfare_service.dossiers.reviews import use_cases as reviews
from welfare_service.dossiers.use_cases import record, seal_note, take
from welfare_service.rules.domain import RuleKey, RuleSet, UsedRule
from welfare_service.rules.use_cases import rule_set, rule_set_of


@dataclass(frozen=True, slots=True)
class Recomputation:
    """An old decision beside what its own inputs and rules give, and beside what today's would give."""

    decision: Decision
    again: Assessment
    today: Assessment
    is_same: bool
    inputs_changed: bool
    rules_changed: tuple[UsedRule, ...]


async def submit(session: WriteSession, caller: Caller, by: By, dossier_id: UUID, version: int) -> Dossier:
    """Ask for the decision on what was gathered."""
    dossier = await take(session, caller, Action.DOSSIER_CHANGE, dossier_id, version)
    await record(session, dossier, dossier.submit(by), by)
    return dossier


async def give_back(
    session: WriteSession, caller: Caller, by: By, ring: KeyRing, place: tuple[UUID, int], note: str
) -> Dossier:
    """Return a dossier to those who gather, with a reason."""
    dossier = await take(session, caller, Action.DOSSIER_DECIDE, *place)
    entry = dossier.give_back(seal_note(ring, dossier, note), by)
    await record(session, dossier, entry, by)
    return dossier


async def assess(
    session: ReadSession, ring: KeyRing, dossier: Dossier, by: By
) -> tuple[Assessment, Inputs, RuleSet]:
    """What the rules of today make of the household."""
    inputs = sealing.inputs_of(ring, dossier, await _aid(session, dossier, by.today))
    rules = await rule_set(session, dossier.path, by.today)
    return classify(inputs, rules, by.today), inputs, rules


async def _aid(session: ReadSession, dossier: Dossier, on: date) -> tuple[Aid, ...]:
    """The aid of the last twelve months; it is income where the rules of its own day say so and it is no small gift."""
    found = await repository.aid_of(session, dossier.id, a_year_before(on))
    counted = []
    for amount, day in found:
        rules = await rule_set(session, dossier.path, day)
        is_income = rules.flag(RuleKey.AID_COUNTS_AS_INCOME) and amount > rules.fen(RuleKey.SMALL_GIFT_LIMIT)
        counted.append(Aid(amount, day, is_income))
    return tuple(counted)


async def decide(
    session: WriteSession,
    caller: Caller,
    by: By,
    ring: KeyRing,
    place: tuple[UUID, int],
    seen: HardshipClass,
) -> tuple[Dossier, Decision]:
    """Decide on the class that the rules give; `seen` is what the approver saw and agrees to.

    Raises Conflict("dossier-class-differs") when the rules give another one by now, Forbidden for whoever gathered.
    """
    dossier = await take(session, caller, Action.DOSSIER_DECIDE, *place)
    previous = dossier.hardship_class
    assessment, inputs, rules = await assess(session, ring, dossier, by)
    entry = dossier.classify(assessment.hardship_class, await repository.gatherers(session, dossier.id), by)
    if assessment.hardship_class is not seen:
        raise Conflict("dossier-class-differs", found=assessment.hardship_class.value)
    used, decision_id = kept(rules.used), new_id()
    decision = Decision(
        id=decision_id,
        dossier_id=dossier.id,
        version=dossier.version,
        decided_on=by.today,
        decided_at=by.at,
        decided_by_issuer=by.issuer,
        decided_by_subject=by.subject,
        hardship_class=assessment.hardship_class,
        inputs_digest=sealing.digest(ring, dossier, inputs),
        inputs_sealed=sealing.seal_in_file(
            ring, dossier, sealing.DECISIONS, "inputs_sealed", decision_id, inputs.packed()
        ),
        rules=used,
    )
    session.add(decision)
    dossier.recheck_on = _months_later(by.today, rules.number(RuleKey.REVIEW_MONTHS))
    await reviews.complete_all(session, dossier.id, by, ReviewKind.YEARLY)
    await record(session, dossier, entry, by, previous)
    return dossier, decision


def _months_later(day: date, months: int) -> date:
    """The same day so many months on; the last of the month where there is none."""
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


async def recompute(
    session: ReadSession, ring: KeyRing, dossier: Dossier, decision_id: UUID, by: By
) -> Recomputation:
    """Recompute a decision from the inputs and rules that it kept, and say what is different today."""
    decision = await repository.decision(session, dossier.id, decision_id)
    packed = sealing.open_in_file(
        ring, dossier, sealing.DECISIONS, "inputs_sealed", decision.id, decision.inputs_sealed
    )
    inputs = Inputs.unpacked(packed)
    rules = await rule_set_of(session, [used.id for used in decision.used])
    again = classify(inputs, rules, decision.decided_on)
    today, inputs_today, rules_today = await assess(session, ring, dossier, by)
    ids_then = {used.id for used in decision.used}
    return Recomputation(
        decision=decision,
        again=again,
        today=today,
        is_same=again.hardship_class is decision.hardship_class
        and sealing.digest(ring, dossier, inputs) == decision.inputs_digest,
        inputs_changed=sealing.digest(ring, dossier, inputs_today) != decision.inputs_digest,
        rules_changed=tuple(used for used in rules_today.used if used.id not in ids_then),
    )
