"""Datasets: saved ones, which jobs refer to by id, and registered ones, which are versions of a name."""

import json
import uuid
from typing import Any

from submit.emulator.auth import Parameters, for_job_or_user, for_user
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import State
from submit.emulator.workspace import ARTIFACT_STORE, DATASTORE, SCOPE


def save(state: State, request: Request, parameters: Parameters) -> Response:
    """Saves a dataset; equal content has an equal id."""
    body = request.json()
    return json_response(_saved(state, body["datasetType"], body["dataflowJson"]))


def get_saved(state: State, request: Request, parameters: Parameters) -> Response:
    return json_response(_known(state, parameters["dataset"]))


def get_version(state: State, request: Request, parameters: Parameters) -> Response:
    """The client reads each dataset a second time, by a name made of its id."""
    saved = _known(state, parameters["dataset"].removeprefix("unregistered-"))
    return json_response({"legacyDataflow": json.loads(saved["dataflowJson"])["meta"]["RsDataflow"]})


def register(state: State, request: Request, parameters: Parameters) -> Response:
    """The first version of a name, or with ``ifExistsOk`` the next one."""
    body = request.json()
    if state.datasets.get(body["name"]) and request.query.get("ifExistsOk", "").lower() != "true":
        raise ApiError(409, "UserError", f"A dataset with name {body['name']!r} is already registered.")
    return json_response(add(state, body))


def add(state: State, body: dict[str, Any]) -> dict[str, Any]:
    """Adds a version of a dataset, as the client describes it, and returns it."""
    versions = state.datasets.setdefault(body["name"], [])
    latest = body["latest"]
    saved = _saved(state, body["datasetType"], latest["dataflow"])
    identity = {"versionId": str(len(versions) + 1), "savedDatasetId": saved["id"]}
    dataset_id = versions[0]["datasetId"] if versions else str(uuid.uuid4())
    versions.append(body | {"datasetId": dataset_id, "latest": latest | identity})
    return versions[-1]


def files_content(name: str, path: str) -> dict[str, Any]:
    """A dataset of the files in a folder of the default datastore."""
    files = {"datastores": [{"datastoreName": DATASTORE, "path": path}]}
    flow = {
        "blocks": [{"type": "Microsoft.DPrep.GetDatastoreFilesBlock", "arguments": files}],
        "meta": {"RsDataflow": f"paths:\n- folder: azureml://datastores/{DATASTORE}/paths/{path}\ntype: mltable\n"},
    }
    return {"name": name, "datasetType": "file", "latest": {"dataflow": json.dumps(flow)}}


def get_registered(state: State, request: Request, parameters: Parameters) -> Response:
    """A version of a dataset, or its last one."""
    versions = state.datasets.get(parameters["name"], [])
    wanted = request.query.get("versionId", str(len(versions)))
    for dataset in versions:
        if dataset["latest"]["versionId"] == wanted:
            return json_response(dataset)
    raise ApiError(404, "UserError", f"there is no dataset {parameters['name']!r} with version {wanted}")


def unregister(state: State, request: Request, parameters: Parameters) -> Response:
    """Removes all versions of a name; the saved datasets stay."""
    if state.datasets.pop(parameters["name"], None) is None:
        raise ApiError(404, "UserError", f"there is no dataset {parameters['name']!r}")
    return Response()


def list_registered(state: State, request: Request, parameters: Parameters) -> Response:
    """The last version of each dataset, or all versions with one saved content."""
    saved = parameters.get("dataset")
    if saved is None:
        return _page([versions[-1] for versions in state.datasets.values()])
    everything = [dataset for versions in state.datasets.values() for dataset in versions]
    return _page([dataset for dataset in everything if dataset["latest"]["savedDatasetId"] == saved])


def find(state: State, dataset_id: str | None, name: str | None, version: str | None) -> dict[str, Any] | None:
    """A saved dataset by its id, or by the name and version under which it is registered."""
    if dataset_id is None:
        versions = state.datasets.get(name or "", [])
        wanted = str(len(versions)) if version in (None, "", "latest") else str(version)
        found = [each for each in versions if each["latest"]["versionId"] == wanted]
        dataset_id = found[0]["latest"]["savedDatasetId"] if found else ""
    return state.saved_datasets.get(dataset_id)


def files_of_datastore(state: State, datastore: str | None, path: str) -> dict[str, bytes]:
    """The files in a folder of the default datastore, or of the one with the files of runs."""
    prefix = f"{path.strip('/')}/".lstrip("/")
    if datastore == ARTIFACT_STORE:
        origin, _, rest = prefix.partition("/")
        name, _, prefix = rest.partition("/")
        container = state.files(origin, name)
        blobs = container.artifacts if container else {}
    else:
        blobs = state.datastore.artifacts
    return {name.removeprefix(prefix): blob for name, blob in blobs.items() if name.startswith(prefix)}


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


_DATASET = f"/dataset/v1.0{SCOPE}"
ROUTES = (
    Route("POST", f"{_DATASET}/saveddatasets", for_job_or_user(save)),
    Route("GET", f"{_DATASET}/saveddatasets/{{dataset}}", for_job_or_user(get_saved)),
    Route("GET", f"{_DATASET}/datasets", for_job_or_user(list_registered)),
    Route("POST", f"{_DATASET}/datasets", for_user(register)),
    Route("DELETE", f"{_DATASET}/datasets/{{name}}", for_user(unregister)),
    Route("GET", f"{_DATASET}/datasets/query/name={{name}}", for_job_or_user(get_registered)),
    Route("GET", f"{_DATASET}/datasets/query/savedDatasetId={{dataset}}", for_job_or_user(list_registered)),
    Route("GET", f"/data/v1.0{SCOPE}/dataversion/{{dataset}}/versions/{{version}}", for_job_or_user(get_version)),
)
