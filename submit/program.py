"""Where a job gets the training program from: its snapshot, or the package that its environment installs."""

from importlib import metadata
from pathlib import Path

from submit.errors import SubmitError

PACKAGES = ("lightning_app", "datamodules", "models")
DISTRIBUTION = "lightning-azureml"


def is_in(folder: Path) -> bool:
    """Whether a folder has the program itself; otherwise it has only modules of the user's own."""
    return (folder / PACKAGES[0]).is_dir()


def requirement(extra: str | None = None) -> str:
    """The installed version of the program as a requirement for pip, with an extra.

    Raises:
        SubmitError: The program isn't installed, but run from its folder.
    """
    try:
        return f"{DISTRIBUTION}{f'[{extra}]' if extra else ''}=={metadata.version(DISTRIBUTION)}"
    except metadata.PackageNotFoundError as error:
        raise SubmitError(
            f"the folder to upload has no {PACKAGES[0]!r}, and {DISTRIBUTION} isn't installed here, so that the job's "
            f"version isn't known; give the project's folder with --source_directory, or install {DISTRIBUTION}"
        ) from error
