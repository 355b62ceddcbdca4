"""Only the session of a request, the relay, the consumer, jobs and migrations may open and commit a transaction.

Everything else works inside the transaction that it is given: then state, outbox row and audit row stand or fall together.
"""

import ast
import re
from collections.abc import Iterable
from fnmatch import fnmatch

from tests.architecture.sources import Breach, Source, product_files, report

#: Pattern of path -> why it may.
MAY_COMMIT = {
    "services/*/bootstrap.py": "the operator's program that writes the first administrator; no request and no job is there yet",
    "shared/src/shared/web/session.py": "the one place where a request commits",
    "shared/src/shared/messaging/relay*.py": "the relay's progress",
    "shared/src/shared/messaging/consumer*.py": "a batch and its offsets",
    "shared/src/shared/jobs/*.py": "a chunk of a job and its position",
    "services/*/migrations/*.py": "migrations",
    "shared/src/shared/database/migrations.py": "what runs them",
}
_METHODS = {"commit", "begin", "begin_nested"}
_STATEMENT = re.compile(r"\s*(BEGIN|COMMIT|START)( WORK| TRANSACTION)?\s*(;|ISOLATION|READ|$)", re.IGNORECASE)


def commit_breaches(sources: Iterable[Source]) -> list[Breach]:
    """Calls of commit and begin, and the SQL words, outside the places that may."""
    breaches = []
    for source in sources:
        if any(fnmatch(source.path, pattern) for pattern in MAY_COMMIT):
            continue
        for node in ast.walk(source.tree):
            match node:
                case ast.Call(func=ast.Attribute(attr=attr)) if attr in _METHODS:
                    breaches.append(Breach(source.path, node.lineno, f".{attr}( outside the places that may"))
                case ast.Constant(value=str(text)) if _STATEMENT.match(text):
                    breaches.append(
                        Breach(source.path, node.lineno, f"{text.strip()!r} outside the places that may")
                    )
                case _:
                    pass
    return breaches


def test_nothing_else_commits() -> None:
    breaches = commit_breaches(product_files())
    assert not breaches, report(breaches)


def test_a_planted_commit_is_noticed() -> None:
    text = """async def admit(session):
    await session.commit()
    async with engine.begin() as connection:
        await connection.run("COMMIT")
"""
    planted = Source("services/membership/src/membership_service/members/use_cases.py", text)
    assert [breach.line for breach in commit_breaches([planted])] == [2, 3, 4]
    allowed = Source("shared/src/shared/web/session.py", text)
    assert not commit_breaches([allowed])
