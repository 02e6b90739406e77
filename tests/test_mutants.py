# SPDX-License-Identifier: GPL-2.0-only
"""The table of seeded defects; `mutants/run.py` seeds them, which takes a compiler and a minute."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants import programs, run, table
from tests.sanitizers import not_under_asan

MUTANTS = table.read()
CSRC = table.ROOT / "csrc"
#: Files that must not be without a mutant that is found.
WANTED = {
    "block/blk-core.c",
    "drivers/base/dd.c",
    "drivers/base/devm.c",
    "drivers/base/devres.c",
    "drivers/dax/pmem.c",
    "drivers/nvdimm/pmem.c",
    "drivers/pci/p2pdma.c",
    "kernel/memremap.c",
    "kernel/resource.c",
    "kernel/resource_region.c",
    "lib/genalloc.c",
    "lib/percpu_refcount.c",
    "lib/radix_tree.c",
    "mm/hmm.c",
    "mm/memory_hotplug.c",
    "mm/sparse.c",
}
ROW = """
[[mutant]]
name = "a"
file = "lib/radix_tree.c"
what = "something"
before = "x = 1"
after = "x = 2"
finds = { race = "unbind-lookup", on = "dax_pmem plain", version = "v5.2" }
kinds = ["hang"]
"""


def test_defects_are_spread_over_the_emulated_kernel() -> None:
    found = [mutant for mutant in MUTANTS if not mutant.survives]
    assert len(found) >= 100
    assert {mutant.file for mutant in found} >= WANTED


@pytest.mark.skipif(not CSRC.exists(), reason="an installed package has no sources")
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_defect_fits_the_sources(mutant: table.Mutant) -> None:
    assert mutant.mutated(CSRC) != (CSRC / mutant.file).read_text()


def test_every_program_is_there_and_used() -> None:
    named = {m.finds["program"].replace("-", "_") for m in MUTANTS if "program" in m.finds}
    there = {
        name
        for name, value in vars(programs).items()
        if getattr(value, "__module__", "") == programs.__name__
        and not name.startswith("_")
        and name != "Made"
    }
    assert named == there


def test_every_scenario_file_is_there_and_used() -> None:
    named = {m.finds["scenario"] for m in MUTANTS if "scenario" in m.finds}
    files = {path.name for path in table.FOLDER.glob("*.json")}
    assert {name for name in named if name.endswith(".json")} == files


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("lib/radix_tree.c", "emu/kasan.c", "no file of the emulated kernel"),
        ("x = 2", "x = 1", "changes nothing"),
        ('["hang"]', "[]", "either kinds"),
        ('["hang"]', '["hang"]\nsurvives = "because"', "either kinds"),
        ('race = "unbind-lookup"', 'sprint = "unbind-lookup"', "no experiment"),
        (', version = "v5.2"', "", "names its version"),
        ("version", "speed = 1, version", "has no speed"),
        ("what =", "colour = 1\nwhat =", "unknown fields: colour"),
        ("what =", "why =", "'what'"),
    ],
)
def test_a_wrong_row_is_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    path = tmp_path / "mutants.toml"
    path.write_text(ROW.replace(old, new))
    with pytest.raises(table.TableError, match=reason):
        table.read(path)


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mutants.toml"
    path.write_text(ROW + ROW)
    with pytest.raises(table.TableError, match="twice in the table: a"):
        table.read(path)


@pytest.mark.parametrize("text", ["", "x = 1; x = 1;"])
def test_a_text_that_is_not_there_once_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mutants.toml"
    path.write_text(ROW)
    (mutant,) = table.read(path)
    assert mutant.apply("int x = 1;") == "int x = 2;"
    with pytest.raises(table.TableError, match="times"):
        mutant.apply(text)


@pytest.mark.parametrize(
    ("shown", "survives", "status", "right"),
    [
        (run.Verdict("violations", ["hang"]), "", "found", True),
        (run.Verdict("violations", ["leak", "hang"]), "", "found", True),
        (run.Verdict("violations", ["leak"]), "", "other kind", False),
        (run.Verdict("clean"), "", "survived", False),
        (run.Verdict("failed"), "", "failed", False),
        (run.Verdict("clean"), "because", "survived", True),
        (run.Verdict("violations", ["leak"]), "because", "found", False),
        (run.Verdict("failed"), "because", "failed", False),
    ],
)
def test_verdicts(shown: run.Verdict, survives: str, status: str, right: bool) -> None:
    mutant = table.Mutant("a", "lib/a.c", (), "", {}, () if survives else ("hang",), survives)
    verdict = run.judge(mutant, shown)
    assert verdict.status == status
    assert run.is_right(mutant, verdict) == right


def test_only_what_has_been_searched_to_the_end_is_clean() -> None:
    assert run.is_clean(run.Verdict("clean"))
    assert run.is_clean(run.Verdict("clean", exhaustive=True))
    assert not run.is_clean(run.Verdict("clean", exhaustive=False))
    assert not run.is_clean(run.Verdict("violations", ["leak"], exhaustive=True))


EXPERIMENT = {"life": ["page-held"], "on": "dax_pmem plain", "version": "v5.2"}


@not_under_asan("its shadow alone is more than an experiment may have")
def test_experiments_are_run_by_a_process_of_their_own() -> None:
    """With the memremap_emu that is imported here; what ends the process early is a failure."""
    import memremap_emu

    where = Path(memremap_emu.__file__).parent.parent
    held = EXPERIMENT | {"version": "memremap-v6"}
    broken = EXPERIMENT | {"life": ["no such program"]}
    clean, found, failed, behind = run.experiments(where, [EXPERIMENT, held, broken, EXPERIMENT])
    assert (clean.status, clean.executions) == ("clean", 1)
    assert (found.status, found.kinds) == ("violations", ["memmap-removed"])
    assert failed.status == behind.status == "failed"
    assert "no such program" in failed.detail
