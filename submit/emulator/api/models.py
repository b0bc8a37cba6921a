"""Model management: assets, which are sets of artifacts, and the models registered of them."""

import uuid
from collections.abc import Mapping

from submit.emulator import datetimes
from submit.emulator.auth import Parameters
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.state import RegisteredModel, State


class ModelError(ApiError):
    """A refusal in the words of model management, which has no object for the error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        content = {"code": code, "statusCode": status, "message": message, "details": [], "correlation": {}}
        self.answer = json_response(content, status)


def create_asset(state: State, call: Request, parameters: Parameters) -> Response:
    asset = call.json()
    name = str(uuid.uuid4())
    state.assets[name] = asset | {"id": name}
    return json_response(state.assets[name])


def get_asset(state: State, call: Request, parameters: Parameters) -> Response:
    if parameters["asset"] not in state.assets:
        raise ModelError(404, "AssetNotFound", f"there is no asset {parameters['asset']!r}")
    return json_response(state.assets[parameters["asset"]])


def register(state: State, call: Request, parameters: Parameters) -> Response:
    """A new version of the model with this name."""
    asked = call.json()
    asset = state.assets.get(asked["url"].removeprefix("aml://asset/"))
    if asset is None:
        raise ApiError(400, "BadArgument", f"there is no asset at {asked['url']!r}")
    version = 1 + sum(model.name == asked["name"] for model in state.models)
    identity = {
        "id": f"{asked['name']}:{version}",
        "version": version,
        "createdTime": datetimes.to_iso(datetimes.now()),
    }
    model = RegisteredModel(
        name=asked["name"],
        version=version,
        artifacts=tuple(artifact.get("prefix") or artifact.get("id") for artifact in asset["artifacts"]),
        tags=asked.get("kvTags") or {},
        properties=asked.get("properties") or {},
        description=asked.get("description"),
        run_id=asked.get("runId"),
        wire=asked | identity,
    )
    state.models.append(model)
    return json_response(model.wire)


def get(state: State, call: Request, parameters: Parameters) -> Response:
    for model in state.models:
        if model.wire["id"] == parameters["model"]:
            return json_response(model.wire)
    raise ModelError(404, "ModelNotFound", f"there is no model {parameters['model']!r}")


def list_all(state: State, call: Request, parameters: Parameters) -> Response:
    """All on one page, the last one registered first."""
    models = [model for model in reversed(state.models) if _is_asked_for(model, call.query)]
    if call.query.get("latestVersionOnly", "").lower() == "true":
        models = [model for model in models if model.version == max(m.version for m in models if m.name == model.name)]
    return json_response({"value": [model.wire for model in models], "nextLink": None})


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
