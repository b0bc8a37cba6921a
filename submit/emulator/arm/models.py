"""Models: versions of files, of a run or of a datastore. Both SDKs see those that either has registered."""

import re
import uuid
from collections.abc import Sequence
from typing import Any

from submit.emulator import datetimes
from submit.emulator.arm import versions
from submit.emulator.messages import ApiError
from submit.emulator.state import DATASTORE_ORIGIN, ORIGIN, AssetVersion, RegisteredModel, State
from submit.emulator.workspace import ARTIFACT_STORE, SCOPE

_OF_JOB = re.compile(r"azureml://jobs/(?P<run>[^/]+)/outputs/artifacts/(?:paths/)?(?P<path>.*)")
_IN_DATASTORE = re.compile(r".*datastores/(?P<datastore>[^/]+)/paths/(?P<path>.*)")
_ARTIFACT = re.compile(rf"{ORIGIN}/dcid\.(?P<run>[^/]+)/(?P<path>.*)")


class Models:
    plural, singular = "models", "model"

    def names(self, state: State) -> Sequence[str]:
        return list(dict.fromkeys(model.name for model in state.models))

    def versions(self, state: State, name: str) -> Sequence[AssetVersion]:
        return [_version(state, model) for model in state.models if model.name == name]

    def add(self, state: State, version: AssetVersion) -> None:
        if not version.version.isdecimal():
            raise ApiError(400, "UserError", f"model version {version.version!r} isn't emulated; expected a number")
        model = _registered(state, version)
        same = [known for known in state.models if known.name == model.name and known.version == model.version]
        for known in same:
            state.models.remove(known)
        state.models.append(model)


MODELS = Models()
ROUTES = versions.routes(MODELS)


def _version(state: State, model: RegisteredModel) -> AssetVersion:
    created = datetimes.from_iso(model.content["createdTime"])
    given = {"modelType": "custom_model"} | (model.content.get("v2") or {}) | {"modelUri": _address(model)}
    details = {"tags": model.tags, "properties": model.properties, "description": model.description, "flavors": {}}
    return AssetVersion(model.name, str(model.version), {**given, **details}, created)


def _address(model: RegisteredModel) -> str:
    """Where the files are: those of runs and those that SDK v1 has uploaded are in the artifact store."""
    given = str(model.content.get("v2", {}).get("modelUri", ""))
    if not model.artifacts or (given and not _OF_JOB.fullmatch(given)):
        return given
    workspace = SCOPE.replace("/providers/Microsoft.MachineLearningServices", "")
    return f"azureml:/{workspace}/datastores/{ARTIFACT_STORE}/paths/{model.artifacts[0]}"


def _registered(state: State, version: AssetVersion) -> RegisteredModel:
    """The model as model management keeps it, with an asset that names its files."""
    properties = version.properties
    prefix, run_id = _files(state, str(properties.get("modelUri")))
    asset = str(uuid.uuid4())
    state.assets[asset] = {"id": asset, "name": version.name, "artifacts": [{"prefix": prefix}], "runid": run_id}
    tags, others = properties.get("tags") or {}, properties.get("properties") or {}
    content: dict[str, Any] = {
        "id": f"{version.name}:{version.version}",
        "name": version.name,
        "version": int(version.version),
        "url": f"aml://asset/{asset}",
        "mimeType": "application/octet-stream",
        "framework": "Custom",
        "datasets": [],
        "kvTags": tags,
        "properties": others,
        "description": properties.get("description"),
        "runId": run_id,
        "createdTime": datetimes.to_iso(version.created),
        "v2": properties,
    }
    return RegisteredModel(
        version.name, int(version.version), (prefix,), tags, others, properties.get("description"), run_id, content
    )


def _files(state: State, address: str) -> tuple[str, str | None]:
    """The prefix of the artifacts at an address, with which SDK v1 downloads them, and the run whose they are.

    Raises:
        ApiError: There is nothing at the address, or it isn't emulated.
    """
    of_job = _OF_JOB.fullmatch(address)
    if of_job:
        run = state.runs.get(of_job["run"])
        path = of_job["path"].strip("/")
        if run is None or not any(file == path or file.startswith(f"{path}/") for file in run.artifacts):
            raise ApiError(404, "UserError", f"modelUri {address!r}: the job has no such file")
        return f"{ORIGIN}/{run.container}/{path}", run.id
    kept = _IN_DATASTORE.fullmatch(address)
    if kept is None:
        raise ApiError(400, "UserError", f"modelUri {address!r} isn't emulated; expected files of a job or a datastore")
    if kept["datastore"] == ARTIFACT_STORE:
        of_run = _ARTIFACT.fullmatch(kept["path"])
        return kept["path"], of_run and of_run["run"]
    if not any(file.startswith(kept["path"].rstrip("/")) for file in state.datastore.artifacts):
        raise ApiError(404, "UserError", f"modelUri {address!r}: there is no such file")
    return f"{DATASTORE_ORIGIN}/{kept['datastore']}/{kept['path'].rstrip('/')}", None
