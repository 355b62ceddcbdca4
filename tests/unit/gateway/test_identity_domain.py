import pytest

from gateway_service.identity.domain import is_shown


@pytest.mark.parametrize(
    "path",
    [
        "/identity/realms/unionhall/protocol/openid-connect/auth",
        "/identity/realms/unionhall/.well-known/openid-configuration",
        "/identity/resources/abc/login/keycloak.v2/css/styles.css",
        "/identity/token",
        "/identity/realms/masters/account",
        "/identity/realms/unionhall/admin",
    ],
)
def test_signing_in_is_shown(path: str) -> None:
    assert is_shown(path)


@pytest.mark.parametrize(
    "path",
    [
        "/identity/admin",
        "/identity/admin/realms/unionhall/users",
        "/identity/realms/master/protocol/openid-connect/token",
        "/identity//admin/",
        "/identity/%61dmin",
        "/identity/%2561dmin",
        "/identity/ADMIN",
        "/identity/admin;x=1/realms",
        "/identity/realms/master;x=1/protocol",
        "/identity/realms/unionhall/../../admin",
        "/identity/realms/unionhall/%2e%2e/master",
        "/identity/./admin",
        "/identity\\admin",
        "/identity/metrics",
        "/identity/health/ready",
    ],
)
def test_the_providers_own_administration_is_not_however_it_is_written(path: str) -> None:
    assert not is_shown(path)
