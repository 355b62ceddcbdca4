"""An identity provider for tests: keys of its own and tokens of every kind, good and bad."""

import base64
import time
from collections.abc import Callable, Generator
from typing import Any

import httpx
import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

ISSUER = "https://identity.test"
AUDIENCE = "unionhall"
KEY_ID = "test-rsa"


class Issuer:
    """Signs tokens; itself a `shared.web.tokens.KeySource`, so an app under test takes it instead of a JWKS address."""

    def __init__(self) -> None:
        self.private_key = rsa.generate_private_key(65537, 2048)
        self.curve_key = ec.generate_private_key(ec.SECP256R1())
        self._keys = {entry["kid"]: jwt.PyJWK(entry) for entry in self.jwks()["keys"]}
        self.asked: list[str] = []

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The document that a provider publishes."""
        rsa_key = RSAAlgorithm.to_jwk(self.private_key.public_key(), as_dict=True)
        curve = ECAlgorithm.to_jwk(self.curve_key.public_key(), as_dict=True)
        return {
            "keys": [
                {**rsa_key, "kid": KEY_ID, "use": "sig", "alg": "RS256"},
                {**curve, "kid": "test-ec", "use": "sig", "alg": "ES256"},
            ]
        }

    async def key(self, key_id: str) -> jwt.PyJWK | None:
        """As a KeySource."""
        self.asked.append(key_id)
        return self._keys.get(key_id)

    def public_pem(self) -> bytes:
        """The public key as a text, which an attacker takes for an HMAC secret."""
        return self.private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def claims(self, subject: str, **changes: Any) -> dict[str, Any]:
        """Good claims with some changed; None takes one away."""
        now = int(time.time())
        good = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 300}
        return {name: value for name, value in {**good, **changes}.items() if value is not None}

    def token_for(
        self,
        subject: str,
        *,
        key: PrivateKeyTypes | None = None,
        algorithm: str = "RS256",
        headers: dict[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        """A signed access token."""
        header = {"kid": KEY_ID, "typ": "at+jwt", **(headers or {})}
        signing: Any = key or self.private_key
        return jwt.encode(self.claims(subject, **changes), signing, algorithm=algorithm, headers=header)

    def headers(self, subject: str) -> dict[str, str]:
        """The Authorization header of a signed-in user."""
        return {"Authorization": f"Bearer {self.token_for(subject)}"}


class Signed(httpx.Auth):
    """Signs in for each request, as keys and subjects are at that moment."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Called by the client."""
        request.headers["Authorization"] = f"Bearer {self._token()}"
        yield request


def assembled(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    """A token put together by hand, as no library would sign it."""
    parts = (orjson.dumps(header), orjson.dumps(claims), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
