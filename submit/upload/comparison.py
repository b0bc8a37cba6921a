"""What of a folder is in the container already."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from submit.upload.container import Blob
from submit.upload.folder import LocalFile


@dataclass
class Comparison:
    """Files by what the container has in their places; ``others`` are blobs for which the folder has no file."""

    missing: list[LocalFile] = field(default_factory=list)
    same: list[LocalFile] = field(default_factory=list)
    different: list[LocalFile] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def compare(files: Iterable[LocalFile], blobs: Mapping[str, Blob], tell: Callable[[LocalFile], None]) -> Comparison:
    """Reads each file for which there is a blob of its size with an MD5; ``tell`` is called before."""
    found = Comparison(others=_others(files, blobs))
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


def _others(files: Iterable[LocalFile], blobs: Mapping[str, Blob]) -> list[str]:
    # an account with a hierarchical namespace lists its folders as well, as empty blobs
    folders = {str(parent) for name in (*blobs, *(f.name for f in files)) for parent in PurePosixPath(name).parents}
    names = {file.name for file in files}
    return sorted(name for name, blob in blobs.items() if name not in names and (blob.size or name not in folders))
