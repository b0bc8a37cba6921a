"""Which requests there are, and who answers each; any other is refused and remembered."""

import logging
import re
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote

from submit.rehearsal import artifacts, blobs, console, history, metrics, models
from submit.rehearsal.answers import Answer, RefusalError, error, json_answer
from submit.rehearsal.authorisation import Handler, for_its_run
from submit.rehearsal.calls import Call
from submit.rehearsal.state import State
from submit.rehearsal.workspace import BLOB_CONTAINER, BLOB_HOST, SCOPE

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Route:
    """A method and a path in which {name} stands for one segment, and {name*} for any number of them.

    ``comp`` is the part of a blob that the query says the request is about.
    """

    method: str
    path: str
    handler: Handler
    comp: str = ""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        several = re.sub(r"\{(\w+)\*\}", r"(?P<\1>.*)", self.path)
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", several))

    def parameters(self, call: Call) -> dict[str, str] | None:
        """What the call has in the places of the names; None if it is no call of this route."""
        if (call.method, call.query.get("comp", "")) != (self.method, self.comp):
            return None
        found = self.pattern.fullmatch(call.path)
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}


_BY_ID = f"/history/v1.0{SCOPE}/experimentids/{{experiment}}/runs/{{run}}"
_BY_NAME = f"/history/v1.0{SCOPE}/experiments/{{experiment}}/runs/{{run}}"
_METRIC = f"/metric/v2.0{SCOPE}/runs/{{run}}"
_ARTIFACT = f"/artifact/v2.0{SCOPE}/artifacts"
_MODEL = f"/modelmanagement/v1.0{SCOPE}"
_CONTAINER = "{origin}/{container}"
_BLOB = f"/{BLOB_CONTAINER}/{_CONTAINER}/{{path*}}"

AZURE_ML = (
    Route("GET", "/discovery/workspaces/{workspace}", history.discovery),
    Route("GET", f"/history/v1.0{SCOPE}/experiments/{{experiment}}", for_its_run(history.get_experiment)),
    Route("GET", _BY_ID, for_its_run(history.get_run)),
    Route("GET", _BY_NAME, for_its_run(history.get_run)),
    Route("PATCH", _BY_ID, for_its_run(history.patch_run)),
    Route("PATCH", _BY_NAME, for_its_run(history.patch_run)),
    Route("GET", f"{_BY_ID}/token", for_its_run(history.get_token, to_refresh=True)),
    Route("GET", f"{_BY_NAME}/token", for_its_run(history.get_token, to_refresh=True)),
    Route("GET", f"{_BY_NAME}/details", for_its_run(history.get_details)),
    Route("DELETE", f"{_BY_NAME}/tags", for_its_run(history.delete_tags)),
    Route("POST", f"{_BY_NAME}/events", for_its_run(history.post_event)),
    Route("GET", f"{_BY_NAME}/metricsingest/wait", for_its_run(history.wait_for_metrics)),
    Route("POST", f"{_METRIC}/batch", for_its_run(metrics.post_batch)),
    Route("POST", f"{_METRIC}/list", for_its_run(metrics.list_names)),
    Route("POST", f"{_METRIC}/full", for_its_run(metrics.get_rows)),
    Route("POST", f"{_ARTIFACT}/batch/metadata/{_CONTAINER}", for_its_run(artifacts.create)),
    Route("GET", f"{_ARTIFACT}/{_CONTAINER}", for_its_run(artifacts.list_paths)),
    Route("GET", f"{_ARTIFACT}/contentinfo/{_CONTAINER}/{{path*}}", for_its_run(artifacts.get_content)),
    Route("GET", f"{_ARTIFACT}/prefix/contentinfo/{_CONTAINER}/{{path*}}", for_its_run(artifacts.list_contents)),
    Route("POST", f"{_MODEL}/assets", for_its_run(models.create_asset)),
    Route("POST", f"{_MODEL}/models", for_its_run(models.register)),
    Route("GET", "/rehearsal/state", console.get_state),
    Route("GET", "/rehearsal/runs/{run}/metrics", console.get_metrics),
    Route("POST", "/rehearsal/faults", console.post_fault),
    Route("DELETE", "/rehearsal/faults", console.delete_faults),
)
BLOBS = (
    Route("PUT", _BLOB, blobs.put),
    Route("PUT", _BLOB, blobs.put_block, comp="block"),
    Route("PUT", _BLOB, blobs.put_block_list, comp="blocklist"),
    Route("PUT", _BLOB, blobs.put_metadata, comp="metadata"),
    Route("HEAD", _BLOB, blobs.head),
    Route("GET", _BLOB, blobs.get),
)


def respond(state: State, call: Call) -> Answer:
    """Carries a request out, one at a time; whatever fails in here is an answer, too."""
    with state.lock:
        for route in BLOBS if call.host == BLOB_HOST else AZURE_ML:
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
    except Exception as failure:
        log.exception("%s %s", call.method, call.target)
        return json_answer(error("InternalServerError", f"the rehearsal failed: {failure!r}"), 500)
