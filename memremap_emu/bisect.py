# SPDX-License-Identifier: GPL-2.0-only
"""Which patch introduces a violation, and which one removes it.

The kernels between two versions are the prefixes of the list of all patches.  All of them are
tried, for whether a violation shows need not be monotone: only then is there one answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from memremap_emu import scenario, tokens
from memremap_emu.contract import FaultPoint
from memremap_emu.experiments import Setup
from memremap_emu.runs import Bench, boot
from memremap_emu.scenario import Scenario, Status
from memremap_emu.versions import Patch, Selection, patches, prefix

#: Answers whether the violation shows; None if the question makes no sense there.
Probe = Callable[[Selection], bool | None]


@dataclass(frozen=True)
class Try:
    """One kernel that was tried: the patch on top, None for the first, and what showed."""

    kernel: Selection
    patch: Patch | None
    shows: bool | None


@dataclass(frozen=True)
class Change:
    """A patch at which the answer changes."""

    patch: Patch
    introduces: bool


@dataclass(frozen=True)
class Result:
    """What a walk over the patches gave.

    Attributes:
        tries: every kernel, oldest first
        changes: patches at which the answer changes
    """

    tries: tuple[Try, ...]
    changes: tuple[Change, ...]

    @property
    def monotone(self) -> bool:
        """The answer changes once."""
        return len(self.changes) == 1


def scenario_probe(wanted: Scenario) -> Probe:
    """Does the scenario show its bug?"""

    def probe(kernel: Selection) -> bool | None:
        outcome = scenario.run(wanted, kernel)
        if outcome.status is Status.NOT_APPLICABLE:
            return None
        if outcome.status is Status.MISSING:
            raise ValueError(f"{wanted.id} cannot be run: {wanted.missing}")
        return outcome.status is Status.VIOLATED

    return probe


@dataclass(frozen=True)
class _Call:
    """A fallible call, by what it is instead of by its number: the k-th of its kind."""

    operation: int
    site: str
    stage: str
    k: int


def _describe(fallible: Sequence[tuple[int, FaultPoint]], number: int) -> _Call | None:
    """What the call of this number is."""
    met: dict[tuple[int, str, str], int] = {}
    n = 0
    for operation, point in fallible:
        kind = (operation, point.site, point.stage)
        if number <= n + point.count:
            return _Call(*kind, met.get(kind, 0) + number - n)
        n += point.count
        met[kind] = met.get(kind, 0) + point.count
    return None


def _find(fallible: Sequence[tuple[int, FaultPoint]], call: _Call) -> int | None:
    """The number of such a call."""
    met = n = 0
    for operation, point in fallible:
        if (operation, point.site, point.stage) == (call.operation, call.site, call.stage):
            if call.k <= met + point.count:
                return n + call.k - met
            met += point.count
        n += point.count
    return None


def _translate(home: Bench, there: Bench, replay: tokens.Replay) -> tuple[int, ...] | None:
    """Numbers on another kernel of the calls that fail; None if it has no such call."""
    program = replay.experiment.program
    translated: tuple[int, ...] = ()
    faults = replay.experiment.faults
    for i, number in enumerate(faults):
        call = _describe(home.run(program, faults[:i]).fallible, number)
        found = call and _find(there.run(program, translated).fallible, call)
        if not found:
            return None
        translated = (*translated, found)
    return translated


def token_probe(replay: tokens.Replay) -> Probe:
    """Does the experiment of a token show its violation?

    A token tells failing calls by number, and patches add and take away calls: on another kernel
    the same call fails, that is the k-th of the same site in the same part of the same
    operation.  Where there is none, the violation does not show.
    """
    experiment = replay.experiment

    def bench(setup: Setup) -> Bench:
        return Bench(setup, boot(setup))

    def probe(kernel: Selection) -> bool | None:
        home = bench(experiment.setup)
        there = bench(replace(experiment.setup, version=str(kernel)))
        try:
            faults = _translate(home, there, replay)
            if faults is None:
                return False
            outcome = there.run(experiment.program, faults)
        finally:
            home.kernel.close()
            there.kernel.close()
        return any(tokens.digest(f.key) == replay.digest for f in outcome.findings)

    return probe


def position(kernel: Selection) -> int:
    """How many of all patches it has.

    Raises:
        ValueError: they are not the first so many.
    """
    n = len(kernel.patches)
    if kernel.patches != tuple(p.name for p in patches()[:n]):
        raise ValueError(f"{kernel} is no prefix of the list of patches: it cannot be walked to")
    return n


def walk(probe: Probe, start: int, end: int) -> Result:
    """Tries every kernel from ``start`` to ``end`` patches."""
    tries: list[Try] = []
    changes: list[Change] = []
    before = False
    for n in range(start, end + 1):
        patch = patches()[n - 1] if n > start else None
        shows = probe(prefix(n))
        # What does not apply does not show.
        if patch is not None and bool(shows) != before:
            changes.append(Change(patch, bool(shows)))
        tries.append(Try(prefix(n), patch, shows))
        before = bool(shows)
    return Result(tuple(tries), tuple(changes))
