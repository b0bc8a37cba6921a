"""The folders that a job writes to datastores (OutputFileDatasetConfig), as folders of this machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from submit.errors import SubmitError
from submit.execution.files import write_files
from submit.safe_paths import path_within

if TYPE_CHECKING:
    from submit.emulator import AzureMLEmulator

_MECHANISMS = ("mount", "upload")


@dataclass(frozen=True)
class Output:
    """A folder of this machine, and the folder of the default datastore that it stands for."""

    folder: Path
    destination: str

    def store(self, service: "AzureMLEmulator") -> None:
        """Keeps its files in the datastore."""
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                name = path.relative_to(self.folder).as_posix()
                service.add_datastore_file(f"{self.destination}/{name}", path.read_bytes())


def prepare_outputs(
    definition: Mapping[str, Any], service: "AzureMLEmulator", run_id: str, root: Path
) -> dict[str, Output]:
    """Creates a folder in ``root`` for each output of a job, with the files that the datastore has there already.

    Raises:
        SubmitError: An output isn't written to a folder of the default datastore.
    """
    outputs = {}
    for name, data in (definition.get("outputData") or {}).items():
        location = ((data.get("outputLocation") or {}).get("dataPath") or {}) or _default_location()
        registration = ((data.get("additionalOptions") or {}).get("registrationOptions") or {}).get("name")
        if str(data.get("mechanism")).lower() not in _MECHANISMS or registration:
            raise SubmitError(f"the job's output {name!r} is registered, or not mounted or uploaded: not emulated")
        path = str(location["relativePath"]).replace("{run-id}", run_id).replace("{output-name}", name).strip("/")
        folder = path_within(root, name)
        folder.mkdir(parents=True)
        write_files(service.datastore_files(location["datastoreName"], path), folder)
        outputs[name] = Output(folder, path)
    return outputs


def _default_location() -> dict[str, str]:
    return {"datastoreName": "workspaceblobstore", "relativePath": "dataset/{run-id}/{output-name}"}
