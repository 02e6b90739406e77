# SPDX-License-Identifier: GPL-2.0-only
"""Modules: exported symbols, licences, and what both mean when building and loading."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING

from memremap_emu.errors import KernelError
from memremap_emu.handles import Object

if TYPE_CHECKING:
    from memremap_emu.kernel import Kernel

_TEXT_EXPORTS, _TEXT_MODPOST = 7, 8


class Export(IntEnum):
    """How a symbol is exported."""

    NOT_EXPORTED = 0
    EXPORT_SYMBOL = 1
    EXPORT_SYMBOL_GPL = 2


class Taint(IntFlag):
    """Taint flags of a kernel or of a module."""

    PROPRIETARY_MODULE = 1 << 0
    FORCED_MODULE = 1 << 1
    DIE = 1 << 7
    WARN = 1 << 9
    OOT_MODULE = 1 << 12
    UNSIGNED_MODULE = 1 << 13


@dataclass(frozen=True)
class Build:
    """How a module's build ends: exit status of modpost and what it prints to stderr."""

    status: int
    stderr: str


def exports(kernel: Kernel) -> dict[str, Export]:
    """The export table of a kernel: symbol to how it is exported."""
    lines = kernel._native.format(_TEXT_EXPORTS).splitlines()
    return {name: Export[how] for how, name in (line.split() for line in lines)}


class Module(Object):
    """A module: what it says about itself and the symbols it uses."""

    __slots__ = ()
    _letter = "U"

    def need(self, symbol: str, *, weak: bool = False) -> None:
        """One more undefined symbol; a weak one may be missing."""
        self._call("module_need", self._native.intern(symbol), int(weak))

    def modpost(self) -> Build:
        """Builds it against this kernel; symbols are looked at in the order of `need`."""
        text = self._native.format(_TEXT_MODPOST, self._handle)
        return Build(int(text[0]), text[1:])

    def load(self, *, force: bool = False) -> None:
        """insmod; ``force`` although it was built for another kernel.

        Raises:
            KernelError: ENOENT (symbols are missing, the log names them), EEXIST, ENOEXEC.
        """
        self._call("load_module", int(force))

    def unload(self) -> None:
        """rmmod; KernelError ENOENT if it is not loaded."""
        self._call("delete_module")

    def resolve(self, symbol: str) -> Export:
        """resolve_symbol() for this module, whose taint, or else licence, decides.

        Raises:
            KernelError: ENOENT: to this module there is no such symbol.
        """
        found = Export(self._call("resolve_symbol", self._native.intern(symbol)))
        if found is Export.NOT_EXPORTED:
            raise KernelError(2, "resolve_symbol")
        return found

    @property
    def taints(self) -> Taint:
        """Its own taint flags, since it was last loaded."""
        return Taint(self._call("module_field", 0))

    @property
    def loaded(self) -> bool:
        """Is it loaded?"""
        return bool(self._call("module_field", 1))
