# SPDX-License-Identifier: GPL-2.0-only
"""What Hypothesis draws makes sense, shrinks to what a person would write, and finds bugs."""

from __future__ import annotations

import inspect
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, event, find, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from memremap_emu import Config, Kernel, stateful
from memremap_emu.errors import KernelError, TaskDied
from memremap_emu.exploration import Exploration
from memremap_emu.memory import MemoryType
from memremap_emu.operations import DeviceSpec, DriverSpec
from memremap_emu.program import Program
from memremap_emu.stateful import NotExhaustive, ShutdownMachine, checks_shutdown
from memremap_emu.strategies import (
    configs,
    devices,
    drivers,
    fault_plans,
    memory_maps,
    pagemaps,
    programs,
    ranges,
    resources,
    schedules,
)

START, SIZE = 0x140000000, 1 << 27
MAP = ((START, START + SIZE - 1, "Persistent Memory"),)


def guided(program: Program, schedule: bytes) -> Exploration:
    return program.explore(
        strategy="guided", schedule=schedule, max_executions=1, check_quiescence=True
    )


@given(memory_maps())
@settings(max_examples=40)
def test_well_formed_maps_are_read_and_written_back(text: str) -> None:
    with Kernel(checked=False) as k:
        k.iomem.load(text)
        assert str(k.iomem) == text


@given(memory_maps(hostile=True))
@settings(max_examples=40)
def test_hostile_maps_are_read_or_refused(text: str) -> None:
    with Kernel(checked=False) as k:
        try:
            k.iomem.load(text)
        except (ValueError, KernelError):
            return
        assert sorted(str(k.iomem).split()) == sorted(text.split())


@given(configs())
@settings(max_examples=40)
def test_configurations_boot(config: Config) -> None:
    with Kernel(config=config, checked=False) as k:
        assert k.config == config


def meet(entries: list[tuple[int, int, str]], what: str) -> bool:
    """Are two entries as ``what`` says?"""
    for a, b in combinations(entries, 2):
        overlap = a[0] <= b[1] and b[0] <= a[1]
        share = a[0] // SIZE <= b[1] // SIZE and b[0] // SIZE <= a[1] // SIZE
        names = {a[2], b[2]}
        if what == "overlap" and overlap and names == {"Persistent Memory"}:
            return True
        if what == "share" and share and not overlap:
            return True
        if what == "mixed" and share and names == {"Persistent Memory", "System RAM"}:
            return True
    return False


HOSTILE = {
    "unaligned": lambda entries: any(start % 4096 for start, _, _ in entries),
    "overlapping": lambda entries: meet(entries, "overlap"),
    "sharing a section": lambda entries: meet(entries, "share"),
    "mixed with RAM": lambda entries: meet(entries, "mixed"),
    "a hole at the beginning": lambda entries: (
        len(entries) == 1 and entries[0][0] % SIZE > 4096 and (entries[0][1] + 1) % SIZE == 0
    ),
    "a hole at the end": lambda entries: (
        len(entries) == 1 and entries[0][0] % SIZE == 0 and (entries[0][1] + 1) % SIZE > 4096
    ),
    "from address 0": lambda entries: entries[0][0] == 0,
    "to the last address": lambda entries: entries[0][1] == (1 << 46) - 1,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_maps_are_all_of_this(what: str) -> None:
    # What is found is not made smaller, which would take a while.
    quiet = settings(
        max_examples=2000, database=None, derandomize=True, phases=[Phase.generate], deadline=None
    )
    find(ranges(hostile=True), HOSTILE[what], settings=quiet)


@given(ranges())
def test_well_formed_maps_are_whole_sections_side_by_side(
    entries: list[tuple[int, int, str]],
) -> None:
    for start, end, _ in entries:
        assert start % SIZE == 0 and (end + 1) % SIZE == 0
    assert not meet(entries, "overlap") and not meet(entries, "share")


@given(resources(), fault_plans())
def test_parts_are_what_they_say(resource: tuple[int, int], plan: tuple[int, ...]) -> None:
    assert 0 <= resource[0] <= resource[1] < 1 << 46
    assert list(plan) == sorted(set(plan))


@given(pagemaps(), st.sampled_from(["v4.19", "memremap-v6", "v5.2"]))
@settings(max_examples=150, deadline=None)
def test_pagemaps_are_mapped_or_refused(pagemap: dict[str, Any], version: str) -> None:
    with Kernel(version, on_violation="record") as k:
        made = k.pagemap(
            pagemap["start"],
            pagemap["size"],
            type=pagemap["type"],
            ref=k.percpu_ref() if pagemap["ref"] else None,
            kill=pagemap["kill"],
            cleanup=(lambda ref: None) if pagemap["cleanup"] else None,
            page_free=(lambda page: None) if pagemap["page_free"] else None,
        )
        if pagemap["altmap"]:
            made.set_altmap(*pagemap["altmap"])
        try:
            k.device("d.0").memremap_pages(made)
        except KernelError as e:
            event(f"refused: {e.errno}")
        except TaskDied:
            # Nothing at all, of which no memory type can be reserved: a BUG of the kernel.
            assert (pagemap["size"], pagemap["start"] % SIZE) == (0, 0)
        else:
            assert pagemap["ref"]


def test_pagemaps_are_all_of_this() -> None:
    seen: list[dict[str, Any]] = []

    @given(pagemaps())
    @settings(max_examples=200, database=None, derandomize=True)
    def collect(pagemap: dict[str, Any]) -> None:
        seen.append(pagemap)

    collect()
    assert {pagemap["type"] for pagemap in seen} == set(MemoryType)
    for field in ("ref", "kill", "cleanup", "page_free", "altmap"):
        assert {bool(pagemap[field]) for pagemap in seen} == {False, True}, field


@given(devices())
@settings(max_examples=40, deadline=None)
def test_devices_bind_in_each_of_their_modes(spec: DeviceSpec) -> None:
    name = "0000:80:00.0" if spec.driver == "p2pdma" else "Persistent Memory"
    program = Program("v5.2", devices=(spec,))
    if spec.driver != "hmm_public":
        program = program.memory(START, START + SIZE - 1, name)
    program.task("life", "bind mine", "unbind mine").setup(
        "bind mine", "unbind mine"
    ).boot().close()


@given(programs("v5.2", own_drivers=True), schedules())
@settings(max_examples=60, deadline=None)
def test_programs_run_under_any_schedule_and_print_as_their_builder(
    program: Program, schedule: bytes
) -> None:
    program.check()
    assert eval(repr(program)) == program
    found = guided(program, schedule)
    assert found.executions == 1
    again = guided(program, schedule)
    assert (again.final_hash, again.found) == (found.final_hash, found.found)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"version": "v9"}, "unknown version 'v9'"),
        ({"kinds": ["dax-pmem"]}, "unknown kind 'dax-pmem'; known: dax_pmem, pmem"),
        ({"kinds": []}, "no kinds"),
        ({"max_tasks": 0}, "max_tasks is 0: must be 1 to 4"),
        ({"max_tasks": 5}, "max_tasks is 5: must be 1 to 4"),
    ],
)
def test_programs_that_there_are_not_are_refused(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        programs(**arguments)


def test_the_final_page_put_race_shrinks_to_what_a_person_would_write() -> None:
    program, schedule = find(
        st.tuples(programs(kinds=["dax_pmem"]), schedules()),
        lambda drawn: any(f.record.kind == "memmap-removed" for f in guided(*drawn).found),
        settings=settings(max_examples=3000, database=None, derandomize=True, deadline=None),
    )
    calls = sorted(str(o) for task in program.tasks for o in task.operations)
    assert calls == ["put_page mine 0", "unbind mine"]
    assert [str(o) for o in program.prepared] == ["bind mine", "get_page mine 0"]
    assert len(schedule) <= 2


def test_an_example_that_fails_is_shown_as_its_builder() -> None:
    @given(programs(kinds=["dax_pmem"]))
    @settings(database=None, derandomize=True)
    def fails(program: Program) -> None:
        raise AssertionError

    with pytest.raises(AssertionError) as caught:
        fails()
    shown = "\n".join(caught.value.__notes__)
    assert "program=(\n" in shown
    assert "\n        Program('memremap-v6', cpus=" in shown
    assert "\n        .device('mine', 'dax_pmem', 0x140000000, 0x8000000)\n" in shown


def test_a_driver_that_fails_is_shown_as_its_builder() -> None:
    @given(drivers("v5.2", permuted=True))
    @settings(database=None, derandomize=True)
    def fails(spec: DriverSpec) -> None:
        raise AssertionError(spec)

    with pytest.raises(AssertionError) as caught:
        fails()
    shown = "".join("\n".join(caught.value.__notes__).split("\n"))
    code = shown[shown.index("Program().driver(") : shown.rindex("drivers[0]")] + "drivers[0]"
    assert code.startswith("Program().driver('mine', 0x140000000, 0x8000000, probe=['request_reg")
    assert eval(code) == caught.value.args[0]


@given(drivers("v5.2"))
def test_drivers_follow_the_rules_of_their_version(spec: DriverSpec) -> None:
    program = (
        Program("v5.2", ranges=MAP, drivers=(spec,))
        .setup("bind mine")
        .task("unbind", "unbind mine", "bind mine", "unbind mine")
    )
    found = program.explore(check_quiescence=True)
    assert found.exhaustive and not found.found


def test_permuted_drivers_break_rules() -> None:
    def breaks(spec: DriverSpec) -> bool:
        program = Program("v5.2", ranges=MAP, drivers=(spec,))
        program = program.task("life", "bind mine", "unbind mine")
        return bool(program.explore(check_quiescence=True, max_executions=20).found)

    wrong = find(
        drivers("v5.2", permuted=True), breaks, settings=settings(database=None, derandomize=True)
    )
    assert wrong != Program().driver("mine", START, SIZE, probe=[]).drivers[0]


@pytest.mark.parametrize("version", ["v4.19", "memremap-v6", "v5.0", "v5.2"])
@pytest.mark.parametrize("checked", [True, False])
def test_the_ready_state_machine_agrees_with_every_version(version: str, checked: bool) -> None:
    class Machine(ShutdownMachine):
        pass

    Machine.version, Machine.checked = version, checked
    run_state_machine_as_test(
        Machine, settings=settings(max_examples=15, stateful_step_count=25, deadline=None)
    )


def test_the_ready_state_machine_finds_what_a_failing_call_leaves_behind() -> None:
    """The direct map of a range whose shadow cannot be added, as on the real kernel."""

    class Failing(ShutdownMachine):
        faults = True

    with pytest.raises(BaseException, match=r"leak|Hypothesis found") as caught:
        run_state_machine_as_test(
            Failing,
            # Drawn at random, some sixty do not show it.
            settings=settings(max_examples=500, database=None, derandomize=True, deadline=None),
        )
    assert "still in the direct map" in repr(caught.value) or "leak" in repr(caught.value)


def test_the_ready_state_machine_is_driven_to_held_pages_and_new_states(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[float, str]] = []
    monkeypatch.setattr(stateful, "target", lambda value, label: told.append((value, label)))
    machine = ShutdownMachine()
    machine.bind(0)
    machine.get_page(0, 0)
    machine.get_page(0, 1)
    machine.agrees_with_model()
    machine.unbind(0)  # kills while two pages are held
    machine.agrees_with_model()
    machine.agrees_with_model()
    machine.teardown()
    assert told == [(2.0, "references held at kill"), (2.0, "distinct states")]


def test_the_ready_state_machine_notices_references_that_are_lost() -> None:
    machine = ShutdownMachine()
    try:
        machine.driver.bind(machine.devices[0])
        machine.bound[0] = True
        machine._first[0] = (START + (1 << 26)) >> 12
        machine.held[0][0] = 1
        with pytest.raises(AssertionError):
            machine.agrees_with_model()
    finally:
        machine.kernel.close()


def race(version: str) -> Program:
    return (
        Program(version)
        .memory(START, START + SIZE - 1)
        .device("pmem0", "dax_pmem", START, SIZE)
        .setup("bind pmem0", "get_page pmem0 0")
        .task("unbind", "unbind pmem0")
        .task("user", "put_page pmem0 0")
    )


@checks_shutdown()
def test_a_shutdown_that_is_right_passes() -> Program:
    return race("v5.2")


def test_a_shutdown_is_explored_for_as_long_as_its_test_says() -> None:
    @checks_shutdown(max_executions=0, max_seconds=1e-6)
    def shutdown() -> Program:
        return race("v5.2")

    with pytest.warns(NotExhaustive, match=r"not exhaustive \(seconds\)") as warned:
        shutdown()
    # Where the program is built.
    assert Path(warned[0].filename) == Path(__file__)
    assert warned[0].lineno == inspect.unwrap(shutdown).__code__.co_firstlineno


def test_a_shutdown_that_is_no_program_is_refused() -> None:
    @checks_shutdown()
    def shutdown() -> Any:
        return None

    with pytest.raises(TypeError, match=r"shutdown\(\) returns None, not a program"):
        shutdown()


def test_the_decorator_without_parentheses_is_refused() -> None:
    with pytest.raises(TypeError, match=r"@checks_shutdown\(\)"):
        checks_shutdown(test_a_shutdown_that_is_right_passes)  # type: ignore[arg-type]


def test_a_shutdown_that_is_wrong_fails_with_its_counterexample() -> None:
    @checks_shutdown(version="memremap-v6")
    def shutdown() -> Program:
        return race("v5.2")

    with pytest.raises(AssertionError) as caught:
        shutdown()
    text = str(caught.value)
    assert text.startswith("memmap-removed: ") and "no schedule ends well" in text
    assert "CPU0: unbind" in text and "Program('memremap-v6'" in text
