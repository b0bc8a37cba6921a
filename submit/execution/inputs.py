"""The inputs of a job that runs here: datasets and datastore paths of the emulator, as folders of this machine."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from submit.errors import SubmitError
from submit.execution.files import write_files
from submit.execution.outputs import Output
from submit.safe_paths import path_within

if TYPE_CHECKING:
    from submit.emulator import AzureMLEmulator

_DIRECT = "direct"  # the job gets the dataset's id and reads the dataset itself
_WORD = re.compile(
    r"DatasetConsumptionConfig:(?P<data>\w+)|DatasetOutputConfig:(?P<output>\w+)"
    r"|\$\{?AZUREML_DATAREFERENCE_(?P<reference>\w+)\}?"
)


@dataclass(frozen=True)
class Inputs:
    """What stands for the placeholders in a job's command, and the variables that name the inputs.

    ``values`` are by the input's name: the path of a folder, or the id of a dataset that the job reads itself.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    def fill_in(self, word: str) -> str:
        """A word of the command with the values of the inputs."""
        return _WORD.sub(lambda found: self.values.get(found[found.lastgroup or 0], found[0]), word)

    def with_outputs(self, outputs: Mapping[str, Output]) -> "Inputs":
        """The folders that the job writes to are named in the same ways."""
        folders = {name: str(output.folder) for name, output in outputs.items()}
        return Inputs({**self.values, **folders}, {**self.variables, **folders})


def prepare_inputs(definition: Mapping[str, Any], service: "AzureMLEmulator", root: Path) -> Inputs:
    """Writes the inputs of a job to folders in ``root``.

    Raises:
        SubmitError: The workspace doesn't have an input.
    """
    values, variables = {}, {}
    for name, data in (definition.get("data") or {}).items():
        values[name] = _dataset(name, data, service, root)
        variables[data.get("environmentVariableName") or name] = values[name]
    names = ",".join(variables)
    for name, reference in (definition.get("dataReferences") or {}).items():
        datastore, path = reference["dataStoreName"], reference.get("pathOnDataStore") or ""
        values[name] = str(write_files(service.datastore_files(datastore, path), path_within(root, name)))
        variables[f"AZUREML_DATAREFERENCE_{name}"] = values[name]
    return Inputs(values, variables | ({"AZUREML_DATASET_ENVIRONMENT_VARS": names} if names else {}))


def _dataset(name: str, data: Mapping[str, Any], service: "AzureMLEmulator", root: Path) -> str:
    wanted = (data.get("dataLocation") or {}).get("dataset") or {}
    dataset = service.dataset(wanted.get("id"), wanted.get("name"), wanted.get("version"))
    if dataset is None:
        raise SubmitError(
            f"the input {name!r}: the workspace has no dataset {wanted.get('name') or wanted.get('id')!r}"
        )
    if str(data.get("mechanism")).lower() == _DIRECT:
        return dataset.id
    return str(write_files(dataset.files, path_within(root, name)))
