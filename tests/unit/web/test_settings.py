"""Settings: wrong or missing ones end the process with the variable's name and no secret."""

import pytest
from pydantic import ValidationError

from shared.settings import HTTP_NEEDS, ServiceSettings, load


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ServiceSettings.model_fields:
        monkeypatch.delenv(f"UNIONHALL_{name.upper()}", raising=False)


def test_what_a_process_needs_and_has_not_is_named() -> None:
    with pytest.raises(SystemExit) as ended:
        load(ServiceSettings, *HTTP_NEEDS)
    said = str(ended.value)
    for name in HTTP_NEEDS:
        assert f"UNIONHALL_{name.upper()} is not set" in said
    assert "OWNER" not in said


def test_what_it_does_not_need_may_be_missing() -> None:
    assert load(ServiceSettings).owner_database_url == ""


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("UNIONHALL_DATABASE_URL", "mysql://rita:secret-word@host/db"),
        ("UNIONHALL_HTTP_PORT", "secret-word"),
        ("UNIONHALL_HTTP_PORT", "70000"),
        ("UNIONHALL_LOG_LEVEL", "secret-word"),
        ("UNIONHALL_OIDC_ISSUER", "secret-word"),
        ("UNIONHALL_DATABASE_POOL", "0"),
    ],
)
def test_what_is_wrong_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        load(ServiceSettings)
    assert str(ended.value).startswith(f"{variable}: ")
    assert "secret-word" not in str(ended.value)


def test_settings_are_frozen_and_show_no_password() -> None:
    settings = ServiceSettings(database_url="postgresql://rita:secret-word@host/db")
    assert "secret-word" not in repr(settings)
    with pytest.raises(ValidationError):
        settings.http_port = 1  # type: ignore[misc]
