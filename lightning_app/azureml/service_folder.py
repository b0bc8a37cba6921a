"""Which run folder of a job has the plain names at the service; what other folders log is called FOLDER/NAME there."""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Protocol

from filelock import FileLock

from lightning_app.azureml.journal_identity import JournalIdentity
from lightning_app.azureml.service_limits import Limits

FIRST_FOLDER_TAG = "metrics_folder"


class HasTags(Protocol):
    """A run at the service."""

    @property
    def limits(self) -> Limits: ...
    @property
    def run_id(self) -> str: ...
    def tags(self) -> dict[str, str]: ...
    def set_tags(self, tags: Mapping[str, str]) -> None: ...


def name_prefix(service: HasTags, identity: JournalIdentity) -> str:
    """What the names of a folder begin with at the service: nothing for the folder that the run opened first.

    A tag of the run says which one that is, so that it stays the same when the job starts again on another disk.
    """
    with _lock(service.run_id):
        tags = service.tags()
        first = tags.get(FIRST_FOLDER_TAG, identity.first_folder)
        longest, most = service.limits.tag_value, service.limits.tags
        if FIRST_FOLDER_TAG not in tags and (most is None or len(tags) < most):
            service.set_tags({FIRST_FOLDER_TAG: first[:longest]})
    own = identity.folder[:longest]
    return "" if own == first else f"{_short(identity.folder)}/"


def _short(folder: str) -> str:
    """Without ``outputs``, which says nothing, where there is more."""
    path = PurePosixPath(folder)
    inner = path.relative_to("outputs") if path.is_relative_to("outputs") and path.name != "outputs" else path
    return inner.as_posix().strip("/") or folder


def _lock(run_id: str) -> contextlib.AbstractContextManager[object]:
    """One for the processes of this machine that deliver to the run, beside what azureml-core keeps."""
    endpoint = os.environ.get("AZUREML_SERVICE_ENDPOINT") or os.environ.get("MLFLOW_TRACKING_URI", "")
    name = hashlib.sha256(f"{endpoint}/{run_id}".encode()).hexdigest()[:16]
    try:
        folder = Path.home() / ".azureml"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"metrics-folder-{name}.lock").acquire()
    except (OSError, RuntimeError, NotImplementedError):  # no home, or one that can't be written to or has no locks
        return contextlib.nullcontext()
