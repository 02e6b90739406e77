# SPDX-License-Identifier: GPL-2.0-only
"""Programs as data: building, printing, JSON, what is refused, drivers as lists of steps."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from memremap_emu.exploration import ScheduleError
from memremap_emu.operations import CALLS, EVENTS, STEPS, Operation, ProgramError
from memremap_emu.program import Program

START, SIZE = 0x140000000, 1 << 27

#: A driver as device-dax is: before the cleanup callback, and with it.
OLD: dict[str, Any] = {
    "probe": ["request_region", "alloc", "init_ref", "add_action exit", "memremap_pages"],
    "release": ["complete"],
    "kill": ["kill"],
    "actions": {"exit": ["wait", "exit"]},
}
NEW: dict[str, Any] = {
    "probe": ["request_region", "alloc", "init_ref", "memremap_pages"],
    "release": ["complete"],
    "kill": ["kill"],
    "cleanup": ["wait", "exit"],
}


def race(version: str = "memremap-v6") -> Program:
    """The final put of a page against unbind."""
    return (
        Program(version)
        .memory(START, START + SIZE - 1)
        .device("pmem0", "dax_pmem", START, SIZE)
        .setup("bind pmem0", "get_page pmem0 0")
        .task("unbind", "unbind pmem0")
        .task("user", "put_page pmem0 0")
    )


def own(version: str, **lists: Any) -> Program:
    """The same with a driver of one's own."""
    return (
        Program(version)
        .memory(START, START + SIZE - 1)
        .driver("mine", START, SIZE, **lists)
        .setup("bind mine", "get_page mine 0")
        .task("unbind", "unbind mine")
        .task("user", "put_page mine 0")
    )


EVERYTHING = (
    own("v5.2", **NEW, page_free=["get"], type="fs_dax", remove=["synchronize_rcu"])
    .configured(preempt_rcu=False, numa_nodes=2)
    .memory(1 << 40, (1 << 41) - 1, "System RAM")
    .device("p", "pmem", 0x100000000, 1 << 27, mode="raw", altmap=True)
    .object("m", "mutex")
    .object("r", "percpu_ref")
    .setup("percpu_ref_get r")
    .task("third", "mutex_lock m", "mutex_unlock m", cpu=1)
)


#: A driver that does nothing.
EMPTY = Program().driver("mine", START, SIZE, probe=[]).task("bind", "bind mine")


@pytest.mark.parametrize("program", [race(), own("memremap-v6", **OLD), EVERYTHING, EMPTY])
def test_a_program_prints_as_its_builder_and_goes_to_json_and_back(program: Program) -> None:
    assert eval(repr(program)) == program
    assert Program.from_json(program.to_json()) == program
    assert hash(Program.from_json(program.to_json())) == hash(program)
    assert race("v5.2") != program


def test_the_race_is_found_made_of_data_and_is_absent_with_its_fix() -> None:
    found = race().explore()
    assert [v.kind for v in found.violations] == ["memmap-removed"]
    again = race().replay(found.schedule)
    assert [v.kind for v in again.violations] == ["memmap-removed"]
    assert "<== memmap-removed" in again.columns
    with pytest.raises(ScheduleError):
        race("v5.2").replay(found.schedule)
    clean = race("v5.2").explore(check_quiescence=True)
    assert clean.exhaustive and not clean.found


def test_a_driver_of_ones_own_is_as_good_as_the_rules_that_it_follows() -> None:
    found = own("memremap-v6", **OLD).explore(stop_at_violation=False, check_quiescence=True)
    assert [f.record.kind for f in found.found] == ["memmap-removed"]
    found = own("v5.2", **NEW).explore(stop_at_violation=False, check_quiescence=True)
    assert found.exhaustive and not found.found


def test_failing_calls_of_a_driver_of_ones_own() -> None:
    """What probe has done by then is undone."""
    program = (
        Program("v5.2")
        .memory(START, START + SIZE - 1)
        .driver("mine", START, SIZE, **NEW)
        .task("probe", "bind mine", "unbind mine")
    )
    found = program.explore(stop_at_violation=False, check_quiescence=True, max_faults=1)
    assert found.exhaustive and found.executions > 10
    # percpu_ref_init() comes before anything that would exit the ref.
    assert {f.record.kind for f in found.found} <= {"leak"}


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        # Waits for references that pages hold until the kernel goes on.
        ({"kill": ["kill", "wait"]}, {"hang"}),
        # Exits while they are held.
        ({"cleanup": ["exit", "wait"]}, {"use-after-free"}),
        ({"release": []}, {"hang"}),
        ({"cleanup": ["wait"]}, {"leak"}),
        ({"remove": ["kill"]}, {"warn"}),
    ],
)
def test_what_is_wrong_with_a_teardown_shows(change: dict[str, Any], kinds: set[str]) -> None:
    found = own("v5.2", **{**NEW, **change}).explore(
        stop_at_violation=False, check_quiescence=True, max_executions=2000
    )
    assert kinds <= {f.record.kind for f in found.found}, found


def test_a_probe_that_fails_gives_back_what_it_had() -> None:
    program = (
        Program("v5.2")
        .memory(START, START + SIZE - 1)
        .driver("mine", START, SIZE, **{**NEW, "probe": [*NEW["probe"], "fail 5"]})
        .task("probe", "bind mine")
        .task("user", "rcu_read_lock", "rcu_read_unlock")
    )
    found = program.explore(stop_at_violation=False, check_quiescence=True)
    assert found.exhaustive and not found.found


def test_a_driver_of_ones_own_answers_faults_of_its_private_memory() -> None:
    lists = {**NEW, "fault": ["kill"], "kill": ["nothing"]}
    program = own("v5.2", **lists, type="private")
    assert Program.from_json(program.to_json()) == program
    once, twice = ["fault mine 0"], ["fault mine 0", "fault mine 0"]
    for faults, killed_twice in ((once, False), (twice, True)):
        tried = replace(program, tasks=()).task("cpu", *faults)
        found = tried.explore(stop_at_violation=False)
        shown = [f for f in found.found if "more than once" in f.record.message]
        assert bool(shown) == killed_twice, found.found


def changed(**change: Any) -> str:
    return json.dumps(EVERYTHING.document() | change)


def in_driver(**change: Any) -> str:
    document = EVERYTHING.document()
    document["drivers"]["mine"] |= change
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("{", "program"),
        ("[]", "program"),
        ("{}", "schema"),
        ('{"schema": 1, "schema": 1}', "program"),
        (changed(schema=2), "schema"),
        (changed(version="v9"), "version"),
        (changed(cpus=65), "cpus"),
        (changed(cpus=True), "cpus"),
        (changed(colour="red"), "colour"),
        (changed(config={"colour": 1}), "config.colour"),
        (changed(config={"page_shift": 13}), "config.page_shift"),
        (changed(memory=[["1", "0", "x"]]), "memory[0]"),
        (changed(memory=[[1, 2]]), "memory[0]"),
        (changed(memory=[["x", 2, ""]]), "memory[0]"),
        (changed(objects={"m": "semaphore"}), "objects.m"),
        (changed(objects={"mine": "mutex"}), "objects.mine"),
        (changed(objects={"two words": "mutex"}), "objects.two words"),
        (changed(devices={"p": {"driver": "nvme", "size": "1M"}}), "devices.p.size"),
        (changed(devices={"p": {"driver": "nvme", "size": 1}}), "devices.p.driver"),
        (changed(devices={"p": {"driver": "pmem", "size": 1, "mode": "x"}}), "devices.p.mode"),
        (changed(devices={"p": {"driver": "pmem", "size": 0}}), "devices.p"),
        (changed(devices={"p": {"driver": "hmm", "size": 1, "start": 1}}), "devices.p.start"),
        (changed(devices={"p": {"driver": "hmm", "size": 1, "altmap": True}}), "devices.p.altmap"),
        (changed(devices={"p": {"driver": "pmem"}}), "devices.p.size"),
        (changed(devices={"p": {"driver": "pmem", "size": 1, "x": 1}}), "devices.p.x"),
        (changed(setup=["jump"]), "setup[0]"),
        (changed(setup=["bind nobody"]), "setup[0]"),
        (changed(setup=["bind m"]), "setup[0]"),
        (changed(setup=["bind"]), "setup[0]"),
        (changed(setup=["get_page p -1"]), "setup[0]"),
        (changed(setup=["get_page p 0x"]), "setup[0]"),
        (changed(setup=["mutex_lock m"]), "setup[0]"),
        (changed(setup=[""]), "setup[0]"),
        (changed(setup=[7]), "setup[0]"),
        (changed(tasks={}), "tasks"),
        (changed(tasks={"t": {}}), "tasks.t.do"),
        (changed(tasks={"t": {"do": ["bind p", "submit_bio p"]}}), "tasks.t.do[1]"),
        (changed(tasks={"t": {"do": ["fault mine 0"]}}), "tasks.t.do[0]"),
        (changed(tasks={"t": {"do": ["preempt_disable", "rcu_read_unlock"]}}), "tasks.t.do[1]"),
        (changed(tasks={"t": {"do": ["preempt_enable"]}}), "tasks.t.do[0]"),
        (changed(tasks={"t": {"do": ["bind p", "use_p2pmem p"]}}), "tasks.t.do[1]"),
        (changed(tasks={"t": {"do": ["blk_mq_freeze_queue mine"]}}), "tasks.t.do[0]"),
        (changed(tasks={"t": {"do": [], "cpu": 2}}), "tasks.t.cpu"),
        (changed(tasks={"a" * 16: {"do": []}}), "tasks." + "a" * 16),
        (changed(tasks={str(n): {"do": []} for n in range(9)}), "tasks"),
        (changed(tasks={"\ud800": {"do": []}}), "tasks.\ud800"),
        (in_driver(probe=["init_ref"]), "drivers.mine.probe[0]"),
        (in_driver(probe=["alloc", "alloc"]), "drivers.mine.probe[1]"),
        (in_driver(remove=["alloc"]), "drivers.mine.remove[0]"),
        (in_driver(probe=["alloc", "add_action x"]), "drivers.mine.probe[1]"),
        (in_driver(probe=["alloc", "init_ref 4"]), "drivers.mine.probe[1]"),
        (in_driver(probe=["alloc", "kill 1"]), "drivers.mine.probe[1]"),
        (in_driver(probe=["fail 0"]), "drivers.mine.probe[0]"),
        (in_driver(probe=["kzalloc"]), "drivers.mine.probe[0]"),
        (in_driver(probe=["explode"]), "drivers.mine.probe[0]"),
        (in_driver(probe=["alloc"] + ["get"] * 24), "drivers.mine.probe"),
        (in_driver(type="huge"), "drivers.mine.type"),
        (in_driver(type="PLAIN"), "drivers.mine.type"),
        (in_driver(actions={str(n): [] for n in range(9)}), "drivers.mine.actions"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_path(text: str, path: str) -> None:
    with pytest.raises(ProgramError) as caught:
        Program.from_json(text)
    assert caught.value.path == path
    assert str(caught.value).startswith(path + ": ")


@pytest.mark.parametrize(
    ("program", "path"),
    [
        (race().setup(*["put_page pmem0 0"] * 3), "setup[4]"),
        (race().memory(START, START, "x").memory(START, START + SIZE, "y"), "memory[1]"),
        (race().task("io", "bio_endio pmem0"), "tasks.io.do[0]"),
        (
            Program().device("p", "pmem", START, SIZE, mode="raw").task("t", "get_page p 0"),
            "devices.p",
        ),
        (own("v5.2", **OLD), "drivers.mine"),
        (race().object("c", "completion").setup("unbind pmem0"), "setup[2]"),
    ],
)
def test_a_set_up_that_fails_is_an_error_with_its_path(program: Program, path: str) -> None:
    with pytest.raises(ProgramError) as caught:
        program.explore(max_executions=1)
    assert caught.value.path == path


def test_every_operation_and_step_can_be_named() -> None:
    """The tables are those of the machine: each can be given to it."""
    program = (
        Program("v5.2", cpus=4)
        .memory(START, START + SIZE - 1)
        .memory(1 << 40, (1 << 40) + SIZE - 1, "0000:80:00.0")
        .device("p", "pmem", START, SIZE)
        .device("h", "hmm", 0, SIZE)
        .device("x", "p2pdma", 1 << 40, SIZE)
        .object("mutex", "mutex")
        .object("spinlock", "spinlock")
        .object("completion", "completion")
        .object("percpu_ref", "percpu_ref")
        .object("ref_test", "ref_test")
        .setup("bind p", "bind h", "bind x", "submit_bio p")
    )
    operations = []
    for name, call in CALLS.items():
        device = {"fault": "h", "use_p2pmem": "x"}.get(name, "p")
        args = [{"device": device, "number": 0}.get(kind, kind) for kind in call.kinds]
        if call.task:
            operations.append(Operation(name, tuple(args)))
    with program.task("all", *operations).boot() as booted:
        assert len(booted.tasks().tasks[0].operations) == len(operations)
    steps = []
    for step, takes in STEPS.items():
        arg = {"flags": " 1", "action": " a", "bytes": " 64", "errno": " 5"}.get(takes, "")
        if step != "alloc":
            steps.append(step + arg)
    lists = {event: steps for event in EVENTS if event != "probe"}
    lists["map_failed"] = [step for step in steps if step != "memremap_pages"]
    everything = Program("v5.2").driver(
        "d", START, SIZE, probe=["alloc", *steps], **lists, actions={"a": steps}
    )
    with everything.task("t", "bind d").boot() as booted:
        assert booted.tasks()


def test_a_search_ends_in_the_same_states_whoever_has_looked_at_the_machine_before() -> None:
    """To look is what a search does that is saved, or goes on: what it counts is not to change."""
    program = (
        Program("memremap-v6")
        .memory(START, START + 2 * SIZE - 1)
        .device("mine", "dax_pmem", START, SIZE)
        .device("other", "dax_pmem", START + SIZE, SIZE)
        .setup("bind other", "get_page other 0")
        .task("puts", "put_page other 0", "bind mine")
        .task("looks up", "get_dev_pagemap other 0")
    )
    found = []
    with program.boot() as booted:
        for _ in range(2):
            found.append(booted.tasks().explore().final_hash)
            assert booted.kernel.state_hash
    assert found[0] == found[1]
