"""Who may ask what: a job for its own run, with a token that this service issued for it."""

from collections.abc import Callable, Mapping

from submit.rehearsal.answers import Answer, RefusalError
from submit.rehearsal.calls import Call
from submit.rehearsal.state import Run, State
from submit.rehearsal.tokens import TokenError
from submit.rehearsal.workspace import experiment_id

Parameters = Mapping[str, str]
Handler = Callable[[State, Call, Parameters], Answer]
RunHandler = Callable[[State, Run, Call, Parameters], Answer]


def for_its_run(handler: RunHandler, to_refresh: bool = False) -> Handler:
    """The handler behind a check of the token; it gets the run that the token is for.

    Raises:
        RefusalError: There is no good token (401), or the run isn't of the experiment in the path (404).
    """

    def checked(state: State, call: Call, parameters: Parameters) -> Answer:
        run = _run_of_token(state, call, to_refresh)
        _check_path(run, parameters)
        return handler(state, run, call, parameters)

    return checked


def _run_of_token(state: State, call: Call, to_refresh: bool) -> Run:
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer":
        raise RefusalError(401, "Unauthorized", "expected the header 'Authorization: Bearer TOKEN'")
    try:
        return state.runs[state.tokens.run_id(token, to_refresh)]
    except TokenError as error:
        raise RefusalError(401, "Unauthorized", str(error)) from error


def _check_path(run: Run, parameters: Parameters) -> None:
    if parameters.get("run", run.id) != run.id or parameters.get("container", run.container) != run.container:
        raise RefusalError(401, "Unauthorized", f"the token is for run {run.id}, and no other")
    if parameters.get("experiment", run.experiment) not in (run.experiment, experiment_id(run.experiment)):
        raise RefusalError(404, "NotFound", f"there is no experiment {parameters['experiment']!r} with run {run.id}")
