"""HyperDrive, which takes sweeps; it starts none of their runs."""

import json
import uuid
from email import message_from_bytes
from typing import Any

from submit.rehearsal import times
from submit.rehearsal.answers import Answer, RefusalError, json_answer
from submit.rehearsal.authorisation import Parameters, for_its_run, for_user
from submit.rehearsal.calls import Call
from submit.rehearsal.execution import ENDED, set_status
from submit.rehearsal.route import Route
from submit.rehearsal.runs import Run
from submit.rehearsal.state import State
from submit.rehearsal.submissions import SubmittedJob
from submit.rehearsal.workspace import SCOPE

_EXPERIMENTS = f"{SCOPE[1:]}/experiments/"
_TAGS = (
    "generator_config",
    "primary_metric_config",
    "policy_config",
    "platform_config",
    "max_total_jobs",
    "max_concurrent_jobs",
    "max_duration_minutes",
)


def submit(state: State, call: Call, parameters: Parameters) -> Answer:
    """A new run, which stands for the whole sweep."""
    definition = _definition(call)
    if not parameters["scope"].startswith(_EXPERIMENTS):
        raise RefusalError(404, "NotFound", f"there is no workspace of {parameters['scope']!r}")
    snapshot = definition["platform_config"]["Definition"].get("SnapshotId")
    if snapshot not in state.snapshots:
        raise RefusalError(400, "UserError", f"there is no snapshot {snapshot!r}")
    run = _queued(parameters["scope"].removeprefix(_EXPERIMENTS), len(state.runs) + 1, definition)
    state.sweeps.append(SubmittedJob(run.id, run.experiment, definition, dict(state.snapshots[snapshot].files)))
    state.keep_run(run)
    return json_answer({"code": 201, "result": _content(run, definition)}, 201)


def cancel(state: State, run: Run, call: Call, parameters: Parameters) -> Answer:
    """Ends a sweep at once; one that has ended stays as it is."""
    if run.status not in ENDED:
        set_status(run, "Canceled")
    return json_answer({"code": 200, "result": run.status})


def list_children(state: State, run: Run, call: Call, parameters: Parameters) -> Answer:
    return json_answer({"value": [], "continuationToken": None})


def _definition(call: Call) -> dict[str, Any]:
    """The only part of the form: a file with the request in it."""
    form = message_from_bytes(f"Content-Type: {call.headers.get('content-type')}\r\n\r\n".encode() + call.body)
    for part in form.walk():
        if part.get_param("name", header="content-disposition") == "config":
            found: dict[str, Any] = json.loads(part.get_payload(decode=True))  # type: ignore[arg-type]  # a file is bytes
            return found
    raise RefusalError(400, "BadArgument", "expected a form with a part called config")


def _queued(experiment: str, number: int, definition: dict[str, Any]) -> Run:
    return Run(
        f"HD_{uuid.uuid4()}",
        experiment,
        number,
        times.now(),
        status="Queued",
        type="hyperdrive",
        target=definition["platform_config"]["Definition"]["Overrides"]["target"],
        tags={f"_aml_system_{name}": _text(definition[name]) for name in _TAGS},
    )


def _text(value: Any) -> str:
    return str(value) if isinstance(value, int) else json.dumps(value)


def _content(run: Run, definition: dict[str, Any]) -> dict[str, Any]:
    return definition | {
        "platform_config": definition["platform_config"] | {"ParentRunId": run.id},
        "all_jobs_generated": False,
        "cancellation_requested": False,
        "created": times.wire(run.created),
        "modified": times.wire(run.created),
        "created_by_user_id": 0,
        "experiment_id": run.id,
        "hyperdrive_run_id": run.id,
        "status": "CREATED",
        "study_id": 0,
    }


_RUNS = "/hyperdrive/v1.0/{scope}/runs"  # the client encodes the slashes of the scope
_HISTORY = f"/history/v1.0{SCOPE}/experiments/{{experiment}}"
AZURE_ML = (
    Route("POST", _RUNS, for_user(submit)),
    Route("POST", f"{_RUNS}/{{run}}/cancel", for_user(for_its_run(cancel))),
    Route("GET", f"{_HISTORY}/runs/{{run}}/children", for_user(for_its_run(list_children))),
)
