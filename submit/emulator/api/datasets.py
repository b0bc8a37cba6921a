"""Datasets: saved ones, which jobs refer to by id, and registered ones, which are versions of a name."""

import json
import uuid
from typing import Any

from submit.emulator.auth import Parameters
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.state import State


def save(state: State, call: Request, parameters: Parameters) -> Response:
    """The same content has the same id."""
    asked = call.json()
    return json_response(_saved(state, asked["datasetType"], asked["dataflowJson"]))


def get_saved(state: State, call: Request, parameters: Parameters) -> Response:
    return json_response(_known(state, parameters["dataset"]))


def get_version(state: State, call: Request, parameters: Parameters) -> Response:
    """What the client reads once more of each dataset, by a name made of its id."""
    saved = _known(state, parameters["dataset"].removeprefix("unregistered-"))
    return json_response({"legacyDataflow": json.loads(saved["dataflowJson"])["meta"]["RsDataflow"]})


def register(state: State, call: Request, parameters: Parameters) -> Response:
    """The first version of a name, or a further one if that is asked for."""
    asked = call.json()
    versions = state.datasets.setdefault(asked["name"], [])
    if versions and call.query.get("ifExistsOk", "").lower() != "true":
        raise ApiError(409, "UserError", f"A dataset with name {asked['name']!r} is already registered.")
    latest = asked["latest"]
    saved = _saved(state, asked["datasetType"], latest["dataflow"])
    identity = {"versionId": str(len(versions) + 1), "savedDatasetId": saved["id"]}
    dataset_id = versions[0]["datasetId"] if versions else str(uuid.uuid4())
    versions.append(asked | {"datasetId": dataset_id, "latest": latest | identity})
    return json_response(versions[-1])


def get_registered(state: State, call: Request, parameters: Parameters) -> Response:
    """A version of a dataset, or its last one."""
    versions = state.datasets.get(parameters["name"], [])
    wanted = call.query.get("versionId", str(len(versions)))
    for dataset in versions:
        if dataset["latest"]["versionId"] == wanted:
            return json_response(dataset)
    raise ApiError(404, "UserError", f"there is no dataset {parameters['name']!r} with version {wanted}")


def list_registered(state: State, call: Request, parameters: Parameters) -> Response:
    """The last version of each; those of one content if that is asked for."""
    saved = parameters.get("dataset")
    if saved is None:
        return _page([versions[-1] for versions in state.datasets.values()])
    everything = [dataset for versions in state.datasets.values() for dataset in versions]
    return _page([dataset for dataset in everything if dataset["latest"]["savedDatasetId"] == saved])


def _page(datasets: list[dict[str, Any]]) -> Response:
    return json_response({"value": datasets, "continuationToken": None})


def _saved(state: State, kind: str, dataflow: str) -> dict[str, Any]:
    name = str(uuid.uuid5(uuid.NAMESPACE_OID, dataflow))
    state.saved_datasets[name] = {"id": name, "datasetType": kind, "properties": {}, "dataflowJson": dataflow}
    return state.saved_datasets[name]


def _known(state: State, name: str) -> dict[str, Any]:
    if name not in state.saved_datasets:
        raise ApiError(404, "UserError", f"there is no dataset {name!r}")
    return state.saved_datasets[name]
