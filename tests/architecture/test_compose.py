"""docker-compose.yml, .env.example and the settings classes say the same."""

import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

from local_stack.plan import SERVICES
from local_stack.users import PASSWORD, demo_users
from tests.architecture.sources import ROOT
from tools.settings_page import OTHERS, settings
from unionhall_cli.demo.places import TOP_CODE, TOP_FOUNDED, TOP_NAME

#: Settings whose defaults fit every container; the image sets where to listen.
LEFT_ALONE = {
    "UNIONHALL_DRAIN_SECONDS",
    "UNIONHALL_HTTP_HOST",
    "UNIONHALL_HTTP_PORT",
    "UNIONHALL_WORKER_PORT",
    "UNIONHALL_OWNER_DEADLINE",
    "UNIONHALL_FILE_DEADLINE",
    "UNIONHALL_COMPOSED_DEADLINE",
}
KEYCLOAK = ROOT / "deploy/compose/keycloak"
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
    everything = set().union(*(given(file, name) for name in file["services"] if name != "demo"))
    assert everything | given(file, "demo") <= known | set(OTHERS)
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
    published = {name: service for name, service in services.items() if "ports" in service}
    # Whoever asks for the pages of Grafana gets them on loopback.
    assert published.keys() == {"gateway", "grafana"}
    assert published["grafana"]["profiles"] == ["observability"]
    for service in published.values():
        assert all(re.match(r"\$\{[A-Z]+_ADDRESS:-127\.0\.0\.1\}:", port) for port in service["ports"])
    assert not [name for name, service in services.items() if "mem_limit" not in service]


def test_no_needed_value_has_a_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    for name in ("UNIONHALL_OIDC_ISSUER", "UNIONHALL_OIDC_JWKS_URL", "UNIONHALL_IDENTITY_URL"):
        assert f"${{{name}:?" in text
    assert "postgresql://" not in text
    assert not re.search(r"PASSWORD: ", text)


def test_the_demo_users_of_keycloak_are_those_of_the_local_stack() -> None:
    there = json.loads((KEYCLOAK / "demo-users.json").read_text("utf-8"))
    assert {user["username"]: user["id"] for user in there} == {
        user.username: user.subject for user in demo_users()
    }
    assert {credential["value"] for user in there for credential in user["credentials"]} == {PASSWORD}
    # No role of the provider means anything, so none is given.
    assert not [user for user in there if user.keys() & {"realmRoles", "clientRoles", "groups"}]


def realm(*, demo: str) -> dict[str, Any]:
    """The realm as the start script writes it."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "password").write_text("made-up\n", "utf-8")
        (place / "kc.sh").write_text("#!/bin/sh\n", "utf-8")
        (place / "kc.sh").chmod(0o755)
        script = (KEYCLOAK / "start").read_text("utf-8").replace("/deploy/", f"{KEYCLOAK}/")
        script = re.sub(r"/run/secrets/\w+", str(place / "password"), script)
        script = script.replace("/opt/keycloak/bin/", f"{place}/").replace("/opt/keycloak/data", str(place))
        issuer = "https://union.example/identity/realms/unionhall"
        subprocess.run(
            ["bash", "-c", script],  # noqa: S607 - whichever is there
            env={"UNIONHALL_OIDC_ISSUER": issuer, "KEYCLOAK_DEMO": demo, "PATH": "/usr/bin:/bin"},
            check=True,
            timeout=30,
        )
        found: dict[str, Any] = json.loads((place / "import/unionhall.json").read_text("utf-8"))
    return found


def test_without_the_demo_keycloak_knows_nobody_and_every_client_needs_pkce() -> None:
    found = realm(demo="")
    assert found["users"] == []
    clients = [client for client in found["clients"] if client["enabled"] is True]
    assert [client["clientId"] for client in clients] == ["unionhall-console"]
    [client] = clients
    assert client["attributes"]["pkce.code.challenge.method"] == "S256"
    assert not client["directAccessGrantsEnabled"]
    assert client["redirectUris"] == ["https://union.example/*"]
    assert not found.keys() & {"roles", "groups", "defaultRoles"}
    assert not found["registrationAllowed"]


def test_with_the_demo_it_knows_the_demo_users_and_the_client_of_the_command() -> None:
    found = realm(demo="yes")
    assert len(found["users"]) == len(demo_users())
    assert [client["enabled"] for client in found["clients"]] == [True, True]


def test_what_the_demo_is_given_is_what_compose_asks_for() -> None:
    lines = (ROOT / "deploy/compose/demo.env").read_text("utf-8").splitlines()
    given_there = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert given_there.keys() <= set(_ASKED.findall((ROOT / "docker-compose.yml").read_text("utf-8")))
    administrator = next(user for user in demo_users() if user.username == "administrator")
    command = " ".join(composed()["services"]["demo-administrator"]["command"])
    assert administrator.subject in command
    assert f"--organisation-code {TOP_CODE} --organisation-name {TOP_NAME}" in command
    assert f"--founded-on {TOP_FOUNDED.isoformat()}" in command
