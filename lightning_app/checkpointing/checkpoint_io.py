"""Writes checkpoints: those of the run in a thread of their own, while training goes on."""

import contextlib
import errno
import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from lightning_app.checkpointing.checkpoint_dir import CheckpointDir
from lightning_app.checkpointing.copied_files import unfinished_copy
from lightning_app.checkpointing.kept_checkpoints import DEFAULT_KEEP, put, put_last, remove_earlier
from lightning_app.checkpointing.position import epochs_in
from lightning_app.checkpointing.readable_checkpoints import with_plain_hyperparameters
from lightning_app.checkpointing.sidecar import Sidecar, read_sidecar, sidecar_path
from lightning_app.checkpointing.snapshot import SnapshotMemory
from lightning_app.console import format_count
from lightning_app.errors import UsageError, one_line
from lightning_app.run_folder import RunFolder

log = logging.getLogger(__name__)

_BUFFER_BYTES = 2**20
MOST_WAITING = 2  # states in memory: one that is being written, and one that waits for that
_Error = (OSError, RuntimeError)  # torch.save raises a RuntimeError on a full disk


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes to a file beside the target and renames it, so that an earlier checkpoint survives a full disk.

    Lightning's own class writes to the temporary folder first. That is often another file system, where a rename is a
    copy, which can be interrupted.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        target = Path(path)
        try:
            written = write_unfinished(with_plain_hyperparameters(checkpoint), target)
            written.path.replace(target)
        except _Error as error:
            raise could_not_save(target, error) from error


@dataclass(frozen=True)
class Saving:
    """How the run's own checkpoint is saved.

    Args:
        also: Further checkpoints that hold the same state.
        is_interval: Whether the next one follows soon: if this one fails, training goes on where an earlier one is
            whole.
        before: Writes what belongs beside it, just before it gets its name. A run that is killed between the two
            continues from an earlier state, and writes both again; after the name, it would continue without.
    """

    also: tuple[Path, ...] = ()
    is_interval: bool = False
    before: Callable[[], None] | None = None


class RunCheckpointIO(AtomicCheckpointIO):
    """Writes ``last.ckpt`` and ``best.ckpt`` of a run in a thread: training waits until their content is copied.

    A thread does it and not a process: it is as fast, and needs neither seconds to start nor shared memory, and it ends
    with its process. Checkpoints of the user's own callbacks are written when ``save_checkpoint`` returns, as anywhere.

    Args:
        folder: The run folder.
        keep: Number of earlier checkpoints that are kept beside these two.
        second: A second folder for the checkpoints; None for no copies.
    """

    def __init__(self, folder: RunFolder, keep: int = DEFAULT_KEEP, second: RunFolder | None = None) -> None:
        self._folder, self._keep = folder, keep
        self._copies = None if second is None else CheckpointDir(second, folder, keep)
        self._memory = SnapshotMemory()
        self._thread = ThreadPoolExecutor(1, "checkpoints")
        self._writes: list[Future[None]] = []
        self._saving = Saving()
        self._failure: Exception | None = None
        self._warned = ""
        self.when_failed: Callable[[], None] = lambda: None  # called in the thread when training has to end

    @property
    def is_writing(self) -> bool:
        self._writes = [write for write in self._writes if not write.done()]
        return bool(self._writes)

    @contextmanager
    def saving(self, saving: Saving) -> Iterator[None]:
        """How a checkpoint that is saved in this context is saved."""
        self._saving = saving
        try:
            yield
        finally:
            self._saving = Saving()

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Of the run's own ones it copies the content, and returns.

        Raises:
            UsageError: It can't be written, or an earlier one couldn't.
        """
        targets = (Path(path), *self._saving.also)
        if not {self._folder.last, self._folder.best}.issuperset(targets):
            super().save_checkpoint(checkpoint, path)
            return
        self.raise_failure()
        if self.is_writing and len(self._writes) >= MOST_WAITING:
            wait(self._writes[:1])
        content = with_plain_hyperparameters(checkpoint)
        try:
            snapshot = self._memory.take(content)
        except Exception:  # of the methods of a class of the user's: it can be written, but not copied
            self.finish_writing()
            self._write(content, targets, self._saving)
            self.raise_failure()
            return

        def write(saving: Saving = self._saving) -> None:
            self._write(snapshot.content, targets, saving)
            self._memory.give_back(snapshot)

        self._writes.append(self._thread.submit(write))

    def finish_writing(self, seconds: float | None = None) -> None:
        """Waits until everything that was saved is written, at most so many seconds.

        Raises:
            UsageError: It can't be written.
        """
        wait(self._writes, seconds)
        self.raise_failure()

    def raise_failure(self) -> None:
        """Raises the error of a write that has failed meanwhile and that training can't go on without, once."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        self.finish_writing()
        return super().load_checkpoint(path, *args, **kwargs)

    def remove_checkpoint(self, path: str | Path) -> None:
        wait(self._writes)
        super().remove_checkpoint(path)
        sidecar_path(Path(path)).unlink(missing_ok=True)

    def teardown(self) -> None:
        """Lightning calls it when training has ended, also by an error, which this must not replace."""
        wait(self._writes)
        self._memory = SnapshotMemory()
        if self._failure is not None:
            log.warning("%s.", one_line(self._failure))

    def _write(self, content: Mapping[str, Any], targets: tuple[Path, ...], saving: Saving) -> None:
        """In the thread. It raises nothing: nobody would be there to catch it."""
        try:
            try:
                sidecar = self._put(content, targets, saving)
            except _Error as error:
                if _number(error) != errno.ENOSPC or not remove_earlier(self._folder, 0, 0):
                    raise
                sidecar = self._put(content, targets, saving)
            self._warned = ""
            if self._copies is not None:
                self._copies.copy(targets, sidecar)
        except Exception as error:
            self._fail(targets[0], content, error, saving)

    def _put(self, content: Mapping[str, Any], targets: tuple[Path, ...], saving: Saving) -> Sidecar:
        written = write_unfinished(content, targets[-1])
        sidecar = Sidecar(int(content["global_step"]), epochs_in(content), written.bytes, written.sha256)
        try:
            if saving.before is not None:
                saving.before()
            if self._folder.best in targets:  # before the last one, in which the best score is
                source = unfinished_copy(written.path, self._folder.best) if len(targets) > 1 else written.path
                put(source, self._folder.best, sidecar)
            if self._folder.last in targets:
                put_last(written.path, self._folder, sidecar, self._keep)
        except OSError:
            written.path.unlink(missing_ok=True)
            raise
        return sidecar

    def _fail(self, target: Path, content: Mapping[str, Any], error: Exception, saving: Saving) -> None:
        if not saving.is_interval or not self._folder.last.exists():
            self._failure = could_not_save(target, error) if isinstance(error, _Error) else error
            self.when_failed()
        elif self._warned != (reason := _reason(error)):
            self._warned = reason
            steps, kept = format_count(int(content["global_step"]), "step"), read_sidecar(self._folder.last)
            earlier = f"that after {format_count(kept.step, 'step')}" if kept else "the earlier one"
            log.warning(
                "%s: the state after %s couldn't be saved (%s); %s is kept, and training goes on.",
                *(target, steps, reason, earlier),
            )


@dataclass(frozen=True)
class Unfinished:
    """A file that is completely written, and hasn't got its name yet."""

    path: Path
    bytes: int
    sha256: str


def write_unfinished(checkpoint: Mapping[str, Any], target: Path) -> Unfinished:
    """Writes a checkpoint to a hidden file beside its target, through to the disk.

    Raises:
        OSError, RuntimeError: It can't be written; no file is left.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    path = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with path.open("wb", _BUFFER_BYTES) as file:
            hashing = _Hashing(file)
            torch.save(checkpoint, cast(Any, hashing))  # it needs no more of a file than that
            file.flush()
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
        if size != hashing.bytes:
            raise OSError(errno.EIO, f"{size:,} of {hashing.bytes:,} bytes were written")
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise
    return Unfinished(path, hashing.bytes, hashing.hash.hexdigest())


def could_not_save(target: Path, error: BaseException) -> UsageError:
    """One line that says what is kept."""
    kept = f"the earlier checkpoint is kept in {str(target)!r}; " if target.exists() else ""
    return UsageError(
        f"--output_dir: could not save {str(target)!r} ({_reason(error)}); {kept}"
        "free some space, or give another folder"
    )


class _Hashing:
    """A file whose content is hashed while it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.hash, self.bytes = hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        self.bytes += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _number(error: BaseException) -> int | None:
    return getattr(_innermost(error), "errno", None)


def _reason(error: BaseException) -> str:
    innermost = _innermost(error)
    return getattr(innermost, "strerror", None) or one_line(innermost)


def _innermost(error: BaseException) -> BaseException:
    while error.__cause__ or error.__context__:  # the file's own error is the cause of torch.save's
        error = error.__cause__ or error.__context__ or error
    return error
