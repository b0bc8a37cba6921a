"""Lock files as requirements for pip: those of uv (``uv.lock``), and ``pylock.toml`` of PEP 751.

Of a lock, which is for all platforms, the nodes get what it has for Linux on x86-64 and one Python: each package in one
version, with the hashes of the files that fit. pip refuses any other file.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from packaging.markers import Marker
from packaging.specifiers import SpecifierSet
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from submit.errors import SubmitError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYPI = "https://pypi.org/simple"
_UV, _PEP_751 = "uv.lock", "pylock"
_PYTHONS = ("3.11", "3.12", "3.10")  # those that the project supports, the default one first
_EXPORT = "export it: uv export --format requirements-txt --no-emit-project --output-file requirements.txt"


@dataclass(frozen=True)
class Locked:
    """What a lock file means on the nodes: a Python such as "3.11", and lines of a requirements file."""

    python: str
    requirements: list[str]


@dataclass(frozen=True)
class _Package:
    """One package: its files by name with their hashes, and the index that has them, or an address of its own."""

    name: str
    version: str
    files: Sequence[tuple[str, str | None]]
    index: str | None = None
    address: str | None = None


def is_lock_file(file: Path) -> bool:
    return file.name == _UV or (file.name.startswith(_PEP_751) and file.suffix == ".toml")


def read_lock_file(file: Path, flag: str, extra: str | None = None) -> Locked:
    """What the nodes install of a lock file; of that of uv with an ``extra`` of its project.

    Raises:
        SubmitError: It can't be read, or has what pip can't install on the nodes.
    """
    given = f"{flag} {str(file)!r}"
    try:
        content = tomllib.loads(file.read_text())
        python = _python(given, str(content.get("requires-python") or ""))
        packages = [*(_of_uv if file.name == _UV else _of_pep_751)(given, content, _platform(python), extra)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SubmitError(f"{given}: can't be read ({type(error).__name__}: {error})") from error
    indexes = dict.fromkeys(each.index for each in packages if each.index not in (None, PYPI))
    lines = [_line(given, package, python) for package in sorted(packages, key=lambda each: each.name)]
    return Locked(python, [*(f"--extra-index-url {index}" for index in indexes), *lines])


def _python(given: str, required: str) -> str:
    wanted = SpecifierSet(required)
    for python in _PYTHONS:
        if wanted.contains(f"{python}.10"):
            return python
    raise SubmitError(f"{given}: is for Python {required}; expected one of {', '.join(sorted(_PYTHONS))}")


def _platform(python: str) -> dict[str, str]:
    """The variables of markers on the nodes."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.10",  # of the patch releases conda takes the newest
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{python}.10",
        "python_version": python,
        "sys_platform": "linux",
        "extra": "",
    }


def _of_uv(given: str, content: Mapping[str, Any], platform: dict[str, str], extra: str | None) -> Iterator[_Package]:
    """The packages that the project of a ``uv.lock`` depends on, directly or not."""
    if content.get("version") != 1:
        raise SubmitError(f"{given}: has version {content.get('version')}; expected 1; {_EXPORT}")
    if content.get("conflicts"):
        raise SubmitError(f"{given}: has extras that exclude one another; {_EXPORT}")
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for entry in content["package"]:
        by_name.setdefault(entry["name"], []).append(entry)
    roots = [entry for entry in content["package"] if "." in entry["source"].values()]
    if len(roots) != 1:
        raise SubmitError(f"{given}: has no project of its own; {_EXPORT}")
    # a package with an extra, or None for the package itself
    waiting: list[tuple[Mapping[str, Any], str | None]] = [(roots[0], None), *([(roots[0], extra)] if extra else [])]
    seen: set[tuple[str, str, str | None]] = set()
    while waiting:
        package, wanted = waiting.pop()
        key = (package["name"], str(package.get("version")), wanted)
        if key in seen:
            continue
        seen.add(key)
        if wanted is None and package is not roots[0]:
            yield _uv_package(given, package)
        for dependency in _dependencies(package, wanted):
            if _holds(dependency.get("marker"), platform):
                found = _uv_entry(given, by_name[dependency["name"]], dependency, platform)
                waiting += [(found, each) for each in (None, *dependency.get("extra", ()))]


def _dependencies(package: Mapping[str, Any], extra: str | None) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = (
        package.get("dependencies", []) if extra is None else package.get("optional-dependencies", {}).get(extra, [])
    )
    return found


def _uv_entry(
    given: str, entries: Sequence[Mapping[str, Any]], dependency: Mapping[str, Any], platform: dict[str, str]
) -> Mapping[str, Any]:
    """The entry that a dependency means; a package has several where platforms need different versions."""
    named = [
        entry
        for entry in entries
        if dependency.get("version") in (None, entry.get("version"))
        and dependency.get("source") in (None, entry.get("source"))
    ]
    if len(named) > 1:
        markers = [(entry, entry.get("resolution-markers", [])) for entry in named]
        named = [entry for entry, texts in markers if any(_holds(text, platform) for text in texts)]
    if len(named) != 1:
        raise SubmitError(f"{given}: has {len(named)} versions of {dependency['name']!r} for the nodes; {_EXPORT}")
    return named[0]


def _uv_package(given: str, entry: Mapping[str, Any]) -> _Package:
    source: dict[str, str] = entry["source"]
    index, address = source.get("registry"), source.get("url")
    if not address and not (index or "").startswith("http"):
        kind, place = next(iter(source.items()))
        raise _not_installable(given, entry["name"], kind, place)
    files = [*entry.get("wheels", []), *([entry["sdist"]] if "sdist" in entry else [])]
    named = [(_file_name(file.get("url") or file["filename"]), file.get("hash")) for file in files]
    return _Package(entry["name"], entry["version"], named, index, address)


def _of_pep_751(
    given: str, content: Mapping[str, Any], platform: dict[str, str], extra: str | None
) -> Iterator[_Package]:
    """The packages of a ``pylock.toml``, which is flat; ``extra`` was chosen when it was made."""
    if not str(content["lock-version"]).startswith("1."):
        raise SubmitError(f"{given}: has version {content['lock-version']}; expected 1.0; {_EXPORT}")
    for entry in content["packages"]:
        if not _holds(entry.get("marker"), platform):
            continue
        if kind := next((kind for kind in ("vcs", "directory") if kind in entry), None):
            if entry[kind].get("path") in (".", "./"):
                continue  # the project itself, which is in the snapshot
            raise _not_installable(given, entry["name"], kind, entry[kind].get("url") or entry[kind].get("path"))
        archive = entry.get("archive")
        files = [archive] if archive else [*entry.get("wheels", []), *([entry["sdist"]] if "sdist" in entry else [])]
        named = [(file.get("name") or _file_name(file["url"]), _sha256(file.get("hashes", {}))) for file in files]
        address = archive["url"] if archive else None
        yield _Package(entry["name"], str(entry.get("version", "")), named, entry.get("index"), address)


def _sha256(hashes: Mapping[str, str]) -> str | None:
    return f"sha256:{hashes['sha256']}" if "sha256" in hashes else None


def _holds(marker: str | None, platform: dict[str, str]) -> bool:
    return not marker or Marker(marker).evaluate(platform, "lock_file")


def _not_installable(given: str, name: str, kind: str, place: object) -> SubmitError:
    return SubmitError(
        f"{given}: {name} comes from {kind} {place!r}, of which pip can check no hash on the nodes; expected packages "
        "of an index, or give an image with everything by --dockerfile"
    )


def _file_name(address: str) -> str:
    return unquote(address.partition("#")[0].rpartition("/")[2])


def _line(given: str, package: _Package, python: str) -> str:
    files = [(name, found) for name, found in package.files if _fits(name, python)]
    if not files:
        raise SubmitError(f"{given}: {package.name} has no file for Linux on x86-64 and Python {python}")
    if without := next((name for name, found in files if not found), None):
        raise SubmitError(f"{given}: {without!r} has no hash, so that pip would install nothing; {_EXPORT}")
    what = f"{package.name} @ {package.address}" if package.address else f"{package.name}=={package.version}"
    return " ".join([what, *(f"--hash={found}" for _, found in files)])


def _fits(name: str, python: str) -> bool:
    """Whether pip would take a file on the nodes; a file that is no wheel is built there."""
    if not name.endswith(".whl"):
        return True
    try:
        tags = parse_wheel_filename(name)[3]
    except InvalidWheelFilename:
        return False
    minor = int(python.partition(".")[2])
    return any(_runs_on_linux(tag.platform) and _runs_with(tag.interpreter, tag.abi, minor) for tag in tags)


def _runs_on_linux(platform: str) -> bool:
    return platform == "any" or (platform.startswith(("linux", "manylinux")) and platform.endswith("_x86_64"))


def _runs_with(interpreter: str, abi: str, minor: int) -> bool:
    if interpreter == "py3":
        return True
    kind, number = interpreter[:3], interpreter[3:]
    if kind not in ("cp3", "py3") or not number.isdecimal():
        return False
    if kind == "py3" or abi == "abi3":
        return int(number) <= minor
    return int(number) == minor and abi in (f"cp3{minor}", "none")
