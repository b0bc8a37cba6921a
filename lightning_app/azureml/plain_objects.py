"""Any value that people put into hyperparameters or tables, as text, numbers, lists and mappings."""

import dataclasses
import datetime
import functools
import os
import re
import types
import typing
from argparse import Namespace
from collections import UserString
from collections.abc import Collection, Mapping, Sequence, Set
from decimal import Decimal
from enum import Enum
from typing import Any

import numpy as np
import torch

MOST_VALUES = 10_000  # of one call; YAML needs about a second for them
LONGEST_TEXT = 100_000  # characters
_LONGEST_MODULE = 1000  # characters of the layers of a network
_DEEPEST = 40  # levels; the parsers of YAML and JSON fail at some hundreds
_WIDEST_NUMBER = 10_000  # bits; Python refuses to write more than 4,300 digits
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}")
_DEFAULT_REPR: Any = object.__repr__
_SCALARS = (bool, int, float, str, types.NoneType)


def to_plain(value: Any, most_values: int = MOST_VALUES) -> Any:
    """None, a bool, an int, a float, a str, or lists and mappings of these, and nothing is lost that they can hold.

    Enums that aren't text or numbers become their names, dates ISO texts, sets sorted lists, functions and classes
    their import paths, dataclasses, named tuples and namespaces mappings. Another object becomes its text, unless that
    holds an address, which differs from run to run: then it becomes the import path of its class, with its attributes
    if these are plain. Of more than ``most_values`` values the first ones are kept. Never raises.
    """
    return _Conversion(most_values).plain(value)


class _Conversion:
    """One call: what is above the present value, and how many values may follow."""

    def __init__(self, most_values: int) -> None:
        self._above: list[int] = []
        self._values_left = most_values

    def plain(self, value: Any) -> Any:
        self._values_left -= 1
        if id(value) in self._above:
            return "..."  # it holds itself; Python's own repr says it in this way
        if len(self._above) >= _DEEPEST:
            return _import_path(value)
        self._above.append(id(value))
        try:
            return self._converted(value)
        except Exception:  # of the value's own methods; training must not end because of a hyperparameter
            return _import_path(value)
        finally:
            self._above.pop()

    def _converted(self, value: Any) -> Any:
        if isinstance(value, (*_SCALARS, Enum, np.generic, Decimal, bytes, bytearray)):
            return _plain_scalar(value)
        if isinstance(value, np.ndarray | torch.Tensor):
            return self._array(value)
        if (fields := fields_of(value)) is not None:
            return self._mapping(fields)
        if isinstance(value, Sequence | Set) and not isinstance(value, range | UserString):
            return self._list(value)
        if isinstance(value, functools.partial):
            return self._call(value.func, value.args, value.keywords)
        if (settings := _settings_of(value)) is not None:
            return self._call(type(value), (), settings)
        return _as_text(value)

    def _mapping(self, content: Mapping[Any, Any]) -> dict[Any, Any]:
        plain: dict[Any, Any] = {}
        for name, value in content.items():
            if self._values_left <= 0:
                plain["..."] = f"{len(content) - len(plain):,} more"
                break
            plain[_free_name(self._name(name), plain)] = self.plain(value)
        return plain

    def _name(self, name: Any) -> Any:
        plain = self.plain(name)
        return plain if isinstance(plain, _SCALARS) else str(plain)

    def _list(self, values: Collection[Any]) -> Any:
        plain: list[Any] = []
        for value in values:
            if self._values_left <= 0:
                plain.append(f"... {len(values) - len(plain):,} more")
                break
            plain.append(self.plain(value))
        # a set's own order differs from run to run
        return sorted(plain, key=_sort_key) if isinstance(values, Set) else plain

    def _array(self, array: Any) -> Any:
        size = array.numel() if isinstance(array, torch.Tensor) else array.size
        if size > self._values_left or getattr(array, "is_meta", False):
            kind = "tensor" if isinstance(array, torch.Tensor) else "array"
            return f"{kind} of shape {tuple(array.shape)} and type {str(array.dtype).removeprefix('torch.')}"
        return self.plain(_elements(array))

    def _call(self, function: Any, positional: Sequence[Any], named: Mapping[str, Any]) -> str:
        given = [str(self.plain(value)) for value in positional]
        given += [f"{name}={self.plain(value)}" for name, value in named.items()]
        return f"{_import_path(function)}({', '.join(given)})"


def _elements(array: Any) -> Any:
    if isinstance(array, torch.Tensor):
        dense = array.detach().dequantize() if array.is_quantized else array.detach()
        return dense.to_dense().tolist() if dense.layout != torch.strided else dense.tolist()
    # Python has no type for nanoseconds, and NumPy would give a whole number
    return (array.astype(str) if array.dtype.kind in "mM" else array).tolist()


def _plain_scalar(value: Any) -> Any:
    """Without subclasses: YAML refuses a TorchVersion, a NumPy float and the like."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _shortened(str.__str__(value))
    if isinstance(value, bytes | bytearray):
        return _shortened(_decoded(bytes(value)))
    if isinstance(value, int):
        number = int.__int__(value)
        return number if number.bit_length() <= _WIDEST_NUMBER else _shortened(hex(number))
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, np.generic):
        item = value.item()
        # Python has no type for a long double and for nanoseconds, YAML none for complex numbers
        return item if type(item) in _SCALARS and value.dtype.kind not in "mM" else str(value)
    if isinstance(value, Enum):
        return _shortened(value.value) if isinstance(value.value, str) else (value.name or str(value))
    return float(value) if Decimal(repr(float(value))) == value else str(value)  # a Decimal


def _decoded(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return f"0x{content.hex()}"


def fields_of(value: Any) -> Mapping[Any, Any] | None:
    """What a mapping, namespace, dataclass, named tuple or object of attrs or pydantic holds by name; else None."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, type):
        return None
    if isinstance(value, Namespace | types.SimpleNamespace):
        return vars(value)
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        names = getattr(type(value), "_fields", None)
        return dict(zip(names, value, strict=True)) if names else None
    return _declared_fields(value)


def _declared_fields(value: Any) -> Mapping[str, Any] | None:
    """Those of an object of attrs or pydantic."""
    if isinstance(attributes := getattr(type(value), "__attrs_attrs__", None), tuple):
        return {attribute.name: getattr(value, attribute.name, None) for attribute in attributes}
    fields = getattr(type(value), "model_fields", None) or getattr(type(value), "__fields__", None)
    return {name: getattr(value, name, None) for name in fields} if isinstance(fields, dict) else None


def _settings_of(value: Any) -> Mapping[str, Any] | None:
    """The attributes of an object without a ``repr`` of its own, if all of them are plain: a class of settings."""
    attributes = getattr(value, "__dict__", None)
    if type(value).__repr__ is not _DEFAULT_REPR or not isinstance(attributes, dict) or not attributes:
        return None
    return attributes if all(type(content) in _SCALARS for content in attributes.values()) else None


def _as_text(value: Any) -> str:
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, re.Pattern):
        return _shortened(str(value.pattern))
    if isinstance(value, torch.nn.Module):
        return _module_text(value)
    if isinstance(value, BaseException) or typing.get_origin(value):  # list[int] also has the name of list
        return repr(value)
    if isinstance(value, type | types.ModuleType) or _is_function(value):
        return _import_path(value)
    text = str(value)
    return _import_path(value) if _ADDRESS.search(text) or not text else _shortened(text)


def _module_text(module: torch.nn.Module) -> str:
    content = " ".join(repr(module).partition("(")[2].rpartition(")")[0].split())
    if not content or _ADDRESS.search(content):
        return _import_path(module)
    return f"{_import_path(module)}({_shortened(content, _LONGEST_MODULE)})"


def _is_function(value: Any) -> bool:
    return callable(value) and isinstance(getattr(value, "__qualname__", None), str)


def _import_path(value: Any) -> str:
    """That of a class, a function or a module; for another object, that of its class."""
    if isinstance(value, types.ModuleType):
        return value.__name__
    named = value if isinstance(value, type) or _is_function(value) else type(value)
    module = getattr(named, "__module__", None)
    name = str(getattr(named, "__qualname__", type(value).__qualname__))
    return name if module in (None, "builtins") else f"{module}.{name}"


def _sort_key(plain: Any) -> tuple[str, Any]:
    return type(plain).__name__, plain if isinstance(plain, int | float | str) else repr(plain)


def _free_name(name: Any, taken: Mapping[Any, Any]) -> Any:
    """The name, numbered if two names became the same one."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    return free


def _shortened(text: str, longest: int = LONGEST_TEXT) -> str:
    return text if len(text) <= longest else f"{text[:longest]}... {len(text) - longest:,} more characters"
