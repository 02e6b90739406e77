# SPDX-License-Identifier: GPL-2.0-only
"""The command that measures; what it measures is for benchmarks/."""

from __future__ import annotations

import json

import pytest

from memremap_emu import cli
from memremap_emu.bench import Figure


def test_bench_prints_every_figure_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1 and len(document["figures"]) >= 8
    for row in document["figures"]:
        assert list(row) == ["name", "goal", "measured", "ratio", "met"]
        assert row["measured"] > 0
        assert row["met"] == (None if row["goal"] is None else row["measured"] <= row["goal"])


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
