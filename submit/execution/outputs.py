"""The folders that a job writes to datastores, as folders of this machine."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from submit.execution.files import write_files
from submit.safe_paths import path_within

if TYPE_CHECKING:
    from submit.emulator import AzureMLEmulator


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


def prepare_output(service: "AzureMLEmulator", root: Path, name: str, datastore: str, path: str) -> Output:
    """Creates the folder of an output in ``root``, with the files that the datastore has there already."""
    folder = path_within(root, name)
    folder.mkdir(parents=True)
    write_files(service.datastore_files(datastore, path), folder)
    return Output(folder, path)
