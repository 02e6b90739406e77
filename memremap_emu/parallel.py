# SPDX-License-Identifier: GPL-2.0-only
"""One search, shared by the processes of an executor; its result is that of one process.

The search itself is the *main line*.  It runs in slices, each in whichever process is free, and
between two of them it is a position (`Search.save`), which shows what is still to be tried at
steps that it has not come back to.  Each of these choices is an *item* (csrc/emu/items.c): a search
that other processes begin before the main line gets there, in slices as well, and from whose own
positions further items come.  When a search comes to a choice whose item has begun, it takes over
what the item knows, finished or not, and is where it would be if it had done that itself.  Slices
are long as long as everybody has something to do; processes of this machine see when somebody has
not, and come back with what their own positions have to offer.

An item is what it was made for only if the steps before it, the choice and who is asleep there are
the same when the search gets there.  It is made by guess: that nobody else is entered at that step
who goes first.  One whose guess was wrong is thrown away; so time decides how much work is wasted,
and nothing else.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from memremap_emu import interrupts
from memremap_emu.exploration import Exploration, Options, Outcome
from memremap_emu.search import SLICE, check_position
from memremap_emu.worker import Advanced, advance
from memremap_emu.workers import PATIENCE

if TYPE_CHECKING:
    from typing import Unpack

    from memremap_emu.program import Program
    from memremap_emu.workers import Workers

Position = dict[str, Any]

#: Seconds that a choice must have taken for those that come after it to become items: no less may
#: be expected of them, and less is not worth it.
GRAIN = 0.015
#: Seconds of a slice, where who is at work sees that somebody else has nothing to do.
LONG_SLICE = 0.5
#: Items per process that wait for the search to come to them, at most.
_AHEAD = 64


class Key(NamedTuple):
    """What decides all that follows a choice.

    Attributes:
        bound: pre-emptions allowed in the round at hand
        before: processes of the steps before it, and the calls that fail in them
        process: who is chosen
        asleep: bit mask of who need not go
    """

    bound: int
    before: bytes
    process: int
    asleep: int


class Choice(NamedTuple):
    """One that a search will come to, as things stand.

    Attributes:
        key: what decides what follows
        step: at which it is made
        done: who will have gone there by then
    """

    key: Key
    step: int
    done: int


def choices(position: Position) -> list[Choice]:
    """What is still to be tried, in the order in which the search comes to it."""
    given = position.get("given", 0)
    before = b""
    found: list[list[Choice]] = []
    for number, step in enumerate(position["steps"]):
        process, _, backtrack, done, sleep, _, fails, _ = step
        if number >= given:
            here = []
            left = backtrack & ~done & ~sleep
            while left:
                first = (left & -left).bit_length() - 1
                key = Key(position["bound"], before, first, sleep | done)
                here.append(Choice(key, number, done))
                done |= 1 << first
                left &= left - 1
            if here:
                found.append(here)
        before += bytes((process, len(fails)))
        before += b"".join(fail.to_bytes(4, "little") for fail in fails)
    return [choice for here in reversed(found) for choice in here]


def stands_at(position: Position) -> bool:
    """Is the first of its choices what the search does next?"""
    steps = position["steps"]
    if len(steps) <= position.get("given", 0):
        return False
    process, _, _, done, *_ = steps[-1]
    return not done & 1 << process


def make_item(position: Position, choice: Choice) -> Position:
    """The search below a choice, not begun."""
    _, enabled, backtrack, _, sleep, *_ = position["steps"][choice.step]
    last = [choice.key.process, enabled, backtrack, choice.done, sleep, 0, [], []]
    return position | {
        "steps": [*position["steps"][: choice.step], last],
        "given": choice.step + 1,
        "final": [],
        "races": [],
        "lock_orders": [],
        "lock_classes": [],
        "lock_cycles": [],
        "counts": dict.fromkeys(position["counts"], 0),
        "schedule": [],
        "found": [],
    }


def _executions(position: Position) -> int:
    counts = position["counts"]
    return int(counts["executions"] + counts["too_long"])


@dataclass
class _Item:
    """A search that is a part of the whole, or the main line.

    Attributes:
        position: where it stands; None: the main line has not begun
        clock: seconds of a processor that its own slices have taken
        since: at which of them each of its steps was chosen
        choices: of those to come, those that may be or have become items
        seconds: of a processor that it has taken, with those of items that became part of it
        slice: of it that is being run
        stuck: it cannot go on by itself: whoever comes to it does
        room: executions that it may take over, at most
        earlier: positions before this one, if the main line may have no room for this one
    """

    position: Position | None
    clock: float = 0.0
    since: list[float] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)
    seconds: float = 0.0
    slice: Future[Advanced] | None = None
    stuck: bool = False
    room: int = 0
    earlier: list[Position] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """Nothing is left to be searched; of an item only."""
        return self.position is not None and not self.position["steps"]

    @property
    def executions(self) -> int:
        """That count towards the bound."""
        return 0 if self.position is None else _executions(self.position)

    def goes_on_with(self) -> Key | None:
        """The choice that it makes next, if it stands at one."""
        if self.position is None or not stands_at(self.position):
            return None
        return self.choices[0].key


@dataclass
class Statistics:
    """What a shared search took.

    Attributes:
        slices: that were run
        items: that were begun
        used: of them became part of the search
        seconds: of processors, in all processes
        wasted: of these, for items that were thrown away
    """

    slices: int = 0
    items: int = 0
    used: int = 0
    seconds: float = 0.0
    wasted: float = 0.0


class SharedSearch:
    """A search over the schedules of a program, by several workers.

    It is run, asked, saved and gone on with like a `Search`, and what is saved is the same.

    Args:
        program: what is searched
        workers: run its slices
        options: as of `Program.explore`

    Raises:
        ValueError: the strategy samples or caches states: what such a search does depends on all
            that it has done before.
    """

    def __init__(self, program: Program, workers: Workers, **options: Unpack[Options]) -> None:
        check_position(options)
        self._program = program
        self._workers = workers
        self._options = options
        self._item_options: Options = {**options, "max_executions": 0, "max_seconds": 0.0}
        self._item_options["worthwhile"] = 0
        self._most = options.get("max_executions", 0)
        self._seconds = 0.0
        self._left = math.inf
        self._short = True
        self._saved: Position | None = None
        self._main = _Item(None)
        self._items: dict[Key, _Item] = {}
        self._thrown_away: set[Future[Advanced]] = set()
        self._result: Exploration | None = None
        self.statistics = Statistics()

    @property
    def running(self) -> bool:
        """There is more to be done."""
        return self._result is None or self._result.outcome is Outcome.RUNNING

    @property
    def begun(self) -> bool:
        """Something has been found: it has a `result`."""
        return self._result is not None

    @property
    def result(self) -> Exploration:
        """What the main line has found so far; ValueError before its first slice."""
        if self._result is None:
            raise ValueError("the search has not come anywhere yet")
        return self._result

    def load(self, saved: Position) -> None:
        """Goes on where another search was saved; it must not have run yet.

        What is wrong with it comes out when it runs, as of `Search.load`.
        """
        self._saved = saved

    def save(self) -> Position:
        """How far the main line has come, as of `Search.save`; ValueError: nowhere yet."""
        position = self._main.position or self._saved
        if position is None:
            raise ValueError("the search has not come anywhere yet")
        return position

    def run(self, seconds: float = 0.0) -> None:
        """Goes on for so long, 0: to the end.

        Raises:
            ProgramError, ValueError, TypeError: as of `Program.explore`.
            WorkerError: a process is gone, or all of them.
        """
        started = time.monotonic()
        while self.running:
            self._hand_out(self._seconds + time.monotonic() - started)
            self._collect()
            interrupts.check()
            if seconds and time.monotonic() - started > seconds:
                break
        self._seconds += time.monotonic() - started
        if not self.running:
            for key in list(self._items):
                self._throw_away(key)

    # --- handing out ---

    def _busy(self) -> list[Future[Advanced]]:
        items = [self._main, *self._items.values()]
        return [item.slice for item in items if item.slice] + list(self._thrown_away)

    def _hand_out(self, passed: float) -> None:
        """Gives every worker something to do, what the search comes to first before all else."""
        limit = self._options.get("max_seconds", 0.0)
        self._left = limit - passed if limit else math.inf
        free = self._workers.jobs - len(self._busy())
        if free > 0 and self._main.slice is None and self._main_goes_on():
            free -= 1
        executions = self._main.executions
        nothing_left = True
        for holder, choice in list(self._walk(self._main)):
            if self._most and executions >= self._most:
                break
            item = self._items.get(choice.key)
            if item is None:
                full = len(self._items) >= self._workers.jobs * _AHEAD
                if full or choice.key == holder.goes_on_with():
                    continue
            else:
                executions += item.executions
                if item.slice or item.finished or item.stuck or self._waits(item):
                    continue
            if free <= 0:
                # There is something left for who is ready next.
                nothing_left = False
                break
            if item is None:
                assert holder.position is not None
                item = self._items[choice.key] = _Item(make_item(holder.position, choice))
                self.statistics.items += 1
            self._submit(item, self._item_options)
            free -= 1
        self._short = nothing_left
        self._workers.be_quick(nothing_left and free > 0)

    def _main_goes_on(self) -> bool:
        if self._waits(self._main) and self._left > 0:
            return False
        options = self._options
        if self._left < math.inf:
            options = {**options, "max_seconds": max(self._left, 1e-9)}
        self._submit(self._main, options)
        return True

    def _next(self, item: _Item) -> _Item | None:
        """The item that it has come to, if there is one."""
        key = item.goes_on_with()
        return None if key is None else self._items.get(key)

    def _waits(self, item: _Item) -> bool:
        """Is a slice being run of what it has come to?"""
        met = self._next(item)
        return met is not None and (met.slice is not None or self._waits(met))

    def _submit(self, item: _Item, options: Options) -> None:
        met, ahead = self._take_over(item)
        pause = 1 + max((choice.step for choice in ahead), default=-1)
        # If there is nothing else to do, what it has to offer is wanted soon.
        short = 2 * GRAIN if self._short or item.clock < SLICE else SLICE
        seconds = LONG_SLICE if self._workers.hurries else short
        seconds = max(min(seconds, self._left), GRAIN)
        position = item.position or self._saved
        item.slice = self._workers.submit(
            advance, self._program, options, position, met, pause, seconds, GRAIN
        )

    def _take_over(self, item: _Item) -> tuple[list[Position], list[Choice]]:
        """What it has come to, each where the one before stands, and the choices after that."""
        taken: list[Position] = []
        room = item.room
        ahead = item.choices
        at: _Item | None = item
        while at is not None and (key := at.goes_on_with()) is not None:
            # The first one is what it goes on with.
            ahead = [choice for choice in ahead if choice.key != key]
            met = self._items.pop(key, None)
            at = None
            if met is None:
                continue
            found = _fitting(met, room)
            if found is None:
                self._drop(met)
                continue
            self.statistics.used += 1
            room -= _executions(found)
            taken.append(found)
            item.seconds += met.seconds
            first = found["given"] - 1
            item.since[first:] = [item.clock - met.clock + since for since in met.since[first:]]
            if found is met.position:
                ahead = ahead + met.choices
                at = met
        return taken, ahead

    # --- what comes back ---

    def _collect(self) -> None:
        """Waits until something does."""
        busy = self._busy()
        over, _ = wait(busy, PATIENCE, return_when=FIRST_COMPLETED)
        if not over:
            self._workers.check()
        for item in [self._main, *self._items.values()]:
            if item.slice in over:
                advanced = self._workers.result(item.slice)
                item.slice = None
                self._take_in(item, advanced)
        for future in self._thrown_away & over:
            self._thrown_away.remove(future)
            self._waste(self._workers.result(future))
        live = {choice.key for _, choice in self._walk(self._main)}
        for key in self._items.keys() - live:
            self._throw_away(key)

    def _take_in(self, item: _Item, advanced: Advanced) -> None:
        self.statistics.slices += 1
        self.statistics.seconds += advanced.seconds
        item.seconds += advanced.seconds
        item.clock += advanced.seconds
        if advanced.exploration is not None:
            self._result = advanced.exploration
        if advanced.position is None:
            item.stuck = True
            return
        bounded = self._most or self._options.get("worthwhile")
        if bounded and item is not self._main and item.position is not None:
            item.earlier.append(item.position)
        item.position, item.room = advanced.position, advanced.room
        steps = len(item.position["steps"])
        del item.since[advanced.settled :]
        item.since += [item.clock] * (steps - len(item.since))
        del item.since[steps:]
        first = stands_at(item.position)
        item.choices = []
        for choice in choices(item.position):
            large = item.clock - item.since[choice.step] > GRAIN
            if first or large or choice.key in self._items:
                item.choices.append(choice)
            first = False

    def _walk(self, item: _Item) -> Iterator[tuple[_Item, Choice]]:
        """Choices that are or may become items, in the order in which the search comes to them."""
        for choice in item.choices:
            yield item, choice
            met = self._items.get(choice.key)
            if met is not None:
                yield from self._walk(met)

    def _throw_away(self, key: Key) -> None:
        self._drop(self._items.pop(key))

    def _drop(self, item: _Item) -> None:
        self.statistics.wasted += item.seconds
        if item.slice is not None:
            self._thrown_away.add(item.slice)

    def _waste(self, advanced: Advanced) -> None:
        self.statistics.slices += 1
        self.statistics.seconds += advanced.seconds
        self.statistics.wasted += advanced.seconds


def _fitting(met: _Item, room: int) -> Position | None:
    """The latest position that has no more than so many executions."""
    if met.slice is not None:
        # Only where a time is up: it is not waited for.
        return None
    positions = (met.position, *reversed(met.earlier))
    return next((p for p in positions if p is not None and _executions(p) <= room), None)
