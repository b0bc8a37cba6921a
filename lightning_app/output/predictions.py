"""Where ``predict`` writes its table."""

import errno
import os
from pathlib import Path

from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder


def predictions_file(checkpoint: Path, folder: RunFolder, *, folder_is_given: bool, checkpoint_is_given: bool) -> Path:
    """The file where ``--csv`` gives none: in the run folder of the checkpoint, or in that of ``--output_dir``.

    Args:
        checkpoint: The checkpoint that labels the images.
        folder: The folder of ``--output_dir``, or the default one.
        folder_is_given: Whether ``--output_dir`` has given the folder.
        checkpoint_is_given: Whether ``--ckpt_path`` has given the checkpoint; otherwise it is one of ``folder``.

    Raises:
        UsageError: The file exists and may hold the predictions of another run.
    """
    if not checkpoint_is_given:
        return folder.predictions
    own = _run_of(checkpoint)
    if not folder_is_given:
        folder = own or RunFolder(Path())
    if own is None or folder.root.resolve() != own.root.resolve():
        _require_none(folder.predictions, checkpoint)
    return folder.predictions


def require_writable(file: Path, flag: str) -> None:
    """Raises UsageError if the file can't be written; leaves nothing behind."""
    existing = file.parent
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    code = errno.ENOTDIR if not existing.is_dir() else 0 if os.access(existing, os.W_OK | os.X_OK) else errno.EACCES
    if code := errno.EISDIR if file.is_dir() else code:
        raise UsageError(f"{flag} {str(file)!r}: can't be written ({os.strerror(code)}); give another file by --csv")


def _run_of(checkpoint: Path) -> RunFolder | None:
    """The run folder in which a checkpoint lies; None if it lies in none."""
    return RunFolder(checkpoint.parent.parent) if checkpoint.resolve().parent.name == "checkpoints" else None


def _require_none(file: Path, checkpoint: Path) -> None:
    if file.exists():
        raise UsageError(
            f"{str(file)!r} exists, and may be of another network than {str(checkpoint)!r}; give another file by --csv"
        )
