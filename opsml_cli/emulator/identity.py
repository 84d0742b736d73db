"""Signing in: tokens as Microsoft Entra and ADFS give them to a service principal, and their check on every request."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from opsml_cli.content import files
from opsml_cli.emulator.wire import WireError
from opsml_cli.guard import same_secret
from opsml_cli.local.layout import Layout
from opsml_cli.local.principals import Application

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from opsml_cli.emulator.clock import WallClock

# What the SDK makes of the portal's address in `routes/metadata.py`, and asks data-plane tokens for.
ML_AUDIENCE = "https://ml.azure.localhost"
PUBLIC_AUDIENCE = "https://ml.azure.com"
STORAGE = "https://storage.azure.com"
LIFETIME_SECONDS = 3599


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a valid token is of."""

    object_id: str
    client_id: str
    audience: str


class Identity:
    """The tokens of one emulator. The signing key is made on first use and kept, 0600, so that a token outlives a restart."""

    def __init__(self, base: str, root: Path, clock: WallClock) -> None:
        self._base = base
        self._layout = Layout(root)
        self._clock = clock

    @property
    def management(self) -> frozenset[str]:
        """The audiences of tokens for the resource manager and for Microsoft Graph."""
        return frozenset((self._base, self._base + "/"))

    @property
    def data_plane(self) -> frozenset[str]:
        """The audiences of tokens for run history and its kin."""
        return self.management | {ML_AUDIENCE, ML_AUDIENCE + "/"}

    @property
    def scoring(self) -> frozenset[str]:
        """The audiences of tokens for endpoints: the SDK asks for the public cloud's name, whatever the cloud."""
        return self.data_plane | {PUBLIC_AUDIENCE, PUBLIC_AUDIENCE + "/"}

    @property
    def issued(self) -> frozenset[str]:
        """The audiences of all tokens that are given out; the storage gives one no right here, as without a role on Azure."""
        return self.scoring | {STORAGE}

    def issue(self, application: Application, audience: str, tenant: str) -> tuple[str, int]:
        """A token for the resource `audience`, and the seconds that it is valid."""
        issued = int(self._clock.now().timestamp())
        claims = {
            "aud": audience,
            "iss": f"{self._base}/{tenant}/",
            "iat": issued,
            "nbf": issued,
            "exp": issued + LIFETIME_SECONDS,
            "appid": application.client_id,
            "appidacr": "1",
            "idp": f"{self._base}/{tenant}/",
            "idtyp": "app",
            "oid": application.object_id,
            "sub": application.object_id,
            "tid": tenant,
            "uti": uuid.uuid4().hex[:22],
            "ver": "1.0",
        }
        return self.sign(claims), LIFETIME_SECONDS

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A token of these claims."""
        import jwt

        return jwt.encode(dict(claims), self._key, algorithm="RS256", headers={"kid": self.key_id})

    def claims(self, token: bytes) -> Mapping[str, Any] | None:
        """The claims of a token that came from here; None for any other. Neither audience nor times are looked at."""
        import jwt

        # Each has an answer of its own, and the clock is ours.
        unseen: Any = {"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False, "require": ["exp"]}
        try:
            return jwt.decode(token.decode("ascii"), self._key.public_key(), algorithms=["RS256"], options=unseen)
        except (jwt.PyJWTError, UnicodeDecodeError):
            return None

    def caller(self, token: bytes | None, audiences: frozenset[str]) -> Caller:
        """Who calls. WireError 401, in the resource manager's words, for a token that is missing, wrong, expired or meant
        for another resource."""
        if token is None:
            raise self._refused("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
        claims = self.claims(token) or {}
        try:
            ends = datetime.fromtimestamp(int(claims["exp"]), UTC)
            audience, object_id, client_id = str(claims["aud"]), str(claims["oid"]), str(claims["appid"])
        except (KeyError, TypeError, ValueError):
            raise self._refused("InvalidAuthenticationToken", "The access token is invalid.") from None
        if audience not in audiences:
            allowed = ",".join(sorted(audiences))
            raise self._refused(
                "InvalidAuthenticationTokenAudience",
                f"The access token has been obtained for wrong audience or resource '{audience}'. It should exactly match "
                f"with one of the allowed audiences '{allowed}'.",
            )
        now = self._clock.now()
        if ends <= now:
            raise self._refused(
                "ExpiredAuthenticationToken",
                f"The access token expiry UTC time '{_told(ends)}' is earlier than current UTC time '{_told(now)}'.",
            )
        return Caller(object_id, client_id, audience)

    def expired(self) -> WireError:
        """What a client with an expired token meets."""
        now = _told(self._clock.now())
        return self._refused(
            "ExpiredAuthenticationToken", f"The access token expiry UTC time '{now}' is earlier than current UTC time '{now}'."
        )

    def _refused(self, code: str, message: str) -> WireError:
        challenge = f'Bearer authorization_uri="{self._base}/adfs", error="invalid_token", error_description="{message}"'
        return WireError(401, message, code=code, form="plain", headers={"www-authenticate": challenge})

    @property
    def key_id(self) -> str:
        return hashlib.sha256(str(self._key.public_key().public_numbers().n).encode()).hexdigest()[:27]

    def key_set(self) -> dict[str, Any]:
        """The public key, as JSON Web Key Set."""
        import json

        from jwt.algorithms import RSAAlgorithm

        key = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [{**key, "use": "sig", "kid": self.key_id, "x5t": self.key_id}]}

    def signature(self, text: str) -> str:
        """A short proof that `text` came from here."""
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()

    def signed(self, text: str, signature: str) -> bool:
        return same_secret(signature, self.signature(text))

    @cached_property
    def certificate(self) -> str:
        """What fills the place of a certificate in signed URLs: text of Azure's size."""
        return base64.urlsafe_b64encode(hashlib.shake_256(self._secret + b"certificate").digest(2300)).decode().rstrip("=")

    @cached_property
    def _secret(self) -> bytes:
        return hashlib.sha256(str(self._key.private_numbers().d).encode()).digest()

    @cached_property
    def _key(self) -> RSAPrivateKey:
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        path = self._layout.secrets / "token-signing-key.pem"
        text = path.read_bytes() if path.is_file() else _new_key(path)
        return load_pem_private_key(text, None)  # type: ignore[return-value]


def _new_key(path: Path) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    text = generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return files.write_once(path, text)


def _told(moment: datetime) -> str:
    return moment.strftime("%m/%d/%Y %I:%M:%S %p")
