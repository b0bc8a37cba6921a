"""A job that azureml-core (SDK v1) has sent, as it runs here."""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from submit.errors import SubmitError
from submit.execution import run_script
from submit.execution.files import write_files
from submit.execution.inputs import Inputs
from submit.execution.mount import Mount
from submit.execution.outputs import Output, prepare_output
from submit.job import JobShape
from submit.safe_paths import path_within
from submit.v1.request import job_command, job_shape, job_variables

if TYPE_CHECKING:
    from submit.emulator import AzureMLEmulator

_DIRECT = "direct"  # the job gets the dataset's id and reads the dataset itself
_MECHANISMS = ("mount", "upload")
_DATA = "data"  # the name of the input that submit gives to a job's data
_WORD = re.compile(
    r"DatasetConsumptionConfig:(?P<data>\w+)|DatasetOutputConfig:(?P<output>\w+)"
    r"|\$\{?AZUREML_DATAREFERENCE_(?P<reference>\w+)\}?"
)


class V1Definition:
    """Reads the ``Configuration`` of a request."""

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        self._configuration = configuration

    @property
    def shape(self) -> JobShape:
        shape = job_shape(self._configuration)
        assert shape is not None  # submit sends jobs with a shape only
        return shape

    @property
    def is_distributed(self) -> bool:
        return str(self._configuration.get("communicator")).lower() != "none"

    @property
    def variables(self) -> Mapping[str, str]:
        return job_variables(self._configuration)

    @property
    def seconds(self) -> float | None:
        return self._configuration.get("maxRunDurationSeconds")

    def prepare_outputs(self, service: "AzureMLEmulator", run_id: str, root: Path) -> dict[str, Output]:
        """As ``Definition`` says; SubmitError if an output isn't written to a folder of the default datastore."""
        outputs = {}
        for name, data in (self._configuration.get("outputData") or {}).items():
            location = ((data.get("outputLocation") or {}).get("dataPath") or {}) or _default_location()
            registration = ((data.get("additionalOptions") or {}).get("registrationOptions") or {}).get("name")
            if str(data.get("mechanism")).lower() not in _MECHANISMS or registration:
                raise SubmitError(f"the job's output {name!r} is registered, or not mounted or uploaded: not emulated")
            path = str(location["relativePath"]).replace("{run-id}", run_id).replace("{output-name}", name).strip("/")
            outputs[name] = prepare_output(service, root, name, location["datastoreName"], path)
        return outputs

    def prepare_inputs(self, service: "AzureMLEmulator", root: Path, data: Path | None = None) -> Inputs:
        if data is not None:
            mount = Mount(data, path_within(root, _DATA))
            return Inputs({_DATA: str(mount.target)}, mounts=[mount])
        values, variables = {}, {}
        for name, consumed in (self._configuration.get("data") or {}).items():
            values[name] = _dataset(name, consumed, service, root)
            variables[consumed.get("environmentVariableName") or name] = values[name]
        names = ",".join(variables)
        for name, reference in (self._configuration.get("dataReferences") or {}).items():
            datastore, path = reference["dataStoreName"], reference.get("pathOnDataStore") or ""
            values[name] = str(write_files(service.datastore_files(datastore, path), path_within(root, name)))
            variables[f"AZUREML_DATAREFERENCE_{name}"] = values[name]
        return Inputs(values, variables | ({"AZUREML_DATASET_ENVIRONMENT_VARS": names} if names else {}))

    def with_outputs(self, inputs: Inputs, outputs: Mapping[str, Output]) -> Inputs:
        """Outputs are named in the same ways as inputs."""
        folders = {name: str(output.folder) for name, output in outputs.items()}
        return inputs.with_values(folders, folders)

    def command(self, inputs: Inputs) -> Sequence[str]:
        data = str(inputs.mounts[0].target) if inputs.mounts else None
        words = job_command(self._configuration, sys.executable, data, [run_script.__file__])
        return [
            _WORD.sub(lambda found: inputs.values.get(found[found.lastgroup or 0], found[0]), word) for word in words
        ]

    def environment(self, service: "AzureMLEmulator", run_id: str, home: Path) -> Mapping[str, str]:
        return service.job_environment(run_id, home)


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


def _default_location() -> dict[str, str]:
    return {"datastoreName": "workspaceblobstore", "relativePath": "dataset/{run-id}/{output-name}"}
