"""Access tokens: RS256 or ES256 signed by the issuer's published keys, nothing else.

A token proves who somebody is; its role claims are never read. An ID token is refused although the issuer signed it:
an access token says of itself that it is one, by header type `at+jwt` (RFC 9068) or by claim `typ` "Bearer".
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from shared.kernel.errors import Unauthenticated, Unavailable

logger = logging.getLogger(__name__)

ALGORITHMS: Final = ("RS256", "ES256")
#: Clocks of issuer and service may differ by so many seconds.
LEEWAY_SECONDS: Final = 30
#: A verified token is not verified again for so long: a revoked key loses its power after this time at the latest.
REMEMBER_SECONDS: Final = 60
_REMEMBERED_TOKENS: Final = 10_000
_MAX_TOKEN: Final = 8192
_MIN_RSA_BITS: Final = 2048


class KeySource(Protocol):
    """Where the issuer's public keys come from."""

    async def key(self, key_id: str) -> jwt.PyJWK | None:
        """The signing key of that id, None if the issuer has none. Raises Unavailable if no key was ever read."""
        ...


class PublishedKeys:
    """The issuer's JWKS, read over HTTP and kept.

    Read again when an unknown key id comes or after `lifespan`, but never more often than once per `cool_down`, whether the
    reading succeeds or fails: a flood of made-up key ids costs one request. Keys outlive an issuer that is down (F20).
    """

    def __init__(
        self,
        url: str,
        *,
        lifespan: float = 300,
        cool_down: float = 30,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`lifespan` and `cool_down` in seconds; `clock` is monotonic."""
        self._url = url
        self._lifespan = lifespan
        self._cool_down = cool_down
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._reading = asyncio.Lock()
        self._client = httpx.AsyncClient(timeout=5, trust_env=False, follow_redirects=False)

    async def key(self, key_id: str) -> jwt.PyJWK | None:
        """See KeySource."""
        found = self._keys.get(key_id)
        if found is None or self._is_old():
            async with self._reading:
                found = self._keys.get(key_id)
                if (found is None or self._is_old()) and not self._is_cooling():
                    await self._read()
                    found = self._keys.get(key_id)
        if self._read_at is None:
            raise Unavailable("identity-unavailable", retry_after=5)
        return found

    async def close(self) -> None:
        """Give up the connections."""
        await self._client.aclose()

    def _is_old(self) -> bool:
        return self._read_at is None or self._clock() - self._read_at > self._lifespan

    def _is_cooling(self) -> bool:
        # Until the first success a short pause is enough: a service may start before its issuer.
        pause = min(1, self._cool_down) if self._read_at is None else self._cool_down
        return self._tried_at is not None and self._clock() - self._tried_at < pause

    async def _read(self) -> None:
        self._tried_at = self._clock()
        try:
            reply = await self._client.get(self._url)
            reply.raise_for_status()
            keys = usable_keys(reply.json())
        except (httpx.HTTPError, ValueError) as wrong:
            self._tell(type(wrong).__name__)
            return
        if not keys:
            self._tell("no usable key in it")
            return
        self._keys = keys
        self._read_at = self._clock()

    def _tell(self, cause: str) -> None:
        """Not why in its own words: they quote the address."""
        logger.warning(
            "the issuer's keys cannot be read at UNIONHALL_OIDC_JWKS_URL",
            extra={"cause": cause, "kept": len(self._keys)},
        )


def usable_keys(jwks: Any) -> dict[str, jwt.PyJWK]:
    """The keys of a JWKS document that may sign our tokens: RSA of 2048 bits or more, P-256; by key id."""
    found: dict[str, jwt.PyJWK] = {}
    entries = jwks.get("keys") if isinstance(jwks, Mapping) else None
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, Mapping) or entry.get("use", "sig") != "sig" or not entry.get("kid"):
            continue
        try:
            key = jwt.PyJWK(dict(entry))
        except (jwt.PyJWKError, jwt.InvalidKeyError):
            continue
        small = isinstance(key.key, RSAPublicKey) and key.key.key_size < _MIN_RSA_BITS
        if key.algorithm_name in ALGORITHMS and not small:
            found[str(entry["kid"])] = key
    return found


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a token speaks for."""

    issuer: str
    subject: str


class TokenVerifier:
    """Checks bearer tokens and remembers the good ones by their hash, at most 60 s and never past their end."""

    def __init__(
        self, issuer: str, audience: str, keys: KeySource, *, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` gives Unix seconds."""
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._clock = clock
        self._remembered: dict[bytes, tuple[Identity, float]] = {}

    async def verify(self, token: str) -> Identity:
        """The identity behind `token`. Raises Unauthenticated; Unavailable while no key can be read."""
        digest = hashlib.sha256(token.encode()).digest()
        now = self._clock()
        known = self._remembered.get(digest)
        if known is not None and now < known[1]:
            return known[0]
        claims = await self._claims(token)
        identity = Identity(claims["iss"], claims["sub"])
        self._remember(
            digest, identity, min(now + REMEMBER_SECONDS, float(claims["exp"]) + LEEWAY_SECONDS), now
        )
        return identity

    async def _claims(self, token: str) -> dict[str, Any]:
        try:
            if len(token) > _MAX_TOKEN:
                raise jwt.InvalidTokenError("too long")
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS or not isinstance(header.get("kid"), str):
                raise jwt.InvalidTokenError("algorithm or key id")
            # Keys that the token itself brings (jwk, jku, x5c) are never looked at: only its key id is.
            key = await self._keys.key(header["kid"])
            if key is None or key.algorithm_name != header["alg"]:
                raise jwt.InvalidTokenError("unknown key")
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[header["alg"]],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
            if str(header.get("typ", "")).lower() != "at+jwt" and claims.get("typ") != "Bearer":
                raise jwt.InvalidTokenError("not an access token")
            if not claims["sub"]:
                raise jwt.InvalidTokenError("no subject")
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("token-expired") from None
        except jwt.ImmatureSignatureError:
            # Signed by the issuer, so told apart: nobody but an operator can mend the clocks.
            raise Unauthenticated("token-not-yet-valid") from None
        except (jwt.PyJWTError, ValueError):
            # One answer for all the rest: what exactly is wrong helps only an attacker.
            raise Unauthenticated("token-invalid") from None
        return claims

    def _remember(self, digest: bytes, identity: Identity, until: float, now: float) -> None:
        if len(self._remembered) >= _REMEMBERED_TOKENS:
            self._remembered = {key: kept for key, kept in self._remembered.items() if kept[1] > now}
        if len(self._remembered) >= _REMEMBERED_TOKENS:
            self._remembered.clear()
        self._remembered[digest] = (identity, until)
