"""Frozen dataclasses as bytes and back: quick to read, and unable to run code.

Pickle restores a frozen slotted dataclass field by field in Python; here its constructor is called
instead, which is several times as fast. Reading refuses everything but the dataclasses and
enumerations of the modules that the caller names.
"""

import io
import pickle
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from types import ModuleType
from typing import Any


def dumps(value: object) -> bytes:
    """The bytes of plain data: dataclasses, enumeration members, containers, numbers, text."""
    buffer = io.BytesIO()
    _Writer(buffer, pickle.HIGHEST_PROTOCOL).dump(value)
    return buffer.getvalue()


def loads(data: bytes, modules: Sequence[ModuleType]) -> Any:
    """The value that was written. Raises some exception if the data is damaged or foreign."""
    return _Reader(data, modules).load()


class _Writer(pickle.Pickler):
    def reducer_override(self, obj: object) -> Any:
        if is_dataclass(obj) and not isinstance(obj, type):
            return type(obj), tuple(getattr(obj, name) for name in _names(type(obj)))
        return NotImplemented


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))


class _Reader(pickle.Unpickler):
    def __init__(self, data: bytes, modules: Sequence[ModuleType]) -> None:
        super().__init__(io.BytesIO(data))
        self._modules = {module.__name__: module for module in modules}

    def find_class(self, module: str, name: str) -> Any:
        found = vars(self._modules[module]).get(name) if module in self._modules else None
        plain = isinstance(found, type) and (is_dataclass(found) or issubclass(found, Enum))
        if not plain:
            raise pickle.UnpicklingError(f"{module}.{name} is no plain data")
        return found
