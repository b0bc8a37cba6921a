"""The workspace that jobs are sent to."""

from pathlib import Path
from typing import TYPE_CHECKING

from lightning_app.azureml.credentials import credentials
from lightning_app.errors import UsageError
from submit.errors import SubmitError, describe_error

if TYPE_CHECKING:
    from azureml.core import Workspace


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
    try:
        return Workspace.from_config(path=str(file) if file else None, auth=credentials())
    except UsageError as error:
        raise SubmitError(str(error)) from error
    except UserErrorException as error:
        if "config" in str(error).lower():
            raise SubmitError(
                "no config.json of a workspace in this folder or above it; give --workspace FILE, which the portal's "
                "overview page has for download"
            ) from error
        raise SubmitError(f"the workspace can't be opened: {describe_error(error)}") from error
    except Exception as error:  # azureml-core raises errors of several libraries
        raise SubmitError(f"the workspace can't be opened: {describe_error(error)}") from error
