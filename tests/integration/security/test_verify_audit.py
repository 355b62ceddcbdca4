"""The command that checks the chain, as an operator runs it."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from shared.security.keys import KeyRing, new_ring_json
from tests.integration.security.conftest import Scene
from tests.integration.security.test_audit_chain import append, link


async def run(scene: Scene, keys: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    environment = os.environ | {
        "UNIONHALL_WORKER_DATABASE_URL": scene.worker.url,
        "UNIONHALL_KEYS_FILE": str(keys),
    }
    command = [sys.executable, "-m", "shared.security.verify_audit", *arguments]
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=25, check=False
    )
    assert done.stderr == ""
    report: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, report


async def test_the_command_tells_a_whole_chain_from_a_broken_and_a_shortened_one(
    scene: Scene, tmp_path: Path
) -> None:
    keys, head = tmp_path / "keys.json", tmp_path / "head.json"
    keys.write_bytes(new_ring_json())
    keys.chmod(0o600)
    await append(scene, 3)
    await link(scene, KeyRing.load(keys))
    await append(scene)
    code, report = await run(scene, keys, "--save", str(head))
    assert code == 0
    assert (report["valid"], report["links"], report["tail"]) == (True, 3, 1)
    assert report["head"] == json.loads(head.read_text("utf-8"))
    await scene.tamper("DELETE FROM audit_chain WHERE position = 3")
    assert (await run(scene, keys))[0] == 0
    code, report = await run(scene, keys, "--anchor", str(head))
    assert (code, report["first_broken"], report["reason"]) == (1, 3, "cut-off")
    await scene.tamper("UPDATE audit_entries SET action = 'x' WHERE id = 1")
    code, report = await run(scene, keys)
    assert (code, report["first_broken"], report["reason"]) == (1, 1, "entry-changed")
