# SPDX-License-Identifier: GPL-2.0-only
"""How the schedules of a program are searched, and what that has found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntFlag
from typing import NamedTuple, TypedDict

from memremap_emu.errors import ViolationRecord


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
    the first, second, middle and last one have failed only, some were made before the first
    visible operation, or more were to fail in one execution than can; ``LOCKS``: more of them,
    of grace periods, of frees or of what orders accesses than the explorer can tell apart;
    ``SAMPLES``: schedules were drawn.  ``VIOLATIONS`` alone does not keep a search from having seen
    every schedule: it has found as many violations as it keeps, and may have met others.
    """

    NONE = 0
    EXECUTIONS = 1
    SECONDS = 2
    PREEMPTIONS = 4
    STEPS = 8
    FAULTS = 16
    LOCKS = 32
    SAMPLES = 64
    VIOLATIONS = 128

    @property
    def names(self) -> list[str]:
        """In lower case."""
        return [bound.name.lower() for bound in Bound if bound in self and bound.name]


class ScheduleError(ValueError):
    """A schedule that is not one of the program it was given with."""


class Strategy(Enum):
    """Which schedules an exploration runs, and in which order; see csrc/emu/strategy_*.c.

    ``DPOR``, ``DFS``, ``SLEEP``, ``CACHE``, ``PHASES`` and ``PREEMPTIONS`` are searches that end,
    ``PCT`` and ``RANDOM`` sample; with ``GUIDED`` each byte of ``schedule`` says which of those who
    can go on goes.
    """

    DPOR = 0
    DFS = 1
    PREEMPTIONS = 2
    PCT = 3
    RANDOM = 4
    CACHE = 5
    SLEEP = 6
    GUIDED = 7
    PHASES = 8


@dataclass(frozen=True)
class Found:
    """A violation of some executions; violations that differ in numbers only are one.

    Attributes:
        record: as the first of these executions gave it
        execution: number of that execution, from 1
        executions: how many gave it, of those that were complete; 0: none alone, but some together
        schedule: the first of them, as `Program.explore` takes it; those that show it together
            one behind the other, see `memremap_emu.lock_orders.executions_of`
    """

    record: ViolationRecord
    execution: int
    executions: int
    schedule: bytes


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


class Event(NamedTuple):
    """A step as it is the same in all equivalent schedules.

    Attributes:
        process: who takes it
        number: its how-manieth step, from 1
        access: ``none``, ``read``, ``write``, ``acquire`` (of a lock), ``free`` (of an object) or
            ``release`` (of a lock that somebody tries to have)
    """

    process: int
    number: int
    access: str


@dataclass(frozen=True)
class Exploration:
    """What an exploration has found.

    Attributes:
        outcome: how it ended
        exhaustive: every schedule was covered, up to equivalence, without a bound
        executions: complete executions
        asleep: executions given up because everything that followed had been seen
        cached: executions given up in a state that had been met, ``strategy="cache"`` and
            ``"phases"``
        states: met there
        steps: visible operations, each counted once for all executions that share it
        max_depth: visible operations of the longest execution
        violating: complete executions in which a rule was broken
        first_violation: number of the first of them, 0 none
        final_states: distinct states at the end of an execution (up to 4096 are told apart)
        final_hash: hash of the set of them
        violations: what the first of them broke
        schedule: the first of them
        found: every distinct violation, up to 64, in the order in which they came
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

    @property
    def complete(self) -> bool:
        """A violation that is not among those found shows in no schedule."""
        return self.exhaustive and Bound.VIOLATIONS not in self.bounds


class Options(TypedDict, total=False):
    """How a search goes; what is left out is as below.

    Attributes:
        max_executions: give up after so many complete executions, 0 never (default)
        worthwhile: give up if more will be needed from there on, by the estimate after 1,024,
            2,048, 4,096 ... executions, which is doubted, less and less; 0 never (default)
        max_seconds: give up after so long, 0 never (default)
        stop_at_violation: end with the first execution that breaks a rule (default)
        stop_at_success: end with the first that breaks none or, given the kind of a violation,
            none of this kind
        check_quiescence: judge what is left behind at the end of each execution
        strategy: a `Strategy` or its name in lower case (default: ``dpor``); only a search that
            was neither bounded nor sampled is ``exhaustive``
        max_preemptions: of ``PREEMPTIONS``: steps that take the processor from somebody who could
            go on; of ``PCT``: changes of priority, 16 at most (default: 2)
        max_faults: calls that fail in one execution, at most 4: which ones is searched like the
            schedule (default: 0)
        seed: of ``PCT`` and ``RANDOM``
        schedule: replay this schedule instead: the process of each step, behind it for each call
            that fails in it 0x80 and its number among those that may fail (from 127 on 0xff for
            each 127 first)
        under: search all executions that begin with ``schedule``, instead
        reexecute: start every execution from its beginning, as a search does that cannot take
            steps back; the result is the same, later
        orders: remember in which orders dependent steps came, for `Search.orders`
    """

    max_executions: int
    worthwhile: int
    max_seconds: float
    stop_at_violation: bool
    stop_at_success: bool | str
    check_quiescence: bool
    strategy: Strategy | str
    max_preemptions: int
    max_faults: int
    seed: int
    schedule: bytes
    under: bool
    reexecute: bool
    orders: bool


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during an exploration.

    Attributes:
        exploration: what had been found
    """

    def __init__(self, exploration: Exploration) -> None:
        super().__init__(f"interrupted after {exploration.executions} executions")
        self.exploration = exploration


def estimated(executions: float) -> str:
    """An estimate as text: of many it is the order of magnitude that is known."""
    return f"{executions:.0f}" if executions < 1e9 else f"{executions:.0e}".replace("e+", "e")
