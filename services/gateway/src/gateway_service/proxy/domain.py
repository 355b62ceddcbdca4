"""Which request goes to whom, and what of it is passed on. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

Headers = list[tuple[str, str]]

#: Path after /api/v1 → owner; the longest prefix of whole segments holds. The gateway's own routes are found before this is
#: asked. Every service answers `/audit`: see `audit_owner`.
OWNERS: Final[dict[str, str]] = {
    "organisations": "membership",
    "enterprises": "membership",
    "posts": "membership",
    "members": "membership",
    "transfers": "membership",
    "rosters": "membership",
    "audit": "membership",
    "me": "membership",
    "me/cases": "welfare",
    "me/programmes": "welfare",
    "rules": "welfare",
    "dossiers": "welfare",
    "programmes": "welfare",
    "cases": "welfare",
    "budgets": "welfare",
    "payouts": "welfare",
    "me/registrations": "events",
    "me/activities": "events",
    "me/check-ins": "events",
    "me/calendar": "events",
    "activities": "events",
    "registrations": "events",
    "calendars": "events",
}

#: Subscribed to by calendar programs, which cannot sign in: the secret in the path is judged by the owner. It is in no log.
WITHOUT_TOKEN: Final = frozenset({"calendars"})

#: Paths that carry files; they have a longer deadline and are never held in memory.
FILE_MARKS: Final = ("/rosters", "/import", "/bank-file", "/file", "/result", "/lottery", ".xlsx", ".csv")

#: Between two neighbours only (RFC 9110 §7.6.1).
_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
#: Who somebody is follows from the token; what a client claims about it in headers goes no further. The rest is set anew.
#: Whoever waits for leave to send a body (`expect`) gets it from the gateway, when that reads the body.
_DROPPED: Final = _HOP_BY_HOP | {
    "host",
    "expect",
    "forwarded",
    "x-real-ip",
    "x-request-id",
    "traceparent",
    "tracestate",
}
_DROPPED_PREFIXES: Final = ("x-forwarded-", "x-unionhall-", "x-auth-", "x-user-")
#: Kept from the client: what is between two neighbours, and what the gateway's own frame sets on every reply.
_NOT_SHOWN: Final = frozenset(name.encode() for name in _HOP_BY_HOP) | {
    b"x-request-id",
    b"x-content-type-options",
    b"x-frame-options",
    b"referrer-policy",
    b"cross-origin-opener-policy",
    b"cross-origin-resource-policy",
    b"date",
    b"server",
}


def _segments(path: str) -> list[str] | None:
    """What follows /api/v1; None for any other path."""
    parts = path.split("/")
    return None if len(parts) < 4 or parts[1:3] != ["api", "v1"] or ".." in parts else parts[3:]


def owner_of(path: str) -> str | None:
    """The service that answers a path; None when nobody does."""
    parts = _segments(path) or []
    owners = (OWNERS.get("/".join(parts[:length])) for length in (2, 1))
    return next((owner for owner in owners if owner), None)


def needs_token(path: str) -> bool:
    """Whether only somebody who is signed in may ask; so it is nearly everywhere."""
    parts = _segments(path)
    return not parts or parts[0] not in WITHOUT_TOKEN


@dataclass(frozen=True, slots=True)
class Passed:
    """How a request is passed on."""

    owner: str
    is_file: bool
    may_repeat: bool


def route(method: str, path: str, *, keyed: bool) -> Passed | None:
    """Whose request this is; None when nobody's. `keyed`: it carries an Idempotency-Key.

    Only a GET, or a request whose effect its key makes single, may be sent a second time.
    """
    owner = owner_of(path)
    if owner is None:
        return None
    is_file = any(mark in path for mark in FILE_MARKS)
    return Passed(owner, is_file, may_repeat=method in {"GET", "HEAD"} or keyed)


def request_headers(headers: Iterable[tuple[bytes, bytes]], added: Headers) -> Headers:
    """The headers that an owner sees. Names in lower case."""
    listed = [(name.decode("latin-1"), value.decode("utf-8", "surrogateescape")) for name, value in headers]
    named = {
        name.strip().lower() for key, value in listed if key == "connection" for name in value.split(",")
    }
    dropped = _DROPPED | named if named else _DROPPED
    kept = [
        (name, value)
        for name, value in listed
        if name not in dropped and not name.startswith(_DROPPED_PREFIXES)
    ]
    return [*kept, *added]


def response_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of an owner's answer that the client sees, as the owner wrote them."""
    lowered = [(name.lower(), value) for name, value in headers]
    return [(name, value) for name, value in lowered if name not in _NOT_SHOWN]
