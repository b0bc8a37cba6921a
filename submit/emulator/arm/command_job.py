"""A command job of SDK v2: what it needs, and what run history says of it."""

from collections.abc import Mapping
from typing import Any

from submit.emulator.arm import code, data, environments, versions
from submit.emulator.arm.resources import known, version_in
from submit.emulator.messages import ApiError
from submit.emulator.state import Run, State
from submit.emulator.workspace import DATASTORE, SCOPE

SERVERLESS = "serverless"
DISTRIBUTIONS = ("PyTorch", "Mpi")
TIERS = ("Null", "Spot", "Standard", "Premium", "Basic")
INPUTS = ("literal", "uri_file", "uri_folder", "mltable", "custom_model", "mlflow_model")
INPUT_MODES = ("ReadOnlyMount", "ReadWriteMount", "Download", "Direct", "EvalMount", "EvalDownload")
OUTPUTS = ("uri_file", "uri_folder", "mltable", "custom_model", "mlflow_model")
OUTPUT_MODES = ("ReadWriteMount", "Upload", "Direct")
_LOCAL = "IsLocal"  # what the client writes for compute="local", for which the service would send a program of its own
_COMPUTES = f"{SCOPE}/computes/"


def check(state: State, properties: Mapping[str, Any]) -> dict[str, bytes]:
    """Checks that the workspace has what a job names, and returns the files of its code.

    Raises:
        ApiError: It doesn't, or the emulator couldn't run the job.
    """
    if not properties.get("command"):
        raise ApiError(400, "UserError", "the job has no command")
    _check_compute(state, properties)
    environments.find(state, str(properties.get("environmentId")))
    distribution = properties.get("distribution")
    if distribution:
        known(distribution.get("distributionType"), DISTRIBUTIONS, "distributionType")
    for name, value in (properties.get("inputs") or {}).items():
        known(value.get("jobInputType"), INPUTS, f"input {name!r}: jobInputType")
        known(value.get("mode") or INPUT_MODES[0], INPUT_MODES, f"input {name!r}: mode")
        data.address(state, str(value.get("uri")))  # raises if it is the id of something that there isn't
    for name, value in (properties.get("outputs") or {}).items():
        known(value.get("jobOutputType"), OUTPUTS, f"output {name!r}: jobOutputType")
        known(value.get("mode") or OUTPUT_MODES[0], OUTPUT_MODES, f"output {name!r}: mode")
    return _files(state, properties.get("codeId"))


def _check_compute(state: State, properties: Mapping[str, Any]) -> None:
    if _LOCAL in ((properties.get("resources") or {}).get("properties") or {}):
        raise ApiError(400, "UserError", "compute='local' isn't emulated; give a cluster: its jobs run here as well")
    name = compute(properties)
    tier = (properties.get("queueSettings") or {}).get("jobTier")
    if name == SERVERLESS:
        known(tier or TIERS[0], TIERS, "jobTier")
    elif name not in state.computes:
        raise ApiError(400, "UserError", f"Unknown compute target '{name}'.")
    elif tier not in (None, "Null"):
        raise ApiError(
            400, "UserError", f"jobTier {tier!r}: a tier is for serverless compute, and {name!r} is a cluster"
        )


def _files(state: State, code_id: str | None) -> dict[str, bytes]:
    if not code_id:
        return {}
    found = version_in(code_id, code.CODES.plural)
    if found is None:
        raise ApiError(400, "UserError", f"codeId {code_id!r}: expected the id of a version of code")
    return code.files(state, versions.find(code.CODES, state, *found))


def compute(properties: Mapping[str, Any]) -> str:
    """The name of the cluster, or serverless."""
    wanted = properties.get("computeId") or SERVERLESS
    return str(wanted).removeprefix(_COMPUTES).removeprefix("azureml:")


def shape(properties: Mapping[str, Any]) -> tuple[int, int]:
    """The number of nodes and of the processes on each."""
    nodes = int((properties.get("resources") or {}).get("instanceCount") or 1)
    return nodes, int((properties.get("distribution") or {}).get("processCountPerInstance") or 1)


def run_definition(state: State, properties: Mapping[str, Any]) -> dict[str, Any]:
    """The job as a client of SDK v1 reads it in run history; its inputs and outputs are not in it."""
    nodes, processes = shape(properties)
    kind = (properties.get("distribution") or {}).get("distributionType")
    found = environments.find(state, properties["environmentId"])
    return {
        "script": None,
        "command": properties["command"],
        "arguments": [],
        "target": compute(properties),
        "framework": "PyTorch" if kind == "PyTorch" else "Python",
        "communicator": {"PyTorch": "Nccl", "Mpi": "Mpi"}.get(str(kind), "None"),
        "nodeCount": nodes,
        "pytorch": {"communicationBackend": "nccl", "processCount": nodes * processes, "nodeCount": nodes},
        "mpi": {"processCountPerNode": processes, "nodeCount": nodes},
        "environment": {"name": found.name, "version": found.version},
        "environmentVariables": properties.get("environmentVariables") or {},
        "data": {},
        "dataReferences": {},
        "outputData": {},
    }


def of_v1(run: Run) -> dict[str, Any]:
    """What a client of SDK v2 reads of a run that it didn't send."""
    definition = run.definition or {}
    environment = definition.get("environment") or {}
    words = [definition.get("script") or "", *map(str, definition.get("arguments") or [])]
    name, version = environment.get("name") or "none", environment.get("version") or "1"
    return {
        "jobType": "Command",
        "command": definition.get("command") or " ".join(words),
        "environmentId": f"{SCOPE}/environments/{name}/versions/{version}",
        "computeId": f"{_COMPUTES}{run.target}",
        "resources": {"instanceCount": definition.get("nodeCount") or 1},
        "inputs": {},
        "outputs": {},
    }


def output_addresses(properties: Mapping[str, Any], run_id: str) -> dict[str, Any]:
    """The outputs with the addresses where they are kept, which a job needn't say."""
    return {
        name: dict(value) | {"uri": output_address(name, value, run_id)}
        for name, value in (properties.get("outputs") or {}).items()
    }


def output_address(name: str, output: Mapping[str, Any], run_id: str) -> str:
    default = "azureml://datastores/${{default_datastore}}/paths/azureml/${{name}}/${{output_name}}/"
    address = str(output.get("uri") or default)
    values = {"default_datastore": DATASTORE, "name": run_id, "output_name": name}
    for word, value in values.items():
        address = address.replace(f"${{{{{word}}}}}", value)
    return address
