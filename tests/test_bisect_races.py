# SPDX-License-Identifier: GPL-2.0-only
"""bisect with tokens of races: the violation is looked for in other schedules, too."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from memremap_emu import bisect, bisect_tokens, cli, search, tokens
from memremap_emu.bisect import Result
from memremap_emu.experiments import Experiment, Setup, mode_named, program_named
from memremap_emu.interleavings import Race
from memremap_emu.program import Program
from memremap_emu.versions import patches, prefix

PMEM = "100000000-107ffffff : Persistent Memory\n"
RAM = "00100000-0fffffff : System RAM\n"
BAR = "c0000000-c7ffffff : PCI Bus 0000:00\n  c0000000-c7ffffff : 0000:00:01.0\n"
#: Bounds the wrong outcomes; the right ones need far less.
BOUND = 5000
FINAL_PUT = [("final-put", False)]


def setup_of(driver: str, mode: str, version: str) -> Setup:
    """A device of one section."""
    found = mode_named(driver, mode)
    if found.memory == "pmem":
        return Setup(version, PMEM, found, 0x100000000, 0x107FFFFFF)
    if found.memory == "bar":
        return Setup(version, BAR, found, 0xC0000000, 0xC7FFFFFF)
    return Setup(version, RAM, found, 0x3FFFF8000000, 0x3FFFFFFFFFFF)


def race_token(setup: Setup, program: str, kind: str, fault: int = 0, text: str = "") -> str:
    """A token of the first violation of this kind."""
    wanted = program_named(program)
    with Race(setup, wanted) as race:
        for finding, schedule in race.explore(fault, max_executions=BOUND).findings:
            if finding.kind == kind and text in finding.message:
                experiment = Experiment(setup, wanted, (fault,) if fault else (), schedule)
                digest = tokens.digest(finding.cause)
                return tokens.encode(tokens.Replay(experiment, kind, digest))
    raise AssertionError("the violation does not show")


def walk(token: str, max_executions: int = BOUND) -> Result:
    probe = bisect_tokens.token_probe(tokens.decode(token), max_executions)
    return bisect.walk(probe, 0, len(patches()))


def changes(result: Result) -> list[tuple[str, bool]]:
    return [(change.patch.name, change.introduces) for change in result.changes]


def test_bisect_takes_the_token_of_a_race_as_check_prints_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    iomem = tmp_path / "iomem"
    iomem.write_text("00001000-1ffffffff : System RAM\n")
    arguments = ["--iomem", str(iomem), "--memmap", "128M!4G", "--driver", "pmem", "-j1"]
    bounds = ["--max-faults", "0", "--max-executions", "60", "--format", "json"]
    assert cli.main(["check", "--version", "memremap-v6", *arguments, *bounds]) == 1
    report = json.loads(capsys.readouterr().out)
    (token,) = (
        violation["replay"]
        for run in report["runs"]
        for violation in run["violations"]
        if (run["mode"], run["program"], violation["kind"])
        == ("fsdax", "unbind-put_page", "memmap-removed")
    )
    assert cli.main(["bisect", token]) == 0
    out = capsys.readouterr().out
    assert out.startswith("memmap-removed: pmem fsdax 100000000-107ffffff, unbind-put_page\n")
    rows = dict(re.findall(r"^[* ] \+ (\S+) +(.*)$", out, re.MULTILINE))
    assert list(rows) == [patch.name for patch in patches()]
    # Where the kernel is as it was, the schedule leads to the same.
    assert rows["hmm-gpl"] == "violated (in the schedule of the token)"
    assert re.fullmatch(r"ok \(\d+ executions, exhaustive\)", rows["final-put"])
    assert out.count("violated") == len(patches())
    assert "removes the violation: final-put, mm/devm_memremap_pages: fix final" in out
    assert "Not every search" not in out


@pytest.mark.parametrize(
    ("driver", "mode"),
    [
        ("pmem", "memory"),
        ("pmem", "fsdax-altmap"),
        ("dax_pmem", "plain"),
        ("dax_pmem", "altmap"),
        ("hmm_public", "coherent"),
        ("p2pdma", "bar"),
    ],
)
@pytest.mark.parametrize("home", ["v4.19", "v5.0"])
def test_the_final_put_race_is_found_on_every_kernel_until_its_fix(
    driver: str, mode: str, home: str
) -> None:
    result = walk(race_token(setup_of(driver, mode, home), "unbind-put_page", "memmap-removed"))
    assert changes(result) == FINAL_PUT
    assert [tried.shows for tried in result.tries] == [True] * len(patches()) + [False]
    assert result.certain


def test_other_schedules_are_searched_where_that_of_the_token_does_not_show_it() -> None:
    token = race_token(setup_of("pmem", "fsdax", "v4.19"), "unbind-put_page", "memmap-removed")
    notes = {str(t.kernel): t.verdict.note for t in walk(token).tries if t.shows}
    assert notes["v4.19"] == "in the schedule of the token"
    # The kill has moved: the same steps in the same order lead elsewhere.
    assert re.fullmatch(r"in one of \d+ executions", notes["memremap-v6"])


def test_a_search_that_was_bounded_is_not_called_exhaustive(
    capsys: pytest.CaptureFixture[str],
) -> None:
    setup = setup_of("dax_pmem", "plain", "memremap-v6")
    token = race_token(setup, "unbind-put_page-lookup", "memmap-removed")
    result = walk(token, 40)
    assert changes(result) == FINAL_PUT
    assert not result.certain
    last = result.tries[-1].verdict
    assert (last.shows, last.certain) == (False, False)
    ends = ["--bad", "v5.0", "--good", "v5.2"]
    assert cli.main(["bisect", token, "--max-executions", "40", *ends]) == 0
    out = capsys.readouterr().out
    assert re.search(r"\* \+ final-put +ok \(\d+ executions, bounded, not exhaustive\)", out)
    assert "Not every search was exhaustive" in out


def test_a_search_that_may_have_met_more_than_it_keeps_does_not_deny_a_violation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = setup_of("dax_pmem", "plain", "memremap-v6")
    replay = tokens.decode(race_token(setup, "unbind-put_page", "memmap-removed"))
    other = bisect_tokens.token_probe(replace(replay, digest=replay.digest ^ 1))
    assert other(prefix(7)).certain
    monkeypatch.setattr(search, "MAX_FOUND", 1)
    assert not other(prefix(7)).certain
    # There nothing at all is found.
    assert other(prefix(len(patches()))).certain


def test_a_failure_that_a_patch_makes_a_leak_of() -> None:
    """From the final-put fix on nobody exits the reference if HMM finds no region."""
    setup = setup_of("hmm", "private", "v5.2")
    (calls, _) = bisect_tokens._calls_of_tasks(setup, program_named("probe-lookup"))
    call = bisect_tokens.Call(0, "__devm_request_region", "hmm_devmem_add", 1)
    number = bisect_tokens.find(calls, call)
    assert number is not None
    result = walk(race_token(setup, "probe-lookup", "leak", number, "percpu_ref_init"))
    assert changes(result) == [("final-put", True)]
    assert result.certain


def test_bisect_says_so_when_a_race_comes_and_goes(capsys: pytest.CaptureFixture[str]) -> None:
    """HMM's exit waits since devm_memremap_pages() kills, also where that has not been reached;
    with the final-put fix there is no exit to register."""
    setup = setup_of("hmm", "private", "memremap-v6")
    (calls, _) = bisect_tokens._calls_of_tasks(setup, program_named("probe-lookup"))
    # The exit that cannot be registered is run at once.
    call = bisect_tokens.Call(0, "devm_add_action", "hmm_devmem_add", 1)
    number = bisect_tokens.find(calls, call)
    assert number is not None
    token = race_token(setup, "probe-lookup", "hang", number)
    assert changes(walk(token)) == [("hmm-memremap", True), ("final-put", False)]
    assert cli.main(["bisect", token]) == 1
    out = capsys.readouterr().out
    assert "not monotone" in out
    assert "introduces the violation: hmm-memremap, mm, hmm: Replace" in out
    assert re.search(r"\* \+ final-put +ok \(no such call\)", out)


# --- failing calls ---


def test_the_call_that_fails_in_a_race_has_another_number_on_another_kernel() -> None:
    setup = setup_of("dax_pmem", "plain", "v4.19")
    program = program_named("probe-lookup")
    numbers = {}
    for version in ("v4.19", "memremap-v6", "v5.2"):
        there = setup_of("dax_pmem", "plain", version)
        (calls, _) = bisect_tokens._calls_of_tasks(there, program)
        wanted = bisect_tokens.Call(0, "devm_add_action", "alloc_dax_region", 1)
        numbers[version] = bisect_tokens.find(calls, wanted)
        assert bisect_tokens.describe(calls, numbers[version] or 0) == wanted
    assert len(set(numbers.values())) == 3
    token = race_token(setup, "probe-lookup", "leak", numbers["v4.19"] or 0)
    result = walk(token)
    assert changes(result) == []
    assert all(tried.shows for tried in result.tries)


def test_a_call_that_fails_in_the_schedule_itself_is_followed_too() -> None:
    """As check finds it, which searches schedules and failing calls at once."""
    setup, program = (
        setup_of("hmm_public", "coherent", "memremap-v6"),
        program_named("probe-lookup"),
    )
    with Race(setup, program) as race:
        found = race.explore(max_faults=1, max_executions=BOUND).findings
    ((finding, schedule),) = [f for f in found if f[0].kind == "hang"]
    experiment = Experiment(setup, program, (), schedule)
    replay = tokens.Replay(experiment, finding.kind, tokens.digest(finding.cause))
    result = walk(tokens.encode(replay))
    assert changes(result) == [("hmm-memremap", True), ("final-put", False)]
    assert result.tries[-1].verdict.note == "no such call"
    twice = Experiment(setup, program, (), schedule + bytes([schedule[-1], 0x81]))
    with pytest.raises(ValueError, match="several calls that fail"):
        bisect_tokens.token_probe(tokens.Replay(twice, finding.kind, 0))


def test_bisect_takes_the_token_of_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    program = (
        Program("v5.2")
        .memory(0x100000000, 0x107FFFFFF)
        .device("dax", "dax_pmem", 0x100000000, 1 << 27)
        .setup("bind dax")
        .task("unbind", "unbind dax")
        .task("look", "watched_lookup dax 0")
    )
    found = program.explore()
    token = tokens.encode_program(program, found.violations[0], found.schedule)
    assert cli.main(["bisect", token, "--good", "v5.0", "--bad", "v5.2"]) == 0
    assert "introduces the violation: final-put" in capsys.readouterr().out
    cli.main(["bisect", token, "--max-executions", "7"])
    assert "v4.19                    ok (7 executions, bounded" in capsys.readouterr().out
    assert cli.main(["bisect", token[:-4]]) == 2


def test_the_same_violation_by_another_call_that_fails_is_another_experiment() -> None:
    """Whichever of two calls for the memory map fails, the direct map stays."""
    setup = setup_of("dax_pmem", "plain", "memremap-v6")
    (calls, _) = bisect_tokens._calls_of_tasks(setup, program_named("probe-lookup"))
    replays = []
    for site in ("vmemmap_populate", "__kmalloc_section_usemap"):
        number = bisect_tokens.find(calls, bisect_tokens.Call(0, site, "devm_memremap_pages", 1))
        assert number is not None
        replays.append(tokens.decode(race_token(setup, "probe-lookup", "leak", number)))
    one, other = replays
    assert one.digest == other.digest
    probe = bisect_tokens._RaceProbe(one, BOUND)
    for replay, same in ((one, True), (other, False)):
        schedule, (fault,) = replay.experiment.schedule, replay.experiment.faults
        assert probe._same_call(setup, schedule, fault) is same


def test_a_hang_of_a_failing_probe_ends_with_the_shutdown_fix() -> None:
    setup = setup_of("dax_pmem", "plain", "v4.19")
    (calls, _) = bisect_tokens._calls_of_tasks(setup, program_named("probe-lookup"))
    call = bisect_tokens.Call(0, "devm_add_action", "devm_memremap_pages", 1)
    number = bisect_tokens.find(calls, call)
    assert number is not None
    result = walk(race_token(setup, "probe-lookup", "hang", number))
    assert changes(result) == [("shutdown", False)]
    assert result.certain


def test_the_call_of_a_second_task_is_told_from_that_of_the_first() -> None:
    setup = setup_of("dax_pmem", "plain", "memremap-v6")
    program = program_named("probe-probe-same-section")
    first, second = bisect_tokens._calls_of_tasks(setup, program)
    own = bisect_tokens.Call(0, "devm_add_action", "alloc_dax_region", 1)
    number = bisect_tokens.find(second, own)
    assert number is not None
    number += sum(point.count for _, point in first)
    with Race(setup, program) as race:
        found = race.explore(number, max_executions=60).findings
    (schedule,) = (schedule for finding, schedule in found if finding.kind == "leak")
    failing = bisect_tokens._failing(setup, program, schedule, number)
    assert failing == bisect_tokens._Failing(1, own)
    digest = next(tokens.digest(f.cause) for f, _ in found if f.kind == "leak")
    replay = tokens.Replay(Experiment(setup, program, (number,), schedule), "leak", digest)
    probe = bisect_tokens.token_probe(replay, 300)
    assert probe(prefix(7)).shows
    there = probe(prefix(0))
    assert there.shows and "executions" in there.note


def test_a_call_that_cannot_be_told_is_refused() -> None:
    setup = setup_of("dax_pmem", "plain", "memremap-v6")
    experiment = Experiment(setup, program_named("probe-lookup"), (10000,), b"\0")
    with pytest.raises(ValueError, match="fallible call 10000 cannot be told on memremap-v6"):
        bisect_tokens.token_probe(tokens.Replay(experiment, "hang", 0))


# --- what makes no sense ---


def test_a_device_that_binds_nowhere_is_not_applicable() -> None:
    text = "100000000-103ffffff : System RAM\n104000000-107ffffff : Persistent Memory\n"
    mode = mode_named("dax_pmem", "plain")
    setup = Setup("memremap-v6", text, mode, 0x104000000, 0x107FFFFFF)
    experiment = Experiment(setup, program_named("unbind-lookup"), (), b"\0")
    verdict = bisect_tokens.token_probe(tokens.Replay(experiment, "hang", 0))(prefix(7))
    assert verdict.shows is None and verdict.note


def test_a_search_without_a_bound_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    setup = setup_of("dax_pmem", "plain", "memremap-v6")
    experiment = Experiment(setup, program_named("unbind-lookup"), (), b"\0")
    with pytest.raises(ValueError, match="at least one execution"):
        bisect_tokens.token_probe(tokens.Replay(experiment, "hang", 0), 0)
    with pytest.raises(SystemExit) as caught:
        cli.main(["bisect", "A01", "--max-executions", "0"])
    assert caught.value.code == 2
    assert "at least 1" in capsys.readouterr().err
