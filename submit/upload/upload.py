"""A folder is uploaded: compared with what is there, sent, and summarised."""

import hashlib
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from submit.errors import SubmitError
from submit.preflight.findings import format_names
from submit.progress import Progress
from submit.upload.container import Blob, Container
from submit.upload.folder import Folder, LocalFile
from submit.upload.sending import send
from submit.upload.target import dataset_value, open_datastore, target_path
from submit.workspace import open_workspace


@dataclass
class Comparison:
    """Files by what the container has in their places; ``others`` are blobs for which the folder has no file."""

    missing: list[LocalFile] = field(default_factory=list)
    same: list[LocalFile] = field(default_factory=list)
    different: list[LocalFile] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def compare(files: Iterable[LocalFile], blobs: Mapping[str, Blob], tell: Callable[[LocalFile], None]) -> Comparison:
    """Reads each file for which there is a blob of its size with an MD5; ``tell`` is called before."""
    found = Comparison(others=_other_blobs(files, blobs))
    for file in files:
        blob = blobs.get(file.name)
        if blob is None:
            found.missing.append(file)
        elif _is_same(file, blob, tell):
            found.same.append(file)
        else:
            found.different.append(file)
    return found


def _is_same(file: LocalFile, blob: Blob, tell: Callable[[LocalFile], None]) -> bool:
    if file.size != blob.size or blob.md5 is None:
        return file.size == blob.size
    tell(file)
    md5 = hashlib.md5(usedforsecurity=False)
    with file.path.open("rb") as content:
        while piece := content.read(1 << 20):
            md5.update(piece)
    return md5.digest() == blob.md5


def _other_blobs(files: Iterable[LocalFile], blobs: Mapping[str, Blob]) -> list[str]:
    # an account with a hierarchical namespace lists its folders as well, as empty blobs
    folders = {str(parent) for name in (*blobs, *(f.name for f in files)) for parent in PurePosixPath(name).parents}
    names = {file.name for file in files}
    return sorted(name for name, blob in blobs.items() if name not in names and (blob.size or name not in folders))


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
    files = _check_source(src, path)
    datastore = open_datastore(open_workspace(config), datastore_name)
    stopped = threading.Event()
    container = Container(datastore, stopped)
    with Progress() as progress:
        found = _compare(container, path, files, progress)
        _warn_of_others(found, path)
        if found.different and not overwrite:
            raise SubmitError(_refusal(found.different, path))
        sent = _send(container, path, [*found.missing, *found.different], stopped, progress)
    skipped = Tally(len(found.same), sum(file.size for file in found.same) + sent.there)
    return f"{_summary(sent, skipped)}\n--dataset {shlex.quote(dataset_value(datastore.name, path))}"


def _check_source(src: Path, path: str) -> list[LocalFile]:
    if not src.is_dir():
        raise SubmitError(f"--src {str(src)!r}: {'is no folder' if src.exists() else 'no such folder'}; give a folder")
    folder = Folder.of(src)
    findings = folder.findings(path)
    if errors := [finding.text for finding in findings if finding.level == "error"]:
        raise SubmitError(f"--src {str(src)!r}: {'; '.join(errors)}")
    for finding in findings:
        print(f"warning: {finding.text}", file=sys.stderr)
    return folder.files


def _compare(container: Container, path: str, files: Sequence[LocalFile], progress: Progress) -> Comparison:
    progress.show(f"Looking at what is in {path} already")
    blobs = container.blobs(path)
    return compare(files, blobs, lambda file: progress.show(f"Comparing {file.name} with what is there"))


def _warn_of_others(found: Comparison, path: str) -> None:
    if found.others:
        told = f"{path} has {len(found.others):,} more, which the training will find, too: {format_names(found.others)}"
        print(f"warning: {told}", file=sys.stderr)


def _refusal(different: Sequence[LocalFile], path: str) -> str:
    names = format_names(file.name for file in different)
    return (
        f"--target {path!r}: there with other content: {names}; give --overwrite to replace that, or another --target"
    )


def _send(
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
    of_bytes = f"{format_bytes(done)} of {format_bytes(total)}, {format_bytes(rate)}/s"
    return f"{tally.files:,} of {count:,} files, {of_bytes}{left}"


def _summary(sent: Tally, skipped: Tally) -> str:
    return f"Sent {_counted(sent)}; skipped {_counted(skipped)}, which were there already."


def _counted(tally: Tally) -> str:
    return f"{tally.files:,} {'file' if tally.files == 1 else 'files'} ({format_bytes(tally.bytes)})"


def format_bytes(size: float) -> str:
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
