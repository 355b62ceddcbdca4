"""`unionhall lottery verify --file`: with nothing but a file."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from shared.kernel.ids import new_id
from unionhall_cli.main import app

SEED = bytes(range(32))


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIONHALL_LANG", "en")


def drawn(seats: int = 2, number: int = 5) -> dict[str, Any]:
    """What `--out` keeps of an honest draw."""
    ids = [new_id() for _ in range(number)]
    digest = hashlib.sha256(b"".join(sorted(one.bytes for one in ids))).digest()
    key = hashlib.sha256(SEED + digest).digest()
    order = sorted(ids, key=lambda one: hashlib.sha256(key + one.bytes).digest())
    entries = [
        [str(one), 0, rank, "confirmed" if rank <= seats else "waiting"] for rank, one in enumerate(order, 1)
    ]
    lottery = {
        "activity_id": str(new_id()),
        "commitment": hashlib.sha256(SEED).hexdigest(),
        "entries": number,
        "entries_digest": digest.hex(),
        "seats": [seats],
        "seed": SEED.hex(),
        "drawn_at": "2026-03-16T01:30:00Z",
    }
    return {"lottery": lottery, "entries": entries}


def verify(path: Path, saved: Any, *options: str) -> tuple[int, str]:
    path.write_text(saved if isinstance(saved, str) else json.dumps(saved), "utf-8")
    ran = CliRunner().invoke(app, ["lottery", "verify", "--file", str(path), *options])
    return ran.exit_code, " ".join(ran.output.split())


def test_an_honest_draw_verifies(tmp_path: Path) -> None:
    code, said = verify(tmp_path / "draw.json", drawn())
    assert code == 0
    assert said.startswith("Verified: order and result of 5 entries")
    code, said = verify(tmp_path / "draw.json", drawn(), "--json")
    assert code == 0
    assert json.loads(said)["verified"] is True


def test_a_changed_one_does_not_and_says_which_entry(tmp_path: Path) -> None:
    saved = drawn()
    saved["entries"][4][3] = "confirmed"
    code, said = verify(tmp_path / "draw.json", saved)
    assert code == 1
    assert saved["entries"][4][0] in said.replace(" ", "")
    code, said = verify(tmp_path / "draw.json", saved, "--json")
    answer = json.loads(said)
    assert (code, answer["verified"]) == (1, False)
    assert [one["code"] for one in answer["differences"]] == ["lottery-result-differs"]


@pytest.mark.parametrize(
    "saved", ["", "[]", "{}", '{"lottery": {}, "entries": [[1]]}', '{"lottery": 1, "entries": 2}']
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, saved: str) -> None:
    code, said = verify(tmp_path / "draw.json", saved)
    assert code == 1
    assert "is not a file that unionhall lottery verify --out saved" in said


def test_what_is_not_drawn_cannot_be_verified(tmp_path: Path) -> None:
    saved = drawn()
    saved["lottery"]["drawn_at"] = None
    assert verify(tmp_path / "draw.json", saved)[0] == 1


def test_it_wants_an_activity_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "draw.json"
    path.write_text(json.dumps(drawn()), "utf-8")
    both = CliRunner().invoke(app, ["lottery", "verify", str(new_id()), "--file", str(path)])
    neither = CliRunner().invoke(app, ["lottery", "verify"])
    assert (both.exit_code, neither.exit_code) == (1, 1)
