"""The tokens (JWT, HS256) by which a job proves which run it is."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from typing import Any

GRACE_SECONDS = 3600  # for how long after its expiry a token still serves to get a new one


class TokenError(Exception):
    """The token wasn't issued here, is out of date or was revoked."""


class Tokens:
    """Issues tokens and knows its own again."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._generation = 0

    def issue(self, run_id: str, expires: float) -> str:
        """A token for one run until a moment in seconds since 1970."""
        claims = {"runId": run_id, "exp": int(expires), "generation": self._generation}
        signed = f"{_encoded(_json({'alg': 'HS256', 'typ': 'JWT'}))}.{_encoded(_json(claims))}"
        return f"{signed}.{self._signature(signed)}"

    def revoke(self) -> None:
        """From now on the tokens issued so far serve for getting new ones only."""
        self._generation += 1

    def run_id(self, token: str, to_refresh: bool = False) -> str:
        """The run that a token is for.

        Raises:
            TokenError: It isn't good for this.
        """
        claims = self._claims(token)
        if claims["exp"] + (GRACE_SECONDS if to_refresh else 0) < time.time():
            raise TokenError("the token has expired")
        if claims["generation"] != self._generation and not to_refresh:
            raise TokenError("the token was revoked")
        return str(claims["runId"])

    def _claims(self, token: str) -> dict[str, Any]:
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(signed).encode()):
            raise TokenError("the token wasn't issued by this service")
        claims: dict[str, Any] = json.loads(_decoded(signed.partition(".")[2]))
        return claims

    def _signature(self, signed: str) -> str:
        return _encoded(hmac.digest(self._secret, signed.encode(), hashlib.sha256))


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode()


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
