"""What payouts tell a case, and ask of it. Rights are theirs to check: the batch is in their hands."""

from collections.abc import Collection
from uuid import UUID

from shared.contracts.welfare import CaseStage
from shared.database.session import ReadSession, WriteSession
from shared.kernel.money import Fen
from shared.security.acting import By
from welfare_service.cases import deciding, repository
from welfare_service.cases.domain import Act, AidCase
from welfare_service.cases.recording import record
from welfare_service.cases.sealing import Payee


async def begin_disbursing(session: WriteSession, case_ids: Collection[UUID], by: By) -> list[AidCase]:
    """Put approved cases into a batch; all of them or none, locked in order of id.

    Raises NotFound for one that is not in sight, Conflict for one that is not approved or is flagged.
    """
    taken = await repository.all_for_change(session, case_ids)
    for case in taken:
        due = await deciding.due_on(session, case, CaseStage.DISBURSING, by.today)
        await record(session, case, case.disburse(Act(by, by.today, due)))
    return list(taken)


async def record_paid(session: WriteSession, case_id: UUID, paid: Fen, by: By) -> AidCase:
    """The bank confirmed the payment. Raises Conflict for a case that is not being disbursed: nothing is paid twice."""
    case = await repository.get_for_change(session, case_id)
    due = await deciding.due_on(session, case, CaseStage.PAID, by.today)
    await record(session, case, case.pay(paid, Act(by, by.today, due)))
    return case


async def record_payment_failed(session: WriteSession, case_id: UUID, reason_code: str, by: By) -> AidCase:
    """The bank refused the payment: approved again, still reserved, for the next batch."""
    case = await repository.get_for_change(session, case_id)
    due = await deciding.due_on(session, case, CaseStage.APPROVED, by.today)
    await record(session, case, case.payment_failed(reason_code, Act(by, by.today, due)))
    return case


async def payees(session: ReadSession, case_ids: Collection[UUID]) -> list[Payee]:
    """Who is paid for these cases, sealed, in order of id; `sealing.payee_of` opens one."""
    return await repository.payees(session, case_ids)
