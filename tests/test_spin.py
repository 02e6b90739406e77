# SPDX-License-Identifier: GPL-2.0-only
"""The percpu_ref protocol as a Promela model and on the core: the same verdicts."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from memremap_emu.exploration import Exploration
from memremap_emu.program import Program
from tests.mutants import table

MODEL = Path(__file__).parent / "models" / "percpu_ref.pml"


def verifier_finds_error(directory: Path, users: int, variants: str) -> bool:
    """Whether SPIN's compiled verifier finds an error; if none, it has searched everything."""
    missing = [tool for tool in ("spin", "gcc") if not shutil.which(tool)]
    if missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have {missing}")
        pytest.skip(f"not installed: {missing}")
    defines = [f"-DUSERS={users}", *(f"-D{variant}" for variant in variants.split())]
    subprocess.run(["spin", *defines, "-a", str(MODEL)], cwd=directory, check=True)
    subprocess.run(
        ["gcc", "-O1", "-w", "-DSAFETY", "-o", "pan", "pan.c"], cwd=directory, check=True
    )
    done = subprocess.run(["./pan", "-m100000"], cwd=directory, check=True, capture_output=True)
    text = done.stdout.decode()
    assert "errors: " in text
    assert "max search depth too small" not in text
    return "errors: 0" not in text


KILL = "percpu_ref_kill_and_complete ref confirmed"
OWNER = (KILL, "wait_for_completion released", "percpu_ref_exit ref")
FREE = (*OWNER, "percpu_ref_free ref")
GET_PUT = ("percpu_ref_get ref", "percpu_ref_put ref")
PUT = ("percpu_ref_put ref",)
USE = ("percpu_ref_use ref",)


@dataclass(frozen=True)
class Protocol:
    """What owner and users do, as the model's variants of the same name.

    Attributes:
        variants: of the model
        owner: operations of the owner
        holder: of users that hold a reference when they begin
        other: of the others
    """

    variants: str
    owner: tuple[str, ...] = OWNER
    holder: tuple[str, ...] = PUT
    other: tuple[str, ...] = USE

    def explore(self, users: int) -> Exploration:
        """All schedules, or the first that breaks a rule."""
        holders = users if "HOLDERS" in self.variants else 1
        program = (
            Program("memremap-v6", cpus=users + 1)
            .object("ref", "percpu_ref")
            .object("released", "completion")
            .object("confirmed", "completion")
            .setup(
                "percpu_ref_complete_on_release ref released",
                *["percpu_ref_get ref"] * holders,
            )
        )
        for number in range(users):
            does = self.holder if number < holders else self.other
            program = program.task(f"user{number}", *does)
        return program.task("owner", *self.owner).explore()


RIGHT = [
    Protocol(""),
    Protocol("HOLDERS FREE", FREE),
    Protocol("HOLDERS FREE GET", FREE, (*GET_PUT, *PUT)),
]
WRONG = [
    Protocol("PUT_TWICE", holder=PUT * 2),
    Protocol("HOLDERS FREE GET_LATE", FREE, (*PUT, *GET_PUT)),
    Protocol("GET_UNHELD", other=GET_PUT),
    Protocol("FREE", FREE),
    Protocol("LEAK", holder=("percpu_ref_get ref", *PUT)),
    Protocol("PUT_FOR_KILL", (*PUT, *OWNER[1:])),
    Protocol("KILL_TWICE", other=(KILL,)),
    Protocol("EXIT_BEFORE_RELEASE", (KILL, "wait_for_completion confirmed", OWNER[-1])),
]
#: Variants of the count itself, and the seeded defect of the emulated kernel that each of them is.
KERNEL = {
    "NO_GRACE_PERIOD": "switch-without-grace-period",
    "BIAS_FIRST": "bias-goes-first",
    "NO_OWN_REFERENCE": "switch-holds-nothing",
    "PUT_BEFORE_CONFIRM": "switch-put-before-confirmation",
    "NOT_DEAD": "kill-not-marked",
}


#: The last right one has too many schedules with three users.
CASES = [(p, users) for p in [*RIGHT, *WRONG] for users in (2, 3) if (p, users) != (RIGHT[-1], 3)]


@pytest.mark.parametrize(("protocol", "users"), CASES, ids=lambda p: getattr(p, "variants", None))
def test_model_and_core_agree(tmp_path: Path, protocol: Protocol, users: int) -> None:
    found = protocol.explore(users)
    wrong = protocol in WRONG
    assert bool(found.violating) == wrong
    assert found.exhaustive or wrong
    assert verifier_finds_error(tmp_path, users, protocol.variants) == wrong


@pytest.mark.parametrize("users", [2, 3])
@pytest.mark.parametrize("variant", KERNEL)
def test_what_is_wrong_in_the_kernel_is_wrong_in_the_model(
    tmp_path: Path, variant: str, users: int
) -> None:
    """The same protocol on the core with that defect is run by tests/mutants/run.py.

    It demands that a violation is found in it, and that none is without the defect.  Where the
    model sees a counter change after it was added up the core sees a data race.
    """
    (mutant,) = [mutant for mutant in table.read() if mutant.name == KERNEL[variant]]
    assert mutant.finds["program"] == "percpu-ref-protocol" and not mutant.survives
    assert verifier_finds_error(tmp_path, users, variant)
