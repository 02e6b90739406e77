# SPDX-License-Identifier: GPL-2.0-only
"""Counterexamples: as small as they get, and where they were decided; from the command line too."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from memremap_emu import cli, tokens
from memremap_emu.counterexample import (
    Turning,
    as_text,
    faults_of,
    minimise,
    processes,
    steps_of,
    turning_point,
)
from memremap_emu.exploration import ScheduleError, Step, estimated
from memremap_emu.lock_orders import NEXT_EXECUTION
from memremap_emu.operations import Operation
from memremap_emu.program import Program
from memremap_emu.search import MAX_FOUND

START, SIZE = 0x140000000, 1 << 27

RACE = (
    Program("memremap-v6")
    .memory(START, START + SIZE - 1)
    .device("pmem0", "dax_pmem", START, SIZE)
    .setup("bind pmem0", "get_page pmem0 0")
    .task("unbind", "unbind pmem0")
    .task("user", "put_page pmem0 0")
)
#: The same with more than it needs.
LARGE = (
    Program("memremap-v6", cpus=3)
    .memory(START, START + SIZE - 1)
    .device("pmem0", "dax_pmem", START, SIZE)
    .device("other", "pmem", 0x180000000, SIZE)
    .object("m", "mutex")
    .object("r", "percpu_ref")
    .setup("bind pmem0", "get_page pmem0 0", "get_page pmem0 7", "put_page pmem0 7")
    .task("unbind", "unbind pmem0")
    .task("locks", "mutex_lock m", "mutex_unlock m")
    .task("user", "percpu_ref_get r", "put_page pmem0 0", "percpu_ref_put r")
)
ABBA = (
    Program()
    .object("a", "mutex")
    .object("b", "mutex")
    .task("ab", "mutex_lock a", "mutex_lock b", "mutex_unlock b", "mutex_unlock a")
    .task("ba", "mutex_lock b", "mutex_lock a", "mutex_unlock a", "mutex_unlock b")
)


def test_a_lock_is_named_with_the_function_that_needs_it() -> None:
    def place(*functions: str) -> str:
        step = Step(0, 1, functions, 1)
        return str(Turning(0, step, step, ("a", "b"), True)).split("comes before")[0]

    waking = ("spin_lock", "__spin_lock_irqsave", "wake_up_all", "percpu_ref_call_confirm", "x")
    assert "after a: spin_lock() [percpu_ref_call_confirm] (step 1)" in place(*waking)
    assert "if b: spin_lock() [percpu_ref_call_confirm] " in place(*waking)
    assert "after a: spin_lock() (step 1)" in place("spin_lock", "__spin_lock_irqsave")


def test_what_has_too_many_schedules_is_made_smaller_by_its_parts() -> None:
    """A lookup beside an unbind, and two more that hide it from a search within the bound."""
    part = (
        Program("v5.2")
        .memory(START, START + SIZE - 1)
        .device("dax", "dax_pmem", START, SIZE)
        .setup("bind dax")
        .task("unbind", "unbind dax")
        .task("look", "watched_lookup dax 0")
    )
    whole = part.task("more", *["get_dev_pagemap dax 1"] * 4)
    found = whole.explore()
    (violation,) = found.violations
    with pytest.raises(ValueError, match="within the bounds"):
        minimise(whole, violation, max_executions=20)
    least = minimise(whole, violation, schedule=found.schedule, max_executions=300)
    assert least.program == part
    assert (least.preemptions, least.minimal) == (1, False)


def test_what_the_violation_does_not_need_is_left_out() -> None:
    found = LARGE.explore()
    least = minimise(LARGE, found.violations[0], max_executions=400)
    assert least.program == Program(
        RACE.version,
        3,
        ranges=RACE.ranges,
        devices=RACE.devices,
        prepared=RACE.prepared,
        tasks=RACE.tasks,
    )
    assert (least.preemptions, least.faults) == (0, 0)
    assert least.record.cause == found.violations[0].cause


def test_of_what_is_taken_and_given_back_twice_once_is_enough() -> None:
    program = replace(RACE, tasks=RACE.tasks[:1]).setup("get_page pmem0 0")
    program = program.task("user", "put_page pmem0 0", "put_page pmem0 0")
    assert minimise(program, program.explore().violations[0]).program == RACE
    first, second = ABBA.tasks
    before = tuple(Operation(call, ("a",)) for call in ("mutex_lock", "mutex_unlock"))
    longer = replace(first, operations=(*before, *first.operations))
    found = ABBA.explore(strategy="preemptions", stop_at_violation=False)
    for violation in found.found:
        least = minimise(replace(ABBA, tasks=(longer, second)), violation.record)
        assert (least.program, least.minimal) == (ABBA, True)


def test_memory_that_no_device_is_on_is_left_out() -> None:
    larger = RACE.memory(START + SIZE, START + 2 * SIZE - 1)
    assert minimise(larger, RACE.explore().violations[0]).program == RACE


def test_what_a_bound_has_hidden_may_be_smaller() -> None:
    """Without the completion it takes the second schedule, and one is all that is tried."""
    smaller = Program().object("r", "percpu_ref")
    program = smaller.object("c", "completion")
    program = program.task("user", "wait_for_completion c", "percpu_ref_use r")
    program = program.task("owner", "percpu_ref_free r", "complete c")
    smaller = smaller.task("user", "percpu_ref_use r").task("owner", "percpu_ref_free r")
    violation = program.explore().violations[0]
    bounded = minimise(program, violation, max_executions=1)
    assert (bounded.program, bounded.minimal) == (program, False)
    assert "there may be a smaller one" in as_text(bounded)
    least = minimise(program, violation)
    assert (least.program, least.minimal) == (smaller, True)


def test_the_point_of_no_return_of_the_final_page_put_race() -> None:
    """The memory goes while somebody still holds a page of it."""
    found = RACE.explore()
    turning = turning_point(RACE, "memmap-removed", found.schedule)
    assert turning is not None and turning.proven and turning.first is not None
    assert turning.tasks == ("unbind", "user")
    assert turning.taken.functions[0] == "clear_sections"
    assert "op_put_page" in turning.first.functions
    steps = steps_of(found.schedule)
    # Before the decision something ends well, behind it nothing does.
    before, behind = (b"".join(steps[: turning.step + n]) for n in (0, 1))
    for beginning, well in ((before, True), (behind, False)):
        explored = explored_under(beginning)
        assert (explored.executions > explored.violating) is well
        assert explored.exhaustive


def explored_under(beginning: bytes) -> Any:
    with RACE.boot() as booted:
        return booted.tasks().explore(schedule=beginning, under=True, stop_at_violation=False)


def test_fewest_pre_emptions_come_first() -> None:
    with ABBA.boot() as booted:
        found = booted.tasks().explore(strategy="dfs", stop_at_violation=False)
    hang = next(f for f in found.found if f.record.kind == "hang")
    least = minimise(ABBA, hang.record)
    assert least.preemptions == 1 and least.minimal
    assert least.program == ABBA
    turning = least.turning
    assert turning is not None and turning.first is not None
    assert turning.taken.functions[0] == turning.first.functions[0] == "mutex_lock"


def test_fewest_failing_calls_come_next() -> None:
    """One fault is needed, two are offered, and the first execution that shows it has two."""
    program = (
        Program("v5.2")
        .memory(START, START + SIZE - 1)
        .driver(
            "mine",
            START,
            SIZE,
            # Nothing undoes init_ref if what comes behind it fails.
            probe=["alloc", "init_ref", "kzalloc 64", "kzalloc 64", "memremap_pages"],
            release=["complete"],
            kill=["kill"],
            cleanup=["wait", "exit"],
        )
        .task("probe", "bind mine", "unbind mine")
    )
    with program.boot() as booted:
        found = booted.tasks().explore(
            stop_at_violation=False, check_quiescence=True, max_faults=2, max_executions=2000
        )
    leak = next(f for f in found.found if "percpu_ref_init" in f.record.message)
    least = minimise(program, leak.record, max_faults=2, max_executions=2000)
    assert (least.preemptions, least.faults) == (0, 1)
    assert [str(o) for o in least.program.tasks[0].operations] == ["bind mine"]
    assert least.turning is not None
    assert least.turning.failing and least.turning.first is None
    assert "in which a call fails, no schedule ends well; some do if it does not" in as_text(least)


def test_each_call_that_fails_is_counted_whatever_its_number() -> None:
    """As schedules write it: 0xff for each 127 of the number, and what is left."""
    for number in (1, 126, 127, 128, 254, 381):
        fails = bytes([0xFF] * (number // 127) + [0x80 + number % 127])
        assert faults_of(b"\0\0" + fails + b"\1") == 1


def test_what_keeps_the_rule_only_to_break_another_does_not_end_well() -> None:
    """A page that nobody has is put: the later, the worse."""
    program = replace(RACE, prepared=RACE.prepared[:1]).of("v5.2")
    (kept,) = (f for f in program.explore(stop_at_violation=False).found if f.record.kind == "bug")
    turning = turning_point(program, "bug", kept.schedule)
    assert turning is not None and turning.first is not None and not turning.clean
    assert "; some keep this rule if user: " in str(turning)
    turning = turning_point(RACE, "memmap-removed", RACE.explore().schedule)
    assert turning is not None and turning.clean and "; some do if user: " in str(turning)


def test_a_program_that_always_fails_has_no_point_of_no_return() -> None:
    program = Program().object("c", "completion").task("waits", "wait_for_completion c")
    found = program.explore()
    least = minimise(program, found.violations[0])
    assert least.turning is None
    assert "ends well" in as_text(least)


def test_a_schedule_stands_in_where_no_bounded_search_finds_it() -> None:
    found = RACE.explore()
    least = minimise(RACE, found.violations[0], schedule=found.schedule, max_executions=1)
    assert least.record.cause == found.violations[0].cause
    with pytest.raises(ValueError, match="no schedule within the bounds"):
        minimise(ABBA, found.violations[0])


# --- the command ---


@pytest.fixture
def race_file(tmp_path: Path) -> Path:
    path = tmp_path / "race.json"
    path.write_text(RACE.to_json())
    return path


def test_explore_prints_columns_the_turning_point_and_a_token(
    race_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["explore", str(race_file)]) == 1
    out = capsys.readouterr().out
    assert "1 violations, exhaustive" in out
    assert "<== memmap-removed" in out and "no schedule ends well" in out
    token = out.split()[-1]
    assert cli.main(["replay", token]) == 1
    assert capsys.readouterr().out.endswith("reproduced\n")
    assert cli.main(["replay", token, "--trace", "ftrace"]) == 1
    text = capsys.readouterr().out
    assert text.startswith("# tracer: function\n") and ": devm_memremap_pages_release" in text
    assert cli.main(["replay", token, "--trace", "chrome"]) == 1
    events = json.loads(capsys.readouterr().out)["traceEvents"]
    assert {e["name"] for e in events} >= {"thread_name", "put_page", "arch_remove_memory"}
    assert cli.main(["explore", str(race_file), "--version", "v5.2"]) == 0
    assert "no violations, exhaustive" in capsys.readouterr().out


def test_explore_gives_json(race_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["explore", str(race_file), "--format", "json", "--max-executions", "100"]
    assert cli.main(argv) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1 and document["bounds"] == ["executions"]
    (violation,) = document["violations"]
    assert violation["kind"] == "memmap-removed" and violation["preemptions"] == 0
    replay = tokens.decode_program(violation["replay"])
    assert replay.program == Program.from_json(json.dumps(violation["program"]))


def test_explore_goes_on_from_a_checkpoint(
    race_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["explore", str(race_file), "--as-found"]) == 1
    whole = capsys.readouterr().out
    checkpoint = tmp_path / "checkpoint"
    argv = ["explore", str(race_file), "--as-found", "--checkpoint", str(checkpoint)]
    executions = 0
    while True:
        executions += 150
        assert cli.main([*argv, "--max-executions", str(executions)]) == 1
        if not checkpoint.exists():
            break
        assert "not exhaustive (executions)" in capsys.readouterr().out
    assert executions > 300
    assert capsys.readouterr().out == whole
    checkpoint.write_text("{}")
    assert cli.main(argv) == 2
    assert str(checkpoint) in capsys.readouterr().err


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    race_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "checkpoint"
    words = ["explore", str(race_file), "--as-found", "--checkpoint", str(checkpoint)]
    assert cli.main([*words, "--max-executions", "150"]) == 1
    before = checkpoint.read_bytes()
    capsys.readouterr()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, limits[1]))
    try:
        status = cli.main([*words, "--max-executions", "300"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    shown = capsys.readouterr()
    assert status == 1 and "memmap-removed" in shown.out, "what it has found is told"
    assert shown.err == f"memremap-emu: not saved: {checkpoint}: File too large\n"
    assert checkpoint.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} <= {checkpoint.name, race_file.name}


def test_a_checkpoint_in_no_directory_is_refused_before_the_search(
    race_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "none" / "checkpoint"
    assert cli.main(["explore", str(race_file), "--checkpoint", str(checkpoint)]) == 2
    error = f"memremap-emu: {checkpoint}: there is no directory {checkpoint.parent}\n"
    assert capsys.readouterr() == ("", error)


def test_ctrl_c_leaves_a_checkpoint(tmp_path: Path) -> None:
    program = Program(cpus=6).object("r", "ref_test").task("owner", "ref_test_kill r")
    for number in range(5):
        program = program.task(f"user{number}", "ref_test_use r")
    (tmp_path / "p").write_text(program.to_json())
    command = [sys.executable, "-m", "memremap_emu", "explore", str(tmp_path / "p")]
    run = subprocess.Popen(
        [*command, "--strategy", "dfs", "--checkpoint", str(tmp_path / "c")],
        stdout=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "c").exists():
        assert run.poll() is None
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=30)
    assert run.returncode == 130 and "not exhaustive (running)" in output
    saved = json.loads((tmp_path / "c").read_text())
    assert saved["counts"]["executions"] > 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "no JSON"),
        ('{"schema": 1}', "tasks: missing"),
        ("\xff", "no JSON"),
        (
            '{"schema": 1, "drivers": {"d": {"start": 0, "size": 4096, "probe": [], '
            '"actions": {"exit": null}}}, "tasks": {}}',
            "drivers.d.actions.exit: not of type list",
        ),
    ],
)
def test_a_file_that_is_no_program_is_refused(
    text: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p").write_text(text)
    assert cli.main(["explore", str(tmp_path / "p")]) == 2
    error = capsys.readouterr().err
    assert reason in error and str(tmp_path / "p") in error


def test_a_file_that_cannot_be_read_leaves_the_output_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, reason in ((tmp_path, "Is a directory"), (tmp_path / "p", "No such file")):
        assert cli.main(["explore", str(path)]) == 2
        print("still there")
        out, err = capsys.readouterr()
        assert out == "still there\n" and err.startswith(f"memremap-emu: {path}: {reason}")


def test_violations_that_were_not_kept_are_not_denied(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who unlocks what nobody has locked breaks a rule for each name."""
    program = Program()
    names = ["".join(pair) for pair in product("abcdefghi", repeat=2)]
    for name in names:
        program = program.object(name, "mutex")
    program = program.task("unlock", *(f"mutex_unlock {name}" for name in names))
    (tmp_path / "p.json").write_text(program.to_json())
    words = ["explore", str(tmp_path / "p.json"), "--as-found"]
    assert cli.main(words) == 1
    assert f": {MAX_FOUND} or more violations, exhaustive\n" in capsys.readouterr().out
    assert cli.main([*words, "--format", "json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["more_violations"] and len(shown["violations"]) == MAX_FOUND
    assert shown["exhaustive"] and shown["bounds"] == ["violations"]
    found = program.explore(stop_at_violation=False)
    assert found.exhaustive and not found.complete


def test_a_large_estimate_is_an_order_of_magnitude() -> None:
    assert estimated(123456.7) == "123457"
    assert estimated(5.4e65) == "5e65"


def test_options_that_make_no_sense_are_refused(
    race_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["explore", str(race_file), "--strategy", "random"]) == 2
    assert "needs a bound" in capsys.readouterr().err
    assert cli.main(["explore", str(race_file), "--version", ""]) == 2
    assert "version: '' describes no kernel" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        cli.main(["explore", str(race_file), "--max-faults", "5"])
    assert caught.value.code == 2
    assert "argument --max-faults: must be a whole number, 0 to 4" in capsys.readouterr().err


def test_a_program_from_an_input_that_is_closed_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", None)  # as Python has it then
    assert cli.main(["explore", "-"]) == 2
    assert capsys.readouterr().err == "memremap-emu: the standard input is closed\n"


@pytest.mark.parametrize("command", ["explore", "bisect"])
def test_a_file_without_end_is_refused(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([command, "/dev/zero"]) == 2
    assert "/dev/zero: larger than 64 MiB" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["[" * 100_000, "/dev/zero", ".", "\xff"])
def test_what_is_no_checkpoint_is_refused_and_kept(
    content: str, race_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "checkpoint"
    if Path(content[:20]).exists():
        checkpoint = Path(content)
    else:
        checkpoint.write_bytes(content.encode("latin-1"))
    assert cli.main(["explore", str(race_file), "--checkpoint", str(checkpoint)]) == 2
    assert f"memremap-emu: {checkpoint}: " in capsys.readouterr().err
    assert checkpoint.is_dir() or checkpoint.exists()


def test_damaged_tokens_of_programs_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    found = RACE.explore()
    token = tokens.encode_program(RACE, found.violations[0], found.schedule)
    for damaged in (token[:-9], token + "A", "mrp1.", "mrp1.AAAA", token.replace("mrp1", "mrp2")):
        assert cli.main(["replay", damaged]) == 2
    capsys.readouterr()
    other = tokens.encode_program(ABBA, found.violations[0], found.schedule)
    assert cli.main(["replay", other]) == 2
    assert "does not fit the program" in capsys.readouterr().err
    nobody = bytes([NEXT_EXECUTION])
    for schedule in (nobody + found.schedule, found.schedule + nobody):
        missing = tokens.encode_program(RACE, found.violations[0], schedule)
        assert cli.main(["replay", missing]) == 2
        assert "an execution without a step" in capsys.readouterr().err


def test_a_schedule_without_a_step_is_of_a_program_without_one() -> None:
    program = Program().object("r", "ref_test").task("idle")
    assert not program.replay(b"").violations
    with pytest.raises(ScheduleError, match="it has no step"):
        program.task("owner", "ref_test_kill r").replay(b"")


@pytest.mark.parametrize("seed", ["1", "2", "3", "4", "5"])
def test_the_smallest_is_the_same_whatever_texts_hash_to(seed: str, tmp_path: Path) -> None:
    program = (
        Program("memremap-v6")
        .memory(START, START + SIZE - 1)
        .device("dax", "dax_pmem", START, SIZE)
        .setup("bind dax", "get_page dax 0", "get_page dax 7")
        .task("unbind", "unbind dax")
        .task("user", "put_page dax 7", "put_page dax 0")
    )
    file = tmp_path / "program.json"
    file.write_text(program.to_json())
    run = subprocess.run(
        [sys.executable, "-m", "memremap_emu", "explore", "--max-executions", "50", str(file)],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
    )
    # What is put first is left out first.
    assert "task('user', 'put_page dax 0')" in run.stdout


def test_a_schedule_is_told_by_names() -> None:
    """Whose n-th visible operation each step is, and in which function."""
    least = minimise(RACE, RACE.explore().violations[0], max_executions=400)
    assert [name for name, _, _ in least.path] == [
        processes(RACE)[step[0]] for step in steps_of(least.schedule)
    ]
    counts: dict[str, int] = {}
    for name, number, function in least.path:
        counts[name] = counts.get(name, 0) + 1
        assert number == counts[name]
        assert function.endswith("()") or function == "callback"
    assert least.turning is not None
    assert least.path[least.turning.step][2] == f"{least.turning.pair[0].split('(')[0]}()"
    shown = next(line for line in as_text(least).splitlines() if line.startswith("schedule: "))
    assert shown.startswith("schedule: unbind 1 ") and "; user 1 " in shown
