"""The demo users of the local issuer, from `users.toml`."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

PASSWORD = "demo"  # noqa: S105 - the local issuer knows made-up people only and listens on loopback only


@dataclass(frozen=True)
class DemoUser:
    """One made-up person. `role` and `organisation` (its code) name the post that the demo grants; empty for a member."""

    username: str
    subject: str
    zh: str
    en: str
    role: str = ""
    organisation: str = ""


@cache
def demo_users() -> tuple[DemoUser, ...]:
    """All demo users, the administrator first."""
    raw = tomllib.loads(files("local_stack").joinpath("users.toml").read_text(encoding="utf-8"))
    return tuple(DemoUser(**user) for user in raw["user"])


def demo_user(username: str) -> DemoUser | None:
    """The demo user of this name."""
    return next((user for user in demo_users() if user.username == username), None)


def username_of(subject: str) -> str | None:
    """The name of the demo user with this subject."""
    return next((user.username for user in demo_users() if user.subject == subject), None)
