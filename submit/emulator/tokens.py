"""Tokens (JWT): a job's token is for its run, a user's token is for everything."""

import secrets
import time
from typing import Any

from submit.emulator.workspace import TENANT

GRACE_SECONDS = 3600  # how long an expired token still serves to get a new one
_ALGORITHM = "HS256"


class TokenError(Exception):
    """The token was not issued here, has expired or was revoked."""


class Tokens:
    """Issues tokens and verifies them."""

    def __init__(self) -> None:
        import jwt  # of the extra 'rehearse', which the emulator needs when it is made

        self._jwt = jwt
        self._secret = secrets.token_bytes(32)
        self._generation = 0

    def issue(self, run_id: str, expires: float) -> str:
        """A token for one run; ``expires`` is in seconds since 1970."""
        return self._issue({"runId": run_id}, expires)

    def issue_to_user(self, expires: float) -> str:
        """A token for a user who submits jobs; the client reads the tenant in it."""
        return self._issue({"tid": TENANT, "name": "emulator"}, expires)

    def revoke(self) -> None:
        """Makes all tokens invalid, except for requesting new ones."""
        self._generation += 1

    def run_id(self, token: str, to_refresh: bool = False) -> str | None:
        """The run that a token is for; None for a user's token.

        Raises:
            TokenError: The token isn't valid for this.
        """
        claims = self._claims(token)
        # checked here, and not by the library: an expired token may still be refreshed
        if claims["exp"] + (GRACE_SECONDS if to_refresh else 0) < time.time():
            raise TokenError("the token has expired")
        if claims["generation"] != self._generation and not to_refresh:
            raise TokenError("the token was revoked")
        run: str | None = claims.get("runId")
        return run

    def _issue(self, claims: dict[str, Any], expires: float) -> str:
        content = claims | {"exp": int(expires), "generation": self._generation}
        return self._jwt.encode(content, self._secret, algorithm=_ALGORITHM)

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = self._jwt.decode(
                token, self._secret, algorithms=[_ALGORITHM], options={"verify_exp": False}
            )
        except self._jwt.InvalidTokenError as error:
            raise TokenError("the token wasn't issued by this service") from error
        return claims
