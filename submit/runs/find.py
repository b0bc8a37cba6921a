"""The run that a command line names."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from submit.errors import SubmitError
from submit.runs.patience import asking, http_status
from submit.workspace import open_workspace

if TYPE_CHECKING:
    from azureml.core import Run


def find_run(run_id: str, workspace_file: Path | None) -> "Run":
    """The run as Azure ML has it.

    Raises:
        SubmitError: There is no such run, or no workspace to ask.
        FailureError: Azure ML doesn't answer.
    """
    if not re.fullmatch(r"[\w.-]+", run_id, re.ASCII):
        raise SubmitError(f"RUN {run_id!r}: expected the id of a run, such as lightning-azureml_1795213982_0feaec99")
    workspace = open_workspace(workspace_file)
    with asking(f"run {run_id}"):
        try:
            return workspace.get_run(run_id)
        except Exception as error:
            if http_status(error) != 404:
                raise
            raise SubmitError(
                f"RUN {run_id!r}: the workspace {workspace.name!r} has no such run; python -m submit list shows those "
                "it has"
            ) from error
