"""The command that checks the chain, as an operator runs it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from shared.security.keys import KeyRing, new_ring_json
from shared.security.verify_audit import main
from tests.integration.security.conftest import Scene
from tests.integration.security.test_audit_chain import append, link


async def test_the_command_tells_a_whole_chain_from_a_broken_and_a_shortened_one(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys, head = tmp_path / "keys.json", tmp_path / "head.json"
    keys.write_bytes(new_ring_json())
    keys.chmod(0o600)
    monkeypatch.setenv("UNIONHALL_WORKER_DATABASE_URL", scene.worker.url)
    monkeypatch.setenv("UNIONHALL_KEYS_FILE", str(keys))

    async def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        # It has a loop of its own, as when an operator calls it.
        code = await asyncio.to_thread(main, list(arguments))
        return code, json.loads(capsys.readouterr().out)

    await append(scene, 3)
    await link(scene, KeyRing.load(keys))
    await append(scene)
    code, report = await run("--save", str(head))
    assert code == 0
    assert (report["valid"], report["links"], report["tail"]) == (True, 3, 1)
    assert report["head"] == json.loads(head.read_text("utf-8"))
    await scene.tamper("DELETE FROM audit_chain WHERE position = 3")
    assert (await run())[0] == 0
    code, report = await run("--anchor", str(head))
    assert (code, report["first_broken"], report["reason"]) == (1, 3, "cut-off")
    await scene.tamper("UPDATE audit_entries SET action = 'x' WHERE id = 1")
    code, report = await run()
    assert (code, report["first_broken"], report["reason"]) == (1, 1, "entry-changed")
