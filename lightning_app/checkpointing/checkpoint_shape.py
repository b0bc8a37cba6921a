"""What a checkpoint must hold, so that a damaged or edited one is an error of one line before work starts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from lightning_app.azureml.journal_position import POSITIONS
from lightning_app.checkpointing.position import KEY
from lightning_app.errors import UsageError

Shape = Any
"""A type or a tuple of types; for a list or a mapping of such values ``[SHAPE]`` or ``{...: SHAPE}``; or a mapping from
names to shapes, which checks the names that are there, and requires those in ``Required``."""


class Required(dict[str, Shape]):
    """Names that must be there, and the shapes of their values."""


_COUNT, _NONE = "a whole number of at least 0", type(None)
_NUMBER = (int, float, Tensor)
_TEXTS = [str]
_COUNTERS = Required(dict.fromkeys(("ready", "started", "processed", "completed"), _COUNT))
_PROGRESS = Required(total=_COUNTERS, current=_COUNTERS)
_BATCH_PROGRESS = Required(_PROGRESS, is_last_batch=bool)
_READABLE = {
    "state_dict": {...: (Tensor, _NONE)},
    "hyper_parameters": {...: object},
    "datamodule_hyper_parameters": {...: object},
    "callbacks": {...: object},
}
_RANDOM = Required(torch=Tensor, python=(list, tuple), numpy=(list, tuple))
_PROCESS = Required(
    random=_RANDOM,
    before_iterator=_RANDOM,
    evaluating=_TEXTS,
    frozen=_TEXTS,
    metrics={...: Required(updates=_COUNT, states={...: object})},
    modules={...: object},
    means={...: Required(meta={...: object}, sync={...: object}, values={...: Tensor})},
    callback_metrics={...: object},
)
_POSITION = Required(epoch=_COUNT, batches=_COUNT, images=(int, _NONE), is_last=bool, ends_batch=bool)
_BEST = Required(score=_NUMBER, epoch=_COUNT, step=_COUNT)
_GROUP = Required(params=[(int, str)]) | dict.fromkeys(("lr", "initial_lr", "momentum", "weight_decay"), _NUMBER)
_RESUMABLE = Required(
    global_step=_COUNT,
    optimizer_states=[Required(state={...: object}, param_groups=[_GROUP])],
    lr_schedulers=[{...: object}],
    loops=Required(fit_loop=Required({"epoch_progress": _PROGRESS, "epoch_loop.batch_progress": _BATCH_PROGRESS})),
)
_OPTIONAL = {
    KEY: Required(position=_POSITION, processes=[_PROCESS], end=(Mapping, _NONE), images=([(int, _NONE)], _NONE)),
    POSITIONS: {...: _COUNT},
    "callbacks": {"RunCheckpoints": {"monitor": (str, _NONE), "mode": str, "best": (_BEST, _NONE)}},
}


def require_readable(path: Path, content: Mapping[str, Any]) -> None:
    """Checks what every command reads.

    Raises:
        UsageError: Something has another type; the message names it.
    """
    _require(path, content, _READABLE)


def require_resumable(path: Path, content: Mapping[str, Any]) -> None:
    """Checks that a checkpoint has what training continues from.

    Raises:
        UsageError: Something is missing or has another type; the message names it.
    """
    missing = [name for name in _RESUMABLE if name not in content]
    if missing:
        raise UsageError(
            f"checkpoint {str(path)!r}: no {missing[0]!r} in it, from which training would continue; it may hold "
            "weights only"
        )
    _require(path, content, _RESUMABLE)
    _require(path, content, _OPTIONAL)


def _require(path: Path, content: Mapping[str, Any], shape: Shape) -> None:
    if problem := _problem(content, shape, ""):
        raise UsageError(f"checkpoint {str(path)!r}: {problem}")


def _problem(value: Any, shape: Shape, name: str) -> str:
    """What is wrong, and where; empty if the value has the shape."""
    if not _is_of(value, shape):
        return f"expected {_words(shape)} as {name!r}; found {_found(value)}"
    if isinstance(shape, tuple):
        return next((_problem(value, part, name) for part in shape if not _is_plain(part) and _is_of(value, part)), "")
    prefix = f"{name}." if name else ""
    if isinstance(shape, list):
        parts = [(each, shape[0], f"{prefix}{number}") for number, each in enumerate(value)]
    elif isinstance(shape, Mapping) and ... in shape:
        parts = [(each, shape[...], f"{prefix}{key}") for key, each in value.items()]
    elif isinstance(shape, Mapping):
        lacking = [key for key in shape if key not in value] if isinstance(shape, Required) else []
        if lacking:
            return f"expected {_words(shape[lacking[0]])} as {prefix + lacking[0]!r}; found nothing"
        parts = [(value[key], part, f"{prefix}{key}") for key, part in shape.items() if key in value]
    else:
        return ""
    return next(filter(None, (_problem(*part) for part in parts)), "")


def _is_plain(shape: Shape) -> bool:
    return isinstance(shape, type)


def _is_of(value: Any, shape: Shape) -> bool:
    """Whether the value itself is of the kind; what it holds is looked at afterwards."""
    if isinstance(shape, tuple):
        return any(_is_of(value, part) for part in shape)
    if shape is _COUNT:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if isinstance(shape, list):
        return isinstance(value, list | tuple)
    return isinstance(value, Mapping if isinstance(shape, Mapping) else shape)


_NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false", Tensor: "a tensor",
          Mapping: "named values", dict: "named values", _NONE: "nothing", tuple: "a list", list: "a list"}  # fmt: skip


def _words(shape: Shape) -> str:
    if isinstance(shape, tuple):
        return " or ".join(dict.fromkeys(_words(part) for part in shape))
    if isinstance(shape, str):
        return shape
    kind = Mapping if isinstance(shape, Mapping) else list if isinstance(shape, list) else shape
    return _NAMES.get(kind, f"a {kind.__name__}")


def _found(value: Any) -> str:
    is_short = isinstance(value, int | float | str) and len(str(value)) <= 40
    return repr(value) if is_short else _words(type(value))
