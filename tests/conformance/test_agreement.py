# SPDX-License-Identifier: GPL-2.0-only
"""How far the re-enactment as a whole agrees, and that the comparison would notice if not."""

from __future__ import annotations

import pytest
from harness import (
    BOOTS,
    CASES,
    PLAIN_RULES,
    RULES,
    VERSIONS,
    compare,
    golden,
    load_cases,
    report,
    run_case,
)

ALL = [name for names in BOOTS.values() for name in names]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("checked", [True, False], ids=["checked", "plain"])
def test_all_of_the_comparable_lines_agree(checked: bool, version: str) -> None:
    found = report(checked, version).values()
    assert sum(c.agreeing for c in found) == sum(c.comparable for c in found)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_recorded_case_but_those_of_hmm_is_re_enacted(version: str) -> None:
    load_cases()
    recorded = {name for name in golden(version) if not name.startswith("e_")}
    assert recorded == set(CASES) == set(ALL)


@pytest.mark.parametrize("version", VERSIONS)
def test_rules_leave_nearly_all_recorded_lines_comparable(version: str) -> None:
    recorded = sum(len(golden(version)[name]) for name in ALL)
    assert sum(c.comparable for c in report(version=version).values()) >= 0.99 * recorded


def test_the_kernel_without_the_series_does_not_agree_with_the_recording_of_the_series() -> None:
    for name in ("d_basic", "d_ram", "d_null", "d_sweep0"):
        assert compare(golden("memremap-v6")[name], run_case(name, version="v4.19")).differences


@pytest.mark.parametrize("rule", (*RULES, *PLAIN_RULES), ids=lambda rule: rule.name)
def test_each_rule_changes_something(rule: object) -> None:
    texts = [golden(version)[name] for version in VERSIONS for name in ALL]
    texts += [run_case(name, version=version) for version in VERSIONS for name in ALL]
    assert any(rule.apply(lines) != lines for lines in texts)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ALL)
def test_a_change_of_one_character_of_a_fact_is_a_difference(name: str) -> None:
    lines = run_case(name)
    facts = [i for i, line in enumerate(lines) if line.startswith(f"CASE {name} ")]
    changed = list(lines)
    changed[facts[-1]] += "!"
    assert compare(golden()[name], changed).differences


def test_a_missing_an_additional_and_a_misplaced_line_are_differences() -> None:
    lines = run_case("d_basic")
    entries = [i for i, line in enumerate(lines) if line.startswith("TRACE ")]
    swapped = list(lines)
    swapped[entries[0]], swapped[entries[1]] = swapped[entries[1]], swapped[entries[0]]
    for wrong in (lines[1:], [*lines, lines[-1]], swapped):
        assert compare(golden()["d_basic"], wrong).differences
