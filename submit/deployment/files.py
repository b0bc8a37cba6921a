"""A deployment as files for ``az ml``: the endpoint, the deployment, and the folder with the scoring code."""

from pathlib import Path

from submit.deployment.deployment import Deployment
from submit.deployment.scoring_code import write_scoring_code
from submit.errors import SubmitError
from submit.interface import Sdk

ENDPOINT, DEPLOYMENT, CODE = "endpoint.yml", "deployment.yml", "code"


def deployment_files(sdk: Sdk, wanted: Deployment) -> dict[str, str]:
    """The two files that ``az ml online-endpoint`` and ``az ml online-deployment create --file`` take, by name.

    The path of the scoring code is relative to them, and that of the model is whole.
    """
    return {ENDPOINT: sdk.endpoint_request(wanted.endpoint), DEPLOYMENT: sdk.deployment_request(wanted, Path(CODE))}


def require_dry_run(output: Path | None, is_dry_run: bool) -> None:
    """Raises SubmitError if a folder for the files is given, and they aren't asked for."""
    if output is not None and not is_dry_run:
        raise SubmitError(f"--output {str(output)!r}: is for the files of --dry_run; give both, or neither")


def write_files(folder: Path, files: dict[str, str]) -> None:
    """Writes the files and the scoring code; earlier ones are replaced.

    Raises:
        SubmitError: They can't be written.
    """
    write_scoring_code(folder / CODE)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
