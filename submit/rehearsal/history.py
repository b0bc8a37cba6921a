"""Run history: discovery, runs with their tags and properties, events and tokens."""

import time
from typing import Any

from submit.rehearsal import limits, times
from submit.rehearsal.answers import Answer, RefusalError, json_answer
from submit.rehearsal.authorisation import Parameters
from submit.rehearsal.calls import Call
from submit.rehearsal.state import Run, State
from submit.rehearsal.workspace import experiment_id

SERVICES = ("api", "history", "experimentation", "modelmanagement", "hyperdrive", "studio")
PATCHED = {"runId", "tags", "properties", "displayName", "description"}
TOKEN_SECONDS = 3600


def discovery(state: State, call: Call, parameters: Parameters) -> Answer:
    return json_answer(dict.fromkeys(SERVICES, state.url))


def get_experiment(state: State, run: Run, call: Call, parameters: Parameters) -> Answer:
    return json_answer({"experimentId": experiment_id(run.experiment), "name": run.experiment, "tags": {}})


def get_run(state: State, run: Run, call: Call, parameters: Parameters) -> Answer:
    return json_answer(_run(run))


def get_details(state: State, run: Run, call: Call, parameters: Parameters) -> Answer:
    lineage: dict[str, Any] = {"inputDatasets": [], "outputDatasets": [], "runDefinition": None, "logFiles": {}}
    return json_answer(_run(run) | lineage)


def patch_run(state: State, run: Run, call: Call, parameters: Parameters) -> Answer:
    """Adds tags and properties to those that are there; sets the display name and the description."""
    patch = call.json()
    if unknown := set(patch) - PATCHED:
        raise RefusalError(
            400, "BadArgument", f"this rehearsal can't patch {sorted(unknown)}; it can {sorted(PATCHED)}"
        )
    tags = run.tags | (patch.get("tags") or {})
    properties = run.properties | (patch.get("properties") or {})
    limits.check_labels("tags", tags)
    limits.check_labels("properties", properties)
    limits.check_display_name(patch.get("displayName") or "")
    run.tags, run.properties = tags, properties
    run.display_name = patch.get("displayName", run.display_name)
    run.description = patch.get("description", run.description)
    return json_answer(_run(run))


def delete_tags(state: State, run: Run, call: Call, parameters: Parameters) -> Answer:
    for name in call.json():
        run.tags.pop(name, None)
    return json_answer({"errors": {}})


def post_event(state: State, run: Run, call: Call, parameters: Parameters) -> Answer:
    """Keeps it; a job's run doesn't end by it, for the platform ends it when the processes have."""
    run.events.append(call.json())
    return json_answer({})


def get_token(state: State, run: Run, call: Call, parameters: Parameters) -> Answer:
    expires = time.time() + TOKEN_SECONDS
    token = state.tokens.issue(run.id, expires)
    return json_answer({"token": token, "expiryTimeUtc": times.wire(times.moment(expires))})


def wait_for_metrics(state: State, run: Run, call: Call, parameters: Parameters) -> Answer:
    """Metrics are there as soon as their batch was answered."""
    return Answer()


def _run(run: Run) -> dict[str, Any]:
    return {
        "runId": run.id,
        "runNumber": run.number,
        "rootRunId": run.id,
        "experimentId": experiment_id(run.experiment),
        "createdUtc": times.wire(run.created),
        "startTimeUtc": times.wire(run.created),
        "status": run.status,
        "displayName": run.display_name,
        "description": run.description,
        "dataContainerId": run.container,
        "target": "rehearsal",
        "tags": run.tags,
        "properties": run.properties,
    }
