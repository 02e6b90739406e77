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
