"""Who may do what where: role x action x place. Rights come from posts alone; claims of a token carry none.

This is the first of two guards; row-level security is the second, and each is tested without the other.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from shared.contracts.membership import Role
from shared.database.scope import Scope
from shared.kernel.errors import Forbidden, NotFound, Unavailable


class Action(StrEnum):
    """Everything a user can ask for, as kind.verb."""

    ORGANISATION_READ = "organisation.read"
    ORGANISATION_CHANGE = "organisation.change"
    ENTERPRISE_READ = "enterprise.read"
    ENTERPRISE_CHANGE = "enterprise.change"
    POST_READ = "post.read"
    POST_GRANT = "post.grant"
    MEMBER_READ = "member.read"
    MEMBER_APPLY = "member.apply"
    MEMBER_APPROVE = "member.approve"
    MEMBER_CHANGE = "member.change"
    MEMBER_END = "member.end"
    MEMBER_TRANSFER = "member.transfer"
    MEMBER_UNMASK = "member.unmask"
    MEMBER_ERASE = "member.erase"
    ROSTER_IMPORT = "roster.import"
    ROSTER_UNDO = "roster.undo"
    DASHBOARD_READ = "dashboard.read"
    TIMELINE_READ = "timeline.read"
    AUDIT_READ = "audit.read"
    OPERATIONS_READ = "operations.read"
    RULE_READ = "rule.read"
    RULE_CHANGE = "rule.change"
    DOSSIER_READ = "dossier.read"
    DOSSIER_CHANGE = "dossier.change"
    DOSSIER_DECIDE = "dossier.decide"
    DOSSIER_UNMASK = "dossier.unmask"
    PROGRAMME_READ = "programme.read"
    PROGRAMME_CHANGE = "programme.change"
    CASE_READ = "case.read"
    CASE_CHANGE = "case.change"
    CASE_APPROVE = "case.approve"
    BUDGET_READ = "budget.read"
    BUDGET_CHANGE = "budget.change"
    PAYOUT_READ = "payout.read"
    PAYOUT_CHANGE = "payout.change"
    ACTIVITY_READ = "activity.read"
    ACTIVITY_CHANGE = "activity.change"
    ACTIVITY_APPROVE = "activity.approve"
    REGISTRATION_READ = "registration.read"
    REGISTRATION_CHANGE = "registration.change"
    CHECK_IN = "registration.check-in"


_EVERYONE: Final = frozenset(Role)
_ADMINISTRATOR: Final = frozenset({Role.ADMINISTRATOR})
_REGISTRAR: Final = frozenset({Role.REGISTRAR})
_OVERSEERS: Final = frozenset({Role.ADMINISTRATOR, Role.AUDITOR})
_WELFARE: Final = frozenset({Role.WELFARE_OFFICER})
_APPROVER: Final = frozenset({Role.APPROVER})
_TREASURER: Final = frozenset({Role.TREASURER})
_ORGANISER: Final = frozenset({Role.ORGANISER})
_AUDITOR: Final = frozenset({Role.AUDITOR})

#: The roles that may do each action at their unit and all below it. Everyone with a post reads, masked; an auditor reads
#: all and changes nothing; an administrator arranges units and posts but never unmasks. Hardship and money are for those who
#: work on them: an approver decides what a welfare officer has gathered, a treasurer pays what an approver has decided.
PERMISSIONS: Final[dict[Action, frozenset[Role]]] = {
    Action.ORGANISATION_READ: _EVERYONE,
    Action.ORGANISATION_CHANGE: _ADMINISTRATOR,
    Action.ENTERPRISE_READ: _EVERYONE,
    Action.ENTERPRISE_CHANGE: _ADMINISTRATOR | _REGISTRAR,
    Action.POST_READ: _OVERSEERS,
    Action.POST_GRANT: _ADMINISTRATOR,
    Action.MEMBER_READ: _EVERYONE,
    Action.MEMBER_APPLY: _REGISTRAR,
    Action.MEMBER_APPROVE: _REGISTRAR,
    Action.MEMBER_CHANGE: _REGISTRAR,
    Action.MEMBER_END: _REGISTRAR,
    Action.MEMBER_TRANSFER: _REGISTRAR,
    Action.MEMBER_UNMASK: _REGISTRAR,
    Action.MEMBER_ERASE: _ADMINISTRATOR,
    Action.ROSTER_IMPORT: _REGISTRAR,
    Action.ROSTER_UNDO: _REGISTRAR,
    Action.DASHBOARD_READ: _EVERYONE,
    Action.TIMELINE_READ: _EVERYONE,
    Action.AUDIT_READ: _AUDITOR,
    Action.OPERATIONS_READ: _OVERSEERS,
    Action.RULE_READ: _EVERYONE,
    Action.RULE_CHANGE: _ADMINISTRATOR,
    Action.DOSSIER_READ: _WELFARE | _APPROVER | _AUDITOR,
    Action.DOSSIER_CHANGE: _WELFARE,
    Action.DOSSIER_DECIDE: _APPROVER,
    Action.DOSSIER_UNMASK: _WELFARE,
    Action.PROGRAMME_READ: _EVERYONE,
    Action.PROGRAMME_CHANGE: _WELFARE,
    Action.CASE_READ: _WELFARE | _APPROVER | _TREASURER | _AUDITOR,
    Action.CASE_CHANGE: _WELFARE,
    Action.CASE_APPROVE: _APPROVER,
    Action.BUDGET_READ: _WELFARE | _APPROVER | _TREASURER | _AUDITOR,
    Action.BUDGET_CHANGE: _TREASURER,
    Action.PAYOUT_READ: _TREASURER | _AUDITOR,
    Action.PAYOUT_CHANGE: _TREASURER,
    Action.ACTIVITY_READ: _EVERYONE,
    Action.ACTIVITY_CHANGE: _ORGANISER,
    Action.ACTIVITY_APPROVE: _APPROVER,
    Action.REGISTRATION_READ: _ORGANISER | _AUDITOR,
    Action.REGISTRATION_CHANGE: _ORGANISER,
    Action.CHECK_IN: _ORGANISER,
}

#: Refused with 503 while the replica of posts is too old to be trusted: a post that ended must not unmask, approve or pay.
SENSITIVE: Final = frozenset(
    {
        Action.MEMBER_UNMASK,
        Action.MEMBER_APPROVE,
        Action.MEMBER_ERASE,
        Action.POST_GRANT,
        Action.DOSSIER_DECIDE,
        Action.DOSSIER_UNMASK,
        Action.CASE_APPROVE,
        Action.BUDGET_CHANGE,
        Action.PAYOUT_CHANGE,
        Action.ACTIVITY_APPROVE,
    }
)

#: Seconds until it is worth asking again.
STALE_RETRY_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class Post:
    """A role at a unit; `path` is where the unit stands today, and the role holds for all below it."""

    role: Role
    organisation_id: UUID
    path: str


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated user and the posts held today. `stale` is set when `posts_as_of` is too old for sensitive actions."""

    issuer: str
    subject: str
    posts: tuple[Post, ...]
    posts_as_of: datetime
    stale: bool = False

    def paths(self, action: Action) -> tuple[str, ...]:
        """The roots of the subtrees in which the caller may do `action`; none lies within another. Sorted."""
        roles = PERMISSIONS[action]
        return outermost(post.path for post in self.posts if post.role in roles)

    def visible_paths(self) -> tuple[str, ...]:
        """The roots of all subtrees the caller sees anything of: the scope of row-level security."""
        return outermost(post.path for post in self.posts)

    def scope(self) -> Scope:
        """What row-level security lets this caller's transactions see."""
        return Scope(self.visible_paths())

    def allows(self, action: Action, path: str) -> bool:
        """Whether the caller may do `action` to what belongs to the unit at `path`."""
        return any(path.startswith(root) for root in self.paths(action))

    def require(self, action: Action, path: str) -> None:
        """Return if allowed. Raise NotFound where the caller sees nothing, Forbidden where he sees but may not.

        Raises Unavailable("posts-stale") for a sensitive action that fresh posts might no longer allow.
        """
        if not any(path.startswith(root) for root in self.visible_paths()):
            raise NotFound("not-found")
        if not self.allows(action, path):
            raise Forbidden("not-allowed")
        self._require_fresh(action)

    def require_somewhere(self, action: Action) -> tuple[str, ...]:
        """The paths where `action` is allowed; Forbidden if there are none. For lists that name no unit."""
        paths = self.paths(action)
        if not paths:
            raise Forbidden("not-allowed")
        self._require_fresh(action)
        return paths

    def is_same_user(self, issuer: str, subject: str) -> bool:
        """Whether that user is the caller: four eyes are two persons, nobody grants a post to himself."""
        return (self.issuer, self.subject) == (issuer, subject)

    def _require_fresh(self, action: Action) -> None:
        if self.stale and action in SENSITIVE:
            raise Unavailable("posts-stale", retry_after=STALE_RETRY_SECONDS)


def outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """The paths that lie in no other of them, sorted: "1/a/" covers "1/a/2/"."""
    kept: list[str] = []
    for path in sorted(set(paths)):
        if not (kept and path.startswith(kept[-1])):
            kept.append(path)
    return tuple(kept)
