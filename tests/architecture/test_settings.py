"""Every setting has a description, stands in docs/settings.md, and is used; no variable is read besides."""

import ast
import re
from collections.abc import Iterable

from tests.architecture.sources import ROOT, Breach, Source, own_files, product_files, report
from tools.settings_page import OTHERS, Setting, page, settings

#: Who reads the environment: the settings classes, and what runs before or beside a service.
MAY_READ = {
    "settings.py": "the place",
    "shared/kernel/crash.py": "crash points are off unless a fault test switches one on",
    "membership_service/members/names.py": "pypinyin hears by a variable alone what it need not load",
}
_VARIABLE = re.compile(r"\bUNIONHALL_[A-Z][A-Z_]*[A-Z]\b")


def unused_settings(names: set[str], sources: Iterable[Source]) -> set[str]:
    """Fields that nothing reads as an attribute outside the settings classes."""
    used = {
        node.attr
        for source in sources
        if not source.path.endswith("settings.py")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute)
    }
    return names - used


def unknown_variables(sources: Iterable[Source], known: set[str]) -> list[Breach]:
    """Variables of our prefix that are named somewhere and are no setting."""
    return [
        Breach(source.path, number, f"{name} is no setting")
        for source in sources
        for number, line in enumerate(source.text.splitlines(), 1)
        for name in _VARIABLE.findall(line)
        if name not in known
    ]


def stray_environment(sources: Iterable[Source]) -> list[Breach]:
    """Places of a service that read the environment beside its settings class."""
    return [
        Breach(source.path, node.lineno, "reads the environment beside the settings")
        for source in sources
        if source.path.startswith(("services/", "shared/")) and not source.path.endswith(tuple(MAY_READ))
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    ]


def undocumented(found: Iterable[Setting]) -> set[str]:
    """Settings without a description."""
    return {setting.variable for setting in found if not setting.field.description}


def test_every_setting_is_described() -> None:
    assert not undocumented(settings())


def test_the_page_is_that_of_the_code() -> None:
    assert (ROOT / "docs/settings.md").read_text("utf-8") == page(), (
        "run make docs and commit docs/settings.md"
    )


def test_every_setting_is_used() -> None:
    assert not unused_settings({setting.name for setting in settings()}, product_files())


def test_no_variable_is_read_that_is_no_setting() -> None:
    known = {setting.variable for setting in settings()} | set(OTHERS)
    breaches = unknown_variables(
        [s for s in own_files() if s.path != "tests/architecture/test_settings.py"], known
    )
    assert not breaches, report(breaches)


def test_services_read_the_environment_in_one_place() -> None:
    breaches = stray_environment(product_files())
    assert not breaches, report(breaches)


def test_planted_breaches_are_noticed() -> None:
    planted = Source(
        "services/gateway/src/gateway_service/app.py",
        "import os\nx = settings.used\ny = os.environ['UNIONHALL_GUESSED']\n",
    )
    assert unused_settings({"used", "forgotten"}, [planted]) == {"forgotten"}
    assert [breach.line for breach in unknown_variables([planted], {"UNIONHALL_USED"})] == [3]
    assert [breach.line for breach in stray_environment([planted])] == [3]
