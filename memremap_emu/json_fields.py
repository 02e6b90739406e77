# SPDX-License-Identifier: GPL-2.0-only
"""Reading objects of JSON field by field, with the path of what is wrong."""

from __future__ import annotations

from typing import Any

from memremap_emu.operations import ProgramError


class Fields:
    """A JSON object that is read field by field; what is left over is an error.

    Every method raises `ProgramError` with the path of what is wrong.
    """

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise ProgramError(path or "program", "not an object")
        self._value = dict(value)
        self._path = path

    def path(self, name: str) -> str:
        """Of a field."""
        return f"{self._path}.{name}" if self._path else name

    def take(self, name: str, kind: type, default: Any = ...) -> Any:
        """A field of this type."""
        if name not in self._value:
            if default is ...:
                raise ProgramError(self.path(name), "missing")
            return default
        value = self._value.pop(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ProgramError(self.path(name), f"not of type {kind.__name__}")
        return value

    def number(self, name: str, default: Any = ...) -> int:
        """A number, or its text (hexadecimal, say)."""
        value = self._value.pop(name, default)
        if value is ...:
            raise ProgramError(self.path(name), "missing")
        return number_of(value, self.path(name))

    def strings(self, name: str, default: Any = ()) -> tuple[str, ...]:
        """A list of texts, by default empty if it is left out."""
        found = self.take(name, list, default)
        if not all(isinstance(text, str) for text in found):
            raise ProgramError(self.path(name), "not a list of texts")
        return tuple(found)

    def end(self) -> None:
        """There must be no other field."""
        if self._value:
            raise ProgramError(self.path(next(iter(self._value))), "unknown")


def number_of(value: Any, path: str) -> int:
    """A number, or its text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return int(value, 0)
    except (TypeError, ValueError):
        raise ProgramError(path, f"not a number: {value!r}") from None
