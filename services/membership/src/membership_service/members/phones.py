"""Phone numbers, brought into one written form so that a blind index finds them again."""

import re
import unicodedata
from typing import Final

_NOISE: Final = re.compile(r"[\s\-‐‑–—()./\u200b-\u200f\u2060\ufeff]+")
_MOBILE: Final = re.compile(r"(?:(?:\+|00)?86)?(1[3-9]\d{9})", re.ASCII)
_LANDLINE: Final = re.compile(r"0\d{9,11}", re.ASCII)
_ABROAD: Final = re.compile(r"(?:\+|00)([1-9]\d{6,14})", re.ASCII)


def normalise(phone: str) -> str | None:
    """A Chinese mobile as 11 digits, a landline with its area code, a foreign number as +…; None for anything else."""
    plain = (
        phone if phone.isascii() and phone.isdigit() else _NOISE.sub("", unicodedata.normalize("NFKC", phone))
    )
    if mobile := _MOBILE.fullmatch(plain):
        return mobile[1]
    if abroad := _ABROAD.fullmatch(plain):
        return f"+{abroad[1]}"
    return plain if _LANDLINE.fullmatch(plain) else None
