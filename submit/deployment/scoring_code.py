"""The scoring code of an endpoint: the scoring script and the modules of this project that it imports, no others."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

from lightning_app import errors
from submit.deployment.deployment import ENTRY_SCRIPT
from submit.errors import SubmitError
from submit.program import PACKAGES

_SCORING = "lightning_app.serving.score"
_ROOT = Path(errors.__file__).parents[1]  # of the packages, which aren't imported here: they would load torch
_ENTRY = f'"""The entry script of the endpoint."""\n\nfrom {_SCORING} import init, run\n\n__all__ = ["init", "run"]\n'


def scoring_files() -> dict[str, bytes]:
    """The files of the scoring code by their paths.

    A package is without the imports of its ``__init__.py``, which would load all of its modules, and Lightning.
    """
    files = {ENTRY_SCRIPT: _ENTRY.encode()}
    for module in _modules():
        path = _source(module)
        files[path.relative_to(_ROOT).as_posix()] = path.read_bytes()
        for package in path.relative_to(_ROOT).parents[:-1]:
            docstring = ast.get_docstring(ast.parse((_ROOT / package / "__init__.py").read_text(encoding="utf-8")))
            files[f"{package.as_posix()}/__init__.py"] = f'"""{docstring}"""\n'.encode()
    return dict(sorted(files.items()))


def write_scoring_code(folder: Path) -> None:
    """Writes the scoring code; an earlier one is replaced, but nothing else.

    Raises:
        SubmitError: The folder has other files, or can't be written.
    """
    files = scoring_files()
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    if other := sorted(there - files.keys()):
        raise SubmitError(f"{str(folder)!r}: has {other[0]!r}, which is no scoring code; give another folder")
    try:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    except OSError as error:
        raise SubmitError(
            f"{str(folder)!r}: can't be written ({os.strerror(error.errno or 0)}); give another folder"
        ) from error


def _modules() -> set[str]:
    """The scoring script's module and those that it imports when it is loaded, however indirectly."""
    found, waiting = set(), [_SCORING]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += _imported(ast.parse(_source(module).read_text(encoding="utf-8")).body)
    return found


def _imported(statements: list[ast.stmt]) -> Iterator[str]:
    """The modules of the project among the imports that aren't in functions."""
    for node in statements:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in PACKAGES:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if _source(name).is_file() else node.module for name in inner)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in PACKAGES)
        elif isinstance(node, ast.Try):
            yield from _imported(node.body)


def _source(module: str) -> Path:
    return _ROOT.joinpath(*module.split(".")).with_suffix(".py")
