# SPDX-License-Identifier: GPL-2.0-only
"""Thin handles on the objects of an emulated kernel.

Methods act, properties read the state in C.  Names are the kernel's, without
the prefix that the object already gives.  Unless said otherwise a method may
raise `Blocked`, `Violation`, `KernelError` and the errors of a machine that is
closed, full or dead (`memremap_emu.errors`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Any

from memremap_emu._native import MASK64, MAX_ERRNO, Native
from memremap_emu.errors import KernelError

if TYPE_CHECKING:
    from memremap_emu.kernel import Kernel

BIAS = 1 << 63
PERCPU_REF_INIT_ATOMIC = 1
PERCPU_REF_INIT_DEAD = 2


class MemoryType(IntEnum):
    """``enum memory_type``; PLAIN is what device-dax leaves it at."""

    PLAIN = 0
    PRIVATE = 1
    PUBLIC = 2
    FS_DAX = 3
    PCI_P2PDMA = 4


class Region(IntEnum):
    """Results of ``region_intersects()``."""

    INTERSECTS = 0
    DISJOINT = 1
    MIXED = 2


class IoResource(IntFlag):
    """``IORESOURCE_*`` flags."""

    IO = 0x100
    MEM = 0x200
    REG = 0x300
    IRQ = 0x400
    DMA = 0x800
    BUS = 0x1000
    PREFETCH = 0x2000
    MEM_64 = 0x100000
    WINDOW = 0x200000
    MUXED = 0x400000
    SYSRAM = 0x1000000
    SYSTEM_RAM = 0x1000200
    EXCLUSIVE = 0x8000000
    DISABLED = 0x10000000
    UNSET = 0x20000000
    BUSY = 0x80000000


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


class CacheMode(IntEnum):
    """Memory types of an ioremap."""

    WB = 0
    WC = 1
    UC_MINUS = 2
    WT = 4


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


def handle_of(value: object, kind: type[Object], what: str) -> int:
    """Handle of an argument, TypeError if it is not of this kind."""
    if not isinstance(value, kind):
        raise TypeError(f"{what} must be a {kind.__name__}, not {type(value).__name__}")
    return value._handle


def optional_handle(value: object, kind: type[Object], what: str) -> int:
    """The same, 0 for None."""
    return 0 if value is None else handle_of(value, kind, what)


def address(value: object, what: str = "address") -> int:
    """An unsigned 64-bit argument; TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} must be an int, not {type(value).__name__}")
    if not 0 <= value <= MASK64:
        raise ValueError(f"{what} {value:#x} does not fit into 64 bits")
    return value


class Task:
    """A task of the machine: a parked call, or a context made by `Kernel.task()`.

    As a context manager it becomes the context of direct calls: read
    sections, locks and disabled pre-emption persist from one to the next.
    """

    STATES = ("idle", "ready", "blocked", "upcall", "done", "dead")

    def __init__(self, native: Native, handle: int) -> None:
        self._native = native
        self._handle = handle
        self._outer = 0
        self.name = self._info().comm_text

    class _Info:
        def __init__(self, native: Native, handle: int) -> None:
            info = native.ffi.new("struct emu_task_info *")
            native.lib.emu_task_info(native.machine, handle, info)
            self.raw = info
            self.comm_text = native.text(info.comm)
            self.wait_kind = native.text(info.wait_kind)
            self.wait_what = native.text(info.wait_what)

    def _info(self) -> Task._Info:
        return Task._Info(self._native, self._handle)

    @property
    def state(self) -> str:
        """``idle``, ``ready``, ``blocked``, ``upcall``, ``done``, ``dead`` or ``gone``."""
        state = int(self._info().raw.state)
        return self.STATES[state] if state >= 0 else "gone"

    @property
    def done(self) -> bool:
        """The call has ended."""
        return self.state in ("done", "idle", "gone")

    @property
    def result(self) -> int:
        """What the call returned, as C's int64_t."""
        return int(self._info().raw.result)

    @property
    def waits_for(self) -> str:
        """What it waits for, empty if it does not."""
        info = self._info()
        return f"{info.wait_kind} {info.wait_what}".strip()

    @property
    def pid(self) -> int:
        """Process id."""
        return int(self._info().raw.pid)

    @property
    def cpu(self) -> int:
        """Virtual CPU."""
        return int(self._info().raw.cpu)

    @property
    def preempt_count(self) -> int:
        """Depth of regions that forbid pre-emption."""
        return int(self._info().raw.preempt_count)

    @property
    def rcu_nesting(self) -> int:
        """Depth of ``rcu_read_lock()``."""
        return int(self._info().raw.rcu_nesting)

    def release(self) -> None:
        """Gives the task's place back; RuntimeError while it still runs."""
        self._native.check(self._native.lib.emu_task_release(self._native.m, self._handle))

    def __enter__(self) -> Task:
        self._outer = self._native.set_context(self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        self._native.set_context(self._outer)

    def __repr__(self) -> str:
        waits = self.waits_for
        return f"<task {self.name}/{self.pid} {self.state}{' on ' + waits if waits else ''}>"


class PerCpuRef(Object):
    """``struct percpu_ref`` (lib/percpu-refcount.c)."""

    __slots__ = ()
    _letter = "R"

    def init(self, flags: int = 0, *, name: str = "release") -> None:
        """percpu_ref_init(); ``name`` is the symbol of the release function in messages."""
        self._call("percpu_ref_init", address(flags, "flags"), self._native.intern(name))

    def get(self, n: int = 1) -> None:
        """percpu_ref_get(), percpu_ref_get_many()."""
        self._call("percpu_ref_get_many", address(n, "n"))

    def put(self, n: int = 1) -> None:
        """percpu_ref_put(), percpu_ref_put_many()."""
        self._call("percpu_ref_put_many", address(n, "n"))

    def tryget(self) -> bool:
        """percpu_ref_tryget()."""
        return bool(self._call("percpu_ref_tryget"))

    def tryget_live(self) -> bool:
        """percpu_ref_tryget_live()."""
        return bool(self._call("percpu_ref_tryget_live"))

    def kill(self) -> None:
        """percpu_ref_kill()."""
        self._call("percpu_ref_kill_and_confirm", 0)

    def _confirm(self, confirm: Callable[[PerCpuRef], Any] | None) -> int:
        if confirm is None:
            return 0
        return self._native.callback((confirm, self), lambda a, b: confirm(self))

    def kill_and_confirm(self, confirm: Callable[[PerCpuRef], Any] | None) -> None:
        """percpu_ref_kill_and_confirm()."""
        self._call("percpu_ref_kill_and_confirm", self._confirm(confirm))

    def switch_to_atomic(self, confirm: Callable[[PerCpuRef], Any] | None = None) -> None:
        """percpu_ref_switch_to_atomic()."""
        self._call("percpu_ref_switch_to_atomic", self._confirm(confirm))

    def switch_to_atomic_sync(self) -> None:
        """percpu_ref_switch_to_atomic_sync()."""
        self._call("percpu_ref_switch_to_atomic_sync")

    def switch_to_percpu(self) -> None:
        """percpu_ref_switch_to_percpu()."""
        self._call("percpu_ref_switch_to_percpu")

    def reinit(self) -> None:
        """percpu_ref_reinit()."""
        self._call("percpu_ref_reinit")

    def exit(self) -> None:
        """percpu_ref_exit()."""
        self._call("percpu_ref_exit")

    def free(self) -> None:
        """kfree() of the structure: whoever uses it afterwards uses freed memory."""
        self._call("percpu_ref_free")

    @property
    def count(self) -> int:
        """The atomic word, unsigned: biased by 2**63 while in per-CPU mode."""
        return self._call("percpu_ref_count") & MASK64

    @property
    def percpu_sum(self) -> int:
        """Signed sum of the per-CPU counters."""
        return self._call("percpu_ref_percpu_sum")

    @property
    def logical(self) -> int:
        """References held: count, minus bias plus per-CPU sum while in per-CPU mode."""
        count = self.count
        if not self.atomic and self.has_counters:
            count += self.percpu_sum - BIAS
        return count - (1 << 64) if count >> 63 else count

    @property
    def _state(self) -> int:
        return self._call("percpu_ref_state")

    @property
    def atomic(self) -> bool:
        """The ATOMIC flag."""
        return bool(self._state & 1)

    @property
    def dead(self) -> bool:
        """The DEAD flag."""
        return bool(self._state & 2)

    @property
    def has_counters(self) -> bool:
        """The per-CPU counters have not been freed."""
        return bool(self._state & 4)

    @property
    def switching(self) -> bool:
        """A switch to atomic mode is in flight (confirm_switch is set)."""
        return bool(self._state & 8)

    @property
    def force_atomic(self) -> bool:
        """It stays atomic."""
        return bool(self._state & 16)

    @property
    def is_dying(self) -> bool:
        """percpu_ref_is_dying()."""
        return bool(self._call("percpu_ref_is_dying"))

    @property
    def is_zero(self) -> bool:
        """percpu_ref_is_zero()."""
        return bool(self._call("percpu_ref_is_zero"))

    def __repr__(self) -> str:
        mode = "atomic" if self.atomic else "percpu"
        dead = " dead" if self.dead else ""
        return f"<percpu_ref {mode}{dead} {self.logical}>"


class Completion(Object):
    """``struct completion``."""

    __slots__ = ()
    _letter = "C"

    def complete(self) -> None:
        """complete()."""
        self._call("complete")

    def complete_all(self) -> None:
        """complete_all()."""
        self._call("complete_all")

    def wait(self) -> None:
        """wait_for_completion()."""
        self._call("wait_for_completion")

    def wait_timeout(self, jiffies: int) -> int:
        """wait_for_completion_timeout(): 0 on timeout, else the jiffies left (at least 1)."""
        return self._call("wait_for_completion_timeout", jiffies)

    def try_wait(self) -> bool:
        """try_wait_for_completion()."""
        return bool(self._call("try_wait_for_completion"))

    def reinit(self) -> None:
        """reinit_completion()."""
        self._call("reinit_completion")

    def init(self) -> None:
        """init_completion(): loses whoever sleeps on it."""
        self._call("init_completion")

    def free(self) -> None:
        """kfree() of the structure."""
        self._call("completion_free")

    @property
    def is_done(self) -> bool:
        """completion_done()."""
        return bool(self._call("completion_done"))

    @property
    def done(self) -> int:
        """The counter; UINT_MAX after complete_all()."""
        return self._call("completion_count")


class Mutex(Object):
    """``struct mutex``; also a context manager, inside a task context."""

    __slots__ = ()
    _letter = "M"

    def lock(self) -> None:
        """mutex_lock()."""
        self._call("mutex_lock")

    def trylock(self) -> bool:
        """mutex_trylock()."""
        return bool(self._call("mutex_trylock"))

    def unlock(self) -> None:
        """mutex_unlock()."""
        self._call("mutex_unlock")

    @property
    def is_locked(self) -> bool:
        """mutex_is_locked()."""
        return bool(self._call("mutex_is_locked"))

    def __enter__(self) -> Mutex:
        self.lock()
        return self

    def __exit__(self, *_: object) -> None:
        self.unlock()


class SpinLock(Object):
    """``spinlock_t``; held from call to call only inside a task context."""

    __slots__ = ()
    _letter = "S"

    def lock(self) -> None:
        """spin_lock()."""
        self._call("spin_lock")

    def unlock(self) -> None:
        """spin_unlock()."""
        self._call("spin_unlock")

    def lock_irq(self) -> None:
        """spin_lock_irq()."""
        self._call("spin_lock_irq")

    def unlock_irq(self) -> None:
        """spin_unlock_irq()."""
        self._call("spin_unlock_irq")


class RwLock(Object):
    """``rwlock_t``; held from call to call only inside a task context."""

    __slots__ = ()
    _letter = "W"

    def read_lock(self) -> None:
        """read_lock()."""
        self._call("read_lock")

    def read_unlock(self) -> None:
        """read_unlock()."""
        self._call("read_unlock")

    def write_lock(self) -> None:
        """write_lock()."""
        self._call("write_lock")

    def write_unlock(self) -> None:
        """write_unlock()."""
        self._call("write_unlock")


class WaitQueue(Object):
    """``wait_queue_head_t``."""

    __slots__ = ()
    _letter = "Q"

    def sleep(self, what: str = "a wake-up", *, exclusive: bool = False) -> None:
        """Sleeps until woken once."""
        self._call("wait_queue_sleep", int(exclusive), self._native.intern(what))

    def wake_up(self) -> None:
        """wake_up(): all non-exclusive sleepers and one exclusive one."""
        self._call("wake_up")

    def wake_up_all(self) -> None:
        """wake_up_all()."""
        self._call("wake_up_all")


class Memory(Object):
    """An allocation of the kernel's heap."""

    __slots__ = ()
    _letter = "A"

    def read(self, offset: int = 0) -> int:
        """One byte; a redzone can be read, which is out of bounds."""
        return self._call("memory_access", offset, 0, 0)

    def write(self, offset: int, value: int) -> None:
        """One byte."""
        self._call("memory_access", offset, 1, value)

    def free(self) -> None:
        """kfree()."""
        self._call("kfree")


class Resource(Object):
    """``struct resource`` (kernel/resource.c)."""

    __slots__ = ()
    _letter = "E"

    @property
    def start(self) -> int:
        """First address."""
        return self._call("resource_start") & MASK64

    @property
    def end(self) -> int:
        """Last address, inclusive."""
        return self._call("resource_end") & MASK64

    @property
    def size(self) -> int:
        """resource_size(), bytes."""
        return (self.end - self.start + 1) & MASK64

    @property
    def flags(self) -> int:
        """``IORESOURCE_*``."""
        return self._call("resource_flags") & MASK64

    @property
    def desc(self) -> int:
        """``IORES_DESC_*``."""
        return self._call("resource_desc") & MASK64

    @desc.setter
    def desc(self, value: int) -> None:
        self._call("resource_set_desc", address(value, "desc"))

    @property
    def name(self) -> str:
        """Who holds it."""
        return self._native.format(3, self._handle)

    def _link(self, op: str) -> Resource | None:
        handle = self._call(op)
        return Resource(self.kernel, handle) if handle else None

    @property
    def parent(self) -> Resource | None:
        """Resource that contains it, None for a root or an unlinked one."""
        return self._link("resource_parent")

    @property
    def children(self) -> list[Resource]:
        """Direct children in ascending order."""
        found = []
        child = self._link("resource_child")
        while child is not None:
            found.append(child)
            child = child._link("resource_sibling")
        return found

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Resource]]:
        """Everything below in pre-order: (depth, resource)."""
        for child in self.children:
            yield depth, child
            yield from child.walk(depth + 1)

    def request(self, new: Resource) -> None:
        """request_resource(self, new)."""
        self._call("request_resource", handle_of(new, Resource, "new"))

    def request_conflict(self, new: Resource) -> Resource | None:
        """request_resource_conflict(): the resource in the way, or None."""
        handle = self._call("request_resource_conflict", handle_of(new, Resource, "new"))
        return Resource(self.kernel, handle) if handle else None

    def insert(self, new: Resource) -> None:
        """insert_resource(self, new)."""
        self._call("insert_resource", handle_of(new, Resource, "new"))

    def insert_expand_to_fit(self, new: Resource) -> None:
        """insert_resource_expand_to_fit(self, new)."""
        self._call("insert_resource_expand_to_fit", handle_of(new, Resource, "new"))

    def release(self) -> None:
        """release_resource(self): with its subtree."""
        self._call("release_resource")

    def remove(self) -> None:
        """remove_resource(self): its children take its place."""
        self._call("remove_resource")

    def adjust(self, start: int, size: int) -> None:
        """adjust_resource(self, start, size)."""
        self._call("adjust_resource", address(start, "start"), address(size, "size"))

    def lookup(self, start: int) -> Resource | None:
        """lookup_resource(self, start)."""
        handle = self._call("lookup_resource", address(start, "start"))
        return Resource(self.kernel, handle) if handle else None

    def allocate(
        self, new: Resource, size: int, minimum: int, maximum: int, align: int = 1
    ) -> None:
        """allocate_resource(self, new, size, min, max, align)."""
        self._call(
            "allocate_resource", handle_of(new, Resource, "new"), address(size, "size"),
            address(minimum, "minimum"), address(maximum, "maximum"), address(align, "align"),
        )

    def request_region(
        self, start: int, n: int, name: str | None, flags: int = 0
    ) -> Resource | None:
        """__request_region(self, start, n, name, flags): None if busy or out of memory."""
        handle = self._call(
            "request_region", address(start, "start"), address(n, "n"),
            self._native.intern(name), address(flags, "flags"),
        )
        return Resource(self.kernel, handle) if handle else None

    def release_region(self, start: int, n: int) -> None:
        """__release_region(self, start, n)."""
        self._call("release_region", address(start, "start"), address(n, "n"))

    def release_region_adjustable(self, start: int, size: int) -> None:
        """release_mem_region_adjustable(self, start, size)."""
        self._call("release_mem_region_adjustable", address(start, "start"), address(size, "size"))

    def free(self) -> None:
        """kfree() of the structure."""
        self._call("resource_free")

    @property
    def pR(self) -> str:  # noqa: N802 - the kernel's format is called so
        """``%pR``: decoded flags."""
        return self._native.format(1, self._handle)

    @property
    def pr(self) -> str:
        """``%pr``: raw flags."""
        return self._native.format(2, self._handle)

    def tree(self) -> str:
        """What lies below, in the format of /proc/iomem."""
        return self._native.format(6, self._handle)

    def __repr__(self) -> str:
        return f"<resource {self.name!r} {self.pr}>"


class RadixTree(Object):
    """A radix tree of one's own (lib/radix-tree.c); items are numbers from 1 to 2**60 - 1."""

    __slots__ = ()
    _letter = "T"

    def insert(self, index: int, item: int, order: int = 0) -> None:
        """__radix_tree_insert(): KernelError EEXIST or ENOMEM."""
        self._call("radix_tree_insert", address(index, "index"), order, address(item, "item"))

    def lookup(self, index: int) -> int | None:
        """radix_tree_lookup()."""
        return self._call("radix_tree_lookup", address(index, "index")) or None

    def delete(self, index: int) -> int | None:
        """radix_tree_delete()."""
        return self._call("radix_tree_delete", address(index, "index")) or None

    def delete_item(self, index: int, item: int) -> int | None:
        """radix_tree_delete_item()."""
        return self._call("radix_tree_delete_item", address(index), address(item)) or None

    @property
    def empty(self) -> bool:
        """radix_tree_empty()."""
        return bool(self._call("radix_tree_empty"))


class VmemAltmap:
    """``struct vmem_altmap`` of a pagemap; all counts in pages."""

    def __init__(self, pagemap: PageMap) -> None:
        self._pagemap = pagemap

    def _field(self, index: int) -> int:
        return self._pagemap._call("pagemap_field", index)

    @property
    def base_pfn(self) -> int:
        """First page of the mapping."""
        return self._field(5)

    @property
    def reserve(self) -> int:
        """Pages of the driver at the base."""
        return self._field(6)

    @property
    def free(self) -> int:
        """Pages that may hold struct pages."""
        return self._field(7)

    @property
    def align(self) -> int:
        """Pages lost to alignment."""
        return self._field(8)

    @property
    def alloc(self) -> int:
        """Pages handed out."""
        return self._field(9)


class PageMap(Object):
    """``struct dev_pagemap`` (include/linux/memremap.h)."""

    __slots__ = ()
    _letter = "P"

    def _field(self, index: int) -> int:
        return self._call("pagemap_field", index)

    @property
    def start(self) -> int:
        """res.start."""
        return self._field(0) & MASK64

    @property
    def end(self) -> int:
        """res.end, inclusive."""
        return self._field(1) & MASK64

    @property
    def type(self) -> MemoryType:
        """type."""
        return MemoryType(self._field(2))

    @property
    def dev_set(self) -> bool:
        """devm_memremap_pages() has set dev."""
        return bool(self._field(3))

    @property
    def altmap(self) -> VmemAltmap:
        """altmap."""
        return VmemAltmap(self)

    @property
    def altmap_valid(self) -> bool:
        """altmap_valid."""
        return bool(self._field(4))

    @property
    def ref(self) -> PerCpuRef | None:
        """ref."""
        handle = self._field(10)
        return PerCpuRef(self.kernel, handle) if handle else None

    def set_ref(
        self,
        ref: PerCpuRef | None,
        kill: Callable[[PerCpuRef], Any] | bool | None = True,
    ) -> None:
        """Sets ref and kill.

        ``kill``: True for percpu_ref_kill() itself, None or False for none, or a callable.
        """
        if callable(kill):
            function = kill
            ref_object = ref

            def call_kill(a: int, b: int) -> Any:
                return function(ref_object if ref_object else PerCpuRef(self.kernel, a))

            number = self._native.callback((kill, self, ref), call_kill)
        else:
            number = -1 if kill else 0
        self._call("pagemap_set_ref", optional_handle(ref, PerCpuRef, "ref"), number)

    def set_altmap(self, base_pfn: int, reserve: int, free: int) -> None:
        """Fills the altmap and sets altmap_valid; counts in pages."""
        self._call("pagemap_set_altmap", address(base_pfn), address(reserve), address(free))

    def put(self) -> None:
        """put_dev_pagemap()."""
        self._call("put_dev_pagemap")

    def free(self) -> None:
        """kfree() of the structure."""
        self._call("pagemap_free")

    def __repr__(self) -> str:
        return f"<dev_pagemap {self.start:#x}-{self.end:#x} {self.type.name}>"


class Page:
    """A struct page, by its pfn; nothing is looked at before it is asked for."""

    __slots__ = ("_get", "_native", "_put", "kernel", "pfn")

    def __init__(self, kernel: Kernel, pfn: int) -> None:
        self.kernel = kernel
        self.pfn = address(pfn, "pfn")
        self._native = kernel._native
        # Looked up once: these two are what loops of tests and benchmarks call.
        self._get = self._native.lib.emu_page_get
        self._put = self._native.lib.emu_page_put

    def get(self) -> None:
        """get_page()."""
        status = self._get(self._native.m, self.pfn)
        if status:
            self._native.check(status)

    def put(self) -> None:
        """put_page(): the last reference goes back to the pagemap."""
        status = self._put(self._native.m, self.pfn)
        if status:
            self._native.check(status)

    def _field(self, index: int) -> int:
        return self._native.call("page_field", self.pfn, index)

    @property
    def count(self) -> int:
        """page_count()."""
        return self._field(0)

    @property
    def mapcount(self) -> int:
        """page_mapcount()."""
        return self._field(1)

    @property
    def reserved(self) -> bool:
        """PageReserved()."""
        return bool(self._field(2) & 8)

    @property
    def active(self) -> bool:
        """PageActive()."""
        return bool(self._field(2) & 2)

    @active.setter
    def active(self, on: bool) -> None:
        self._native.call("page_set", self.pfn, 1, int(on))

    @property
    def waiters(self) -> bool:
        """PageWaiters()."""
        return bool(self._field(2) & 4)

    @waiters.setter
    def waiters(self, on: bool) -> None:
        self._native.call("page_set", self.pfn, 2, int(on))

    @property
    def zone(self) -> str:
        """Name of its zone: ``Device``, ``Normal``, ..."""
        return ("DMA", "DMA32", "Normal", "Movable", "Device")[self._field(3)]

    @property
    def nid(self) -> int:
        """page_to_nid()."""
        return self._field(4)

    @property
    def pgmap(self) -> PageMap | None:
        """page->pgmap, None if nobody has claimed the page."""
        handle = self._field(8)
        return PageMap(self.kernel, handle) if handle else None

    @property
    def pgmap_word(self) -> str:
        """What the word of pgmap holds: ``NULL``, ``set``, ``selflru``, ``poison``, ``ffff``."""
        return ("NULL", "set", "selflru", "poison", "ffff")[self._field(5)]

    @property
    def hmm_data(self) -> int:
        """page->hmm_data, unsigned."""
        return self._field(6) & MASK64

    @hmm_data.setter
    def hmm_data(self, value: int) -> None:
        self._native.call("page_set", self.pfn, 5, address(value, "hmm_data"))

    @property
    def mapping(self) -> int:
        """page->mapping, 0 if none."""
        return self._field(7) & MASK64

    @mapping.setter
    def mapping(self, value: int) -> None:
        self._native.call("page_set", self.pfn, 4, address(value, "mapping"))

    @property
    def is_device_private(self) -> bool:
        """is_device_private_page()."""
        return bool(self._field(9))

    @property
    def is_device_public(self) -> bool:
        """is_device_public_page()."""
        return bool(self._field(10))

    @property
    def is_zone_device(self) -> bool:
        """is_zone_device_page()."""
        return bool(self._field(11))

    @property
    def initialised(self) -> bool:
        """False while the struct page holds the poison of a fresh memmap."""
        return not self._field(12)

    @property
    def valid(self) -> bool:
        """pfn_valid()."""
        return bool(self._field(13))

    @property
    def online(self) -> bool:
        """pfn_to_online_page() finds it."""
        return bool(self._field(14))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Page) and other.pfn == self.pfn and other.kernel is self.kernel

    def __hash__(self) -> int:
        return hash((id(self.kernel), self.pfn))

    def __repr__(self) -> str:
        return f"<page {self.pfn:#x}>"


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

    def _store(self, op: str, device: Device | str) -> None:
        known = device if isinstance(device, Device) else None
        name = device if isinstance(device, str) else device.name
        log_start = int(self._native.stats().log_end)
        result = self._call(
            op, self._native.intern(name), known._handle if known else 0
        )
        if result < 0:
            lines = [text for _, text in self._native.log(log_start)]
            raise KernelError(-result, op.removesuffix("_store"), lines)

    def bind(self, device: Device | str) -> None:
        """Writes the device's name to the driver's ``bind`` file.

        Raises:
            KernelError: ENODEV if the device is not there, is bound, does not match, or its
                probe failed (whatever the probe's error).
        """
        self._store("bind_store", device)

    def unbind(self, device: Device | str) -> None:
        """Writes the device's name to the driver's ``unbind`` file; ENODEV if not bound to it."""
        self._store("unbind_store", device)

    def __repr__(self) -> str:
        return f"<driver {self.name}>"


class Group:
    """An open or closed devres group, by its id."""

    def __init__(self, device: Device, group_id: int) -> None:
        self.device = device
        self.id = group_id


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
        """Unbinds through the driver's ``unbind`` file."""
        driver = self.driver
        if driver is None:
            raise KernelError(19, "unbind")
        driver.unbind(self)

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

    def _action(self, action: Callable[[Any], Any], data: Any) -> tuple[int, int]:
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

    def kfree(self, memory: Memory | None) -> None:
        """devm_kfree(); WARN if the device does not have it."""
        self._call("devm_kfree", optional_handle(memory, Memory, "memory"))

    def alloc_percpu(self) -> Memory:
        """devm_alloc_percpu() of one word a CPU; ENOMEM."""
        return self._memory(self._call("devm_alloc_percpu"), "devm_alloc_percpu")

    def free_percpu(self, memory: Memory | None) -> None:
        """devm_free_percpu(): forgets the record and leaks the memory, as v4.19 does."""
        self._call("devm_free_percpu", optional_handle(memory, Memory, "memory"))

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
            "devm_request_region", self.kernel.iomem.root._handle, address(start, "start"),
            address(n, "n"), self._native.intern(name),
        )
        return Resource(self.kernel, handle) if handle else None

    def release_mem_region(self, start: int, n: int) -> None:
        """devm_release_mem_region()."""
        self._call(
            "devm_release_region", self.kernel.iomem.root._handle, address(start, "start"),
            address(n, "n"),
        )

    def request_resource(self, root: Resource, new: Resource) -> None:
        """devm_request_resource(); EBUSY, ENOMEM."""
        self._call(
            "devm_request_resource", handle_of(root, Resource, "root"),
            handle_of(new, Resource, "new"),
        )

    def release_resource(self, new: Resource) -> None:
        """devm_release_resource()."""
        self._call("devm_release_resource", handle_of(new, Resource, "new"))

    # --- device memory ---

    def memremap_pages(self, pgmap: PageMap) -> int:
        """devm_memremap_pages(): address in the direct map.

        Raises:
            KernelError: EINVAL, ENOMEM, ENXIO, EEXIST or what memory hotplug answers.
        """
        result = self._call("devm_memremap_pages", handle_of(pgmap, PageMap, "pgmap"))
        if -MAX_ERRNO <= result < 0:
            raise KernelError(-result, "devm_memremap_pages", self._native.call_log())
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
