"""The folder of this project on a node's own disk, for what can be made again."""

import os
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """On the node's own disk, not on a mount; one folder per user, so that no user reads files of another one."""
    user = os.getuid() if hasattr(os, "getuid") else None  # Windows gives each user a temporary folder
    folder = Path(tempfile.gettempdir()) / f"lightning-azureml-{user or 0}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if user is not None and folder.stat().st_uid != user:
        raise PermissionError(f"{folder} belongs to another user; set TMPDIR to a folder of your own")
    return folder
