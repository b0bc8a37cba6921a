"""Which requests there are, and who answers each; any other is refused and remembered."""

import logging

from submit.rehearsal import job_routes, submission_routes, sweeps
from submit.rehearsal.answers import Answer, RefusalError, UnknownRouteError, error, json_answer
from submit.rehearsal.authorisation import Handler
from submit.rehearsal.calls import Call
from submit.rehearsal.state import State
from submit.rehearsal.workspace import BLOB_HOST, RESOURCE_MANAGER_HOST

log = logging.getLogger(__name__)

HOSTS = {
    "": job_routes.AZURE_ML + submission_routes.AZURE_ML + sweeps.AZURE_ML,
    BLOB_HOST: job_routes.BLOBS + submission_routes.BLOBS,
    RESOURCE_MANAGER_HOST: submission_routes.RESOURCE_MANAGER,
}


def respond(state: State, call: Call) -> Answer:
    """Carries a request out, one at a time; whatever fails in here is an answer, too."""
    with state.lock:
        for route in HOSTS[call.host]:
            parameters = route.parameters(call)
            if parameters is not None:
                return _carried_out(state, call, parameters, route.handler)
        return refuse_unknown(state, call.method, call.target, 404)


def refuse_unknown(state: State, method: str, target: str, status: int) -> Answer:
    """Remembers what nobody here knows."""
    with state.lock:
        state.unknown.append(f"{method} {target}")
    log.warning("unknown, refused: %s %s", method, target)
    return json_answer(error("UnknownRoute", f"this rehearsal of Azure ML doesn't know {method} {target}"), status)


def _carried_out(state: State, call: Call, parameters: dict[str, str], handler: Handler) -> Answer:
    try:
        return handler(state, call, parameters)
    except RefusalError as refusal:
        return refusal.answer
    except UnknownRouteError:
        return refuse_unknown(state, call.method, call.target, 404)
    except Exception as failure:
        log.exception("%s %s", call.method, call.target)
        return json_answer(error("InternalServerError", f"the rehearsal failed: {failure!r}"), 500)
