"""Which requests a job and a user may make: a job for its own run, a user for all."""

from collections.abc import Callable, Mapping

from submit.emulator.messages import ApiError, Request, Response, UnknownRouteError
from submit.emulator.state import ORIGIN, FileHolder, Run, State
from submit.emulator.tokens import TokenError
from submit.emulator.workspace import experiment_id

Parameters = Mapping[str, str]
Handler = Callable[[State, Request, Parameters], Response]
RunHandler = Callable[[State, Run, Request, Parameters], Response]
FilesHandler = Callable[[State, FileHolder, Request, Parameters], Response]


def for_run(handler: RunHandler, to_refresh: bool = False) -> Handler:
    """The handler behind a check of the token; it gets the run in the path, which a job's token must be for.

    Raises:
        ApiError: There is no good token (401), or no such run, or it isn't of the experiment in the path (404).
    """

    def checked(state: State, call: Request, parameters: Parameters) -> Response:
        return handler(state, _run(state, call, parameters, to_refresh), call, parameters)

    return checked


def for_files(handler: FilesHandler) -> Handler:
    """The same for the files of a run, or of anything else that a user has uploaded."""

    def checked(state: State, call: Request, parameters: Parameters) -> Response:
        if parameters["origin"] == ORIGIN or _holder(state, call) is not None:
            return handler(state, _run(state, call, parameters), call, parameters)
        place = parameters["origin"], parameters["container"]
        return handler(state, state.folders.get(place) or state.add_folder(*place), call, parameters)

    return checked


def for_job_or_user(handler: Handler) -> Handler:
    """The handler behind a check that the token is a job's or a user's."""

    def checked(state: State, call: Request, parameters: Parameters) -> Response:
        _holder(state, call)
        return handler(state, call, parameters)

    return checked


def for_user(handler: Handler) -> Handler:
    """The handler behind a check that the token is a user's; to a job, which has no business here, it is unknown."""

    def checked(state: State, call: Request, parameters: Parameters) -> Response:
        if _holder(state, call) is not None:
            raise UnknownRouteError
        return handler(state, call, parameters)

    return checked


def _holder(state: State, call: Request, to_refresh: bool = False) -> str | None:
    """The run whose job asks; None if a user does."""
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer":
        raise ApiError(401, "Unauthorized", "expected the header 'Authorization: Bearer TOKEN'")
    try:
        return state.tokens.run_id(token, to_refresh)
    except TokenError as error:
        raise ApiError(401, "Unauthorized", str(error)) from error


def _run(state: State, call: Request, parameters: Parameters, to_refresh: bool = False) -> Run:
    holder = _holder(state, call, to_refresh)
    run = _named_run(state, parameters) if holder is None else _own_run(state, holder, parameters)
    if parameters.get("experiment", run.experiment) not in (run.experiment, experiment_id(run.experiment)):
        raise ApiError(404, "NotFound", f"there is no experiment {parameters['experiment']!r} with run {run.id}")
    return run


def _named_run(state: State, parameters: Parameters) -> Run:
    name = parameters.get("run") or parameters["container"].removeprefix("dcid.")
    if name not in state.runs:
        raise ApiError(404, "NotFound", f"there is no run {name!r}")
    return state.runs[name]


def _own_run(state: State, holder: str, parameters: Parameters) -> Run:
    run = state.runs[holder]
    if parameters.get("run", run.id) != run.id or parameters.get("container", run.container) != run.container:
        raise ApiError(401, "Unauthorized", f"the token is for run {run.id}, and no other")
    return run
