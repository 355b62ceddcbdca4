"""What the local issuer signs: access, identity and refresh tokens, and authorization codes. RS256, key kept on disk.

Codes and refresh tokens are signed too, so that a killed issuer forgets nothing but which codes were used in the last
minute. Each kind has an audience of its own: none can stand in for another.
"""

import base64
import hashlib
import os
import secrets
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from local_stack.plan import AUDIENCE
from local_stack.users import DemoUser

ACCESS_SECONDS = 15 * 60
REFRESH_SECONDS = 12 * 3600
CODE_SECONDS = 60
CODE, REFRESH = "urn:unionhall:code", "urn:unionhall:refresh"


class Signer:
    """Signs and checks the tokens of one issuer."""

    def __init__(self, issuer: str, folder: Path) -> None:
        self.issuer = issuer
        self._key = _key(folder / "key.pem")
        public = self._key.public_key()
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self._kid = hashlib.sha256(der).hexdigest()[:16]
        jwk: dict[str, Any] = RSAAlgorithm.to_jwk(public, as_dict=True)
        self.jwks = {"keys": [jwk | {"kid": self._kid, "alg": "RS256", "use": "sig"}]}
        self._used: dict[str, float] = {}

    def grant(self, user: DemoUser, client: str, nonce: str | None = None) -> dict[str, Any]:
        """The answer of the token endpoint."""
        identity = {
            "aud": client,
            "name": user.zh,
            "preferred_username": user.username,
            "auth_time": int(time.time()),
        }
        if nonce:
            identity["nonce"] = nonce
        return {
            "access_token": self._sign(
                user, ACCESS_SECONDS, {"aud": AUDIENCE, "azp": client, "scope": "openid"}, kind="at+jwt"
            ),
            "id_token": self._sign(user, ACCESS_SECONDS, identity),
            "refresh_token": self._sign(user, REFRESH_SECONDS, {"aud": REFRESH, "azp": client}),
            "token_type": "Bearer",
            "expires_in": ACCESS_SECONDS,
            "scope": "openid",
        }

    def code(self, user: DemoUser, client: str, redirect: str, challenge: str, nonce: str | None) -> str:
        """An authorization code, good once and for a minute."""
        claims = {
            "aud": CODE,
            "azp": client,
            "redirect_uri": redirect,
            "challenge": challenge,
            "nonce": nonce,
        }
        return self._sign(user, CODE_SECONDS, claims)

    def spend(self, code: str) -> dict[str, Any]:
        """The claims of a code that was not used before; jwt.InvalidTokenError otherwise."""
        claims = self.read(code, CODE)
        now = time.time()
        self._used = {used: until for used, until in self._used.items() if until > now}
        if claims["jti"] in self._used:
            raise jwt.InvalidTokenError("code was used")
        self._used[claims["jti"]] = now + CODE_SECONDS
        return claims

    def read(self, token: str, audience: str) -> dict[str, Any]:
        """The claims of a token of this issuer and kind; jwt.InvalidTokenError otherwise."""
        claims: dict[str, Any] = jwt.decode(
            token, self._key.public_key(), algorithms=["RS256"], audience=audience, issuer=self.issuer
        )
        return claims

    def _sign(self, user: DemoUser, seconds: int, claims: dict[str, Any], kind: str = "JWT") -> str:
        now = int(time.time())
        standard = {
            "iss": self.issuer,
            "sub": user.subject,
            "iat": now,
            "exp": now + seconds,
            "jti": secrets.token_hex(16),
        }
        return jwt.encode(
            standard | claims, self._key, algorithm="RS256", headers={"kid": self._kid, "typ": kind}
        )


def challenge_of(verifier: str) -> str:
    """The S256 code challenge of a verifier (RFC 7636 §4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _key(path: Path) -> rsa.RSAPrivateKey:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
        fresh.replace(path)
    found = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(found, rsa.RSAPrivateKey):
        raise TypeError(f"{path} holds no RSA key")
    return found
