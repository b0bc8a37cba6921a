"""The training's side of ``artifact_reader``: asks a process for the files of a run, and waits for a bounded time."""

import atexit
import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from lightning_app.azureml import job

FIND_SECONDS = 60.0  # for the list and for each small file; outside a job, in which a user may have to log in, more
_LOGIN_SECONDS = 300.0
_SPARE_SECONDS = 5.0  # in which the process can still say what is wrong
_LEAST_RATE = 1e6  # bytes a second
_PROGRAM = "lightning_app.azureml.artifact_reader"
_HOME_OF_PACKAGE = Path(__file__).parents[2]


class RunFilesError(Exception):
    """The files can't be read now; the message is one line. ``is_missing`` says that there is no such run or file."""

    def __init__(self, message: str, is_missing: bool = False) -> None:
        super().__init__(message)
        self.is_missing = is_missing


class RunFiles:
    """The files of a run at Azure ML; the process starts at once, and ``close`` ends it.

    Args:
        run_id: The run; None for that of this job.
    """

    def __init__(self, run_id: str | None = None) -> None:
        self.run_id = run_id or job.run_id() or ""
        paths = [str(_HOME_OF_PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._seconds = FIND_SECONDS if job.run_id() else _LOGIN_SECONDS
        self._process = subprocess.Popen(
            [sys.executable, "-m", _PROGRAM, *([run_id] if run_id else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if job.run_id() else None,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            text=True,
        )
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    @staticmethod
    def is_workspace_known() -> bool:
        """Whether this is a job, or a ``config.json`` is where azureml-core looks for one."""
        here = Path.cwd()
        places = [folder / name for folder in (here, *here.parents) for name in ("", ".azureml", "aml_config")]
        return job.run_id() is not None or any((place / "config.json").is_file() for place in places)

    def __enter__(self) -> "RunFiles":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def paths(self) -> list[str]:
        """The names of all files of the run.

        Raises:
            RunFilesError: Azure ML doesn't answer in time or refuses.
        """
        self._order({"seconds": self._seconds - _SPARE_SECONDS})
        found: list[str] = self._answer(self._seconds)["paths"]
        return found

    def download(self, path: str, target: Path) -> None:
        """Writes a file of the run to ``target``, whose folder is made.

        Raises:
            RunFilesError: Azure ML doesn't answer in time or refuses.
            OSError: The folder can't be made.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        deadline = time.monotonic() + self._seconds
        self._order({"file": path, "to": str(unfinished.absolute()), "seconds": self._seconds - _SPARE_SECONDS})
        try:
            while "bytes" in (answer := self._answer(deadline - time.monotonic())):
                deadline = max(deadline, time.monotonic() + self._seconds + answer["bytes"] / _LEAST_RATE)
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)

    def close(self) -> None:
        """Ends the process, also in the middle of a request."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError, ValueError):
                if pipe is not None:
                    pipe.close()

    def _order(self, content: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended, which the answer says
            self._process.stdin.write(json.dumps(content) + "\n")
            self._process.stdin.flush()

    def _answer(self, seconds: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=max(0.0, seconds))
        except queue.Empty:
            self._process.kill()
            raise RunFilesError(f"no answer within {self._seconds:.0f} s") from None
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:  # the end of its output
            raise RunFilesError("the process that asks Azure ML has ended") from None
        if "error" in answer:
            raise RunFilesError(answer["error"], answer["is_missing"])
        return answer

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stdout:
                self._answers.put(line)
        self._answers.put("")


_started_early: list[RunFiles] = []


def start_early() -> None:
    """Starts the process for this job's own run, which takes a second, while torch is loaded."""
    _started_early.append(RunFiles())
    atexit.register(close_unused)


def files_of_this_run() -> RunFiles:
    """The files of the run that this job belongs to."""
    return _started_early.pop() if _started_early else RunFiles()


def close_unused() -> None:
    """Ends the process that was started early, if nobody has asked for the files."""
    while _started_early:
        _started_early.pop().close()
