# SPDX-License-Identifier: GPL-2.0-only
"""Every interleaving: programs of several tasks, explored by the machine."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import Enum, IntFlag
from typing import TYPE_CHECKING, Any

from memremap_emu._native import CLOSED, VIOLATION, signed
from memremap_emu.device import Bio, Device, Driver
from memremap_emu.drivers import BuiltinDriver
from memremap_emu.errors import ViolationRecord
from memremap_emu.handles import Object
from memremap_emu.memory import Page, PageMap
from memremap_emu.percpu_ref import PerCpuRef
from memremap_emu.sync import Completion, Mutex, SpinLock

if TYPE_CHECKING:
    from memremap_emu.kernel import Kernel

#: Seconds that a search runs before Python looks for signals.
SLICE = 0.1
_MAX_STEPS = 4096


class Outcome(Enum):
    """How an exploration ended."""

    EXHAUSTED = 0
    VIOLATION = 1
    BOUND = 2
    TOO_LONG = 3
    REFUSED = 4
    MISMATCH = 5
    RUNNING = 6
    SUCCESS = 7


class Bound(IntFlag):
    """Why a search is not exhaustive.

    ``STEPS``: executions that were too long, they may never end; ``FAULTS``: of many calls alike
    the first, second, middle and last one have failed only, or some were made before the first
    visible operation; ``LOCKS``: more of them than the explorer can tell apart; ``SAMPLES``:
    schedules were drawn.
    """

    NONE = 0
    EXECUTIONS = 1
    SECONDS = 2
    PREEMPTIONS = 4
    STEPS = 8
    FAULTS = 16
    LOCKS = 32
    SAMPLES = 64


class ScheduleError(ValueError):
    """A schedule that is not one of the program it was given with."""


class Strategy(Enum):
    """Which schedules an exploration runs, and in which order; see csrc/emu/strategy.c.

    ``DPOR``, ``DFS``, ``SLEEP``, ``CACHE`` and ``PREEMPTIONS`` are searches that end, ``PCT`` and
    ``RANDOM`` sample; with ``GUIDED`` each byte of ``schedule`` says which of those who can go on
    goes.
    """

    DPOR = 0
    DFS = 1
    PREEMPTIONS = 2
    PCT = 3
    RANDOM = 4
    CACHE = 5
    SLEEP = 6
    GUIDED = 7


@dataclass(frozen=True)
class Found:
    """A violation of some executions; violations that differ in numbers only are one.

    Attributes:
        record: as the first of these executions gave it
        execution: number of that execution, from 1
        executions: how many gave it
        schedule: the first of them, as `Program.explore` takes it
    """

    record: ViolationRecord
    execution: int
    executions: int
    schedule: bytes


#: Functions between a visible operation and the scheduler; they name nothing.
_OF_THE_MACHINE = ("explore_", "__tsan_", "__lock", "acquire", "page_access", "load_page", "0x")


@dataclass(frozen=True)
class Step:
    """One step of a schedule.

    Attributes:
        process: who took it
        number: its how-manieth step, from 1
        functions: that led to the visible operation it began with, innermost first
        enabled: bit mask of who could have gone
    """

    process: int
    number: int
    functions: tuple[str, ...]
    enabled: int

    def __str__(self) -> str:
        return self.functions[0] + "()" if self.functions else "callback"


@dataclass(frozen=True)
class Exploration:
    """What an exploration has found.

    Attributes:
        outcome: how it ended
        exhaustive: every schedule was covered, up to equivalence, without a bound
        executions: complete executions
        asleep: executions given up because everything that followed had been seen
        cached: executions given up in a state that had been met, ``strategy="cache"``
        states: met, ``strategy="cache"``
        steps: visible operations, each counted once for all executions that share it
        max_depth: visible operations of the longest execution
        violating: complete executions in which a rule was broken
        first_violation: number of the first of them, 0 none
        final_states: distinct states at the end of an execution (up to 4096 are told apart)
        final_hash: hash of the set of them
        violations: what the first of them broke
        schedule: the first of them
        found: every distinct violation, up to sixteen, in the order in which they came
        fallible_calls: of the execution that met most
        bounds: what has left something out
        preemptions: of the last execution: steps that took the processor from somebody who could
            go on
        estimate: executions that the whole search may take if what is left is like what has been
            seen (Knuth's estimate), None: no idea, or it is over
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
    cached: int = 0
    states: int = 0
    max_depth: int = 0
    bounds: Bound = Bound.NONE
    preemptions: int = 0
    estimate: float | None = None

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

    def _kind(self, name: str) -> int:
        """Number of a kind of violation, counted from 1; ValueError if there is none."""
        native = self._kernel._native
        known: list[str] = []
        while (text := native.text(native.lib.emu_violation_kind_name(len(known)))) != "?":
            known.append(text)
        if name not in known:
            raise ValueError(f"no kind of violation {name!r}; known: {', '.join(known)}")
        return known.index(name) + 1

    def search(
        self,
        *,
        max_executions: int = 0,
        max_seconds: float = 0.0,
        stop_at_violation: bool = True,
        stop_at_success: bool | str = False,
        check_quiescence: bool = False,
        strategy: Strategy | str = Strategy.DPOR,
        max_preemptions: int = 2,
        max_faults: int = 0,
        seed: int = 0,
        schedule: bytes = b"",
        under: bool = False,
        reexecute: bool = False,
    ) -> Search:
        """A search that can be run piece by piece; arguments and errors as of `explore`."""
        if isinstance(strategy, str):
            if strategy.upper() not in Strategy.__members__:
                known = ", ".join(name.lower() for name in Strategy.__members__)
                raise ValueError(f"unknown strategy {strategy!r}; known: {known}")
            strategy = Strategy[strategy.upper()]
        options = {
            "max_executions": max_executions,
            "max_seconds": max_seconds,
            "stop_at_violation": int(stop_at_violation),
            "stop_at_success": int(bool(stop_at_success)),
            "unbroken": self._kind(stop_at_success) if isinstance(stop_at_success, str) else 0,
            "under": int(under),
            "check_quiescence": int(check_quiescence),
            "strategy": strategy.value,
            "max_preemptions": max_preemptions,
            "max_faults": max_faults,
            "seed": seed,
            "reexecute": int(reexecute),
        }
        return Search(self, options, schedule)

    def explore(
        self,
        *,
        max_executions: int = 0,
        max_seconds: float = 0.0,
        stop_at_violation: bool = True,
        stop_at_success: bool | str = False,
        check_quiescence: bool = False,
        strategy: Strategy | str = Strategy.DPOR,
        max_preemptions: int = 2,
        max_faults: int = 0,
        seed: int = 0,
        schedule: bytes = b"",
        under: bool = False,
        reexecute: bool = False,
    ) -> Exploration:
        """Runs the program over its schedules, unless told otherwise depth first with
        partial-order reduction.

        The kernel is afterwards in the state of the first violating execution if
        ``stop_at_violation`` ended it, else in the state it was in before.

        Args:
            max_executions: give up after so many complete executions, 0 never
            max_seconds: give up after so long, 0 never
            stop_at_violation: end with the first execution that breaks a rule
            stop_at_success: end with the first that breaks none or, given the kind of a
                violation, none of this kind
            check_quiescence: judge what is left behind at the end of each execution
            strategy: a `Strategy` or its name in lower case; only a search that was neither
                bounded nor sampled is ``exhaustive``
            max_preemptions: of ``PREEMPTIONS``: steps that take the processor from somebody who
                could go on; of ``PCT``: changes of priority, 16 at most
            max_faults: calls that fail in one execution, at most 4: which ones is searched like
                the schedule
            seed: of ``PCT`` and ``RANDOM``
            schedule: replay this schedule instead: the process of each step, behind it for each
                call that fails in it 0x80 and its number among those that may fail (from 127 on
                0xff for each 127 first)
            under: search all executions that begin with ``schedule``, instead
            reexecute: start every execution from its beginning, as a search does that cannot
                take steps back; the result is the same, later

        Raises:
            ValueError: no task, too many, the plain build, an operation that cannot be
                explored (one that calls back into Python), an unknown strategy, or one that
                samples without a bound.
            ScheduleError: ``schedule`` is not one of this program.
            Interrupted: Ctrl-C; it has what was found until then.
        """
        search = self.search(
            max_executions=max_executions,
            max_seconds=max_seconds,
            stop_at_violation=stop_at_violation,
            stop_at_success=stop_at_success,
            check_quiescence=check_quiescence,
            strategy=strategy,
            max_preemptions=max_preemptions,
            max_faults=max_faults,
            seed=seed,
            schedule=schedule,
            under=under,
            reexecute=reexecute,
        )
        with search:
            try:
                while search.running:
                    search.run(SLICE)
            except KeyboardInterrupt:
                raise Interrupted(search.result) from None
            return search.result


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during an exploration.

    Attributes:
        exploration: what had been found
    """

    def __init__(self, exploration: Exploration) -> None:
        super().__init__(f"interrupted after {exploration.executions} executions")
        self.exploration = exploration


class Search:
    """A search over the schedules of a program that runs piece by piece.

    Between two pieces the kernel is in the state that the search began in; what is done to it
    then is undone when the search goes on.  `save` writes down how far it has come, `load` goes on
    from there, in another process if need be.
    """

    def __init__(self, program: Program, options: dict[str, float], schedule: bytes) -> None:
        native = program._kernel._native
        ffi = self._ffi = native.ffi
        self._native = native
        self._options = options
        self._schedule = schedule
        self._search: Any = None
        keep: list[Any] = []
        tasks = ffi.new("struct emu_program_task[]", len(program.tasks) or 1)
        for i, task in enumerate(program.tasks):
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
        self._tasks = [(task.name, task.cpu, tuple(task.operations)) for task in program.tasks]
        steps = ffi.new("uint8_t[]", schedule or b"\0")
        given = ffi.new(
            "struct emu_explore_options *",
            options | {"schedule": steps, "schedule_length": len(schedule)},
        )
        out = ffi.new("emu_search **")
        native.check(
            native.lib.emu_search_new(native.machine, tasks, len(program.tasks), given, out)
        )
        self._search = out[0]
        self._violations: tuple[ViolationRecord, ...] = ()

    def close(self) -> None:
        """Gives back what it holds; closing twice is allowed."""
        if self._search is not None:
            self._native.lib.emu_search_free(self._search, not self._native.m)
            self._search = None

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Search:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _result(self) -> Any:
        if self._search is None:
            raise ValueError("the search has been closed")
        return self._native.lib.emu_search_result(self._search)

    @property
    def running(self) -> bool:
        """There is more to be done."""
        return Outcome(self._result().status) is Outcome.RUNNING

    def run(self, seconds: float = 0.0) -> None:
        """Goes on for so long, 0: to the end.

        Raises:
            ValueError, ScheduleError: as of `Program.explore`.
            MachineClosed: the kernel has been closed.
        """
        native, result = self._native, self._result()
        status = native.lib.emu_search_run(self._search, seconds) if native.m else CLOSED
        if status & VIOLATION:
            self._violations = tuple(native.violations(since_call=True))
        native.check(status & ~VIOLATION)
        outcome = Outcome(result.status)
        if outcome is Outcome.MISMATCH:
            raise ScheduleError(
                f"the schedule does not fit the program: at step {result.schedule_length} of "
                f"{len(self._schedule)} the process that it names cannot go on"
            )
        if outcome is Outcome.REFUSED:
            raise ValueError("the program contains an operation that cannot be explored")

    @property
    def result(self) -> Exploration:
        """What it has found so far."""
        result = self._result()
        native, ffi = self._native, self._ffi
        return Exploration(
            outcome=Outcome(result.status),
            executions=int(result.executions),
            asleep=int(result.asleep),
            steps=int(result.steps),
            violating=int(result.violating),
            first_violation=int(result.first_violation),
            final_states=int(result.final_states),
            final_hash=int(result.final_hash),
            violations=self._violations,
            schedule=bytes(ffi.buffer(result.schedule, result.schedule_length))
            if result.violating or result.status == Outcome.SUCCESS.value
            else b"",
            found=tuple(
                Found(
                    ViolationRecord(
                        kind=native.text(native.lib.emu_violation_kind_name(v.kind)),
                        message=native.text(v.message),
                        func=native.text(v.func),
                    ),
                    int(v.execution),
                    int(v.executions),
                    bytes(ffi.buffer(v.schedule, v.schedule_length)),
                )
                for v in result.found[0 : result.nr_found]
            ),
            fallible_calls=int(result.fallible_calls),
            cached=int(result.cached),
            states=int(result.states),
            max_depth=int(result.max_depth),
            bounds=Bound(result.bounds),
            preemptions=int(result.preemptions),
            estimate=float(result.estimate) or None,
        )

    def path(self) -> list[Step]:
        """Of a schedule that was replayed: who took each step, and from where."""
        frames = self._ffi.new("struct emu_search_frames[]", _MAX_STEPS)
        n = self._native.lib.emu_search_path(self._search, frames, _MAX_STEPS)
        counts: dict[int, int] = {}
        found = []
        for step in frames[0:n]:
            counts[step.proc] = counts.get(step.proc, 0) + 1
            names = [self._native.symbol(pc) for pc in step.pc if pc]
            shown = [name for name in names if not name.startswith(_OF_THE_MACHINE)]
            found.append(Step(int(step.proc), counts[step.proc], tuple(shown), int(step.enabled)))
        return found

    # --- stopping and going on ---

    def save(self) -> dict[str, Any]:
        """How far it has come, as JSON: for `load` of the same program and options.

        Raises:
            ValueError: it samples or caches states: such a search has no position.
        """
        self._has_position()
        ffi, lib = self._ffi, self._native.lib
        steps = ffi.new("struct emu_search_step[]", _MAX_STEPS)
        final = ffi.new("uint64_t[]", _MAX_STEPS)
        nr_final, bound = ffi.new("uint32_t *"), ffi.new("uint32_t *")
        result = self._result()
        nr = lib.emu_search_position(self._search, steps, _MAX_STEPS, final, nr_final, bound)
        return {
            "schema": 1,
            "program": self._digest(),
            "options": self._options,
            "steps": [
                [
                    step.proc,
                    step.enabled,
                    step.backtrack,
                    step.done,
                    step.sleep,
                    list(step.fails[0 : step.nr_fails]),
                    list(step.limits[0 : step.nr_fails]),
                ]
                for step in steps[0:nr]
            ],
            "final": list(final[0 : nr_final[0]]),
            "bound": bound[0],
            "counts": {name: getattr(result, name) for name in _COUNTS},
            "schedule": list(result.schedule[0 : result.schedule_length]),
            "found": [
                {
                    "kind": v.kind,
                    "func": self._native.text(v.func),
                    "message": self._native.text(v.message),
                    "execution": v.execution,
                    "executions": v.executions,
                    "schedule": list(v.schedule[0 : v.schedule_length]),
                }
                for v in result.found[0 : result.nr_found]
            ],
        }

    def load(self, saved: dict[str, Any]) -> None:
        """Goes on where another search was saved; it must not have run yet.

        Raises:
            ValueError: it was another program, another set-up or other options, or the data are
                damaged.
        """
        self._has_position()
        ffi, lib = self._ffi, self._native.lib
        if not isinstance(saved, dict) or saved.get("schema") != 1:
            raise ValueError("not a saved search")
        if saved.get("program") != self._digest():
            raise ValueError("the search was saved for another program or another set-up")
        for name, value in self._options.items():
            if name not in _BOUNDS and saved.get("options", {}).get(name) != value:
                raise ValueError(f"the search was saved with another {name}")
        try:
            steps = ffi.new("struct emu_search_step[]", len(saved["steps"]) or 1)
            for step, data in zip(steps, saved["steps"], strict=False):
                step.proc, step.enabled, step.backtrack, step.done, step.sleep = data[:5]
                fails, limits = data[5:]
                step.nr_fails = len(fails)
                step.fails = fails
                step.limits = limits
            result = ffi.new("struct emu_explore_result *", saved["counts"])
            _fill_schedule(result, saved["schedule"])
            result.nr_found = len(saved["found"])
            for found, data in zip(result.found[0 : result.nr_found], saved["found"], strict=True):
                found.kind = data["kind"]
                found.func = data["func"].encode()
                found.message = data["message"].encode()
                found.execution = data["execution"]
                found.executions = data["executions"]
                _fill_schedule(found, data["schedule"])
            final = ffi.new("uint64_t[]", saved["final"] or [0])
            status = lib.emu_search_continue(
                self._search,
                steps,
                len(saved["steps"]),
                final,
                len(saved["final"]),
                saved["bound"],
                result,
            )
        except (KeyError, TypeError, IndexError, OverflowError, AttributeError, ValueError) as e:
            raise ValueError(f"the saved search is damaged: {type(e).__name__}: {e}") from None
        if status:
            raise ValueError("the saved search is damaged")

    def _has_position(self) -> None:
        strategy = Strategy(self._options["strategy"])
        if self._schedule or strategy in (
            Strategy.PCT,
            Strategy.RANDOM,
            Strategy.CACHE,
            Strategy.GUIDED,
        ):
            raise ValueError(f"a search with {strategy.name.lower()} has no position to go on from")

    def _digest(self) -> str:
        """Of the tasks and of the state that they start from."""
        native = self._native
        out = native.ffi.new("uint64_t *")
        native.check(native.lib.emu_state_hash(native.machine, out))
        text = json.dumps([self._tasks_by_name(), int(out[0])])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def _tasks_by_name(self) -> list[Any]:
        """Handles differ from process to process: what is left are names and numbers."""
        ops = self._native.library.ops
        return [
            [
                name,
                cpu,
                [
                    [call, [a for a, kind in zip(args, ops[call].args, strict=True) if kind == "i"]]
                    for call, args in operations
                ],
            ]
            for name, cpu, operations in self._tasks
        ]


_COUNTS = (
    "executions",
    "asleep",
    "too_long",
    "steps",
    "violating",
    "first_violation",
    "final_states",
    "final_hash",
    "fallible_calls",
    "bounds",
    "max_depth",
)
_BOUNDS = ("max_executions", "max_seconds", "reexecute", "stop_at_success", "unbroken")


def _fill_schedule(target: Any, schedule: list[int]) -> None:
    target.schedule_length = len(schedule)
    target.schedule = bytes(schedule)
