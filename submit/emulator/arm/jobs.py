"""Jobs of SDK v2: they are created, read, listed and cancelled. A run of SDK v1 is a job here as well."""

from typing import Any

from submit.emulator import datetimes, limits
from submit.emulator.api import snapshots
from submit.emulator.api.jobs import ENDED, queue_run, set_status
from submit.emulator.arm import command_job, sweep_job
from submit.emulator.arm.resources import known, page, properties_of, resource, views
from submit.emulator.auth import Parameters, for_user
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import Run, State, SubmittedJob
from submit.emulator.workspace import API_HOST, ARTIFACT_STORE, SCOPE

TYPES = ("Command", "Sweep")
PAGE = 50
_CHANGES = ("displayName", "description", "tags", "isArchived")  # of a job that there is already
_EXPERIMENT = "Default"


def create(state: State, request: Request, parameters: Parameters) -> Response:
    """Creates a queued run, or changes the description and the tags of one."""
    name, properties = parameters["job"], properties_of(request)
    limits.check_run_id(name)
    known(properties.get("jobType"), TYPES, "jobType")
    if name in state.runs:
        return json_response(_changed(state, state.runs[name], properties))
    is_sweep = properties["jobType"] == "Sweep"
    files = sweep_job.check(state, properties) if is_sweep else command_job.check(state, properties)
    experiment = properties.get("experimentName") or _EXPERIMENT
    tags = properties.get("tags") or {}
    limits.check_labels("tags", tags)
    limits.check_display_name(properties.get("displayName") or "")
    job = SubmittedJob(name, experiment, request.json(), files)
    run = _queue_sweep(state, job) if is_sweep else queue(state, job)
    run.tags, run.description = dict(tags), properties.get("description")
    run.display_name = properties.get("displayName") or name
    run.properties = {**(properties.get("properties") or {}), "ContentSnapshotId": snapshots.keep(state, files)}
    return json_response(content(state, run), 201)


def queue(state: State, job: SubmittedJob) -> Run:
    """Adds a command job and its run, which is queued."""
    return queue_run(state, job, command_job.run_definition(state, job.definition["properties"]))


def _queue_sweep(state: State, job: SubmittedJob) -> Run:
    state.sweeps.append(job)
    target = command_job.compute(job.definition["properties"])
    number, created = len(state.runs) + 1, datetimes.now()
    run = Run(job.run_id, job.experiment, number, created, status="Queued", type="hyperdrive", target=target)
    return state.keep_run(run)


def get(state: State, request: Request, parameters: Parameters) -> Response:
    return json_response(content(state, _known(state, parameters)))


def list_all(state: State, request: Request, parameters: Parameters) -> Response:
    """Jobs, and runs that scripts have made, the last one first; run history lists the children of a run."""
    wanted = views(request)
    runs = [run for run in state.runs.values() if run.parent is None and run.is_archived in wanted]
    tag = request.query.get("tag")
    if tag is not None:
        runs = [run for run in runs if tag in (*run.tags, *(f"{key}={value}" for key, value in run.tags.items()))]
    return page(request, [content(state, run) for run in reversed(runs)], PAGE)


def cancel(state: State, request: Request, parameters: Parameters) -> Response:
    """Cancels a job at once; one that has ended keeps its status."""
    run = _known(state, parameters)
    if run.status not in ENDED:
        set_status(run, "Canceled")
    return json_response({})


def content(state: State, run: Run) -> dict[str, Any]:
    """A run as a job of SDK v2."""
    sent = next((job.definition for job in (*state.jobs, *state.sweeps) if job.run_id == run.id), {})
    given = sent.get("properties") or command_job.of_v1(run)
    studio = f"https://ml.azure.com/runs/{run.id}?wsid={SCOPE}"
    tracking = f"azureml://{API_HOST}/mlflow/v1.0{SCOPE}?"
    properties = given | {
        "displayName": run.display_name or run.id,
        "description": run.description,
        "experimentName": run.experiment,
        "tags": run.tags,
        "properties": run.properties,
        "status": run.status,
        "isArchived": run.is_archived,
        "services": {
            "Tracking": {"endpoint": tracking, "jobServiceType": "Tracking"},
            "Studio": {"endpoint": studio, "jobServiceType": "Studio"},
        },
        "outputs": command_job.output_addresses(given, run.id) | {"default": _default_output(run)},
    }
    return resource(f"jobs/{run.id}", properties, run.created)


def _default_output(run: Run) -> dict[str, Any]:
    address = f"azureml://datastores/{ARTIFACT_STORE}/{run.origin}/{run.container}"
    return {"jobOutputType": "uri_folder", "mode": "ReadWriteMount", "uri": address}


def _changed(state: State, run: Run, properties: dict[str, Any]) -> dict[str, Any]:
    now = content(state, run)["properties"]
    sent = {name: value for name, value in properties.items() if name not in _CHANGES and value is not None}
    if other := sorted(
        name for name in ("command", "computeId", "environmentId", "codeId") if _differs(now, sent, name)
    ):
        raise ApiError(409, "UserError", f"there is a job {run.id!r} already, with another {', '.join(other)}")
    tags = properties.get("tags") or {}
    limits.check_labels("tags", tags)
    run.tags = dict(tags)
    run.display_name = properties.get("displayName") or run.display_name
    run.description = properties.get("description") or run.description
    run.is_archived = bool(properties.get("isArchived", run.is_archived))
    return content(state, run)


def _differs(now: dict[str, Any], sent: dict[str, Any], name: str) -> bool:
    return name in sent and sent[name] != now.get(name)


def _known(state: State, parameters: Parameters) -> Run:
    if parameters["job"] not in state.runs:
        raise ApiError(404, "ResourceNotFound", f"the workspace has no job {parameters['job']!r}")
    return state.runs[parameters["job"]]


_JOB = f"{SCOPE}/jobs/{{job}}"
ROUTES = (
    Route("PUT", _JOB, for_user(create)),
    Route("GET", _JOB, for_user(get)),
    Route("GET", f"{SCOPE}/jobs", for_user(list_all)),
    Route("POST", f"{_JOB}/cancel", for_user(cancel)),
)
