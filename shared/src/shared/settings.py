"""Settings of a service process: environment variables with the prefix UNIONHALL_, read once, frozen.

Each process gets only what it needs (the HTTP process never holds the owner's password), so every address may be empty
here and each composition root names what it cannot do without: `load(Settings, *HTTP_NEEDS)`.
"""

import sys
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX: Final = "UNIONHALL_"

HTTP_NEEDS: Final = ("database_url", "oidc_issuer", "oidc_audience", "oidc_jwks_url", "keys_file")
WORKER_NEEDS: Final = ("worker_database_url", "kafka_bootstrap", "keys_file")
MIGRATION_NEEDS: Final = ("owner_database_url",)


def _postgres(url: str) -> str:
    if url and not url.startswith(("postgresql://", "postgres://")):
        raise ValueError("expected postgresql://user:password@host:port/database")
    return url


def _web(url: str) -> str:
    if url and not url.startswith(("http://", "https://")):
        raise ValueError("expected an address that begins with http:// or https://")
    return url.rstrip("/")


#: Holds a password: never shown by repr.
DatabaseUrl = Annotated[str, AfterValidator(_postgres), Field(repr=False)]
WebUrl = Annotated[str, AfterValidator(_web)]
Port = Annotated[int, Field(ge=0, le=65535)]


class ServiceSettings(BaseSettings):
    """What every service reads. A service subclasses it as `Settings` in its settings.py."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    #: PostgreSQL as the application role (HTTP), the worker role, the owner (migrations).
    database_url: DatabaseUrl = ""
    worker_database_url: DatabaseUrl = ""
    owner_database_url: DatabaseUrl = ""
    #: Connections of one process to PostgreSQL.
    database_pool: Annotated[int, Field(ge=1, le=200)] = 16
    #: host:port[,host:port] of Kafka.
    kafka_bootstrap: str = ""
    oidc_issuer: WebUrl = ""
    oidc_audience: str = ""
    oidc_jwks_url: WebUrl = ""
    #: The key ring, JSON, readable by its owner alone.
    keys_file: Path | None = None
    http_host: str = "127.0.0.1"
    http_port: Port = 8080
    #: Health and metrics of a worker.
    worker_port: Port = 9090
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    #: Where traces go; empty keeps them inside the process.
    otlp_endpoint: WebUrl = ""
    #: Requests of one user per minute and process; 0 lifts the limit (benches).
    rate_limit_per_minute: Annotated[int, Field(ge=0)] = 1200
    #: Seconds from SIGTERM until new connections are refused; meanwhile replies carry `Connection: close`.
    drain_seconds: Annotated[float, Field(ge=0, le=300)] = 0.0


SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


def load(cls: type[SettingsT], *needed: str) -> SettingsT:
    """The settings of this process. Ends it at once, naming the variable and what is expected, if one is wrong or missing.

    `needed`: names of fields that must not be empty here, on top of those without a default.
    """
    try:
        settings = cls()
    except ValidationError as wrong:
        sys.exit("\n".join(_complaints(wrong)))
    empty = [name for name in needed if getattr(settings, name) in ("", None)]
    if empty:
        sys.exit("\n".join(f"{PREFIX}{name.upper()} is not set, and this process needs it" for name in empty))
    return settings


def _complaints(wrong: ValidationError) -> list[str]:
    """One line a variable. The value is left out: it may hold a password."""
    return [
        f"{PREFIX}{'_'.join(str(part) for part in error['loc']).upper()}: {error['msg']}"
        for error in wrong.errors(include_input=False, include_url=False)
    ]
