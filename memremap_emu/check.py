# SPDX-License-Identifier: GPL-2.0-only
"""The main job: take every driver, in every mode, on every range, through its life.

Finding ranges is `memremap_emu.ranges`, one execution `memremap_emu.runs`, what a user reads
`memremap_emu.report`; here is which executions there are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from memremap_emu import interrupts, ranges, tokens
from memremap_emu.contract import FaultPoint
from memremap_emu.experiments import (
    ALL_MODES,
    DRIVERS,
    PROGRAMS,
    RACES,
    Experiment,
    Mode,
    Program,
    Setup,
)
from memremap_emu.exploration import Bound
from memremap_emu.interleavings import Race, UnfitError
from memremap_emu.iomem import Range
from memremap_emu.outcomes import Finding, Outcome
from memremap_emu.ranges import BadInputError, MemoryMap
from memremap_emu.repeating import Course
from memremap_emu.runs import Bench
from memremap_emu.search import MAX_FAULTS
from memremap_emu.versions import DEFAULT_VERSION
from memremap_emu.workers import Workers, workers

#: Bytes of memory of a device of hmm and hmm_public if the user gives none.
DEFAULT_HMM_SIZE = 1 << 30
#: With more than one fault per execution, seconds if the user gives none.
DEFAULT_BUDGET = 60.0
#: Executions of one program over its schedules, if the user gives no other bound, as long as
#: they will be enough by the estimate on the way.
WORTHWHILE_EXECUTIONS = 170_000
#: One fault point met more often than this in one operation is a loop over sections, all alike: the
#: first, the second, the middle and the last time are looked at, the others held against them.
MANY = 64
#: Of no more than so many calls alike all fail, if the user gives no other bound ...
WORTHWHILE_CALLS = 2048
#: ... and as long as they go no more than so many ways.
MAX_WAYS = 8
#: Calls that fail between two looks at the clock.
SLICE = 256


@dataclass(frozen=True)
class Options:
    """What to check.

    Attributes:
        memory: where
        version: of the kernel
        drivers: names
        max_faults: failing calls per execution, at most
        budget: seconds, None for as long as it takes
        keep_claims: what the running kernel had claimed in persistent memory stays claimed
        hmm_size: bytes of memory of a device of hmm and hmm_public
        max_executions: of one program over its schedules and failing calls, 0: no bound; None:
            `WORTHWHILE_EXECUTIONS` as long as they will be enough, by the estimate
        required: the drivers that the user asked for: without anything to drive they are an error
        jobs: processes that share the work if there is no budget; the result is the same
        scheduler: address of a Dask scheduler whose workers share it instead
        explore: programs whose tasks race, too, over their schedules
    """

    memory: MemoryMap
    version: str = DEFAULT_VERSION
    drivers: tuple[str, ...] = DRIVERS
    max_faults: int = 1
    budget: float | None = None
    keep_claims: bool = False
    hmm_size: int = DEFAULT_HMM_SIZE
    max_executions: int | None = None
    required: tuple[str, ...] = ()
    jobs: int = 1
    scheduler: str | None = None
    explore: bool = False


@dataclass(frozen=True)
class Violation:
    """A violation, and how to see it again."""

    finding: Finding
    replay: str


@dataclass
class RunReport:
    """One program on one device.

    Attributes:
        setup: the device
        program: what was done
        executions: how often, with other calls failing each time
        exhaustive: all that there are, under the bound on failing calls
        violations: the first of each
        refused: why the kernel declines by specification, None if it binds
        asleep: executions given up because what follows had been seen, or like one that was
            looked at in all that could be
        bounds: why it is not exhaustive
        estimate: executions that there may be in all, where it is known
    """

    setup: Setup
    program: Program
    executions: int = 0
    exhaustive: bool = False
    violations: list[Violation] = field(default_factory=list)
    refused: str | None = None
    asleep: int = 0
    bounds: Bound = Bound.NONE
    estimate: float | None = None


@dataclass(frozen=True)
class InternalError:
    """An execution that this program could not bring to an end."""

    reason: str
    replay: str


@dataclass
class Report:
    """What `check` found.

    Attributes:
        options: what was asked for
        runs: programs on devices
        errors: executions that could not be brought to an end
        seconds: how long it took
        interrupted: Ctrl-C ended it: what had been found by then is here
    """

    options: Options
    runs: list[RunReport] = field(default_factory=list)
    errors: list[InternalError] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def executions(self) -> int:
        """Executions in all."""
        return sum(run.executions for run in self.runs)

    def distinct(self) -> list[tuple[Violation, list[RunReport]]]:
        """Each violation once for each driver, with the runs that showed it."""
        found: dict[tuple[str, tuple[str, str, str]], tuple[Violation, list[RunReport]]] = {}
        for run in self.runs:
            for violation in run.violations:
                key = (run.setup.mode.driver, violation.finding.cause)
                found.setdefault(key, (violation, []))[1].append(run)
        return list(found.values())


Progress = Callable[[Report, int], None]


def setups(options: Options) -> list[Setup]:
    """The devices to be checked: each range with each driver in each mode.

    Raises:
        BadInputError: there are none.
    """
    modes = [mode for mode in ALL_MODES if mode.driver in options.drivers]
    found = []
    for target in ranges.persistent_memory(options.memory):
        found += _on(options, target, [mode for mode in modes if mode.memory == "pmem"])
    for target in ranges.bars(options.memory):
        found += _on(options, target, [mode for mode in modes if mode.memory == "bar"])
    others = [mode for mode in modes if mode.memory in ("private", "coherent")]
    if others:
        found += _on_device_memory(options, others)
    for name in options.required:
        if all(setup.mode.driver != name for setup in found):
            modes = [mode for mode in modes if mode.driver == name]
            found = []
    if not found:
        source = options.memory.source
        if any(mode.memory == "bar" for mode in modes):
            raise BadInputError(f"{source}: no BAR of a PCI function that has room for a page")
        raise BadInputError(
            f"{source}: no persistent memory; --memmap SIZE!START makes some, "
            "as the kernel parameter memmap= does"
        )
    return found


def _on(options: Options, target: Range, modes: Sequence[Mode]) -> list[Setup]:
    if not modes:
        return []
    second = ranges.free_section(options.memory, target)
    # A second BAR is no part of the map: it is made where nothing is.
    pmem = second if modes[0].memory == "pmem" else None
    text = ranges.excerpt(options.memory, target, pmem, keep_claims=options.keep_claims)
    return [Setup(options.version, text, mode, target.start, target.end, second) for mode in modes]


def _on_device_memory(options: Options, modes: Sequence[Mode]) -> list[Setup]:
    """Memory that the map does not show: it goes to the highest free range."""
    target = ranges.private_range(options.memory, options.hmm_size)
    if target is None:
        raise BadInputError(f"--hmm-size {options.hmm_size:#x}: no free range of this size")
    text = ranges.excerpt(options.memory, target, above=True)
    second = ranges.free_section(options.memory, target)
    return [Setup(options.version, text, mode, target.start, target.end, second) for mode in modes]


def check(options: Options, progress: Progress | None = None) -> Report:
    """Runs it all; Ctrl-C ends it with what is known by then.

    Raises:
        BadInputError: there is nothing to check.
        WorkerError: a process is gone, or there is no scheduler.
    """
    started = time.monotonic()
    report = Report(options)
    devices = setups(options)
    budget = options.budget
    if budget is None and options.max_faults > 1:
        budget = DEFAULT_BUDGET
    try:
        with interrupts.held():
            if budget is None:
                _check_all(report, devices, progress)
            else:
                _check_until(report, devices, progress, started + budget)
    except KeyboardInterrupt:
        report.interrupted = True
    report.seconds = time.monotonic() - started
    return report


def _check_until(
    report: Report, devices: Sequence[Setup], progress: Progress | None, deadline: float
) -> None:
    """What is most likely to show something first: a budget cuts the end off."""
    campaigns = [Campaign(report, setup, progress, len(devices)) for setup in devices]
    for campaign in campaigns:
        campaign.run(deadline)
    for among in _to_explore(report.options, campaigns):
        for program in RACES:
            any(campaign.explore(program, deadline) for campaign in among)
    for faults in range(1, report.options.max_faults + 1):
        for i, campaign in enumerate(campaigns):
            campaign.run_with_faults(faults, _share(deadline, len(campaigns) - i))


def _check_all(report: Report, devices: Sequence[Setup], progress: Progress | None) -> None:
    """Without a deadline: in as many processes as asked for, to the same result."""
    options, total = report.options, len(devices)
    alone = options.jobs == 1 and options.scheduler is None
    shared = nullcontext() if alone else workers(options.jobs, options.scheduler)
    with shared as them:
        campaigns = []
        for campaign in _map(them, _life, [(options, setup) for setup in devices]):
            campaigns.append(campaign)
            _take_over(report, campaign, progress, total)
        races = [
            (options, [campaign.setup for campaign in among], program)
            for among in _to_explore(options, campaigns)
            for program in RACES
        ]
        for campaign in _map(them, _race, races):
            _take_over(report, campaign, progress, total)


def _map(
    them: Workers | None, function: Callable[[Any], Campaign], work: Sequence[Any]
) -> Iterator[Campaign]:
    """The results, in the order of the work, as they come."""
    return map(function, work) if them is None else them.map(function, work)


def _take_over(report: Report, campaign: Campaign, progress: Progress | None, total: int) -> None:
    report.runs += campaign.report.runs
    report.errors += campaign.report.errors
    if progress is not None:
        progress(report, total)


def _to_explore(options: Options, campaigns: Sequence[Campaign]) -> list[list[Campaign]]:
    """The devices that bind, by mode: schedules do not depend on addresses, so that of each the
    first on which there is room for a program stands for all."""
    if not options.explore:
        return []
    chosen: dict[Mode, list[Campaign]] = {}
    for campaign in campaigns:
        if campaign.binds:
            chosen.setdefault(campaign.setup.mode, []).append(campaign)
    return list(chosen.values())


def _life(work: tuple[Options, Setup]) -> Campaign:
    """All that one task does with one device."""
    options, setup = work
    campaign = Campaign(Report(options), setup)
    campaign.run()
    for faults in range(1, options.max_faults + 1):
        campaign.run_with_faults(faults)
    return campaign


def _race(work: tuple[Options, Sequence[Setup], Program]) -> Campaign:
    """One program whose tasks race, on the first device that it fits."""
    options, setups, program = work
    for setup in setups:
        campaign = Campaign(Report(options), setup)
        if campaign.explore(program):
            break
    return campaign


def _share(deadline: float | None, parts: int) -> float | None:
    """Deadline for the first of so many parts that have to share what is left."""
    if deadline is None:
        return None
    now = time.monotonic()
    return now + max(deadline - now, 0) / parts


class Campaign:
    """All executions on one device, added to a report as they come."""

    def __init__(
        self, report: Report, setup: Setup, progress: Progress | None = None, total: int = 1
    ) -> None:
        self.report = report
        self.setup = setup
        self.runs: list[RunReport] = []
        self._keys: dict[str, set[tuple[str, str, str]]] = {}
        self._progress = progress
        self._total = total

    def run(self, deadline: float | None = None) -> None:
        """Every program without faults."""
        refused = False
        with self._bench() as bench:
            if bench is None:
                return
            for program in PROGRAMS:
                if not program.fits(self.setup.mode) or (refused and not program.faults):
                    continue
                if program.second and self.setup.second is None:
                    continue
                run = RunReport(self.setup, program)
                self.runs.append(run)
                self.report.runs.append(run)
                run.exhaustive = self._search(bench, run, 0, deadline)
                refused = refused or run.refused is not None

    def run_with_faults(self, faults: int, deadline: float | None = None) -> None:
        """The programs that are run with faults, with this many; those with fewer are done."""
        programs = [run for run in self.runs if run.program.faults]
        if not programs:
            return
        with self._bench() as bench:
            if bench is None:
                return
            for i, run in enumerate(programs):
                share = _share(deadline, len(programs) - i)
                # What was cut off with fewer of them is not run again.
                run.exhaustive = self._search(bench, run, faults, share) and run.exhaustive

    @property
    def binds(self) -> bool:
        """Does the kernel bind the device?"""
        return bool(self.runs) and all(run.refused is None for run in self.runs)

    def explore(self, program: Program, deadline: float | None = None) -> bool:
        """A program whose tasks race, if it fits: all schedules, and with each call failing.
        False if it does not."""
        if not program.fits(self.setup.mode):
            return False
        run = RunReport(self.setup, program)
        try:
            with Race(self.setup, program) as race:
                self.report.runs.append(run)
                run.exhaustive = self._explore(race, run, deadline)
        except UnfitError:
            return False
        except Exception as e:
            self._fail(e, PROGRAMS[0], ())
        if self._progress is not None:
            self._progress(self.report, self._total)
        return True

    def _explore(self, race: Race, run: RunReport, deadline: float | None) -> bool:
        """True if it has seen every schedule, with every set of failing calls that is asked for."""
        options = self.report.options
        seconds = 0.0
        if deadline is not None:
            seconds = deadline - time.monotonic()
        if seconds < 0:
            run.bounds |= Bound.SECONDS
            return False
        bound, worthwhile = options.max_executions, 0
        if bound is None:
            bound = worthwhile = WORTHWHILE_EXECUTIONS
        faults = options.max_faults if run.program.faults else 0
        found = race.explore(
            max_executions=bound,
            worthwhile=worthwhile,
            max_seconds=seconds,
            max_faults=min(faults, MAX_FAULTS),
        )
        run.executions = found.exploration.executions
        run.asleep = found.exploration.asleep
        run.bounds = found.exploration.bounds
        run.estimate = found.exploration.estimate
        keys = self._keys.setdefault(run.program.name, set())
        for finding, schedule in found.findings:
            if finding.cause not in keys:
                keys.add(finding.cause)
                token = self._token(run.program, (), finding, schedule)
                run.violations.append(Violation(finding, token))
        if faults > MAX_FAULTS < found.exploration.fallible_calls:
            run.bounds |= Bound.FAULTS
            return False
        return found.exploration.complete

    # --- executions ---

    def _search(
        self,
        bench: Bench,
        run: RunReport,
        depth: int,
        deadline: float | None,
    ) -> bool:
        """Depth first over the sets of ``depth`` failing calls; those of fewer have been counted
        before and only lead the way.  True if it has seen all of them."""
        complete = True
        alike: list[Alike] = []
        pending: list[Iterator[tuple[int, ...]]] = [iter([()])]
        while pending:
            faults = next(pending[-1], None)
            if faults is None:
                pending.pop()
                continue
            if deadline is not None and time.monotonic() > deadline:
                run.bounds |= Bound.SECONDS
                return False
            leading = len(faults) < depth
            outcome = self._execute(bench, run, faults, leading)
            if outcome is None:
                complete = False
            elif leading:
                numbers, others = _later_calls(outcome.fallible, faults)
                pending.append(iter([(*faults, n) for n in numbers]))
                if depth == 1:
                    alike = others
                elif others:
                    run.bounds |= Bound.FAULTS
                    complete = False
        for group in alike:
            complete = self._compare(bench, run, group, deadline) and complete
        return complete

    def _compare(self, bench: Bench, run: RunReport, alike: Alike, deadline: float | None) -> bool:
        """Lets the others of many calls alike fail, and looks at those that make a difference.
        True if it has seen all of them."""
        most = self.report.options.max_executions
        most = WORTHWHILE_CALLS if most is None else most
        left = alike.others
        if most and len(left) > most:
            run.bounds |= Bound.FAULTS
            return False
        keys = self._keys[run.program.name]
        number = alike.middle
        for _ in range(MAX_WAYS):
            with Course(bench.kernel) as course:
                bench.run(run.program, (number,), fallible=False, known=keys, course=course)
                course.end()
                different: list[int] = []
                for first in range(0, len(left), SLICE):
                    interrupts.check()
                    if deadline is not None and time.monotonic() > deadline:
                        run.bounds |= Bound.SECONDS
                        return False
                    part = left[first : first + SLICE]
                    same = course.same(number, part)
                    different += [n for n, like in zip(part, same, strict=True) if not like]
            run.asleep += len(left) - len(different)
            if not different:
                return True
            number, *left = different
            if self._execute(bench, run, (number,), leading=False) is None:
                return False
        if not left:
            return True
        run.bounds |= Bound.FAULTS
        return False

    def _execute(
        self, bench: Bench, run: RunReport, faults: tuple[int, ...], leading: bool
    ) -> Outcome | None:
        keys = self._keys.setdefault(run.program.name, set())
        try:
            interrupts.check()
            outcome = bench.run(run.program, faults, fallible=leading, known=keys)
        except Exception as e:
            if not leading:
                self._fail(e, run.program, faults)
            return None
        if leading:
            return outcome
        run.executions += 1
        if not faults:
            run.refused = outcome.refused
        for finding in outcome.findings:
            if finding.cause not in keys:
                keys.add(finding.cause)
                run.violations.append(Violation(finding, self._token(run.program, faults, finding)))
        if self._progress is not None:
            self._progress(self.report, self._total)
        return outcome

    def _token(
        self, program: Program, faults: tuple[int, ...], finding: Finding, schedule: bytes = b""
    ) -> str:
        experiment = Experiment(self.setup, program, faults, schedule)
        return tokens.encode(tokens.Replay(experiment, finding.kind, tokens.digest(finding.cause)))

    def _fail(self, error: Exception, program: Program, faults: tuple[int, ...]) -> None:
        experiment = Experiment(self.setup, program, faults)
        self.report.errors.append(
            InternalError(
                f"{type(error).__name__}: {error}", tokens.encode(tokens.Replay(experiment, "", 0))
            )
        )

    def _bench(self) -> _BenchContext:
        return _BenchContext(self)


class _BenchContext:
    """A bench that is closed again; None if none can be made, which is reported."""

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign
        self._bench: Bench | None = None

    def __enter__(self) -> Bench | None:
        try:
            self._bench = Bench(self._campaign.setup)
        except Exception as e:
            self._campaign._fail(e, PROGRAMS[0], ())
        return self._bench

    def __exit__(self, *_: object) -> None:
        if self._bench is not None:
            self._bench.kernel.close()


@dataclass(frozen=True)
class Alike:
    """Calls of a loop over sections.

    Attributes:
        middle: number of one that fails by itself
        others: numbers of those that do not
    """

    middle: int
    others: list[int]


def _later_calls(
    fallible: Sequence[tuple[int, FaultPoint]], faults: tuple[int, ...]
) -> tuple[list[int], list[Alike]]:
    """Numbers of the calls after the last fault that are to fail next, and the others, if there
    are too many of them for each to be looked at."""
    groups: dict[tuple[int, str], list[int]] = {}
    after = faults[-1] if faults else 0
    number = 0
    for operation, point in fallible:
        first, number = number + 1, number + point.count
        if number > after:
            calls = range(max(first, after + 1), number + 1)
            groups.setdefault((operation, point.site), []).extend(calls)
    chosen = []
    alike = []
    for group in groups.values():
        n = len(group)
        if n <= MANY:
            chosen += group
            continue
        looked_at = [group[index] for index in (0, 1, n // 2, n - 1)]
        chosen += looked_at
        alike.append(Alike(group[n // 2], [call for call in group if call not in looked_at]))
    return sorted(chosen), alike
