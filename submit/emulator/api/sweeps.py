"""HyperDrive: sweeps are recorded, and their runs are not started."""

import json
import uuid
from email import message_from_bytes
from typing import Any

from submit.emulator import datetimes
from submit.emulator.api.jobs import ENDED, set_status
from submit.emulator.auth import Parameters, for_run, for_user
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import Run, State, SubmittedJob
from submit.emulator.workspace import SCOPE

POLICIES = ("Bandit", "MedianStopping", "TruncationSelection")  # of early termination
_NO_POLICY = "Default"
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


def submit(state: State, request: Request, parameters: Parameters) -> Response:
    """Creates the parent run of a sweep."""
    definition = _definition(request)
    if not parameters["scope"].startswith(_EXPERIMENTS):
        raise ApiError(404, "NotFound", f"there is no workspace of {parameters['scope']!r}")
    if (policy := definition["policy_config"]["name"]) not in (_NO_POLICY, *POLICIES):
        raise ApiError(400, "BadArgument", f"policy {policy!r} isn't emulated; expected one of {', '.join(POLICIES)}")
    snapshot = definition["platform_config"]["Definition"].get("SnapshotId")
    if snapshot not in state.snapshots:
        raise ApiError(400, "UserError", f"there is no snapshot {snapshot!r}")
    run = _queued(parameters["scope"].removeprefix(_EXPERIMENTS), len(state.runs) + 1, definition)
    state.sweeps.append(SubmittedJob(run.id, run.experiment, definition, dict(state.snapshots[snapshot].files)))
    state.keep_run(run)
    return json_response({"code": 201, "result": _content(run, definition)}, 201)


def cancel(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    """Cancels a sweep at once; a sweep that has ended keeps its status."""
    if run.status not in ENDED:
        set_status(run, "Canceled")
    return json_response({"code": 200, "result": run.status})


def _definition(request: Request) -> dict[str, Any]:
    """The sweep, which is a file in a form."""
    form = message_from_bytes(f"Content-Type: {request.headers.get('content-type')}\r\n\r\n".encode() + request.body)
    for part in form.walk():
        if part.get_param("name", header="content-disposition") == "config":
            found: dict[str, Any] = json.loads(part.get_payload(decode=True))  # type: ignore[arg-type]  # a file is bytes
            return found
    raise ApiError(400, "BadArgument", "expected a form with a part called config")


def _queued(experiment: str, number: int, definition: dict[str, Any]) -> Run:
    return Run(
        f"HD_{uuid.uuid4()}",
        experiment,
        number,
        datetimes.now(),
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
        "created": datetimes.to_iso(run.created),
        "modified": datetimes.to_iso(run.created),
        "created_by_user_id": 0,
        "experiment_id": run.id,
        "hyperdrive_run_id": run.id,
        "status": "CREATED",
        "study_id": 0,
    }


_RUNS = "/hyperdrive/v1.0/{scope}/runs"  # the client encodes the slashes of the scope
ROUTES = (
    Route("POST", _RUNS, for_user(submit)),
    Route("POST", f"{_RUNS}/{{run}}/cancel", for_user(for_run(cancel))),
)
