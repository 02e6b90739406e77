# SPDX-License-Identifier: GPL-2.0-only
"""The event trace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from memremap_emu._native import Native


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


@dataclass(frozen=True)
class Event:
    """One event.

    Attributes:
        type: what happened
        name: function entered, allocation site, lock, ...
        task: process id
        cpu: virtual CPU
        softirq: in softirq context
    """

    type: EventType
    name: str
    task: int
    cpu: int
    softirq: bool


class Trace:
    """Events so far; the machine keeps the last 32768."""

    _NAME_IN_A = (EventType.FAULT, EventType.FALLIBLE)
    _CALLS = (EventType.FUNC, EventType.FAULT, EventType.FALLIBLE)
    #: struct emu_event
    _EVENT = Struct("=HBBIQQQ")
    _SYMBOL_IN_A = (EventType.FUNC, EventType.RCU_QUEUE, EventType.RCU_RUN)
    _NAME_IN_B = (
        EventType.ALLOC,
        EventType.FREE,
        EventType.LOCK,
        EventType.UNLOCK,
        EventType.BLOCK,
    )

    def __init__(self, native: Native) -> None:
        self._native = native
        self._symbols: dict[int, str] = {}
        self._names: dict[int, str] = {}

    def enable(self, on: bool = True) -> None:
        """Starts or stops recording."""
        self._native.check(self._native.lib.emu_trace_enable(self._native.machine, int(on)))

    @property
    def position(self) -> int:
        """Number of events so far, to be passed to `events`."""
        return int(self._native.stats().trace_end)

    def _symbol(self, address: int) -> str:
        if address not in self._symbols:
            self._symbols[address] = self._native.symbol(address)
        return self._symbols[address]

    def events(self, start: int = 0) -> list[Event]:
        """Events from a position on."""
        found = []
        for raw in self._native.events(start):
            kind = EventType(raw.type)
            name = ""
            if kind in self._SYMBOL_IN_A:
                name = self._symbol(int(raw.a))
            elif kind in self._NAME_IN_A:
                name = self._native.string_at(int(raw.a))
            elif kind in self._NAME_IN_B:
                name = self._native.string_at(int(raw.b))
            found.append(Event(kind, name, int(raw.task), int(raw.cpu), bool(raw.softirq)))
        return found

    def calls(self, start: int = 0) -> list[tuple[EventType, str, int]]:
        """Functions entered, fallible calls met and faults injected, in order.

        Much faster than `events`, for whoever looks at every run of many.

        Returns:
            Tuples (type, name, n): FUNC and its name, FALLIBLE and the fault point that was
            met n times, FAULT and the fault point that failed.
        """
        found = []
        symbols, names = self._symbols, self._names
        func, fault, fallible = self._CALLS
        for kind, _, _, _, _, a, b in self._EVENT.iter_unpack(self._native.events_buffer(start)):
            if kind == func:
                name = symbols.get(a)
                found.append((func, self._symbol(a) if name is None else name, 1))
            elif kind in (fallible, fault):
                name = names.get(a)
                if name is None:
                    name = names[a] = self._native.string_at(a)
                found.append((fallible, name, b) if kind == fallible else (fault, name, 1))
        return found

    def functions(self, start: int = 0) -> list[str]:
        """Names of the functions entered, in order (checked build)."""
        return [e.name for e in self.events(start) if e.type is EventType.FUNC]

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events())
