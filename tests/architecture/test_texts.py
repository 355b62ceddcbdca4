"""Every text that a person reads stands in a catalogue (texts.toml), in zh-CN and en, with the same placeholders.

Every code that is raised has a text, with all that the text needs; every text is used.
"""

import ast
import re
import string
import tomllib
from collections.abc import Iterable, Mapping

from tests.architecture.sources import Breach, Source, own_files, product_files, report

#: The refusals of shared.kernel.errors, of a whole roster, and of the local stack, whose first argument is a code.
REFUSALS = {
    "BadRequest", "Conflict", "DomainError", "FileRefused", "Forbidden", "Invalid", "LocalStackError", "NotFound",
    "PreconditionRequired", "StaleReplica", "StaleVersion", "TooLarge", "TooMany", "Unauthenticated", "Unavailable",
}  # fmt: skip
#: Arguments of a refusal that are not parameters of its text.
NOT_PARAMS = {"about", "field", "problems", "retry_after"}

_CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")

Catalogue = Mapping[str, Mapping[str, str]]


def placeholders(text: str) -> set[str]:
    """The names in braces."""
    return {
        name.split(".")[0].split("[")[0]
        for _, name, _, _ in string.Formatter().parse(text)
        if name is not None
    }


def catalogue_breaches(source: Source) -> list[Breach]:
    """Codes of one texts.toml that are not said in both languages alike."""
    breaches = []
    for code, entry in tomllib.loads(source.text).items():
        line = source.text[: source.text.index(f"[{code}]")].count("\n") + 1
        if set(entry) != {"zh", "en"} or not all(
            isinstance(text, str) and text.strip() for text in entry.values()
        ):
            breaches.append(Breach(source.path, line, f"{code} needs exactly zh and en"))
            continue
        if placeholders(entry["zh"]) != placeholders(entry["en"]):
            breaches.append(Breach(source.path, line, f"{code} has different placeholders in zh and en"))
        if not re.search(r"[\u4e00-\u9fff]", entry["zh"]) and re.search(r"[a-z]{3} [a-z]{3}", entry["zh"]):
            breaches.append(Breach(source.path, line, f"{code}: zh is not Chinese"))
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code):
            breaches.append(Breach(source.path, line, f"{code} is not kebab-case"))
    return breaches


def raised(sources: Iterable[Source]) -> list[tuple[str, int, str, set[str] | None]]:
    """Path, line, code and parameters of each refusal made with a literal code; None when parameters are unpacked."""
    found = []
    for source in sources:
        for node in ast.walk(source.tree):
            match node:
                case ast.Call(
                    func=ast.Name(id=name) | ast.Attribute(attr=name),
                    args=[ast.Constant(value=str(code)), *_],
                    keywords=keywords,
                ) if name in REFUSALS:
                    params = {keyword.arg for keyword in keywords if keyword.arg} - NOT_PARAMS
                    unpacked = any(keyword.arg is None for keyword in keywords)
                    found.append((source.path, node.lineno, code, None if unpacked else params))
                case ast.Call(
                    func=ast.Name(id="FieldProblem" | "CellProblem"),
                    args=[_, ast.Constant(value=str(code)), *_],
                ):
                    found.append((source.path, node.lineno, code, None))
                # `text` is also SQLAlchemy's: only what looks like a code is one.
                case ast.Call(func=ast.Name(id="text"), args=[ast.Constant(value=str(code)), *_]) if (
                    _CODE.fullmatch(code)
                ):
                    found.append((source.path, node.lineno, code, None))
                case _:
                    pass
    return found


def raised_breaches(sources: Iterable[Source], texts: Catalogue) -> list[Breach]:
    """Refusals whose code has no text, or whose text needs a parameter that is not given."""
    breaches = []
    for path, line, code, params in raised(sources):
        if code not in texts:
            breaches.append(Breach(path, line, f"{code} has no text"))
        elif params is not None and (missing := placeholders(texts[code]["en"]) - params):
            breaches.append(Breach(path, line, f"the text of {code} needs {', '.join(sorted(missing))}"))
    return breaches


def unused_texts(sources: Iterable[Source], texts: Catalogue) -> set[str]:
    """Codes that no product file names, either whole in quotes or by a beginning ("timeline-" + …, f"state-{…}")."""
    texts_of_code = [source.text for source in sources if not source.path.endswith("texts.toml")]
    quoted = {code for text in texts_of_code for code in re.findall(r"[\"']([a-z0-9-]+)[\"']", text)}
    beginnings = tuple(
        {start for text in texts_of_code for start in re.findall(r"[\"']([a-z0-9-]+-)[\"'{]", text)}
    )
    return {code for code in texts if code not in quoted and not (beginnings and code.startswith(beginnings))}


def catalogues() -> list[Source]:
    """The texts.toml of every package."""
    return [source for source in own_files() if source.path.endswith("/texts.toml")]


def all_texts() -> dict[str, dict[str, str]]:
    """Every code of every package."""
    merged: dict[str, dict[str, str]] = {}
    for source in catalogues():
        merged |= tomllib.loads(source.text)
    return merged


def test_every_text_stands_in_both_languages() -> None:
    assert catalogues()
    breaches = [breach for source in catalogues() for breach in catalogue_breaches(source)]
    assert not breaches, report(breaches)


def test_every_code_raised_has_its_text() -> None:
    by_package = {
        source.path.removesuffix("texts.toml"): tomllib.loads(source.text) for source in catalogues()
    }
    ours = by_package["shared/src/shared/"]
    breaches = []
    for package in {source.path.split("/src/")[0] for source in product_files()}:
        sources = [source for source in product_files() if source.path.startswith(f"{package}/src/")]
        own = next((texts for path, texts in by_package.items() if path.startswith(f"{package}/src/")), {})
        # A service's texts are its own and those of shared; shared's texts are in shared.
        breaches += raised_breaches(sources, ours | own)
    assert not breaches, report(breaches)


def test_every_text_is_used() -> None:
    places = [source for source in own_files() if "/src/" in source.path]
    assert not unused_texts(places, all_texts())


ONE_SIDED = """
[no-english]
zh = "无"

[other-names]
zh = "{row} 行"
en = "line {line}"

[not-chinese]
zh = "not chinese at all"
en = "not Chinese at all"
"""


def test_planted_one_sided_texts_are_noticed() -> None:
    assert [breach.line for breach in catalogue_breaches(Source("texts.toml", ONE_SIDED))] == [2, 5, 9]


def test_planted_codes_are_noticed() -> None:
    texts = {
        "too-late": {"zh": "已过 {days} 天", "en": "{days} days late"},
        "forgotten": {"zh": "忘", "en": "f"},
    }
    code = 'raise Conflict("too-late")\nraise Invalid("unheard-of", field="x")\nraise Conflict("too-late", days=3)\n'
    planted = Source("a.py", code)
    assert [breach.line for breach in raised_breaches([planted], texts)] == [1, 2]
    assert unused_texts([planted], texts) == {"forgotten"}
    assert not unused_texts([Source("b.py", 'text(f"forg-{x}")')], {"forg-otten": {"zh": "忘", "en": "f"}})
