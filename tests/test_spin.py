# SPDX-License-Identifier: GPL-2.0-only
"""The percpu_ref protocol as a Promela model and on the core: the same verdicts."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from memremap_emu import Kernel
from memremap_emu.explore import Program
from memremap_emu.search import Exploration

MODEL = Path(__file__).parent / "models" / "percpu_ref.pml"


def verifier_finds_error(directory: Path, users: int, variant: str) -> bool:
    """Whether SPIN's compiled verifier breaks an assertion; it must have searched everything."""
    missing = [tool for tool in ("spin", "gcc") if not shutil.which(tool)]
    if missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have {missing}")
        pytest.skip(f"not installed: {missing}")
    defines = [f"-DUSERS={users}", *([f"-D{variant}"] if variant else [])]
    if users == 2:
        defines.append("-DGET")
    subprocess.run(["spin", *defines, "-a", str(MODEL)], cwd=directory, check=True)
    subprocess.run(
        ["gcc", "-O0", "-w", "-DSAFETY", "-o", "pan", "pan.c"], cwd=directory, check=True
    )
    done = subprocess.run(["./pan", "-m100000"], cwd=directory, check=True, capture_output=True)
    text = done.stdout.decode()
    assert "errors: " in text
    assert "max search depth too small" not in text
    return "errors: 0" not in text


def explore_core(users: int, variant: str) -> Exploration:
    """Two users also take and drop a reference; three only drop theirs, as in the model."""
    with Kernel(cpus=users + 1, on_violation="record") as k:
        ref = k.percpu_ref()
        for _ in range(users):
            ref.get()
        program = Program(k)
        for number in range(users):
            task = program.task(f"user{number}", cpu=number)
            if users == 2:
                task.get(ref).put(ref)
            task.put(ref)
            if variant == "PUT_TWICE" and number == users - 1:
                task.put(ref)
        killer = program.task("killer", cpu=users)
        if variant == "PUT_BEFORE_KILL":
            killer.put(ref)
        killer.kill(ref)
        return program.explore()


@pytest.mark.parametrize("variant", ["", "PUT_TWICE", "PUT_BEFORE_KILL"])
@pytest.mark.parametrize("users", [2, 3])
def test_model_and_core_agree(tmp_path: Path, users: int, variant: str) -> None:
    found = explore_core(users, variant)
    assert bool(found.violating) == bool(variant)
    assert found.exhaustive or found.violating
    assert verifier_finds_error(tmp_path, users, variant) == bool(found.violating)


def test_a_switch_without_grace_period_is_wrong_in_the_model(tmp_path: Path) -> None:
    """The core has no such variant: this says only that the model can see it."""
    assert verifier_finds_error(tmp_path, 2, "NO_GRACE_PERIOD")
