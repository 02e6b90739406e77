# SPDX-License-Identifier: GPL-2.0-only
"""The event trace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from struct import Struct
from typing import Any, NamedTuple

from memremap_emu._native import Native
from memremap_emu.handles import address


class EventType(IntEnum):
    """What happened."""

    FUNC = 1
    ALLOC = 2
    FREE = 3
    LOCK = 4
    UNLOCK = 5
    BLOCK = 6
    WAKE = 7
    RCU_QUEUE = 8
    RCU_RUN = 9
    PRINTK = 10
    UPCALL = 11
    FAULT = 12
    VIOLATION = 13
    TASK = 14
    FALLIBLE = 15
    OPERATION = 16
    NEXT = 17


class Event(NamedTuple):
    """One event.

    Attributes:
        type: what happened
        name: function entered, allocation site, lock, ...
        task: process id
        cpu: virtual CPU
        softirq: in softirq context
        argument: of an operation of a program: its first; of RCU_RUN: 0 RCU, 1 RCU-sched; of
            FALLIBLE: how many calls; of TASK, each task of a program that is explored, in the
            program's order: its process id
    """

    type: EventType
    name: str
    task: int
    cpu: int
    softirq: bool
    argument: int = 0


_TYPES = {int(kind): kind for kind in EventType}

#: One of `Trace.calls`: (FUNC, name, 1), (FALLIBLE, fault point, how many times in a row), or
#: (FAULT, fault point, 1).
Call = tuple[EventType, str, int]


def program_tasks(events: Iterable[Event]) -> list[int]:
    """Process ids of the tasks of the program that was explored, in the program's order.

    Not told by who is seen first: a task may have nothing to do.
    """
    return [event.argument for event in events if event.type is EventType.TASK]


#: What is put off, such as probing again what was deferred, and done by a task of its own.
WORKS = frozenset({"deferred_probe_work_func"})


class Trace:
    """Events so far; the machine keeps the last 32768."""

    _NAME_IN_A = frozenset((EventType.FAULT, EventType.FALLIBLE, EventType.OPERATION))
    _CALLS = (EventType.FUNC, EventType.FAULT, EventType.FALLIBLE)
    #: struct emu_event
    _EVENT = Struct("=HBBIQQQ")
    _ARGUMENT_IN_B = frozenset(
        (EventType.OPERATION, EventType.RCU_RUN, EventType.FALLIBLE, EventType.TASK)
    )
    _SYMBOL_IN_A = frozenset((EventType.FUNC, EventType.RCU_QUEUE, EventType.RCU_RUN))
    _NAME_IN_B = frozenset(
        (EventType.ALLOC, EventType.FREE, EventType.LOCK, EventType.UNLOCK, EventType.BLOCK)
    )

    def __init__(self, native: Native) -> None:
        self._native = native
        # Code and constants stay where they are: known once for all machines.
        self._symbols: dict[int, str] = native.library.symbols
        self._names: dict[int, str] = native.library.names
        self._function_ranges: dict[frozenset[str], Any] = native.library.function_ranges

    def enable(self, on: bool = True) -> None:
        """Starts or stops recording."""
        self._native.check(self._native.lib.emu_trace_enable(self._native.machine, int(on)))

    @property
    def position(self) -> int:
        """Number of events so far, to be passed to `events`."""
        return int(self._native.stats().trace_end)

    def events(self, start: int = 0) -> list[Event]:
        """Events from a position on."""
        native = self._native
        found = []
        texts: dict[int, str] = {}  # constants, and names that objects in the arena have now

        def text_at(address: int) -> str:
            if address not in texts:
                texts[address] = native.string_at(address)
            return texts[address]

        data = native.events(address(start, "start"))
        for number, cpu, softirq, task, _, a, b in self._EVENT.iter_unpack(data):
            kind = _TYPES[number]
            name = ""
            if kind in self._SYMBOL_IN_A:
                name = self._symbols.get(a) or native.symbol(a)
            elif kind in self._NAME_IN_A:
                name = text_at(a)
            elif kind in self._NAME_IN_B:
                name = text_at(b)
            elif kind is EventType.VIOLATION:
                name = native.text(native.lib.emu_violation_kind_name(a))
            argument = b if kind in self._ARGUMENT_IN_B else 0
            found.append(Event(kind, name, task, cpu, bool(softirq), argument))
        return found

    def calls(
        self, functions: frozenset[str], start: int = 0, *, fallible: bool = True
    ) -> list[Call]:
        """Entries of some functions, fallible calls and faults, in order.

        Much faster than `events`, for whoever looks at every run of many.

        Args:
            functions: names of the functions of interest; the plain build has no entries
            start: position to begin at
            fallible: with the fallible calls that did not fail, of which there are many
        """
        func, fault, may_fail = self._CALLS
        mask = 1 << func | 1 << fault | fallible << may_fail
        data = self._native.select_events(address(start, "start"), mask, self._ranges(functions))
        found = []
        symbols, names = self._symbols, self._names
        for kind, _, _, _, _, a, b in self._EVENT.iter_unpack(data):
            if kind == func:
                name = symbols.get(a)
                found.append((func, self._native.symbol(a) if name is None else name, 1))
            else:
                name = names.get(a)
                if name is None:
                    name = names[a] = self._native.string_at(a)
                found.append((may_fail, name, b) if kind == may_fail else (fault, name, 1))
        return found

    def _ranges(self, functions: frozenset[str]) -> Any:
        known = self._function_ranges.get(functions)
        if known is None:
            pairs: list[tuple[int, int]] = []
            for name in functions:
                found = self._native.symbol_ranges(name)
                pairs += zip(found[::2], found[1::2], strict=True)
            # One function may have two names.
            ascending = [end for pair in sorted(set(pairs)) for end in pair]
            known = self._native.ffi.new("uint64_t[]", ascending)
            self._function_ranges[functions] = known
        return known

    def knows_functions(self, functions: frozenset[str]) -> bool:
        """Does the trace show entries of these functions (checked build, symbols not stripped)?"""
        return len(self._ranges(functions)) > 0

    def functions(self, start: int = 0) -> list[str]:
        """Names of the functions entered, in order (checked build)."""
        return [e.name for e in self.events(start) if e.type is EventType.FUNC]

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events())
