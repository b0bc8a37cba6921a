"""The workspace that jobs are sent to, and the credentials for it."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from submit.errors import SubmitError, describe_error

if TYPE_CHECKING:
    from azureml.core import Workspace

ACCESS_TOKEN = "AZUREML_ACCESS_TOKEN"  # noqa: S105 the name of the variable
_SECONDS_FOR_CLI = 30.0
_PRINCIPAL = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")


def open_workspace(file: Path | None) -> "Workspace":
    """Opens the workspace of a ``config.json``; without a file, azureml-core searches this folder and those above.

    Raises:
        SubmitError: There is no such file, or the workspace can't be opened.
    """
    from azureml.core import Workspace
    from azureml.exceptions import UserErrorException

    if file is not None and not file.is_file():
        raise SubmitError(
            f"--workspace {str(file)!r}: no such file; download config.json in the portal's overview page"
        )
    credentials = _credentials()
    try:
        return Workspace.from_config(path=str(file) if file else None, auth=credentials)
    except UserErrorException as error:
        if "config" in str(error).lower():
            raise SubmitError(
                "no config.json of a workspace in this folder or above it; give --workspace FILE, which the portal's "
                "overview page has for download"
            ) from error
        raise SubmitError(f"the workspace can't be opened: {describe_error(error)}") from error
    except Exception as error:  # azureml-core raises errors of several libraries
        raise SubmitError(f"the workspace can't be opened: {describe_error(error)}") from error


def _credentials() -> Any:
    """A token or a service principal from the environment, or the login of the Azure CLI.

    With None, azureml-core asks the user in a browser.
    """
    from azureml.core.authentication import (
        AzureCliAuthentication,
        ServicePrincipalAuthentication,
        TokenAuthentication,
    )

    token = os.environ.get(ACCESS_TOKEN)
    if token:
        if token.count(".") != 2:
            raise SubmitError(f"{ACCESS_TOKEN}: isn't a token; expected the output of az account get-access-token")
        return TokenAuthentication(lambda audience: token, cloud="AzureCloud")
    if all(os.environ.get(name) for name in _PRINCIPAL):
        tenant, client, secret = (os.environ[name] for name in _PRINCIPAL)
        return ServicePrincipalAuthentication(tenant, client, secret)
    return AzureCliAuthentication() if _is_logged_in() else None


def _is_logged_in() -> bool:
    program = shutil.which("az")
    if program is None:
        return False
    return subprocess.run([program, "account", "show"], capture_output=True, timeout=_SECONDS_FOR_CLI).returncode == 0
