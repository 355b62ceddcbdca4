"""Settings: wrong or missing ones end the process with the variable's name and no secret."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from shared import settings as module
from shared.settings import HTTP_NEEDS, ServiceSettings, TopicsSettings, load


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*ServiceSettings.model_fields, *TopicsSettings.model_fields):
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
        ("UNIONHALL_DATABASE_URL", "postgresql://rita:secret-word@host:abc/db"),
        ("UNIONHALL_DATABASE_URL", "postgresql://rita:secret-word@host:65536/db"),
        ("UNIONHALL_DATABASE_URL", "postgresql://rita:secret-word@[::1/db"),
        ("UNIONHALL_DATABASE_URL", "postgresql://rita:secret-word/x@host/db"),
        ("UNIONHALL_DATABASE_URL", "postgresql://rita:secret-word@host:5432"),
        ("UNIONHALL_DATABASE_URL", "postgresql://rita:secret-word@a..b/db"),
        ("UNIONHALL_DATABASE_URL", "postgresql://rita:secret-word@ho st/db"),
        ("UNIONHALL_DATABASE_URL", "postgresql://rita:secret-word@host/db\npostgresql://rita:other@host/db"),
        ("UNIONHALL_DATABASE_URL", "\ufeffpostgresql://rita:secret-word@host/db"),
        ("UNIONHALL_DATABASE_URL", '"postgresql://rita:secret-word@host/db"'),
        ("UNIONHALL_OIDC_JWKS_URL", "file:///secret-word"),
        ("UNIONHALL_OIDC_JWKS_URL", "http://a..b/secret-word"),
        ("UNIONHALL_DRAIN_SECONDS", "NaN"),
        ("UNIONHALL_DRAIN_SECONDS", "inf"),
        ("UNIONHALL_DRAIN_SECONDS", "-1"),
        ("UNIONHALL_RATE_LIMIT_PER_MINUTE", "-1"),
        ("UNIONHALL_DATABASE_POOL", "-3"),
        ("UNIONHALL_KAFKA_BOOTSTRAP", "kafka:secret-word"),
        ("UNIONHALL_KAFKA_BOOTSTRAP", "kafka:9092,other"),
        ("UNIONHALL_KAFKA_BOOTSTRAP", "PLAINTEXT://kafka:9092"),
        ("UNIONHALL_KAFKA_BOOTSTRAP", "kafka:9092/x"),
        ("UNIONHALL_KAFKA_BOOTSTRAP", ":9092"),
        ("UNIONHALL_OIDC_JWKS_URL", "http://host:secret-word/jwks"),
        ("UNIONHALL_OTLP_ENDPOINT", "http://"),
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


@pytest.mark.parametrize("value", ["three", "0", "1.5"])
def test_a_wrong_number_of_replicas_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("UNIONHALL_KAFKA_REPLICATION", value)
    with pytest.raises(SystemExit, match=r"^UNIONHALL_KAFKA_REPLICATION: Input should be "):
        load(TopicsSettings)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("database_url", "postgresql://rita:p%40ss@[::1]:5432/db"),
        ("database_url", "postgres://rita@host/db?sslmode=verify-full"),
        ("kafka_bootstrap", "one:9092, two.test:9093,[::1]:9094"),
        ("oidc_jwks_url", "http://127.0.0.1:8080/jwks"),
        # A token's issuer is compared letter by letter.
        ("oidc_issuer", "https://tenant.identity.test/"),
    ],
)
def test_what_is_right_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, field: str, value: str) -> None:
    monkeypatch.setenv(f"UNIONHALL_{field.upper()}", value)
    assert getattr(load(ServiceSettings), field) == value


def test_blanks_around_a_value_are_nobodys_intention(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIONHALL_DATABASE_URL", " postgresql://rita@host/db ")
    monkeypatch.setenv("UNIONHALL_OIDC_AUDIENCE", "\t")
    monkeypatch.setenv("UNIONHALL_HTTP_PORT", " 8081 ")
    settings = load(ServiceSettings)
    assert (settings.database_url, settings.oidc_audience, settings.http_port) == (
        "postgresql://rita@host/db",
        "",
        8081,
    )


def test_settings_are_frozen_and_show_no_password() -> None:
    settings = ServiceSettings(database_url="postgresql://rita:secret-word@host/db")
    assert "secret-word" not in repr(settings)
    with pytest.raises(ValidationError):
        settings.http_port = 1  # type: ignore[misc]


def test_a_secret_may_come_as_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "SECRETS", tmp_path)
    (tmp_path / "unionhall_database_url").write_text("postgresql://rita:of-the-file@host/db\n")
    assert load(ServiceSettings).database_url == "postgresql://rita:of-the-file@host/db"
    monkeypatch.setenv("UNIONHALL_DATABASE_URL", "postgresql://rita:of-the-variable@host/db")
    assert load(ServiceSettings).database_url == "postgresql://rita:of-the-variable@host/db"


def test_a_wrong_secret_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "SECRETS", tmp_path)
    (tmp_path / "unionhall_database_url").write_text("mysql://rita:secret-word@host/db\n")
    with pytest.raises(SystemExit) as ended:
        load(ServiceSettings)
    assert str(ended.value).startswith("UNIONHALL_DATABASE_URL: ")
    assert "secret-word" not in str(ended.value)


def test_a_secret_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "SECRETS", tmp_path)
    secret = tmp_path / "unionhall_database_url"
    secret.write_text("postgresql://rita:secret-word@host/db")

    def refuse(path: Path, *_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(SystemExit) as ended:
        load(ServiceSettings)
    assert str(ended.value) == f"{secret}: this secret cannot be read (Permission denied)"


def test_a_secret_that_is_no_text_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "SECRETS", tmp_path)
    (tmp_path / "unionhall_database_url").write_bytes(b"\xff\xfesecret-word")
    with pytest.raises(SystemExit, match=r"database_url.* no text in UTF-8$") as ended:
        load(ServiceSettings)
    assert "secret-word" not in str(ended.value)
