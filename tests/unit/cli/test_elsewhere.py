"""The demo at an installation that is not the local stack: reached by its gateway, never started or stopped from here."""

import pytest

from local_stack import control
from local_stack.processes import LocalStackError
from unionhall_cli.demo import command

CASE = "01a201b4-8fd1-7ed9-883b-0927622772e2"
GATEWAY, ISSUER = "http://gateway:8080", "https://union.example/identity/realms/unionhall"


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIONHALL_GATEWAY", f"{GATEWAY}/")
    monkeypatch.setenv("UNIONHALL_OIDC_ISSUER", ISSUER)
    monkeypatch.setenv("UNIONHALL_BANK_URL", "http://bank:8080")


def test_it_runs_and_is_reached_through_its_gateway() -> None:
    found = control.status()
    assert (found.phase, found.gateway, found.issuer) == ("running", GATEWAY, ISSUER)
    assert found.identity == f"{GATEWAY}/identity/realms/unionhall/protocol/openid-connect"
    assert control.up() == found
    assert control.bank_url() == "http://bank:8080"


def test_its_settings_are_nobodys_here() -> None:
    with pytest.raises(LocalStackError, match="local-elsewhere: name UNIONHALL_GATEWAY"):
        control.environment_of("membership")


def test_what_the_demo_says_can_be_done_from_outside(capsys: pytest.CaptureFixture[str]) -> None:
    counts = ("organisations", "members", "rejected", "dossiers", "cases", "activities", "seconds")
    page = {
        "gateway": GATEWAY,
        "roster": "r",
        "file": "inside.xlsx",
        "users": [],
        "try": {"case": CASE, "activity": "a"},
    }
    command._show(page | dict.fromkeys(counts, 1))
    said = capsys.readouterr().out
    assert f"docker compose exec demo unionhall case show {CASE} --user approver\n" in said
    assert "https://union.example/" in said
    for inside in (GATEWAY, "make ", ".xlsx"):
        assert inside not in said
