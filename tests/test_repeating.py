# SPDX-License-Identifier: GPL-2.0-only
"""One run that stands for others: what is said to be the same is the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from memremap_emu import check, iomem
from memremap_emu.check import Options
from memremap_emu.errors import KernelError
from memremap_emu.experiments import Mode, Program, Setup, mode_named, program_named
from memremap_emu.kernel import Kernel
from memremap_emu.ranges import MemoryMap
from memremap_emu.repeating import Course
from memremap_emu.runs import Bench, Outcome

SECTIONS = 70
MAP = (
    "00100000-bfffffff : System RAM\n"
    f"400000000-{0x400000000 + (SECTIONS << 27) - 1:x} : Persistent Memory\n"
)
LIFE = program_named("bind-use-unbind-rebind")
BESIDE = program_named("beside-second-device")
MODES = [
    mode_named("pmem", "fsdax"),
    mode_named("pmem", "fsdax-altmap"),
    mode_named("dax_pmem", "plain"),
    mode_named("hmm_public", "coherent"),
]


def setup_of(mode: Mode, version: str = "memremap-v6") -> Setup:
    memory = MemoryMap("<test>", tuple(iomem.parse(MAP)))
    options = Options(memory, version, drivers=(mode.driver,), hmm_size=SECTIONS << 27)
    return next(setup for setup in check.setups(options) if setup.mode == mode)


def loops(bench: Bench, program: Program) -> Iterator[range]:
    """Numbers of the calls of each loop over sections."""
    number = 1
    for _, point in bench.run(program).fallible:
        if point.count >= SECTIONS - 10:
            yield range(number, number + point.count)
        number += point.count


def shown(outcome: Outcome) -> tuple[object, ...]:
    """All that a user sees of a run, but for numbers in it."""
    log = [re.sub(r"0x[0-9a-f]+|\d+", "#", line) for line in outcome.log]
    found = [(f.kind, f.message, f.where, f.failed, f.history) for f in outcome.findings]
    return outcome.history, outcome.failed, outcome.refused, found, log


def record(bench: Bench, program: Program, number: int, course: Course) -> Outcome:
    outcome = bench.run(program, (number,), fallible=False, course=course)
    course.end()
    return outcome


@pytest.mark.parametrize("version", ["v4.19", "memremap-v6", "v5.2"])
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: f"{mode.driver}-{mode.name}")
@pytest.mark.parametrize("program", [LIFE, BESIDE], ids=lambda program: program.name)
def test_what_is_said_to_be_the_same_is_judged_the_same(
    program: Program, mode: Mode, version: str
) -> None:
    bench = Bench(setup_of(mode, version))
    met = 0
    for calls in loops(bench, program):
        judged = {n: shown(bench.run(program, (n,), fallible=False)) for n in calls}
        number = calls[len(calls) // 2]
        with Course(bench.kernel) as course:
            record(bench, program, number, course)
            same = dict(zip(calls, course.same(number, calls), strict=True))
        assert same[number]
        for n in calls:
            assert not same[n] or judged[n] == judged[number]
        # Most are; the first one leaves nothing behind, so it cannot be.
        assert sum(same.values()) > len(calls) - 5
        met += 1
    assert met >= 2


def test_the_first_of_a_loop_differs_from_those_that_leave_something_behind() -> None:
    bench = Bench(setup_of(MODES[0]))
    calls = next(loops(bench, LIFE))
    with Course(bench.kernel) as course:
        record(bench, LIFE, calls[9], course)
        assert course.same(calls[9], calls[:3]) == [False, True, True]


def test_the_answer_depends_on_no_other_call_that_was_asked_about() -> None:
    bench = Bench(setup_of(MODES[1]))
    calls = list(next(loops(bench, BESIDE)))
    number = calls[30]
    with Course(bench.kernel) as course:
        record(bench, BESIDE, number, course)
        together = course.same(number, calls)
        assert course.same(number, calls[::-1]) == together[::-1]
        assert [course.same(number, [n])[0] for n in calls] == together


def test_a_call_of_another_kind_is_not_the_same() -> None:
    bench = Bench(setup_of(MODES[0]))
    first, second = list(loops(bench, LIFE))[:2]
    with Course(bench.kernel) as course:
        record(bench, LIFE, first[9], course)
        # Another function fails, nothing fails any more, nothing ever fails.
        others = [second[9], second[-1] + 1, 1 << 40]
        assert course.same(first[9], others) == [False] * 3


def test_the_machine_is_left_as_it_was_found() -> None:
    bench = Bench(setup_of(MODES[0]))
    calls = next(loops(bench, LIFE))
    before = shown(bench.run(LIFE, (calls[9],)))
    state = bench.kernel.state_hash
    with Course(bench.kernel) as course:
        record(bench, LIFE, calls[9], course)
        course.same(calls[9], calls)
    assert shown(bench.run(LIFE, (calls[9],))) == before
    assert bench.kernel.state_hash == state


def test_what_cannot_be_asked_again_is_the_same_as_nothing() -> None:
    bench = Bench(setup_of(MODES[0]))
    calls = next(loops(bench, LIFE))
    with Course(bench.kernel) as course:
        course.begin()
        _ = bench.kernel.state_hash
        course.settle()
        course.end()
        assert course.same(calls[9], [calls[9]]) == [False]


@pytest.mark.parametrize("calls_back", [False, True])
def test_a_kernel_that_calls_the_host_cannot_be_asked_again(calls_back: bool) -> None:
    called: list[object] = []
    with Kernel(on_violation="record") as k:
        device = k.device("mine")
        add = device.add_action_or_reset if calls_back else device.add_action
        with k.fault_injection(nth=1), Course(k) as course:
            course.begin()
            with pytest.raises(KernelError):
                add(called.append)
            course.settle()
            course.end()
            assert course.same(1, [1]) == [not calls_back]
    assert len(called) == calls_back
