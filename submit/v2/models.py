"""Registered models of azure-ai-ml."""

from pathlib import Path
from typing import TYPE_CHECKING

from submit.interface import ModelLabels

if TYPE_CHECKING:
    from azure.ai.ml import MLClient


def register_model(
    client: "MLClient", name: str, path: str | Path, labels: ModelLabels, description: str | None
) -> int:
    """Registers what is at a path, of this machine or of the workspace, as the next version of a model."""
    from azure.ai.ml.entities import Model

    wanted = Model(
        name=name,
        path=path,
        type="custom_model",
        tags=dict(labels.tags),
        properties=dict(labels.properties),
        description=description,
    )
    return int(client.models.create_or_update(wanted).version)
