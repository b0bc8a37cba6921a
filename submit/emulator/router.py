"""All routes by host; an unknown request is refused and recorded."""

import logging

from submit.emulator.api import (
    artifacts,
    blobs,
    computes,
    control,
    datasets,
    environments,
    experiments,
    jobs,
    metrics,
    models,
    run_history,
    sweeps,
)
from submit.emulator.api import workspace as workspace_api
from submit.emulator.auth import Handler, for_files, for_job_or_user, for_run, for_user
from submit.emulator.messages import ApiError, Request, Response, UnknownRouteError, error_content, json_response
from submit.emulator.routing import Route
from submit.emulator.state import State
from submit.emulator.workspace import BLOB_CONTAINER, BLOB_HOST, DATASTORE_CONTAINER, RESOURCE_MANAGER_HOST, SCOPE

_EXPERIMENT = f"/history/v1.0{SCOPE}/experiments/{{experiment}}"
_BY_ID = f"/history/v1.0{SCOPE}/experimentids/{{experiment}}/runs/{{run}}"
_BY_NAME = f"{_EXPERIMENT}/runs/{{run}}"
_METRIC = f"/metric/v2.0{SCOPE}/runs/{{run}}"
_ARTIFACT = f"/artifact/v2.0{SCOPE}/artifacts"
_MODELS = f"/modelmanagement/v1.0{SCOPE}"
_CONTAINER = "{origin}/{container}"

JOB_ROUTES = (
    Route("GET", "/discovery/workspaces/{workspace}", run_history.discovery),
    Route("GET", _EXPERIMENT, for_job_or_user(experiments.get_experiment)),
    Route("GET", _BY_ID, for_run(run_history.get_run)),
    Route("GET", _BY_NAME, for_run(run_history.get_run)),
    Route("PATCH", _BY_ID, for_run(run_history.patch_run)),
    Route("PATCH", _BY_NAME, for_run(run_history.patch_run)),
    Route("GET", f"{_BY_ID}/token", for_run(run_history.get_token, to_refresh=True)),
    Route("GET", f"{_BY_NAME}/token", for_run(run_history.get_token, to_refresh=True)),
    Route("GET", f"{_BY_NAME}/details", for_run(run_history.get_details)),
    Route("DELETE", f"{_BY_NAME}/tags", for_run(run_history.delete_tags)),
    Route("POST", f"{_BY_NAME}/events", for_run(run_history.post_event)),
    Route("GET", f"{_BY_NAME}/metricsingest/wait", for_run(run_history.wait_for_metrics)),
    Route("POST", f"{_METRIC}/batch", for_run(metrics.post_batch)),
    Route("POST", f"{_METRIC}/list", for_run(metrics.list_names)),
    Route("POST", f"{_METRIC}/full", for_run(metrics.get_rows)),
    Route("POST", f"{_ARTIFACT}/batch/metadata/{_CONTAINER}", for_files(artifacts.create)),
    Route("GET", f"{_ARTIFACT}/{_CONTAINER}", for_files(artifacts.list_paths)),
    Route("GET", f"{_ARTIFACT}/contentinfo/{_CONTAINER}/{{path*}}", for_files(artifacts.get_content)),
    Route("GET", f"{_ARTIFACT}/prefix/contentinfo/{_CONTAINER}/{{path*}}", for_files(artifacts.list_contents)),
    Route("POST", f"{_MODELS}/assets", for_job_or_user(models.create_asset)),
    Route("POST", f"{_MODELS}/models", for_job_or_user(models.register)),
    Route("GET", "/rehearsal/state", control.get_state),
    Route("GET", "/rehearsal/runs/{run}/metrics", control.get_metrics),
    Route("POST", "/rehearsal/faults", control.post_fault),
    Route("DELETE", "/rehearsal/faults", control.delete_faults),
)


def blob_routes(path: str) -> tuple[Route, ...]:
    """For a blob with this path, whose address is all the authorisation that is asked for."""
    return (
        Route("PUT", path, blobs.put),
        Route("PUT", path, blobs.put_block, comp="block"),
        Route("PUT", path, blobs.put_block_list, comp="blocklist"),
        Route("PUT", path, blobs.put_metadata, comp="metadata"),
        Route("HEAD", path, blobs.head),
        Route("GET", path, blobs.get),
        Route("GET", path, blobs.list_blocks, comp="blocklist"),
    )


ARTIFACT_BLOB_ROUTES = blob_routes(f"/{BLOB_CONTAINER}/{_CONTAINER}/{{path*}}")

_RUN_HISTORY = f"/history/v1.0{SCOPE}"
_MODEL = f"/modelmanagement/v1.0{SCOPE}"
_RESOURCES = f"/rp/workspaces{SCOPE}"
_DATASTORE = f"/datastore/v1.0{SCOPE}"
_DATASET = f"/dataset/v1.0{SCOPE}"
_ENVIRONMENT = f"/environment/v1.0{SCOPE}/environments"
_EXECUTION = f"/execution/v1.0{SCOPE}/experiments/{{experiment}}"
_COMPUTE = f"{SCOPE}/computes/{{compute}}"

USER_ROUTES = (
    Route("POST", f"{_RUN_HISTORY}/experiments/{{experiment}}", for_user(experiments.create_experiment)),
    Route("POST", f"{_RUN_HISTORY}/experiments:query", for_user(experiments.list_experiments)),
    Route("POST", f"{_RUN_HISTORY}/experiments/{{experiment}}/runs:query", for_user(experiments.list_runs)),
    Route("GET", f"{_RUN_HISTORY}/experimentids/{{experiment}}", for_user(experiments.get_experiment)),
    Route("GET", f"{_RUN_HISTORY}/runs/{{run}}", for_user(for_run(run_history.get_run))),
    Route("GET", f"{_MODEL}/assets/{{asset}}", for_user(models.get_asset)),
    Route("GET", f"{_MODEL}/models", for_user(models.list_all)),
    Route("GET", f"{_MODEL}/models/{{model}}", for_user(models.get)),
    Route("GET", f"{_RESOURCES}/computes", for_user(computes.list_all)),
    Route("GET", f"{_RESOURCES}/computes/{{compute}}", for_user(computes.get)),
    Route("GET", f"{_DATASTORE}/default", for_user(workspace_api.get)),
    Route("GET", f"{_DATASTORE}/datastores", for_user(workspace_api.list_all)),
    Route("GET", f"{_DATASTORE}/datastores/{{datastore}}", for_user(workspace_api.get)),
    Route("POST", f"{_DATASET}/saveddatasets", for_user(datasets.save)),
    Route("GET", f"{_DATASET}/saveddatasets/{{dataset}}", for_user(datasets.get_saved)),
    Route("GET", f"{_DATASET}/datasets", for_user(datasets.list_registered)),
    Route("POST", f"{_DATASET}/datasets", for_user(datasets.register)),
    Route("GET", f"{_DATASET}/datasets/query/name={{name}}", for_user(datasets.get_registered)),
    Route("GET", f"{_DATASET}/datasets/query/savedDatasetId={{dataset}}", for_user(datasets.list_registered)),
    Route("GET", f"/data/v1.0{SCOPE}/dataversion/{{dataset}}/versions/{{version}}", for_user(datasets.get_version)),
    Route("GET", f"/content/v1.0{SCOPE}/snapshots/latest/metadata", for_user(jobs.get_latest)),
    Route("POST", f"/content/v2.0{SCOPE}/snapshots/getblob", for_user(jobs.announce)),
    Route("POST", f"/content/v2.0{SCOPE}/snapshots/{{snapshot}}", for_user(jobs.create)),
    Route("GET", f"{_ENVIRONMENT}/", for_user(environments.list_all)),
    Route("GET", f"{_ENVIRONMENT}/{{environment}}", for_user(environments.get)),
    Route("GET", f"{_ENVIRONMENT}/{{environment}}/versions/{{version}}", for_user(environments.get)),
    Route("PUT", f"{_ENVIRONMENT}/{{environment}}", for_user(environments.register)),
    Route("POST", f"{_EXECUTION}/snapshotrun", for_user(jobs.submit)),
    Route("POST", f"{_EXECUTION}/runId/{{run}}/cancel", for_user(for_run(jobs.cancel))),
)
DATASTORE_BLOB_ROUTES = (
    Route("GET", f"/{DATASTORE_CONTAINER}", blobs.list_blobs, comp="list"),
    *blob_routes(f"/{DATASTORE_CONTAINER}/{{path*}}"),
)
RESOURCE_MANAGER_ROUTES = (
    Route("GET", "/subscriptions", for_user(workspace_api.list_subscriptions)),
    Route("GET", SCOPE, for_user(workspace_api.get_workspace)),
    Route("GET", f"{computes.OPERATIONS}/vmSizes", for_user(workspace_api.list_vm_sizes)),
    Route("GET", f"{computes.OPERATIONS}/computeOperationsStatus/{{compute}}", for_user(computes.get_operation)),
    Route("PUT", _COMPUTE, for_user(computes.create)),
    Route("PATCH", _COMPUTE, for_user(computes.update)),
    Route("DELETE", _COMPUTE, for_user(computes.delete)),
)

log = logging.getLogger(__name__)

HOSTS = {
    "": JOB_ROUTES + USER_ROUTES + sweeps.ROUTES,
    BLOB_HOST: ARTIFACT_BLOB_ROUTES + DATASTORE_BLOB_ROUTES,
    RESOURCE_MANAGER_HOST: RESOURCE_MANAGER_ROUTES,
}


def respond(state: State, call: Request) -> Response:
    """Carries a request out, one at a time; whatever fails in here is an answer, too."""
    with state.lock:
        for route in HOSTS[call.host]:
            parameters = route.parameters(call)
            if parameters is not None:
                return _handle(state, call, parameters, route.handler)
        return refuse_unknown(state, call.method, call.target, 404)


def refuse_unknown(state: State, method: str, target: str, status: int) -> Response:
    """Remembers what nobody here knows."""
    with state.lock:
        state.unknown.append(f"{method} {target}")
    log.warning("unknown, refused: %s %s", method, target)
    return json_response(
        error_content("UnknownRoute", f"this rehearsal of Azure ML doesn't know {method} {target}"), status
    )


def _handle(state: State, call: Request, parameters: dict[str, str], handler: Handler) -> Response:
    try:
        return handler(state, call, parameters)
    except ApiError as refusal:
        return refusal.answer
    except UnknownRouteError:
        return refuse_unknown(state, call.method, call.target, 404)
    except Exception as failure:
        log.exception("%s %s", call.method, call.target)
        return json_response(error_content("InternalServerError", f"the rehearsal failed: {failure!r}"), 500)
