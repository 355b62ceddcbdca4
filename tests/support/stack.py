"""The whole local stack in a folder of its own, for tests that go through all services."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from local_stack import control
from local_stack.layout import Layout
from local_stack.state import ProcessStatus, StackStatus
from local_stack.users import PASSWORD


@dataclass(frozen=True)
class RunningStack:
    """A local stack that runs. Addresses and processes are asked for anew each time: they change after a kill."""

    layout: Layout

    @property
    def status(self) -> StackStatus:
        """What the supervisor says now."""
        return control.status(self.layout)

    def process(self, name: str) -> ProcessStatus:
        """One process by name ("membership-worker")."""
        return next(process for process in self.status.processes if process.name == name)

    def kill(self, name: str) -> int:
        """`kill -9` of one process; gives the pid it had."""
        pid = self.process(name).pid
        if pid is None:
            raise ProcessLookupError(f"{name} does not run")
        os.kill(pid, signal.SIGKILL)
        return pid

    def is_back(self, name: str, killed: int) -> bool:
        """Whether a killed process runs again and is ready."""
        process = self.process(name)
        return process.state == "running" and process.pid not in {None, killed}

    def environment(self, service: str) -> dict[str, str]:
        """What a program that works for this service needs in its environment."""
        return control.environment_of(service, self.layout)

    def token(self, username: str) -> str:
        """A bearer token of a demo user."""
        form = {
            "grant_type": "password",
            "client_id": "unionhall-cli",
            "username": username,
            "password": PASSWORD,
        }
        answer = httpx.post(f"{self.status.identity}/token", data=form, trust_env=False, timeout=10)
        answer.raise_for_status()
        token: str = answer.json()["access_token"]
        return token

    def client(self, username: str) -> httpx.AsyncClient:
        """A client of the gateway, signed in as a demo user."""
        headers = {"Authorization": f"Bearer {self.token(username)}"}
        return httpx.AsyncClient(base_url=self.status.gateway, headers=headers, trust_env=False, timeout=30)


@contextmanager
def running_stack(folder: Path) -> Iterator[RunningStack]:
    """Start everything below `folder` (about 15 seconds); stop it and delete the folder at the end."""
    layout = Layout(folder)
    try:
        control.up(layout)
        yield RunningStack(layout)
    finally:
        control.erase(layout)
