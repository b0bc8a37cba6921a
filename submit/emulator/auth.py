"""Who may ask what: a job for its own run, and a user for all, with tokens that this service issued for it."""

from collections.abc import Callable, Mapping

from submit.rehearsal.answers import Answer, RefusalError, UnknownRouteError
from submit.rehearsal.calls import Call
from submit.rehearsal.runs import ORIGIN, Run
from submit.rehearsal.state import State
from submit.rehearsal.submissions import FileHolder
from submit.rehearsal.tokens import TokenError
from submit.rehearsal.workspace import experiment_id

Parameters = Mapping[str, str]
Handler = Callable[[State, Call, Parameters], Answer]
RunHandler = Callable[[State, Run, Call, Parameters], Answer]
FilesHandler = Callable[[State, FileHolder, Call, Parameters], Answer]


def for_its_run(handler: RunHandler, to_refresh: bool = False) -> Handler:
    """The handler behind a check of the token; it gets the run in the path, which a job's token must be for.

    Raises:
        RefusalError: There is no good token (401), or no such run, or it isn't of the experiment in the path (404).
    """

    def checked(state: State, call: Call, parameters: Parameters) -> Answer:
        return handler(state, _run(state, call, parameters, to_refresh), call, parameters)

    return checked


def for_its_files(handler: FilesHandler) -> Handler:
    """The same for the files of a run, or of anything else that a user has uploaded."""

    def checked(state: State, call: Call, parameters: Parameters) -> Answer:
        if parameters["origin"] == ORIGIN or _holder(state, call) is not None:
            return handler(state, _run(state, call, parameters), call, parameters)
        place = parameters["origin"], parameters["container"]
        return handler(state, state.folders.get(place) or state.add_folder(*place), call, parameters)

    return checked


def for_both(handler: Handler) -> Handler:
    """The handler behind a check that the token is a job's or a user's."""

    def checked(state: State, call: Call, parameters: Parameters) -> Answer:
        _holder(state, call)
        return handler(state, call, parameters)

    return checked


def for_user(handler: Handler) -> Handler:
    """The handler behind a check that the token is a user's; to a job, which has no business here, it is unknown."""

    def checked(state: State, call: Call, parameters: Parameters) -> Answer:
        if _holder(state, call) is not None:
            raise UnknownRouteError
        return handler(state, call, parameters)

    return checked


def _holder(state: State, call: Call, to_refresh: bool = False) -> str | None:
    """The run whose job asks; None if a user does."""
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer":
        raise RefusalError(401, "Unauthorized", "expected the header 'Authorization: Bearer TOKEN'")
    try:
        return state.tokens.run_id(token, to_refresh)
    except TokenError as error:
        raise RefusalError(401, "Unauthorized", str(error)) from error


def _run(state: State, call: Call, parameters: Parameters, to_refresh: bool = False) -> Run:
    holder = _holder(state, call, to_refresh)
    run = _named_run(state, parameters) if holder is None else _own_run(state, holder, parameters)
    if parameters.get("experiment", run.experiment) not in (run.experiment, experiment_id(run.experiment)):
        raise RefusalError(404, "NotFound", f"there is no experiment {parameters['experiment']!r} with run {run.id}")
    return run


def _named_run(state: State, parameters: Parameters) -> Run:
    name = parameters.get("run") or parameters["container"].removeprefix("dcid.")
    if name not in state.runs:
        raise RefusalError(404, "NotFound", f"there is no run {name!r}")
    return state.runs[name]


def _own_run(state: State, holder: str, parameters: Parameters) -> Run:
    run = state.runs[holder]
    if parameters.get("run", run.id) != run.id or parameters.get("container", run.container) != run.container:
        raise RefusalError(401, "Unauthorized", f"the token is for run {run.id}, and no other")
    return run
