# SPDX-License-Identifier: GPL-2.0-only
"""Memory maps that nobody has ever seen are read and written back byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memremap_emu import Kernel
from memremap_emu.iomem import parse

both_builds = pytest.mark.parametrize("checked", [True, False], ids=["checked", "plain"])

NAMES = (
    "System RAM",
    "Reserved",
    "ACPI Tables",
    "Persistent Memory",
    "Persistent Memory (legacy)",
    "Kernel code",
    "PCI Bus 0000:00",
    "0000:00:1f.2",
    "namespace0.0",
    "dax0.0",
    "Video ROM",
    "pnp 00:00",
    "a : b - c",
)
MAX_ADDRESS = (1 << 46) - 1


@st.composite
def forests(
    draw: st.DrawFn, start: int = 0, end: int = MAX_ADDRESS, depth: int = 0
) -> list[tuple[int, int, str, list]]:
    """Disjoint ranges in ascending order, with ranges inside, at most six levels deep."""
    room = end - start + 1
    n = draw(st.integers(0 if depth else 1, min(4, room // 2)))
    points = sorted(draw(st.sets(st.integers(start, end), min_size=2 * n, max_size=2 * n)))
    found = []
    for i in range(n):
        first, last = points[2 * i], points[2 * i + 1]
        inside = draw(forests(first, last, depth + 1)) if depth < 5 and last - first > 8 else []
        found.append((first, last, draw(st.sampled_from(NAMES)), inside))
    return found


def text_of(forest: list[tuple[int, int, str, list]], depth: int = 0) -> str:
    return "".join(
        f"{'  ' * min(depth, 5)}{first:08x}-{last:08x} : {name}\n{text_of(inside, depth + 1)}"
        for first, last, name, inside in forest
    )


@both_builds
@given(forests())
def test_a_generated_map_is_written_back_byte_for_byte(
    checked: bool, forest: list[tuple[int, int, str, list]]
) -> None:
    text = text_of(forest)
    with Kernel(cpus=1, checked=checked) as k:
        k.iomem.load(text)
        assert str(k.iomem) == text


@given(forests())
def test_a_written_map_parses_to_the_same_ranges(forest: list[tuple[int, int, str, list]]) -> None:
    def flat(ranges: list[tuple[int, int, str, list]]) -> list[tuple[int, int, str]]:
        return [
            line
            for first, last, name, inside in ranges
            for line in [(first, last, name), *flat(inside)]
        ]

    with Kernel(cpus=1) as k:
        k.iomem.load(text_of(forest))
        read = [(r.start, r.end, r.name) for top in parse(str(k.iomem)) for r in top.walk()]
    assert read == flat(forest)
