"""Sends batches to the bank and asks what became of them. Never inside a transaction, never the same line twice.

Before a batch is sent its lines become UNKNOWN and that is committed: whoever dies after that asks, and does not send again.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from shared.database.engine import Database
from shared.database.scope import Scope
from shared.jobs import JobContext
from shared.kernel.clock import Clock
from shared.kernel.crash import crash_point
from shared.kernel.errors import Unavailable
from shared.security.acting import SYSTEM, By
from shared.security.keys import KeyRing
from welfare_service.cases import payments as cases
from welfare_service.payouts import repository, use_cases
from welfare_service.payouts.answers import Told, book, finding_of, keep
from welfare_service.payouts.bank import DEADLINE, BankClient, BankNotReached, BankSilent, Instruction
from welfare_service.payouts.domain import (
    Answer,
    Channel,
    FindingKind,
    LineState,
    PayoutState,
)

log = logging.getLogger(__name__)

#: What the bank said of instructions, in its order; None: it does not know that one.
Said = Sequence[tuple[UUID, Answer | None]]

ASK: Final = "payouts.ask"
ASK_EVERY: Final = timedelta(seconds=5)
#: How long a fresh line is left alone between two questions.
PATIENCE: Final = timedelta(seconds=10)
#: A batch may still be on its way; later than this a bank that does not know it has not got it.
_ON_ITS_WAY: Final = timedelta(hours=1)
#: A batch that nobody listened to is tried again by the next cycle after this time.
_SENT_BEFORE: Final = timedelta(minutes=1)
#: Questions of one cycle.
_QUESTIONS: Final = 100


class PayoutJobs:
    """The handlers. Without a bank's address batches go by file, and these have nothing to do."""

    def __init__(
        self, database: Database, ring: KeyRing, clock: Clock, bank_url: str, *, deadline: float = DEADLINE
    ) -> None:
        """`database` is the worker's; `deadline` is how long the bank has for an answer, in seconds."""
        self.database = database
        self.ring = ring
        self.clock = clock
        self.bank_url = bank_url
        self.deadline = deadline

    async def send(self, job: JobContext) -> None:
        """Send one batch. Raises Unavailable when nobody listened: then it may be tried again."""
        if not self.bank_url:
            log.warning("no bank is connected; hand the batch over as a file")
            return
        async with BankClient(self.bank_url, deadline=self.deadline) as bank:
            await self._send(job, bank, UUID(job.payload["payout_id"]))

    async def ask(self, job: JobContext) -> None:
        """Send what could not be sent, then ask about what is open; stop as soon as the bank is silent."""
        if not self.bank_url:
            return
        now = self.clock.now()
        async with self.database.read(Scope.everything()) as session:
            unsent = await repository.unsent(session, now - _SENT_BEFORE, _QUESTIONS)
            due = await repository.due_lines(session, now, PATIENCE, _QUESTIONS)
        async with BankClient(self.bank_url, deadline=self.deadline) as bank:
            for payout_id in unsent:
                await self._send(job, bank, payout_id)
            heard: dict[UUID, list[tuple[UUID, Answer | None]]] = defaultdict(list)
            for line_id, payout_id in due:
                try:
                    heard[payout_id].append((line_id, await bank.ask(line_id)))
                except (BankSilent, BankNotReached):
                    log.warning("the bank does not answer; asked again later")
                    await self._note_asked(job, payout_id, line_id)
                    break
        for payout_id, answers in heard.items():
            await self._take(job, payout_id, answers)

    async def _send(self, job: JobContext, bank: BankClient, payout_id: UUID) -> None:
        async with job.chunk() as session:
            payout = await repository.get_for_change(session, payout_id)
            if payout.state is not PayoutState.SENT or payout.channel is not Channel.BANK:
                return
            lines = await repository.lines(session, payout_id)
            pending = [line for line in lines if line.state is LineState.PENDING]
            found = await use_cases.instructions(session, self.ring, pending)
            by = self._by()
            for line in pending:
                if line.id in found:
                    line.hand_over(by.at)
                else:
                    line.withdraw("account-erased", by.at)
                    await cases.record_payment_failed(session, line.case_id, "account-erased", by)
            payout.look({line.state for line in lines}, by.at)
        crash_point("payout.before_send")
        if found:
            await self._hand_over(job, bank, payout_id, found)

    async def _hand_over(
        self, job: JobContext, bank: BankClient, payout_id: UUID, found: dict[UUID, Instruction]
    ) -> None:
        try:
            answers = await bank.send(payout_id, list(found.values()))
        except BankNotReached:
            async with job.chunk() as session:
                await repository.get_for_change(session, payout_id)
                for line in await repository.lines(session, payout_id):
                    if line.id in found and line.state is LineState.UNKNOWN:
                        line.take_back()
            raise Unavailable("bank-unreachable", retry_after=1) from None
        except BankSilent:
            log.warning("the bank did not answer for a batch; its lines are asked about")
            return
        crash_point("payout.after_send")
        await self._take(job, payout_id, answers)

    async def _take(self, job: JobContext, payout_id: UUID, answers: Said) -> None:
        """Book what the bank said of lines of one batch, in its order."""
        async with job.chunk() as session:
            payout = await repository.get_for_change(session, payout_id)
            lines = await repository.lines(session, payout_id)
            by_id = {line.id: line for line in lines}
            by = self._by()
            told, misfits = [], []
            for line_id, answer in answers:
                line = by_id.get(line_id)
                if line is not None:
                    line.asked_at = by.at
                if line is None:
                    misfits.append(finding_of(payout, by, FindingKind.FOREIGN, reference=str(line_id)))
                elif answer is not None:
                    told.append(Told(line, answer))
                elif line.handed_at is not None and by.at - line.handed_at > _ON_ITS_WAY:
                    kind = FindingKind.NOT_KNOWN
                    misfits.append(finding_of(payout, by, kind, line_id=line.id, reference=str(line.id)))
            await keep(session, payout, misfits)
            await book(session, by, payout, lines, told)

    async def _note_asked(self, job: JobContext, payout_id: UUID, line_id: UUID) -> None:
        async with job.chunk() as session:
            await repository.get_for_change(session, payout_id)
            for line in await repository.lines(session, payout_id):
                if line.id == line_id:
                    line.asked_at = self.clock.now()

    def _by(self) -> By:
        return By(SYSTEM, ASK, self.clock.now())
