# SPDX-License-Identifier: GPL-2.0-only
"""How far the re-enactment as a whole agrees, and that the comparison would notice if not."""

from __future__ import annotations

import pytest
from harness import BOOTS, CASES, PLAIN_RULES, RULES, compare, golden, load_cases, report, run_case

ALL = [name for names in BOOTS.values() for name in names]


@pytest.mark.parametrize("checked", [True, False], ids=["checked", "plain"])
def test_at_least_95_percent_of_the_comparable_lines_agree(checked: bool) -> None:
    found = report(checked).values()
    assert sum(c.agreeing for c in found) >= 0.95 * sum(c.comparable for c in found)


def test_every_recorded_case_but_those_of_hmm_is_re_enacted() -> None:
    load_cases()
    assert {name for name in golden() if not name.startswith("e_")} == set(CASES) == set(ALL)


def test_rules_leave_nearly_all_recorded_lines_comparable() -> None:
    recorded = sum(len(golden()[name]) for name in ALL)
    assert sum(c.comparable for c in report().values()) >= 0.99 * recorded


@pytest.mark.parametrize("rule", (*RULES, *PLAIN_RULES), ids=lambda rule: rule.name)
def test_each_rule_changes_something(rule: object) -> None:
    texts = [golden()[name] for name in ALL] + [run_case(name) for name in ALL]
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
