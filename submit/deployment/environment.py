"""The environment of a deployment: Azure ML's inference server, and what the scoring code imports."""

from collections.abc import Mapping
from typing import Any

import yaml

from submit.environments import PINNED, PYTHON, named_environment
from submit.job import BuiltEnvironment, CuratedEnvironment
from submit.runs.exported import RUNTIME

# Azure ML's smallest base image; with a conda environment, Azure ML starts the inference server in it
IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04"
NAME = "lightning-azureml-serving"
# from PyPI, torch would bring some gigabytes of CUDA
_WHEELS_WITHOUT_CUDA = "--extra-index-url https://download.pytorch.org/whl/cpu"
SERVER = "azureml-inference-server-http"
_FURTHER = ("numpy>=1.26", "pillow>=10.1", "simplejpeg>=1.7.4")  # as in the project's dependencies


def serving_environment(
    given: str | None, description: Mapping[str, Any] | None
) -> CuratedEnvironment | BuiltEnvironment:
    """The environment that is named, or one for an exported model.

    Args:
        given: Of ``--environment``.
        description: ``model.json``; None if it isn't known, as of a model of the workspace without a network.

    Raises:
        SubmitError: ``--environment`` has none of the forms that such a name has.
    """
    if given is not None:
        return named_environment(given)
    return BuiltEnvironment(NAME, conda=_conda(requirements(description)), image=IMAGE)


def requirements(description: Mapping[str, Any] | None) -> list[str]:
    """The packages that the inference server and the scoring code need, and where pip finds them."""
    versions = PINNED if description is None else description.get("versions") or {}
    # a local version, such as 2.8.0+cu126, is that of one index
    exact = {name: str(version).partition("+")[0] for name, version in versions.items()}
    scoring = [f"{name}=={exact[name]}" if name in exact else name for name in RUNTIME]  # as they were compared
    return [_WHEELS_WITHOUT_CUDA, f"{SERVER}>=1.4", *scoring, *_FURTHER]


def _conda(packages: list[str]) -> str:
    content: dict[str, Any] = {
        "name": NAME,
        "channels": ["conda-forge"],
        "dependencies": [f"python={PYTHON}", "pip", {"pip": packages}],
    }
    return yaml.safe_dump(content, sort_keys=False)
