"""Seeded bugs of welfare, and of the programs that look for breaches (see `tests.faults.variants`)."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from tests.faults.planting import bug, put


@bug
def decides_without_a_lock() -> None:
    """A case is read without a lock, and saved without a look at its version."""
    from sqlalchemy import inspect

    from welfare_service.cases import repository, tables
    from welfare_service.cases.domain import AidCase

    assert tables.cases is not None
    mapper = inspect(AidCase)
    assert mapper.version_id_col is not None
    mapper.version_id_col = None
    put(repository, "get_for_change", repository.get)


@bug
def silence_is_a_failure() -> None:
    """A bank that does not answer in time has not paid."""
    from welfare_service.payouts import jobs
    from welfare_service.payouts.bank import BankSilent
    from welfare_service.payouts.domain import Answer, Said

    async def hasty(self: Any, job: Any, bank: Any, payout_id: Any, found: Any) -> None:
        try:
            answers = await bank.send(payout_id, list(found.values()))
        except BankSilent:
            answers = [(line, Answer(Said.FAILED, reason="bank-silent")) for line in found]
        await self._take(job, payout_id, answers)

    put(jobs.PayoutJobs, "_hand_over", hasty)


def _first_told(change: Callable[[list[Any]], list[Any]]) -> None:
    """What the bank says of a batch is changed before it is booked."""
    from welfare_service.payouts import answers, jobs

    book = answers.book

    async def changed(session: Any, by: Any, payout: Any, lines: Any, told: Sequence[Any]) -> Any:
        return await book(session, by, payout, lines, change(list(told)))

    put(jobs, "book", changed)


@bug
def the_last_word_holds() -> None:
    """Of all that the bank says of a payment the newest counts."""
    _first_told(lambda told: list({one.line.id: one for one in told}.values()))


@bug
def the_second_word_fails() -> None:
    """A payment that is named twice in one answer cannot be right, so it failed."""
    from dataclasses import replace

    from welfare_service.payouts.domain import Said

    def spoilt(told: list[Any]) -> list[Any]:
        ids = [one.line.id for one in told]
        return [
            replace(one, answer=replace(one.answer, said=Said.FAILED)) if ids.count(one.line.id) > 1 else one
            for one in told
        ]

    _first_told(spoilt)


@bug
def accepted_is_a_failure() -> None:
    """What the bank has not paid at once it does not pay."""
    from dataclasses import replace

    from welfare_service.payouts.domain import Said

    def spoilt(told: list[Any]) -> list[Any]:
        return [
            replace(one, answer=replace(one.answer, said=Said.FAILED))
            if one.answer.said is Said.ACCEPTED
            else one
            for one in told
        ]

    _first_told(spoilt)


@bug
def marks_after_sending() -> None:
    """A payment is noted as handed over when the bank has answered: whoever dies before that sends it again."""
    from welfare_service.payouts import jobs, repository
    from welfare_service.payouts.domain import LineState, PayoutLine

    hand_over, take = PayoutLine.hand_over, jobs.PayoutJobs._take

    def not_yet(*_: Any) -> None:
        return

    async def marked(self: Any, job: Any, payout_id: Any, answers: Any) -> None:
        async with job.chunk() as session:
            for line in await repository.lines(session, payout_id):
                if line.state is LineState.PENDING:
                    hand_over(line, self.clock.now())
        await take(self, job, payout_id, answers)

    put(PayoutLine, "hand_over", not_yet)
    put(jobs.PayoutJobs, "_take", marked)
    put(jobs, "_SENT_BEFORE", timedelta(seconds=3))


@bug
def day_in_utc() -> None:
    """A day begins when it begins in Greenwich."""
    from shared.security.acting import By

    put(By, "today", property(lambda self: self.at.date()))


@bug
def newest_by_the_clock() -> None:
    """A case that was changed "later" than now is another request's, so it is left as it is."""
    from shared.kernel.errors import Conflict
    from welfare_service.cases.domain import AidCase

    approve = AidCase.approve

    def not_back(self: Any, *arguments: Any) -> Any:
        act = next(one for one in arguments if hasattr(one, "by"))
        if act.by.at < self.stage_since:
            raise Conflict("case-not-submitted")
        return approve(self, *arguments)

    put(AidCase, "approve", not_back)


@bug
def age_by_year() -> None:
    """One is as old as the difference of the years."""
    from welfare_service.cases import deciding

    put(deciding, "age_on", lambda day, born: None if born is None else day.year - born.year)


@bug
def hashes_ids_alone() -> None:
    """A digest that does not know versions."""
    from shared.web import digest

    put(digest, "_HASHES", digest._HASHES.replace(" || ':' || version::text", ""))


@bug
def names_none() -> None:
    """A limit that leaves nothing to be found."""
    from shared.web import invariants

    put(invariants, "NAMED", 0)


@bug
def counts_links_alone() -> None:
    """A chain whose links are all there is taken for whole."""
    from shared.security import chain

    put(
        chain,
        "_fault",
        lambda _, head, link, __: None if link.position == head.position + 1 else "link-missing",
    )
