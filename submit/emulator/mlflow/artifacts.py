"""Artifacts of a run as azureml-mlflow asks for them: under the run in run history, with the path in the query."""

from typing import Any

from submit.emulator.api import artifacts
from submit.emulator.auth import Parameters, for_run
from submit.emulator.messages import Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import Run, State
from submit.emulator.workspace import API_HOST, SCOPE


def list_artifacts(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    """A page; this client follows a link to the next one."""
    begin = int(request.query.get("continuationToken", 0))
    end = begin + artifacts.PAGE
    page = [{"path": path, "container": run.container, "origin": run.origin} for path in sorted(run.paths)[begin:end]]
    more = f"https://{API_HOST}{request.path}?continuationToken={end}" if end < len(run.paths) else None
    return json_response({"value": page, "continuationToken": str(end) if more else None, "nextLink": more})


def get_content(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    named: dict[str, Any] = {**parameters, "path": request.query.get("path", "")}
    return artifacts.get_content(state, run, request, named)


_RUNS = tuple(f"/history/v1.0{SCOPE}/{kind}/{{experiment}}/runs/{{run}}" for kind in ("experiments", "experimentids"))
ROUTES = tuple(
    route
    for run in _RUNS
    for route in (
        Route("GET", f"{run}/artifacts", for_run(list_artifacts, reads=True)),
        Route("GET", f"{run}/artifacts/contentinfo", for_run(get_content, reads=True)),
        Route("POST", f"{run}/artifacts/batch/metadata", for_run(artifacts.create)),
    )
)
