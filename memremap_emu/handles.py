# SPDX-License-Identifier: GPL-2.0-only
"""Handles: how Python names an object of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memremap_emu._native import MASK64, Native

if TYPE_CHECKING:
    from memremap_emu.kernel import Kernel


class Object:
    """Something in the machine: a handle and the way to it."""

    __slots__ = ("_handle", "_native", "kernel")
    _letter = ""

    def __init__(self, kernel: Kernel, handle: int) -> None:
        self.kernel = kernel
        self._native: Native = kernel._native
        self._handle = handle

    def _call(self, name: str, *args: int) -> int:
        return self._native.call(name, self._handle, *args)

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is type(self)
            and other._native is self._native
            and other._handle == self._handle
        )

    def __hash__(self) -> int:
        return hash((type(self), id(self._native), self._handle))


def handle_of(value: object, kind: type[Object], what: str, native: Native) -> int:
    """Handle of an argument for ``native``.

    Raises:
        TypeError: not of this kind.
        ValueError: of another kernel.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{what} must be a {kind.__name__}, not {type(value).__name__}")
    if value._native is not native:
        raise ValueError(f"{what} belongs to another kernel")
    return value._handle


def optional_handle(value: object, kind: type[Object], what: str, native: Native) -> int:
    """The same, 0 for None."""
    return 0 if value is None else handle_of(value, kind, what, native)


def check_callable(value: object, what: str) -> None:
    """Something that the kernel is to call back; TypeError otherwise."""
    if not callable(value):
        raise TypeError(f"{what} must be callable, not {type(value).__name__}")


def check_task(name: object, cpu: object) -> None:
    """What a task is called and where it runs; TypeError, ValueError for what no task can have."""
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, not {type(name).__name__}")
    if "\0" in name:
        raise ValueError("a name cannot contain a NUL byte")
    if isinstance(cpu, bool) or not isinstance(cpu, int) or not -(2**31) <= cpu < 2**31:
        raise TypeError("cpu must be an int")


def address(value: object, what: str = "address") -> int:
    """An unsigned 64-bit argument; TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} must be an int, not {type(value).__name__}")
    if not 0 <= value <= MASK64:
        raise ValueError(f"{what} {value:#x} does not fit into 64 bits")
    return value
