# SPDX-License-Identifier: GPL-2.0-only
"""The hard gates: instructions, counted by callgrind, the same on every run."""

from __future__ import annotations

import pytest
from conftest import figure
from instructions import count


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Instructions by name of the work."""
    return count(tmp_path_factory.mktemp("callgrind"))


@pytest.mark.parametrize(
    ("work", "limit"),
    [
        ("lookup 1 order 0", 50),
        ("lookup 64 order 0", 50),
        ("lookup 512 order 0", 50),
        ("lookup 4096 order 0", 50),
        ("lookup 1 order 9", 45),
        ("lookup 64 order 9", 45),
        ("lookup 4096 order 9", 45),
        # No goals, but what they were when they were last looked at, and a tenth.
        ("references", 50),
        ("pagemap", 172),
        ("pagemap in hand", 19),
        ("page.get", 255),
        ("get_page in a batch", 250),
    ],
)
def test_instructions_of_one(counted: dict[str, float], work: str, limit: int) -> None:
    figure(f"instructions: {work}", counted[work], "Ir", goal=limit)
    assert counted[work] <= limit


def test_mapping_takes_about_the_same_instructions_whatever_the_size(
    counted: dict[str, float],
) -> None:
    found = {size: counted[f"map {size}"] for size in ("16 MiB", "1 GiB", "1 TiB", "16 TiB")}
    for size, instructions in found.items():
        figure(
            f"instructions: unmap + map {size}",
            instructions,
            "Ir",
            goal=2 * found["1 GiB"],
            ratio=instructions / found["1 GiB"],
            ratio_to="1 GiB",
        )
    assert max(found.values()) <= 2 * found["1 GiB"]
