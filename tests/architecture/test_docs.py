"""Documentation that can be wrong is checked: links lead somewhere, generated pages are those that the code gives."""

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from tests.architecture.sources import ROOT, Breach, Source, own_files, report

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(markdown: str) -> set[str]:
    """The anchors of a page's headings, as mkdocs and code hosts make them."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", _FENCE.sub("", markdown), re.MULTILINE):
        explicit = re.search(r"\{#([\w-]+)\}", heading)
        plain = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip()
        found.add(explicit.group(1) if explicit else re.sub(r" ", "-", plain))
        found.add(re.sub(r"[-\s]+", "-", plain))
    return found


def link_breaches(sources: Iterable[Source], root: Path) -> list[Breach]:
    """Links to files or headings of the project that are not there. Links elsewhere are not followed."""
    breaches = []
    for source in sources:
        for number, line in enumerate(source.text.splitlines(), 1):
            for target in _LINK.findall(line):
                if re.match(r"[a-z]+:", target):
                    continue
                name, _, anchor = unquote(target).partition("#")
                file = (root / source.path).parent / name if name else root / source.path
                if not file.exists():
                    breaches.append(Breach(source.path, number, f"{target} leads nowhere"))
                elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text("utf-8")):
                    breaches.append(Breach(source.path, number, f"{target} names no heading"))
    return breaches


def decision_breaches(sources: Iterable[Source]) -> list[Breach]:
    """Decisions that are not half a page with context, decision, consequences and a check that exists."""
    breaches = []
    for source in sources:
        missing = [
            part
            for part in ("Context", "Decision", "Consequences", "Check")
            if f"\n## {part}\n" not in source.text
        ]
        if missing:
            breaches.append(Breach(source.path, 1, f"lacks {', '.join(missing)}"))
        elif source.text.count("\n") > 60:
            breaches.append(Breach(source.path, 1, "is longer than half a page"))
        checks = re.findall(r"`(tests/[\w./-]+)`", source.text)
        breaches += [
            Breach(source.path, 1, f"its check {check} does not exist")
            for check in checks
            if not (ROOT / check).exists()
        ]
    return breaches


def pages() -> list[Source]:
    """Every page of documentation."""
    return [source for source in own_files() if source.path.endswith(".md")]


def decisions() -> list[Source]:
    """The decisions, in order."""
    return [page for page in pages() if re.fullmatch(r"docs/decisions/\d{4}-[a-z0-9-]+\.md", page.path)]


def test_links_lead_somewhere() -> None:
    breaches = link_breaches(pages(), ROOT)
    assert not breaches, report(breaches)


def test_decisions_name_the_check_that_keeps_them_true() -> None:
    assert decisions()
    breaches = decision_breaches(decisions())
    assert not breaches, report(breaches)
    numbers = [page.path.split("/")[-1][:4] for page in decisions()]
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]


def test_planted_bad_links_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# A heading, with `code`\n", "utf-8")
    text = "[a](there.md)\n[b](gone.md)\n[c](there.md#a-heading-with-code)\n[d](there.md#other)\n[e](https://example.org)\n"
    assert [breach.line for breach in link_breaches([Source("here.md", text)], tmp_path)] == [2, 4]


def test_planted_decisions_are_noticed() -> None:
    text = "# X\n\n## Context\n\n## Decision\n\n## Consequences\n\n## Check\n\n`tests/gone.py`\n"
    assert [b.what for b in decision_breaches([Source("a.md", text)])] == [
        "its check tests/gone.py does not exist"
    ]
    renamed = Source("a.md", text.replace("## Decision", "## Choice"))
    assert "lacks Decision" in [b.what for b in decision_breaches([renamed])]
