# SPDX-License-Identifier: GPL-2.0-only
"""Does the violation of a replay token show on another kernel?

A token says which calls fail, by number, and in which order tasks run, step by step.  Patches add
and take away calls and steps.  So on another kernel the same call fails, that is the k-th of the
same site in the same part of the same operation; and where the schedule does not lead to the
violation, or is none there, the schedules of that kernel are searched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from memremap_emu import tokens
from memremap_emu.bisect import Probe, Verdict
from memremap_emu.contract import FUNCTIONS, STAGES, FaultPoint, fault_points, next_stage
from memremap_emu.counterexample import faults_of
from memremap_emu.errors import Blocked, KernelError, TaskDied
from memremap_emu.experiments import Program, Setup
from memremap_emu.exploration import Exploration, ScheduleError
from memremap_emu.interleavings import Race, UnfitError
from memremap_emu.operations import ProgramError
from memremap_emu.runs import Bench, boot
from memremap_emu.trace import Event, EventType, program_tasks
from memremap_emu.versions import Selection

#: Executions of a race on one kernel, if the user gives no other bound.
DEFAULT_EXECUTIONS = 5000
#: What most violations need no more than: tried before all of them.
FEW = 100


@dataclass(frozen=True)
class Call:
    """A fallible call, by what it is instead of by its number: the k-th of its kind."""

    operation: int
    site: str
    stage: str
    k: int


def describe(fallible: Sequence[tuple[int, FaultPoint]], number: int) -> Call | None:
    """What the call of this number is."""
    met: dict[tuple[int, str, str], int] = {}
    n = 0
    for operation, point in fallible:
        kind = (operation, point.site, point.stage)
        if number <= n + point.count:
            return Call(*kind, met.get(kind, 0) + number - n)
        n += point.count
        met[kind] = met.get(kind, 0) + point.count
    return None


def find(fallible: Sequence[tuple[int, FaultPoint]], call: Call) -> int | None:
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
        call = describe(home.run(program, faults[:i]).fallible, number)
        found = call and find(there.run(program, translated).fallible, call)
        if not found:
            return None
        translated = (*translated, found)
    return translated


def token_probe(replay: tokens.Replay, max_executions: int = DEFAULT_EXECUTIONS) -> Probe:
    """Does the experiment of a token show its violation?

    Args:
        replay: the token
        max_executions: bound of a search over schedules, on one kernel

    Raises:
        ValueError: the bound is less than 1.
    """
    if max_executions < 1:
        raise ValueError("a search needs a bound of at least one execution")
    if replay.experiment.program.tasks:
        return _RaceProbe(replay, max_executions)
    return _sequential_probe(replay)


def program_probe(replay: tokens.ProgramReplay, max_executions: int = DEFAULT_EXECUTIONS) -> Probe:
    """Does a program of one's own show the violation of its token?"""

    def shows(found: Exploration) -> bool:
        return any(tokens.digest(f.record.cause) == replay.digest for f in found.found)

    def probe(kernel: Selection) -> Verdict:
        try:
            with replay.program.boot(kernel) as booted:
                start = booted.kernel.snapshot()
                with suppress(ScheduleError):
                    again = booted.tasks().explore(schedule=replay.schedule, check_quiescence=True)
                    if shows(again):
                        return Verdict(True, "in the schedule of the token")
                start.restore()
                found = booted.tasks().explore(
                    stop_at_violation=False,
                    check_quiescence=True,
                    max_executions=max_executions,
                    max_faults=faults_of(replay.schedule),
                )
        except ProgramError as e:
            return Verdict(None, str(e), certain=False)
        done = _executions(found.executions)
        if shows(found):
            return Verdict(True, f"in one of {done}")
        if found.complete:
            return Verdict(False, f"{done}, exhaustive")
        return Verdict(False, f"{done}, bounded, not exhaustive", certain=False)

    return probe


def _binds(bench: Bench, program: Program) -> bool:
    """Does the device bind if no call fails?"""
    bench.run(program)
    reference = bench.references.get(program.name)
    return reference is not None and reference.probe.bound


def _sequential_probe(replay: tokens.Replay) -> Probe:
    experiment = replay.experiment

    def bench(setup: Setup) -> Bench:
        return Bench(setup, boot(setup))

    def probe(kernel: Selection) -> Verdict:
        home = bench(experiment.setup)
        there = bench(replace(experiment.setup, version=str(kernel)))
        try:
            faults = _translate(home, there, replay)
            outcome = None if faults is None else there.run(experiment.program, faults)
            if outcome and any(tokens.digest(f.cause) == replay.digest for f in outcome.findings):
                return Verdict(True)
            if _binds(home, experiment.program) and not _binds(there, experiment.program):
                return Verdict(None, "the device does not bind", certain=False)
        finally:
            home.kernel.close()
            there.kernel.close()
        return Verdict(False, "no such call" if outcome is None else "")

    return probe


# --- where tasks race ---


@dataclass(frozen=True)
class _Failing:
    """The call that fails, and the task that makes it."""

    task: int
    call: Call


def _calls_until_fault(events: Sequence[Event]) -> tuple[int, list[tuple[int, FaultPoint]]] | None:
    """The task whose call failed, and its calls up to that one.

    None if the trace has none, or it is not one of the program's: deferred work fails, too.
    """
    tasks = program_tasks(events)
    operation: dict[int, int] = {}
    stage: dict[int, str] = {}
    calls: dict[int, list[tuple[int, FaultPoint]]] = {}
    for event in events:
        task = event.task
        if event.type is EventType.OPERATION:
            operation[task] = operation.get(task, -1) + 1
            stage[task] = ""
        elif event.type is EventType.FUNC and event.name in STAGES:
            stage[task] = next_stage(stage.get(task, ""), event.name)
        elif event.type is EventType.FALLIBLE:
            point = FaultPoint(event.name, stage.get(task, ""), event.argument)
            calls.setdefault(task, []).append((max(operation.get(task, 0), 0), point))
        elif event.type is EventType.FAULT:
            return (tasks.index(task), calls[task]) if task in tasks else None
    return None


def _failing(setup: Setup, program: Program, schedule: bytes, fault: int) -> _Failing | None:
    """Which call it is that fails in a schedule; None if it cannot be told."""
    with Race(setup, program) as race:
        race.replay(schedule, fault)
        found = _calls_until_fault(race.kernel.trace.events())
    if found is None:
        return None
    task, calls = found
    call = describe(calls, sum(point.count for _, point in calls))
    return None if call is None else _Failing(task, call)


#: Operations of racing tasks that have fallible calls.
_OPERATIONS: dict[str, Callable[[Race], None]] = {
    "bind": lambda race: race.driver.bind(race.device),
    "unbind": lambda race: race.driver.unbind(race.device),
    "bind_second": lambda race: race.driver.bind(race.second) if race.second else None,
    "unbind_second": lambda race: race.driver.unbind(race.second) if race.second else None,
}


def _calls_of_tasks(setup: Setup, program: Program) -> list[list[tuple[int, FaultPoint]]]:
    """The fallible calls of each task, one task after the other."""
    found = []
    with Race(setup, program) as race:
        trace = race.kernel.trace
        trace.enable()
        for _, operations in program.tasks:
            calls: list[tuple[int, FaultPoint]] = []
            for number, name in enumerate(operations):
                position = trace.position
                if name in _OPERATIONS:
                    with suppress(KernelError, Blocked, TaskDied):
                        _OPERATIONS[name](race)
                points = fault_points(trace.calls(FUNCTIONS, position))
                calls += [(number, point) for point in points]
            found.append(calls)
    return found


class _RaceProbe:
    """A `Probe` of a token whose tasks race."""

    def __init__(self, replay: tokens.Replay, max_executions: int) -> None:
        self._replay = replay
        self._program = replay.experiment.program
        self._schedule = replay.experiment.schedule
        self._fault = replay.experiment.faults[0] if replay.experiment.faults else 0
        self._max_executions = max_executions
        # A call that fails is named by the token, or in its schedule.
        inside = faults_of(self._schedule)
        if inside + bool(self._fault) > 1:
            raise ValueError("the token has several calls that fail, and one can be followed")
        self._failing = self._failing_at_home() if inside or self._fault else None

    def _failing_at_home(self) -> _Failing:
        """The call that fails where the token comes from.

        Raises:
            ValueError: it is not met, or not where one task runs after the other.
        """
        setup = self._replay.experiment.setup
        failing = None
        with suppress(UnfitError, ScheduleError):
            failing = _failing(setup, self._program, self._schedule, self._fault)
        if failing is not None:
            calls = _calls_of_tasks(setup, self._program)[failing.task]
            if find(calls, failing.call) is not None:
                return failing
        name = f"fallible call {self._fault}" if self._fault else "the call that fails"
        raise ValueError(f"{name} cannot be told on {setup.version}")

    def __call__(self, kernel: Selection) -> Verdict:
        setup = replace(self._replay.experiment.setup, version=str(kernel))
        try:
            if self._shows_in_schedule(setup):
                return Verdict(True, "in the schedule of the token")
            if self._failing is None:
                return self._search(setup)
            return self._search_with_fault(setup, self._failing)
        except UnfitError as e:
            return Verdict(None, str(e), certain=False)

    def _shows_in_schedule(self, setup: Setup) -> bool:
        with Race(setup, self._program) as race:
            try:
                outcome = race.replay(self._schedule, self._fault)
            except ScheduleError:
                return False
        if all(tokens.digest(f.cause) != self._replay.digest for f in outcome.findings):
            return False
        return self._same_call(setup, self._schedule, self._fault)

    def _same_call(self, setup: Setup, schedule: bytes, fault: int) -> bool:
        """Is the call that fails in this schedule the one that fails in the token's?"""
        if self._failing is None:
            return True
        return _failing(setup, self._program, schedule, fault) == self._failing

    def _search(self, setup: Setup) -> Verdict:
        """Few executions first: a search does not end at the violation that is looked for."""
        with Race(setup, self._program) as race:
            for bound in (min(FEW, self._max_executions), self._max_executions):
                found = race.explore(max_executions=bound)
                done = found.exploration.executions
                if any(tokens.digest(f.cause) == self._replay.digest for f, _ in found.findings):
                    return Verdict(True, f"in one of {_executions(done)}")
                if found.exploration.complete:
                    return Verdict(False, f"{_executions(done)}, exhaustive")
        return Verdict(False, f"{_executions(done)}, bounded, not exhaustive", certain=False)

    def _search_with_fault(self, setup: Setup, failing: _Failing) -> Verdict:
        """The number of the call depends on what the other tasks have done by then."""
        calls = _calls_of_tasks(setup, self._program)
        number = find(calls[failing.task], failing.call)
        if number is None:
            return Verdict(False, "no such call")
        others = sum(
            point.count
            for task, points in enumerate(calls)
            if task != failing.task
            for _, point in points
        )
        left, done, exhaustive = self._max_executions, 0, True
        with Race(setup, self._program) as race:
            for tried in range(others + 1):
                share = left // (others + 1 - tried)
                if not share:
                    exhaustive = False
                    continue
                found = race.explore(number + tried, max_executions=share)
                done += found.exploration.executions
                left -= found.exploration.executions
                exhaustive = exhaustive and found.exploration.complete
                for finding, schedule in found.findings:
                    if tokens.digest(finding.cause) != self._replay.digest:
                        continue
                    if self._same_call(setup, schedule, number + tried):
                        return Verdict(True, f"in one of {_executions(done)}")
                    # Another call failed here; whether it also shows with this one is not known.
                    exhaustive = False
        if exhaustive:
            return Verdict(False, f"{_executions(done)}, exhaustive")
        return Verdict(False, f"{_executions(done)}, bounded, not exhaustive", certain=False)


def _executions(n: int) -> str:
    return "1 execution" if n == 1 else f"{n} executions"
