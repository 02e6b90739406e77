# SPDX-License-Identifier: GPL-2.0-only
"""Campaigns: what they draw, find, keep, and go on from."""

from __future__ import annotations

import json
import math
import os
import pty
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import groupby
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import pytest

from memremap_emu import cli, generate, scenario
from memremap_emu.booted import SetUps
from memremap_emu.fuzz import Campaign, Finding
from memremap_emu.generate import teardown
from memremap_emu.program import Program
from memremap_emu.versions import select
from tests.fuzz_bugs import BUGS
from tests.test_pytest_plugin import run

pytest_plugins = ["pytester"]


def drawn(version: str, draw: random.Random) -> Program:
    return generate.program(generate.Random(draw), version, hostile=True)


@pytest.mark.parametrize("version", ["v4.19", "memremap-v6 1/7", "memremap-v6", "v5.2"])
def test_what_is_drawn_can_be_run_and_so_can_mutations(version: str) -> None:
    draw = random.Random(1)
    source = generate.Random(draw)
    for _ in range(60):
        program = drawn(version, draw)
        for _ in range(4):
            with program.boot() as booted:
                assert booted.tasks()
            assert generate.of(program, version) == program
            before, program = program, generate.mutated(source, program)
            assert replace(program, tasks=(), objects=()) == replace(before, tasks=(), objects=())


def test_what_is_drawn_has_all_there_is() -> None:
    draw = random.Random(2)
    programs = [drawn("v5.2", draw) for _ in range(400)]
    calls = {o.call for p in programs for task in p.tasks for o in task.operations}
    assert calls >= {
        *("bind", "unbind", "put_page", "bio_endio", "get_dev_pagemap", "watched_lookup"),
        *("expect_mapped", "fault", "use_p2pmem", "mutex_lock", "rcu_read_lock", "preempt_disable"),
        *("synchronize_rcu", "rcu_barrier", "percpu_ref_kill", "percpu_ref_tryget_live"),
    }
    devices = {(d.driver, d.mode, d.altmap) for p in programs for d in p.devices}
    assert devices >= {
        ("pmem", "fsdax", False),
        ("pmem", "fsdax", True),
        ("pmem", "memory", False),
        ("pmem", "raw", False),
        ("dax_pmem", "fsdax", True),
        ("hmm", "fsdax", False),
        ("hmm_public", "fsdax", False),
        ("p2pdma", "fsdax", False),
    }
    assert {len(p.tasks) for p in programs} == {1, 2, 3, 4}
    assert any(len(p.devices) + len(p.drivers) == 2 for p in programs)
    assert any(p.drivers and p.ranges[0][2] == "System RAM" for p in programs)
    # Swarm: many programs have long runs of one operation.
    runs = [max(len(list(g)) for _, g in groupby(t.operations)) for p in programs for t in p.tasks]
    assert max(runs) >= 4


def own(version: str, **lists: Any) -> Program:
    """A driver of one's own on a section of persistent memory."""
    program = Program(version).driver("mine", generate.BASE, generate.SECTION, **lists)
    return program.memory(generate.BASE, generate.BASE + generate.SECTION - 1)


@pytest.mark.parametrize("version", ["memremap-v6", "v5.2"])
def test_drivers_of_ones_own_keep_the_rules_whichever_call_fails(version: str) -> None:
    """What is left behind, if a call fails, the kernel leaves."""
    program = own(version, **teardown(version)).task("life", "bind mine", "unbind mine")
    found = program.explore(stop_at_violation=False, check_quiescence=True, max_faults=1)
    assert found.exhaustive and found.executions > 20
    assert {f.record.kind for f in found.found} == {"leak"}


def test_a_driver_of_before_undoes_what_it_did_when_the_mapping_fails() -> None:
    """Half of the section is RAM: devm_memremap_pages() refuses, and kills nothing."""
    lists = teardown("v4.19")
    lists["probe"].remove("request_region")
    for given, kinds in ((lists, set()), (lists | {"map_failed": []}, {"hang"})):
        program = Program("v4.19").driver("mine", generate.BASE, generate.SECTION, **given)
        half = generate.BASE + (64 << 20)
        program = program.memory(generate.BASE, half - 1, "System RAM")
        program = program.memory(half, generate.BASE + generate.SECTION - 1)
        found = program.task("t", "bind mine", "bind mine").explore(
            stop_at_violation=False, check_quiescence=True
        )
        assert {f.record.kind for f in found.found} == kinds


@pytest.mark.parametrize("bug", BUGS)
def test_a_campaign_finds_a_bug_from_nothing_and_its_fix_removes_it(
    bug: str, tmp_path: Path
) -> None:
    version, fixed, kinds = BUGS[bug]

    def is_it(finding: Finding) -> bool:
        return finding.record.kind in kinds and finding.gone_on(fixed)

    campaign = Campaign(version, seed=5)
    campaign.run(120, until=is_it)
    (least, *_) = [finding for finding in campaign.found.values() if is_it(finding)]
    operations = sum(len(task.operations) for task in least.program.tasks)
    assert operations <= 3, least.program
    campaign.save(tmp_path)
    again = Campaign.load(tmp_path)
    assert (again.programs, again.executions) == (campaign.programs, campaign.executions)
    assert again.found == campaign.found
    assert again.states == campaign.states and again.corpus == campaign.corpus
    assert again.shapes == campaign.shapes
    # Each file is a scenario whose violation shows on the version it was found on.
    for path in sorted(tmp_path.glob("*.scenario.json"))[:5]:
        (found,) = scenario.load(path)
        assert scenario.run(found, select(version)).status is scenario.Status.VIOLATED, path


def test_one_rule_broken_by_two_pairs_of_operations_is_two_findings() -> None:
    """The last put of a plain page, and that of a page whose driver is told of it."""
    campaign = Campaign("memremap-v6")
    with SetUps() as setups:
        for driver in ("dax_pmem", "pmem", "dax_pmem"):
            program = (
                Program("memremap-v6")
                .memory(generate.BASE, generate.BASE + generate.SECTION - 1)
                .device("mine", driver, generate.BASE, generate.SECTION)
                .setup("bind mine", "get_page mine 0")
                .task("a", "unbind mine")
                .task("b", "put_page mine 0")
            )
            for violation in program.explore(stop_at_violation=False).found:
                campaign.keep(program, violation, setups)
    plain, told = [f for f in campaign.found.values() if f.record.kind == "memmap-removed"]
    assert plain.record.cause == told.record.cause
    assert plain.pair[0] == told.pair[0] and plain.pair[1] != told.pair[1]
    assert plain.identity != told.identity


def test_what_another_violation_has_led_to_is_no_finding() -> None:
    """After a use of freed memory much else breaks: a campaign tells of the first."""
    program = (
        Program(BUGS["A13"][0])
        .memory(generate.BASE, generate.BASE + generate.SECTION - 1, "0000:80:00.0")
        .device("mine", "p2pdma", generate.BASE, generate.SECTION)
        .task("a", "bind mine")
    )
    found = program.explore(stop_at_violation=False, check_quiescence=True, max_faults=1)
    assert len({f.record.cause for f in found.found}) > 3
    campaign = Campaign(program.version)
    with SetUps() as setups:
        for violation in found.found:
            campaign.keep(program, violation, setups)
    for finding in campaign.found.values():
        first = finding.program.replay(finding.schedule).violations[0]
        assert first.cause == finding.record.cause


def test_the_same_seed_is_the_same_campaign() -> None:
    def programs(seed: int) -> list[str]:
        draw = random.Random(seed)
        return [repr(drawn("v5.2", draw)) for _ in range(20)]

    assert programs(7) == programs(7) != programs(8)


def test_fuzz_goes_on_and_logs_lines_of_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["fuzz", "--minutes", "0.01", "--corpus", str(tmp_path), "--version", "v5.2"]
    assert cli.main(argv) in (0, 1)
    first = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert first["end"] and first["programs"] > 0
    assert cli.main([*argv, "--seed", "9"]) in (0, 1)
    second = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert second["programs"] > first["programs"]
    assert cli.main(["fuzz", "--corpus", str(tmp_path), "--version", "v5.0"]) == 2
    assert "a campaign on v5.2" in capsys.readouterr().err
    (tmp_path / "campaign").write_text("{")
    assert cli.main(argv) == 2
    assert str(tmp_path / "campaign") in capsys.readouterr().err
    assert cli.main(["fuzz", "--version", "v9", "--corpus", str(tmp_path / "x")]) == 2
    capsys.readouterr()
    assert cli.main(["fuzz", "--corpus", ""]) == 2
    assert "--corpus: must be a directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seconds", math.nan),
        ("seconds", math.inf),
        ("programs", math.inf),
        ("version", "v9"),
        ("found", [{"record": ["../hang", "", ""], "pair": ["", ""]}]),
        ("corpus", "deep"),
        ("shapes", [["hang", "", "", [["unbind", 1]]]]),
    ],
)
def test_a_damaged_campaign_is_refused(
    key: str, value: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Campaign().save(tmp_path)
    state = json.loads((tmp_path / "campaign").read_text()) | {key: value}
    text = json.dumps(state)
    (tmp_path / "campaign").write_text(text.replace('"deep"', "[" * 100000))
    assert cli.main(["fuzz", "--minutes", "0.001", "--corpus", str(tmp_path)]) == 2
    assert str(tmp_path / "campaign") in capsys.readouterr().err


def test_fuzz_in_two_processes_has_one_corpus(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["fuzz", "--minutes", "0.02", "-j", "2", "--corpus", str(tmp_path)]
    assert cli.main(argv) in (0, 1)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    whole = lines[-1]
    campaign = Campaign.load(tmp_path)
    assert (whole["programs"], whole["states"]) == (campaign.programs, len(campaign.states))
    assert whole["executions"] == campaign.executions > 0
    # Both have run, for as long as was asked for.
    assert campaign.seconds >= 2 * 60 * 0.02
    files = {line["file"] for line in lines if "file" in line}
    assert files == {str(path) for path in tmp_path.rglob("*.scenario.json")}
    assert len(files) == whole["violations"] == len(campaign.found)
    assert cli.main(argv) in (0, 1)
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert again["programs"] > whole["programs"] and again["violations"] >= whole["violations"]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_saves_and_a_terminal_sees_counters(jobs: str, tmp_path: Path) -> None:
    """On a terminal of its own, as a person would."""
    pid, terminal = pty.fork()
    if not pid:
        argv = ["-m", "memremap_emu", "fuzz", "-j", jobs, "--corpus", str(tmp_path)]
        os.execv(sys.executable, [sys.executable, *argv])
    shown = b""
    deadline = time.monotonic() + 60
    asked = False
    try:
        while time.monotonic() < deadline:
            if wait([terminal], 1):
                shown += os.read(terminal, 4096)
            if not asked and b" new states" in shown:
                asked = True
                os.write(terminal, b"\x03")
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass  # it has ended
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130, shown
    assert b"executions" in shown and b"/s)" in shown and b"distinct violations" in shown
    assert b"Traceback" not in shown
    assert Campaign.load(tmp_path).programs > 0


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_what_has_been_told_of_is_there_though_nobody_reads_on(jobs: str, tmp_path: Path) -> None:
    argv = ["-m", "memremap_emu", "fuzz", "--minutes", "0.5", "-j", jobs]
    with subprocess.Popen(
        [sys.executable, *argv, "--corpus", str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = next(line for line in map(json.loads, process.stdout) if "file" in line)
        assert Path(line["file"]).exists()
        process.stdout.close()
        assert process.wait(60) == 2
    campaign = Campaign.load(tmp_path)
    assert campaign.programs and len(campaign.found) == len(list(tmp_path.glob("*.scenario.json")))


def test_a_process_that_dies_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def die(self: Campaign, *_: object) -> None:
        os._exit(9)

    monkeypatch.setattr(Campaign, "run", die)
    assert cli.main(["fuzz", "--minutes", "0.01", "-j", "2", "--corpus", str(tmp_path)]) == 3
    assert "has died: exit code 9" in capsys.readouterr().err


def test_pytest_takes_what_a_campaign_has_found(pytester: pytest.Pytester) -> None:
    """Also what needs a failing call, which no search without one would show."""
    campaign = Campaign(BUGS["A13"][0], seed=1)
    campaign.run(60, until=lambda finding: finding.faults > 0)
    campaign.save(pytester.path)
    # On the version it was found on, if no other is asked for.
    run(pytester).assert_outcomes(failed=len(campaign.found))


def test_pytest_takes_the_scenarios(pytester: pytest.Pytester) -> None:
    bug = {
        "schema": 1,
        "id": "F001",
        "title": "the final put of a page",
        "invariant": "",
        "program": {
            "schema": 1,
            "memory": [["0x140000000", "0x147ffffff", "Persistent Memory"]],
            "devices": {"p": {"driver": "dax_pmem", "start": "0x140000000", "size": "0x8000000"}},
            "setup": ["bind p", "get_page p 0"],
            "tasks": {"unbind": {"do": ["unbind p"]}, "user": {"do": ["put_page p 0"]}},
        },
        "violations": [{"kind": "memmap-removed"}],
    }
    (pytester.path / "a.scenario.json").write_text(json.dumps(bug))
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the final put of a page*"])
    result = run(pytester, "--memremap-version", "v5.2")
    result.assert_outcomes(passed=1)
    # A search that was bounded has not shown that it is right.
    (pytester.path / "a.scenario.json").write_text(json.dumps(bug | {"max_executions": 5}))
    result = run(pytester, "--memremap-version", "v5.2")
    result.assert_outcomes(skipped=1)
