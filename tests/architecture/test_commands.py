"""What documentation and texts tell people to type exists: verbs of `unionhall` with their options, targets of make, modules."""

import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from importlib.util import find_spec
from typing import Any

import typer

from tests.architecture.sources import ROOT, Breach, Source, own_files, report
from unionhall_cli.main import app

_FENCE = re.compile(r"^\s*```")
_SPAN = re.compile(r"`([^`]+)`")
#: A call ends where another begins, and at what a shell puts between two. In a sentence it may stand anywhere.
_CALL = re.compile(r"\bunionhall ((?:(?!unionhall |&&|[|;]).)+)")
_CALL_OF_SHELL = re.compile(rf"(?:^|&&|[|;(]|/)\s*{_CALL.pattern}")
_WORD = re.compile(r"[a-z][a-z-]*")
_OPTION = re.compile(r"--[a-z][a-z-]*")
_TARGET = re.compile(r"(?:^|[\s(])make ([a-z][a-z0-9-]*)")
_MODULE = re.compile(r"python -m ([a-z_]+(?:\.[a-z_]+)+)")


def verbs(command: Any, name: str = "") -> Iterator[tuple[str, set[str]]]:
    """Each verb ("roster import") with its options."""
    below = getattr(command, "commands", None)
    if below is None:
        yield name, {option for one in command.params for option in one.opts} | {"--help"}
        return
    for word, one in below.items():
        yield from verbs(one, f"{name} {word}".strip())


def targets() -> set[str]:
    """The targets of the Makefile."""
    return set(re.findall(r"^([a-z][a-z0-9-]*):(?!=)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def code_of(source: Source) -> Iterator[tuple[int, str]]:
    """Line and code: of a page what stands in fences and between backticks, of a catalogue of texts every line."""
    in_fence = False
    for number, line in enumerate(source.text.splitlines(), 1):
        if not source.path.endswith(".md"):
            yield number, line
        elif _FENCE.match(line):
            in_fence = not in_fence
        elif in_fence:
            yield number, line
        else:
            yield from ((number, span) for span in _SPAN.findall(line))


def mistyped(call: str, known: Mapping[str, AbstractSet[str]]) -> str | None:
    """What is wrong with the words behind `unionhall`; None when nothing is."""
    words = [match.group() if (match := _WORD.match(word)) else "" for word in call.split()]
    if not words or not words[0]:
        return None  # an option, a placeholder
    name = words[0]
    if name not in known and any(verb.startswith(f"{name} ") for verb in known):
        if len(words) == 1:
            return None  # the group as such
        name = f"{name} {words[1]}"
    if name not in known:
        return f"unionhall has no verb {name}"
    unknown = [option for option in _OPTION.findall(call) if option not in known[name]]
    return f"unionhall {name} has no option {unknown[0]}" if unknown else None


def exists(module: str) -> bool:
    """Whether a module of a package can be found."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def command_breaches(
    sources: Iterable[Source], known: Mapping[str, AbstractSet[str]], makes: AbstractSet[str]
) -> list[Breach]:
    """Commands that do not exist."""
    breaches = []
    for source in sources:
        for number, line in code_of(source):
            code, is_shell = line.partition("#")[0], source.path.endswith(".md")
            wrong = [mistyped(call, known) for call in (_CALL_OF_SHELL if is_shell else _CALL).findall(code)]
            if is_shell:
                wrong += [f"make has no target {name}" for name in _TARGET.findall(code) if name not in makes]
                wrong += [f"there is no module {name}" for name in _MODULE.findall(code) if not exists(name)]
            breaches += [Breach(source.path, number, what) for what in wrong if what]
    return breaches


def test_what_people_are_told_to_type_exists() -> None:
    sources = [source for source in own_files() if source.path.endswith((".md", "/texts.toml"))]
    known = dict(verbs(typer.main.get_command(app)))
    assert len(known) > 40
    breaches = command_breaches(sources, known, targets())
    assert not breaches, report(breaches)


def test_planted_commands_are_noticed() -> None:
    known: dict[str, set[str]] = {"up": set(), "roster import": {"--unit"}}
    page = """Say `unionhall up` or `unionhall down`, `unionhall roster`, `unionhall roster eat`.
```sh
unionhall roster import FILE --unit 99 && unionhall up   # not unionhall sleep
unionhall roster import FILE --unti 99
make demo   # make coffee
make coffee && .venv/bin/unionhall nap
kubectl -n unionhall delete pod
python -m shared.messaging.topics
python -m shared.messaging.gossip
```
We make coffee.
"""
    found = command_breaches([Source("a.md", page)], known, {"demo"})
    assert [breach.line for breach in found] == [1, 1, 4, 6, 6, 9]
    text = Source("a/texts.toml", 'zh = "先运行 unionhall up。"\nen = "Run unionhall upp first."\n')
    assert [breach.line for breach in command_breaches([text], known, set())] == [2]
