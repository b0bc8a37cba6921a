"""Which requests a job and a user may make: a job reads all runs and changes its own, a user may do everything."""

from collections.abc import Callable, Mapping

from submit.emulator.messages import ApiError, Request, Response, UnknownRouteError
from submit.emulator.state import DATASTORE_ORIGIN, ORIGIN, FileContainer, Run, State
from submit.emulator.tokens import TokenError
from submit.emulator.workspace import experiment_id

Parameters = Mapping[str, str]
Handler = Callable[[State, Request, Parameters], Response]
RunHandler = Callable[[State, Run, Request, Parameters], Response]
FilesHandler = Callable[[State, FileContainer, Request, Parameters], Response]


def for_run(handler: RunHandler, to_refresh: bool = False, *, reads: bool = False) -> Handler:
    """Checks the token and passes the run in the path to the handler.

    A job's token must be for that run, unless the handler only ``reads``.

    Raises:
        ApiError: The token isn't valid (401), or there is no such run in the experiment of the path (404).
    """

    def authorized(state: State, request: Request, parameters: Parameters) -> Response:
        return handler(state, _run(state, request, parameters, to_refresh, reads), request, parameters)

    return authorized


def for_files(handler: FilesHandler, *, reads: bool = False) -> Handler:
    """As ``for_run``, for the files of a run or of another folder that a user has uploaded; models are read."""

    def authorized(state: State, request: Request, parameters: Parameters) -> Response:
        if parameters["origin"] == DATASTORE_ORIGIN and reads:
            _run_id(state, request)
            return handler(state, state.datastore, request, parameters)
        if parameters["origin"] == ORIGIN or _run_id(state, request) is not None:
            return handler(state, _run(state, request, parameters, reads=reads), request, parameters)
        folder = parameters["origin"], parameters["container"]
        return handler(state, state.folders.get(folder) or state.add_folder(*folder), request, parameters)

    return authorized


def for_job_or_user(handler: Handler) -> Handler:
    """Checks that the token is a job's or a user's."""

    def authorized(state: State, request: Request, parameters: Parameters) -> Response:
        _run_id(state, request)
        return handler(state, request, parameters)

    return authorized


def for_user(handler: Handler) -> Handler:
    """Checks that the token is a user's; for a job there is no such route."""

    def authorized(state: State, request: Request, parameters: Parameters) -> Response:
        if _run_id(state, request) is not None:
            raise UnknownRouteError
        return handler(state, request, parameters)

    return authorized


def own_run_id(state: State, request: Request) -> str | None:
    """The run of a job's token; None for a user's token."""
    return _run_id(state, request)


def require_own(state: State, request: Request, run: Run) -> Run:
    """The run, if the token is for it: a user's for all, and a job's for its run and the children of it.

    Raises:
        ApiError: The token is for another run.
    """
    owner = _run_id(state, request)
    if owner not in (None, run.id, state.root_of(run).id):
        raise ApiError(401, "Unauthorized", f"the token is for run {owner}, and no other")
    return run


def _run_id(state: State, request: Request, to_refresh: bool = False) -> str | None:
    """The run that the token is for; None for a user's token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer":
        raise ApiError(401, "Unauthorized", "expected the header 'Authorization: Bearer TOKEN'")
    try:
        return state.tokens.run_id(token, to_refresh)
    except TokenError as error:
        raise ApiError(401, "Unauthorized", str(error)) from error


def _run(state: State, request: Request, parameters: Parameters, to_refresh: bool = False, reads: bool = False) -> Run:
    run_id = _run_id(state, request, to_refresh)
    run = _named_run(state, parameters) if run_id is None or reads else _own_run(state, run_id, parameters)
    if parameters.get("experiment", run.experiment) not in (run.experiment, experiment_id(run.experiment)):
        raise ApiError(404, "NotFound", f"there is no experiment {parameters['experiment']!r} with run {run.id}")
    return run


def _named_run(state: State, parameters: Parameters) -> Run:
    name = parameters.get("run") or parameters["container"].removeprefix("dcid.")
    if name not in state.runs:
        raise ApiError(404, "NotFound", f"there is no run {name!r}")
    return state.runs[name]


def _own_run(state: State, run_id: str, parameters: Parameters) -> Run:
    own = state.runs[run_id]
    name = parameters.get("run") or parameters.get("container", own.container).removeprefix("dcid.")
    run = state.runs.get(name)
    if run is None or run_id not in (run.id, state.root_of(run).id):
        raise ApiError(401, "Unauthorized", f"the token is for run {own.id}, and no other")
    return run
