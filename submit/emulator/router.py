"""All routes by host; an unknown request is refused and recorded."""

import logging

from submit.emulator.api import (
    artifacts,
    blobs,
    computes,
    control,
    datasets,
    datastores,
    environments,
    experiments,
    interactive_runs,
    jobs,
    login,
    metadata,
    metrics,
    models,
    run_history,
    run_outputs,
    secrets,
    snapshots,
    sweeps,
    workspace,
)
from submit.emulator.arm import code, deployments, endpoints, operations
from submit.emulator.arm import data as arm_data
from submit.emulator.arm import datastores as arm_datastores
from submit.emulator.arm import environments as arm_environments
from submit.emulator.arm import jobs as arm_jobs
from submit.emulator.arm import models as arm_models
from submit.emulator.auth import Handler
from submit.emulator.messages import ApiError, Request, Response, UnknownRouteError, error_content, json_response
from submit.emulator.mlflow import artifacts as mlflow_artifacts
from submit.emulator.mlflow import data as mlflow_data
from submit.emulator.mlflow import runs as mlflow_runs
from submit.emulator.state import State
from submit.emulator.workspace import API_HOST, BLOB_HOST, LOGIN_HOST, REGISTRY_HOST, RESOURCE_MANAGER_HOST

log = logging.getLogger(__name__)

_AZURE_ML = (
    *(artifacts, computes, control, datasets, datastores, environments, experiments, interactive_runs),
    *(jobs, metadata, metrics, models, run_history, run_outputs, secrets, snapshots, sweeps),
    *(mlflow_artifacts, mlflow_data, mlflow_runs),
)
_ARM = (*computes.RESOURCE_MANAGER_ROUTES, *workspace.RESOURCE_MANAGER_ROUTES)
_PARTS = (arm_jobs, code, arm_data, arm_environments, arm_datastores, arm_models, endpoints, deployments, operations)
_ARM += tuple(route for part in _PARTS for route in part.ROUTES)
_API = tuple(route for api in _AZURE_ML for route in api.ROUTES)
HOSTS = {
    "": _API,
    API_HOST: _API,
    REGISTRY_HOST: arm_environments.REGISTRY_ROUTES,
    BLOB_HOST: blobs.ROUTES,
    LOGIN_HOST: login.ROUTES,
    RESOURCE_MANAGER_HOST: _ARM,
}


def respond(state: State, request: Request) -> Response:
    """Carries a request out, one at a time; whatever fails in here is a response, too."""
    with state.lock:
        for route in HOSTS[request.host]:
            parameters = route.parameters(request)
            if parameters is not None:
                return _handle(state, request, parameters, route.handler)
        return refuse_unknown(state, request.method, request.target, 404)


def refuse_unknown(state: State, method: str, target: str, status: int) -> Response:
    """Records the request and refuses it."""
    with state.lock:
        state.unknown.append(f"{method} {target}")
    log.warning("unknown, refused: %s %s", method, target)
    return json_response(error_content("UnknownRoute", f"the emulator doesn't know {method} {target}"), status)


def _handle(state: State, request: Request, parameters: dict[str, str], handler: Handler) -> Response:
    try:
        return handler(state, request, parameters)
    except ApiError as refusal:
        return refusal.response
    except UnknownRouteError:
        return refuse_unknown(state, request.method, request.target, 404)
    except Exception as failure:
        log.exception("%s %s", request.method, request.target)
        return json_response(error_content("InternalServerError", f"the emulator failed: {failure!r}"), 500)
