"""The workspace that jobs are sent to: its ``config.json``, and the user's login."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_app.azureml.credentials import ACCESS_TOKEN
from submit.errors import SubmitError, describe_error

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.core.credentials import AccessToken, TokenCredential

_KEYS = ("subscription_id", "resource_group", "workspace_name")
_PLACES = ("config.json", ".azureml/config.json", "aml_config/config.json")
_PRINCIPAL = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
_SECONDS_OF_A_TOKEN = 3600  # at most; the service refuses it earlier, if it is older


def open_workspace(file: Path | None) -> "tuple[MLClient, str, str]":
    """Opens the workspace of a ``config.json``; without a file, this folder and those above are searched.

    Returns the client, and the name and the region of the workspace.

    Raises:
        SubmitError: There is no such file, or the workspace can't be opened.
    """
    address = _address(file)
    from azure.ai.ml import MLClient

    try:
        client = MLClient(credential(), *address, enable_telemetry=False, show_progress=False)
        found = client.workspaces.get(address[2])
    except SubmitError:
        raise
    except Exception as error:  # azure-ai-ml raises errors of several libraries
        raise SubmitError(f"the workspace can't be opened: {describe_error(error)}") from error
    return client, str(found.name), str(found.location)


def credential() -> "TokenCredential":
    """A token or a service principal from the environment, the login of the Azure CLI, or one in a browser.

    Raises:
        SubmitError: The variable for the token holds something else, or azure-identity is needed and not installed.
    """
    token = os.environ.get(ACCESS_TOKEN)
    if token:
        if token.count(".") != 2:
            raise SubmitError(f"{ACCESS_TOKEN}: isn't a token; expected the output of az account get-access-token")
        return GivenToken(token)
    try:
        from azure import identity
    except ImportError as error:
        raise SubmitError("azure-identity isn't installed; install it: pip install 'lightning-azureml[v2]'") from error
    if all(os.environ.get(name) for name in _PRINCIPAL):
        tenant, client, secret = (os.environ[name] for name in _PRINCIPAL)
        return identity.ClientSecretCredential(tenant, client, secret)
    return identity.ChainedTokenCredential(
        identity.AzureCliCredential(), identity.ManagedIdentityCredential(), identity.InteractiveBrowserCredential()
    )


class GivenToken:
    """A credential of azure-core with a token from the environment."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *scopes: str, **settings: Any) -> "AccessToken":
        from azure.core.credentials import AccessToken

        return AccessToken(self._token, int(time.time()) + _SECONDS_OF_A_TOKEN)


def _address(file: Path | None) -> tuple[str, str, str]:
    if file is not None and not file.is_file():
        raise SubmitError(
            f"--workspace {str(file)!r}: no such file; download config.json in the portal's overview page"
        )
    found = file or next(_configurations(Path.cwd()), None)
    if found is None:
        raise SubmitError(
            "no config.json of a workspace in this folder or above it; give --workspace FILE, which the portal's "
            "overview page has for download"
        )
    try:
        content = json.loads(found.read_text())
        subscription, group, name = (str(content[key]) for key in _KEYS)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SubmitError(
            f"--workspace {str(found)!r}: can't be read ({error}); expected a config.json with {', '.join(_KEYS)}"
        ) from error
    return subscription, group, name


def _configurations(folder: Path) -> Iterator[Path]:
    for parent in (folder, *folder.parents):
        yield from (path for name in _PLACES if (path := parent / name).is_file())
