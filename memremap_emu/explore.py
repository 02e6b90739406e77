# SPDX-License-Identifier: GPL-2.0-only
"""Every interleaving: programs of several tasks, explored by the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memremap_emu import interrupts
from memremap_emu._native import signed
from memremap_emu.device import Bio, Device, Driver
from memremap_emu.drivers import BuiltinDriver
from memremap_emu.exploration import Exploration, Interrupted, Options
from memremap_emu.handles import Object, check_task, handle_of
from memremap_emu.memory import Page, PageMap
from memremap_emu.percpu_ref import PerCpuRef
from memremap_emu.search import SLICE, Search
from memremap_emu.sync import Completion, Mutex, SpinLock

if TYPE_CHECKING:
    from typing import Unpack

    from memremap_emu.kernel import Kernel


class ProgramTask:
    """One task of a program: operations, in the order in which they are added."""

    def __init__(self, kernel: Kernel, name: str, cpu: int) -> None:
        self._kernel = kernel
        self.name = name
        self.cpu = cpu
        self.operations: list[tuple[str, tuple[int, ...]]] = []

    def call(self, operation: str, *args: Object | int | str | None) -> ProgramTask:
        """Adds an operation of the machine by its name."""
        native = self._kernel._native
        if operation not in native.library.ops:
            raise ValueError(f"{self.name}: no operation {operation!r}")
        numbers = []
        for arg in args:
            if isinstance(arg, Object):
                numbers.append(handle_of(arg, Object, f"an argument of {operation}", native))
            elif isinstance(arg, str):
                numbers.append(native.intern(arg))
            else:
                numbers.append(signed(arg or 0))
        want = native.library.ops[operation].args
        if len(numbers) != len(want):
            raise ValueError(f"{self.name}: {operation} takes {len(want)} arguments")
        self.operations.append((operation, tuple(numbers)))
        return self

    def get_page(self, page: Page) -> ProgramTask:
        """get_page()."""
        return self.call("get_page", Page._pfn_for(page, self._kernel._native))

    def put_page(self, page: Page) -> ProgramTask:
        """put_page()."""
        return self.call("put_page", Page._pfn_for(page, self._kernel._native))

    def lookup(self, pfn: int) -> ProgramTask:
        """get_dev_pagemap() and, if it finds one, put_dev_pagemap()."""
        return self.call("lookup", pfn, 0)

    def bind(self, driver: Driver | BuiltinDriver, device: Device) -> ProgramTask:
        """Writes to the driver's ``bind`` file."""
        return self._store("bind_store", driver, device)

    def unbind(self, driver: Driver | BuiltinDriver, device: Device) -> ProgramTask:
        """Writes to the driver's ``unbind`` file."""
        return self._store("unbind_store", driver, device)

    def _store(self, operation: str, driver: Driver | BuiltinDriver, device: Device) -> ProgramTask:
        native = self._kernel._native
        target = driver.driver if isinstance(driver, BuiltinDriver) else driver
        handle_of(target, Driver, "driver", native)
        handle_of(device, Device, "device", native)
        return self.call(operation, target, device.name, device)

    def end_bio(self, bio: Bio) -> ProgramTask:
        """bio_endio()."""
        return self.call("bio_endio", bio)

    def lock(self, lock: Mutex | SpinLock) -> ProgramTask:
        """mutex_lock() or spin_lock()."""
        return self.call("mutex_lock" if isinstance(lock, Mutex) else "spin_lock", lock)

    def unlock(self, lock: Mutex | SpinLock) -> ProgramTask:
        """mutex_unlock() or spin_unlock()."""
        return self.call("mutex_unlock" if isinstance(lock, Mutex) else "spin_unlock", lock)

    def kill(self, ref: PerCpuRef) -> ProgramTask:
        """percpu_ref_kill()."""
        return self.call("percpu_ref_kill_and_confirm", ref, 0)

    def get(self, ref: PerCpuRef) -> ProgramTask:
        """percpu_ref_get()."""
        return self.call("percpu_ref_get", ref)

    def put(self, ref: PerCpuRef | PageMap) -> ProgramTask:
        """percpu_ref_put() or put_dev_pagemap()."""
        name = "percpu_ref_put" if isinstance(ref, PerCpuRef) else "put_dev_pagemap"
        return self.call(name, ref)

    def complete(self, completion: Completion) -> ProgramTask:
        """complete()."""
        return self.call("complete", completion)

    def wait(self, completion: Completion) -> ProgramTask:
        """wait_for_completion()."""
        return self.call("wait_for_completion", completion)


class Program:
    """Tasks that run at the same time, from the state that the kernel is in now."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.tasks: list[ProgramTask] = []

    def task(self, name: str, *, cpu: int | None = None) -> ProgramTask:
        """A new task; each has a CPU of its own unless ``cpu`` says otherwise."""
        if cpu is None:
            cpu = len(self.tasks) % self._kernel.cpus
        check_task(name, cpu)
        task = ProgramTask(self._kernel, name, cpu)
        self.tasks.append(task)
        return task

    def search(self, **options: Unpack[Options]) -> Search:
        """A search that can be run piece by piece; arguments and errors as of `explore`."""
        return Search(self._kernel._native, self.tasks, options)

    def explore(self, **options: Unpack[Options]) -> Exploration:
        """Runs the program over its schedules, unless told otherwise depth first with
        partial-order reduction.

        The kernel is afterwards in the state of the first violating execution if
        ``stop_at_violation`` ended it, in that of the schedule if it was given one, else in the
        state it was in before.

        Args:
            options: see `Options`

        Raises:
            ValueError: no task, too many, the plain build, an operation that cannot be
                explored (one that calls back into Python), an unknown strategy, one that
                samples without a bound, or an option out of its range.
            TypeError: an option that there is not, or of another type.
            ScheduleError: ``schedule`` is not one of this program.
            Interrupted: Ctrl-C; it has what was found until then.
        """
        with self.search(**options) as search:
            try:
                with interrupts.held():
                    while search.running:
                        search.run(SLICE)
                        interrupts.check()
            except KeyboardInterrupt:
                raise Interrupted(search.result) from None
            return search.result
