"""Who calls: a verified token, and the posts that this person holds today: rights are posts."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase
from fastapi.security.utils import get_authorization_scheme_param

from shared.database.engine import Database
from shared.database.scope import Scope
from shared.database.session import ReadSession
from shared.kernel.clock import Clock, china_date
from shared.kernel.errors import Unauthenticated
from shared.security.policy import Caller, Post
from shared.web.limits import RateLimit
from shared.web.tokens import Identity, TokenVerifier

#: A post that ended or was granted takes effect after this time at the latest (S4 asks for 60 s in all).
POSTS_KEPT: Final = timedelta(seconds=5)
#: A replica of posts older than this allows no sensitive action.
POSTS_STALE: Final = timedelta(seconds=60)
_KEPT_CALLERS: Final = 10_000


@dataclass(frozen=True, slots=True)
class PostsRead:
    """A user's posts as of a moment: for the owner of posts that is now, for a replica how far it has read."""

    posts: Sequence[Post]
    as_of: datetime


#: Reads the posts of (issuer, subject) that hold on a date. Its session has an empty scope: the scope comes from its answer.
PostsReader = Callable[[ReadSession, str, str, date], Awaitable[PostsRead]]


class Callers:
    """Turns bearer tokens into callers; one of these lives in each HTTP process."""

    def __init__(
        self,
        verifier: TokenVerifier,
        read_posts: PostsReader,
        database: Database,
        clock: Clock,
        rate_limit: RateLimit,
    ) -> None:
        """Parts of the process."""
        self._verifier = verifier
        self._read_posts = read_posts
        self._database = database
        self._clock = clock
        self._rate_limit = rate_limit
        self._kept: dict[Identity, tuple[PostsRead, datetime]] = {}

    async def identify(self, token: str | None) -> Identity:
        """Who holds the token, whatever the posts. Raises Unauthenticated, TooMany, Unavailable."""
        if token is None:
            raise Unauthenticated("token-missing")
        identity = await self._verifier.verify(token)
        self._rate_limit.take(identity.issuer, identity.subject)
        return identity

    async def of(self, token: str | None) -> Caller:
        """The caller. Raises Unauthenticated, TooMany, Unavailable."""
        identity = await self.identify(token)
        now = self._clock.now()
        kept = self._kept.get(identity)
        if kept is None or kept[1] <= now:
            read = await self._read(identity, now)
            self._keep(identity, read, now)
        else:
            read = kept[0]
        return Caller(
            identity.issuer,
            identity.subject,
            tuple(read.posts),
            read.as_of,
            stale=now - read.as_of > POSTS_STALE,
        )

    async def _read(self, identity: Identity, now: datetime) -> PostsRead:
        async with self._database.read(Scope.nothing()) as session:
            return await self._read_posts(session, identity.issuer, identity.subject, china_date(now))

    def _keep(self, identity: Identity, read: PostsRead, now: datetime) -> None:
        # Somebody without a post is asked for anew: the first post works the moment it is granted.
        if not read.posts:
            return
        if len(self._kept) >= _KEPT_CALLERS:
            self._kept.clear()
        self._kept[identity] = (read, now + POSTS_KEPT)


class _Bearer(SecurityBase):
    """The scheme of the OpenAPI document and the caller in one: FastAPI solves every dependency of a dependency anew."""

    def __init__(self) -> None:
        self.scheme_name = "HTTPBearer"
        self.model = HTTPBearerModel(bearerFormat="JWT", description="Access token of the identity provider")

    async def __call__(self, request: Request) -> Caller:
        """The caller of this request; its place in logs and traces is the subject alone."""
        callers: Callers = request.app.state.callers
        return await callers.of(bearer_token(request))


def bearer_token(request: Request) -> str | None:
    """The token in the Authorization header, None without one."""
    scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
    return token if scheme.lower() == "bearer" and token else None


CurrentCaller = Annotated[Caller, Depends(_Bearer())]
