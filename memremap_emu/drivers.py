# SPDX-License-Identifier: GPL-2.0-only
"""The drivers that come with the kernel."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

from memremap_emu.device import Device, Driver
from memremap_emu.errors import KernelError
from memremap_emu.handles import address
from memremap_emu.hmm import HmmDevMem
from memremap_emu.p2pdma import PciDevice

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
        self.driver._store("bind_store", device)

    def try_bind(self, device: Device | str) -> bool:
        """The same; False where `bind` raises KernelError."""
        return self.driver.try_bind(device)

    def unbind(self, device: Device | str) -> None:
        """Writes to the driver's ``unbind`` file."""
        self.driver._store("unbind_store", device)

    def __repr__(self) -> str:
        return f"<driver {self.name} {self.mode.name.lower()}{' altmap' if self.altmap else ''}>"


class PciDriver:
    """A driver of PCI functions with memory: makes functions for itself.

    ``k.driver("hmm")``, ``k.driver("hmm_public")`` and ``k.driver("p2pdma")`` give one.
    """

    #: Name for users to name on the bus.
    _BUILTIN: ClassVar[dict[str, str]] = {
        "hmm": "hmm",
        "hmm_public": "hmm_public",
        "p2pdma": "p2pmem_pci",
    }

    def __init__(self, kernel: Kernel, name: str) -> None:
        self.kernel = kernel
        self.name = name
        native = kernel._native
        number = native.intern(self._BUILTIN[name])
        self.driver = Driver(kernel, native.call("builtin_driver", number))

    def device(
        self,
        start: int | None = None,
        size: int = 0,
        name: str | None = None,
        *,
        bars: dict[int, tuple[int, int]] | None = None,
    ) -> PciDevice:
        """A function on the PCI bus, not bound yet.

        ``hmm`` needs only ``size``, bytes of memory that the CPU does not see; for the others
        [start, start + size) is BAR 0, or ``bars`` has several, number to (start, size).  A
        function that has a ``name`` and nothing else gets the BARs that the memory map shows
        under that name.

        Raises:
            KernelError: ENOMEM.
            ValueError: no BARs, or none of this name in the memory map.
        """
        bars = dict(bars or {})
        if start is not None:
            bars[0] = (start, size)
        if name is None:
            number = self.kernel._next_region()
            name = f"0000:{0x80 + (number >> 5):02x}:{number & 31:02x}.0"
        elif not bars and self.name != "hmm":
            found = [r for _, r in self.kernel.iomem if r.name == name]
            bars = {i: (r.start, r.end - r.start + 1) for i, r in enumerate(found[:6])}
        if not bars and self.name != "hmm":
            raise ValueError(f"{self.name} needs memory in a BAR: start and size, or bars")
        override = self._BUILTIN[self.name]
        memory = size if self.name == "hmm" else 0
        return PciDevice.create(self.kernel, name, override, bars=bars, memory=memory)

    def bind(self, device: Device | str) -> None:
        """Writes to the driver's ``bind`` file: KernelError ENODEV, see `Driver.bind`."""
        self.driver._store("bind_store", device)

    def try_bind(self, device: Device | str) -> bool:
        """The same; False where `bind` raises KernelError."""
        return self.driver.try_bind(device)

    def unbind(self, device: Device | str) -> None:
        """Writes to the driver's ``unbind`` file."""
        self.driver._store("unbind_store", device)

    def devmem(self, device: Device) -> HmmDevMem:
        """The memory of a device bound to hmm or hmm_public."""
        return HmmDevMem(self.kernel, device._call("hmm_test_devmem"))

    def free_count(self, device: Device) -> int:
        """How many pages of a device bound to hmm or hmm_public have become free."""
        return device._call("hmm_test_count", 0)

    def fault_count(self, device: Device) -> int:
        """How many faults a device bound to hmm or hmm_public has had."""
        return device._call("hmm_test_count", 1)

    def __repr__(self) -> str:
        return f"<driver {self.name}>"
