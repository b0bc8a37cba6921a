"""``python -m lightning_app.azureml.artifact_reader [RUN_ID]``: lists and downloads the files of a run of Azure ML.

``run_files.RunFiles`` starts it. It is a process of its own because azureml-core takes a second to import, and
much longer to give a service up; this one can be ended at any time. Each line of its standard input is a JSON object:
what to do, and for how many seconds it may be tried. Its answers are lines of JSON as well.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from lightning_app.azureml import job
from lightning_app.azureml.credentials import credentials
from lightning_app.azureml.destination import find_destination, is_core_installed
from lightning_app.azureml.run_artifacts import artifact_address, artifact_paths, http_status, is_transient

_TIMEOUTS = (10, 30)  # seconds to connect, and between two parts of a response
_LONGEST_DELAY = 8.0
_CHUNK_BYTES = 2**20

Result = TypeVar("Result")


class FilesOfRun(Protocol):
    """The files of a run by one of the two interfaces; the requests raise errors of several libraries."""

    def paths(self) -> list[str]:
        """The names of all files."""

    def address(self, path: str) -> str:
        """From where a file can be read, for some hours; its query has a signature."""


class FilesByCore:
    """By azureml-core.

    Args:
        run_id: The run; None for the one that this job belongs to. Outside a job, the run is one of the workspace of
            ``config.json``, in this folder or above it.
    """

    def __init__(self, run_id: str | None) -> None:
        self._run_id = run_id
        self._opened: Any = None

    @property
    def _run(self) -> Any:
        if self._opened is None:
            self._opened = self._open()
            artifacts = self._opened._client.artifacts
            artifacts.retries = 0  # azureml-core repeats a failing request for half a minute, whatever time is left
            artifacts._client.config.connection.timeout = max(_TIMEOUTS)
        return self._opened

    def _open(self) -> Any:
        if not is_core_installed():
            raise ModuleNotFoundError("azureml-core isn't installed; install 'lightning-azureml[v1]'")
        from azureml.core import Run, Workspace

        if job.run_id() is None:
            return Workspace.from_config(auth=credentials()).get_run(self._run_id)
        own = Run.get_context(allow_offline=False)
        return own if self._run_id in (None, own.id) else own.experiment.workspace.get_run(self._run_id)

    def paths(self) -> list[str]:
        return artifact_paths(self._run)

    def address(self, path: str) -> str:
        return artifact_address(self._run, path)


def files_of(run_id: str | None) -> FilesOfRun:
    """The files of a run, by the interface by which the job's metrics go; None for the run of this job."""
    destination = find_destination()
    tracking = destination.tracking if destination is not None else None
    if destination is None or tracking is None or not tracking.is_azure:
        return FilesByCore(run_id)
    from lightning_app.azureml.mlflow.kept_files import FilesByMlflow

    return FilesByMlflow(tracking, run_id or destination.run_id or "")


def download(files: FilesOfRun, path: str, target: Path, show_size: Callable[[int], None]) -> None:
    """Continues where an earlier call for the same target has ended."""
    import requests

    address = files.address(path)
    with target.open("ab") as file:
        headers = {"Accept-Encoding": "identity", "Range": f"bytes={file.tell()}-"}
        with requests.get(address, stream=True, timeout=_TIMEOUTS, headers=headers) as response:
            if response.status_code == 416:  # nothing is left, or there is nothing
                return
            response.raise_for_status()
            if response.status_code != 206:
                file.truncate(0)
            show_size(int(response.headers.get("Content-Length", 0)))
            for chunk in response.iter_content(_CHUNK_BYTES):
                file.write(chunk)
            if file.tell() < _whole_size(response.headers, file.tell()):
                raise ConnectionError("the connection ended early")


def _whole_size(headers: Any, otherwise: int) -> int:
    """From ``Content-Range: bytes 10-19/20``."""
    size = str(headers.get("Content-Range", "")).rpartition("/")[2]
    return int(size) if size.isdecimal() else otherwise


def with_retries(action: Callable[[], Result], seconds: float) -> Result:
    """Repeats what fails for a reason that may pass, as long as there is time."""
    end, delay = time.monotonic() + seconds, 0.5
    while True:
        try:
            return action()
        except Exception as error:
            if not is_transient(error) or time.monotonic() + delay > end:
                raise
        time.sleep(delay)
        delay = min(2 * delay, _LONGEST_DELAY)


def _status(error: BaseException | None) -> int | None:
    """azureml-core raises errors of its own while it handles that of a response."""
    while error is not None:
        if (status := http_status(error)) is not None:
            return status
        error = error.__cause__ or error.__context__
    return None


def reason(error: BaseException) -> str:
    """An error in one line, without the addresses of files, which are secret."""
    status = _status(error)
    text = str(getattr(error, "message", None) or error).strip() or type(error).__name__
    line = text.splitlines()[0].partition("?")[0]
    return f"{status}: {line}" if status and str(status) not in line else line


def answer(files: FilesOfRun, order: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> None:
    """Carries one order out and says what came of it."""
    try:
        if "file" in order:
            target = Path(order["to"])
            with_retries(
                lambda: download(files, order["file"], target, lambda size: say({"bytes": size})), order["seconds"]
            )
            say({"done": True})
        else:
            say({"paths": with_retries(files.paths, order["seconds"])})
    except Exception as error:  # azureml-core raises errors of four libraries, and its own
        say({"error": reason(error), "is_missing": _status(error) == 404})


def main() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # azureml-core prints, for example where to log in
    logging.disable(logging.CRITICAL)  # it also logs what it raises, at length
    files = files_of(sys.argv[1] if len(sys.argv) > 1 else None)

    def say(content: dict[str, Any]) -> None:
        print(json.dumps(content), file=answers, flush=True)

    for line in sys.stdin:
        answer(files, json.loads(line), say)
    os._exit(0)  # Python would wait for azureml-core's threads


if __name__ == "__main__":
    main()
