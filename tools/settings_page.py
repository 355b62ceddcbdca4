"""Prints docs/settings.md: every setting of every service, from the settings classes themselves."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

SERVICES = ("membership", "welfare", "events", "gateway")

#: Variables that no service reads: name -> who reads it, what it is.
OTHERS = {
    "UNIONHALL_KAFKA_REPLICATION": (
        "`python -m shared.messaging.topics`",
        "Brokers that keep each topic; 1 unless said.",
    ),
    "UNIONHALL_HOME": ("local stack", "Folder of the local data, instead of `.unionhall/` in the project."),
    "UNIONHALL_POSTGRES_URL": (
        "local stack",
        "Superuser URL of a PostgreSQL 18 of your own, instead of a child process.",
    ),
    "UNIONHALL_MAVEN_REPOSITORY": (
        "local stack",
        "Maven repository from which Kafka's jars are fetched; their sums are checked whatever it serves.",
    ),
    "UNIONHALL_LOCAL_STACK": (
        "local stack",
        "Set by it for its processes, so that it recognises them after a crash.",
    ),
    "UNIONHALL_GATEWAY": (
        "`unionhall demo`",
        "Gateway of an installation elsewhere into which the demo is loaded, instead of the local stack.",
    ),
    "UNIONHALL_LANG": (
        "`unionhall`",
        "Language of the command, `zh` or `en`; otherwise that of the terminal.",
    ),
    "UNIONHALL_TEST_POSTGRES_URL": (
        "tests",
        "Superuser URL of a PostgreSQL 18 to test on, instead of one started for the run.",
    ),
    "UNIONHALL_TEST_KAFKA": (
        "tests",
        "host:port of an Apache Kafka to test on, instead of one started for the run.",
    ),
    "UNIONHALL_CRASH_POINT": (
        "fault tests",
        "Name of the crash point at which the process kills itself; `name:3` at its third passing.",
    ),
}


@dataclass(frozen=True)
class Setting:
    """One field of a settings class."""

    service: str
    name: str
    field: FieldInfo

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"UNIONHALL_{self.name.upper()}"


def settings() -> Iterator[Setting]:
    """Every field of every settings class, service by service."""
    for service in SERVICES:
        module = importlib.import_module(f"{service}_service.settings")
        for kind in vars(module).values():
            if (
                isinstance(kind, type)
                and issubclass(kind, BaseSettings)
                and kind.__module__ == module.__name__
            ):
                for name, field in kind.model_fields.items():
                    yield Setting(service, name, field)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True, validated_data={})
    return "–" if default in (None, "", Path()) else f"`{default}`"


def page() -> str:
    """The whole page."""
    rows: dict[str, tuple[list[str], FieldInfo]] = {}
    for setting in settings():
        readers, _ = rows.setdefault(setting.variable, ([], setting.field))
        if setting.service not in readers:
            readers.append(setting.service)
    lines = [
        "# Settings",
        "",
        "Environment variables, read once when a process starts. This page is written by `tools/settings_page.py` (`make docs`)",
        "from the settings classes; a variable that is not here is read by nothing.",
        "",
        "| variable | read by | default | meaning |",
        "|---|---|---|---|",
    ]
    for variable, (readers, field) in rows.items():
        lines.append(
            f"| `{variable}` | {', '.join(readers)} | {_default(field)} | {field.description or ''} |"
        )
    lines += [
        f"| `{name}` | {reader} | – | {text} |" for name, (reader, text) in OTHERS.items() if name not in rows
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
