"""All of an upload, from the folder to what was done."""

import shlex
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from submit.errors import SubmitError
from submit.preflight.findings import listed
from submit.progress import Progress
from submit.upload.comparison import Comparison, compare
from submit.upload.container import Container
from submit.upload.folder import Folder, LocalFile
from submit.upload.sending import send
from submit.upload.target import dataset_value, open_datastore, target_path
from submit.workspace import open_workspace


@dataclass
class Tally:
    """Files and bytes; ``there`` counts bytes of large files that an earlier upload has left."""

    files: int = 0
    bytes: int = 0
    there: int = 0


def upload(src: Path, target: str, datastore_name: str | None, overwrite: bool, config: Path | None) -> str:
    """What was done, in two lines.

    Raises:
        SubmitError: Something has to be mended first; nothing was sent.
        FailureError: Azure, or the way to it, failed; the same upload goes on.
    """
    path = target_path(target)
    files = _checked(src, path)
    datastore = open_datastore(open_workspace(config), datastore_name)
    stopped = threading.Event()
    container = Container(datastore, stopped)
    with Progress() as progress:
        found = _compared(container, path, files, progress)
        _tell_of_others(found, path)
        if found.different and not overwrite:
            raise SubmitError(_refusal(found.different, path))
        sent = _sent(container, path, [*found.missing, *found.different], stopped, progress)
    skipped = Tally(len(found.same), sum(file.size for file in found.same) + sent.there)
    return f"{_summary(sent, skipped)}\n--dataset {shlex.quote(dataset_value(datastore.name, path))}"


def _checked(src: Path, path: str) -> list[LocalFile]:
    if not src.is_dir():
        raise SubmitError(f"--src {str(src)!r}: {'is no folder' if src.exists() else 'no such folder'}; give a folder")
    folder = Folder.of(src)
    findings = folder.findings(path)
    if errors := [finding.text for finding in findings if finding.level == "error"]:
        raise SubmitError(f"--src {str(src)!r}: {'; '.join(errors)}")
    for finding in findings:
        print(f"warning: {finding.text}", file=sys.stderr)
    return folder.files


def _compared(container: Container, path: str, files: Sequence[LocalFile], progress: Progress) -> Comparison:
    progress.show(f"Looking at what is in {path} already")
    blobs = container.blobs(path)
    return compare(files, blobs, lambda file: progress.show(f"Comparing {file.name} with what is there"))


def _tell_of_others(found: Comparison, path: str) -> None:
    if found.others:
        told = f"{path} has {len(found.others):,} more, which the training will find, too: {listed(found.others)}"
        print(f"warning: {told}", file=sys.stderr)


def _refusal(different: Sequence[LocalFile], path: str) -> str:
    names = listed(file.name for file in different)
    return (
        f"--target {path!r}: there with other content: {names}; give --overwrite to replace that, or another --target"
    )


def _sent(
    container: Container, path: str, files: Sequence[LocalFile], stopped: threading.Event, progress: Progress
) -> Tally:
    tally, began = Tally(), time.monotonic()
    total = sum(file.size for file in files)
    progress.show(_line(tally, len(files), total, 0))
    for arrived in send(container, path, files, stopped):
        tally.files += arrived.file is not None
        tally.bytes += arrived.size if arrived.sent else 0
        tally.there += 0 if arrived.sent else arrived.size
        progress.show(_line(tally, len(files), total, time.monotonic() - began))
    return tally


def _line(tally: Tally, count: int, total: int, seconds: float) -> str:
    done = tally.bytes + tally.there
    rate = tally.bytes / max(seconds, 0.1)
    left = f", {_duration((total - done) / rate)} left" if rate and seconds > 2 else ""
    return f"{tally.files:,} of {count:,} files, {amount(done)} of {amount(total)}, {amount(rate)}/s{left}"


def _summary(sent: Tally, skipped: Tally) -> str:
    return f"Sent {_counted(sent)}; skipped {_counted(skipped)}, which were there already."


def _counted(tally: Tally) -> str:
    return f"{tally.files:,} {'file' if tally.files == 1 else 'files'} ({amount(tally.bytes)})"


def amount(size: float) -> str:
    """Of bytes, such as 1.5 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return (
        f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min" if minutes else "less than 1 min"
    )
