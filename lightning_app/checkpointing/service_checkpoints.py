"""The checkpoints of a run that Azure ML keeps: which are there, and the newest whole one with what belongs to it."""

import logging
import re
import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lightning_app.azureml.run_files import RunFiles
from lightning_app.checkpointing.candidates import Candidate, Choice, Rejected, choose
from lightning_app.checkpointing.sidecar import read_sidecar
from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder

log = logging.getLogger(__name__)

_CHECKPOINT = re.compile(r"(?P<folder>[^\0]+)/checkpoints/(?:last|best|step-(?P<step>\d{9,}))\.ckpt")
_ATTEMPT = re.compile(r"(^|/)retry_\d{3}(/|$)")
_STAGING = ".found-"


def staging_folder(folder: RunFolder) -> Path:
    """A new name in the run folder, so that a large file needs no second copy."""
    return folder.root / f"{_STAGING}{uuid.uuid4().hex[:8]}"


def remove_abandoned(folder: RunFolder) -> None:
    """Removes what a killed process has downloaded. This process holds the lock of the folder."""
    for path in folder.root.glob(f"{_STAGING}*"):
        shutil.rmtree(path, ignore_errors=True)


@dataclass(frozen=True)
class _Kept:
    """A checkpoint at the service, and the run folder there that it is in."""

    path: str
    folder: str
    step: int


def folders_like(label: str) -> Callable[[str], bool]:
    """Whether a folder at the service is that of an attempt of the same job, for a run folder that the job calls so.

    What the first attempt wrote to ``outputs/run``, the next one has in ``outputs/retry_001/run``.
    """
    return lambda folder: _ATTEMPT.sub("/", folder).strip("/") == label


class ServiceCheckpoints:
    """Finds the newest checkpoint of a run that can be used, and downloads only the files that are needed.

    Args:
        files: The files of the run.
        staging: A folder for them in the run folder, see ``staging_folder``; the first download makes it.
        is_wanted: Which run folders at the service are looked at.
    """

    def __init__(self, files: RunFiles, staging: Path, is_wanted: Callable[[str], bool] = lambda folder: True) -> None:
        self._files, self._staging = files, staging
        self._paths = [path for path in files.paths() if _is_plain(path)]
        found = [(path, match) for path in self._paths if (match := _CHECKPOINT.fullmatch(path))]
        self._kept = [(path, match) for path, match in found if is_wanted(match["folder"])]

    def __bool__(self) -> bool:
        """Whether there are checkpoints; nothing has been downloaded for that."""
        return bool(self._kept)

    def newest(self, is_this_run: Callable[[RunFolder], bool] = lambda folder: True) -> Choice:
        """The newest whole one, after its download.

        Args:
            is_this_run: Whether a run folder, of which only ``config.yaml`` is there, is the right one.

        Raises:
            RunFilesError: Azure ML doesn't answer in time or refuses.
            UsageError: The files can't be written.
        """
        choice = self._newest(is_this_run)
        for each in choice.rejected:
            used = "no other one" if choice.candidate is None else self.shown(choice.candidate.path)
            log.warning("%s: %s; %s is used in its place.", self.shown(each.path), each.problem, used)
        return Choice(choice.candidate, choice.content)

    def _newest(self, is_this_run: Callable[[RunFolder], bool]) -> Choice:
        rejected: list[Rejected] = []
        judged: dict[str, bool] = {}
        for kept in self._newest_first():
            folder = RunFolder(self._local(kept.folder))
            if kept.folder not in judged:
                self._download(f"{kept.folder}/{folder.config.name}")
                judged[kept.folder] = is_this_run(folder)
            if not judged[kept.folder]:
                continue
            self._download(kept.path)
            choice = choose([Candidate(self._local(kept.path), kept.step, folder)])
            if choice.candidate is not None:
                return Choice(choice.candidate, choice.content, tuple(rejected))
            rejected += choice.rejected
        return Choice(None, {}, tuple(rejected))

    def complete(self, candidate: Candidate) -> None:
        """Downloads the files beside a checkpoint with which its run goes on; those that aren't there are left out.

        Raises:
            RunFilesError, UsageError: As ``newest``.
        """
        folder = candidate.folder
        beside = (folder.journal, folder.journal_identity, folder.hyperparameters)
        best = (folder.best, folder.best.with_name(f"{folder.best.name}.json"), folder.best_metrics)
        for path in (*best, *beside):
            if not path.exists():
                self._download(self._name(path))

    def shown(self, path: Path) -> str:
        """A downloaded file, for a message."""
        return f"{self._name(path)} of run {self._files.run_id} at Azure ML"

    def remove_downloaded(self) -> None:
        shutil.rmtree(self._staging, ignore_errors=True)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._staging).as_posix()

    def _newest_first(self) -> Sequence[_Kept]:
        """By steps, and of equally many the last one before the best one."""
        named: list[_Kept] = []
        for path, match in self._kept:
            self._download(f"{path}.json")
            sidecar = read_sidecar(self._local(path))
            named.append(_Kept(path, match["folder"], sidecar.step if sidecar else int(match["step"] or -1)))
        newest = {each.folder: 0 for each in named}
        for each in named:
            newest[each.folder] = max(newest[each.folder], each.step)
        # a last one that doesn't say its step is the newest of its folder
        known = [
            _Kept(each.path, each.folder, newest[each.folder])
            if each.step < 0 and each.path.endswith("/last.ckpt")
            else each
            for each in named
        ]
        return sorted(known, key=lambda each: (-each.step, not each.path.endswith("/last.ckpt"), each.path))

    def _download(self, path: str) -> None:
        if path not in self._paths:
            return
        try:
            self._files.download(path, self._local(path))
        except OSError as error:
            raise UsageError(
                f"--output_dir {str(self._staging.parent)!r}: {path} of run {self._files.run_id} can't be written here "
                f"({error.strerror}); free some space, or give another folder"
            ) from error

    def _local(self, path: str) -> Path:
        return self._staging / path


def _is_plain(path: str) -> bool:
    """Whether a name leads nowhere else than below the folder that it is written to."""
    parts = PurePosixPath(path)
    return not parts.is_absolute() and ".." not in parts.parts and "\\" not in path
