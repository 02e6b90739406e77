# SPDX-License-Identifier: GPL-2.0-only
"""Programs whose tasks race, over all their schedules; check explores them."""

from __future__ import annotations

from pathlib import Path

import pytest

from memremap_emu import check, interleavings, iomem, ranges, search, tokens
from memremap_emu.check import Options, Report
from memremap_emu.cli import main
from memremap_emu.experiments import RACES, Experiment, Setup, mode_named, program_named
from memremap_emu.exploration import Bound
from memremap_emu.interleavings import Race, UnfitError
from memremap_emu.ranges import MemoryMap
from memremap_emu.report import as_text
from tests.sanitizers import counts_equal_states

PMEM = "100000000-107ffffff : Persistent Memory\n"
RAM = "00100000-0fffffff : System RAM\n"
BAR = "c0000000-c7ffffff : PCI Bus 0000:00\n  c0000000-c7ffffff : 0000:00:01.0\n"
#: Bounds the wrong outcomes; the right ones need far less.
BOUND = 20000


def setup_of(driver: str, mode: str, version: str) -> Setup:
    """A device of one section."""
    found = mode_named(driver, mode)
    if found.memory == "pmem":
        return Setup(version, PMEM, found, 0x100000000, 0x107FFFFFF)
    if found.memory == "bar":
        return Setup(version, BAR, found, 0xC0000000, 0xC7FFFFFF)
    return Setup(version, RAM, found, 0x3FFFF8000000, 0x3FFFFFFFFFFF)


WITH_PAGES = [
    ("pmem", "fsdax"),
    ("dax_pmem", "plain"),
    ("hmm", "private"),
    ("hmm_public", "coherent"),
    ("p2pdma", "bar"),
]


@pytest.mark.parametrize("driver, mode", WITH_PAGES)
def test_final_put_races_with_unbind_in_the_series(driver: str, mode: str) -> None:
    with Race(setup_of(driver, mode, "memremap-v6"), program_named("unbind-put_page")) as race:
        found = race.explore(max_executions=BOUND)
    assert found.exploration.exhaustive
    assert "memmap-removed" in {finding.kind for finding, _ in found.findings}


@pytest.mark.parametrize("driver, mode", WITH_PAGES)
@pytest.mark.parametrize("program", ["unbind-put_page", "rebind-put_page"])
def test_final_put_does_not_race_with_unbind_after_its_fix(
    driver: str, mode: str, program: str
) -> None:
    with Race(setup_of(driver, mode, "v5.2"), program_named(program)) as race:
        # Of pmem there are 60,000 where equal states do not look equal: under AddressSanitizer.
        found = race.explore(max_executions=4 * BOUND)
    assert found.exploration.exhaustive
    assert "memmap-removed" not in {finding.kind for finding, _ in found.findings}


@pytest.mark.parametrize("driver, mode", WITH_PAGES[1:4])
def test_lookup_never_races_with_unbind_in_the_series(driver: str, mode: str) -> None:
    with Race(setup_of(driver, mode, "memremap-v6"), program_named("unbind-lookup")) as race:
        found = race.explore(max_executions=BOUND)
    assert found.exploration.exhaustive
    assert not found.findings


def test_a_search_whose_estimate_grows_with_its_executions_is_given_up() -> None:
    """Three times it has doubled with them; that it is too much for certain comes later."""
    with Race(setup_of("pmem", "fsdax", "memremap-v6"), program_named("rebind-lookup")) as race:
        found = race.explore(max_executions=160_000, worthwhile=160_000).exploration
    assert not found.exhaustive and found.executions == 8192
    assert found.estimate is not None and 80_000 < found.estimate < 160_000


def test_final_put_does_not_race_with_unbind_and_a_lookup_after_its_fix() -> None:
    program = program_named("unbind-put_page-lookup")
    with Race(setup_of("hmm", "private", "v5.2"), program) as race:
        found = race.explore(max_executions=BOUND)
    assert found.exploration.exhaustive
    # The put that leaves one reference runs page_free() with no hold on the pagemap: by then
    # unbind may have put that one, and the driver may be gone.
    assert {finding.kind for finding, _ in found.findings} == {"data-race", "use-after-free"}
    races = [finding.message for finding, _ in found.findings if finding.kind == "data-race"]
    # Which function loads the driver's data is up to the compiler, which may inline it.
    assert any("allocated in pci_alloc_dev()" in message for message in races)
    assert any(message.startswith("free of 8 bytes") for message in races)
    assert all("[put_page]" in message and "[unbind]" in message for message in races)


@pytest.mark.parametrize(
    ("version", "reader", "kinds"),
    [
        ("memremap-v6", "pci_alloc_p2pmem", {"data-race", "use-after-free"}),
        ("v5.2", "alloc_owned", {"data-race"}),
    ],
)
def test_taking_p2p_memory_races_with_unbind_by_plain_loads(
    version: str, reader: str, kinds: set[str]
) -> None:
    """RCU came with v5.2, and it loads the pointer that it guards again and again."""
    with Race(setup_of("p2pdma", "bar", version), program_named("unbind-p2pmem")) as race:
        found = race.explore(max_executions=BOUND)
    assert found.exploration.exhaustive
    assert {finding.kind for finding, _ in found.findings} == kinds
    races = [f.message for f, _ in found.findings if f.kind == "data-race"]
    assert any("pci_alloc_dev()" in message and f"{reader}()" in message for message in races)


@counts_equal_states
@pytest.mark.parametrize("driver, mode", [("dax_pmem", "plain"), ("hmm", "private")])
def test_lives_of_a_device_are_searched_one_by_one(driver: str, mode: str) -> None:
    """What one leaves to the next is searched once; and so each time."""
    found = []
    with Race(setup_of(driver, mode, "memremap-v6"), program_named("rebind-put_page")) as race:
        for strategy in ("dpor", "phases", "phases"):
            found.append(race.explore(strategy=strategy))
    of_all, by_phases, again = (explored.exploration for explored in found)
    assert of_all.exhaustive and by_phases.exhaustive
    assert 3 * by_phases.executions < of_all.executions
    assert by_phases == again
    assert by_phases.final_hash == of_all.final_hash
    causes = [{finding.cause for finding, _ in explored.findings} for explored in found]
    assert causes[0] == causes[1] == causes[2]


def test_replay_shows_the_violation_of_its_schedule_again() -> None:
    setup, program = setup_of("dax_pmem", "plain", "memremap-v6"), program_named("unbind-put_page")
    with Race(setup, program) as race:
        (finding, schedule), *_ = race.explore(max_executions=BOUND).findings
    experiment = Experiment(setup, program, (), schedule)
    token = tokens.encode(tokens.Replay(experiment, finding.kind, tokens.digest(finding.cause)))
    again = tokens.decode(token).experiment
    assert again == experiment
    assert finding.cause in {f.cause for f in interleavings.execute(again).findings}


def test_every_violation_is_told_where_one_leads_to_many() -> None:
    """HMM's memory goes while it is in use: what is done to it from then on breaks a rule each."""
    program = program_named("rebind-put_page")
    with Race(setup_of("hmm", "private", "v4.19"), program) as race:
        found = race.explore(max_executions=BOUND)
        told = {finding.cause for finding, _ in found.findings}
        for _, schedule in found.findings:
            assert {finding.cause for finding in race.replay(schedule).findings} <= told
    assert found.exploration.complete and len(told) > 20


def test_failing_calls_race_too() -> None:
    """A probe that fails leaves nobody waiting, except where the release of HMM's ref is not
    armed yet."""
    setup, program = setup_of("hmm", "private", "memremap-v6"), program_named("probe-lookup")
    with Race(setup, program) as race:
        calls = race.explore(max_executions=BOUND).exploration.fallible_calls
        kinds = [
            {finding.kind for finding, _ in race.explore(n, max_executions=BOUND).findings}
            for n in range(1, calls + 1)
        ]
    assert calls > 10
    assert any("hang" in found for found in kinds)
    assert set() in kinds


def test_a_token_has_the_calls_that_fail_in_its_schedule(
    capsys: pytest.CaptureFixture[str],
) -> None:
    setup, program = setup_of("hmm", "private", "memremap-v6"), program_named("probe-lookup")
    with Race(setup, program) as race:
        found = race.explore(max_faults=1, max_executions=BOUND)
    ((finding, schedule),) = [f for f in found.findings if f[0].kind == "hang"]
    assert max(schedule) > 0x80
    experiment = Experiment(setup, program, (), schedule)
    token = tokens.encode(tokens.Replay(experiment, finding.kind, tokens.digest(finding.cause)))
    assert main(["replay", token]) == 1
    out = capsys.readouterr().out
    assert "() fails\n" in out
    assert out.endswith("reproduced\n")


def test_a_device_that_does_not_bind_is_unfit() -> None:
    text = "100000000-103ffffff : System RAM\n104000000-107ffffff : Persistent Memory\n"
    setup = Setup("memremap-v6", text, mode_named("dax_pmem", "plain"), 0x104000000, 0x107FFFFFF)
    with pytest.raises(UnfitError):
        Race(setup, program_named("unbind-lookup"))


def test_every_race_fits_some_mode() -> None:
    assert all(any(race.fits(mode_named(*pair)) for pair in WITH_PAGES) for race in RACES)


def options(tmp_path: Path, **more: object) -> Options:
    path = tmp_path / "iomem"
    path.write_text(PMEM)
    fields: dict[str, object] = {
        "drivers": ("dax_pmem",),
        "explore": True,
        "max_executions": 1000,
        "max_faults": 0,
        **more,
    }
    return Options(ranges.read(str(path)), **fields)  # type: ignore[arg-type]


def test_check_is_exhaustive_only_below_its_bound(tmp_path: Path) -> None:
    runs = {r.program.name: r for r in check.check(options(tmp_path)).runs if r.program.tasks}
    assert runs["unbind-put_page"].exhaustive
    assert not runs["unbind-put_page-lookup"].exhaustive
    assert runs["unbind-put_page-lookup"].executions == 1000


def test_check_is_not_exhaustive_where_more_may_have_been_found_than_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "MAX_FOUND", 1)
    setup = setup_of("dax_pmem", "plain", "memremap-v6")
    told = {}
    for program in ("unbind-lookup", "unbind-put_page"):
        report = Report(Options(MemoryMap("", ())))
        check.Campaign(report, setup).explore(program_named(program))
        (run,) = report.runs
        told[len(run.violations)] = run.exhaustive, run.bounds
    assert told == {0: (True, Bound.NONE), 1: (False, Bound.VIOLATIONS)}
    assert "there are more violations than are kept" in as_text(report)


@pytest.mark.parametrize("budget", [None, 60.0])
def test_check_explores_each_race_on_the_first_range_that_has_room_for_it(
    budget: float | None,
) -> None:
    text = BAR + "d0000000-d7ffffff : PCI Bus 0000:01\n  d0000000-d7ffffff : 0000:01:01.0\n"
    memory = MemoryMap("", tuple(iomem.parse(text.replace("  c0000000-c7ff", "  c0000000-c000"))))
    options = Options(memory, drivers=("p2pdma",), max_executions=3, explore=True, budget=budget)
    found = [(run.program.name, run.setup.start) for run in check.check(options).runs]
    starts = {name: start for name, start in found if name in {race.name for race in RACES}}
    # Half of the first BAR has no room for a device.
    in_second = {name for name, start in starts.items() if start == 0xD0000000}
    assert in_second == {"unbind-bind-same-section", "probe-probe-same-section"}
    assert starts["unbind-lookup"] == 0xC0000000
    assert sum(name in starts for name, _ in found) == len(starts)


def test_check_in_several_processes_reports_the_same(tmp_path: Path) -> None:
    one, two = (check.check(options(tmp_path, jobs=jobs)) for jobs in (1, 2))
    assert one.runs == two.runs


def test_check_sequential_explores_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "iomem"
    path.write_text(PMEM)
    arguments = ["check", "--iomem", str(path), "--driver", "dax_pmem", "--max-faults", "0"]
    main([*arguments, "--sequential", "-j1"])
    assert "5 runs" not in capsys.readouterr().out.splitlines()[-1]
    main([*arguments, "--max-executions", "10", "-j1"])
    assert " bounded, not exhaustive" in capsys.readouterr().out


@pytest.mark.parametrize("pairs", [[0], [256, 1], [0, 0], [0, 5000]])
def test_damaged_schedules_are_refused(pairs: list[int]) -> None:
    with pytest.raises(ValueError, match="not a schedule"):
        tokens._schedule(pairs)
