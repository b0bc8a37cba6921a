"""Azure's login: tokens for the service principal that the emulator's workspace has.

azureml-core logs in by itself with the variables ``AZUREML_SERVICE_PRINCIPAL_*`` and azure-identity with
``AZURE_CLIENT_ID`` and its like, so that a script that opens its workspace without credentials runs unchanged.
"""

import time
from urllib.parse import parse_qsl

from submit.emulator.auth import Parameters
from submit.emulator.messages import Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import State
from submit.emulator.workspace import CLIENT_ID, LOGIN_HOST, TENANT

TOKEN_SECONDS = 24 * 3600


def discover(state: State, request: Request, parameters: Parameters) -> Response:
    """Where tokens are to be had."""
    tenant = f"https://{LOGIN_HOST}/{parameters['tenant']}"
    return json_response(
        {
            "issuer": f"{tenant}/v2.0",
            "authorization_endpoint": f"{tenant}/oauth2/v2.0/authorize",
            "token_endpoint": f"{tenant}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{tenant}/oauth2/v2.0/devicecode",
        }
    )


def issue(state: State, request: Request, parameters: Parameters) -> Response:
    """A user's token for the service principal; others are refused as Microsoft's service does it."""
    form = dict(parse_qsl(request.body.decode(errors="replace")))
    if parameters["tenant"] != TENANT or form.get("client_id") != CLIENT_ID:
        return _refuse("unauthorized_client", "AADSTS700016: there is no such application in the tenant")
    if form.get("client_secret") != state.client_secret:
        return _refuse("invalid_client", "AADSTS7000215: the client secret isn't that of the application")
    token = state.tokens.issue_to_user(time.time() + TOKEN_SECONDS)
    return json_response({"token_type": "Bearer", "expires_in": TOKEN_SECONDS, "access_token": token})


def _refuse(error: str, description: str) -> Response:
    return json_response({"error": error, "error_description": description}, 401)


ROUTES = (
    Route("GET", "/{tenant}/v2.0/.well-known/openid-configuration", discover),
    Route("POST", "/{tenant}/oauth2/v2.0/token", issue),
)
