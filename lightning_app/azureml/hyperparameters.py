"""``hparams.yaml``: all hyperparameters that were logged in a run folder."""

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from lightning_app.azureml.plain_objects import fields_of, to_plain

log = logging.getLogger(__name__)

_LIGHTNINGS_OWN = re.compile(r"_class_path|_instantiator|__\w+__")  # added by LightningCLI and its parser
_SECTION = re.compile(r"hparams_\d+")


def to_hyperparameters(params: Any, further: Mapping[str, Any]) -> dict[Any, Any]:
    """Plain values by name.

    Raises:
        TypeError: ``params`` is neither None nor a mapping, a namespace, a dataclass or the like.
    """
    fields = {} if params is None else fields_of(params)
    if fields is None:
        raise TypeError(
            f"log_hyperparams: got {type(params).__name__}; expected a dict, a Namespace or a dataclass, or name=value"
        )
    plain: dict[Any, Any] = to_plain({**fields, **further})
    return {name: value for name, value in plain.items() if not _LIGHTNINGS_OWN.fullmatch(str(name))}


def merge_hyperparameters(path: Path, plain: Mapping[Any, Any]) -> None:
    """Adds hyperparameters to the file; what it holds already is neither changed nor repeated.

    If a name has another value already, as in a second fit, all that is given goes to a section ``hparams_2``,
    ``hparams_3``, ... A run that is resumed logs what one of these sections holds, and nothing changes.
    """
    content = _read(path)
    section = _section_for(content, plain)
    target = content if section is None else content.setdefault(section, {})
    new = {name: value for name, value in plain.items() if name not in target}
    if new:
        # sections stay behind the names of the first fit
        sections = {name: content.pop(name) for name in list(content) if section is None and _is_section(content, name)}
        target |= new
        _write(path, content | sections)


def _section_for(content: Mapping[Any, Any], plain: Mapping[Any, Any]) -> str | None:
    """The section that these values belong to, which may be a new one; None for the top level."""
    conflicts = {name for name in plain if name in content and not _same(plain[name], content[name])}
    if not conflicts:
        return None
    numbered = _numbered_sections(content)
    for name in numbered:
        if conflicts <= content[name].keys() and all(
            _same(plain[key], content[name].get(key, plain[key])) for key in plain
        ):
            return name
    return next(name for name in _section_names() if name not in content)


def _numbered_sections(content: Mapping[Any, Any]) -> list[str]:
    return [name for name in content if _is_section(content, name)]


def _is_section(content: Mapping[Any, Any], name: Any) -> bool:
    return isinstance(content[name], dict) and _SECTION.fullmatch(str(name)) is not None


def _section_names() -> Iterator[str]:
    number = 2
    while True:
        yield f"hparams_{number}"
        number += 1


def _same(one: Any, other: Any) -> bool:
    return _as_yaml(one) == _as_yaml(other)  # unlike ==, 1, 1.0 and True differ, and NaN is itself


def _as_yaml(content: Any) -> str:
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    return text


def _read(path: Path) -> dict[Any, Any]:
    if not path.exists():
        return {}
    with contextlib.suppress(yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if content is None or isinstance(content, dict):
            return content or {}
    kept = path.with_suffix(".unreadable.yaml")
    path.replace(kept)
    log.warning("%s can't be read as YAML; it is kept as %s, and a new file is begun.", path, kept.name)
    return {}


def _write(path: Path, content: Mapping[Any, Any]) -> None:
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(_as_yaml(dict(content)), encoding="utf-8")
    unfinished.replace(path)
