# SPDX-License-Identifier: GPL-2.0-only
"""Known bugs, version by version, and the patches that introduce and remove them."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from memremap_emu import Kernel, bisect, bisect_tokens, cli, tokens
from memremap_emu.bisect import Verdict
from memremap_emu.experiments import Experiment, Setup, mode_named, program_named
from memremap_emu.explore import Program as Tasks
from memremap_emu.program import Program
from memremap_emu.runs import Bench, boot
from memremap_emu.scenario import (
    Scenario,
    ScenarioError,
    Status,
    bundled,
    parse,
    run,
)
from memremap_emu.trace import Event, EventType
from memremap_emu.versions import Selection, patches, prefix, select, versions

MATRIX = Path(__file__).parent / "data" / "bug-matrix.txt"
MAP = "100000000-1ffffffff : System RAM\n400000000-5ffffffff : Persistent Memory\n"


@functools.cache
def expected() -> dict[tuple[str, str], str]:
    """The matrix by bug and version."""
    head, *rows = [line.split() for line in MATRIX.read_text().splitlines()]
    return {
        (row[0], v): status for row in rows for v, status in zip(head[1:], row[1:], strict=True)
    }


def scenario(name: str) -> Scenario:
    return next(s for s in bundled() if s.id == name)


# --- the matrix ---


@pytest.mark.parametrize("bug", bundled(), ids=lambda bug: bug.id)
def test_bug_is_in_the_versions_that_had_it_and_in_no_other(bug: Scenario) -> None:
    found = {v: run(bug, Selection(v)) for v in versions()}
    assert not bug.missing
    shown = {v: str(o.status) for v, o in found.items()}
    assert shown == {v: expected()[bug.id, v] for v in versions()}
    for outcome in found.values():
        ran = outcome.status in (Status.OK, Status.VIOLATED)
        assert (outcome.executions > 0) == ran
        assert bug.program is not None or outcome.executions == ran
        assert bool(outcome.records) == (outcome.status is Status.VIOLATED)


def test_every_row_of_the_matrix_has_a_scenario() -> None:
    assert {bug for bug, _ in expected()} == {s.id for s in bundled()}


@pytest.mark.parametrize(
    ("bug", "kind", "text"),
    [
        ("A01", "hang", "waits for completion"),
        ("A02", "memmap-removed", "struct page of pfn 0x42c300 is gone with its section"),
        ("A15/kill-waits", "hang", "waits for completion &dax_pmem->cmp"),
        ("A16", "contract", "get_dev_pagemap() does not find pfn 0x100000"),
        ("B01/index-first", "warn", "failed to free all reserved pages"),
        ("B06/collision", "contract", "get_dev_pagemap() does not find pfn 0x402000 of a"),
        ("B07/release-size", "leak", "section 129 (pfn 0x408000) is still there"),
        ("B09/no-resched", "soft-lockup", "without a scheduling point"),
    ],
)
def test_a_violation_says_what_is_wrong(bug: str, kind: str, text: str) -> None:
    records = run(scenario(bug), Selection("v4.19")).records
    assert any(r.kind == kind and text in r.message for r in records), records


def test_scenarios_that_are_ok_find_nothing_else_either_on_the_newest_version() -> None:
    for bug in bundled():
        outcome = run(bug, Selection("v5.2"))
        if outcome.status is Status.OK:
            assert not outcome.others, (bug.id, outcome.others)


def test_bugs_prints_the_matrix_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bugs", "--version", "v4.19", "--version", "v5.2", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1 and list(document) == ["schema", "bugs"]
    assert all(
        list(row) == ["id", "version", "status", "executions", "seconds"]
        for row in document["bugs"]
    )
    status = {(row["id"], row["version"]): row["status"] for row in document["bugs"]}
    assert len(status) == 2 * len(bundled())
    assert status["A02", "v4.19"] == "violated" and status["A02", "v5.2"] == "ok"
    assert status["C04", "v5.2"] == "violated" and "missing" not in status.values()


def test_bugs_says_in_text_what_is_missing_and_what_is_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["bugs", "--version", "memremap-v6"]) == 0
    out = capsys.readouterr().out
    for bug in bundled():
        assert any(line.split()[:1] == [bug.id] for line in out.splitlines())
        assert not bug.missing or f"  {bug.id}: {bug.missing}" in out
    assert "left out:" in out
    assert "needs exploration" not in out


def test_bugs_refuses_an_unknown_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bugs", "--version", "v5.1"]) == 2
    assert "known: v4.19, memremap-v6, v5.0, v5.2" in capsys.readouterr().err


@pytest.mark.parametrize("version", versions())
def test_freeze_and_unfreeze_that_overlap_hang_in_every_version(version: str) -> None:
    with Kernel(version, cpus=2, on_violation="record") as k:
        k.iomem.load(MAP)
        pmem = k.driver("pmem", mode="raw")
        disk = pmem.device(0x400000000, 1 << 30)
        pmem.bind(disk)
        tasks = Tasks(k)
        for name in ("one", "two"):
            task = tasks.task(name)
            task.call("blk_mq_freeze_queue", disk).call("blk_mq_unfreeze_queue", disk)
        found = tasks.explore(stop_at_violation=False)
    hangs = [f.record.message for f in found.found if f.record.kind == "hang"]
    assert hangs and all("percpu_ref_is_zero(&q->q_usage_counter)" in text for text in hangs)
    assert run(scenario("C06"), Selection(version)).status is Status.VIOLATED


# --- scenario files ---

FILE = {
    "schema": 1,
    "id": "X",
    "title": "t",
    "invariant": "i",
    "memory": ["400000000-5ffffffff : Persistent Memory"],
    "devices": {"d": {"driver": "pmem", "start": "0x400000000", "size": "1G"}},
    "steps": ["bind d", "unbind d"],
    "violations": [{"kind": "leak"}],
}


def test_a_scenario_of_ones_own_is_read_and_runs() -> None:
    (found,) = parse(json.dumps(FILE), "x.json")
    outcome = run(found, Selection())
    assert outcome.status is Status.OK
    assert outcome.history == ["bind d", "unbind d"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": 2}, "schema is not 1"),
        ({"title": 3}, "title: not of type str"),
        ({"steps": ["fly d"]}, "unknown step 'fly d'; known: bind"),
        ({"steps": ["bind e"]}, "names no device"),
        ({"steps": ["bind d", 3]}, "steps: not a list of texts"),
        ({"violations": [{"kind": "leek"}]}, "no kind of violation 'leek'; known: hang"),
        ({"violations": []}, "violations: none"),
        ({"with_patches": ["final-putt"]}, "unknown patches: final-putt"),
        ({"without_patches": ["nothing"]}, "unknown patches: nothing"),
        (
            {"devices": {"d": {"driver": "nvme", "start": "0", "size": "1G"}}},
            "unknown driver 'nvme'",
        ),
        (
            {"devices": {"d": {"driver": "p2pdma", "start": "0", "size": "1G", "regions": 7}}},
            "7 regions, not 1 to 6",
        ),
        ({"devices": {"d": {"driver": "pmem", "start": "x", "size": "1G"}}}, "invalid literal"),
        ({"modes": ["b99"]}, "unknown modes: b99"),
        ({"plain": False}, "there are no modes: it would never be run"),
        ({"colour": "red"}, "colour: unknown"),
        ({"violations": [{"kind": "leak", "match": "("}]}, "unterminated"),
    ],
)
def test_a_wrong_scenario_is_refused_with_file_and_reason(
    change: dict[str, object], reason: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse(json.dumps(FILE | change), "x.json")
    assert str(caught.value).startswith("x.json: ") and reason in str(caught.value)


def test_a_mode_that_there_is_not_is_refused_in_a_scenario_with_a_program_too() -> None:
    program = {"schema": 1, "tasks": {"t": {"do": ["rcu_barrier"]}}}
    own = {"schema": 1, "id": "OWN", "title": "t", "invariant": "i", "program": program}
    text = json.dumps(own | {"violations": [{"kind": "bug"}], "modes": ["b99"]})
    with pytest.raises(ScenarioError, match=r"x\.json: unknown modes: b99"):
        parse(text, "x.json")


def test_a_name_that_is_twice_in_a_scenario_is_refused() -> None:
    text = json.dumps(FILE).replace('"steps"', '"steps": ["bind d"], "steps"')
    with pytest.raises(ScenarioError, match=r"x\.json: the same name twice"):
        parse(text, "x.json")


def test_text_that_is_no_json_is_refused() -> None:
    with pytest.raises(ScenarioError, match=r"x\.json: Expecting value"):
        parse("no", "x.json")
    with pytest.raises(ScenarioError, match=r"x\.json: maximum recursion depth"):
        parse("[" * 100_000, "x.json")


def test_a_file_that_is_no_text_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.json").write_bytes(b"\xff")
    assert cli.main(["bisect", str(tmp_path / "own.json")]) == 2
    assert capsys.readouterr().err.endswith("own.json: not a text\n")


# --- kernels by description ---


@pytest.mark.parametrize(
    "text",
    [
        "v4.19",
        "memremap-v6 5/7",
        "v5.2 without final-put",
        "v5.2 without final-put,p2pdma-resource-ref",
        "v5.0 with b06-collision",
        "v5.2 without final-put with a15-kill-waits,b06-collision",
    ],
)
def test_a_description_is_read_and_written_back(text: str) -> None:
    assert str(select(text)) == text
    with Kernel.select(text) as k:
        assert k.patches == select(text).patches and k.modes == select(text).modes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v5.1",
        "memremap-v6 8/7",
        "memremap-v6 3/6",
        "v5.2 3/7",
        "v5.2 minus final-put",
        "v5.2 without shutdown",
        "v5.0 without final-put",
        "v4.19 with a14-no-get-many",
    ],
)
def test_a_wrong_description_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"describes no kernel|unknown|applied|needs|not part"):
        select(text)


def test_prefixes_of_all_patches_are_kernels() -> None:
    names = tuple(p.name for p in patches())
    for n in range(len(names) + 1):
        assert prefix(n).patches == names[:n]


# --- bisect ---


@pytest.mark.parametrize(
    ("bug", "patch", "introduces"),
    [
        ("A01", "shutdown", False),
        ("A02", "final-put", False),
        ("A14/no-get-many", "deferred-init", True),
        ("A16", "system-ram", False),
    ],
)
def test_bisect_names_the_patch_that_changes_it(bug: str, patch: str, introduces: bool) -> None:
    result = bisect.walk(bisect.scenario_probe(scenario(bug)), 0, len(patches()))
    assert result.monotone
    assert [(c.patch.name, c.introduces) for c in result.changes] == [(patch, introduces)]


def test_bisect_says_so_when_the_answer_is_not_monotone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def probe(kernel: Selection) -> Verdict:
        return Verdict("system-ram" in kernel.patches and "hmm-devm" not in kernel.patches)

    monkeypatch.setattr(bisect, "scenario_probe", lambda wanted: probe)
    assert cli.main(["bisect", "A01"]) == 1
    out = capsys.readouterr().out
    assert "introduces the violation: system-ram, mm, devm_memremap_pages: Kill mapping" in out
    assert "removes the violation: hmm-devm, mm, hmm: Use devm semantics" in out
    assert "not monotone" in out


def test_bisect_walks_between_good_and_bad_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bisect", "A02", "--bad", "v5.0", "--good", "v5.2"]) == 0
    out = capsys.readouterr().out
    assert "* + final-put" in out and "shutdown " not in out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["A01", "--good", "v4.19", "--bad", "v5.0"], "--good v4.19: the violation shows there"),
        (["A01", "--bad", "v5.2"], "the violation does not show there"),
        (["A01", "--good", "v5.1"], "unknown version 'v5.1'"),
        (["A01", "--good", "v5.2 without deferred-init", "--bad", "v4.19"], "no prefix"),
        (["A01", "--good", "v4.19 with b01-index-first"], "--good v4.19 with b01-index-first: the"),
        (
            ["A01", "--good", "v4.19 with a15-kill-waits", "--bad", "v5.2 with b01-index-first"],
            "--good and --bad have different modes",
        ),
        (["nothing.json"], "no scenario file, replay token or known bug 'nothing.json'"),
        (["mre1.zzz"], "damaged"),
    ],
)
def test_bisect_refuses_what_makes_no_sense(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bisect", *arguments]) == 2
    assert reason in capsys.readouterr().err


def test_bisect_walks_over_kernels_with_the_modes_that_its_ends_have(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["bisect", "B01", "--bad", "v5.2 with b01-index-first"]) == 1
    out = capsys.readouterr().out
    assert out.count("violated") == len(patches()) + 1 and "v4.19 with b01-index-first" in out
    cli.main(["bisect", "A02", "--bad", "v5.0 with a14-no-get-many"])
    out = capsys.readouterr().out
    assert "hmm-gpl                not-applicable (mode 'a14-no-get-many' needs def" in out


def test_bisect_of_a_token_walks_over_kernels_with_the_modes_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    program = (
        Program("v5.2 with a15-kill-waits")
        .memory(0x140000000, 0x147FFFFFF)
        .device("dax", "dax_pmem", 0x140000000, 1 << 27)
        .task("life", "bind dax", "unbind dax")
    )
    (hang,) = program.explore().found
    token = tokens.encode_program(program, hang.record, hang.schedule)
    assert cli.main(["bisect", token]) == 1
    assert capsys.readouterr().out.count("violated") == len(patches()) + 1


def test_bisect_takes_a_scenario_file(tmp_path: Path) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps(FILE))
    assert cli.main(["bisect", str(file)]) == 1  # nothing shows anywhere


def test_bisect_goes_on_where_a_program_cannot_be_set_up_or_not_be_decided(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    driver = {
        "start": "0x100000000",
        "size": "0x8000000",
        "probe": ["alloc", "init_ref", "add_action exit", "memremap_pages"],
        "release": ["complete"],
        "kill": ["kill"],
        "actions": {"exit": ["wait", "exit"]},
    }
    program = {
        "schema": 1,
        "memory": [["0x100000000", "0x107ffffff", "Persistent Memory"]],
        "drivers": {"mine": driver},
        "setup": ["bind mine", "get_page mine 0"],
        "tasks": {"u": {"do": ["unbind mine"]}, "p": {"do": ["put_page mine 0"]}},
    }
    own = {"schema": 1, "id": "OWN", "title": "t", "invariant": "i", "program": program}
    file = tmp_path / "own.json"
    file.write_text(json.dumps(own | {"violations": [{"kind": "bug"}]}))
    cli.main(["bisect", str(file), "--max-executions", "7"])
    shown = capsys.readouterr().out
    assert "memunmap-pages         ok (7 executions, bounded, not exhaustive)\n" in shown
    assert "final-put              not-applicable (drivers.mine: does not bind: " in shown
    assert "Not every search was exhaustive" in shown
    # That it does not bind cures nothing, nor is it known to be without the violation.
    file.write_text(json.dumps(own | {"violations": [{"kind": "memmap-removed"}]}))
    assert cli.main(["bisect", str(file)]) == 1
    shown = capsys.readouterr().out
    assert shown.count("violated") == len(patches()) and "No patch changes it" in shown
    assert "Where it is not applicable because it cannot be set up, it may show or not" in shown
    assert cli.main(["bisect", str(file), "--bad", "v4.19", "--good", "v5.2"]) == 2
    assert "--good v5.2: cannot be tried: drivers.mine: does not" in capsys.readouterr().err


def test_bisect_is_inexact_where_kernels_in_between_cannot_be_tried(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def probe(kernel: Selection) -> Verdict:
        n = len(kernel.patches)
        return Verdict(None, "no", certain=False) if n in (0, 3, 4) else Verdict(n < 3)

    monkeypatch.setattr(bisect, "scenario_probe", lambda wanted: probe)
    assert cli.main(["bisect", "A01"]) == 0
    out = capsys.readouterr().out
    assert "introduces" not in out
    assert "removes the violation: hmm-devm, mm, hmm: Use devm" in out
    assert "\nor a patch before it, with which it cannot be tried\n" in out


def test_bisect_of_a_token_says_nothing_of_kernels_that_refuse_its_device() -> None:
    bar = "c0000000-c7ffffff : PCI Bus 0000:00\n  c0000000-c7ffffff : 0000:00:01.0\n"
    setup = Setup("v4.19", bar, mode_named("p2pdma", "bar"), 0xC0000000, 0xC7FFFFFF)
    held = program_named("page-held")
    (finding,) = (f for f in Bench(setup).run(held).findings if f.kind == "memmap-removed")
    replay = tokens.Replay(Experiment(setup, held), finding.kind, tokens.digest(finding.cause))
    probe = bisect_tokens.token_probe(replay)
    result = bisect.walk(probe, 0, 4, ("p2pdma-unconverted",))
    assert [tried.shows for tried in result.tries] == [True, True, True, None, None]
    assert not result.changes and not result.certain


def token_of(version: str, program: str, kind: str, failing: str | None = None) -> str:
    """A token of the first violation of this kind, with a call of a mapping's failing."""
    setup = Setup(version, MAP, mode_named("dax_pmem", "plain"), 0x400000000, 0x43FFFFFFF)
    bench = Bench(setup, boot(setup))
    wanted = program_named(program)
    number = 0
    for _, point in bench.run(wanted).fallible:
        for _ in range(point.count):
            number += 1
            if failing is not None and (point.site, point.stage) != (
                failing,
                "devm_memremap_pages",
            ):
                continue
            faults = (number,) if failing else ()
            for finding in bench.run(wanted, faults).findings:
                if finding.kind == kind:
                    digest = tokens.digest(finding.cause)
                    experiment = Experiment(setup, wanted, faults)
                    return tokens.encode(tokens.Replay(experiment, kind, digest))
    raise AssertionError("the violation does not show")


def test_bisect_finds_the_patch_for_a_token_with_a_failing_call() -> None:
    # The call that fails has another number on every other kernel.
    replay = tokens.decode(token_of("v4.19", "bind-use-unbind-rebind", "hang", "devm_add_action"))
    result = bisect.walk(bisect_tokens.token_probe(replay), 0, len(patches()))
    assert [(c.patch.name, c.introduces) for c in result.changes] == [("shutdown", False)]


def test_bisect_finds_the_patch_for_a_token_without_faults() -> None:
    replay = tokens.decode(token_of("v5.0", "page-held", "memmap-removed"))
    result = bisect.walk(bisect_tokens.token_probe(replay), 0, len(patches()))
    assert [(c.patch.name, c.introduces) for c in result.changes] == [("final-put", False)]


# --- watchers that the matrix needs ---


@pytest.mark.parametrize("version", ["v5.0", "v5.2"])
def test_padding_with_an_owner_is_not_taken_for_held_pages(version: str) -> None:
    """Deferred initialisation makes padding the pagemap's, but nobody ever puts it."""
    with Kernel(version) as k:
        k.iomem.load(MAP)
        driver = k.driver("pmem", mode="memory")
        device = driver.device(0x400200000, 4 << 20)
        driver.bind(device)
        assert k.page(0x400000).pgmap is not None
        driver.unbind(device)
        k.assert_quiescent()


def test_a_page_held_next_to_padding_is_found_when_its_memmap_goes() -> None:
    with Kernel("v5.0", on_violation="record") as k:
        k.iomem.load(MAP)
        driver = k.driver("dax_pmem")
        device = driver.device(0x400000000, 126 << 20)
        driver.bind(device)
        last = k.page(0x407DFF)
        assert last.pgmap is not None and k.page(0x407E00).pgmap is not None
        last.get()
        try:
            driver.unbind(device)
        except Exception as blocked:
            assert "waits" in str(blocked)
        held = [r.message for r in k.quiescence() if "held" in r.message]
        assert held == ["1 pages from pfn 0x407dff on are held although their memmap is gone"]


def test_versions_lists_all_of_them_and_says_what_they_are_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["versions"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in versions())
    assert all(p.name in out and p.title in out for p in patches())
    assert "needs shutdown, device-private, hmm-devm" in out
    assert "v5.0 and v5.2 are v4.19 with the patches listed" in out
    assert cli.main(["versions", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [v["name"] for v in document["versions"]] == list(versions())
    assert {p["name"]: p["needs"] for p in document["patches"]} == {
        p.name: list(p.needs) for p in patches()
    }


@pytest.mark.parametrize("version", [*versions(), "memremap-v6 3/7", "v5.2 without final-put"])
def test_check_and_replay_accept_every_version(
    version: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "iomem"
    file.write_text(MAP)
    arguments = ["--iomem", str(file), "--max-faults", "0", "--driver", "dax_pmem", "--sequential"]
    status = cli.main(["check", *arguments, "--version", version, "--format", "json"])
    document = json.loads(capsys.readouterr().out)
    found = [v for r in document["runs"] for v in r["violations"]]
    # Without faults the only bug left is the page that is held across unbind.
    assert {v["kind"] for v in found} == (set() if version == "v5.2" else {"memmap-removed"})
    assert status == bool(found)
    for violation in found[:1]:
        assert cli.main(["replay", violation["replay"]]) == 1
        assert version in capsys.readouterr().out


def test_a_program_whose_search_is_bounded_decides_nothing_unless_it_finds_the_bug() -> None:
    bug = scenario("C04")
    bounded = replace(bug, max_executions=1)
    assert run(bounded, Selection("memremap-v6")).status is Status.MISSING
    assert run(bug, Selection("memremap-v6")).status is Status.OK


def test_bisect_names_the_patch_that_opened_a_race(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bisect", "C04", "--good", "v5.0", "--bad", "v5.2"]) == 0
    assert "introduces the violation: final-put" in capsys.readouterr().out


# --- a freeze of a queue that overlaps an unfreeze ---


START, SIZE = 0x140000000, 1 << 27


def frozen_once() -> Program:
    return (
        Program("memremap-v6")
        .memory(START, START + SIZE - 1)
        .object("lock", "mutex")
        .device("p", "pmem", START, SIZE, mode="raw")
        .setup("bind p", "blk_mq_freeze_queue p")
    )


def test_a_freeze_and_an_unfreeze_that_cannot_overlap_leave_the_queue_frozen_once() -> None:
    program = (
        frozen_once()
        .task("freeze", "mutex_lock lock", "blk_mq_freeze_queue p", "mutex_unlock lock")
        .task("unfreeze", "mutex_lock lock", "blk_mq_unfreeze_queue p", "mutex_unlock lock")
    )
    found = program.explore(stop_at_violation=False)
    assert found.exhaustive and not found.found


def test_without_a_lock_the_kill_may_come_before_the_revival_of_the_unfreeze_before_it() -> None:
    program = frozen_once().task("freeze", "blk_mq_freeze_queue p")
    program = program.task("unfreeze", "blk_mq_unfreeze_queue p")
    found = program.explore(stop_at_violation=False)
    assert found.exhaustive
    assert {v.record.kind for v in found.found} == {"warn", "refcount", "hang"}
    hang = next(v for v in found.found if v.record.kind == "hang")
    shown = program.replay(hang.schedule).columns
    assert "  waits for percpu_ref_is_zero(&q->q_usage_counter)" in shown


@pytest.mark.parametrize(("task", "found"), [(8, (0, 1)), (9, (1, 1)), (10, None)])
def test_a_call_that_fails_in_deferred_work_is_no_task_of_the_program(
    task: int, found: tuple[int, int] | None
) -> None:
    """Its kworker has process id 10."""
    tasks = [Event(EventType.TASK, "", 0, 0, False, pid) for pid in (8, 9)]
    fails = [
        Event(EventType.FALLIBLE, "devm_kzalloc", task, 0, False, 1),
        Event(EventType.FAULT, "devm_kzalloc", task, 0, False),
    ]
    told = bisect_tokens._calls_until_fault([*tasks, *fails])
    assert (told and (told[0], len(told[1]))) == found
