"""What can go wrong, said once: every refusal has a stable code; `texts.toml` holds its words in both languages.

Raise, never return: only a raised error rolls the transaction back. `shared.web.errors` maps the classes to
RFC 9457 problem details, with the status named in each class. Parameters end up in texts that people read and in
logs, so they never hold a name, a document number or a phone.
"""

from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One wrong field of the input: JSON pointer-like path ("rows/3/phone"), the code of what is wrong, its parameters."""

    path: str
    code: str
    params: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class About:
    """The aggregate that somebody tried to do what he must not: its kind ("case"), its id, and where it stands in the tree."""

    kind: str
    id: UUID
    path: str


class DomainError(Exception):
    """Base of all refusals. `code` is stable and public, kebab-case, e.g. "member-already-active"."""

    status = 400

    def __init__(
        self,
        code: str,
        /,
        *,
        field: str | None = None,
        problems: tuple[FieldProblem, ...] = (),
        retry_after: int | None = None,
        about: About | None = None,
        **params: str | int,
    ) -> None:
        """`field` is short for one FieldProblem with the same code; `retry_after` is in seconds.

        With `about` the refusal is audited, though nothing else of its transaction stays (`shared.web.session`): for tries
        that an auditor must hear of, as deciding on one's own case.
        """
        super().__init__(code)
        self.code = code
        self.params = params
        self.problems = problems or ((FieldProblem(field, code, params),) if field else ())
        self.retry_after = retry_after
        self.about = about


class BadRequest(DomainError):
    """The request itself is malformed: header missing, JSON unreadable, cursor broken."""

    status = 400


class Unauthenticated(DomainError):
    """No usable token."""

    status = 401


class Forbidden(DomainError):
    """The caller is known but holds no post that allows this here."""

    status = 403


class NotFound(DomainError):
    """No such thing, or nothing the caller may know of: the two are never told apart."""

    status = 404


class Conflict(DomainError):
    """The state does not allow it, or somebody else was first."""

    status = 409


class StaleReplica(Conflict):
    """The caller has seen a newer version than this service has; try again after `retry_after` seconds."""

    def __init__(self, code: str = "stale-replica", /, **params: str | int) -> None:
        super().__init__(code, field=None, problems=(), retry_after=1, about=None, **params)


class StaleVersion(DomainError):
    """If-Match names a version that is no longer the current one."""

    status = 412


class TooLarge(DomainError):
    """Body, file or page over its limit."""

    status = 413


class Invalid(DomainError):
    """The input can be read but breaks a rule; `problems` names the fields."""

    status = 422


class PreconditionRequired(DomainError):
    """A write without If-Match where one is needed."""

    status = 428


class TooMany(DomainError):
    """Rate limit; `retry_after` says when to come back."""

    status = 429


class Unavailable(DomainError):
    """A part this needs is down or too old; `retry_after` says when to come back."""

    status = 503
