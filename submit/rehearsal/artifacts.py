"""Artefacts: announced here, one address each; their content goes to and comes from that address."""

from typing import Any
from urllib.parse import quote

from submit.rehearsal.answers import Answer, RefusalError, error, json_answer
from submit.rehearsal.authorisation import Parameters
from submit.rehearsal.calls import Call
from submit.rehearsal.limits import ARTIFACT_PATH
from submit.rehearsal.state import Run, State
from submit.rehearsal.workspace import BLOB_CONTAINER, BLOB_HOST

ORIGIN = "ExperimentRun"
PAGE = 100  # artefacts


def create(state: State, run: Run, call: Call, parameters: Parameters) -> Answer:
    """Announces artefacts; those that can't be created are told of by path, which the client raises."""
    paths = [artifact["path"] for artifact in call.json()["paths"]]
    errors = {path: error("UserError", complaint) for path in paths if (complaint := _complaint(run, path))}
    created = [path for path in paths if path not in errors]
    run.paths += created
    return json_answer(
        {
            "artifacts": {path: _artifact(run, path) for path in created},
            "artifactContentInformation": {path: _content(run, path) for path in created},
            "errors": errors,
        }
    )


def list_paths(state: State, run: Run, call: Call, parameters: Parameters) -> Answer:
    return _page(call, [_artifact(run, path) for path in sorted(run.paths)])


def get_content(state: State, run: Run, call: Call, parameters: Parameters) -> Answer:
    if parameters["path"] not in run.paths:
        raise RefusalError(404, "NotFound", f"run {run.id} has no artefact {parameters['path']!r}")
    return json_answer(_content(run, parameters["path"]))


def list_contents(state: State, run: Run, call: Call, parameters: Parameters) -> Answer:
    """Of the artefacts whose paths begin so."""
    prefix = parameters["path"].rstrip("/")  # the client adds a slash or two
    return _page(call, [_content(run, path) for path in sorted(run.paths) if path.startswith(prefix)])


def _complaint(run: Run, path: str) -> str | None:
    if path in run.paths:
        return f"Resource Conflict: ArtifactId {ORIGIN}/{run.container}/{path} already exists."
    if len(path) > ARTIFACT_PATH:
        return f"the path has {len(path)} characters; {ARTIFACT_PATH} are possible"
    return None


def _page(call: Call, entries: list[dict[str, Any]]) -> Answer:
    begin = int(call.query.get("continuationToken", 0))
    end = begin + PAGE
    return json_answer({"value": entries[begin:end], "continuationToken": str(end) if end < len(entries) else None})


def _artifact(run: Run, path: str) -> dict[str, Any]:
    return {
        "artifactId": f"{ORIGIN}/{run.container}/{path}",
        "origin": ORIGIN,
        "container": run.container,
        "path": path,
    }


def _content(run: Run, path: str) -> dict[str, Any]:
    address = f"https://{BLOB_HOST}/{BLOB_CONTAINER}/{ORIGIN}/{run.container}/{quote(path)}"
    return {
        "contentUri": f"{address}?sv=2019-07-07&sr=b&sig=rehearsal&se=2099-01-01T00%3A00%3A00Z&sp=rcw",
        "origin": ORIGIN,
        "container": run.container,
        "path": path,
    }
