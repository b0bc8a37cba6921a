"""Tokens (JWT, HS256): a job's token names its run, a user's names none."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from typing import Any

from submit.emulator.workspace import TENANT

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
        return self._issue({"runId": run_id}, expires)

    def issue_to_user(self, expires: float) -> str:
        """A token for one who submits; the client reads the tenant in it."""
        return self._issue({"tid": TENANT, "name": "rehearsal"}, expires)

    def revoke(self) -> None:
        """From now on the tokens issued so far serve for getting new ones only."""
        self._generation += 1

    def run_id(self, token: str, to_refresh: bool = False) -> str | None:
        """The run that a token is for; None if it is a user's.

        Raises:
            TokenError: It isn't good for this.
        """
        claims = self._claims(token)
        if claims["exp"] + (GRACE_SECONDS if to_refresh else 0) < time.time():
            raise TokenError("the token has expired")
        if claims["generation"] != self._generation and not to_refresh:
            raise TokenError("the token was revoked")
        run: str | None = claims.get("runId")
        return run

    def _issue(self, holder: dict[str, Any], expires: float) -> str:
        claims = holder | {"exp": int(expires), "generation": self._generation}
        signed = f"{_encoded(_json({'alg': 'HS256', 'typ': 'JWT'}))}.{_encoded(_json(claims))}"
        return f"{signed}.{self._signature(signed)}"

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
