# SPDX-License-Identifier: GPL-2.0-only
"""The command that measures; what it measures is for benchmarks/."""

from __future__ import annotations

import json
from typing import Any

import pytest

from memremap_emu import bench, cli
from memremap_emu.bench import Figure
from memremap_emu.exploration import Exploration
from memremap_emu.explore import Program
from memremap_emu.memory import Page


def test_bench_prints_every_figure_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1 and len(document["figures"]) >= 8
    for row in document["figures"]:
        assert list(row) == ["name", "goal", "measured", "ratio", "met"]
        assert row["measured"] > 0
        assert row["met"] == (None if row["goal"] is None else row["measured"] <= row["goal"])


def test_a_search_that_was_not_done_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Program.explore

    def cut_short(self: Program, **options: Any) -> Exploration:
        return whole(self, **{**options, "max_executions": 10})

    monkeypatch.setattr(Program, "explore", cut_short)
    with pytest.raises(RuntimeError, match="not done: all schedules of 3 users"):
        list(bench._searches())


def test_a_page_that_nobody_gets_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Page, "get", lambda self: None)
    with pytest.raises(RuntimeError, match="not done: a page is got"):
        list(bench._calls())


def test_bench_prints_a_line_for_each(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [
        Figure("a", "us", 2.0, 1.0, 0.5, "b"),
        Figure("c", "ms", 1.0, 2.0),
        Figure("d", "s", None, 3.0),
    ]
    monkeypatch.setattr("memremap_emu.cli_bench.figures", lambda: iter(found))
    assert cli.main(["bench"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == "a goal 2 us measured 1 us met 0.50 x b".split()
    assert lines[1].endswith("NOT MET") and lines[2].split()[:3] == ["d", "goal", "-"]
