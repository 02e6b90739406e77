# SPDX-License-Identifier: GPL-2.0-only
"""The kernel object: makes everything, shows everything."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Literal

from memremap_emu._native import Native
from memremap_emu.batch import Batch
from memremap_emu.config import CPUS, Config
from memremap_emu.device import Device, Driver, Notifier
from memremap_emu.drivers import BuiltinDriver, NamespaceMode, PciDriver
from memremap_emu.errors import KernelError
from memremap_emu.faults import FaultInjection
from memremap_emu.handles import (
    Object,
    address,
    check_callable,
    check_task,
    handle_of,
    optional_handle,
)
from memremap_emu.hmm import HmmDevice, HmmDevMem, VmFault
from memremap_emu.iomem import IoMem
from memremap_emu.memory import Memory, MemoryType, Page, PageMap
from memremap_emu.mm import MemoryCalls
from memremap_emu.module import Export, Module, Taint, exports
from memremap_emu.observation import Observation
from memremap_emu.percpu_ref import PerCpuRef
from memremap_emu.radix_tree import RadixTree
from memremap_emu.rcu import RcuCalls
from memremap_emu.resource import Resource
from memremap_emu.sync import Completion, Mutex, RefTest, RwLock, SpinLock, WaitQueue
from memremap_emu.tasks import Task
from memremap_emu.trace import Trace
from memremap_emu.versions import (
    DEFAULT_VERSION,
    Selection,
    mode_mask,
    mode_set,
    patch_mask,
    patch_set,
    select,
)


class Snapshot:
    """A state of a machine to come back to."""

    def __init__(self, kernel: Kernel, number: int) -> None:
        self._kernel = kernel
        self._number = number
        self._numbered = kernel._native.numbered
        self._numbers = kernel._native.numbers()
        self._data = list(kernel._data), dict(kernel._data_ids)
        self._region = kernel._region

    @property
    def number(self) -> int:
        """What the machine calls it."""
        return self._number

    def restore(self) -> None:
        """Goes back; handles made since then are refused from now on."""
        native = self._kernel._native
        native.check(native.lib.emu_restore(native.m, self._number))
        kernel = self._kernel
        kernel._region = self._region
        if native.numbered is not self._numbered:
            # The same calls are to be given the same numbers again: states stay comparable.
            native.numbered = self._numbered
            native.restore_numbers(self._numbers)
            kernel._data, kernel._data_ids = list(self._data[0]), dict(self._data[1])

    def drop(self) -> None:
        """Forgets it."""
        native = self._kernel._native
        native.check(native.lib.emu_snapshot_drop(native.machine, self._number))


class Kernel(RcuCalls, MemoryCalls, Observation):
    """One emulated kernel on one machine.

    Args:
        version: ``v4.19``, ``memremap-v6``, ``v5.0`` or ``v5.2``, see `versions`
        applied: only the first so many patches of the series, 0..7; of ``memremap-v6`` alone
        without: patches to leave out, by short name or title
        modes: historic mistakes that the kernel shall make again, see `versions.modes`
        cpus: virtual CPUs, 1..64
        config: the ``.config``
        checked: the instrumented build, in which shadow memory is watched; False: the fast one
        rcu: ``"eager"`` runs due callbacks when a call ends or blocks, ``"manual"`` when
            `rcu_barrier()`, `rcu_barrier_sched()` or `run_callbacks()` says so
        on_violation: ``"raise"`` ends the call that broke a rule with `Violation`,
            ``"record"`` only adds to `violations`
        trace: record events; function entries need the checked build

    Raises:
        ValueError: unknown version, patch or mode, one without what it needs, CPUs out of
            range, impossible configuration, no such ``rcu`` or ``on_violation``.
        TypeError: an argument of another type.
        ArenaFull: ``config.arena_size`` is too small to boot in.
        MemoryError: the host has no address space for it.
    """

    def __init__(
        self,
        version: str = DEFAULT_VERSION,
        *,
        applied: int | None = None,
        without: Iterable[str] = (),
        modes: Iterable[str] = (),
        cpus: int = 4,
        config: Config | None = None,
        checked: bool = True,
        rcu: Literal["eager", "manual"] = "eager",
        on_violation: Literal["raise", "record"] = "raise",
        trace: bool = False,
    ) -> None:
        self.patches = patch_set(version, applied=applied, without=without)
        self.modes = mode_set(modes, self.patches)
        CPUS.check(cpus, "")
        if config is not None and not isinstance(config, Config):
            raise TypeError(f"config must be a Config, not {type(config).__name__}")
        if rcu not in ("eager", "manual"):
            raise ValueError(f"rcu must be 'eager' or 'manual', not {rcu!r}")
        if on_violation not in ("raise", "record"):
            raise ValueError(f"on_violation must be 'raise' or 'record', not {on_violation!r}")
        self.version = version
        self.cpus = cpus
        self.config = config or Config()
        self.checked = checked
        self._native = Native(
            self.config,
            cpus=cpus,
            checked=checked,
            rcu_manual=rcu == "manual",
            trace=trace,
            raise_violations=on_violation == "raise",
            patches=patch_mask(self.patches),
            modes=mode_mask(self.modes),
        )
        self._data: list[Any] = [None]
        self._data_ids: dict[Any, int] = {}
        self._region = 0
        #: How many snapshots have been taken.
        self._snapshots = 0
        #: The memory map, ``/proc/iomem``.
        self.iomem = IoMem(self)
        #: Events, see `memremap_emu.trace`.
        self.trace = Trace(self._native)

    @classmethod
    def select(cls, text: str | Selection, **arguments: Any) -> Kernel:
        """A kernel by description, ``memremap-v6 5/7`` or ``v5.2 without final-put``.

        See `versions.select`; the other arguments are those of the constructor.

        Raises:
            ValueError: it describes none.
        """
        chosen = select(text) if isinstance(text, str) else text
        return cls(
            chosen.version,
            applied=chosen.applied,
            without=chosen.without,
            modes=chosen.modes,
            **arguments,
        )

    # --- life ---

    def close(self) -> None:
        """Gives the machine back; everything made from it is refused afterwards."""
        self._native.close()

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def snapshot(self) -> Snapshot:
        """The state as it is now; `Snapshot.restore()` comes back to it."""
        native = self._native
        out = native.ffi.new("int64_t *")
        native.check(native.lib.emu_snapshot(native.m, out))
        self._snapshots += 1
        return Snapshot(self, int(out[0]))

    def batch(self) -> Batch:
        """Operations to be run in one call, see `Batch`."""
        return Batch(self)

    def _next_region(self) -> int:
        self._region += 1
        return self._region - 1

    def _data_id(self, data: Any) -> int:
        """Number of something that callbacks are handed; equal and same type, same number."""
        try:
            key: Any = (type(data), data)
            hash(key)
        except TypeError:
            key = id(data)
        number = self._data_ids.get(key)
        if number is None:
            number = self._data_ids[key] = len(self._data)
            self._data.append(data)
            self._native.numbered = object()
        return number

    # --- making things ---

    def _new(self, kind: type[Object], op: str, *args: int) -> Any:
        handle = self._native.call(op, *args)
        if not handle:
            raise KernelError(12, op, self._native.call_log())
        return kind(self, handle)

    def percpu_ref(
        self,
        release: Callable[[PerCpuRef], Any] | None = None,
        flags: int = 0,
        *,
        name: str | None = None,
    ) -> PerCpuRef:
        """A percpu_ref, initialised.

        ``release`` is called with the ref whenever a put in atomic mode makes its count zero;
        ``name`` is what messages call that function, by default its own name.

        Raises:
            KernelError: ENOMEM.
        """
        if release is not None and not callable(release):
            raise TypeError("release must be callable")
        made: list[PerCpuRef] = []
        number = 0
        if release is not None:
            function = release
            number = self._native.callback(
                ("release", len(self._native._callbacks)), lambda a, b: function(made[0])
            )
        ref: PerCpuRef = self._new(PerCpuRef, "percpu_ref_alloc", number)
        made.append(ref)
        try:
            ref.init(flags, name=name or str(getattr(release, "__name__", "release")))
        except KernelError:
            ref.free()
            raise
        return ref

    def completion(self, name: str = "completion") -> Completion:
        """A completion, initialised."""
        found: Completion = self._new(Completion, "completion_new", self._native.intern(name))
        return found

    def mutex(self, name: str = "mutex") -> Mutex:
        """A mutex."""
        found: Mutex = self._new(Mutex, "mutex_new", self._native.intern(name))
        return found

    def ref_test(self) -> RefTest:
        """A count for `RefTest`, with one reference."""
        found: RefTest = self._new(RefTest, "ref_test_new")
        return found

    def spinlock(self, name: str = "lock") -> SpinLock:
        """A spinlock."""
        found: SpinLock = self._new(SpinLock, "spinlock_new", self._native.intern(name))
        return found

    def rwlock(self, name: str = "lock") -> RwLock:
        """A reader/writer spinlock."""
        found: RwLock = self._new(RwLock, "rwlock_new", self._native.intern(name))
        return found

    def wait_queue(self, name: str = "wait queue") -> WaitQueue:
        """A wait queue."""
        found: WaitQueue = self._new(WaitQueue, "wait_queue_new", self._native.intern(name))
        return found

    def kmalloc(self, size: int, gfp: int = 0x6000C0) -> Memory:
        """kmalloc(); KernelError ENOMEM."""
        found: Memory = self._new(Memory, "kmalloc", address(size, "size"), gfp)
        return found

    def radix_tree(self) -> RadixTree:
        """A radix tree of one's own."""
        found: RadixTree = self._new(RadixTree, "radix_tree_new")
        return found

    def resource(
        self, start: int, end: int, name: str | None = None, *, flags: int = 0x200, desc: int = 0
    ) -> Resource:
        """A resource that is in no tree yet (end inclusive); also a private root."""
        found: Resource = self._new(
            Resource,
            "resource_new",
            address(start, "start"),
            address(end, "end"),
            self._native.intern(name),
            address(flags, "flags"),
            address(desc, "desc"),
        )
        return found

    def pagemap(
        self,
        start: int,
        size: int,
        *,
        type: MemoryType | int = MemoryType.PLAIN,
        ref: PerCpuRef | None = None,
        kill: Callable[[PerCpuRef], Any] | bool | None = True,
        cleanup: Callable[[PerCpuRef], Any] | None = None,
        page_free: Callable[[Page], Any] | None = None,
        name: str | None = None,
    ) -> PageMap:
        """A dev_pagemap over [start, start + size).

        See `PageMap.set_ref` for ref, kill and cleanup.

        ``page_free`` is called with a page of a managed type whose count falls to 1.
        """
        address(start, "start")
        address(size, "size")
        number = 0
        if page_free is not None:
            check_callable(page_free, "page_free")
            function = page_free
            number = self._native.callback(
                ("page_free", function), lambda a, b: function(Page(self, a))
            )
        pagemap: PageMap = self._new(
            PageMap,
            "pagemap_new",
            start,
            (start + size - 1) & ((1 << 64) - 1),
            address(type, "type"),
            number,
            self._native.intern(name),
        )
        pagemap.set_ref(ref, kill, cleanup)
        return pagemap

    def page(self, pfn: int) -> Page:
        """The struct page of a pfn; nothing is looked at yet."""
        return Page(self, pfn)

    def get_dev_pagemap(self, pfn: int, pagemap: PageMap | None = None) -> PageMap | None:
        """get_dev_pagemap(): a live pagemap with one more reference, or None."""
        handle = self._native.call(
            "get_dev_pagemap",
            address(pfn, "pfn"),
            optional_handle(pagemap, PageMap, "pagemap", self._native),
        )
        return PageMap(self, handle) if handle else None

    def device(
        self, name: str, *, bus: bool = True, node: int = -1, release: bool = True, add: bool = True
    ) -> Device:
        """A device, on the platform bus unless ``bus`` is False, added unless ``add`` is False.

        ``release=False`` makes it one without a release function, which is broken.
        """
        device: Device = self._new(
            Device, "device_new", self._native.intern(name), int(bus), node, int(release)
        )
        if add:
            device.add()
        return device

    def driver(
        self,
        name: str,
        *,
        mode: str = "fsdax",
        altmap: bool = False,
        probe: Callable[[Device], Any] | None = None,
        remove: Callable[[Device], Any] | None = None,
        match: Callable[[Device], int] | None = None,
        register: bool = True,
    ) -> Any:
        """A driver that comes with the kernel, or one of one's own.

        ``"hmm"``, ``"hmm_public"`` and ``"p2pdma"`` are drivers of PCI functions.

        ``"pmem"`` takes ``mode``: ``"fsdax"`` (with an info block; ``altmap=True`` keeps the
        struct pages on the device), ``"memory"`` (struct pages without info block) or
        ``"raw"``; ``"dax_pmem"`` takes ``altmap``.  Any other name with ``probe`` (and
        ``remove``) is a driver of the platform bus: it drives devices called ``name.N``.
        ``probe`` returns 0 or a negative errno, or raises KernelError.  ``match`` answers for
        the bus, in place of the names: 1 yes, 0 no, a negative errno as a bus that cannot tell.

        Returns:
            A `BuiltinDriver`, a `PciDriver` or a `Driver`.

        Raises:
            ValueError: no such driver or mode.
        """
        for callback, what in ((probe, "probe"), (remove, "remove"), (match, "match")):
            if callback is not None:
                check_callable(callback, what)
        if probe is None and remove is None:
            if match is not None:
                raise ValueError(f"match= needs probe=: {name!r} is not a driver of your own")
            if name in PciDriver._BUILTIN:
                return PciDriver(self, name)
            if name not in BuiltinDriver._BUILTIN:
                known = ", ".join([*BuiltinDriver._BUILTIN, *PciDriver._BUILTIN])
                raise ValueError(
                    f"no driver {name!r}; known: {known}; a driver of your own needs probe="
                )
            if name == "dax_pmem":
                return BuiltinDriver(self, name, NamespaceMode.DEVDAX, altmap)
            modes = {m.name.lower(): m for m in NamespaceMode if m is not NamespaceMode.DEVDAX}
            if mode not in modes:
                raise ValueError(f"no mode {mode!r} of pmem; known: {', '.join(modes)}")
            return BuiltinDriver(self, name, modes[mode], altmap)
        native = self._native
        numbers = [
            native.callback(("driver", len(native._callbacks)), self._device_callback(f))
            if f is not None
            else 0
            for f in (probe, remove)
        ]
        driver: Driver = self._new(Driver, "driver_new", native.intern(name), *numbers)
        if match is not None:
            key = ("match", len(native._callbacks))
            driver._call("driver_match", native.callback(key, self._device_callback(match)))
        if register:
            driver.register()
        return driver

    def _device_callback(self, function: Callable[[Device], Any]) -> Callable[[int, int], Any]:
        return lambda a, b: function(Device(self, a))

    def notifier(
        self,
        callback: Callable[[int, Device], Any],
        *,
        priority: int = 0,
        bus_of: Device | None = None,
    ) -> Notifier:
        """bus_register_notifier() on the platform bus, or on the bus of a device.

        ``callback(event, device)``, see `objects.BusEvent`.
        """
        check_callable(callback, "callback")
        number = self._native.callback(
            ("notifier", len(self._native._callbacks)),
            lambda a, b: callback(a, Device(self, b)),
        )
        found: Notifier = self._new(
            Notifier,
            "notifier_register",
            number,
            optional_handle(bus_of, Device, "bus_of", self._native),
            priority,
        )
        return found

    def task(self, *, cpu: int = 0, name: str = "task") -> Task:
        """A context for direct calls: ``with k.task(cpu=1): ...``.

        Read sections, locks and disabled pre-emption persist between the calls inside.

        Raises:
            ValueError: no such CPU, or a name with a NUL byte.
            RuntimeError: there are 128 tasks, see docs/not-modelled.md.
        """
        native = self._native
        out = native.ffi.new("int64_t *")
        check_task(name, cpu)
        native.check(native.lib.emu_task_new(native.m, name.encode(), cpu, out))
        return Task(native, int(out[0]))

    # --- HMM ---

    def hmm_devmem(
        self,
        device: Device,
        size: int | None = None,
        *,
        resource: Resource | None = None,
        free: Callable[[Page], Any] | None = None,
        fault: Callable[[Page, int], int | None] | None = None,
    ) -> HmmDevMem:
        """hmm_devmem_add() with a size, hmm_devmem_add_resource() with a resource.

        ``free(page)`` is called when the last user of a page is gone; ``fault(page, address)``
        when the CPU touches a private page: it returns a `VmFault`, and SIGBUS is what the
        fault gives if it raises or is missing.

        Raises:
            KernelError: ENOMEM, ERANGE (no free range), EINVAL (a resource that is not of
                the kind DEVICE_PUBLIC_MEMORY), or what devm_memremap_pages() answers.
        """
        if (size is None) == (resource is None):
            raise TypeError("hmm_devmem takes a size or a resource")
        native = self._native
        numbers = [
            0 if free is None else native.callback(("hmm_free", free), self._page_callback(free)),
            0 if fault is None else native.callback(("hmm_fault", fault), self._fault(fault)),
        ]
        owner = handle_of(device, Device, "device", self._native)
        if resource is None:
            handle = native.call("hmm_devmem_add", owner, address(size, "size"), *numbers)
        else:
            what = handle_of(resource, Resource, "resource", self._native)
            handle = native.call("hmm_devmem_add_resource", owner, what, *numbers)
        return HmmDevMem(self, handle)

    def _page_callback(self, function: Callable[[Page], Any]) -> Callable[[int, int], Any]:
        return lambda a, b: function(Page(self, a))

    def _fault(self, function: Callable[[Page, int], Any]) -> Callable[[int, int], Any]:
        return lambda a, b: function(Page(self, a), b & ((1 << 64) - 1))

    def device_private_fault(
        self, page: Page, at: int = 0, *, flags: int = 0, write: bool = False
    ) -> VmFault:
        """The CPU touches an address whose page table entry stands for a private page."""
        result = self._native.call(
            "device_private_entry_fault",
            Page._pfn_for(page, self._native),
            address(at, "at"),
            flags,
            int(write),
        )
        return VmFault(result)

    def hmm_alloc_locked_page(self, at: int = 0) -> Page | None:
        """hmm_vma_alloc_locked_page(): a locked page of system memory, None if there is none."""
        pfn = self._native.call("hmm_vma_alloc_locked_page", address(at, "at"))
        return None if pfn < 0 else Page(self, pfn)

    def hmm_device(self, drvdata: int = 0) -> HmmDevice:
        """hmm_device_new(); KernelError ENOMEM, EBUSY (all 256 minors are taken)."""
        return HmmDevice(self, self._native.call("hmm_device_new", address(drvdata, "drvdata")))

    # --- modules ---

    def module(
        self,
        name: str,
        *,
        license: str | None = None,
        needs: Iterable[str] = (),
        weak: Iterable[str] = (),
        intree: bool = True,
        vermagic: bool = True,
        signed: bool = True,
    ) -> Module:
        """A module, not loaded.

        Args:
            name: without ``.ko``
            license: its MODULE_LICENSE; None: it has no tag
            needs: undefined symbols
            weak: undefined symbols that may be missing
            intree: built with the kernel
            vermagic: built for this kernel
            signed: with a key that the kernel trusts
        """
        native = self._native
        module = Module(
            self,
            native.call(
                "module_new",
                native.intern(name),
                native.intern(license),
                int(intree) | int(vermagic) << 1 | int(signed) << 2,
            ),
        )
        for symbol in needs:
            module.need(symbol)
        for symbol in weak:
            module.need(symbol, weak=True)
        return module

    @property
    def exports(self) -> dict[str, Export]:
        """The symbols that modules may use."""
        return exports(self)

    @property
    def taints(self) -> Taint:
        """Taint flags, ``/proc/sys/kernel/tainted``."""
        return Taint(int(self._native.stats().taint))

    @property
    def tainted(self) -> str:
        """The taint flags as an oops shows them."""
        return self._native.format(9)

    # --- driver core ---

    def block_probing(self, on: bool = True) -> None:
        """device_block_probing(), device_unblock_probing()."""
        self._native.call("device_block_probing", int(on))

    def autoprobe(self, on: bool) -> None:
        """Writes to ``drivers_autoprobe`` of the platform bus."""
        self._native.call("drivers_autoprobe_store", 0, int(on))

    @property
    def autoprobes(self) -> bool:
        """``drivers_autoprobe`` of the platform bus."""
        return bool(self._native.call("drivers_autoprobe_show", 0))

    def dax_direct_access(self, host: str, pgoff: int, nr_pages: int) -> int:
        """dax_direct_access() on a disk: how many pages follow each other at page ``pgoff``.

        Raises:
            KernelError: EOPNOTSUPP (no such disk, or gone), EINVAL, ERANGE.
        """
        found = self._native.call("dax_direct_access", self._native.intern(host), pgoff, nr_pages)
        if found < 0:
            raise KernelError(-found, "dax_direct_access", self._native.call_log())
        return found

    def dax_pfn(self, host: str, pgoff: int) -> int:
        """The page frame that dax_direct_access() finds at page ``pgoff`` of a disk."""
        found = self._native.call("dax_pfn", self._native.intern(host), pgoff)
        if found < 0:
            raise KernelError(-found, "dax_direct_access", self._native.call_log())
        return found

    def dax_read_lock(self) -> int:
        """dax_read_lock(): what `dax_read_unlock()` takes."""
        return self._native.call("dax_read_lock")

    def dax_read_unlock(self, index: int) -> None:
        """dax_read_unlock()."""
        self._native.call("dax_read_unlock", index)

    def printk(self, text: str, level: int = 3) -> None:
        """dev_printk() without a device."""
        self._native.call("dev_printk", 0, self._native.intern(text), level)

    def format(self, fmt: str, value: int | str | Resource | None, *, width: int = 0) -> str:
        """One line of the log as the kernel's vsnprintf() formats it.

        ``fmt`` has one conversion, of an integer, a string (None is NULL), an address (``%p`` and
        what may follow it) or a resource (``%pR``, ``%pr``); ``width`` is for its ``*``.

        Raises:
            ValueError: a conversion of something else than ``value``.
        """
        native = self._native
        text = native.intern(fmt)
        if isinstance(value, Resource):
            native.call("printk_resource", text, handle_of(value, Resource, "value", native))
        elif value is None or isinstance(value, str):
            native.call("printk_string", text, width, native.intern(value))
        elif re.search(r"%[-+ #0-9.]*p", fmt):
            native.call("printk_address", text, value)
        else:
            if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
                raise ValueError(f"value {value:#x} does not fit into 64 bits")
            native.call("printk_number", text, width, value)
        return self.dmesg[-1] if self.dmesg else ""

    # --- faults ---

    def fault_injection(
        self, site: str | None = None, *, nth: int = 1, sticky: bool = False, slab: bool = False
    ) -> FaultInjection:
        """Fails the n-th fallible call from now on, of one site or of any: a context manager.

        ``site`` is the kernel function that asks; `fault_sites` lists those met so far.
        ``sticky`` fails every later one, too.  With ``slab`` only calls of the slab allocator
        count, as with failslab: neither per-CPU memory nor whole pages.
        """
        return FaultInjection(self._native, site, nth, sticky, slab)

    @property
    def fault_sites(self) -> dict[str, int]:
        """Fallible sites met so far: name and number of calls."""
        native = self._native
        names = native.ffi.new("const char *[]", 96)
        calls = native.ffi.new("uint64_t[]", 96)
        count = native.ffi.new("int *")
        native.lib.emu_fault_sites(native.machine, names, calls, 96, count)
        return {native.text(names[i]): int(calls[i]) for i in range(count[0])}

    def __repr__(self) -> str:
        build = "checked" if self.checked else "plain"
        return f"<Kernel {self.version} {build} cpus={self.cpus}>"
