# SPDX-License-Identifier: GPL-2.0-only
"""What a process that takes part in a shared search does: one slice of one item."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memremap_emu import workers
from memremap_emu.exploration import Exploration, Options, Outcome

if TYPE_CHECKING:
    from memremap_emu.booted import Booted
    from memremap_emu.program import Program

#: Outcomes of an item that whoever comes to it can take over.
_TOLD = (Outcome.RUNNING, Outcome.EXHAUSTED, Outcome.BOUND, Outcome.TOO_LONG)


@dataclass(frozen=True)
class Advanced:
    """What a slice has come to.

    Attributes:
        position: where the search stands; None: an item that ends with a violation, or knows more
            than it can tell, is for whoever comes to it
        exploration: what the main line has found, None: an item
        room: executions that it may take over, at most
        settled: first steps that were chosen before this slice and stayed
        seconds: of the processor
    """

    position: dict[str, Any] | None
    exploration: Exploration | None
    room: int
    settled: int
    seconds: float


class _Place(threading.local):
    """The machine of this thread, on which the last program has been set up."""

    program: Program | None = None
    booted: Booted | None = None
    start: Any = None

    def boot(self, program: Program) -> Booted:
        if self.booted is None or self.program != program:
            if self.booted is not None:
                self.booted.close()
            self.program = None
            self.booted = program.boot()
            self.start = self.booted.kernel.snapshot()
            self.program = program
        return self.booted


_place = _Place()


def advance(
    program: Program,
    options: Options,
    position: dict[str, Any] | None,
    items: list[dict[str, Any]],
    pause: int,
    seconds: float,
    least: float,
) -> Advanced:
    """Goes on with a search for so long.

    Args:
        program: what is searched
        options: how
        position: where it stands, None: at its beginning
        items: that it has come to, each where the one before stands, and takes over
        pause: first steps at which it comes back before it tries another process
        seconds: after which it comes back in any case
        least: and after these, if somebody has nothing to do

    Raises:
        ProgramError, ValueError, TypeError: as of `Program.explore`.
    """
    began = time.thread_time()
    booted = _place.boot(program)
    main = position is None or not position.get("given")
    told: dict[str, Any] | None = None
    try:
        with booted.search(**options) as search:
            if position is not None:
                search.load(position)
            for item in items:
                search.take_over(item)
            try:
                search.run(seconds, pause=pause, hurry=workers.hurry(), least=least)
                exploration = search.result
                if main or exploration.outcome in _TOLD:
                    told = search.save()
            except (ValueError, MemoryError):
                if main:
                    raise
            room, settled = search.room, search.settled
    finally:
        # A violation that ends a search leaves its execution in the machine.
        _place.start.restore()
    return Advanced(told, exploration if main else None, room, settled, time.thread_time() - began)
