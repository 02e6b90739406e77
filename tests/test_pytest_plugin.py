# SPDX-License-Identifier: GPL-2.0-only
"""The pytest plugin, in runs of pytest of its own."""

from __future__ import annotations

import json

import pytest

from memremap_emu import check
from memremap_emu.budget import Budget
from memremap_emu.check import Options
from memremap_emu.program import Program
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


def test_a_violation_that_nobody_looked_at_fails_the_test(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test itself, not what is taken down after it."""
    monkeypatch.setenv("COLUMNS", "250")
    pytester.makepyfile(
        """
        import pytest
        from memremap_emu import Violation

        def broken(kernel):
            ref = kernel.percpu_ref()
            ref.kill()
            ref.kill()

        def test_clean(kernel, iomem):
            driver = kernel.driver("dax_pmem")
            device = driver.device(0x140000000, 0x40000000)
            driver.bind(device)
            driver.unbind(device)

        def test_broken(kernel):
            broken(kernel)

        def test_asked_for_late(request):
            broken(request.getfixturevalue("kernel"))

        def test_closed(kernel):
            with kernel:
                broken(kernel)

        def test_skipped_afterwards(kernel):
            broken(kernel)
            pytest.skip("nothing more to do")

        @pytest.mark.xfail(raises=Violation, strict=True)
        def test_known(kernel):
            broken(kernel)
        """
    )
    result = run(pytester)
    result.assert_outcomes(passed=1, failed=4, xfailed=1)
    result.stdout.fnmatch_lines(["*percpu_ref_kill*more than once*"])
    assert "During handling" not in str(result.stdout)
    for name in ("broken", "asked_for_late", "closed", "skipped_afterwards"):
        result.stdout.fnmatch_lines([f"FAILED *::test_{name} - Violation: *more than once*"])


def test_a_violation_that_a_snapshot_takes_back_fails_the_test(pytester: pytest.Pytester) -> None:
    """And is shown as it was."""
    pytester.makepyfile(
        """
        def broken(kernel):
            ref = kernel.percpu_ref()
            ref.get()
            ref.kill()
            ref.kill()

        def test_clean(kernel):
            snapshot = kernel.snapshot()
            kernel.percpu_ref().kill()
            snapshot.restore()

        def test_sweep(kernel):
            snapshot = kernel.snapshot()
            for n in range(3):
                if n == 1:
                    broken(kernel)
                snapshot.restore()
            assert not kernel.violations

        def test_closed(kernel):
            with kernel:
                snapshot = kernel.snapshot()
                broken(kernel)
                snapshot.restore()

        def test_before(kernel):
            broken(kernel)
            snapshot = kernel.snapshot()
            snapshot.restore()

        def test_both(kernel):
            snapshot = kernel.snapshot()
            for n in range(2):
                broken(kernel)
                snapshot.restore()
            broken(kernel)
        """
    )
    result = run(pytester)
    result.assert_outcomes(passed=1, failed=4)
    shown = str(result.stdout)
    for name, times in {"sweep": 1, "closed": 1, "before": 1, "both": 3}.items():
        report = shown.partition(f"_ test_{name} _")[2].partition("- kernel -")
        assert report[0].count("more than once") == times, name
    sweep = shown.partition("_ test_sweep _")[2].partition("_ test_closed _")[0]
    assert sweep.count("  <== ") == 1, sweep


def test_the_line_that_runs_a_test_again_is_for_where_pytest_was_called(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which need not be the root that ids of tests are relative to."""
    pytester.makeini("[pytest]")
    folder = pytester.mkdir("below")
    (folder / "test_it.py").write_text("def test_fails(kernel): assert not kernel.cpus\n")
    monkeypatch.chdir(folder)
    result = run(pytester)
    result.assert_outcomes(failed=1)
    line = "pytest test_it.py::test_fails --memremap-version memremap-v6"
    result.stdout.fnmatch_lines([line])
    run(pytester, *line.split()[1:]).assert_outcomes(failed=1)


def test_a_test_of_a_class_of_unittest_fails_itself(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import unittest
        import pytest

        class Test(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def use(self, kernel):
                self.kernel = kernel

            def test_broken(self):
                ref = self.kernel.percpu_ref()
                ref.kill()
                ref.kill()
        """
    )
    run(pytester).assert_outcomes(failed=1)


def test_what_breaks_before_or_after_the_test_is_an_error(pytester: pytest.Pytester) -> None:
    """Once: the failing test has told what it has found."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def twice(kernel):
            ref = kernel.percpu_ref()
            ref.kill()
            yield ref
            ref.kill()

        @pytest.fixture
        def asserts(kernel):
            yield
            kernel.driver("dax_pmem")
            raise AssertionError("looked in vain")

        def test_afterwards(twice): pass

        def test_of_a_fixture(asserts): pass

        def test_told(kernel):
            ref = kernel.percpu_ref()
            ref.kill()
            ref.kill()
            assert False, "for another reason"
        """
    )
    result = run(pytester)
    result.assert_outcomes(passed=2, failed=1, errors=2)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_afterwards*", "*more than once*"])
    result.stdout.fnmatch_lines(
        ["*looked in vain", "*- kernel -*", "pytest *::test_of_a_fixture *"]
    )
    result.stdout.fnmatch_lines(["*for another reason*", "*- kernel -*", "*more than once*"])


def test_a_kernel_that_the_test_has_closed_hides_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_passes(kernel):
            kernel.close()

        def test_fails(kernel):
            ref = kernel.percpu_ref()
            ref.kill()
            kernel.close()
            assert False, "the reason"
        """
    )
    result = run(pytester)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*AssertionError: the reason", "*- kernel -*", "  percpu_ref_kill_and_confirm()"]
    )
    assert "MachineClosed" not in str(result.stdout)


def test_a_kernel_that_a_thread_is_still_in_hides_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import threading

        def test_fails(kernel):
            inside, leave = threading.Event(), threading.Event()

            def release(ref):
                inside.set()
                leave.wait()

            ref = kernel.percpu_ref(release)
            thread = threading.Thread(target=ref.kill, daemon=True)
            thread.start()
            threading.Timer(2, leave.set).start()
            assert inside.wait(60)
            assert False, "the reason"
        """
    )
    result = run(pytester)
    result.stdout.fnmatch_lines(["*AssertionError: the reason", "*- kernel -*"])
    assert "INTERNALERROR" not in str(result.stdout)
    assert result.parseoutcomes()["failed"] == 1


def test_the_version_is_chosen_on_the_command_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_version(kernel): assert 'final-put' in kernel.patches")
    run(pytester).assert_outcomes(failed=1)
    run(pytester, "--memremap-version", "v5.2").assert_outcomes(passed=1)
    result = run(pytester, "--memremap-version", "v9")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*unknown version 'v9'; known: v4.19*"])
    # What a variable that is not set makes of it.
    result = run(pytester, "--memremap-version", "")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--memremap-version: '' describes no kernel*"])


def test_a_token_is_a_test_that_fails_as_long_as_its_violation_shows(
    pytester: pytest.Pytester,
) -> None:
    found = check.check(Options(memory(PMEM), drivers=("dax_pmem",), max_faults=0))
    token = found.distinct()[0][0].replay
    pytester.makepyfile("def test_nothing(): pass")
    result = run(pytester, "--memremap-replay", token)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "  calls * bus_unbind_store()*",
            "  bus_bind_store()",
            "    <== memmap-removed",
            "  => memmap-removed: struct page of pfn*",
            "*memremap-emu replay mre1.*",
        ]
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
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "calls * bus_unbind_store()*",
            "bus_bind_store()",
            "  devm_memremap_pages()",
            "get_page()",
            " * bus_unbind_store()",
            " *   waits for &dax_pmem->cmp",
            "put_page()",
            "  <== memmap-removed",
            "*memmap-removed*struct page of pfn 0x150000 is gone with its section",
            "pytest test_late.py::test_late_put --memremap-version memremap-v6",
        ]
    )


def test_a_test_that_fails_for_another_reason_shows_the_same(pytester: pytest.Pytester) -> None:
    """In the report for machines, too."""
    pytester.makepyfile(
        test_mine="""
        import pytest

        @pytest.mark.parametrize("a", ["b c"])
        def test_wrong(kernel, iomem, a):
            driver = kernel.driver("dax_pmem")
            driver.bind(driver.device(0x140000000, 0x40000000))
            assert kernel.cpus == 3

        def test_passes(kernel):
            kernel.percpu_ref()

        def test_without(): assert 0
        """
    )
    result = run(pytester, "--junit-xml", "report.xml")
    result.assert_outcomes(failed=2, passed=1)
    expected = [
        "*- kernel -*",
        "bus_bind_store()",
        "  arch_add_memory()",
        "pytest 'test_mine.py::test_wrong[[]b c]' --memremap-version memremap-v6",
    ]
    result.stdout.fnmatch_lines(expected)
    assert str(result.stdout).count("- kernel -") == 1
    report = pytest.LineMatcher((pytester.path / "report.xml").read_text().splitlines())
    report.fnmatch_lines([*expected[:-1], "pytest *test_wrong*--memremap-version memremap-v6*"])


def test_long_columns_are_shortened_in_the_middle(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_long(kernel):
            for number in range(300):
                ref = kernel.percpu_ref()
                ref.kill()
            ref.exit()
            assert False
        """
    )
    result = run(pytester)
    result.assert_outcomes(failed=1)
    lines = result.outlines
    first = next(n for n, line in enumerate(lines) if "- kernel -" in line) + 1
    last = next(n for n, line in enumerate(lines) if line.startswith("pytest "))
    assert last - first == 80
    left_out = next(line for line in lines if "lines left out" in line)
    assert int(left_out.split()[1]) > 300
    assert "calls" in lines[first]
    assert lines[last - 1] == "  percpu_ref_exit()"


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
    replayed = run(pytester, "--memremap-replay", line.split()[-1])
    replayed.assert_outcomes(failed=2)
    replayed.stdout.fnmatch_lines(["FAILED *memremap-replay-0 - memmap-removed: struct page*"])


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
    wrong = str(1 << 64)
    result = run(pytester, "--memremap-budget", wrong)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--memremap-budget: '{wrong}' is no number of executions*"])


@pytest.mark.parametrize("wrong", ["0", "-3", "many", "infs", "nans", "-1s", "s", "", str(1 << 64)])
def test_what_is_no_budget_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no number of executions"):
        Budget.read(wrong)


def test_a_scenario_shows_what_each_call_did(pytester: pytest.Pytester) -> None:
    document = {
        "schema": 1,
        "id": "PINNED",
        "title": "a page is pinned across unbind",
        "invariant": "The memmap stays while a page of it is in use.",
        "memory": ["140000000-17fffffff : Persistent Memory"],
        "devices": {"fs": {"driver": "pmem", "start": "0x140000000", "size": "1G"}},
        "steps": ["bind fs", *["get_page fs page 0x2c300"] * 100, "unbind fs"],
        "violations": [{"kind": "memmap-removed"}],
    }
    document["steps"].append("put_page fs page 0x2c300")  # type: ignore[attr-defined]
    (pytester.path / "a.scenario.json").write_text(json.dumps(document))
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "a page is pinned across unbind",
            "calls * bus_unbind_store()*",
            "bus_bind_store()",
            "  <== memmap-removed",
            "=> memmap-removed: struct page of pfn*",
            "pytest a.scenario.json::PINNED",
        ]
    )
    again = run(pytester, "a.scenario.json::PINNED", "--memremap-version", "memremap-v6")
    again.stdout.fnmatch_lines(["pytest a.scenario.json::PINNED --memremap-version memremap-v6"])


def test_a_scenario_that_means_nothing_on_a_version_is_skipped(pytester: pytest.Pytester) -> None:
    document = {
        "schema": 1,
        "id": "LATER",
        "title": "only where the final put is fixed",
        "invariant": "The memmap stays while a page of it is in use.",
        "memory": ["140000000-17fffffff : Persistent Memory"],
        "devices": {"fs": {"driver": "pmem", "start": "0x140000000", "size": "1G"}},
        "steps": ["bind fs", "unbind fs"],
        "violations": [{"kind": "memmap-removed"}],
        "with_patches": ["final-put"],
    }
    (pytester.path / "a.scenario.json").write_text(json.dumps(document))
    result = run(pytester, "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*does not apply to memremap-v6"])
    run(pytester, "--memremap-version", "v5.2").assert_outcomes(passed=1)


@pytest.mark.parametrize("data", [b"{}", b"[]", b"[" * 100_000, b"\xff"])
def test_what_is_no_scenario_is_an_error_without_a_traceback(
    pytester: pytest.Pytester, data: bytes
) -> None:
    (pytester.path / "c.scenario.json").write_bytes(data)
    result = run(pytester)
    result.assert_outcomes(errors=1)
    assert "scenario.py" not in str(result.stdout)
    result.stdout.re_match_lines([r".*c\.scenario\.json: \w.*"])


def test_a_scenario_of_tasks_shows_who_did_what_when(pytester: pytest.Pytester) -> None:
    program = (
        Program("memremap-v6")
        .memory(0x140000000, 0x147FFFFFF)
        .device("pmem0", "dax_pmem", 0x140000000, 1 << 27)
        .setup("bind pmem0", "get_page pmem0 0")
        .task("unbind", "unbind pmem0")
        .task("user", "put_page pmem0 0")
    )
    document = {
        "schema": 1,
        "id": "PUT",
        "title": "the last put races with unbind",
        "invariant": "The memmap stays while a page of it is in use.",
        "program": json.loads(program.to_json()),
        "violations": [{"kind": "memmap-removed"}],
    }
    (pytester.path / "b.scenario.json").write_text(json.dumps(document))
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*CPU0: unbind * CPU1: user*", "*<== memmap-removed", "pytest b.scenario.json::PUT *"]
    )


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


def test_profiles_are_there_before_the_first_conftest(pytester: pytest.Pytester) -> None:
    """Which can load one and make others of them; by the same name, its own is what counts."""
    pytester.makeconftest(
        """
        from hypothesis import settings

        settings.register_profile("mine", settings.get_profile("campaign"), max_examples=3)
        settings.register_profile("ci", max_examples=7)
        settings.load_profile("dev")
        """
    )
    pytester.makepyfile(
        """
        from hypothesis import settings

        def test_profile(request):
            wanted = request.config.getoption("--hypothesis-profile") or "dev"
            assert settings.get_current_profile_name() == wanted
            found = settings.default.max_examples, settings.default.stateful_step_count
            assert found == {"dev": (40, 40), "mine": (3, 60), "ci": (7, 50)}[wanted]
        """
    )
    run(pytester).assert_outcomes(passed=1)
    run(pytester, "--hypothesis-profile", "mine").assert_outcomes(passed=1)
    run(pytester, "--hypothesis-profile", "ci").assert_outcomes(passed=1)


def test_profiles_keep_failing_examples_also_in_ci(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    pytester.makepyfile(
        """
        from hypothesis import settings

        def test_databases():
            kept = {
                name: settings.get_profile(name).database is not None
                for name in ("dev", "ci", "campaign")
            }
            assert kept == {"dev": True, "ci": False, "campaign": True}
            assert not settings.get_profile("dev").derandomize
            assert not settings.get_profile("campaign").derandomize
        """
    )
    for profile in ("dev", "campaign"):
        run(pytester, "--hypothesis-profile", profile).assert_outcomes(passed=1)
    run(pytester).assert_outcomes(passed=1)


def test_the_profile_in_use_stays_as_it_is(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In CI it is one of Hypothesis' own that has the name of one of ours."""
    monkeypatch.setenv("CI", "true")
    pytester.makepyfile(
        """
        from hypothesis import settings

        def test_settings():
            assert (settings.default.max_examples, settings.default.derandomize) == (100, True)
            assert settings.get_profile("ci").max_examples == 40
        """
    )
    run(pytester).assert_outcomes(passed=1)


def test_a_profile_ci_of_a_conftest_is_in_use_in_ci(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As without this plugin: Hypothesis has loaded one of that name."""
    monkeypatch.setenv("CI", "true")
    pytester.makeconftest(
        "from hypothesis import settings; settings.register_profile('ci', max_examples=7)"
    )
    pytester.makepyfile(
        """
        from hypothesis import settings

        def test_settings(): assert settings.default.max_examples == 7
        """
    )
    run(pytester).assert_outcomes(passed=1)


def test_a_number_of_examples_that_is_none_is_refused(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMREMAP_EMU_EXAMPLES", "0")
    assert run(pytester).ret == pytest.ExitCode.USAGE_ERROR
    monkeypatch.setenv("MEMREMAP_EMU_EXAMPLES", "many")
    result = run(pytester)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*MEMREMAP_EMU_EXAMPLES: *many*"])


def test_the_plugin_needs_no_hypothesis(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        hypothesis="raise ImportError('not installed')",
        test_kernel="def test_kernel(kernel): assert kernel.cpus == 2",
    )
    run(pytester, "-p", "no:hypothesispytest").assert_outcomes(passed=1)
