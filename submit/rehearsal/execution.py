"""Jobs: what is submitted, and what becomes of it."""

from typing import Any

from submit.rehearsal import times
from submit.rehearsal.answers import Answer, RefusalError, json_answer
from submit.rehearsal.authorisation import Parameters
from submit.rehearsal.calls import Call
from submit.rehearsal.runs import Run
from submit.rehearsal.state import State
from submit.rehearsal.submissions import NO_SNAPSHOT, SubmittedJob

WAITING = ("NotStarted", "Starting", "Provisioning", "Preparing", "Queued")
AT_WORK = ("Running", "Finalizing", "CancelRequested")
ENDED = ("Completed", "Failed", "Canceled")


def submit(state: State, call: Call, parameters: Parameters) -> Answer:
    """A new run, which is queued; it goes on when somebody says so."""
    definition = call.json()
    run_id, experiment = call.query["runId"], parameters["experiment"]
    files = _snapshot_files(state, definition["SnapshotId"])
    target = definition["Configuration"]["target"]
    if target not in state.computes:
        raise RefusalError(400, "UserError", f"Unknown compute target '{target}'.")
    if run_id in state.runs:
        raise RefusalError(409, "Conflict", f"Run {run_id} already exists.")
    state.jobs.append(SubmittedJob(run_id, experiment, definition, files))
    state.keep_run(_queued(run_id, experiment, len(state.runs) + 1, definition["Configuration"]))
    return json_answer({"runId": run_id})


def cancel(state: State, run: Run, call: Call, parameters: Parameters) -> Answer:
    """Ends a run at once; one that has ended stays as it is."""
    if run.status not in ENDED:
        set_status(run, "Canceled")
    return json_answer({})


def set_status(run: Run, status: str, error: str | None = None) -> None:
    """What the platform notes of a run: it starts when it is at work first, and ends once.

    Raises:
        ValueError: There is no such status.
    """
    if status not in WAITING + AT_WORK + ENDED:
        raise ValueError(f"status is {status!r}; expected one of {', '.join(WAITING + AT_WORK + ENDED)}")
    run.status, run.error = status, error
    if status in AT_WORK:
        run.started = run.started or times.now()
    run.ended = (run.ended or times.now()) if status in ENDED else None


def _snapshot_files(state: State, snapshot: str | None) -> dict[str, bytes]:
    if snapshot in (None, NO_SNAPSHOT):  # of nothing, as of a folder without files
        return {}
    if snapshot not in state.snapshots:
        raise RefusalError(400, "UserError", f"there is no snapshot {snapshot!r}")
    return dict(state.snapshots[snapshot].files)


def _queued(run_id: str, experiment: str, number: int, configuration: dict[str, Any]) -> Run:
    return Run(
        run_id,
        experiment,
        number,
        times.now(),
        status="Queued",
        type="azureml.scriptrun",
        target=configuration["target"],
        definition=configuration,
    )
