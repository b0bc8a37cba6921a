"""The credentials of a user for a workspace, from the environment or the Azure CLI. azureml-core is imported on use."""

import os
import shutil
import subprocess
from typing import Any

from lightning_app.errors import UsageError

ACCESS_TOKEN = "AZUREML_ACCESS_TOKEN"  # noqa: S105 the name of the variable
_SECONDS_FOR_CLI = 30.0
_PRINCIPAL = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")


def credentials() -> Any:
    """A token or a service principal from the environment, or the login of the Azure CLI.

    With None, azureml-core asks the user in a browser.

    Raises:
        UsageError: The variable for the token holds something else.
    """
    from azureml.core.authentication import (
        AzureCliAuthentication,
        ServicePrincipalAuthentication,
        TokenAuthentication,
    )

    token = os.environ.get(ACCESS_TOKEN)
    if token:
        if token.count(".") != 2:
            raise UsageError(f"{ACCESS_TOKEN}: isn't a token; expected the output of az account get-access-token")
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
