"""Registered models of azureml-core."""

import contextlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

from submit.interface import ModelLabels

if TYPE_CHECKING:
    from azureml.core import Workspace


def register_model(
    workspace: "Workspace", name: str, folder: Path, labels: ModelLabels, description: str | None
) -> int:
    """Registers a folder of this machine as the next version of a model."""
    from azureml.core import Model

    with contextlib.redirect_stdout(io.StringIO()):  # it prints that it registers the model
        model = Model.register(
            workspace,
            model_path=str(folder),
            model_name=name,
            tags=dict(labels.tags),
            properties=dict(labels.properties),
            description=description,
        )
    return int(model.version)
