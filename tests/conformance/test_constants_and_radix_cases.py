# SPDX-License-Identifier: GPL-2.0-only
"""The recorded constants, prefixes of log lines and the radix tree, re-enacted."""

from __future__ import annotations

import pytest
from harness import VERSIONS, Boot, case, check, errno_of

ITEM_A, ITEM_B = 1, 2
ITEM_NAMES = {None: "NULL", ITEM_A: "&a", ITEM_B: "&b"}
TOP = 1 << 63
LAST = (1 << 64) - 1


@case
def k_const(b: Boot) -> None:
    def facts(*pairs: tuple[str, str], prefix: str = "", hexadecimal: str = "") -> None:
        b.P(prefix + " ".join(f"{shown}={b.k.constant(name)}" for shown, name in pairs))

    def same(*names: str) -> list[tuple[str, str]]:
        return [(name, name) for name in names]

    facts(
        ("sizeof_page", "sizeof(struct page)"),
        *same("PAGES_PER_SECTION", "SECTION_SIZE_BITS", "MAX_PHYSMEM_BITS", "PA_SECTION_SHIFT"),
    )
    poison = " ".join(f"{name}={b.k.constant(name):x}" for name in ("LIST_POISON1", "LIST_POISON2"))
    b.P(
        " ".join(
            f"{name}={b.k.constant(f'MEMORY_DEVICE_{name}')}"
            for name in ("PRIVATE", "PUBLIC", "FS_DAX")
        )
        + f" {poison}"
    )
    facts(
        ("none", "IORES_DESC_NONE"),
        ("crash", "IORES_DESC_CRASH_KERNEL"),
        ("acpi", "IORES_DESC_ACPI_TABLES"),
        ("nvs", "IORES_DESC_ACPI_NV_STORAGE"),
        ("pmem", "IORES_DESC_PERSISTENT_MEMORY"),
        ("pmem_legacy", "IORES_DESC_PERSISTENT_MEMORY_LEGACY"),
        ("priv", "IORES_DESC_DEVICE_PRIVATE_MEMORY"),
        ("pub", "IORES_DESC_DEVICE_PUBLIC_MEMORY"),
        prefix="IORES_DESC ",
    )
    facts(
        *same("PERCPU_REF_INIT_ATOMIC"),
        ("DEAD", "PERCPU_REF_INIT_DEAD"),
        ("sizeof_percpu_ref", "sizeof(struct percpu_ref)"),
        ("sizeof_dev_pagemap", "sizeof(struct dev_pagemap)"),
        ("sizeof_altmap", "sizeof(struct vmem_altmap)"),
        ("sizeof_radix_node", "sizeof(struct radix_tree_node)"),
        ("RADIX_SHIFT", "RADIX_TREE_MAP_SHIFT"),
    )
    device = b.k.device("nodrv.3")
    device.printk("no driver bound")
    device.warn("dev_WARN no driver")
    b.k.printk("null device")
    device.unregister()
    bare = b.k.device("bare0", bus=False, release=False, add=False)
    bare.printk("no bus no class")
    bare.put()


@case
def k_radix(b: Boot) -> None:
    tree = b.k.radix_tree()

    def insert(index: int, order: int, item: int) -> None:
        rc = errno_of(tree.insert, index, item, order)
        b.P(f"insert idx={index:#x} order={order} item={ITEM_NAMES[item]} rc={rc}")

    def lookup(*indices: int) -> None:
        for index in indices:
            b.P(f"lookup idx={index:#x} => {ITEM_NAMES[tree.lookup(index)]}")

    def delete(*indices: int) -> None:
        for index in indices:
            b.P(f"delete idx={index:#x} => {ITEM_NAMES[tree.delete(index)]}")

    def empty() -> None:
        b.P(f"empty={tree.empty:d}")

    insert(0x100, 4, ITEM_A)
    lookup(0xFF, 0x100, 0x10F, 0x110)
    insert(0x108, 0, ITEM_B)
    insert(0x100, 5, ITEM_B)
    insert(0x100, 4, ITEM_B)
    insert(0x110, 4, ITEM_B)
    lookup(0x110)
    insert(0x100, 15, ITEM_B)
    delete(0x105)
    lookup(0x100, 0x10F, 0x110)
    delete(0x105)
    insert(0x120, 0, ITEM_A)
    insert(0, 9, ITEM_A)
    delete(0x110, 0x120)
    empty()
    insert(0, 9, ITEM_A)
    lookup(0x1FF, 0x200)
    delete(3)
    empty()
    insert(0x400000, 15, ITEM_A)
    lookup(0x407FFF, 0x408000, 0x3FFFFF)
    insert(0x404000, 14, ITEM_B)
    insert(0x400000, 16, ITEM_B)
    insert(0x400000, 18, ITEM_B)
    delete(0x407FFF)
    empty()
    insert(0, 0, ITEM_A)
    lookup(0, 1)
    insert(1, 0, ITEM_B)
    delete(0, 1)
    insert(LAST, 0, ITEM_A)
    lookup(LAST)
    insert(TOP, 63, ITEM_B)
    delete(LAST)
    insert(TOP, 63, ITEM_B)
    lookup(LAST, TOP, TOP - 1)
    delete(LAST)
    empty()


CASES = ["k_const", "k_radix"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CASES)
def test_checked_build_answers_as_the_real_kernel(name: str, version: str) -> None:
    check(name, version=version)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CASES)
def test_plain_build_answers_as_the_real_kernel(name: str, version: str) -> None:
    check(name, checked=False, version=version)
