"""The model of a deployment: the folder of an exported model, which is checked, or the name of one of the workspace."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_app.export.files import is_export
from submit.deployment.deployment import RegisteredModel
from submit.errors import SubmitError
from submit.runs.exported import LocalFiles, check_exported

_REGISTERED = re.compile(r"azureml:(?P<name>[\w.-]+):(?P<version>[\w.-]+)", re.ASCII)
_EXPORT = "export"  # the folder of a run that the command export writes


def find_model(given: str) -> Path | RegisteredModel:
    """The exported model that is meant: its folder, that of its run, or ``azureml:NAME:VERSION``.

    Raises:
        SubmitError: There is no exported model.
    """
    if found := _REGISTERED.fullmatch(given):
        return RegisteredModel(found["name"], found["version"])
    folder = next((each for each in (Path(given), Path(given) / _EXPORT) if is_export(each)), None)
    if folder is not None:
        return folder
    expected = "expected the folder that python -m lightning_app export RUN writes, that run's folder, or"
    if Path(given).exists():
        raise SubmitError(f"{given!r}: is no exported model; {expected} azureml:NAME:VERSION")
    fetched = (
        "; a run of the workspace is first fetched and exported: python -m submit download "
        f"{shlex.quote(given)} --target here, and python -m lightning_app export here/outputs; if it has an export in "
        f"its files: python -m submit register {shlex.quote(given)} --name NAME --export"
    )  # azure-ai-ml takes no folder of a run as the model of a deployment, only a model that is registered of it
    raise SubmitError(
        f"{given!r}: no such folder; {expected} azureml:NAME:VERSION{'' if len(Path(given).parts) > 1 else fetched}"
    )


def read_model(folder: Path) -> Mapping[str, Any]:
    """The description of an exported model, whose files are compared with their hashes.

    Raises:
        SubmitError: A file is missing or has been changed, or the model takes no pictures.
    """
    files = LocalFiles(folder, f"exported model {str(folder)!r}")
    content = check_exported(files).content
    if content.get("preprocessing") is None:
        raise SubmitError(
            f"{files.shown}: doesn't say how a picture becomes its input; give its datamodule a property "
            "preprocessing, see datamodules.preprocessing"
        )
    return content
