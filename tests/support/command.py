"""The command `unionhall`, run as a person would: in a process of its own, or, where that is not the point, in this one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from local_stack.layout import HOME_VARIABLE
from tests.support.stack import RunningStack
from unionhall_cli.main import app


class Command:
    """The command `unionhall`, on the stack of the test."""

    def __init__(self, stack: RunningStack, folder: Path) -> None:
        self._environment = os.environ | {HOME_VARIABLE: str(stack.layout.root), "UNIONHALL_LANG": "en"}
        self._folder = folder

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run it; give what it said."""
        return subprocess.run(
            [sys.executable, "-m", "unionhall_cli.main", *words],
            env=self._environment,
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )

    def json(self, *words: str) -> Any:
        """Run it with --json; give the document. It must succeed."""
        ran = self.run(*words, "--json")
        assert ran.returncode == 0, ran.stderr[-2000:]
        return json.loads(ran.stdout)


class QuickCommand(Command):
    """The same without starting a process for each verb."""

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run it; give what it said."""
        ran = CliRunner(env=self._environment).invoke(app, [*words], catch_exceptions=False)
        return subprocess.CompletedProcess(words, ran.exit_code, ran.stdout, ran.stderr)
