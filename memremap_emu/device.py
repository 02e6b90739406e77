# SPDX-License-Identifier: GPL-2.0-only
"""Devices, drivers, what is managed for a device."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

from memremap_emu._native import MASK64, MAX_ERRNO
from memremap_emu.errors import KernelError
from memremap_emu.handles import Object, address, check_callable, handle_of, optional_handle
from memremap_emu.memory import Memory, PageMap
from memremap_emu.percpu_ref import PerCpuRef
from memremap_emu.resource import Resource


class BusEvent(IntEnum):
    """Bus notifier events."""

    ADD_DEVICE = 1
    DEL_DEVICE = 2
    REMOVED_DEVICE = 3
    BIND_DRIVER = 4
    BOUND_DRIVER = 5
    UNBIND_DRIVER = 6
    UNBOUND_DRIVER = 7
    DRIVER_NOT_BOUND = 8


class Driver(Object):
    """A device driver."""

    __slots__ = ()
    _letter = "L"

    @property
    def name(self) -> str:
        """Its name."""
        return self._native.format(5, self._handle)

    def register(self) -> None:
        """driver_register(): probes the devices that it matches."""
        self._call("driver_register")

    def unregister(self) -> None:
        """driver_unregister(): unbinds all its devices."""
        self._call("driver_unregister")

    def attach(self) -> None:
        """driver_attach(): tries all unbound devices of the bus."""
        self._call("driver_attach")

    def _write(self, op: str, device: Device | str) -> int:
        """What writing to the file answers, negative errors included."""
        native = self._native
        if isinstance(device, str):
            return native.call(op, self._handle, native.intern(device), 0)
        return native.call(op, self._handle, 0, handle_of(device, Device, "device", native))

    def _store(self, op: str, device: Device | str) -> None:
        result = self._write(op, device)
        if result < 0:
            raise KernelError(-result, op.removesuffix("_store"), self._native.call_log())

    def bind(self, device: Device | str) -> None:
        """Writes the device's name to the driver's ``bind`` file.

        Raises:
            KernelError: ENODEV if the device is not there, is bound, does not match, or its
                probe failed (whatever the probe's error).
        """
        self._store("bind_store", device)

    def try_bind(self, device: Device | str) -> bool:
        """The same; False where `bind` raises KernelError."""
        return self._write("bind_store", device) >= 0

    def unbind(self, device: Device | str) -> None:
        """Writes the device's name to the driver's ``unbind`` file; ENODEV if not bound to it."""
        self._store("unbind_store", device)

    def __repr__(self) -> str:
        return f"<driver {self.name}>"


class Device(Object):
    """``struct device`` and what is managed for it."""

    __slots__ = ()
    _letter = "D"

    # --- driver core ---

    @property
    def name(self) -> str:
        """dev_name()."""
        return self._native.format(4, self._handle)

    @property
    def driver(self) -> Driver | None:
        """The driver, also while it probes or is being released."""
        handle = self._call("device_driver")
        return Driver(self.kernel, handle) if handle else None

    @property
    def bound(self) -> bool:
        """device_is_bound()."""
        return bool(self._call("device_is_bound"))

    @property
    def registered(self) -> bool:
        """The device has been added and not deleted."""
        return bool(self._call("device_is_registered"))

    def add(self) -> None:
        """device_add(): on a bus with autoprobe this probes."""
        self._call("device_add")

    def delete(self) -> None:
        """device_del()."""
        self._call("device_del")

    def unregister(self) -> None:
        """device_unregister()."""
        self._call("device_unregister")

    def get(self) -> None:
        """get_device()."""
        self._call("get_device")

    def put(self) -> None:
        """put_device()."""
        self._call("put_device")

    def attach(self) -> int:
        """device_attach(): 1 bound, 0 no driver took it, KernelError otherwise."""
        result = self._call("device_attach")
        if result < 0:
            raise KernelError(-result, "device_attach", self._native.call_log())
        return result

    def release_driver(self) -> None:
        """device_release_driver()."""
        self._call("device_release_driver")

    def bind(self, driver: Driver | None = None) -> None:
        """Binds through the driver's ``bind`` file; without one, by rescanning the bus.

        Raises:
            KernelError: ENODEV, as the file answers; `Kernel.dmesg` has the probe's error.
        """
        if driver is not None:
            driver.bind(self)
            return
        if not self.attach():
            raise KernelError(19, "device_attach", self._native.call_log())

    def unbind(self) -> None:
        """Unbinds through the driver's ``unbind`` file; ENODEV if it has no driver."""
        driver = self.driver
        if driver is None:
            raise KernelError(19, "unbind")
        driver.unbind(self)

    def drivers_probe(self) -> None:
        """Writes its name to ``drivers_probe`` of its bus: looks for a driver.

        Raises:
            KernelError: ENODEV (not there), EINVAL (looking failed); finding none is no error.
        """
        result = self._call("drivers_probe_store")
        if result < 0:
            raise KernelError(-result, "drivers_probe", self._native.call_log())

    def bind_driver(self, driver: Driver) -> None:
        """device_bind_driver(): without a match and without a probe."""
        self._call("device_bind_driver", handle_of(driver, Driver, "driver", self._native))

    def lock(self) -> None:
        """device_lock(), inside a task context."""
        self._call("device_lock")

    def unlock(self) -> None:
        """device_unlock()."""
        self._call("device_unlock")

    @property
    def drvdata(self) -> int:
        """dev_get_drvdata() as a number."""
        return self._call("dev_get_drvdata") & MASK64

    @drvdata.setter
    def drvdata(self, value: int) -> None:
        self._call("dev_set_drvdata", address(value, "drvdata"))

    def printk(self, text: str, level: int = 3) -> None:
        """dev_printk(); levels 3 err, 4 warn, 6 info."""
        self._native.call("dev_printk", self._handle, self._native.intern(text), level)

    def warn(self, text: str) -> None:
        """dev_WARN()."""
        self._call("dev_WARN", self._native.intern(text))

    # --- devres ---

    @property
    def devres(self) -> tuple[str, ...]:
        """Managed resources, oldest first: which function will give each back."""
        found: list[str] = []
        while entry := self._call("devres_entry", len(found)):
            found.append(self._native.symbol(entry & MASK64))
        return tuple(found)

    def _action(self, action: Callable[[Any], Any], data: Any) -> tuple[int, int]:
        check_callable(action, "action")
        native = self._native
        number = native.callback(("action", action), lambda a, b: action(self.kernel._data[a]))
        return number, self.kernel._data_id(data)

    def add_action(self, action: Callable[[Any], Any], data: Any = None) -> None:
        """devm_add_action(): ``action(data)`` at unbind; ENOMEM and not called on failure."""
        self._call("devm_add_action", *self._action(action, data))

    def add_action_or_reset(self, action: Callable[[Any], Any], data: Any = None) -> None:
        """devm_add_action_or_reset(): on failure the action runs at once."""
        self._call("devm_add_action_or_reset", *self._action(action, data))

    def remove_action(self, action: Callable[[Any], Any], data: Any = None) -> None:
        """devm_remove_action(): forgets the newest match; WARN if there is none."""
        self._call("devm_remove_action", *self._action(action, data))

    def _release(self, release: Callable[[Device, Any], Any]) -> int:
        check_callable(release, "release")

        def call(a: int, b: int) -> Any:
            return release(Device(self.kernel, b), self.kernel._data[a])

        return self._native.callback(("devres", release), call)

    def devres_add(self, release: Callable[[Device, Any], Any], data: Any = None) -> None:
        """devres_alloc() and devres_add() of an entry with this release; ENOMEM."""
        entry = self._native.call(
            "devres_alloc", self._release(release), self.kernel._data_id(data)
        )
        if not entry:
            raise KernelError(12, "devres_alloc", self._native.call_log())
        self._call("devres_add", entry)

    def _match(self, release: Callable[[Device, Any], Any], data: Any) -> tuple[int, int]:
        return self._release(release), -1 if data is None else self.kernel._data_id(data)

    def devres_find(self, release: Callable[[Device, Any], Any], data: Any = None) -> Any:
        """devres_find(): data of the newest entry with this release, None if there is none."""
        found = self._call("devres_find", *self._match(release, data))
        return None if found < 0 else self.kernel._data[found]

    def devres_remove(self, release: Callable[[Device, Any], Any], data: Any = None) -> Any:
        """devres_remove(): unlinks it, neither released nor (but for its memory) freed."""
        found = self._call("devres_remove", *self._match(release, data))
        return None if found < 0 else self.kernel._data[found]

    def devres_destroy(self, release: Callable[[Device, Any], Any], data: Any = None) -> None:
        """devres_destroy(): frees it without calling release; ENOENT."""
        self._call("devres_destroy", *self._match(release, data))

    def devres_release(self, release: Callable[[Device, Any], Any], data: Any = None) -> None:
        """devres_release(): calls release and frees; ENOENT."""
        self._call("devres_release", *self._match(release, data))

    def devres_get(self, release: Callable[[Device, Any], Any], data: Any = None) -> Any:
        """devres_get(): registers an entry unless there is one; the data of that, ENOMEM."""
        ids = self._match(release, data)
        found = self._call("devres_get", *ids, self.kernel._data_id(data))
        if found < 0:
            raise KernelError(12, "devres_alloc", self._native.call_log())
        return self.kernel._data[found]

    def devres_count(self, release: Callable[[Device, Any], Any], data: Any = None) -> int:
        """devres_for_each_res(): how many entries there are (with ``data``, unless None)."""
        return self._call("devres_for_each_res", *self._match(release, data))

    def devres_release_all(self) -> int:
        """devres_release_all(): number of entries released."""
        return self._call("devres_release_all")

    def open_group(self, group_id: int | None = None) -> int:
        """devres_open_group(): its id; ENOMEM."""
        opened = self._call("devres_open_group", address(group_id or 0, "group_id"))
        if not opened:
            raise KernelError(12, "devres_open_group", self._native.call_log())
        return opened & MASK64

    def close_group(self, group_id: int | None = None) -> None:
        """devres_close_group(); None: the newest open one."""
        self._call("devres_close_group", address(group_id or 0, "group_id"))

    def remove_group(self, group_id: int | None = None) -> None:
        """devres_remove_group()."""
        self._call("devres_remove_group", address(group_id or 0, "group_id"))

    def release_group(self, group_id: int | None = None) -> int:
        """devres_release_group(): number of entries released."""
        return self._call("devres_release_group", address(group_id or 0, "group_id"))

    def _memory(self, handle: int, func: str) -> Memory:
        if not handle:
            raise KernelError(12, func, self._native.call_log())
        return Memory(self.kernel, handle)

    def kmalloc(self, size: int) -> Memory:
        """devm_kmalloc(); ENOMEM."""
        return self._memory(self._call("devm_kmalloc", address(size, "size")), "devm_kmalloc")

    def kzalloc(self, size: int) -> Memory:
        """devm_kzalloc(); ENOMEM."""
        return self._memory(self._call("devm_kzalloc", address(size, "size")), "devm_kzalloc")

    def kmalloc_array(self, n: int, size: int) -> Memory:
        """devm_kmalloc_array(); ENOMEM, also when n * size overflows."""
        return self._memory(self._call("devm_kmalloc_array", n, size), "devm_kmalloc_array")

    def kstrdup(self, text: str | None) -> Memory | None:
        """devm_kstrdup(): None of None; ENOMEM."""
        handle = self._call("devm_kstrdup", self._native.intern(text))
        return None if text is None else self._memory(handle, "devm_kstrdup")

    def kasprintf(self, text: str, number: int) -> Memory:
        """devm_kasprintf() of "text.number"; ENOMEM."""
        handle = self._call("devm_kasprintf", self._native.intern(text), number)
        return self._memory(handle, "devm_kasprintf")

    def memremap(self, start: int, size: int, flags: int) -> int:
        """devm_memremap(): address; ``flags`` of MEMREMAP_WB 1, WT 2, WC 4. ENXIO, ENOMEM."""
        result = self._call("devm_memremap", address(start, "start"), size, flags)
        if -MAX_ERRNO <= result < 0:
            raise KernelError(-result, "devm_memremap", self._native.call_log())
        return result & MASK64

    def ioremap_resource(self, resource: Resource | None) -> int:
        """devm_ioremap_resource(): address. EINVAL (not of memory, or None), EBUSY, ENOMEM."""
        handle = optional_handle(resource, Resource, "resource", self._native)
        result = self._call("devm_ioremap_resource", handle)
        if -MAX_ERRNO <= result < 0:
            raise KernelError(-result, "devm_ioremap_resource", self._native.call_log())
        return result & MASK64

    def iounmap(self, mapped: int) -> None:
        """devm_iounmap(); WARN if the device does not have it."""
        self._call("devm_iounmap", address(mapped, "mapped"))

    def memunmap(self, mapped: int) -> None:
        """devm_memunmap(); WARN if the device does not have it."""
        self._call("devm_memunmap", address(mapped, "mapped"))

    def kfree(self, memory: Memory | None) -> None:
        """devm_kfree(); WARN if the device does not have it."""
        self._call("devm_kfree", optional_handle(memory, Memory, "memory", self._native))

    def alloc_percpu(self) -> Memory:
        """devm_alloc_percpu() of one word a CPU; ENOMEM."""
        return self._memory(self._call("devm_alloc_percpu"), "devm_alloc_percpu")

    def free_percpu(self, memory: Memory | None) -> None:
        """devm_free_percpu(): forgets the record and leaks the memory, as v4.19 does."""
        self._call("devm_free_percpu", optional_handle(memory, Memory, "memory", self._native))

    def get_free_pages(self, order: int = 0) -> int:
        """devm_get_free_pages(): address; ENOMEM."""
        found = self._call("devm_get_free_pages", order)
        if not found:
            raise KernelError(12, "devm_get_free_pages", self._native.call_log())
        return found & MASK64

    def free_pages(self, pages: int) -> None:
        """devm_free_pages(); WARN if the device does not have them."""
        self._call("devm_free_pages", address(pages, "pages"))

    # --- managed regions ---

    def request_mem_region(self, start: int, n: int, name: str | None) -> Resource | None:
        """devm_request_mem_region(): None if busy or out of memory."""
        handle = self._call(
            "devm_request_region",
            self.kernel.iomem.root._handle,
            address(start, "start"),
            address(n, "n"),
            self._native.intern(name),
        )
        return Resource(self.kernel, handle) if handle else None

    def release_mem_region(self, start: int, n: int) -> None:
        """devm_release_mem_region()."""
        self._call(
            "devm_release_region",
            self.kernel.iomem.root._handle,
            address(start, "start"),
            address(n, "n"),
        )

    def request_resource(self, root: Resource, new: Resource) -> None:
        """devm_request_resource(); EBUSY, ENOMEM."""
        self._call(
            "devm_request_resource",
            handle_of(root, Resource, "root", self._native),
            handle_of(new, Resource, "new", self._native),
        )

    def release_resource(self, new: Resource) -> None:
        """devm_release_resource()."""
        self._call("devm_release_resource", handle_of(new, Resource, "new", self._native))

    # --- device memory ---

    def memremap_pages(self, pgmap: PageMap) -> int:
        """devm_memremap_pages(): address in the direct map.

        Raises:
            KernelError: EINVAL, ENOMEM, ENXIO, EEXIST or what memory hotplug answers.
        """
        result = self._call("devm_memremap_pages", handle_of(pgmap, PageMap, "pgmap", self._native))
        if -MAX_ERRNO <= result < 0:
            raise KernelError(-result, "devm_memremap_pages", self._native.call_log())
        return result & MASK64

    def wrap_memremap_pages(self, pgmap: PageMap) -> int:
        """__wrap_devm_memremap_pages() of the nfit test; errors as memremap_pages()."""
        result = self._call(
            "__wrap_devm_memremap_pages", handle_of(pgmap, PageMap, "pgmap", self._native)
        )
        if -MAX_ERRNO <= result < 0:
            raise KernelError(-result, "__wrap_devm_memremap_pages", self._native.call_log())
        return result & MASK64

    @property
    def pagemap(self) -> PageMap | None:
        """The pagemap of a namespace bound to nd_pmem, None in raw mode."""
        handle = self._call("device_pagemap")
        return PageMap(self.kernel, handle) if handle else None

    @property
    def queue_ref(self) -> PerCpuRef:
        """q_usage_counter of a namespace bound to nd_pmem."""
        return PerCpuRef(self.kernel, self._call("pmem_queue_ref"))

    @property
    def queue_freeze_depth(self) -> int:
        """How many freeze the queue of a namespace bound to nd_pmem."""
        return self._call("pmem_queue_depth")

    def freeze_queue(self) -> None:
        """blk_mq_freeze_queue()."""
        self._call("blk_mq_freeze_queue")

    def unfreeze_queue(self) -> None:
        """blk_mq_unfreeze_queue()."""
        self._call("blk_mq_unfreeze_queue")

    def submit_bio(
        self, sector: int = 0, size: int = 4096, *, write: bool = False, nowait: bool = False
    ) -> Bio:
        """Starts an I/O that stays in flight until `Bio.end()`; ENOMEM."""
        handle = self._call("submit_bio", int(write), sector, size, int(nowait))
        if not handle:
            raise KernelError(12, "bio_alloc", self._native.call_log())
        return Bio(self.kernel, handle)

    def __repr__(self) -> str:
        return f"<device {self.name}>"


class Bio(Object):
    """An I/O in flight."""

    __slots__ = ()
    _letter = "B"

    @property
    def status(self) -> int | None:
        """None in flight, 0 ended well, else the positive error number."""
        status = self._call("bio_status")
        return None if status == 1 else -status

    def end(self) -> None:
        """bio_endio(): the I/O leaves the queue."""
        self._call("bio_endio")


class Notifier(Object):
    """A registered bus notifier."""

    __slots__ = ()
    _letter = "N"

    def unregister(self) -> None:
        """bus_unregister_notifier()."""
        self._call("notifier_unregister")
