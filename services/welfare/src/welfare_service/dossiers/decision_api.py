"""Routes of deciding on a dossier and of looking at it again."""

from uuid import UUID

from shared.security.acting import By
from shared.security.policy import Action
from shared.web.caller import CurrentCaller
from shared.web.change import Change, Once
from shared.web.routing import api_router
from shared.web.session import CurrentClock, Keys, Write
from welfare_service.dossiers import deciding, repository, use_cases
from welfare_service.dossiers.api import shown
from welfare_service.dossiers.reviews import repository as review_repository
from welfare_service.dossiers.reviews import use_cases as reviews
from welfare_service.dossiers.schemas import (
    AssessmentReply,
    CompletionBody,
    DecisionBody,
    DecisionReply,
    DecisionsReply,
    DetailReply,
    ReasonBody,
    RecomputationReply,
    ReviewReply,
    ReviewsReply,
)

router = api_router("/api/v1/dossiers", "dossiers")

#: The newest reviews of a dossier that are shown.
_SHOWN_REVIEWS = 100


@router.get("/{dossier_id}/assessment")
async def assess(
    dossier_id: UUID, session: Write, caller: CurrentCaller, ring: Keys, clock: CurrentClock
) -> AssessmentReply:
    """What today's rules make of the household, line by line; for those who gather or decide, and audited."""
    dossier = await use_cases.read(session, caller, dossier_id)
    if not caller.allows(Action.DOSSIER_CHANGE, dossier.path):
        caller.require(Action.DOSSIER_DECIDE, dossier.path)
    assessment, _, _ = await deciding.assess(session, ring, dossier, By.caller(caller, clock.now()))
    return AssessmentReply.of(assessment)


@router.post("/{dossier_id}/submission")
async def submit(dossier_id: UUID, call: Change) -> DetailReply:
    """Ask for the decision."""
    return shown(call, await deciding.submit(call.session, call.caller, call.by, dossier_id, call.version))


@router.post("/{dossier_id}/return")
async def give_back(dossier_id: UUID, body: ReasonBody, call: Change) -> DetailReply:
    """Return a file to those who gather, with a reason."""
    place = (dossier_id, call.version)
    dossier = await deciding.give_back(call.session, call.caller, call.by, call.ring, place, body.reason)
    return shown(call, dossier)


@router.post("/{dossier_id}/decision")
async def decide(dossier_id: UUID, body: DecisionBody, call: Change) -> DecisionReply:
    """Decide on the class that the rules give. Not by who gathered: four eyes are two persons."""
    place = (dossier_id, call.version)
    dossier, decision = await deciding.decide(
        call.session, call.caller, call.by, call.ring, place, body.hardship_class
    )
    call.leaves(dossier.version)
    return DecisionReply.of(decision)


@router.get("/{dossier_id}/decisions")
async def list_decisions(dossier_id: UUID, session: Write, caller: CurrentCaller) -> DecisionsReply:
    """All decisions on a file, newest first."""
    await use_cases.read(session, caller, dossier_id)
    found = await repository.decisions(session, dossier_id)
    return DecisionsReply(items=[DecisionReply.of(decision) for decision in found])


@router.get("/{dossier_id}/decisions/{decision_id}/recomputation")
async def recompute(
    dossier_id: UUID,
    decision_id: UUID,
    session: Write,
    caller: CurrentCaller,
    ring: Keys,
    clock: CurrentClock,
) -> RecomputationReply:
    """An old decision recomputed from what it kept, and what is different today."""
    dossier = await use_cases.read(session, caller, dossier_id)
    if not caller.allows(Action.DOSSIER_CHANGE, dossier.path):
        caller.require(Action.DOSSIER_DECIDE, dossier.path)
    by = By.caller(caller, clock.now())
    found = await deciding.recompute(session, ring, dossier, decision_id, by)
    return RecomputationReply.of(found)


@router.get("/{dossier_id}/reviews")
async def list_reviews(dossier_id: UUID, session: Write, caller: CurrentCaller) -> ReviewsReply:
    """The tasks to look at a file again, newest first."""
    await use_cases.read(session, caller, dossier_id)
    found = await review_repository.of_dossier(session, dossier_id, _SHOWN_REVIEWS)
    return ReviewsReply(items=[ReviewReply.of(review) for review in found])


@router.post("/{dossier_id}/reviews/{review_id}/completion")
async def complete(dossier_id: UUID, review_id: UUID, body: CompletionBody, call: Once) -> ReviewReply:
    """Say what a review came to."""
    review = await reviews.complete(call.session, call.caller, call.by, dossier_id, review_id, body.outcome)
    return ReviewReply.of(review)
