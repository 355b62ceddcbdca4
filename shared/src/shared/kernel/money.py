"""Money is a whole number of fen (1 yuan = 100 fen). No float ever holds an amount."""

import re
from typing import NewType

from shared.kernel.errors import Invalid

Fen = NewType("Fen", int)

#: One hundred billion yuan: above any union budget, far below the limit of a 64-bit column.
MAX_FEN = 10_000_000_000_000
_YUAN = re.compile(r"[0-9]{1,12}(\.[0-9]{1,2})?")


def fen(amount: int) -> Fen:
    """A positive amount of money. Raises Invalid("amount-invalid") for anything but an int in 1..MAX_FEN."""
    if isinstance(amount, bool) or not isinstance(amount, int) or not 0 < amount <= MAX_FEN:
        raise Invalid("amount-invalid", field="amount")
    return Fen(amount)


def fen_from_yuan(text: str) -> Fen:
    """Parse "1234.50" exactly. Raises Invalid("amount-invalid") for signs, exponents, more than two decimals, zero."""
    if not _YUAN.fullmatch(text):
        raise Invalid("amount-invalid", field="amount")
    yuan, _, decimals = text.partition(".")
    return fen(int(yuan) * 100 + int(decimals.ljust(2, "0") or 0))


def yuan(amount: Fen) -> str:
    """ "1234.50": an amount as people write it."""
    sign, rest = ("-", -amount) if amount < 0 else ("", int(amount))
    return f"{sign}{rest // 100}.{rest % 100:02d}"
