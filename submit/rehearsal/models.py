"""Model management: assets, which are sets of artefacts, and the models registered of them."""

import uuid

from submit.rehearsal import times
from submit.rehearsal.answers import Answer, RefusalError, json_answer
from submit.rehearsal.authorisation import Parameters
from submit.rehearsal.calls import Call
from submit.rehearsal.state import RegisteredModel, Run, State


def create_asset(state: State, run: Run, call: Call, parameters: Parameters) -> Answer:
    asset = call.json()
    name = str(uuid.uuid4())
    state.assets[name] = tuple(artifact.get("prefix") or artifact.get("id") for artifact in asset["artifacts"])
    return json_answer(asset | {"id": name})


def register(state: State, run: Run, call: Call, parameters: Parameters) -> Answer:
    """A new version of the model with this name."""
    asked = call.json()
    asset = asked["url"].removeprefix("aml://asset/")
    if asset not in state.assets:
        raise RefusalError(400, "BadArgument", f"there is no asset {asset!r}")
    model = RegisteredModel(
        name=asked["name"],
        version=1 + sum(model.name == asked["name"] for model in state.models),
        artifacts=state.assets[asset],
        tags=asked.get("kvTags") or {},
        properties=asked.get("properties") or {},
        description=asked.get("description"),
        run_id=run.id,
    )
    state.models.append(model)
    identity = {"id": f"{model.name}:{model.version}", "version": model.version}
    return json_answer(asked | identity | {"createdTime": times.wire(times.now())})
