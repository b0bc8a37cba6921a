"""Model management: assets, which are sets of artifacts, and the models registered of them."""

import uuid
from collections.abc import Mapping
from dataclasses import replace

from submit.emulator import datetimes
from submit.emulator.auth import Parameters, for_job_or_user, for_user
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import RegisteredModel, State
from submit.emulator.workspace import SCOPE


class ModelError(ApiError):
    """An error as model management sends it, without the object around it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        content = {"code": code, "statusCode": status, "message": message, "details": [], "correlation": {}}
        self.response = json_response(content, status)


def create_asset(state: State, request: Request, parameters: Parameters) -> Response:
    asset = request.json()
    name = str(uuid.uuid4())
    state.assets[name] = asset | {"id": name}
    return json_response(state.assets[name])


def get_asset(state: State, request: Request, parameters: Parameters) -> Response:
    if parameters["asset"] not in state.assets:
        raise ModelError(404, "AssetNotFound", f"there is no asset {parameters['asset']!r}")
    return json_response(state.assets[parameters["asset"]])


def register(state: State, request: Request, parameters: Parameters) -> Response:
    """Registers a new version of a model."""
    body = request.json()
    asset = state.assets.get(body["url"].removeprefix("aml://asset/"))
    if asset is None:
        raise ApiError(400, "BadArgument", f"there is no asset at {body['url']!r}")
    version = 1 + max((model.version for model in state.models if model.name == body["name"]), default=0)
    identity = {
        "id": f"{body['name']}:{version}",
        "version": version,
        "createdTime": datetimes.to_iso(datetimes.now()),
    }
    model = RegisteredModel(
        name=body["name"],
        version=version,
        artifacts=tuple(artifact.get("prefix") or artifact.get("id") for artifact in asset["artifacts"]),
        tags=body.get("kvTags") or {},
        properties=body.get("properties") or {},
        description=body.get("description"),
        run_id=body.get("runId"),
        content=body | identity,
    )
    state.models.append(model)
    return json_response(model.content)


def get(state: State, request: Request, parameters: Parameters) -> Response:
    return json_response(_known(state, parameters["model"]).content)


def _known(state: State, name: str) -> RegisteredModel:
    for model in state.models:
        if model.content["id"] == name:
            return model
    raise ModelError(404, "ModelNotFound", f"there is no model {name!r}")


def patch(state: State, request: Request, parameters: Parameters) -> Response:
    """Replaces the tags, the properties or the description, as the client does it."""
    model = _known(state, parameters["model"])
    changes = {step["path"].removeprefix("/"): step["value"] for step in request.json()}
    if unknown := set(changes) - {"kvTags", "properties", "description"}:
        raise ModelError(400, "BadArgument", f"the emulator can't change {sorted(unknown)} of a model")
    changed = replace(
        model,
        tags=changes.get("kvTags", model.tags),
        properties=changes.get("properties", model.properties),
        description=changes.get("description", model.description),
        content=model.content | changes,
    )
    state.models[state.models.index(model)] = changed
    return json_response(changed.content)


def delete(state: State, request: Request, parameters: Parameters) -> Response:
    state.models.remove(_known(state, parameters["model"]))
    return Response(200)


def list_all(state: State, request: Request, parameters: Parameters) -> Response:
    """All on one page, the last registered one first."""
    models = [model for model in reversed(state.models) if _is_asked_for(model, request.query)]
    if request.query.get("latestVersionOnly", "").lower() == "true":
        models = [model for model in models if model.version == max(m.version for m in models if m.name == model.name)]
    return json_response({"value": [model.content for model in models], "nextLink": None})


def _is_asked_for(model: RegisteredModel, query: Mapping[str, str]) -> bool:
    return (
        query.get("name") in (None, model.name)
        and query.get("runId") in (None, model.run_id)
        and _has(model.tags, query.get("tags", ""))
        and _has(model.properties, query.get("properties", ""))
    )


def _has(labels: dict[str, str], wanted: str) -> bool:
    """Whether all of "name,name=value" are among the labels."""
    for label in filter(None, wanted.split(",")):
        name, equals, value = label.partition("=")
        if name not in labels or (equals and labels[name] != value):
            return False
    return True


_MODEL = f"/modelmanagement/v1.0{SCOPE}"
ROUTES = (
    Route("POST", f"{_MODEL}/assets", for_job_or_user(create_asset)),
    Route("POST", f"{_MODEL}/models", for_job_or_user(register)),
    Route("GET", f"{_MODEL}/assets/{{asset}}", for_job_or_user(get_asset)),
    Route("GET", f"{_MODEL}/models", for_job_or_user(list_all)),
    Route("GET", f"{_MODEL}/models/{{model}}", for_job_or_user(get)),
    Route("PATCH", f"{_MODEL}/models/{{model}}", for_job_or_user(patch)),
    Route("DELETE", f"{_MODEL}/models/{{model}}", for_user(delete)),
)
