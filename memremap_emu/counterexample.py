# SPDX-License-Identifier: GPL-2.0-only
"""Counterexamples that people can read: the least that still fails, and where it was decided.

`minimise` takes a program and a violation of its: fewest pre-emptions first, then fewest failing
calls, then the shortest program.  `turning_point` says which decision of a failing schedule was
the last one after which something could still go well, and which two operations it was about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, groupby, product
from typing import TypeVar

from memremap_emu.booted import Booted, Replayed, SetUps
from memremap_emu.errors import ViolationRecord
from memremap_emu.exploration import Bound, Exploration, Found, Outcome, Step
from memremap_emu.explore import Program as Tasks
from memremap_emu.lock_orders import executions_of
from memremap_emu.operations import GIVES_BACK, DeviceSpec, DriverSpec, Operation, ProgramError
from memremap_emu.program import Program

#: Executions of one search, if the user gives no other bound.
DEFAULT_EXECUTIONS = 2000
#: Executions after which it is asked whether the violation has shown.
_FIRST = 20
#: Parts of a program that are tried where the whole has too many schedules.
DEFAULT_PARTS = 24
#: Times as many executions for its point of no return, where one of many may be what is wanted.
_TURNING = 3
#: Functions that take a lock for whoever calls them: who that is says more.
_TAKES_LOCKS = frozenset(
    {"__spin_lock_irqsave", "complete", "finish_wait", "prepare_to_wait", "wake_up_all"}
)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Turning:
    """The point of no return of a schedule.

    Attributes:
        step: number of its steps before the decision
        taken: the step that was decided for
        first: the step of another process that would have had to come before it, None if it
            could not be told
        tasks: names of the processes of the two
        proven: every continuation after it has been tried
        failing: the decision is that a call fails in this step
        clean: where ``first`` comes before it, some schedule was found that breaks no rule at all
    """

    step: int
    taken: Step
    first: Step | None
    tasks: tuple[str, str]
    proven: bool
    failing: bool = False
    clean: bool = True

    @property
    def pair(self) -> tuple[str, str]:
        """The two operations that it is about: where ``taken`` is, and where ``first`` is."""
        return _place(self.taken), _place(self.first) if self.first else ""

    def __str__(self) -> str:
        certainty = "no schedule" if self.proven else "no schedule that was tried"
        text = f"after {self.tasks[0]}: {_place(self.taken)} (step {self.step + 1})"
        text += ", in which a call fails," if self.failing else ""
        text += f" {certainty} ends well"
        if self.failing:
            text += "; some do if it does not fail"
        elif self.first is not None:
            some = "some do" if self.clean else "some keep this rule"
            text += f"; {some} if {self.tasks[1]}: {_place(self.first)} comes before it"
        return text


@dataclass(frozen=True)
class Counterexample:
    """The least that still breaks the rule.

    Attributes:
        program: with everything left out that it does not need
        record: the violation
        schedule: that shows it
        preemptions: of the schedule
        faults: calls that fail in it
        minimal: the bounds on executions have left out nothing that might be less
        turning: its point of no return, None: every schedule of the program fails, or it takes
            several to show the violation
        replayed: log and columns
        path: the schedule as what every build has in common: whose step, its how-manieth visible
            operation this is, and the function that it is in; empty if several show it together
    """

    program: Program
    record: ViolationRecord
    schedule: bytes
    preemptions: int
    faults: int
    minimal: bool
    turning: Turning | None
    replayed: Replayed
    path: tuple[tuple[str, int, str], ...] = ()


def _place(step: Step) -> str:
    """Where a step is: its function, and whom it works for."""
    if not step.functions:
        return "a callback"
    inner, *outer = step.functions
    caller = next((name for name in outer if name not in _TAKES_LOCKS), "")
    return f"{inner}() [{caller}]" if caller else f"{inner}()"


def steps_of(schedule: bytes) -> list[bytes]:
    """A schedule in steps: each with the numbers of the calls that fail in it."""
    found: list[bytes] = []
    for byte in schedule:
        if byte < 0x80:
            found.append(bytes([byte]))
        else:
            found[-1] += bytes([byte])
    return found


def faults_of(schedule: bytes) -> int:
    """How many calls fail in a schedule."""
    # Of a number that 127 divides nothing is left for its last byte.
    return sum(0x80 <= byte < 0xFF for byte in schedule)


def processes(program: Program) -> dict[int, str]:
    """What the processes of a schedule are called."""
    names = {number: task.name for number, task in enumerate(program.tasks)}
    return names | {8: "RCU", 9: "RCU-sched", 10: "kworker"}


# --- minimising ---


@dataclass(frozen=True)
class _Least:
    """A schedule with the fewest pre-emptions, then the fewest failing calls."""

    preemptions: int
    faults: int
    found: Found
    complete: bool

    @property
    def cost(self) -> tuple[int, int]:
        return self.preemptions, self.faults


class _Search:
    def __init__(
        self,
        like: ViolationRecord,
        max_executions: int,
        max_preemptions: int,
        max_faults: int,
        parts: int,
        setups: SetUps,
    ) -> None:
        self._cause = like.cause
        self._kind = like.kind
        self._max_executions = max_executions
        self._max_preemptions = max_preemptions
        self._max_faults = max_faults
        self._parts = parts
        self._setups = setups
        #: What is left must have schedules that end well, as what it is made from has: else it
        #: fails for another reason.
        self.some_end_well = False
        #: No search that has found nothing has come to its bound since this was set.
        self.complete = True

    def least(self, program: Program, at_most: tuple[int, int] | None = None) -> _Least | None:
        """The cheapest schedule that shows the violation, None: none was found."""
        most, faults = at_most or (self._max_preemptions, self._max_faults)
        try:
            tasks = self._setups.of(program).tasks(program.tasks)
            best = self._least(tasks, most, range(faults + 1))
            if best is not None and self.some_end_well and not self.ends_well(tasks):
                return None
        except (ProgramError, ValueError):
            return None
        return best

    def least_of_a_part(self, program: Program) -> tuple[Program, _Least | None]:
        """Where the whole has too many schedules, a part of it may have few enough: one that shows
        the violation, or the program if none of the first few does."""
        parts, tried = [program], {program}
        for part in parts:
            for smaller in (*_smaller(part), *_without_pairs(part)):
                if smaller in tried or not as_honest(smaller, program):
                    continue
                if len(tried) > self._parts:
                    return program, None
                tried.add(smaller)
                parts.append(smaller)
                if (found := self.least(smaller)) is not None:
                    return smaller, found
        return program, None

    def ends_well(self, tasks: Tasks) -> bool:
        """Does any schedule not break it?"""
        explored = tasks.explore(
            stop_at_violation=False,
            stop_at_success=self._kind,
            check_quiescence=True,
            max_executions=self._max_executions,
        )
        self.complete = self.complete and (
            explored.outcome is Outcome.SUCCESS or self._is_complete(explored)
        )
        return explored.outcome is Outcome.SUCCESS

    def _least(self, tasks: Tasks, most: int, faults: range) -> _Least | None:
        best: _Least | None = None
        complete = True
        for number in faults:
            if best is not None:
                most = best.preemptions - 1
            for preemptions in range(most + 1):
                explored, found = self._shown(tasks, preemptions, number)
                if found is not None:
                    best = _Least(preemptions, number, found, complete)
                    break
                complete = complete and self._is_complete(explored)
                if explored.exhaustive:
                    break
        if best is None:
            self.complete = self.complete and complete
        return best

    def _is_complete(self, explored: Exploration) -> bool:
        """Has it seen, and told, all that there is with so many pre-emptions and faults?"""
        return (
            explored.executions < self._max_executions and Bound.VIOLATIONS not in explored.bounds
        )

    def _shown(
        self, tasks: Tasks, preemptions: int, faults: int
    ) -> tuple[Exploration, Found | None]:
        """The first schedule within these bounds that shows it; most often one of the first."""
        for executions in (min(_FIRST, self._max_executions), self._max_executions):
            explored = tasks.explore(
                strategy="preemptions",
                max_preemptions=preemptions,
                max_faults=faults,
                stop_at_violation=False,
                check_quiescence=True,
                max_executions=executions,
            )
            found = next((f for f in explored.found if f.record.cause == self._cause), None)
            if found is not None or explored.executions < executions:
                break
        return explored, found


def _smaller(program: Program) -> Iterator[Program]:
    """The programs with one thing less."""
    for number in range(len(program.tasks)):
        if len(program.tasks) > 1:
            yield replace(program, tasks=_without(program.tasks, number))
    for number, task in enumerate(program.tasks):
        for index in range(len(task.operations)):
            shorter = replace(task, operations=_without(task.operations, index))
            if shorter.operations:
                tasks = (*program.tasks[:number], shorter, *program.tasks[number + 1 :])
                yield replace(program, tasks=tasks)
    for number in range(len(program.prepared)):
        yield replace(program, prepared=_without(program.prepared, number))
    used = {arg for operation in _all_operations(program) for arg in operation.args}
    for number, (name, _) in enumerate(program.objects):
        if name not in used:
            yield replace(program, objects=_without(program.objects, number))
    for number, device in enumerate(program.devices):
        if device.name not in used:
            yield replace(program, devices=_without(program.devices, number))
    for number, driver in enumerate(program.drivers):
        if driver.name not in used:
            yield replace(program, drivers=_without(program.drivers, number))
    specs: list[DeviceSpec | DriverSpec] = [*program.devices, *program.drivers]
    memory = [(spec.start, spec.start + spec.size) for spec in specs]
    for number, (start, end, _) in enumerate(program.ranges):
        if all(end < first or behind <= start for first, behind in memory):
            yield replace(program, ranges=_without(program.ranges, number))


def _without_pairs(program: Program) -> Iterator[Program]:
    """The programs without something that is taken and given back."""
    for giving, taking in GIVES_BACK.items():
        for args in dict.fromkeys(o.args for o in _all_operations(program) if o.call == giving):
            pair = (Operation(taking, args), Operation(giving, args))
            tasks = tuple(
                replace(t, operations=tuple(o for o in t.operations if o not in pair))
                for t in program.tasks
            )
            yield replace(
                program,
                prepared=tuple(o for o in program.prepared if o not in pair),
                tasks=tuple(t for t in tasks if t.operations),
            )
            yield from _without_one_pair(program, *pair)


def _without_one_pair(program: Program, taking: Operation, giving: Operation) -> Iterator[Program]:
    """The same of what is taken and given back several times: one of each, whichever it is."""
    places = [
        (number, index, operation)
        for number, operations in enumerate(_lists(program))
        for index, operation in enumerate(operations)
    ]
    taken, given = (
        [place[:2] for place in places if place[2] == operation] for operation in (taking, giving)
    )
    if len(taken) < 2 and len(given) < 2:
        return
    for pair in product(taken, given):
        prepared, *tasks = (
            tuple(o for index, o in enumerate(operations) if (number, index) not in pair)
            for number, operations in enumerate(_lists(program))
        )
        yield replace(
            program,
            prepared=prepared,
            tasks=tuple(
                replace(task, operations=operations)
                for task, operations in zip(program.tasks, tasks, strict=True)
                if operations
            ),
        )


def _owed(program: Program) -> dict[tuple[str, tuple[str | int, ...]], int]:
    """How much more is given back than was taken, of each thing."""
    owed: dict[tuple[str, tuple[str | int, ...]], int] = {}
    for operation in _all_operations(program):
        if taking := GIVES_BACK.get(operation.call):
            key = taking, operation.args
            owed[key] = owed.get(key, 0) + 1
        elif operation.call in GIVES_BACK.values():
            key = operation.call, operation.args
            owed[key] = owed.get(key, 0) - 1
    return owed


def as_honest(program: Program, as_this: Program) -> bool:
    """Does it give back no more, and keep no more, than the other one?"""
    before = _owed(as_this)
    return all(
        owed <= max(before.get(key, 0), 0) and owed >= min(before.get(key, 0), 0)
        for key, owed in _owed(program).items()
    )


def _lists(program: Program) -> list[tuple[Operation, ...]]:
    """The operations of its set-up, and those of each task."""
    return [program.prepared, *(task.operations for task in program.tasks)]


def _all_operations(program: Program) -> list[Operation]:
    return list(chain.from_iterable(_lists(program)))


def _without(items: tuple[_T, ...], number: int) -> tuple[_T, ...]:
    return (*items[:number], *items[number + 1 :])


def minimise(
    program: Program,
    like: ViolationRecord,
    *,
    schedule: bytes = b"",
    max_executions: int = DEFAULT_EXECUTIONS,
    max_preemptions: int = 3,
    max_faults: int = 0,
    parts: int = DEFAULT_PARTS,
    setups: SetUps | None = None,
) -> Counterexample:
    """The least that still shows a violation with the same cause.

    Args:
        program: that shows it
        like: the violation
        schedule: one that shows it, for when no search within the bounds does
        max_executions: of each search on the way
        max_preemptions: of a schedule
        max_faults: failing calls of an execution
        parts: so many parts of the program are tried where the whole has too many schedules
        setups: machines to be used again, those of a campaign say

    Raises:
        ValueError: no search within the bounds shows it, and no schedule was given that does.
    """
    if setups is None:
        with SetUps() as setups:
            return minimise(
                program,
                like,
                schedule=schedule,
                max_executions=max_executions,
                max_preemptions=max_preemptions,
                max_faults=max_faults,
                parts=parts,
                setups=setups,
            )
    search = _Search(like, max_executions, max_preemptions, max_faults, parts, setups)
    best = search.least(program)
    minimal = best is not None
    search.some_end_well = search.ends_well(setups.of(program).tasks(program.tasks))
    if best is None:
        program, best = search.least_of_a_part(program)
    if best is not None:
        progress = True
        while progress:
            progress, search.complete = False, True
            for smaller in (*_smaller(program), *_without_pairs(program)):
                if not as_honest(smaller, program):
                    continue
                less = search.least(smaller, best.cost)
                if less is not None:
                    program, best, progress = smaller, less, True
                    break
        minimal = minimal and best.complete and search.complete
        schedule, record = best.found.schedule, best.found.record
    else:
        record = like
    replayed = program.replay(schedule) if schedule else None
    shown = replayed and [v for v in replayed.violations if v.cause == like.cause]
    if not replayed or not shown:
        raise ValueError(f"no schedule within the bounds shows this {like.kind}")
    turning = None
    path: tuple[tuple[str, int, str], ...] = ()
    if len(executions_of(schedule)) == 1:
        turning = turning_point(
            program,
            record.kind,
            schedule,
            max_executions=_TURNING * max_executions,
            setups=setups,
        )
        booted, names = setups.of(program), processes(program)
        steps = _path(booted, booted.tasks(program.tasks), schedule)
        path = tuple((names[step.process], step.number, str(step)) for step in steps)
    return Counterexample(
        program,
        record,
        schedule,
        replayed.preemptions,
        faults_of(schedule),
        minimal,
        turning,
        replayed,
        path,
    )


def _schedule_as_text(path: tuple[tuple[str, int, str], ...]) -> str:
    """Who went from where to where, in order."""
    parts = []
    for process, group in groupby(path, key=lambda step: step[0]):
        steps = list(group)
        (_, first, begin), (_, last, end) = steps[0], steps[-1]
        many = f"{first} {begin}" if first == last else f"{first} {begin} to {last} {end}"
        parts.append(f"{process} {many}")
    return "; ".join(parts)


# --- the point of no return ---


class _Continuations:
    """Do executions that begin so end well?"""

    def __init__(self, tasks: Tasks, kind: str, max_executions: int) -> None:
        self._kind = kind
        self._tasks = tasks
        self._max_executions = max_executions

    def success(self, beginning: bytes) -> bytes | None:
        """A schedule that begins so and does not break the rule."""
        explored = self._explore(beginning)
        return explored.schedule if explored.outcome is Outcome.SUCCESS else None

    def fails(self, beginning: bytes) -> bool:
        """Is it certain that none does?"""
        return self._explore(beginning).exhaustive

    def is_clean(self, beginning: bytes) -> bool:
        """Is there one that does not break any other rule either?"""
        return self._explore(beginning, True).outcome is Outcome.SUCCESS

    def _explore(self, beginning: bytes, success: str | bool = "") -> Exploration:
        return self._tasks.explore(
            schedule=beginning,
            under=bool(beginning),
            stop_at_violation=False,
            stop_at_success=success or self._kind,
            check_quiescence=True,
            max_executions=self._max_executions,
        )


def turning_point(
    program: Program,
    kind: str,
    schedule: bytes,
    *,
    max_executions: int = DEFAULT_EXECUTIONS,
    setups: SetUps | None = None,
) -> Turning | None:
    """The last decision of a failing schedule from which something still succeeds.

    Whether something does is searched for each of the decisions that matter (in halves: what
    succeeds after more of the schedule succeeds after less of it).

    Args:
        program: whose schedule it is
        kind: of the violation
        schedule: that shows it
        max_executions: of each search
        setups: machines to be used again

    Returns:
        None if no schedule of the program succeeds, within the bound on executions.
    """
    if setups is None:
        with SetUps() as setups:
            return turning_point(
                program, kind, schedule, max_executions=max_executions, setups=setups
            )
    steps = steps_of(schedule)
    booted = setups.of(program)
    tasks = booted.tasks(program.tasks)
    continuations = _Continuations(tasks, kind, max_executions)
    low, high = 0, len(steps)
    well = continuations.success(b"")
    if well is None:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        found = continuations.success(b"".join(steps[:middle]))
        if found is None:
            high = middle
        else:
            low, well = middle, found
    proven = continuations.fails(b"".join(steps[: low + 1]))
    calm = steps[low][:1]
    failing = len(steps[low]) > 1 and bool(continuations.success(b"".join([*steps[:low], calm])))
    other, instead = None, b""
    if not failing:
        other, instead = _who_must_come_first(continuations, steps, low, steps_of(well))
    # Long enough to have been taken: the whole of both schedules.
    taken = _path(booted, tasks, schedule)[low]
    first = None
    if other is not None:
        first = _path(booted, tasks, well)[other]
    names = processes(program)
    return Turning(
        low,
        taken,
        first,
        (names[taken.process], names[first.process] if first else ""),
        proven,
        failing,
        other is None or continuations.is_clean(instead),
    )


def _who_must_come_first(
    continuations: _Continuations, steps: list[bytes], at: int, well: list[bytes]
) -> tuple[int | None, bytes]:
    """Index of the step of ``well`` after which the decision does no harm any more, and how a
    schedule with both begins."""
    decision = steps[at]
    for index in range(at, len(well)):
        if well[index][:1] == decision[:1]:
            return (index - 1, b"".join(well[: index + 1])) if index > at else (None, b"")
        beginning = b"".join([*well[: index + 1], decision])
        try:
            if continuations.success(beginning) is not None:
                return index, beginning
        except ValueError:
            continue  # it cannot go on there
    return None, b""


def _path(booted: Booted, tasks: Tasks, schedule: bytes) -> list[Step]:
    with tasks.search(schedule=schedule) as search:
        start = booted.kernel.snapshot()
        search.run()
        path = search.path()
        start.restore()
        start.drop()
    return path


def as_text(found: Counterexample) -> str:
    """Everything about it, ready to be pasted."""
    lines = [f"{found.record.kind}: {found.record.message}"]
    preemptions = f"{found.preemptions} pre-emption{'s' * (found.preemptions != 1)}"
    faults = f", {found.faults} failing call{'s' * (found.faults != 1)}" if found.faults else ""
    least = "" if found.minimal else " (bounded: there may be a smaller one)"
    lines += [f"{preemptions}{faults}{least}", "", repr(found.program), ""]
    lines += [line.rstrip() for line in found.replayed.columns.splitlines()]
    lines.append("")
    if found.path:
        lines.append(f"schedule: {_schedule_as_text(found.path)}")
    if len(executions_of(found.schedule)) > 1:
        lines.append("none of these executions shows it alone")
    elif found.turning is None:
        lines.append("no schedule of this program that was tried ends well")
    else:
        lines.append(str(found.turning))
    if found.replayed.log:
        lines += ["", *(f"| {line}" for line in found.replayed.log[-12:])]
    return "\n".join(lines) + "\n"
