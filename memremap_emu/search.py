# SPDX-License-Identifier: GPL-2.0-only
"""A search over the schedules of a program, run piece by piece, saved and gone on with."""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from memremap_emu import position
from memremap_emu._native import CLOSED, VIOLATION, Native, violation_kinds
from memremap_emu.errors import ViolationRecord
from memremap_emu.exploration import (
    Bound,
    Event,
    Exploration,
    Found,
    Options,
    Outcome,
    ScheduleError,
    Step,
    Strategy,
)
from memremap_emu.lock_orders import LockOrder
from memremap_emu.stacks import Stack, Stacks

if TYPE_CHECKING:
    from memremap_emu.explore import ProgramTask

#: Seconds that a search runs before Python looks for signals.
SLICE = 0.1
#: Distinct violations that a search keeps.
MAX_FOUND = 64
#: Failing calls of one execution that a search chooses, at most.
MAX_FAULTS = 4
_MAX_STEPS = 4096
#: Functions between a visible operation and the scheduler; they name nothing.
_OF_THE_MACHINE = (
    *("explore_", "__tsan_", "__lock", "object_free", "_raw_spin_lock_irqsave"),
    *("page_access", "load_page", "0x"),
)


def _event(event: Any) -> Event:
    access = ("none", "read", "write", "acquire", "free", "release")[event.kind]
    return Event(int(event.proc), int(event.number), access)


_P = ParamSpec("_P")
_T = TypeVar("_T")


def _alone(method: Callable[Concatenate[Search, _P], _T]) -> Callable[Concatenate[Search, _P], _T]:
    """Makes it a method of an open search that nobody else is using."""

    @wraps(method)
    def call(self: Search, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with self._inside():
            self._result()
            return method(self, *args, **kwargs)

    return call


class Search:
    """A search over the schedules of a program that runs piece by piece.

    Between two pieces the kernel is in the state that the search began in; what is done to it
    then is undone when the search goes on.  `save` writes down how far it has come, `load` goes on
    from there, in another process if need be.  It is for one thread at a time: what another one
    asks of it meanwhile, but for its `result` so far, is a RuntimeError.
    """

    def __init__(self, native: Native, tasks: Sequence[ProgramTask], options: Options) -> None:
        ffi = self._ffi = native.ffi
        self._native = native
        self._options = _numbers(options)
        self._given = options
        self._schedule = schedule = options.get("schedule", b"")
        self._search: Any = None
        self._used = threading.Lock()
        #: One for each thread that looks at the result.
        self._looking: list[None] = []
        #: The search, closed, if another thread may still look at its result.
        self._closed: Any = None
        keep: list[Any] = []
        given_tasks = ffi.new("struct emu_program_task[]", len(tasks) or 1)
        for given, task in zip(given_tasks, tasks, strict=False):
            name = ffi.new("char[]", task.name.encode())
            ops = ffi.new("struct emu_op[]", len(task.operations) or 1)
            for op, (operation, args) in zip(ops, task.operations, strict=False):
                op.op = native.library.ops[operation].number
                op.nargs = len(args)
                op.args[0 : len(args)] = args
            keep += [name, ops]
            given.name = name
            given.cpu = task.cpu
            given.ops = ops
            given.nr_ops = len(task.operations)
        self._tasks = [(task.name, task.cpu, tuple(task.operations)) for task in tasks]
        steps = ffi.new("uint8_t[]", schedule or b"\0")
        given_options = ffi.new(
            "struct emu_explore_options *",
            self._options | {"schedule": steps, "schedule_length": len(schedule)},
        )
        out = ffi.new("emu_search **")
        native.check(
            native.lib.emu_search_new(native.machine, given_tasks, len(tasks), given_options, out)
        )
        self._search = out[0]
        self._violations: tuple[ViolationRecord, ...] = ()

    def close(self) -> None:
        """Gives back what it holds; closing twice is allowed.

        Raises:
            RuntimeError: it is running in another thread.
        """
        with self._inside():
            search, self._search = self._search, None
            if search is None:
                return
            if self._looking:
                self._closed = search
            else:
                self._free(search)

    def _free(self, search: Any) -> None:
        self._native.lib.emu_search_free(search, not self._native.m)

    def __del__(self) -> None:
        for search in (getattr(self, "_search", None), getattr(self, "_closed", None)):
            if search is not None:
                self._free(search)

    def __enter__(self) -> Search:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """What C uses must not be taken away by another thread meanwhile."""
        if not self._used.acquire(blocking=False):
            raise RuntimeError("the search is being used by another thread")
        try:
            yield
        finally:
            self._used.release()

    @contextmanager
    def _look(self) -> Iterator[Any]:
        """The result, which is there until the last who looks at it has seen it."""
        self._looking.append(None)
        try:
            yield self._result()
        finally:
            self._looking.pop()

    def _result(self) -> Any:
        if self._search is None:
            raise ValueError("the search has been closed")
        return self._native.lib.emu_search_result(self._search)

    @property
    def running(self) -> bool:
        """There is more to be done."""
        with self._look() as result:
            return Outcome(result.status) is Outcome.RUNNING

    @_alone
    def run(
        self,
        seconds: float = 0.0,
        *,
        pause: int = 0,
        hurry: Any = None,
        least: float = 0.0,
    ) -> None:
        """Goes on for so long, 0: to the end.

        It comes back as well when another process is about to be tried at one of the first
        ``pause`` steps, and, after ``least`` seconds, when somebody sets the one byte of the buffer
        ``hurry``.

        Raises:
            ValueError, ScheduleError: as of `Program.explore`.
            MachineClosed: the kernel has been closed.
            RuntimeError: it is running in another thread.
        """
        native, result = self._native, self._result()
        status = CLOSED
        if native.m:
            byte = self._ffi.NULL if hurry is None else self._ffi.from_buffer(hurry)
            status = native.lib.emu_search_run(self._search, seconds, pause, byte, least)
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
    @_alone
    def room(self) -> int:
        """Executions that it may `take_over`, at most."""
        return int(self._native.lib.emu_search_room(self._search))

    @property
    @_alone
    def settled(self) -> int:
        """First steps that were chosen before the last `run` and stayed."""
        return int(self._native.lib.emu_search_settled(self._search))

    @property
    def result(self) -> Exploration:
        """What it has found so far."""
        with self._look() as result:
            return self._exploration(result)

    def _exploration(self, result: Any) -> Exploration:
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
            bounds=Bound(result.bounds)
            | (Bound.VIOLATIONS if result.nr_found == MAX_FOUND else Bound.NONE),
            preemptions=int(result.preemptions),
            estimate=float(result.estimate) or None,
        )

    @_alone
    def final_states(self) -> list[int]:
        """Hashes of the states in which executions have ended, 4096 at most."""
        place = self._position()
        return list(place.final[0 : place.nr_final])

    @_alone
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

    @_alone
    def orders(self) -> frozenset[tuple[Event, Event]]:
        """Every two steps that depend on each other, in each order in which they came.

        Of complete executions, of a search with the option ``orders``; what came before `load` is
        not among them.  A search that leaves out only what is equivalent to something that it
        has seen sees the same orders as one that leaves out nothing.  ``CACHE`` and ``PHASES`` see
        fewer: they do not look again at what follows a state.

        Raises:
            ValueError: it was not to remember them.
            MemoryError: there were too many.
        """
        lib = self._native.lib
        if not self._options["orders"]:
            raise ValueError("the search was made without the option orders")
        n = lib.emu_search_orders(self._search, self._ffi.NULL, 0)
        if n < 0:
            raise MemoryError("too many orders")
        found = self._ffi.new("struct emu_search_order[]", n or 1)
        lib.emu_search_orders(self._search, found, n)
        return frozenset((_event(order.first), _event(order.second)) for order in found[0:n])

    @_alone
    def stacks(self) -> list[Stacks]:
        """Of a schedule that was replayed: stacks of what accesses and frees have broken.

        Those of the last execution, if the schedule has several.
        """
        native, found = self._native, list[Stacks]()
        given = self._ffi.new("struct emu_violation_stacks *")
        while not native.lib.emu_search_stacks(self._search, len(found), given):
            stacks = (
                Stack.from_c(stack, native.text, native.symbol)
                for stack in given.stacks[0 : given.nr]
            )
            kind = native.text(native.lib.emu_violation_kind_name(given.violation))
            found.append(Stacks(kind, native.text(given.message), tuple(stacks)))
        return found

    @_alone
    def lock_orders(self) -> list[LockOrder]:
        """In which orders its executions took locks, each order of each task once.

        What waits for a completion is an order of the locks of who waits and who completes.
        """
        return self._lock_orders()

    def _lock_orders(self) -> list[LockOrder]:
        order = self._ffi.new("struct emu_lock_order *")
        lib, found = self._native.lib, list[LockOrder]()
        while not lib.emu_search_lock_order(self._search, len(found), order):
            found.append(LockOrder.from_c(order, self._native.text))
        return found

    @_alone
    def learn(self, orders: Iterable[LockOrder]) -> None:
        """Takes over what parts of this search that ran elsewhere have seen.

        Raises:
            ValueError: that is none of this program, or there are too many locks.
        """
        self._learn(orders)

    def _learn(self, orders: Iterable[LockOrder]) -> None:
        given = self._ffi.new("struct emu_lock_order *")
        for order in orders:
            try:
                order.to_c(given)
            except (AttributeError, IndexError, OverflowError, TypeError) as e:
                raise ValueError(f"cannot be learnt: {e}") from None
            if self._native.lib.emu_search_learn(self._search, given):
                raise ValueError(f"cannot be learnt: {order}")

    # --- stopping and going on ---

    @_alone
    def save(self) -> dict[str, Any]:
        """How far it has come, as JSON: for `load` of the same program and options.

        Raises:
            ValueError: it samples or caches states: such a search has no position.
            MemoryError: an item has found more than it can tell whoever takes it over.
        """
        check_position(self._given)
        return {
            "schema": position.SCHEMA,
            "program": self._digest(),
            "options": self._options,
            **position.as_document(self._native, self._position(), self._result()),
            "lock_orders": [order.to_json() for order in self._lock_orders()],
        }

    @_alone
    def load(self, saved: dict[str, Any]) -> None:
        """Goes on where another search was saved; it must not have run yet.

        Raises:
            ValueError: it was another program, another set-up or other options, or the data are
                damaged.
        """
        check_position(self._given)
        if not isinstance(saved, dict) or saved.get("schema") != position.SCHEMA:
            raise ValueError("not a saved search")
        if saved.get("program") != self._digest():
            raise ValueError("the search was saved for another program or another set-up")
        options = saved.get("options")
        if not isinstance(options, dict):
            raise ValueError("the saved search is damaged: no options")
        for name, value in self._options.items():
            if name not in _BOUNDS and options.get(name) != value:
                raise ValueError(f"the search was saved with another {name}")
        place, result, orders = position.from_document(self._native, saved)
        if self._native.lib.emu_search_continue(self._search, place, result):
            raise ValueError("the saved search is damaged")
        self._learn(orders)

    @_alone
    def extend(self, max_executions: int) -> None:
        """Goes on, when it has come to its bound of executions or seconds, up to so many; 0: all.

        Raises:
            ValueError: it has not, or no such number.
        """
        most = _whole("max_executions", max_executions)
        if self._native.lib.emu_search_extend(self._search, most):
            raise ValueError("the search has not come to a bound")

    @_alone
    def take_over(self, saved: dict[str, Any]) -> None:
        """What an item has found becomes part of this search, which has come to its choice.

        To be run before it is saved; see `memremap_emu.parallel`.

        Raises:
            ValueError: it is another choice, or the search would have come to a bound before.
        """
        place, result, orders = position.from_document(self._native, saved)
        if self._native.lib.emu_search_take_over(self._search, place, result):
            raise ValueError("what this item has found does not fit the search")
        self._learn(orders)

    def _position(self) -> Any:
        place = self._ffi.new("struct emu_search_position *")
        if self._native.lib.emu_search_position(self._search, place):
            raise MemoryError("more violations or races than there is room for")
        return place

    @property
    def has_position(self) -> bool:
        """It can be saved and gone on with: it neither samples nor caches states."""
        return _no_position(self._given) is None

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


_BOUNDS = (
    "max_executions",
    "worthwhile",
    "max_seconds",
    "reexecute",
    "orders",
    "stop_at_success",
    "unbroken",
)


def _no_position(options: Options) -> str | None:
    """Why there is no saying where a search with these options stands; None: there is."""
    if options.get("schedule"):
        return "a schedule"
    strategy = _strategy(options)
    if strategy in (
        Strategy.PCT,
        Strategy.RANDOM,
        Strategy.CACHE,
        Strategy.GUIDED,
        Strategy.PHASES,
    ):
        return strategy.name.lower()
    return None


def check_position(options: Options) -> None:
    """Raises ValueError if a search samples, follows a schedule or caches states."""
    reason = _no_position(options)
    if reason is not None:
        raise ValueError(
            f"a search with {reason} has no position: it can be neither saved nor shared"
        )


def _numbers(options: Options) -> dict[str, float]:
    """The options as the machine takes them; TypeError, ValueError for what it does not."""
    unknown = [name for name in options if name not in Options.__annotations__]
    if unknown:
        raise TypeError(f"no option {unknown[0]!r}; known: {', '.join(Options.__annotations__)}")
    success = options.get("stop_at_success", False)
    seconds = options.get("max_seconds", 0.0)
    if not 0 <= seconds < math.inf:
        raise ValueError(f"max_seconds is {seconds}: must be a number from 0 on, 0 for no bound")
    return {
        "max_executions": _whole("max_executions", options.get("max_executions", 0)),
        "worthwhile": _whole("worthwhile", options.get("worthwhile", 0)),
        "max_seconds": seconds,
        "stop_at_violation": int(options.get("stop_at_violation", True)),
        "stop_at_success": int(bool(success)),
        "unbroken": _kind(success) if isinstance(success, str) else 0,
        "under": int(options.get("under", False)),
        "check_quiescence": int(options.get("check_quiescence", False)),
        "strategy": _strategy(options).value,
        "max_preemptions": _whole(
            "max_preemptions", options.get("max_preemptions", 2), (1 << 31) - 1
        ),
        "max_faults": _whole("max_faults", options.get("max_faults", 0), MAX_FAULTS),
        "seed": _whole("seed", options.get("seed", 0)),
        "reexecute": int(options.get("reexecute", False)),
        "orders": int(options.get("orders", False)),
    }


def _whole(name: str, value: int, most: int = (1 << 64) - 1) -> int:
    """A number from 0 to ``most``; TypeError, ValueError for any other."""
    if not isinstance(value, int):
        raise TypeError(f"{name} must be an int, is {value!r}")
    if not 0 <= value <= most:
        raise ValueError(f"{name} is {value}: must be 0 to {most}")
    return value


def _strategy(options: Options) -> Strategy:
    """ValueError if there is none of this name."""
    strategy = options.get("strategy", Strategy.DPOR)
    if isinstance(strategy, Strategy):
        return strategy
    if not isinstance(strategy, str) or strategy.upper() not in Strategy.__members__:
        known = ", ".join(name.lower() for name in Strategy.__members__)
        raise ValueError(f"unknown strategy {strategy!r}; known: {known}")
    return Strategy[strategy.upper()]


def _kind(name: str) -> int:
    """Number of a kind of violation, counted from 1; ValueError if there is none."""
    known = violation_kinds()
    if name not in known:
        raise ValueError(f"no kind of violation {name!r}; known: {', '.join(known)}")
    return known.index(name) + 1
