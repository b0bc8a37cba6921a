"""A deployment on this machine: Azure ML's inference server, with the code and the variables of an endpoint."""

import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from submit.deployment.deployment import ENTRY_SCRIPT, Deployment
from submit.deployment.environment import SERVER
from submit.deployment.scoring_code import write_scoring_code
from submit.errors import SubmitError
from submit.execution.nodes import free_port

_APPLICATION = "azureml_inference_server_http.server.entry:app"  # what the server's own program starts with gunicorn
_SECONDS_TO_START = 120
_LINES = 3  # of the server's log, in an error


def rehearse(wanted: Deployment, picture: Path, python: Path) -> str:
    """The answer to a picture, as JSON.

    Args:
        wanted: Whose model is a folder.
        picture: A file.
        python: Of an environment with the inference server and what the scoring code imports.

    Raises:
        SubmitError: The picture can't be read, the server isn't there, or it can't load the model.
    """
    if not isinstance(wanted.model, Path):
        raise SubmitError("--rehearse: needs the folder of an exported model; download that of the workspace first")
    try:
        content = picture.read_bytes()
    except OSError as error:
        raise SubmitError(
            f"--rehearse {str(picture)!r}: can't be read ({error.strerror}); expected a picture"
        ) from error
    _require_server(python)
    with TemporaryDirectory() as folder, _serving(wanted.model, Path(folder), python) as address:
        headers = {"Content-Type": "application/octet-stream"}
        request = urllib.request.Request(f"{address}/score", content, headers)  # noqa: S310 of this machine
        try:
            with _opener().open(request, timeout=60) as response:
                return str(response.read().decode())
        except urllib.error.HTTPError as error:
            raise SubmitError(f"--rehearse {str(picture)!r}: status {error.code}: {error.read().decode()}") from error


def _require_server(python: Path) -> None:
    try:
        program = "import azureml_inference_server_http, gunicorn"
        done = subprocess.run([python, "-c", program], capture_output=True)  # noqa: S603 the user's own Python
        is_there = done.returncode == 0
    except OSError:
        is_there = False
    if not is_there:
        raise SubmitError(
            f"--rehearse: {str(python)!r} has no {SERVER}; install it in an environment of its own, with what "
            "--dry_run lists, and give that one's Python with --server_python"
        )


@contextmanager
def _serving(model: Path, folder: Path, python: Path) -> Iterator[str]:
    """The address of a server that has loaded the model, in the folders that an endpoint has."""
    code, models, log = folder / "code", folder / "azureml-models" / "model" / "1", folder / "log"
    write_scoring_code(code)
    shutil.copytree(model, models / model.name)
    port = free_port()
    variables = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "OMP_NUM_THREADS") if name in os.environ}
    variables |= {"AML_APP_ROOT": str(code), "AZUREML_ENTRY_SCRIPT": ENTRY_SCRIPT, "AZUREML_MODEL_DIR": str(models)}
    command = [str(python), "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--timeout", "300", _APPLICATION]
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603 as above
            command, cwd=code, env=variables, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            _wait(process, f"http://127.0.0.1:{port}", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    limit = time.monotonic() + _SECONDS_TO_START
    while process.poll() is None and time.monotonic() < limit:
        try:
            with _opener().open(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    lines = log.read_text(errors="replace").splitlines()
    errors = [line for line in lines if "Error" in line] or lines
    raise SubmitError(f"--rehearse: the inference server didn't start: {' | '.join(errors[-_LINES:])}")


def _opener() -> urllib.request.OpenerDirector:
    """Without a proxy, which would not find this machine."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))
