# SPDX-License-Identifier: GPL-2.0-only
"""Every interleaving: programs of several tasks, explored by the machine."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from memremap_emu._native import signed
from memremap_emu.device import Bio, Device, Driver
from memremap_emu.drivers import BuiltinDriver
from memremap_emu.errors import ViolationRecord
from memremap_emu.handles import Object
from memremap_emu.memory import Page, PageMap
from memremap_emu.percpu_ref import PerCpuRef
from memremap_emu.sync import Completion, Mutex, SpinLock

if TYPE_CHECKING:
    from memremap_emu.kernel import Kernel


class Outcome(Enum):
    """How an exploration ended."""

    EXHAUSTED = 0
    VIOLATION = 1
    BOUND = 2
    TOO_LONG = 3
    REFUSED = 4
    MISMATCH = 5


class ScheduleError(ValueError):
    """A schedule that is not one of the program it was given with."""


class Strategy(Enum):
    """Which schedules an exploration runs, and in which order; see csrc/emu/strategy.c.

    ``DPOR``, ``DFS`` and ``PREEMPTIONS`` are searches that end, ``PCT`` and ``RANDOM`` sample.
    """

    DPOR = 0
    DFS = 1
    PREEMPTIONS = 2
    PCT = 3
    RANDOM = 4


@dataclass(frozen=True)
class Found:
    """A violation of some executions; violations that differ in numbers only are one.

    Attributes:
        record: as the first of these executions gave it
        execution: number of that execution, from 1
        executions: how many gave it
        schedule: process of each step of the first of them
    """

    record: ViolationRecord
    execution: int
    executions: int
    schedule: bytes


@dataclass(frozen=True)
class Exploration:
    """What an exploration has found.

    Attributes:
        outcome: how it ended
        exhaustive: every schedule was covered, up to equivalence, without a bound
        executions: complete executions
        asleep: executions given up because everything that followed had been seen
        steps: visible operations, all executions together
        violating: complete executions in which a rule was broken
        first_violation: number of the first of them, 0 none
        final_states: distinct states at the end of an execution (up to 4096 are told apart)
        final_hash: hash of the set of them
        violations: what the first of them broke
        schedule: process of each step of the first of them
        found: every distinct violation, up to sixteen, in the order in which they came
        fallible_calls: of the execution that met most
    """

    outcome: Outcome
    executions: int
    asleep: int
    steps: int
    violating: int
    first_violation: int
    final_states: int
    final_hash: int
    violations: tuple[ViolationRecord, ...]
    schedule: bytes
    found: tuple[Found, ...] = ()
    fallible_calls: int = 0

    @property
    def exhaustive(self) -> bool:
        """True only when the whole reduced space was covered without a bound."""
        return self.outcome is Outcome.EXHAUSTED


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
                numbers.append(arg._handle)
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
        return self.call("get_page", page.pfn)

    def put_page(self, page: Page) -> ProgramTask:
        """put_page()."""
        return self.call("put_page", page.pfn)

    def lookup(self, pfn: int) -> ProgramTask:
        """get_dev_pagemap() and, if it finds one, put_dev_pagemap()."""
        return self.call("get_dev_pagemap_loop", pfn, 1, 1)

    def bind(self, driver: Driver | BuiltinDriver, device: Device) -> ProgramTask:
        """Writes to the driver's ``bind`` file."""
        target = driver.driver if isinstance(driver, BuiltinDriver) else driver
        return self.call("bind_store", target, device.name, device)

    def unbind(self, driver: Driver | BuiltinDriver, device: Device) -> ProgramTask:
        """Writes to the driver's ``unbind`` file."""
        target = driver.driver if isinstance(driver, BuiltinDriver) else driver
        return self.call("unbind_store", target, device.name, device)

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
        task = ProgramTask(self._kernel, name, cpu)
        self.tasks.append(task)
        return task

    def explore(
        self,
        *,
        max_executions: int = 0,
        max_seconds: float = 0.0,
        stop_at_violation: bool = True,
        check_quiescence: bool = False,
        strategy: Strategy | str = Strategy.DPOR,
        max_preemptions: int = 2,
        seed: int = 0,
        schedule: bytes = b"",
    ) -> Exploration:
        """Runs the program over its schedules, unless told otherwise depth first with
        partial-order reduction.

        The kernel is afterwards in the state of the first violating execution if
        ``stop_at_violation`` ended it, else in the state it was in before.

        Args:
            max_executions: give up after so many complete executions, 0 never
            max_seconds: give up after so long, 0 never
            stop_at_violation: end with the first execution that breaks a rule
            check_quiescence: judge what is left behind at the end of each execution
            strategy: a `Strategy` or its name in lower case; only a search that was neither
                bounded nor sampled is ``exhaustive``
            max_preemptions: of ``PREEMPTIONS``: steps that take the processor from somebody who
                could go on; of ``PCT``: changes of priority, 16 at most
            seed: of ``PCT`` and ``RANDOM``
            schedule: replay this schedule instead

        Raises:
            ValueError: no task, too many, the plain build, an operation that cannot be
                explored (one that calls back into Python), an unknown strategy, or one that
                samples without a bound.
            ScheduleError: ``schedule`` is not one of this program.
        """
        if isinstance(strategy, str):
            if strategy.upper() not in Strategy.__members__:
                known = ", ".join(name.lower() for name in Strategy.__members__)
                raise ValueError(f"unknown strategy {strategy!r}; known: {known}")
            strategy = Strategy[strategy.upper()]
        native = self._kernel._native
        ffi = native.ffi
        keep: list[Any] = []
        tasks = ffi.new("struct emu_program_task[]", len(self.tasks) or 1)
        for i, task in enumerate(self.tasks):
            name = ffi.new("char[]", task.name.encode())
            ops = ffi.new("struct emu_op[]", len(task.operations) or 1)
            for j, (operation, args) in enumerate(task.operations):
                ops[j].op = native.library.ops[operation].number
                ops[j].nargs = len(args)
                for n, value in enumerate(args):
                    ops[j].args[n] = value
            keep += [name, ops]
            tasks[i].name = name
            tasks[i].cpu = task.cpu
            tasks[i].ops = ops
            tasks[i].nr_ops = len(task.operations)
        steps = ffi.new("uint8_t[]", schedule or b"\0")
        options = ffi.new(
            "struct emu_explore_options *",
            {
                "max_executions": max_executions,
                "max_seconds": max_seconds,
                "stop_at_violation": int(stop_at_violation),
                "check_quiescence": int(check_quiescence),
                "strategy": strategy.value,
                "max_preemptions": max_preemptions,
                "seed": seed,
                "schedule": steps,
                "schedule_length": len(schedule),
            },
        )
        result = ffi.new("struct emu_explore_result *")
        status = native.lib.emu_explore(native.m, tasks, len(self.tasks), options, result)
        violations = tuple(native.violations(since_call=True)) if status & 256 else ()
        native.check(status & ~256)
        if Outcome(result.status) is Outcome.MISMATCH:
            raise ScheduleError(
                f"the schedule does not fit the program: at step {result.schedule_length} of "
                f"{len(schedule)} the process that it names cannot go on"
            )
        if Outcome(result.status) is Outcome.REFUSED:
            raise ValueError("the program contains an operation that cannot be explored")
        length = min(int(result.schedule_length), 4096)
        return Exploration(
            outcome=Outcome(result.status),
            executions=int(result.executions),
            asleep=int(result.asleep),
            steps=int(result.steps),
            violating=int(result.violating),
            first_violation=int(result.first_violation),
            final_states=int(result.final_states),
            final_hash=int(result.final_hash),
            violations=violations,
            schedule=bytes(ffi.buffer(result.schedule, length)) if result.violating else b"",
            found=tuple(
                Found(
                    ViolationRecord(
                        kind=native.text(native.lib.emu_violation_kind_name(v.kind)),
                        message=native.text(v.message),
                        func=native.text(v.func),
                    ),
                    int(v.execution),
                    int(v.executions),
                    bytes(ffi.buffer(v.schedule, min(int(v.schedule_length), 4096))),
                )
                for v in result.found[0 : result.nr_found]
            ),
            fallible_calls=int(result.fallible_calls),
        )
