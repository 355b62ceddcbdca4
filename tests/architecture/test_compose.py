"""docker-compose.yml, .env.example and the settings classes say the same."""

import re
from typing import Any

import yaml

from tests.architecture.sources import ROOT
from tools.settings_page import OTHERS, settings

SERVICES = ("membership", "welfare", "events", "gateway")
#: Settings whose defaults fit every container; the image sets where to listen.
LEFT_ALONE = {
    "UNIONHALL_DATABASE_POOL",
    "UNIONHALL_DRAIN_SECONDS",
    "UNIONHALL_RATE_LIMIT_PER_MINUTE",
    "UNIONHALL_HTTP_HOST",
    "UNIONHALL_HTTP_PORT",
    "UNIONHALL_WORKER_PORT",
    "UNIONHALL_OWNER_DEADLINE",
    "UNIONHALL_FILE_DEADLINE",
    "UNIONHALL_COMPOSED_DEADLINE",
}
_ASKED = re.compile(r"\$\{([A-Z_]+)")
_OFFERED = re.compile(r"^#?([A-Z_]+)=", re.MULTILINE)


def composed() -> dict[str, Any]:
    """The file, its anchors and merges resolved."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    return found


def given(file: dict[str, Any], name: str) -> set[str]:
    """The variables that a container is given, secrets among them."""
    service = file["services"][name]
    secrets = {secret["target"].upper() for secret in service.get("secrets", ()) if isinstance(secret, dict)}
    return {word for word in service.get("environment", {}) if word.startswith("UNIONHALL_")} | secrets


def test_every_variable_that_compose_asks_for_is_in_the_example_and_the_other_way_round() -> None:
    asked = set(_ASKED.findall((ROOT / "docker-compose.yml").read_text("utf-8")))
    assert asked == set(_OFFERED.findall((ROOT / ".env.example").read_text("utf-8")))


def test_every_setting_is_given_to_a_container_or_left_alone_on_purpose() -> None:
    file = composed()
    known = {setting.variable for setting in settings()}
    everything = set().union(*(given(file, name) for name in file["services"]))
    assert everything <= known | set(OTHERS)
    assert known - everything == LEFT_ALONE


def test_each_process_holds_the_password_of_its_own_role_alone() -> None:
    file = composed()
    for service in SERVICES:
        held = {
            name: {word for word in given(file, name) if word.endswith("DATABASE_URL")}
            for name in (service, f"{service}-worker", f"{service}-migrate")
        }
        assert held == {
            service: {"UNIONHALL_DATABASE_URL"},
            f"{service}-worker": {"UNIONHALL_WORKER_DATABASE_URL"},
            f"{service}-migrate": {"UNIONHALL_OWNER_DATABASE_URL"},
        }


def test_only_the_gateway_is_published_and_everything_has_a_limit() -> None:
    services = composed()["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["gateway"]
    assert not [name for name, service in services.items() if "mem_limit" not in service]


def test_no_needed_value_has_a_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    for name in ("UNIONHALL_OIDC_ISSUER", "UNIONHALL_OIDC_JWKS_URL", "UNIONHALL_IDENTITY_URL"):
        assert f"${{{name}:?" in text
    assert "postgresql://" not in text
    assert not re.search(r"PASSWORD: ", text)
