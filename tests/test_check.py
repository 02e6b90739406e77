# SPDX-License-Identifier: GPL-2.0-only
"""The main job: which executions there are, what is judged, and that it can be seen again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from errno import EBUSY, EINVAL, ENOMEM, ENXIO
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from memremap_emu import check, cli, iomem, ranges, runs, tokens
from memremap_emu.check import Options, Report, RunReport
from memremap_emu.contract import Answer, Contract, FaultPoint, Probe
from memremap_emu.experiments import (
    MODES,
    PROGRAMS,
    Experiment,
    Mode,
    Program,
    Setup,
    mode_named,
    program_named,
)
from memremap_emu.exploration import Bound
from memremap_emu.outcomes import Finding
from memremap_emu.ranges import MemoryMap
from memremap_emu.repeating import Course
from memremap_emu.runs import Bench
from memremap_emu.trace import EventType
from memremap_emu.versions import versions

SMALL = "00100000-bfffffff : System RAM\n140000000-17fffffff : Persistent Memory\n"
#: More sections than all are looked at.
LARGE_SECTIONS = 80
LARGE_END = 0x400000000 + (LARGE_SECTIONS << 27) - 1
LARGE = f"00100000-bfffffff : System RAM\n400000000-{LARGE_END:x} : Persistent Memory\n"
START, END, SECOND = 0x140000000, 0x17FFFFFFF, 0x180000000
LIFE = program_named("bind-use-unbind-rebind")
BESIDE = program_named("beside-second-device")


def memory(text: str, source: str = "<test>") -> MemoryMap:
    return MemoryMap(source, tuple(iomem.parse(text)))


def setup_of(mode: Mode, version: str = "memremap-v6") -> Setup:
    found = memory(SMALL)
    text = ranges.excerpt(found, ranges.persistent_memory(found)[0], SECOND)
    return Setup(version, text, mode, START, END, SECOND)


@pytest.fixture(scope="module")
def real() -> Report:
    """The main job on the embedded real map."""
    text = iomem.embedded()
    return check.check(Options(memory(text, "xeon-hpsa-memmap-4g.txt")))


@pytest.fixture
def bench() -> Iterator[Bench]:
    found = Bench(setup_of(mode_named("pmem", "fsdax")))
    yield found
    found.kernel.close()


def findings(report: Report, driver: str) -> set[tuple[str, str]]:
    return {
        (v.finding.kind, v.finding.cause[2])
        for v, among in report.distinct()
        if among[0].setup.mode.driver == driver
    }


def runs_of(report: Report, program: str) -> list[RunReport]:
    return [r for r in report.runs if r.program.name == program]


# --- which executions there are ---


def test_every_driver_mode_and_range_is_taken_through_every_program_that_fits(
    real: Report,
) -> None:
    seen = {(r.setup.mode, r.setup.range, r.program.name) for r in real.runs}
    assert len(seen) == len(real.runs)
    assert {r for _, r, _ in seen} == {"100000000-155dfffff", "15982c000-1ffffffff"}
    for mode in MODES:
        for where in ("100000000-155dfffff", "15982c000-1ffffffff"):
            done = {p for m, r, p in seen if (m, r) == (mode, where)}
            if mode.name == "memory":
                assert done == {LIFE.name, BESIDE.name}  # refused: nothing to be held
            else:
                assert done == {p.name for p in PROGRAMS if p.fits(mode)}


def test_each_fallible_call_of_bind_to_rebind_fails_in_turn(bench: Bench) -> None:
    outcome = bench.run(LIFE)
    calls = sum(point.count for _, point in outcome.fallible)
    bench.kernel.close()
    report = Report(Options(memory(SMALL)))
    campaign = check.Campaign(report, setup_of(mode_named("pmem", "fsdax")))
    campaign.run()
    campaign.run_with_faults(1)
    first = report.runs[0]
    assert first.program is LIFE
    assert first.executions == 1 + calls
    assert first.exhaustive
    assert calls > 80


def test_a_failing_call_is_the_one_that_was_chosen(bench: Bench) -> None:
    sites = [point.site for _, point in bench.run(LIFE).fallible for _ in range(point.count)]
    for nth in (1, 7, 20, len(sites) // 2, len(sites)):
        assert bench.run(LIFE, (nth,)).failed == [sites[nth - 1]]


def test_without_faults_each_program_runs_once() -> None:
    report = check.check(Options(memory(SMALL), max_faults=0))
    assert {r.executions for r in report.runs} == {1}
    assert all(r.exhaustive for r in report.runs)


def test_two_faults_are_bounded_by_the_budget_and_said_to_be_so() -> None:
    options = Options(memory(SMALL), drivers=("dax_pmem",), max_faults=2, budget=2.0)
    report = check.check(options)
    assert report.seconds < 10
    with_faults = [r for r in report.runs if r.program.faults]
    assert any(not r.exhaustive for r in with_faults)
    assert all(r.exhaustive for r in report.runs if not r.program.faults)


def test_races_with_more_failing_calls_than_there_can_be_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(check, "MAX_FAULTS", 1)
    report = Report(Options(memory(SMALL), max_faults=2, max_executions=100))
    campaign = check.Campaign(report, setup_of(mode_named("dax_pmem", "plain")))
    for program in check.RACES:
        campaign.explore(program)
    bounded = [run for run in report.runs if run.bounds & Bound.FAULTS]
    assert bounded and all(run.program.faults and not run.exhaustive for run in bounded)


def test_two_faults_are_both_met(bench: Bench) -> None:
    alone = bench.run(LIFE, (1,))
    later, alike = check._later_calls(alone.fallible, (1,))
    assert not alike and later[0] == 2
    assert bench.run(LIFE, (1, later[5])).failed[0] == alone.failed[0]
    assert len(bench.run(LIFE, (1, later[5])).failed) == 2


def test_a_budget_that_is_over_leaves_the_rest_out_and_says_so() -> None:
    report = check.check(Options(memory(SMALL), budget=1e-9))
    assert report.executions == 0
    assert not any(r.exhaustive for r in report.runs)


def test_what_was_cut_off_with_one_fault_is_not_made_up_for_with_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that only lead the way to the second are not looked at."""
    monkeypatch.setattr(
        check.Campaign, "_search", lambda _, bench, run, depth, deadline: depth != 1
    )
    options = Options(memory(SMALL), drivers=("dax_pmem",), max_faults=2)
    campaign = check._life((options, check.setups(options)[0]))
    assert {run.program.faults for run in campaign.runs} == {False, True}
    assert all(run.exhaustive is not run.program.faults for run in campaign.runs)


def test_a_loop_over_many_sections_fails_first_second_middle_and_last() -> None:
    fallible = [
        (1, FaultPoint("a", "")),
        (1, FaultPoint("sections", "", 600)),
        (1, FaultPoint("sections", "", 400)),
        (2, FaultPoint("b", "", 2)),
    ]
    others = [*range(4, 502), *range(503, 1001)]
    assert check._later_calls(fallible, ()) == (
        [1, 2, 3, 502, 1001, 1002, 1003],
        [check.Alike(502, others)],
    )
    assert check._later_calls(fallible, (1001,)) == ([1002, 1003], [])


@pytest.mark.parametrize("mode", ["fsdax", "fsdax-altmap"])
def test_every_call_of_a_loop_over_many_sections_is_accounted_for(mode: str) -> None:
    options = Options(memory(LARGE), drivers=("pmem",))
    [setup] = [s for s in check.setups(options) if s.mode.name == mode]
    campaign = check._life((options, setup))
    for run in campaign.runs:
        if run.program.faults:
            fallible = Bench(setup).run(run.program).fallible
            calls = sum(point.count for _, point in fallible)
            assert run.exhaustive and run.executions + run.asleep == 1 + calls
            assert run.asleep > 2 * (LARGE_SECTIONS - 10)


def test_more_calls_alike_than_are_worthwhile_are_left_out_and_said_to_be() -> None:
    options = Options(memory(LARGE), drivers=("dax_pmem",), max_executions=LARGE_SECTIONS // 2)
    campaign = check._life((options, check.setups(options)[0]))
    with_faults = [run for run in campaign.runs if run.program.faults]
    assert with_faults
    assert all(not run.exhaustive and run.bounds == Bound.FAULTS for run in with_faults)


def test_calls_that_go_too_many_ways_are_left_out_and_said_to_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Course, "same", lambda _, number, others: [False] * len(others))
    options = Options(memory(LARGE), drivers=("dax_pmem",))
    campaign = check._life((options, check.setups(options)[0]))
    run = next(run for run in campaign.runs if run.program.faults)
    assert not run.exhaustive and run.bounds == Bound.FAULTS and not run.asleep


def test_a_budget_that_is_over_ends_the_calls_alike_too() -> None:
    options = Options(memory(LARGE), drivers=("dax_pmem",))
    campaign = check.Campaign(Report(options), check.setups(options)[0])
    campaign.run()
    run = next(run for run in campaign.runs if run.program.faults)
    with campaign._bench() as bench:
        assert bench is not None
        alike = check._later_calls(bench.run(run.program).fallible, ())[1][0]
        assert not campaign._compare(bench, run, alike, time.monotonic())
    assert run.bounds == Bound.SECONDS and not run.asleep


def test_devices_are_those_of_the_drivers_asked_for() -> None:
    report = check.check(Options(memory(SMALL), drivers=("dax_pmem",), max_faults=0))
    assert {r.setup.mode.driver for r in report.runs} == {"dax_pmem"}


# --- what is found ---


@pytest.mark.parametrize("driver", ["pmem", "dax_pmem"])
def test_page_held_finds_the_final_page_put_race_of_v6(real: Report, driver: str) -> None:
    held = [r for r in runs_of(real, "page-held") if r.setup.mode.driver == driver]
    assert held
    for run in held:
        assert [v.finding.kind for v in run.violations] == ["memmap-removed"]
        assert "put_page" in run.violations[0].finding.where


@pytest.mark.parametrize("driver", ["pmem", "dax_pmem"])
def test_page_held_finds_no_race_once_the_release_waits(driver: str) -> None:
    mode = mode_named(driver, {"pmem": "fsdax", "dax_pmem": "plain"}[driver])
    outcome = runs.execute(Experiment(setup_of(mode, "v5.2"), program_named("page-held")))
    assert outcome.findings == []
    assert "unbind ends" in outcome.history[3]


def test_pagemap_or_io_held_across_unbind_is_waited_for_and_nothing_is_wrong(
    real: Report,
) -> None:
    for name in ("pagemap-held", "io-in-flight"):
        assert runs_of(real, name)
        assert all(r.violations == [] for r in runs_of(real, name))


def test_leaks_of_failing_probes_are_found(real: Report) -> None:
    leak = "N bytes allocated in {}() were not freed"
    assert ("leak", leak.format("__alloc_disk_node")) in findings(real, "pmem")
    assert ("leak", leak.format("alloc_dax_region")) in findings(real, "dax_pmem")
    for driver in ("pmem", "dax_pmem"):
        assert ("leak", "pfn N is still in the direct map") in findings(real, driver)
        assert ("leak", "section N (pfn N) is still there") in findings(real, driver)
        assert ("leak", leak.format("radix_tree_node_alloc")) in findings(real, driver)


def test_put_disk_of_a_disk_without_dax_device_warns(real: Report) -> None:
    assert ("warn", "refcount_t: underflow; use-after-free. (lib/refcount.c:N)") in findings(
        real, "pmem"
    )


@pytest.mark.parametrize("version", sorted(versions()))
def test_no_version_breaks_the_documented_contract(version: str) -> None:
    report = check.check(Options(memory(SMALL), version=version))
    assert [v.finding.message for v, _ in report.distinct() if v.finding.kind == "contract"] == []
    assert report.errors == []


def test_a_refusal_by_specification_is_a_result_and_no_violation(real: Report) -> None:
    refused = [r for r in real.runs if r.refused]
    assert {r.setup.mode.name for r in refused} == {"memory"}
    for run in refused:
        assert run.refused is not None
        assert run.refused.startswith("-ENXIO: devm_memremap_pages attempted on mixed region")
        assert run.violations == []


def test_kept_claims_refuse_the_range_with_the_line_that_says_so() -> None:
    text = "140000000-17fffffff : Persistent Memory\n  140000000-17fffffff : namespace0.0\n"
    kept = check.check(Options(memory(text), keep_claims=True, max_faults=0))
    assert all("could not reserve region" in (r.refused or "") for r in kept.runs)
    dropped = check.check(Options(memory(text), max_faults=0))
    assert all(r.refused is None for r in dropped.runs)


def test_each_violation_is_distinct_once_for_each_driver(real: Report) -> None:
    keys = [(among[0].setup.mode.driver, v.finding.cause) for v, among in real.distinct()]
    assert len(keys) == len(set(keys))
    for run in real.runs:
        inside = [v.finding.cause for v in run.violations]
        assert len(inside) == len(set(inside))


def test_a_violation_has_the_log_lines_that_led_to_it(real: Report) -> None:
    leak = next(v for v, _ in real.distinct() if "__alloc_disk_node" in v.finding.message)
    assert leak.finding.log[-1] == "nd_pmem: probe of namespace0.0 failed with error -12"
    assert leak.finding.failed == ("devm_kmalloc",)
    assert leak.finding.where == "after a failed bind"


def test_a_run_twice_is_the_same_run(bench: Bench) -> None:
    for faults in ((), (1,), (20,), (43,), (60,)):
        bench.run(LIFE)
        first, second = bench.run(LIFE, faults), bench.run(LIFE, faults)
        assert first == second


def test_a_range_without_room_for_an_info_block_is_refused_with_the_reason() -> None:
    report = check.check(Options(memory("140000000-140000fff : Persistent Memory\n")))
    assert report.errors == []
    for run in report.runs:
        if run.setup.mode.name not in ("raw", "memory"):
            assert "unable to satisfy requested alignment" in (run.refused or "")


@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(0, 1 << 34), st.integers(0, 127).map(lambda n: n << 27)),
            st.one_of(st.integers(1, 1 << 13), st.integers(1, 1 << 32)),
            st.sampled_from(["System RAM", "Persistent Memory", "Reserved", "dax0.0"]),
        ),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=30, phases=set(Phase) - {Phase.shrink, Phase.explain})
def test_no_map_makes_check_fail(pieces: list[tuple[int, int, str]]) -> None:
    lines = []
    behind = 0
    for start, size, name in sorted(pieces):
        start = max(start, behind)
        behind = start + size
        lines.append(f"{start:08x}-{behind - 1:08x} : {name}\n")
    text = "".join(lines)
    if "Persistent" not in text:
        text += f"{behind + 0x1000:08x}-{behind + 0xFFFFFFF:08x} : Persistent Memory\n"
    report = check.check(Options(memory(text), max_faults=0))
    assert report.errors == []
    # What is left behind by a probe that fails half way is a leak, and a warning the next time.
    assert {v.finding.kind for v, _ in report.distinct()} <= {"memmap-removed", "leak", "warn"}


def test_an_exception_inside_an_execution_is_reported_with_a_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(self: runs.Run) -> str:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(runs.Run, "op_use", broken)
    report = check.check(Options(memory(SMALL), drivers=("dax_pmem",), max_faults=0))
    assert {e.reason for e in report.errors} == {"RuntimeError: broken on purpose"}
    assert not any(r.exhaustive for r in report.runs if "use" in r.program.operations)
    monkeypatch.undo()
    replay = tokens.decode(report.errors[0].replay)
    assert runs.execute(replay.experiment).findings == []


# --- the watchers of a run do watch ---


def _run(bench: Bench, *operations: str, second: bool = False) -> list[Finding]:
    return bench.run(Program("test", operations, second=second)).findings


def test_watchers_find_a_hang_and_tell_who_waits_for_what(bench: Bench) -> None:
    class Forgetful(runs.Run):
        def op_get_page(self) -> str:
            super().op_get_page()
            self._held = None
            return ""

    bench.run(LIFE)
    found = Forgetful(bench, program_named("page-held"), (), True).execute().findings
    bench._snapshot.restore()
    outcome = Forgetful(bench, program_named("page-held"), (), True).execute()
    assert found[0].kind == "hang"
    assert "unbind_store" in found[0].message
    assert "percpu_ref_is_zero(&q->q_usage_counter)" in found[0].message
    assert outcome.history[0] == "bind: success"


def test_contract_an_answer_that_is_not_the_documented_one_is_a_violation(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Contract, "answers", lambda self, fault: (EBUSY,))
    outcome = bench.run(LIFE, (13,))
    assert any(
        f.kind == "contract" and f.message.startswith("probe answers -ENOMEM when")
        for f in outcome.findings
    )


def test_a_second_device_that_does_not_bind_is_judged_as_the_first_is() -> None:
    bar = "c0000000-c7ffffff : PCI Bus 0000:00\n  c0000000-c7ffffff : 0000:00:01.0\n"
    version = "v5.2 with p2pdma-unconverted"
    report = check.check(Options(memory(bar), version, drivers=("p2pdma",)))
    assert not report.errors
    (run,) = runs_of(report, "beside-second-device")
    assert run.refused == "-EINVAL: no documented reason"
    assert run.exhaustive and run.executions == 1
    assert [(v.finding.kind, v.finding.where) for v in run.violations] == [
        ("warn", "devm_memremap_pages() during bind of the second device"),
        ("contract", "during bind of the second device"),
    ]


def test_a_driver_whose_first_bind_never_ends_is_run_with_failing_calls_all_the_same() -> None:
    bar = "c0000000-c7ffffff : PCI Bus 0000:00\n  c0000000-c7ffffff : 0000:00:01.0\n"
    version = "memremap-v6 with p2pdma-unconverted"
    report = check.check(Options(memory(bar), version, drivers=("p2pdma",), explore=True))
    assert not report.errors
    assert {run.program.name for run in report.runs} == {p.name for p in PROGRAMS if not p.queue}
    assert all(run.exhaustive for run in report.runs)
    assert {v.finding.kind for run in report.runs for v in run.violations} == {"hang", "leak"}
    (run,) = runs_of(report, "bind-use-unbind-rebind")
    assert run.executions > 5
    (run,) = runs_of(report, "beside-second-device")
    assert run.executions == 1


def test_contract_a_kill_that_is_missing_is_a_violation(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Contract, "kills", lambda self, probe: (2,))
    assert [f.message for f in bench.run(LIFE).findings] == [
        "the pagemap's ref was killed 1 times, documented is 2"
    ]


def test_contract_a_second_device_that_changes_is_a_violation(bench: Bench) -> None:
    class Meddler(runs.Run):
        def op_use(self) -> str:
            page = self.kernel.page((SECOND + ranges.SECTION_SIZE // 2) >> 12)
            page.get()
            return super().op_use()

    outcome = Meddler(bench, BESIDE, (), True).execute()
    assert any("second device does not stay as it was" in f.message for f in outcome.findings)


def test_contract_a_bind_that_does_not_reach_the_first_state_is_a_violation(
    bench: Bench,
) -> None:
    class Meddler(runs.Run):
        def op_unbind(self) -> str:
            ended = super().op_unbind()
            self.kernel.iomem.request_region(0x1000000000, 0x1000, "stray")
            return ended

    messages = [f.message for f in Meddler(bench, LIFE, (), True).execute().findings]
    assert any(m.startswith("bind does not reach the state of the first bind") for m in messages)


def test_contract_a_page_count_that_does_not_come_back_is_a_violation(bench: Bench) -> None:
    class Meddler(runs.Run):
        def op_use(self) -> str:
            assert self.reference is not None and self.reference.pfn is not None
            self.kernel.page(self.reference.pfn).get()
            return super().op_use()

    messages = [f.message for f in Meddler(bench, LIFE, (), True).execute().findings]
    assert "page count around get_page() and put_page(): [2, 3, 2]" in messages


# --- the contract's table ---


@pytest.mark.parametrize(
    ("driver", "site", "stage", "answer"),
    [
        ("pmem", "driver_sysfs_add", "driver_sysfs_add", 0),
        ("pmem", "__request_region", "devm_nsio_enable", Answer.DECLINED),
        ("pmem", "devm_memremap", "devm_nsio_enable", Answer.DECLINED),
        ("pmem", "__devm_request_region", "devm_nsio_disable", EBUSY),
        ("pmem", "get_vm_area", "devm_memremap", Answer.DECLINED),
        ("pmem", "devm_memremap", "devm_memremap", ENOMEM),
        ("pmem", "reserve_memtype", "devm_memremap_pages", ENOMEM),
        ("pmem", "devm_add_action", "devm_memremap_pages", ENOMEM),
        ("dax_pmem", "__request_region", "devm_nsio_enable", EBUSY),
        ("dax_pmem", "devm_memremap", "devm_nsio_enable", ENOMEM),
        ("dax_pmem", "get_vm_area", "devm_nsio_enable", Answer.DECLINED),
        ("dax_pmem", "kobject_set_name_vargs", "devm_create_dev_dax", EINVAL),
    ],
)
def test_documented_answer_of_a_probe(
    driver: str, site: str, stage: str, answer: Answer | int
) -> None:
    contract = Contract(driver, frozenset({"shutdown"}))
    assert contract.answers(FaultPoint(site, stage)) == (answer,)


CONFLICT = ("nd_pmem pfn0.0: Conflicting mapping in same section",)


@pytest.mark.parametrize(
    ("patches", "probe", "kills"),
    [
        ({"shutdown"}, Probe(Answer.BOUND, (), mapped=True), (1,)),
        ({"shutdown"}, Probe(ENOMEM, (), mapped=True), (1,)),
        ({"shutdown"}, Probe(ENXIO, (), mapped=True), (1,)),
        ({"shutdown"}, Probe(ENOMEM, CONFLICT, mapped=True), (0,)),
        ({"shutdown"}, Probe(ENOMEM, (), mapped=False), (0,)),
        ({"shutdown", "final-put"}, Probe(ENOMEM, CONFLICT, mapped=True), (1,)),
        (set(), Probe(Answer.BOUND, (), mapped=False), (1,)),
    ],
)
def test_documented_kills_of_the_ref(
    patches: set[str], probe: Probe, kills: tuple[int, ...]
) -> None:
    assert Contract("pmem", frozenset(patches)).kills(probe) == kills


def test_a_swallowed_failure_does_not_decide_the_answer() -> None:
    probe = Probe(Answer.BOUND, (), faults=[FaultPoint("zero_pud_populate", "")])
    assert probe.decisive() is None
    probe.faults.append(FaultPoint("vmemmap_populate", "devm_memremap_pages"))
    assert probe.decisive() == probe.faults[1]


# --- tokens ---


def test_every_violation_is_seen_again_from_its_token(real: Report) -> None:
    assert real.distinct()
    for violation, among in real.distinct():
        replay = tokens.decode(violation.replay)
        assert replay.experiment.setup == among[0].setup
        again = runs.execute(replay.experiment)
        digests = {tokens.digest(f.cause): f for f in again.findings}
        assert digests[replay.digest].message == violation.finding.message
        assert digests[replay.digest].kind == replay.kind == violation.finding.kind


def test_a_token_is_one_short_word(real: Report) -> None:
    for violation, _ in real.distinct():
        assert violation.replay.startswith("mre1.")
        assert len(violation.replay) < 600
        assert len(violation.replay.split()) == 1
        assert not set(violation.replay) & set("'\"$&|;<>()*?![]{}~#\\`")


@pytest.mark.parametrize("mode", MODES, ids=lambda m: f"{m.driver}-{m.name}")
def test_a_token_gives_the_experiment_back(mode: Mode) -> None:
    for program in PROGRAMS:
        if program.fits(mode):
            replay = tokens.Replay(Experiment(setup_of(mode), program, (3, 17)), "leak", 42)
            assert tokens.decode(tokens.encode(replay)) == replay


@pytest.fixture(scope="module")
def token() -> str:
    experiment = Experiment(setup_of(mode_named("pmem", "fsdax")), LIFE, (3,))
    return tokens.encode(tokens.Replay(experiment, "leak", 42))


@given(st.data())
def test_a_damaged_token_is_refused_or_says_the_same(token: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(token) - 1))
    by = data.draw(st.characters(exclude_characters=token[at]))
    try:
        read = tokens.decode(token[:at] + by + token[at + 1 :])
    except tokens.TokenError:
        return
    # The packing has two ways to say some things; a checksum holds what is said.
    assert read == tokens.decode(token)


@pytest.mark.parametrize("text", ["", "x", "mre1.", "mre1.AAAA", "mre2.AAAA", "mre1.é", "mre1.a b"])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(tokens.TokenError):
        tokens.decode(text)


def test_a_truncated_token_is_refused(token: str) -> None:
    for end in range(0, len(token) - 1, 7):
        with pytest.raises(tokens.TokenError):
            tokens.decode(token[:end])


def test_a_token_of_what_cannot_be_run_is_refused() -> None:
    setup = setup_of(mode_named("pmem", "fsdax"))
    for experiment, reason in (
        (Experiment(replace(setup, iomem=" "), LIFE, (3,)), "no memory map"),
        (Experiment(setup, LIFE, tuple(range(1, 10))), "more than 8 failing calls"),
        (Experiment(setup, LIFE, (1 << 63,)), "not a number below"),
        (Experiment(replace(setup, end=(1 << 64) - 1), LIFE, ()), "not a number below"),
    ):
        with pytest.raises(tokens.TokenError, match=reason):
            tokens.decode(tokens.encode(tokens.Replay(experiment, "leak", 42)))


@pytest.mark.parametrize("fault", [1, 64, 9999])
def test_what_waits_can_be_run_with_failing_calls(fault: int) -> None:
    setup = setup_of(mode_named("dax_pmem", "plain"))
    outcome = runs.execute(Experiment(setup, program_named("page-held"), (fault,)))
    assert outcome.findings[0].kind == "memmap-removed"
    assert len(outcome.failed) == (fault != 9999)


# --- the trace that all this rests on ---


def test_trace_has_every_fallible_call_and_the_fault(bench: Bench) -> None:
    k = bench.kernel
    before, start = k.stats.fallible_calls, k.trace.position
    with k.fault_injection("__alloc_disk_node"), pytest.raises(OSError, match="bind"):
        bench.driver.bind(bench.device)
    calls = k.trace.calls(frozenset({"alloc_disk_node", "pmem_freeze_queue"}), start)
    fallible = [(name, n) for kind, name, n in calls if kind is EventType.FALLIBLE]
    assert sum(n for _, n in fallible) == k.stats.fallible_calls - before
    assert fallible[-1] == ("__alloc_disk_node", 1)
    kinds = [kind for kind, name, _ in calls if name in ("__alloc_disk_node", "pmem_freeze_queue")]
    assert kinds == [EventType.FALLIBLE, EventType.FAULT, EventType.FUNC]


def test_trace_of_selected_calls_agrees_with_the_whole_trace(bench: Bench) -> None:
    k = bench.kernel
    wanted = frozenset({"devm_memremap_pages", "pmem_freeze_queue", "percpu_ref_init"})
    start = k.trace.position
    bench.driver.bind(bench.device)
    bench.driver.unbind(bench.device)
    selected = [name for kind, name, _ in k.trace.calls(wanted, start) if kind is EventType.FUNC]
    assert selected == [name for name in k.trace.functions(start) if name in wanted]
    assert set(selected) == wanted


def test_positions_of_operations_grow(bench: Bench) -> None:
    numbers = [number for number, _ in bench.run(LIFE).fallible]
    assert all(a <= b for a, b in pairwise(numbers))
    assert set(numbers) <= set(range(1, len(LIFE.operations) + 1))


def test_a_warning_that_is_given_once_explains_the_second_refusal_too() -> None:
    text = "3ffffffff-400a67bd9 : Persistent Memory\n"
    report = check.check(Options(memory(text), max_faults=0))
    assert "contract" not in {v.finding.kind for v, _ in report.distinct()}
    assert any("-ENOMEM: warning in" in (run.refused or "") for run in report.runs)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_prints_what_is_known_so_far(jobs: str, tmp_path: Path) -> None:
    (tmp_path / "iomem").write_text(SMALL)
    command = [sys.executable, "-m", "memremap_emu", "check", "-j", jobs, "--max-executions", "0"]
    command += ["--iomem", str(tmp_path / "iomem")]
    run = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    time.sleep(3)
    os.killpg(run.pid, signal.SIGINT)
    output, errors = run.communicate(timeout=30)
    assert run.returncode == 130, errors
    assert output.startswith("memremap-v6 on ")
    assert output.splitlines()[-1].split(", ")[-1].startswith("interrupted")


def test_the_report_says_what_was_not_seen_to_its_end_and_why(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The bound that stopped it, and what the estimate asks for."""
    dump = tmp_path / "iomem"
    dump.write_text("140000000-147ffffff : Persistent Memory\n")
    argv = ["check", "--iomem", str(dump), "--driver", "dax_pmem", "--max-faults", "0", "-j1"]
    assert cli.main([*argv, "--max-executions", "40"]) == 1
    shown = capsys.readouterr().out
    section = shown[shown.index("not exhaustive:") :].split("\n\n")[0]
    line = next(text for text in section.splitlines() if " unbind-put_page " in text)
    assert re.search(r"more than --max-executions, \d+ executions may be needed", line)
    assert "dax_pmem plain 140000000-147ffffff" in line
    assert cli.main([*argv, "--max-executions", "0", "--sequential"]) == 1
    assert "not exhaustive" not in capsys.readouterr().out
