# SPDX-License-Identifier: GPL-2.0-only
"""A race as columns, text for text: nothing of it depends on compiler or architecture."""

from __future__ import annotations

import json

import pytest

from memremap_emu import Kernel
from memremap_emu.cli import main
from memremap_emu.columns import render
from memremap_emu.experiments import Experiment, Setup, mode_named, program_named
from memremap_emu.explore import Program as Tasks
from memremap_emu.interleavings import Race
from memremap_emu.program import Program
from memremap_emu.replaying import watch
from memremap_emu.stacks import Stack, Stacks
from memremap_emu.tokens import Replay, digest, encode, encode_program
from memremap_emu.trace import Event, EventType

#: For tasks that have nothing else to give way at.
LOCKED = ("spin_lock lock", "spin_unlock lock")
START, SIZE = 0x140000000, 1 << 27
PMEM = "100000000-107ffffff : Persistent Memory\n"
DAX = Setup("memremap-v6", PMEM, mode_named("dax_pmem", "plain"), 0x100000000, 0x107FFFFFF)
FINAL_PUT = """\
CPU0: unbind                     CPU1: put_page        RCU                         RCU-sched
-------------------------------  --------------------  --------------------------  ---------------------------------
unbind()
  devres_release_all()
  devm_memremap_pages_release()
  percpu_ref_kill_and_confirm()
  arch_remove_memory()
  radix_tree_delete()
  waits for &dax_pmem->cmp
                                 put_page(0x106000)
                                   <== memmap-removed
                                   put_dev_pagemap()
                                                       dax_i_callback()
                                                       radix_tree_node_rcu_free()
                                                                                   percpu_ref_switch_to_atomic_rcu()
  percpu_ref_exit()
=> memmap-removed: struct page of pfn 0x106000 is gone with its section
"""  # noqa: E501


FREED = """\
CPU0: owner           CPU1: user
--------------------  ---------------------------
spin_lock(lock)
spin_unlock(lock)
percpu_ref_free(ref)
                      spin_lock(lock)
                      spin_unlock(lock)
                      percpu_ref_tryget_live(ref)
                        <== use-after-free
=> use-after-free: read of 8 bytes at +8 in an object of 112 bytes allocated in op_alloc() and freed in op_free()
   access [user]             allocation  free [owner]
   -------------             ----------  ------------
   percpu_ref_tryget_live()  op_alloc()  op_free()
"""  # noqa: E501


def final_put() -> tuple[Experiment, str]:
    """The schedule that shows the final page put race, and its token."""
    program = program_named("unbind-put_page")
    with Race(DAX, program) as race:
        ((finding, schedule),) = race.explore().findings
    experiment = Experiment(DAX, program, (), schedule)
    return experiment, encode(Replay(experiment, finding.kind, digest(finding.cause)))


def test_final_put_race_reads_as_in_a_commit_message() -> None:
    with Race(DAX, program_named("unbind-put_page")) as race:
        ((finding, _),) = race.explore().findings
    assert finding.columns == FINAL_PUT


def test_replay_prints_the_columns(capsys: pytest.CaptureFixture[str]) -> None:
    _, token = final_put()
    assert main(["replay", token]) == 1
    out = capsys.readouterr().out
    for line in FINAL_PUT.splitlines():
        assert f"  {line}" in out
    assert out.endswith("reproduced\n")


def test_a_call_that_fails_is_marked() -> None:
    """HMM's ref has nobody to kill it when its first action cannot be registered."""
    memory = "00100000-0fffffff : System RAM\n"
    hmm = Setup("memremap-v6", memory, mode_named("hmm", "private"), 0x3FFFF8000000, 0x3FFFFFFFFFFF)
    with Race(hmm, program_named("probe-lookup")) as race:
        shown = ""
        for nth in range(1, race.explore().exploration.fallible_calls + 1):
            shown += "".join(
                finding.columns
                for finding, _ in race.explore(nth).findings
                if finding.kind == "hang"
            )
    assert "  devm_add_action() fails\n  waits for &devmem->completion\n" in shown


@pytest.mark.parametrize("cpu, head", [(None, "CPU0: c"), (1, "CPU1: c")])
def test_heads_say_on_which_cpu_a_task_is(cpu: int | None, head: str) -> None:
    """Two CPUs for three tasks: the third is on that of the first, unless it says otherwise."""
    program = Program(cpus=2).object("m", "mutex").task("a", "mutex_unlock m", cpu=1)
    program = program.task("b", "mutex_unlock m").task("c", "mutex_unlock m", cpu=cpu)
    shown = program.replay(program.explore().schedule).columns
    assert shown.splitlines()[0].split() == ["CPU1:", "a", "CPU1:", "b", *head.split()]


def test_a_rule_is_broken_by_the_operation_that_breaks_it() -> None:
    """Also by the first thing that it does, before anybody else could see any of it."""
    program = Program().object("r", "percpu_ref").task("a", "percpu_ref_free r")
    program = program.task("b", "rcu_read_lock", "percpu_ref_use r", "rcu_read_unlock")
    shown = [line.strip() for line in program.replay(b"\0\1\1\1").columns.splitlines()]
    assert shown[2:6] == [
        "percpu_ref_free(r)",
        "rcu_read_lock()",
        "percpu_ref_use(r)",
        "<== use-after-free",
    ]


def test_a_task_that_does_nothing_has_its_column(capsys: pytest.CaptureFixture[str]) -> None:
    """What the others do is not taken for its."""
    program = Program(cpus=3).object("m", "mutex").task("idle").task("a", "mutex_unlock m")
    program = program.task("b", "mutex_unlock m")
    found = program.explore()
    replayed = program.replay(found.schedule)
    assert replayed.columns.splitlines()[2] == " " * 22 + "mutex_unlock(m)"
    token = encode_program(program, found.violations[0], found.schedule)
    assert main(["replay", token, "--trace", "ftrace"]) == 1
    who = [line.split()[0] for line in capsys.readouterr().out.splitlines() if "mutex_un" in line]
    assert {name.partition("-")[0] for name in who} == {"a", "b"}
    assert main(["replay", token, "--trace", "chrome"]) == 1
    events = json.loads(capsys.readouterr().out)["traceEvents"]
    names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert {names[e["tid"]] for e in events if e["name"] == "mutex_unlock"} == {"a", "b"}


def test_an_operation_begins_as_often_as_it_does_and_what_it_enters_is_below_it() -> None:
    program = Program().object("r", "percpu_ref").object("a", "mutex").object("b", "mutex")
    program = program.task("t", "mutex_lock a", "mutex_lock b", "percpu_ref_exit r")
    assert program.replay(b"\0\0\0").columns.splitlines()[2:6] == [
        "mutex_lock(a)",
        "mutex_lock(b)",
        "percpu_ref_exit(r)",
        "  percpu_ref_exit()",
    ]


def test_what_was_deferred_is_probed_again_in_a_column_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And so is what that breaks."""
    program = (
        Program("memremap-v6")
        .driver(
            "late",
            START,
            SIZE,
            probe=["alloc", "init_ref", "remove_action none", "exit", "fail 517"],
            actions={"none": ["nothing"]},
        )
        .driver("mine", START + SIZE, SIZE, probe=["alloc"])
        .task("owner", "bind late", "bind mine")
    )
    found = program.explore(check_quiescence=True)
    shown = program.replay(found.schedule).columns.splitlines()
    at = shown[0].index("kworker")
    below = [line[at:] for line in shown[2:] if line[:at].isspace()]
    assert below[:2] == ["deferred_probe_work_func()", "  percpu_ref_init()"]
    assert any(line.startswith("  <== ") for line in below)
    token = encode_program(program, found.violations[0], found.schedule)
    assert main(["replay", token, "--trace", "ftrace"]) == 1
    (line,) = [x for x in capsys.readouterr().out.splitlines() if "deferred_probe_work" in x]
    assert line.split()[0].startswith("kworker/0:0-")


def test_a_schedule_that_ends_well_is_shown_too() -> None:
    program = Program().object("c", "completion")
    program = program.task("a", "complete c").task("b", "wait_for_completion c")
    replayed = program.replay(b"\0\1")
    assert not replayed.violations
    assert [line.split() for line in replayed.columns.splitlines()[2:]] == [
        ["complete(c)"],
        ["wait_for_completion(c)"],
    ]


def test_a_lookup_that_finds_nothing_puts_nothing() -> None:
    program = (
        Program()
        .memory(0x100000000, 0x107FFFFFF)
        .device("dax", "dax_pmem", 0x100000000, 0x8000000)
        .task("look", "get_dev_pagemap dax 0", "watched_lookup dax 0", "expect_mapped dax 0")
    )
    shown = program.replay(b"\0" * 7).columns
    assert "get_dev_pagemap(0x106000)\n" in shown
    assert "put_dev_pagemap" not in shown


def test_events_of_others_and_repetitions_are_left_out() -> None:
    def event(kind: EventType, name: str, task: int, argument: int = 0) -> Event:
        return Event(kind, name, task, 0, False, argument)

    events = [
        event(EventType.TASK, "", 0, 7),
        event(EventType.TASK, "", 0, 8),
        event(EventType.FUNC, "percpu_ref_exit", 7),
        event(EventType.OPERATION, "put_page", 8, 16),
        event(EventType.FUNC, "strlen", 8),
        event(EventType.FUNC, "percpu_ref_exit", 8),
        event(EventType.FUNC, "percpu_ref_exit", 8),
        event(EventType.BLOCK, "&a", 7),
        event(EventType.FUNC, "percpu_ref_exit", 12),
    ]
    assert render(events, [(3, "a"), (0, "b")], ["=> bug: b"]) == (
        "CPU3: a               CPU0: b\n"
        "--------------------  --------------------\n"
        "  percpu_ref_exit()\n"
        "                      put_page(0x10)\n"
        "                        percpu_ref_exit()\n"
        "  waits for &a\n"
        "=> bug: b\n"
    )


def test_a_token_whose_schedule_does_not_fit_is_bad_input(
    capsys: pytest.CaptureFixture[str],
) -> None:
    experiment, _ = final_put()
    forged = Experiment(DAX, experiment.program, (), bytes([7]) * 3)
    assert main(["replay", encode(Replay(forged, "bug", 1))]) == 2
    assert "the schedule does not fit the program: at step 0 of 3" in capsys.readouterr().err


# --- stacks below the columns ---


def test_a_use_after_free_has_stacks_of_access_allocation_and_free() -> None:
    """What was allocated before the program began has its function only."""
    shown = (
        Program("memremap-v6")
        .object("ref", "percpu_ref")
        .object("lock", "spinlock")
        .task("owner", *LOCKED, "percpu_ref_free ref")
        .task("user", *LOCKED, "percpu_ref_tryget_live ref")
        .replay(b"\0\0\1")
        .columns
    )
    # The compiler may leave functions above the one in the last line.
    *lines, last = FREED.splitlines(keepends=True)
    above = "".join(lines)
    assert shown.startswith(above)
    assert {*last.split()} <= {*shown.removeprefix(above).split()}


def test_stacks_lead_from_what_happened_to_the_operation() -> None:
    """A driver whose action does not wait; inlined functions differ between compilers."""
    made = (
        Program("memremap-v6")
        .memory(START, START + SIZE - 1)
        .driver(
            "mine",
            START,
            SIZE,
            probe=["request_region", "alloc", "init_ref", "add_action exit", "memremap_pages"],
            release=["complete"],
            kill=["kill"],
            actions={"exit": ["exit"]},
        )
        .task("life", "bind mine", "unbind mine")
    )
    found = made.explore(stop_at_violation=False)
    schedule = next(f.schedule for f in found.found if f.record.kind == "use-after-free")
    with made.boot() as booted, booted.search(schedule=schedule) as search:
        search.run()
        freed = [one for one in search.stacks() if one.kind == "use-after-free"]
    assert len(freed) > 1
    for one in freed:
        access, allocation, free = one.stacks
        whats = [stack.what for stack in one.stacks]
        assert whats == ["access", "allocation", "free"]
        assert [stack.task for stack in one.stacks] == ["rcu", "life", "life"]
        assert access.functions
        assert "devm_kmalloc" in allocation.functions
        assert allocation.functions.index("devm_kmalloc") < allocation.functions.index("call_probe")
        assert free.functions[0] == "release_nodes"
        assert free.functions[-1] == "bus_unbind_store"
    assert "percpu_ref_switch_to_atomic_rcu" in freed[-1].stacks[0].functions


def test_a_second_free_and_both_accesses_of_a_race_have_stacks() -> None:
    made = Program("memremap-v6").object("ref", "percpu_ref").object("lock", "spinlock")
    free = (*LOCKED, "percpu_ref_free ref")
    shown = made.task("one", *free).task("two", *free).replay(b"\0\0\1").columns
    assert shown.endswith(
        "=> double-free: double free of an object of 112 bytes allocated in op_alloc()\n"
        "   second free [two]  allocation  free [one]\n"
        "   -----------------  ----------  ----------\n"
        "   op_free()          op_alloc()  op_free()\n"
    )
    with Kernel("v4.19", cpus=2, on_violation="record") as k:
        tree = k.radix_tree()
        tree.insert(5, 0x1000)
        tree.insert(9, 0x1000)
        tasks = Tasks(k)
        for index, name in enumerate(("one", "two"), 1):
            tasks.task(name).call("radix_tree_insert", tree, 0, index, 0x2000)
        start = k.snapshot()
        schedule = tasks.explore().schedule
        start.restore()
        columns = watch(k, tasks, ["one", "two"], schedule).columns
    race = columns[columns.index("=> data-race") :].splitlines()
    assert race[1].split("]")[0].strip() in ("access [one", "access [two")
    assert "  other access [" in race[1]
    assert race[3].split() == ["__radix_tree_insert()", "__radix_tree_insert()"]


def test_stacks_stand_side_by_side() -> None:
    access = Stack("access", "user", ("a", "longer_name"))
    known = Stack("allocation", "", ("c",))
    unknown = Stack("free", "rcu", ())
    assert Stacks("bug", "b", (access, known, unknown)).columns() == [
        "access [user]  allocation  free [rcu]",
        "-------------  ----------  ----------",
        "a()            c()",
        "longer_name()",
    ]
