"""Settings of a service process: environment variables with the prefix UNIONHALL_, read once, frozen.

A secret may come as a file instead: `/run/secrets/unionhall_database_url` holds what UNIONHALL_DATABASE_URL would.
Each process gets only what it needs (the HTTP process never holds the owner's password), so every address may be empty
here and each composition root names what it cannot do without: `load(Settings, *HTTP_NEEDS)`.
"""

import os
import socket
import sys
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

PREFIX: Final = "UNIONHALL_"
#: Where containers are given their secrets: one file a setting, named like the variable in small letters. A variable wins.
SECRETS: Final = Path("/run/secrets")

HTTP_NEEDS: Final = ("database_url", "oidc_issuer", "oidc_audience", "oidc_jwks_url", "keys_file")
WORKER_NEEDS: Final = ("worker_database_url", "kafka_bootstrap", "keys_file")
MIGRATION_NEEDS: Final = ("owner_database_url",)
TOPICS_NEEDS: Final = ("kafka_bootstrap",)


def _parts(address: str) -> SplitResult:
    """The parts of an address; all empty if it cannot be taken apart. What the library says may hold a password."""
    nothing = urlsplit("")
    try:
        parts = urlsplit(address)
        # Refused by whoever asks for the address of such a name, in words that name no setting.
        (parts.hostname or "").encode("idna")
        return parts if parts.port != 0 and address.isprintable() and " " not in address else nothing
    except ValueError:
        return nothing


def _postgres(url: str) -> str:
    parts = _parts(url)
    if url and not (parts.scheme in {"postgresql", "postgres"} and parts.path.strip("/")):
        raise ValueError("expected postgresql://user:password@host:port/database, the port a number")
    return url


def _web(url: str) -> str:
    parts = _parts(url)
    if url and not (parts.scheme in {"http", "https"} and parts.hostname):
        raise ValueError("expected an address that begins with http:// or https://, its port a number")
    return url


def _without_slash(url: str) -> str:
    return url.rstrip("/")


def _brokers(addresses: str) -> str:
    for address in addresses.split(",") if addresses else ():
        parts = _parts(f"//{address.strip()}")
        if not (parts.hostname and parts.port and parts.netloc == address.strip()):
            raise ValueError("expected host:port[,host:port], each port a number")
    return addresses


#: Holds a password: never shown by repr.
DatabaseUrl = Annotated[str, AfterValidator(_postgres), Field(repr=False)]
WebUrl = Annotated[str, AfterValidator(_web), AfterValidator(_without_slash)]
#: Compared with what stands in tokens, so taken as it is: some issuers end with a slash.
Issuer = Annotated[str, AfterValidator(_web)]
Brokers = Annotated[str, AfterValidator(_brokers)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    """Read from variables of our prefix."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
        # As of a secret's file: whoever fills in a form leaves a blank now and then.
        str_strip_whitespace=True,
        allow_inf_nan=False,
    )


class ServiceSettings(Settings):
    """What every service reads. A service subclasses it as `Settings` in its settings.py; a field's docstring is its manual."""

    database_url: DatabaseUrl = ""
    """PostgreSQL as the application role, under row-level security: `postgresql://user:password@host:port/database`."""
    worker_database_url: DatabaseUrl = ""
    """The same as the worker role: relay, consumers, jobs."""
    owner_database_url: DatabaseUrl = ""
    """The same as the owner: migrations only."""
    database_pool: Annotated[int, Field(ge=1, le=200)] = 16
    """Connections in each of two pools, transactions and single statements: a process opens at most twice as many and one."""
    kafka_bootstrap: Brokers = ""
    """Brokers of Kafka: `host:port[,host:port]`."""
    oidc_issuer: Issuer = ""
    """The issuer that access tokens must name, letter by letter."""
    oidc_audience: str = ""
    """The audience that access tokens must name."""
    oidc_jwks_url: WebUrl = ""
    """Where the issuer publishes its keys, as this process reaches it."""
    keys_file: Path = Path()
    """The key ring, JSON, readable by its owner alone."""
    http_host: str = "127.0.0.1"
    """Address that the HTTP process listens on; a worker's health port too."""
    http_port: Port = 8080
    """Port of the HTTP process."""
    worker_port: Port = 9090
    """Port of a worker's health and metrics."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least level that is logged."""
    otlp_endpoint: WebUrl = ""
    """Where traces go (OTLP over HTTP, base URL); empty keeps them inside the process."""
    rate_limit_per_minute: Annotated[int, Field(ge=0)] = 1200
    """Requests of one user per minute and process; 0 lifts the limit, for benches."""
    drain_seconds: Annotated[float, Field(ge=0, le=300)] = 0.0
    """Seconds from SIGTERM until new connections are refused; meanwhile replies carry `Connection: close`."""


class TopicsSettings(Settings):
    """What the program that declares the topics reads: it needs nothing but the brokers."""

    kafka_bootstrap: Brokers = ""
    """Brokers of Kafka: `host:port[,host:port]`."""
    kafka_replication: Annotated[int, Field(ge=1, le=32767)] = 1
    """Brokers that keep each topic."""


SettingsT = TypeVar("SettingsT", bound=Settings)


def load(cls: type[SettingsT], *needed: str) -> SettingsT:
    """The settings of this process. Ends it at once, naming the variable and what is expected, if one is wrong or missing.

    `needed`: names of fields that must not be empty here, on top of those without a default.
    """
    try:
        settings = cls(_secrets_dir=SECRETS if SECRETS.is_dir() else None)
    except ValidationError as wrong:
        sys.exit("\n".join(_complaints(wrong)))
    except SettingsError as wrong:
        sys.exit(_unreadable(wrong))
    empty = [name for name in needed if getattr(settings, name) in ("", Path())]
    if empty:
        sys.exit("\n".join(f"{PREFIX}{name.upper()} is not set, and this process needs it" for name in empty))
    return settings


def require_free(host: str, port: int, setting: str) -> None:
    """End the process at once, naming the variable, if this process may not listen there. `setting` is the port's field."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as refused:
        reason = os.strerror(refused.errno) if refused.errno and refused.errno > 0 else str(refused)
        sys.exit(f"{PREFIX}{setting.upper()}: cannot listen on {host}, port {port} ({reason})")


def _unreadable(wrong: SettingsError) -> str:
    """Which secret, and why. Raises what is neither the system's trouble nor the file's."""
    match wrong.__cause__:
        case OSError() as refused:
            return f"{refused.filename}: this secret cannot be read ({refused.strerror})"
        case UnicodeDecodeError():
            return f"{SECRETS}: {wrong}: it is no text in UTF-8"
    raise wrong


def _complaints(wrong: ValidationError) -> list[str]:
    """One line a variable. The value is left out: it may hold a password."""
    return [
        f"{PREFIX}{'_'.join(str(part) for part in error['loc']).upper()}: {error['msg'].removeprefix('Value error, ')}"
        for error in wrong.errors(include_input=False, include_url=False)
    ]
