"""What must not stand in the project: addresses of package registries, paths of one machine, unfinished marks."""

import re
from collections.abc import Iterable

from tests.architecture.sources import ROOT, Breach, Source, own_files, report

#: Written in pieces, so that this file does not hold what it looks for.
_HOSTS = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "repo" + "1.maven.org",
    "repo.maven" + ".apache.org",
    "maven" + "central",
]
_HOSTS += ["registry." + "npmjs.org", "proxy." + "golang.org", "deb." + "debian.org", "crates" + ".io"]
_PATHS = [
    "/wo" + "rk/main",
    "/wo" + "rk/shared",
    "/wo" + "rk/.library",
    "/root/" + ".pyenv",
    "/opt/" + "wheels",
    "/home/" + "runner",
]

RULES = {
    "names a package registry": re.compile("|".join(map(re.escape, _HOSTS)), re.IGNORECASE),
    "names a path of one machine": re.compile("|".join(map(re.escape, _PATHS))),
    "is unfinished": re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b"),
    "holds a conflict": re.compile(r"^(?:<{7} |>{7} |={7}$)"),
    "holds a secret": re.compile("-----BEGIN (?:RSA |EC )?PRIVATE" + " KEY-----"),
}


def file_breaches(sources: Iterable[Source]) -> list[Breach]:
    """Every line that breaks one of RULES."""
    return [
        Breach(source.path, number, what)
        for source in sources
        for number, line in enumerate(source.text.splitlines(), 1)
        for what, pattern in RULES.items()
        if pattern.search(line)
    ]


def lock_files() -> list[Source]:
    """The locks, which must name no index either, though they are others' words."""
    return [
        Source(f"locks/{path.name}", path.read_text("utf-8"))
        for path in sorted((ROOT / "locks").glob("*.txt"))
    ]


def test_nothing_of_one_machine_or_registry() -> None:
    itself = "tests/architecture/test_tracked_files.py"
    breaches = file_breaches([*(source for source in own_files() if source.path != itself), *lock_files()])
    assert not breaches, report(breaches)


def test_locks_pin_hashes_and_name_no_address() -> None:
    locks = lock_files()
    assert {lock.path for lock in locks} >= {
        f"locks/{name}.txt"
        for name in ("dev", "membership", "welfare", "events", "gateway", "cli", "local", "uv")
    }
    for lock in locks:
        assert "://" not in lock.text, lock.path
        unhashed = re.findall(r"^[a-z0-9][^\s]*==[^\\\n]*$", lock.text, re.MULTILINE)
        assert not unhashed, f"{lock.path}: {unhashed}"


def test_planted_lines_are_noticed() -> None:
    planted = [
        _HOSTS[0],
        _PATHS[0] + "/x",
        "# TO" + "DO later",
        "<" * 7 + " HEAD",
        "-----BEGIN PRIVATE" + " KEY-----",
    ]
    assert [b.line for b in file_breaches([Source("a.md", "\n".join(planted))])] == [1, 2, 3, 4, 5]
