"""A command job that azure-ai-ml (SDK v2) has sent, as it runs here."""

import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from submit.errors import SubmitError
from submit.execution.files import write_files
from submit.execution.inputs import Inputs
from submit.execution.mount import Mount
from submit.execution.outputs import Output, prepare_output
from submit.job import JobShape
from submit.safe_paths import path_within

if TYPE_CHECKING:
    from submit.emulator import AzureMLEmulator

_PLACEHOLDER = re.compile(r"\$\{\{\s*(?P<kind>inputs|outputs|search_space)\.(?P<name>\w+)\s*\}\}")
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_DATASTORE = re.compile(r"(?:azureml://|.*/)datastores/(?P<datastore>[^/]+)/(?:paths/)?(?P<path>.*)")
_LITERAL = "literal"  # Azure ML writes it into the command as it is
_MOUNTED = ("ReadOnlyMount", "EvalMount")
_DATA = "data"  # the name of the input that submit gives to a job's data
# input and output are named apart in the command, and may have the same name
_INPUT, _OUTPUT = "inputs.", "outputs."


class V2Definition:
    """Reads the ``properties`` of a request."""

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self._properties = properties

    @property
    def shape(self) -> JobShape:
        distribution = self._properties.get("distribution") or {}
        nodes = int((self._properties.get("resources") or {}).get("instanceCount") or 1)
        launcher = str(distribution.get("distributionType") or "PyTorch").lower()
        return JobShape(
            nodes,
            int(distribution.get("processCountPerInstance") or 1),
            "mpi" if launcher == "mpi" else "pytorch",
        )

    @property
    def is_distributed(self) -> bool:
        return bool(self._properties.get("distribution"))

    @property
    def variables(self) -> Mapping[str, str]:
        return dict(self._properties.get("environmentVariables") or {})

    @property
    def seconds(self) -> float | None:
        timeout = (self._properties.get("limits") or {}).get("timeout")
        found = _DURATION.fullmatch(timeout or "")
        if not found or not timeout:
            return None
        days, hours, minutes, seconds = (float(number or 0) for number in found.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds

    def prepare_outputs(self, service: "AzureMLEmulator", run_id: str, root: Path) -> dict[str, Output]:
        outputs = {}
        for name, address in service.output_addresses(run_id).items():
            datastore, path = _in_datastore(address, f"output {name!r}")
            outputs[name] = prepare_output(service, root, name, datastore, path.strip("/"))
        return outputs

    def prepare_inputs(self, service: "AzureMLEmulator", root: Path, data: Path | None = None) -> Inputs:
        literals: dict[str, str] = {}
        values: dict[str, str] = {}
        mounts: list[Mount] = []
        for name, given in (self._properties.get("inputs") or {}).items():
            if given["jobInputType"] == _LITERAL:
                literals[f"{_INPUT}{name}"] = str(given["value"])
                continue
            target = path_within(root, name)
            kept = (
                data if data is not None and name == _DATA else _written(service, name, given, root / ".files" / name)
            )
            if given.get("mode", _MOUNTED[0]) in _MOUNTED:
                mounts.append(Mount(kept if kept.is_dir() else kept.parent, target))
                values[name] = str(target if kept.is_dir() else target / kept.name)
            elif kept == data:
                shutil.copytree(kept, target)
                values[name] = str(target)
            else:
                values[name] = str(kept)
        variables = {f"AZURE_ML_INPUT_{name}": value for name, value in values.items()}
        paths = {f"{_INPUT}{name}": shlex.quote(value) for name, value in values.items()}
        return Inputs(literals | paths, variables, mounts)

    def with_outputs(self, inputs: Inputs, outputs: Mapping[str, Output]) -> Inputs:
        folders = {name: str(output.folder) for name, output in outputs.items()}
        variables = {f"AZURE_ML_OUTPUT_{name}": folder for name, folder in folders.items()}
        return inputs.with_values(
            {f"{_OUTPUT}{name}": shlex.quote(folder) for name, folder in folders.items()}, variables
        )

    def command(self, inputs: Inputs) -> Sequence[str]:
        """A shell runs the command. Only there, and not in variables, Azure ML replaces names by values.

        Raises:
            SubmitError: The command names an input or output that the job doesn't have.
        """

        def value(found: re.Match[str]) -> str:
            name = f"{found['kind']}.{found['name']}"
            if name not in inputs.values:
                raise SubmitError(f"the command has {found[0]}, and the job has no such {found['kind'].rstrip('s')}")
            return inputs.values[name]

        shell = shutil.which("bash") or "sh"
        return [shell, "-c", _PLACEHOLDER.sub(value, self._properties["command"])]

    def environment(self, service: "AzureMLEmulator", run_id: str, home: Path) -> Mapping[str, str]:
        return service.v2_job_environment(run_id, home)


def _in_datastore(address: str, what: str) -> tuple[str, str]:
    """The datastore and the path in it.

    Raises:
        SubmitError: It is another address.
    """
    found = _DATASTORE.fullmatch(address)
    if found is None:
        raise SubmitError(f"{what}: {address!r} isn't emulated; expected azureml://datastores/NAME/paths/PATH")
    return found["datastore"], found["path"]


def _written(service: "AzureMLEmulator", name: str, given: Mapping[str, Any], folder: Path) -> Path:
    """The files of an input, or its file, written to a folder."""
    address = service.input_address(given["uri"])
    datastore, path = _in_datastore(address, f"input {name!r}")
    if given["jobInputType"] == "uri_file":
        parent, _, file = path.rpartition("/")
        found = {key: content for key, content in service.datastore_files(datastore, parent).items() if key == file}
        if not found:
            raise SubmitError(f"input {name!r}: the datastore {datastore!r} has no file {path!r}")
        return write_files(found, folder) / file
    found = service.datastore_files(datastore, path)
    if not found:
        raise SubmitError(f"input {name!r}: the datastore {datastore!r} has no files in {path!r}")
    return write_files(found, folder)
