"""Uploads a folder: compares it with what is there, sends the rest, and summarises."""

import hashlib
import shlex
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from submit.errors import SubmitError
from submit.interface import Workspace
from submit.preflight.findings import format_names
from submit.upload.asset import Asset, check_version, register
from submit.upload.container import Blob, Container
from submit.upload.folder import Folder, LocalFile
from submit.upload.minutes import MinuteLines
from submit.upload.sending import send
from submit.upload.target import dataset_value, folder_address, target_path


@dataclass
class Comparison:
    """Files, by what the container has for them.

    ``unhashed`` are those of ``same`` whose blob has no MD5, so that only the sizes were compared; ``others`` are blobs
    without a file in the folder.
    """

    missing: list[LocalFile] = field(default_factory=list)
    same: list[LocalFile] = field(default_factory=list)
    different: list[LocalFile] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    unhashed: list[LocalFile] = field(default_factory=list)


def compare(files: Iterable[LocalFile], blobs: Mapping[str, Blob], reading: Callable[[LocalFile], None]) -> Comparison:
    """Compares files with blobs; calls ``reading`` before it reads a file to compare its MD5."""
    comparison = Comparison(others=_other_blobs(files, blobs))
    for file in files:
        blob = blobs.get(file.name)
        if blob is None:
            comparison.missing.append(file)
        elif _is_same(file, blob, reading):
            comparison.same.append(file)
            comparison.unhashed += [file] if blob.md5 is None else []
        else:
            comparison.different.append(file)
    return comparison


def _is_same(file: LocalFile, blob: Blob, reading: Callable[[LocalFile], None]) -> bool:
    if file.size != blob.size or blob.md5 is None:
        return file.size == blob.size
    reading(file)
    md5 = hashlib.md5(usedforsecurity=False)
    with file.path.open("rb") as content:
        while piece := content.read(1 << 20):
            md5.update(piece)
    return md5.digest() == blob.md5


def _other_blobs(files: Iterable[LocalFile], blobs: Mapping[str, Blob]) -> list[str]:
    # an account with a hierarchical namespace lists its folders, too, as empty blobs
    folders = {str(parent) for name in (*blobs, *(f.name for f in files)) for parent in PurePosixPath(name).parents}
    names = {file.name for file in files}
    return sorted(name for name, blob in blobs.items() if name not in names and (blob.size or name not in folders))


@dataclass
class Tally:
    """Files and bytes; ``existing`` counts bytes of large files from an interrupted upload."""

    files: int = 0
    bytes: int = 0
    existing: int = 0


def upload(
    src: Path,
    target: str,
    datastore_name: str | None,
    overwrite: bool,
    open_workspace: Callable[[], Workspace],
    asset: Asset | None = None,
) -> str:
    """Uploads a folder, registers it if an ``asset`` is given, and returns a summary of two lines.

    Raises:
        SubmitError: Something must be changed first; nothing was sent.
        ServiceError: Azure or the connection failed; the same command continues the upload.
    """
    path = target_path(target)
    files = _check_source(src, path)
    workspace = open_workspace()
    datastore = workspace.open_datastore(datastore_name)
    address = folder_address(datastore.name, path)
    if asset is not None:
        check_version(workspace, asset, address)
    stopped = threading.Event()
    container = Container(datastore, stopped)
    comparison = _compare(container, path, files)
    _warn_of_others(comparison, path)
    _warn_of_unhashed(comparison, path)
    if comparison.different and not overwrite:
        raise SubmitError(_refusal(comparison.different, path))
    sent = _send(container, path, [*comparison.missing, *comparison.different], stopped)
    skipped = Tally(len(comparison.same), sum(file.size for file in comparison.same) + sent.existing)
    value = dataset_value(datastore.name, path)
    if asset is not None:
        value = register(workspace, asset, address, has_changed=sent.files > 0)
    return f"{_summary(sent, skipped)}\n--dataset {shlex.quote(value)}"


def _check_source(src: Path, path: str) -> list[LocalFile]:
    if not src.is_dir():
        raise SubmitError(f"--src {str(src)!r}: {'not a folder' if src.exists() else 'no such folder'}; give a folder")
    folder = Folder.of(src)
    findings = folder.findings(path)
    if errors := [finding.text for finding in findings if finding.level == "error"]:
        raise SubmitError(f"--src {str(src)!r}: {'; '.join(errors)}")
    for finding in findings:
        print(f"warning: {finding.text}", file=sys.stderr)
    return folder.files


def _compare(container: Container, path: str, files: Sequence[LocalFile]) -> Comparison:
    blobs = container.blobs(path)
    with tqdm(desc="Comparing", bar_format="{desc}", leave=False, disable=None) as line:
        return compare(files, blobs, lambda file: line.set_description_str(f"Comparing {file.name} with what is there"))


def _warn_of_others(comparison: Comparison, path: str) -> None:
    if comparison.others:
        names = format_names(comparison.others)
        message = f"{path} has {len(comparison.others):,} other files, which the training will find, too: {names}"
        print(f"warning: {message}", file=sys.stderr)


def _warn_of_unhashed(comparison: Comparison, path: str) -> None:
    if comparison.unhashed:
        names = format_names(file.name for file in comparison.unhashed)
        message = (
            f"{path} has no MD5 of {len(comparison.unhashed):,} files, which are compared by size only and taken for "
            f"the same: {names}"
        )
        print(f"warning: {message}", file=sys.stderr)


def _refusal(different: Sequence[LocalFile], path: str) -> str:
    names = format_names(file.name for file in different)
    return f"--target {path!r}: has other content for {names}; give --overwrite to replace it, or another --target"


def _send(container: Container, path: str, files: Sequence[LocalFile], stopped: threading.Event) -> Tally:
    tally = Tally()
    total = sum(file.size for file in files)
    print(f"Sending {len(files):,} files ({format_bytes(total)}) to {path}", file=sys.stderr)
    minutes = MinuteLines()
    with tqdm(total=total, unit="B", unit_scale=True, leave=False, disable=None) as bar:  # in a terminal only
        for progress in send(container, path, files, stopped):
            tally.files += progress.file is not None
            tally.bytes += progress.size if progress.sent else 0
            tally.existing += 0 if progress.sent else progress.size
            bar.set_description_str(f"{tally.files:,} of {len(files):,} files", refresh=False)
            bar.update(progress.size)
            done = format_bytes(tally.bytes + tally.existing)
            minutes.print(f"{tally.files:,} of {len(files):,} files, {done} of {format_bytes(total)}")
    return tally


def _summary(sent: Tally, skipped: Tally) -> str:
    return f"Sent {_count_text(sent)}; skipped {_count_text(skipped)}, which existed already."


def _count_text(tally: Tally) -> str:
    return f"{tally.files:,} {'file' if tally.files == 1 else 'files'} ({format_bytes(tally.bytes)})"


def format_bytes(size: float) -> str:
    """A size for people, such as 1.5 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
