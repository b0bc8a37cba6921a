"""Jobs: their snapshots, their submission and their status."""

from typing import Any

from submit.emulator import datetimes, limits
from submit.emulator.api import environments
from submit.emulator.auth import Parameters, for_run, for_user
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import NO_SNAPSHOT, Run, State, SubmittedJob
from submit.emulator.workspace import SCOPE

WAITING = ("NotStarted", "Starting", "Provisioning", "Preparing", "Queued")
AT_WORK = ("Running", "Finalizing", "CancelRequested")
ENDED = ("Completed", "Failed", "Canceled")


def submit(state: State, request: Request, parameters: Parameters) -> Response:
    """Creates a queued run; ``AzureMLEmulator.set_run_status`` changes its status."""
    definition = request.json()
    run_id, experiment = request.query["runId"], parameters["experiment"]
    limits.check_run_id(run_id)
    files = _files_of(state, definition["SnapshotId"])
    target = definition["Configuration"]["target"]
    if target not in state.computes:
        raise ApiError(400, "UserError", f"Unknown compute target '{target}'.")
    if run_id in state.runs:
        raise ApiError(409, "Conflict", f"Run {run_id} already exists.")
    queue(state, SubmittedJob(run_id, experiment, definition, files))
    return json_response({"runId": run_id})


def queue(state: State, job: SubmittedJob) -> Run:
    """Adds a job of SDK v1 and its run, which is queued."""
    return queue_run(state, job, environments.with_version(state, job.definition["Configuration"]))


def queue_run(state: State, job: SubmittedJob, definition: dict[str, Any]) -> Run:
    """Adds a job and its run, with the definition that a client of SDK v1 reads of it."""
    state.jobs.append(job)
    return state.keep_run(_queued(job.run_id, job.experiment, len(state.runs) + 1, definition))


def refuse_local(state: State, request: Request, parameters: Parameters) -> Response:
    """A run on the user's own machine, for which the service would send a program of its own."""
    message = "compute_target='local' isn't emulated; give a cluster, such as 'cpu-cluster': its jobs run here as well"
    raise ApiError(400, "UserError", message)


def cancel(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    """Cancels a run at once; a run that has ended keeps its status."""
    if run.status not in ENDED:
        set_status(run, "Canceled")
    return json_response({})


def set_status(run: Run, status: str, error: str | None = None) -> None:
    """Sets the status with its times: a run starts once and ends once.

    Raises:
        ValueError: There is no such status.
    """
    if status not in WAITING + AT_WORK + ENDED:
        raise ValueError(f"status is {status!r}; expected one of {', '.join(WAITING + AT_WORK + ENDED)}")
    run.status, run.error = status, error
    if status in AT_WORK:
        run.started = run.started or datetimes.now()
    run.ended = (run.ended or datetimes.now()) if status in ENDED else None


def _files_of(state: State, snapshot: str | None) -> dict[str, bytes]:
    if snapshot in (None, NO_SNAPSHOT):  # the snapshot of a folder without files
        return {}
    if snapshot not in state.snapshots:
        raise ApiError(400, "UserError", f"there is no snapshot {snapshot!r}")
    return dict(state.snapshots[snapshot].files)


def _queued(run_id: str, experiment: str, number: int, configuration: dict[str, Any]) -> Run:
    return Run(
        run_id,
        experiment,
        number,
        datetimes.now(),
        status="Queued",
        type="azureml.scriptrun",
        target=configuration["target"],
        definition=configuration,
    )


_EXECUTION = f"/execution/v1.0{SCOPE}/experiments/{{experiment}}"
ROUTES = (
    Route("POST", f"{_EXECUTION}/snapshotrun", for_user(submit)),
    Route("POST", f"{_EXECUTION}/localrun", for_user(refuse_local)),
    Route("POST", f"{_EXECUTION}/runId/{{run}}/cancel", for_user(for_run(cancel))),
)
