# SPDX-License-Identifier: GPL-2.0-only
"""Campaigns: what they draw, find, keep, and go on from."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from memremap_emu import cli, scenario
from memremap_emu.fuzz import Campaign, drawn, mutated
from memremap_emu.operations import ProgramError
from memremap_emu.versions import Selection
from tests.test_pytest_plugin import run

pytest_plugins = ["pytester"]


@pytest.mark.parametrize("version", ["memremap-v6", "v5.2"])
def test_what_is_drawn_can_be_run_and_mutations_mostly_can(version: str) -> None:
    draw = random.Random(1)
    spoilt = 0
    for _ in range(40):
        program = drawn(version, draw)
        program.boot().close()
        for _ in range(3):
            program = mutated(program, draw)
            program.check()
        try:
            program.boot().close()
        except ProgramError:
            spoilt += 1
    assert spoilt < 10


def test_a_campaign_finds_the_final_page_put_race_from_nothing(tmp_path: Path) -> None:
    campaign = Campaign("memremap-v6", seed=3)
    campaign.run(60, until=lambda record: record.kind == "memmap-removed")
    (least,) = [c for c in campaign.found.values() if c.record.kind == "memmap-removed"][:1]
    assert {task.operations[0].call for task in least.program.tasks} <= {
        "unbind",
        "put_page",
        "bind",
        "get_dev_pagemap",
        "fault",
        "use_p2pmem",
    }
    campaign.save(tmp_path)
    again = Campaign.load(tmp_path)
    assert (again.programs, again.executions) == (campaign.programs, campaign.executions)
    assert again.found.keys() == campaign.found.keys()
    assert again.states == campaign.states and again.corpus == campaign.corpus
    # Each file is a scenario whose violation shows on the version it was found on.
    (path, *_) = tmp_path.glob("*memmap-removed.scenario.json")
    (found,) = scenario.load(path)
    outcome = scenario.run(found, Selection("memremap-v6"))
    assert outcome.status is scenario.Status.VIOLATED, found


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


def test_fuzz_in_two_processes_joins_what_they_find(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["fuzz", "--minutes", "0.01", "-j", "2", "--corpus", str(tmp_path)]
    assert cli.main(argv) in (0, 1)
    whole = json.loads(capsys.readouterr().out.splitlines()[-1])
    parts = [Campaign.load(tmp_path / f"job{n}") for n in range(2)]
    assert whole["programs"] == sum(part.programs for part in parts)
    assert (tmp_path / "campaign").exists()


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
