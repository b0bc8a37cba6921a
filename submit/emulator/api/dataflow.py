"""The files of a dataset: the paths in its dataflow, looked up in the datastore."""

import json
import posixpath
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import yaml

_PATH_KINDS = ("file", "folder", "pattern")


def files(saved: Mapping[str, Any], datastore: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a saved dataset, by their paths below the folder that its paths have in common."""
    patterns = [_as_pattern(path, datastore) for path in _patterns(saved)]
    found = [path for path in sorted(datastore) if any(_fits(path, pattern) for pattern in patterns)]
    base = _base(patterns)
    return {path.removeprefix(base): datastore[path] for path in found}


def folder(saved: Mapping[str, Any], datastore: Mapping[str, bytes]) -> str:
    """The folder that the paths of a saved dataset have in common, with a slash at its end unless it is the root."""
    return _base([_as_pattern(path, datastore) for path in _patterns(saved)])


def _patterns(saved: Mapping[str, Any]) -> Iterator[str]:
    flow = yaml.safe_load(json.loads(saved["dataflowJson"])["meta"]["RsDataflow"]) or {}
    for entry in flow.get("paths") or []:
        for kind in _PATH_KINDS:
            if kind in entry:
                path = str(entry[kind]).partition("/paths/")[2]
                yield path


def _as_pattern(path: str, datastore: Mapping[str, bytes]) -> str:
    """A path without wildcards is a file, or a folder with everything in it."""
    if "*" in path or "?" in path or path in datastore:
        return path
    return f"{path.rstrip('/')}/**".lstrip("/")


def _fits(path: str, pattern: str) -> bool:
    if pattern.endswith("/**"):
        return path.startswith(pattern.removesuffix("**"))
    return fnmatchcase(path, pattern)


def _base(patterns: list[str]) -> str:
    """The folder that a mount shows: the longest common one without wildcards, with a slash at its end."""
    common = posixpath.commonpath([_literal_folder(pattern) for pattern in patterns]) if patterns else ""
    return f"{common}/" if common else ""


def _literal_folder(pattern: str) -> str:
    parts = pattern.split("/")[:-1]
    wild = next((number for number, part in enumerate(parts) if "*" in part or "?" in part), len(parts))
    return "/".join(parts[:wild])
