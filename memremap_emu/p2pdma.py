# SPDX-License-Identifier: GPL-2.0-only
"""p2pdma: memory in the BARs of PCI functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memremap_emu._native import MASK64
from memremap_emu.device import Device
from memremap_emu.errors import KernelError
from memremap_emu.handles import address
from memremap_emu.percpu_ref import PerCpuRef

if TYPE_CHECKING:
    from memremap_emu.kernel import Kernel

#: Flags of a BAR: memory, 64 bits wide, prefetchable.
MEM_64_PREFETCH = 0x200 | 0x100000 | 0x2000


class PciDevice(Device):
    """A PCI function: a device with BARs."""

    __slots__ = ()

    @classmethod
    def create(
        cls,
        kernel: Kernel,
        name: str,
        driver_override: str,
        *,
        bars: dict[int, tuple[int, int]] | None = None,
        memory: int = 0,
        flags: int = MEM_64_PREFETCH,
    ) -> PciDevice:
        """A function on the bus, not bound; ``bars``: number to (start, size).

        Raises:
            KernelError: ENOMEM, or what device_add() answers.
        """
        native = kernel._native
        handle = native.call(
            "pci_dev_new",
            native.intern(name),
            native.intern(driver_override),
            address(memory, "memory"),
        )
        if not handle:
            raise KernelError(12, "pci_alloc_dev", native.call_log())
        device = cls(kernel, handle)
        for bar, (start, size) in (bars or {}).items():
            device._call("pci_set_bar", bar, address(start, "start"), address(size, "size"), flags)
        device._call("pci_bus_add_device")
        return device

    def add_p2pdma_resource(self, bar: int, size: int = 0, offset: int = 0) -> None:
        """pci_p2pdma_add_resource(); ``size`` 0: the rest of the BAR.

        Raises:
            KernelError: EINVAL (no memory BAR, outside it), ENOMEM, or what
                devm_memremap_pages() answers.
        """
        self._call("pci_p2pdma_add_resource", bar, address(size, "size"), address(offset, "offset"))

    def alloc_p2pmem(self, size: int) -> int:
        """pci_alloc_p2pmem(): an address, 0 if there is none (left)."""
        return self._call("pci_alloc_p2pmem", address(size, "size")) & MASK64

    def free_p2pmem(self, memory: int, size: int) -> None:
        """pci_free_p2pmem()."""
        self._call("pci_free_p2pmem", address(memory, "memory"), address(size, "size"))

    def p2pmem_virt_to_bus(self, memory: int) -> int:
        """pci_p2pmem_virt_to_bus()."""
        return self._call("pci_p2pmem_virt_to_bus", address(memory, "memory")) & MASK64

    def publish_p2pmem(self, publish: bool = True) -> None:
        """pci_p2pmem_publish()."""
        self._call("pci_p2pmem_publish", int(publish))

    @property
    def has_p2pmem(self) -> bool:
        """pci_has_p2pmem()."""
        return bool(self._call("pci_has_p2pmem"))

    @property
    def p2pmem(self) -> dict[str, int] | None:
        """The sysfs group ``p2pmem``: size, available, published; None if it is not there."""
        names = ("size", "available", "published")
        values = [self._call("p2pdma_field", i) for i in range(3)]
        return None if values[0] < 0 else dict(zip(names, values, strict=True))

    @property
    def p2pdma_ref(self) -> PerCpuRef | None:
        """The reference that all p2p memory of the function shares."""
        handle = self._call("p2pdma_field", 3)
        return PerCpuRef(self.kernel, handle) if handle else None
