# SPDX-License-Identifier: GPL-2.0-only
"""What executions of an experiment have shown."""

from __future__ import annotations

from dataclasses import dataclass, field

from memremap_emu.contract import FaultPoint, Probe
from memremap_emu.device_state import State
from memremap_emu.errors import Cause, cause
from memremap_emu.trace import Event

#: Lines of the kernel log that go with a violation.
LOG_LINES = 12


@dataclass(frozen=True)
class Finding:
    """A violation of one execution.

    Attributes:
        kind: as of `memremap_emu.errors.ViolationRecord`
        message: what happened
        where: kernel function, if known, and the operation of the program
        func: kernel function, empty if unknown
        failed: the calls that had failed until then
        history: operations so far and how they ended
        log: last lines of the kernel log
        columns: where tasks race: who did what when
    """

    kind: str
    message: str
    where: str
    func: str
    failed: tuple[str, ...]
    history: tuple[str, ...]
    log: tuple[str, ...]
    columns: str = ""

    @property
    def cause(self) -> Cause:
        """Equal for what is the same violation."""
        return cause(self.kind, self.func, self.message)


@dataclass
class Outcome:
    """What an execution showed.

    Attributes:
        findings: distinct violations, in the order in which they were found
        fallible: fallible calls that it met: (operation's number, where, how many)
        failed: the calls that failed, in order
        refused: why the kernel declines to bind by specification, None if it binds
        history: operations and how they ended
        log: the kernel log of the execution
        columns: who did what when; where no tasks race, if asked for
        events: all that was recorded; where no tasks race, if asked for
    """

    findings: list[Finding] = field(default_factory=list)
    fallible: list[tuple[int, FaultPoint]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    refused: str | None = None
    history: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    columns: str = ""
    events: tuple[Event, ...] = ()


@dataclass
class Reference:
    """What an execution without faults showed, for the others to be compared with.

    Attributes:
        probe: its first attempt to bind
        fallible: fallible calls that it met, see `Outcome`
        clean: it showed no violation
        bound: state after bind
        unbound: state hash after unbind
        pfn: a device page, None if there are none
    """

    probe: Probe
    fallible: list[tuple[int, FaultPoint]] = field(default_factory=list)
    clean: bool = True
    bound: State | None = None
    unbound: int | None = None
    pfn: int | None = None
