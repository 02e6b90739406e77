# SPDX-License-Identifier: GPL-2.0-only
"""The pytest plugin, in runs of pytest of its own."""

from __future__ import annotations

import pytest

from memremap_emu import check
from memremap_emu.check import Options
from tests.test_check import memory

pytest_plugins = ["pytester"]

PMEM = "140000000-17fffffff : Persistent Memory\n"


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """pytest with this plugin, which an uninstalled tree does not register."""
    plugin = () if registered(pytester) else ("-p", "memremap_emu.pytest_plugin")
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *plugin, *arguments)


def registered(pytester: pytest.Pytester) -> bool:
    """Has the installed package an entry point for pytest?"""
    from importlib.metadata import entry_points

    return any(e.value == "memremap_emu.pytest_plugin" for e in entry_points(group="pytest11"))


def test_a_violation_that_nobody_looked_at_fails_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_clean(kernel, iomem):
            driver = kernel.driver("dax_pmem")
            device = driver.device(0x140000000, 0x40000000)
            driver.bind(device)
            driver.unbind(device)

        def test_broken(kernel):
            ref = kernel.percpu_ref()
            ref.kill()
            ref.kill()
        """
    )
    result = run(pytester)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*percpu_ref_kill*more than once*"])


def test_the_version_is_chosen_on_the_command_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_version(kernel): assert 'final-put' in kernel.patches")
    run(pytester).assert_outcomes(failed=1)
    run(pytester, "--memremap-version", "v5.2").assert_outcomes(passed=1)
    result = run(pytester, "--memremap-version", "v9")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*unknown version 'v9'; known: v4.19*"])


def test_a_token_is_a_test_that_fails_as_long_as_its_violation_shows(
    pytester: pytest.Pytester,
) -> None:
    found = check.check(Options(memory(PMEM), drivers=("dax_pmem",), max_faults=0))
    token = found.distinct()[0][0].replay
    pytester.makepyfile("def test_nothing(): pass")
    result = run(pytester, "--memremap-replay", token)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*memmap-removed: struct page of pfn*", "*memremap-emu replay mre1.*"]
    )
    assert run(pytester, "--memremap-replay", "mre1.x").ret == pytest.ExitCode.USAGE_ERROR


def test_what_broke_is_shown_with_what_each_call_did(pytester: pytest.Pytester) -> None:
    """And with the line that runs the test again."""
    pytester.makepyfile(
        test_late="""
        import contextlib
        from memremap_emu import Blocked

        def test_late_put(kernel, iomem):
            driver = kernel.driver("dax_pmem")
            device = driver.device(0x140000000, 0x40000000)
            driver.bind(device)
            page = kernel.page(0x150000)
            page.get()
            with contextlib.suppress(Blocked):
                driver.unbind(device)
            page.put()
        """
    )
    result = run(pytester, "--memremap-version", "memremap-v6")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "calls * bus_unbind_store()*",
            "bus_bind_store()",
            "  devm_memremap_pages()",
            " * bus_unbind_store()",
            " *   waits for &dax_pmem->cmp",
            "  <== memmap-removed",
            "*memmap-removed*struct page of pfn 0x150000 is gone with its section",
            "pytest test_late.py::test_late_put --memremap-version memremap-v6",
        ]
    )


CHECKED = """
from memremap_emu.program import Program
from memremap_emu.stateful import checks_shutdown

@checks_shutdown()
def test_shutdown():
    return (
        Program("{version}")
        .memory(0x140000000, 0x147FFFFFF)
        .device("pmem0", "dax_pmem", 0x140000000, 1 << 27)
        .setup("bind pmem0", "get_page pmem0 0")
        .task("unbind", "unbind pmem0")
        .task("user", "put_page pmem0 0")
    )
"""


def test_a_shutdown_that_breaks_a_rule_is_shown_as_columns_and_can_be_replayed(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(CHECKED.format(version="memremap-v6"))
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*CPU0: unbind * CPU1: user*", "*<== memmap-removed*"])
    line = next(text for text in result.outlines if "memremap-emu replay mrp1." in text)
    run(pytester, "--memremap-replay", line.split()[-1]).assert_outcomes(failed=2)


def test_a_budget_is_how_far_an_exploration_goes(pytester: pytest.Pytester) -> None:
    """What was not seen to its end is said, also when nothing was found."""
    pytester.makepyfile(CHECKED.format(version="v5.2"))
    whole = run(pytester)
    whole.assert_outcomes(passed=1)
    assert "NotExhaustive" not in str(whole.stdout)
    bounded = run(pytester, "--memremap-budget", "20")
    bounded.assert_outcomes(passed=1, warnings=1)
    bounded.stdout.fnmatch_lines(
        ["*NotExhaustive: test_shutdown: not exhaustive (executions), 20 executions of * or so"]
    )
    in_time = run(pytester, "--memremap-budget", "0.000001s")
    in_time.assert_outcomes(passed=1, warnings=1)
    in_time.stdout.fnmatch_lines(["*NotExhaustive: test_shutdown: not exhaustive (seconds), *"])
    for wrong in ("0", "-3", "many", "infs", "s"):
        result = run(pytester, "--memremap-budget", wrong)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"*--memremap-budget: '{wrong}' is no number of executions*"])


@pytest.mark.parametrize(("profile", "examples"), [("dev", 40), ("ci", 40), ("campaign", 123)])
def test_profiles_of_hypothesis(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, profile: str, examples: int
) -> None:
    monkeypatch.setenv("MEMREMAP_EMU_EXAMPLES", "123")
    pytester.makepyfile(
        f"""
        from hypothesis import given, settings, strategies as st
        count = []

        @given(st.integers())
        def test_given(n):
            count.append(n)

        def test_profile():
            assert len(count) == {examples}
            assert settings.default.derandomize == ({profile!r} == "ci")
        """
    )
    run(pytester, "--hypothesis-profile", profile).assert_outcomes(passed=2)


def test_the_plugin_needs_no_hypothesis(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        hypothesis="raise ImportError('not installed')",
        test_kernel="def test_kernel(kernel): assert kernel.cpus == 2",
    )
    run(pytester, "-p", "no:hypothesispytest").assert_outcomes(passed=1)
