# SPDX-License-Identifier: GPL-2.0-only
"""Versions: sets of patches, and what needs what."""

from __future__ import annotations

import json
import shlex

import pytest

from memremap_emu import Kernel, cli
from memremap_emu.versions import modes, patch_set, patches, versions

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


# --- the command ---

#: Patches as they were posted or merged, and what each needs.
TITLES = {
    "memremap-gpl": "mm, devm_memremap_pages: Mark devm_memremap_pages() EXPORT_SYMBOL_GPL",
    "system-ram": 'mm, devm_memremap_pages: Kill mapping "System RAM" support',
    "shutdown": "mm, devm_memremap_pages: Fix shutdown handling",
    "device-private": "mm, devm_memremap_pages: Add MEMORY_DEVICE_PRIVATE support",
    "hmm-devm": "mm, hmm: Use devm semantics for hmm_devmem_{add, remove}",
    "hmm-memremap": "mm, hmm: Replace hmm_devmem_pages_create() with devm_memremap_pages()",
    "hmm-gpl": "mm, hmm: Mark hmm_devmem_{add, add_resource} EXPORT_SYMBOL_GPL",
    "deferred-init": "mm: defer ZONE_DEVICE page initialization to the point where we init pgmap",
    "release-action": "drivers/base/devres: introduce devm_release_action()",
    "memunmap-pages": "mm/devm_memremap_pages: introduce devm_memunmap_pages",
    "p2pdma-gen-pool": "PCI/P2PDMA: fix the gen_pool_add_virt() failure path",
    "p2pdma-resource-ref": "PCI/P2PDMA: track pgmap references per resource, not globally",
    "final-put": "mm/devm_memremap_pages: fix final page put race",
}


def test_versions_lists_every_patch_with_its_upstream_title(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert list(TITLES) == [*SERIES, *LATER]
    assert cli.main(["versions"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for number, (name, title) in enumerate(TITLES.items(), 1):
        place = f"{number}/7" if name in SERIES else ""
        assert f"  {place:<4} {name:<20} {title}" in lines
    assert cli.main(["versions", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1
    assert [(p["name"], p["title"], p["series"]) for p in document["patches"]] == [
        (name, title, number if name in SERIES else None)
        for number, (name, title) in enumerate(TITLES.items(), 1)
    ]
    assert {v["name"]: v["patches"] for v in document["versions"]} == {
        "v4.19": [],
        "memremap-v6": SERIES,
        "v5.0": [*SERIES, "deferred-init"],
        "v5.2": [*SERIES, *LATER],
    }


def test_versions_says_what_each_version_is_made_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["versions"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "v4.19 before the series" in words
    assert "memremap-v6 7 patches: v4.19 + the series 1/7 .. 7/7" in words
    assert "v5.0 8 patches: memremap-v6 + deferred-init" in words
    assert f"v5.2 13 patches: v5.0 + {', '.join(LATER[1:])}" in words


COMMANDS = {
    "check": "check --iomem /nowhere --version",
    "bugs": "bugs --version",
    "bisect --good": "bisect A01 --good",
    "bisect --bad": "bisect A01 --bad",
    "modpost": "modpost --license GPL --needs devm_memremap_pages --version",
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("version", "reason", "known"),
    [
        ("v5.1", "unknown version 'v5.1'", list(versions())),
        ("v5.2 without dax", "unknown patch 'dax'", list(TITLES)),
        ("v5.2 with b99", "unknown mode 'b99'", [mode.name for mode in modes()]),
    ],
)
def test_every_command_refuses_what_it_does_not_know_with_the_list_of_what_it_does(
    command: str, version: str, reason: str, known: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*shlex.split(COMMANDS[command]), version]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.strip() == f"memremap-emu: {reason}; known: {', '.join(known)}"
