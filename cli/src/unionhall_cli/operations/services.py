"""The services of the running local stack, as an operator meets them: by their databases (worker's role), programs and broker."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from local_stack import control
from local_stack.plan import SERVICES
from local_stack.state import StackStatus
from shared.database.engine import Database
from unionhall_cli.output import give_up

T = TypeVar("T")


def running() -> StackStatus:
    """The local stack; ends the command when it does not run."""
    found = control.status()
    if found.phase != "running":
        give_up("not-running")
    return found


def names() -> tuple[str, ...]:
    """All services."""
    return SERVICES


def do(work: Coroutine[Any, Any, T]) -> T:
    """Run what waits for servers, if the stack runs."""
    try:
        running()
        return asyncio.run(work)
    finally:
        work.close()


@asynccontextmanager
async def database(service: str) -> AsyncIterator[Database]:
    """A service's database under the worker's role, which sees all rows."""
    url = control.environment_of(service)["UNIONHALL_WORKER_DATABASE_URL"]
    opened = Database(url, pool_size=1, application_name="unionhall")
    try:
        yield opened
    finally:
        await opened.close()


def program(service: str, module: str, *arguments: str) -> "subprocess.Popen[str]":
    """A program that works for a service (`membership_service.bootstrap`), with all settings of that service."""
    running()
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env=control.environment_of(service),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
