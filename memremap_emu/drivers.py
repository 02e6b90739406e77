# SPDX-License-Identifier: GPL-2.0-only
"""The drivers that come with the kernel."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from memremap_emu.device import Device, Driver
from memremap_emu.errors import KernelError
from memremap_emu.handles import address

if TYPE_CHECKING:
    from memremap_emu.kernel import Kernel


class NamespaceMode(IntEnum):
    """``enum nd_mode``: what a namespace is configured for."""

    RAW = 0
    MEMORY = 1
    FSDAX = 2
    DEVDAX = 3


class BuiltinDriver:
    """A driver that comes with the kernel, in one mode: makes devices for itself.

    ``k.driver("pmem", mode="fsdax")`` and ``k.driver("dax_pmem")`` give one.
    """

    _BUILTIN = ("pmem", "dax_pmem")

    def __init__(self, kernel: Kernel, name: str, mode: NamespaceMode, altmap: bool) -> None:
        self.kernel = kernel
        self.name = name
        self.mode = mode
        self.altmap = altmap
        native = kernel._native
        builtin = "dax_pmem" if name == "dax_pmem" else "nd_pmem"
        self.driver = Driver(kernel, native.call("builtin_driver", native.intern(builtin)))

    def device(self, start: int, size: int, name: str | None = None) -> Device:
        """A namespace over [start, start + size) on the nd bus, not bound yet.

        Raises:
            KernelError: ENOMEM.
        """
        native = self.kernel._native
        if name is None:
            prefix = {NamespaceMode.DEVDAX: "dax", NamespaceMode.FSDAX: "pfn"}
            name = f"{prefix.get(self.mode, 'namespace')}{self.kernel._next_region()}.0"
        handle = native.call(
            "namespace_new",
            native.intern(name),
            address(start, "start"),
            address(size, "size"),
            int(self.mode),
            int(self.altmap),
        )
        if not handle:
            raise KernelError(12, "nd_namespace_create", native.call_log())
        return Device(self.kernel, handle)

    def bind(self, device: Device | str) -> None:
        """Writes to the driver's ``bind`` file: KernelError ENODEV, see `Driver.bind`."""
        self.driver.bind(device)

    def unbind(self, device: Device | str) -> None:
        """Writes to the driver's ``unbind`` file."""
        self.driver.unbind(device)

    def __repr__(self) -> str:
        return f"<driver {self.name} {self.mode.name.lower()}{' altmap' if self.altmap else ''}>"
