# SPDX-License-Identifier: GPL-2.0-only
"""Versions: sets of patches, what needs what, and what the drivers do before and after."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from memremap_emu import Kernel
from memremap_emu.trace import EventType
from memremap_emu.versions import modes, patch_set, patches, versions

ORDERS = Path(__file__).parent / "data" / "driver-orders.txt"
START, SIZE = 0x400000000, 1 << 30
SERIES = [
    "memremap-gpl",
    "system-ram",
    "shutdown",
    "device-private",
    "hmm-devm",
    "hmm-memremap",
    "hmm-gpl",
]
LATER = [
    "deferred-init",
    "release-action",
    "memunmap-pages",
    "p2pdma-gen-pool",
    "p2pdma-resource-ref",
    "final-put",
]
#: (patch left out, who needs it) of the versions that have both.
NEEDED_BY = {
    "memremap-v6": {
        "shutdown": "hmm-memremap",
        "device-private": "hmm-memremap",
        "hmm-devm": "hmm-memremap",
    },
    "v5.2": {
        "shutdown": "hmm-memremap",
        "device-private": "hmm-memremap",
        "hmm-devm": "hmm-memremap",
        "hmm-memremap": "final-put",
        "release-action": "memunmap-pages",
        "memunmap-pages": "p2pdma-gen-pool",
        "p2pdma-gen-pool": "p2pdma-resource-ref",
        "p2pdma-resource-ref": "final-put",
    },
}
NEEDED_BY["v5.0"] = NEEDED_BY["memremap-v6"]


# --- sets of patches ---


def test_versions_are_these_sets_of_patches() -> None:
    assert {name: list(v.patches) for name, v in versions().items()} == {
        "v4.19": [],
        "memremap-v6": SERIES,
        "v5.0": [*SERIES, "deferred-init"],
        "v5.2": [*SERIES, *LATER],
    }


@pytest.mark.parametrize("applied", range(8))
def test_every_prefix_of_the_series_is_a_kernel_that_boots(applied: int) -> None:
    with Kernel("memremap-v6", applied=applied) as k:
        assert list(k.patches) == SERIES[:applied]


def test_no_prefix_beyond_the_seven_patches() -> None:
    for applied in (-1, 8):
        with pytest.raises(ValueError, match="applied must be 0 to 7"):
            Kernel(applied=applied)


def test_prefixes_are_of_the_series_only() -> None:
    with pytest.raises(ValueError, match=r"not with v5\.2"):
        Kernel("v5.2", applied=3)


@pytest.mark.parametrize(
    ("version", "patch"), [(v, p) for v in NEEDED_BY for p in versions()[v].patches]
)
def test_a_patch_can_be_left_out_unless_another_needs_it(version: str, patch: str) -> None:
    needed_by = NEEDED_BY[version].get(patch)
    if needed_by is None:
        with Kernel(version, without=[patch]) as k:
            assert patch not in k.patches
            assert {*k.patches, patch} == set(versions()[version].patches)
        return
    row = next(p for p in patches() if p.name == needed_by)
    with pytest.raises(ValueError, match="needs") as caught:
        Kernel(version, without=[patch])
    # The row of the table: patch, title, all that it needs, and what is missing.
    assert str(caught.value) == (
        f"patch {row.name!r} ({row.title}) needs {', '.join(row.needs)}; left out: {patch}"
    )


def test_a_patch_can_be_left_out_together_with_the_one_that_needs_it() -> None:
    with Kernel(without=["hmm-memremap", "device-private"]) as k:
        assert list(k.patches) == ["memremap-gpl", "system-ram", "shutdown", "hmm-devm", "hmm-gpl"]


def test_a_patch_can_be_named_by_its_upstream_title() -> None:
    title = 'mm, devm_memremap_pages: Kill mapping "System RAM" support'
    with Kernel(without=[title]) as k:
        assert "system-ram" not in k.patches


def test_an_unknown_version_is_refused_with_the_list_of_known_ones() -> None:
    with pytest.raises(ValueError, match=r"v4\.19, memremap-v6, v5\.0, v5\.2"):
        Kernel("v4.20")


def test_an_unknown_patch_is_refused_with_the_list_of_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown patch 'kill'") as caught:
        Kernel(without=["kill"])
    assert all(patch.name in str(caught.value) for patch in patches())


def test_a_patch_that_a_version_does_not_have_cannot_be_left_out() -> None:
    with pytest.raises(ValueError, match=r"'final-put' is not part of v5\.0"):
        patch_set("v5.0", without=["final-put"])


# --- modes ---


def test_an_unknown_mode_is_refused_with_the_list_of_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown mode 'b99'") as caught:
        Kernel(modes=["b99"])
    assert all(mode.name in str(caught.value) for mode in modes())


def test_a_mode_of_a_patch_that_is_not_in_is_refused() -> None:
    with pytest.raises(ValueError, match="'a14-no-get-many' needs deferred-init"):
        Kernel("memremap-v6", modes=["a14-no-get-many"])


def test_every_mode_boots_on_the_newest_version() -> None:
    for mode in modes():
        with Kernel("v5.2", modes=[mode.name]) as k:
            assert k.modes == (mode.name,)


# --- drivers before and after ---

CONFIGURATIONS = {
    "pmem fsdax": ("pmem", {"mode": "fsdax"}),
    "pmem fsdax altmap": ("pmem", {"mode": "fsdax", "altmap": True}),
    "pmem memory": ("pmem", {"mode": "memory"}),
    "pmem raw": ("pmem", {"mode": "raw"}),
    "dax_pmem": ("dax_pmem", {}),
    "dax_pmem altmap": ("dax_pmem", {"altmap": True}),
}
#: Kernel arguments and the state that the table has for them.
KERNELS = {
    "v4.19": (("v4.19", None), "before"),
    **{
        f"{n}/7": (("memremap-v6", n), "before" if SERIES.index("shutdown") >= n else "after")
        for n in range(8)
    },
    "v5.0": (("v5.0", None), "after"),
    "v5.2": (("v5.2", None), "final-put"),
}


@functools.cache
def table() -> dict[str, str]:
    """Blocks of the table by their first line."""
    blocks = ORDERS.read_text().strip().split("\n\n")
    return {block.splitlines()[0]: block + "\n" for block in blocks}


def entry_names(driver: str, entries: list[str] | tuple[str, ...]) -> list[str]:
    """Entries as the table calls them, the oldest first."""
    memory = iter([f"{driver} memory", "badblocks memory"])
    words = []
    for entry in entries:
        if entry == "devm_kmalloc_release":
            words.append(next(memory))
        elif entry == "devm_region_release":
            words.append("mem region")
        else:
            # Where a callback takes the place of an action, both are there under two names.
            words.append(entry.removesuffix("_action"))
    return words


def record_orders(title: str, version: str, applied: int | None) -> tuple[list[str], list[str]]:
    """What a running machine registers at bind and releases at unbind."""
    driver, mode = CONFIGURATIONS[title]
    with Kernel(version, applied=applied, trace=True) as k:
        k.iomem.add(START, START + SIZE - 1, "Persistent Memory")
        bound = k.driver(driver, **mode)
        device = bound.device(START, SIZE)
        bound.bind(device)
        registered = device.devres
        position = k.trace.position
        bound.unbind(device)
        released = []
        for event in k.trace.events(position):
            if event.type is EventType.FREE and event.name == "devm_kmalloc":
                # Managed memory has a release that does nothing, not even leave a trace in
                # every build; then it is freed.
                released.append("devm_kmalloc_release")
            elif event.name == "devm_kmalloc_release":
                continue
            elif event.type is EventType.FUNC and event.name in registered:
                released.append(event.name)
        k.assert_quiescent()
    return entry_names(driver, registered), entry_names(driver, released[::-1])[::-1]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("title", CONFIGURATIONS)
def test_driver_registers_and_releases_in_the_order_of_the_table(title: str, kernel: str) -> None:
    arguments, state = KERNELS[kernel]
    registered, released = record_orders(title, *arguments)
    lines = [f"{title}, {state}"]
    lines += [f"REG {n} {name}" for n, name in enumerate(registered, 1)]
    lines += [f"release: {' -> '.join(released)}"]
    assert "\n".join(lines) + "\n" == table()[lines[0]]


def test_the_table_has_nothing_but_what_is_compared() -> None:
    states = {state for _, state in KERNELS.values()}
    assert set(table()) == {f"{title}, {state}" for title in CONFIGURATIONS for state in states}
