import pytest

from gateway_service.proxy.domain import needs_token, owner_of, route


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("/api/v1/me", "membership"),
        ("/api/v1/me/posts", "membership"),
        ("/api/v1/me/cases", "welfare"),
        ("/api/v1/me/cases/5/acknowledgement", "welfare"),
        ("/api/v1/me/programmes", "welfare"),
        ("/api/v1/me/registrations", "events"),
        ("/api/v1/me/activities", "events"),
        ("/api/v1/me/check-ins", "events"),
        ("/api/v1/me/calendar", "events"),
        ("/api/v1/me/casesx", "membership"),
        ("/api/v1/payouts/5/file", "welfare"),
        ("/api/v1/activities/5/registrations", "events"),
        ("/api/v1/me/../cases", None),
        ("/api/v1/unknown/cases", None),
        ("/api/v2/cases", None),
        ("/internal/v1/work", None),
        ("/api/v1", None),
    ],
)
def test_the_longest_prefix_says_who_owns_a_path(path: str, owner: str | None) -> None:
    assert owner_of(path) == owner
    passed = route("GET", path, keyed=False)
    assert (passed.owner if passed else None) == owner


@pytest.mark.parametrize(
    ("path", "needed"),
    [
        ("/api/v1/calendars/secret.ics", False),
        ("/api/v1/calendar", True),
        ("/api/v1/me/calendars", True),
        ("/api/v1/calendars/../members", True),
        ("/api/v1/members", True),
    ],
)
def test_only_a_calendar_is_had_without_a_token(path: str, *, needed: bool) -> None:
    assert needs_token(path) is needed


@pytest.mark.parametrize(
    ("path", "is_file"),
    [
        ("/api/v1/payouts/5/file", True),
        ("/api/v1/payouts/5/result", True),
        ("/api/v1/rosters", True),
        ("/api/v1/activities/5/lottery/entries", True),
        ("/api/v1/cases/5", False),
    ],
)
def test_files_have_time(path: str, *, is_file: bool) -> None:
    passed = route("GET", path, keyed=False)
    assert passed is not None
    assert passed.is_file is is_file
