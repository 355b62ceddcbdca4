"""How the private parts of a case are stored: sealed under a data key of the case, each bound to its column and its case."""

import os
import re
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from shared.kernel.errors import Invalid
from shared.security.fields import PersonKey
from shared.security.keys import KeyRing
from shared.security.masking import mask_document
from shared.security.randomness import Draw
from welfare_service.cases.domain import AidCase, HistoryEntry, Private

TABLE: Final = "cases"
HISTORY: Final = "case_history"
_ACCOUNT: Final = re.compile(r"[0-9]{8,32}")


class Opened(NamedTuple):
    """The plain values of one case."""

    reason: str
    payee_name: str
    account: str


class Keyed(Protocol):
    """What has the data key of a case: the case itself, or what payouts get of it."""

    data_key_wrapped: bytes | None
    key_version: int


class Payee(NamedTuple):
    """Who is paid, as it is stored; `payee_of` opens it."""

    case_id: UUID
    data_key_wrapped: bytes | None
    key_version: int
    payee_name_sealed: bytes | None
    account_sealed: bytes | None
    account_masked: str | None


def sealed(
    ring: KeyRing, case_id: UUID, opened: Opened, key: PersonKey | None = None, draw: Draw = os.urandom
) -> Private:
    """Seal under `key`, by default a fresh one. Raises Invalid("account-invalid") for what is no account number."""
    account = opened.account.replace(" ", "").replace("-", "")
    if not _ACCOUNT.fullmatch(account):
        raise Invalid("account-invalid", field="account")
    key = key or PersonKey.new(ring, draw)
    return Private(
        data_key_wrapped=key.wrapped,
        key_version=key.version,
        reason_sealed=key.seal(opened.reason, table=TABLE, column="reason_sealed", record=case_id),
        payee_name_sealed=key.seal(
            opened.payee_name, table=TABLE, column="payee_name_sealed", record=case_id
        ),
        account_sealed=key.seal(account, table=TABLE, column="account_sealed", record=case_id),
        account_masked=mask_document(account),
    )


def key_of(ring: KeyRing, of: Keyed) -> PersonKey:
    """The data key of a case. Raises SealBroken once it is destroyed."""
    return PersonKey.opened(ring, of.data_key_wrapped, of.key_version)


def opened(ring: KeyRing, case: AidCase) -> Opened | None:
    """The plain values; None once the person was erased. Raises SealBroken."""
    if case.reason_sealed is None or case.payee_name_sealed is None or case.account_sealed is None:
        return None
    key = key_of(ring, case)
    return Opened(
        key.unseal(case.reason_sealed, table=TABLE, column="reason_sealed", record=case.id),
        key.unseal(case.payee_name_sealed, table=TABLE, column="payee_name_sealed", record=case.id),
        key.unseal(case.account_sealed, table=TABLE, column="account_sealed", record=case.id),
    )


def payee_of(ring: KeyRing, payee: Payee) -> tuple[str, str]:
    """Name and account number of who is paid. Raises SealBroken, also for an erased person."""
    key = PersonKey.opened(ring, payee.data_key_wrapped, payee.key_version)
    return (
        key.unseal(
            payee.payee_name_sealed or b"", table=TABLE, column="payee_name_sealed", record=payee.case_id
        ),
        key.unseal(payee.account_sealed or b"", table=TABLE, column="account_sealed", record=payee.case_id),
    )


def seal_reason(ring: KeyRing, case: AidCase, entry: HistoryEntry, reason: str | None) -> None:
    """Put a person's reason into the entry of a step, bound to its case and version; nothing for an erased person."""
    if reason is not None and case.data_key_wrapped is not None:
        column = f"reason_sealed.{entry.version}"
        entry.reason_sealed = key_of(ring, case).seal(reason, table=HISTORY, column=column, record=case.id)


def reason_of(ring: KeyRing, case: AidCase, entry: HistoryEntry) -> str | None:
    """The reason given for a step; None without one, or once the person was erased."""
    if entry.reason_sealed is None or case.data_key_wrapped is None:
        return None
    column = f"reason_sealed.{entry.version}"
    return key_of(ring, case).unseal(entry.reason_sealed, table=HISTORY, column=column, record=case.id)
