# SPDX-License-Identifier: GPL-2.0-only
"""A machine on which a program has been set up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from memremap_emu.device import Bio, Device, Driver
from memremap_emu.device_state import first_device_page
from memremap_emu.drivers import PciDriver
from memremap_emu.errors import Blocked, KernelError, KernelPanic, TaskDied, ViolationRecord
from memremap_emu.exploration import Options
from memremap_emu.explore import Program as Tasks
from memremap_emu.handles import Object
from memremap_emu.kernel import Kernel
from memremap_emu.memory import MemoryType, Page
from memremap_emu.operations import (
    CALLS,
    STEPS,
    DeviceSpec,
    DriverSpec,
    Operation,
    ProgramError,
    TaskSpec,
)
from memremap_emu.replaying import watch
from memremap_emu.search import Search
from memremap_emu.trace import Event
from memremap_emu.versions import Selection, select

if TYPE_CHECKING:
    from typing import Unpack

    from memremap_emu.program import Program


@dataclass(frozen=True)
class Replayed:
    """What one schedule of a program gave.

    Attributes:
        violations: what it broke
        log: of the kernel, since the tasks began
        columns: what each task did when
        preemptions: steps that took the processor from somebody who could go on
        events: all that was recorded
    """

    violations: tuple[ViolationRecord, ...]
    log: tuple[str, ...]
    columns: str
    preemptions: int
    events: tuple[Event, ...] = ()


class Booted:
    """A machine on which a program has been set up, and its objects by name."""

    def __init__(self, program: Program, selection: Selection | None = None) -> None:
        self.program = program
        selection = selection or select(program.version)
        self.kernel = Kernel.select(
            selection,
            cpus=program.cpus,
            config=program.configuration(),
            on_violation="record",
            trace=False,
        )
        self._bound: dict[str, tuple[Driver, Device]] = {}
        self._objects: dict[str, Object] = {}
        #: Of each device: its first page that can be named, or why it has none.
        self._first: dict[str, int | ProgramError] = {}
        self._bios: dict[str, Bio] = {}
        try:
            self._set_up()
        except BaseException:
            self.kernel.close()
            raise

    def close(self) -> None:
        """Destroys the machine."""
        self.kernel.close()

    def __enter__(self) -> Booted:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- set-up ---

    def _set_up(self) -> None:
        k, p = self.kernel, self.program
        for start, end, name in p.ranges:
            try:
                k.iomem.add(start, end, name)
            except (KernelError, ValueError) as e:
                number = p.ranges.index((start, end, name))
                raise ProgramError(f"memory[{number}]", str(e).splitlines()[0]) from None
        for driver in p.drivers:
            self._bound[driver.name] = self._own(driver)
        for spec in p.devices:
            try:
                self._bound[spec.name] = self._builtin(spec)
            except (KernelError, ValueError) as e:
                raise ProgramError(f"devices.{spec.name}", str(e).splitlines()[0]) from None
        makers: dict[str, Callable[[str], Object]] = {
            "mutex": k.mutex,
            "spinlock": k.spinlock,
            "completion": k.completion,
            "percpu_ref": lambda name: k.percpu_ref(name=name),
            "ref_test": lambda name: k.ref_test(),
        }
        for name, kind in p.objects:
            self._objects[name] = makers[kind](name)
        self._find_pages()
        for operation in (*p.prepared, *(o for task in p.tasks for o in task.operations)):
            if CALLS[operation.call].pages:
                self._pfn(operation)
        for number, operation in enumerate(p.prepared):
            try:
                self._prepare(operation)
            except (KernelError, ValueError, Blocked, TaskDied, KernelPanic) as e:
                raise ProgramError(f"setup[{number}]", str(e).splitlines()[0]) from None
        if k.violations:
            raise ProgramError("setup", f"breaks a rule by itself: {k.violations[0]}")

    def _builtin(self, spec: DeviceSpec) -> tuple[Driver, Device]:
        made = self.kernel.driver(spec.driver, mode=spec.mode, altmap=spec.altmap)
        if spec.driver == "hmm":
            return made.driver, made.device(size=spec.size)
        return made.driver, made.device(spec.start, spec.size)

    def _own(self, spec: DriverSpec) -> tuple[Driver, Device]:
        k, native = self.kernel, self.kernel._native
        handle = native.call(
            "listed_driver_new",
            native.intern(spec.name),
            spec.start,
            spec.start + spec.size - 1,
            MemoryType[spec.type.upper()],
        )
        driver = Driver(k, handle)
        actions = [name for name, _ in spec.actions]
        numbers = list(STEPS)
        for _, event, steps in spec.lists():
            for step in steps:
                arg = step.args[0] if step.args else 0
                number = actions.index(arg) if isinstance(arg, str) else arg
                driver._call("listed_driver_step", event, numbers.index(step.call), number)
        driver.register()
        k.autoprobe(False)
        device = k.device(f"{spec.name}.0")
        k.autoprobe(True)
        return driver, device

    def _find_pages(self) -> None:
        """Where the pages of each device are: it is bound once, by itself."""
        for name, (driver, device) in self._bound.items():
            fresh = self.kernel.snapshot()
            try:
                driver.bind(device)
                self._first[name] = self._first_page(name)
            except ProgramError as e:
                self._first[name] = e
            except (KernelError, Blocked, TaskDied, KernelPanic) as e:
                reason = f"does not bind: {str(e).splitlines()[0]}"
                self._first[name] = ProgramError(self._path(name), reason)
            finally:
                fresh.restore()
                fresh.drop()

    def _spec(self, name: str) -> DeviceSpec | DriverSpec:
        specs: list[DeviceSpec | DriverSpec] = [*self.program.devices, *self.program.drivers]
        return next(spec for spec in specs if spec.name == name)

    def _path(self, name: str) -> str:
        return f"{'devices' if isinstance(self._spec(name), DeviceSpec) else 'drivers'}.{name}"

    def _first_page(self, name: str) -> int:
        k, spec = self.kernel, self._spec(name)
        start, size = spec.start, spec.size
        if isinstance(spec, DeviceSpec) and spec.driver == "hmm":
            devmem = PciDriver(k, "hmm").devmem(self._bound[name][1])
            start = devmem.pfn_first << k.config.page_shift
        pfn = first_device_page(k, start, size)
        if pfn is None:
            raise ProgramError(self._path(name), "has no struct pages of its own")
        return pfn

    def _pfn(self, operation: Operation) -> int:
        """ProgramError for a page of a device that has none; a lookup may look for it."""
        name, number = str(operation.args[0]), int(operation.args[1])
        first = self._first[name]
        if isinstance(first, ProgramError):
            spec = self._spec(name)
            if CALLS[operation.call].pages or not spec.start:
                raise first
            first = (spec.start + spec.size // 8 * 6) >> self.kernel.config.page_shift
        return first + number

    def _prepare(self, operation: Operation) -> None:
        if CALLS[operation.call].kinds[:1] == ("device",):
            name = str(operation.args[0])
            driver, device = self._bound[name]
            if operation.call == "bind":
                driver.bind(device)
            elif operation.call == "unbind":
                driver.unbind(device)
            elif operation.call == "submit_bio":
                self._bios[name] = device.submit_bio(0, 4096, write=True)
            elif operation.call in ("blk_mq_freeze_queue", "blk_mq_unfreeze_queue"):
                device._call(CALLS[operation.call].operation)
            else:
                page = Page(self.kernel, self._pfn(operation))
                page.get() if operation.call == "get_page" else page.put()
            return
        number, args = self._machine_call(operation)
        self.kernel._native.call(number, *args)

    def _machine_call(self, operation: Operation) -> tuple[str, list[int]]:
        """Operation of the machine and its arguments."""
        call = CALLS[operation.call]
        args: list[int] = []
        match operation.call:
            case "bind" | "unbind":
                driver, device = self._bound[str(operation.args[0])]
                args = [
                    driver._handle,
                    self.kernel._native.intern(device.name),
                    device._handle,
                ]
            case "get_page" | "put_page":
                args = [self._pfn(operation)]
            case "expect_mapped":
                args = [self._bound[str(operation.args[0])][1]._handle, self._pfn(operation)]
            case "get_dev_pagemap" | "watched_lookup":
                args = [self._pfn(operation), operation.call == "watched_lookup"]
            case "fault":
                args = [self._pfn(operation), 1]
            case "blk_mq_freeze_queue" | "blk_mq_unfreeze_queue":
                args = [self._bound[str(operation.args[0])][1]._handle]
            case "use_p2pmem":
                args = [self._bound[str(operation.args[0])][1]._handle, 1]
            case "bio_endio":
                args = [self._bios[str(operation.args[0])]._handle]
            case "percpu_ref_kill":
                args = [self._objects[str(operation.args[0])]._handle, 0]
            case _:
                args = [self._objects[str(arg)]._handle for arg in operation.args]
        return call.operation, args

    # --- tasks ---

    def tasks(self, specs: Sequence[TaskSpec] | None = None) -> Tasks:
        """The tasks, ready to be explored from the state that the machine is in.

        Args:
            specs: these instead of the program's, of a program that has been checked

        Raises:
            ProgramError: an I/O ends that was not begun, a page is used that there is not.
        """
        tasks = Tasks(self.kernel)
        for spec in self.program.tasks if specs is None else specs:
            task = tasks.task(spec.name, cpu=spec.cpu)
            for number, operation in enumerate(spec.operations):
                try:
                    call, args = self._machine_call(operation)
                except KeyError:
                    raise ProgramError(
                        f"tasks.{spec.name}.do[{number}]", "no I/O of this device is in flight"
                    ) from None
                task.call(call, *args)
        return tasks

    def search(self, **options: Unpack[Options]) -> Search:
        """A search that runs piece by piece."""
        return self.tasks().search(**options)

    def replay(self, schedule: bytes) -> Replayed:
        """Runs one schedule; the machine is left in the state that it leads to."""
        first = len(self.kernel.dmesg)
        names = [task.name for task in self.program.tasks]
        objects = {object._handle: name for name, object in self._objects.items()}
        watched = watch(self.kernel, self.tasks(), names, schedule, objects)
        return Replayed(
            tuple(f.record for f in watched.exploration.found),
            tuple(self.kernel.dmesg[first:]),
            watched.columns,
            watched.exploration.preemptions,
            watched.events,
        )


class SetUps:
    """Machines that have been set up, kept for the next program with the same set-up.

    A search leaves a machine in the state that it found it in, so that one machine does for
    many tasks.  `Booted.replay` does not: it needs one of its own.

    Args:
        most: so many are kept, those that were used last
    """

    def __init__(self, most: int = 32) -> None:
        self._most = most
        self._booted: dict[Program, Booted] = {}

    def of(self, program: Program) -> Booted:
        """The machine for a program; `Booted.tasks` wants the program's tasks.

        Raises:
            ProgramError: as of `Program.boot`.
        """
        program.check()
        setup = replace(program, tasks=())
        booted = self._booted.pop(setup, None) or Booted(setup)
        self._booted[setup] = booted
        while len(self._booted) > self._most:
            self._booted.pop(next(iter(self._booted))).close()
        return booted

    def __len__(self) -> int:
        return len(self._booted)

    def programs(self) -> list[Program]:
        """The set-ups, as programs without tasks, the one used last at the end."""
        return list(self._booted)

    def close(self) -> None:
        """Destroys them."""
        while self._booted:
            self._booted.popitem()[1].close()

    def __enter__(self) -> SetUps:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
