"""Texts for people, in zh-CN and en. Each package has one `texts.toml`: `[code]` with `zh` and `en`, `{name}` placeholders."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Literal

Language = Literal["zh-CN", "en"]
DEFAULT_LANGUAGE: Language = "zh-CN"

_packages: list[str] = ["shared"]


def register(package: str) -> None:
    """Add the catalogue of `package` (its `texts.toml`); called once by a composition root."""
    if package not in _packages:
        _packages.append(package)
        _catalogue.cache_clear()


@cache
def _catalogue() -> dict[str, dict[str, str]]:
    merged: dict[str, dict[str, str]] = {}
    for package in _packages:
        for code, entry in tomllib.loads((files(package) / "texts.toml").read_text("utf-8")).items():
            if code in merged and merged[code] != entry:
                raise ValueError(f"text {code} of {package} already means something else")
            merged[code] = entry
    return merged


def text(code: str, language: Language = DEFAULT_LANGUAGE, /, **params: str | int) -> str:
    """The words for `code`. An unknown code is a programming error and raises KeyError."""
    return _catalogue()[code]["zh" if language == "zh-CN" else "en"].format_map(params)


def has_text(code: str) -> bool:
    """Whether `code` has words."""
    return code in _catalogue()


def language_of(accept_language: str | None) -> Language:
    """The better of our two languages for an Accept-Language header (RFC 9110 §12.5.4); zh-CN when in doubt."""
    weights: dict[Language, float] = {}
    for part in (accept_language or "").split(","):
        tag, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            continue
        language: Language | None = (
            "zh-CN" if tag.lower().startswith("zh") else "en" if tag.lower().startswith("en") else None
        )
        if language:
            weights[language] = max(weight, weights.get(language, 0))
    return (
        max(weights, key=lambda language: (weights[language], language == DEFAULT_LANGUAGE))
        if weights
        else DEFAULT_LANGUAGE
    )
