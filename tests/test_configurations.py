# SPDX-License-Identifier: GPL-2.0-only
"""Every configuration runs every driver that it has, and what it switches off stays off."""

from __future__ import annotations

import re
from errno import EINVAL, ENODEV, ENXIO
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from memremap_emu import Config, Kernel, KernelError, KernelPanic, MemoryType, VmFault
from memremap_emu.config import CPUS, RULES, keys, table
from memremap_emu.experiments import ALL_MODES, Mode
from memremap_emu.module import Export
from memremap_emu.objects import Device
from memremap_emu.versions import versions
from tests.pairwise import Pair, Pairwise, Row, pairs_of

DOCS = Path(__file__).parent.parent / "docs/configuration.md"
GIB = 1 << 30
START, SIZE = GIB, GIB  # of persistent memory: sections have up to 1 GiB
BAR, BAR_SIZE = 2 * GIB, GIB // 4
MAP = "00000000-3fffffff : System RAM\n40000000-7fffffff : Persistent Memory (legacy)\n"
STRUCT_PAGE = 64
NO_DEVICE_MEMORY = dict.fromkeys(
    ("zone_device", "device_private", "device_public", "dev_pagemap_ops"), False
)

#: Values of keys that have too many to try them all.
SOME = {
    "section_size_bits": (21, 23, 26, 27, 30),  # the smallest for each page size, x86-64's, more
    "max_physmem_bits": (32, 46, 52),
    "physical_bits": (32, 46, 52),
    "arena_size": (4 << 20, 64 << 20),
}
CONFIGURATIONS = 152  # in all, of the checked build
COVERING = 31  # so many have every legal pair: of the plain build, too


def is_legal(values: Row) -> bool:
    try:
        Config(**values)
    except ValueError:
        return False
    return True


#: The keys that ask something of each other.
COUPLED = frozenset(name for rule in RULES for name in rule.keys)


@cache
def space() -> Pairwise:
    factors: dict[str, tuple[Any, ...]] = {
        "version": tuple(versions()),
        "cpus": (1, 2, CPUS.default, 64),
    }
    for name, key in keys().items():
        factors[name] = SOME.get(name) or tuple(key.legal)
    return Pairwise(factors, COUPLED, is_legal)


@cache
def rows() -> list[Row]:
    return space().fill(space().cover(), CONFIGURATIONS, seed=4)


def kernel(row: Row, **arguments: Any) -> Kernel:
    values = dict(row)
    k = Kernel(values.pop("version"), cpus=values.pop("cpus"), config=Config(**values), **arguments)
    k.iomem.load(MAP)
    return k


# --- the table ---


def test_table_in_the_documentation_is_the_table_of_the_code() -> None:
    assert table() in DOCS.read_text()


def test_defaults_are_legal_and_those_of_the_table() -> None:
    config = Config()
    assert {name: getattr(config, name) for name in keys()} == {
        name: key.default for name, key in keys().items()
    }
    assert str(config) == "default"
    assert str(Config(page_shift=14, kasan=False)) == "page_shift=14 kasan=False"
    with Kernel() as k:
        assert k.cpus == CPUS.default


def test_unknown_key_is_refused_with_the_list_of_known_ones() -> None:
    with pytest.raises(TypeError) as e:
        Config(page_size=4096)  # type: ignore[call-arg]
    assert str(e.value) == f"unknown configuration key 'page_size'; known: {', '.join(keys())}"


@pytest.mark.parametrize("name", [*keys(), CPUS.name])
def test_value_that_the_table_does_not_have_is_refused_with_those_it_has(name: str) -> None:
    key = keys().get(name, CPUS)

    def make(value: Any) -> None:
        if key is CPUS:
            Kernel(cpus=value).close()
        else:
            Config(**{name: value})

    if isinstance(key.default, bool):
        wrong_type: Any = 1
    else:
        wrong_type = True
        for beyond in (key.legal[0] - 1, key.legal[-1] + 1):
            with pytest.raises(ValueError, match=f"{name} must be .*{key.values}, not {beyond}"):
                make(beyond)
    for value in (wrong_type, None, "y", 1.5):
        with pytest.raises(TypeError, match=f"{name} must be an? (bool|int), not "):
            make(value)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"section_size_bits": 22, "page_shift": 14}, "at least page_shift + 9"),
        ({"section_size_bits": 24, "page_shift": 16}, "at least page_shift + 9"),
        ({"section_size_bits": 25, "page_shift": 16}, "at least 2 * page_shift - 6"),
        (NO_DEVICE_MEMORY | {"device_private": True}, "device_private needs zone_device"),
        (NO_DEVICE_MEMORY | {"device_public": True}, "device_public needs zone_device"),
        (NO_DEVICE_MEMORY | {"dev_pagemap_ops": True}, "dev_pagemap_ops needs zone_device"),
        ({"dev_pagemap_ops": False, "device_public": False}, "device_private selects"),
        ({"dev_pagemap_ops": False, "device_private": False}, "device_public selects"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_combination_that_no_kernel_has_is_refused_with_the_reason(
    values: Row, reason: str
) -> None:
    with pytest.raises(ValueError) as e:
        Config(**values)
    assert reason in str(e.value)


def test_machine_itself_refuses_what_the_table_refuses() -> None:
    """The C side has no table to read: the same verdict on every combination of coupled keys."""
    from memremap_emu._native import library

    native = library(False)
    base = Config(arena_size=1 << 20).native() | {"cpus": 1}
    tried = {True: 0, False: 0}
    for page_shift in range(11, 18):
        for bits in range(20, 32):
            for switches in range(16):
                names = NO_DEVICE_MEMORY
                values: Row = {n: bool(switches >> i & 1) for i, n in enumerate(names)}
                if switches not in (0, 15) and (page_shift, bits) != (12, 27):
                    continue
                values |= {"page_shift": page_shift, "section_size_bits": bits}
                machine = native.ffi.new("emu_machine **")
                config = native.ffi.new("struct emu_config *", base | values)
                status = native.lib.emu_create(
                    config, native.lib.emu_python_upcall, native.ffi.NULL, machine
                )
                assert (status == 0) is is_legal(values), values
                tried[status == 0] += 1
                if status == 0:
                    native.lib.emu_destroy(machine[0])
    assert min(tried.values()) > 20


# --- the cover ---


def test_keys_that_are_coupled_are_those_of_the_rules() -> None:
    assert {"page_shift", "section_size_bits", *NO_DEVICE_MEMORY} == COUPLED


def test_values_tried_are_legal_and_have_the_default_among_them() -> None:
    for name, values in space().factors.items():
        if name in keys():
            assert keys()[name].default in values
            assert all(value in keys()[name].legal for value in values)
        if name not in (*SOME, "version", "cpus"):
            assert set(values) == set(keys()[name].legal)
    assert set(space().factors) == {"version", "cpus", *keys()}


def test_every_legal_pair_of_values_is_in_a_configuration() -> None:
    have: set[Pair] = set().union(*(pairs_of(row) for row in rows()))
    impossible = []
    for pair in space().all_pairs():
        if pair in have:
            continue
        # Not covered: then there must be no legal configuration, whatever the other keys say.
        values = {n: v for n, v in pair if n in keys()}
        assert space().cores_with(pair) == []
        assert not any(is_legal({**core, **values}) for core in space().cores)
        impossible.append(pair)
    assert (("page_shift", 16), ("section_size_bits", 21)) in impossible
    assert (("device_private", True), ("zone_device", False)) in impossible
    assert (("dev_pagemap_ops", False), ("device_public", True)) in impossible
    assert len(impossible) == 3 + 5


def test_there_are_as_many_configurations_as_wanted_all_legal_all_different() -> None:
    found = rows()
    assert len(found) >= CONFIGURATIONS
    assert all(is_legal({n: v for n, v in row.items() if n in keys()}) for row in found)
    assert len({tuple(row.items()) for row in found}) == len(found)
    assert found == space().fill(space().cover(), CONFIGURATIONS, seed=4), "the same every time"
    assert len(space().cover()) == COVERING


# --- what a configuration has ---


def is_hmm(mode: Mode) -> bool:
    return mode.driver in ("hmm", "hmm_public")


def is_there(mode: Mode, config: Config) -> bool:
    """Is the driver built?"""
    if mode.driver == "pmem":
        return True
    if is_hmm(mode):
        return config.device_private or config.device_public
    return config.zone_device


def works(mode: Mode, config: Config) -> bool:
    """Does it bind and unbind without anything to be said against it?"""
    if mode.driver == "pmem" and mode.namespace == "fsdax":
        return config.zone_device  # an info block promises struct pages
    return is_there(mode, config)


def make_device(k: Kernel, mode: Mode) -> tuple[Any, Any]:
    driver = k.driver(mode.driver, mode=mode.namespace, altmap=mode.altmap)
    if mode.memory == "private":
        return driver, driver.device(size=1)
    if mode.memory in ("coherent", "bar"):
        return driver, driver.device(BAR, BAR_SIZE)
    return driver, driver.device(START, SIZE)


TYPES = {
    "pmem": MemoryType.FS_DAX,
    "dax_pmem": MemoryType.PLAIN,
    "hmm": MemoryType.PRIVATE,
    "hmm_public": MemoryType.PUBLIC,
    "p2pdma": MemoryType.PCI_P2PDMA,
}


def use(k: Kernel, mode: Mode, driver: Any, device: Any) -> None:
    """Pages are got, put and looked up; a bound device has what its mode says."""
    config = k.config
    start, size = (START, SIZE) if mode.memory == "pmem" else (BAR, BAR_SIZE)
    if mode.memory == "private":
        devmem = driver.devmem(device)
        start = devmem.pfn_first << config.page_shift
        size = len(devmem.pages) << config.page_shift
        assert size == 1 << config.section_size_bits
        assert start % size == 0
    first, last = start >> config.page_shift, (start + size - 1) >> config.page_shift
    if not (mode.pages and config.zone_device):
        assert not k.pfn_valid(last)
        assert k.get_dev_pagemap(last) is None
        return

    kind = TYPES[mode.driver]
    # Before hmm-memremap HMM did all of it by itself, with an index of its own and no shadow.
    indexed = not is_hmm(mode) or "hmm-memremap" in k.patches
    managed = kind in (MemoryType.FS_DAX, MemoryType.PRIVATE, MemoryType.PUBLIC)
    # HMM leaves it on.
    assert k.devmap_managed_key is (config.dev_pagemap_ops and (managed or bool(k.permanent)))
    for pfn in (first + (last - first) * 5 // 8, last):
        page = k.page(pfn)
        assert (page.zone, page.valid, page.initialised, page.count) == ("Device", True, True, 1)
        assert page.is_zone_device and not page.online and page.reserved
        assert page.is_device_private is (kind is MemoryType.PRIVATE)
        assert page.is_device_public is (kind is MemoryType.PUBLIC)
        assert k.linear_mapping_present(pfn) is (kind is not MemoryType.PRIVATE)
        shadow = config.kasan and kind is not MemoryType.PRIVATE and indexed
        assert k.zero_shadow_present(pfn) is shadow

        pagemap = page.pgmap
        assert pagemap is not None and pagemap.type is kind and pagemap.end == start + size - 1
        found = k.get_dev_pagemap(pfn)
        assert found == (pagemap if indexed else None)
        if found:
            assert k.get_dev_pagemap(pfn, found) == found
            found.put()

        freed = driver.free_count(device) if is_hmm(mode) else 0
        page.get()
        page.get()
        assert page.count == 3
        page.put()
        page.put()
        assert page.count == 1
        if is_hmm(mode):
            assert driver.free_count(device) == freed + 1
    # All of it is indexed, the driver's part and the memmap's as well, and nothing else.
    for pfn, is_in in ((first - 1, False), (first, indexed), (last + 1, False)):
        found = k.get_dev_pagemap(pfn)
        assert (found is not None) is is_in
        if found:
            found.put()
    if mode.memory == "private":
        faults = driver.fault_count(device)
        assert k.device_private_fault(k.page(first)) == VmFault.SIGBUS
        assert driver.fault_count(device) == faults + config.device_private
    if mode.altmap:
        check_altmap(k, k.page(last).pgmap)


def check_altmap(k: Kernel, pagemap: Any) -> None:
    """One block per huge page of page structures, each aligned to its size, from the front on."""
    config, altmap = k.config, pagemap.altmap
    page_size = 1 << config.page_shift
    pages_per_section = 1 << config.section_size_bits - config.page_shift
    memmap = pages_per_section * STRUCT_PAGE // page_size  # pages, of one section
    block = min(memmap, page_size // 8)  # what one entry of a PMD maps, if there is as much
    sections = SIZE >> config.section_size_bits
    first = altmap.base_pfn + altmap.reserve
    at = -(-first // block) * block
    assert altmap.base_pfn == START >> config.page_shift
    assert altmap.reserve == 8192 >> config.page_shift
    assert (altmap.align, altmap.alloc) == (at - first, sections * memmap)
    assert altmap.align + altmap.alloc <= altmap.free
    base = START >> config.section_size_bits
    for section in {0, 1, sections // 2, sections - 1} & set(range(sections)):
        assert k.section_memmap_pfn(base + section) == at + section * memmap


def cycle(k: Kernel, mode: Mode) -> None:
    """Bind, use, unbind, bind again, use and unbind: nothing is said, nothing stays."""
    driver, device = make_device(k, mode)
    for _ in range(2):
        driver.bind(device)
        assert device.bound
        use(k, mode, driver, device)
        if is_hmm(mode) and "hmm-devm" not in k.patches:
            driver.devmem(device).remove()  # devres does not do it right
        driver.unbind(device)
        assert not device.bound
        k.assert_quiescent()
        assert k.violations == []


def lacks(k: Kernel, mode: Mode) -> None:
    """Without ZONE_DEVICE a mapping is a WARN and -ENXIO, and the drivers of it are not built."""
    if not is_there(mode, k.config):
        needs = "DEVICE_PRIVATE or CONFIG_DEVICE_PUBLIC" if is_hmm(mode) else "ZONE_DEVICE"
        with pytest.raises(ValueError, match=f"it needs CONFIG_{needs}"):
            k.driver(mode.driver)
        return
    driver, device = make_device(k, mode)
    before = len(k.dmesg)
    k.clear_warn_once()
    if k.config.panic_on_warn:
        snapshot = k.snapshot()
        with pytest.raises(KernelPanic):
            driver.bind(device)
        snapshot.restore()
        snapshot.drop()
        return
    with pytest.raises(KernelError) as e:
        driver.bind(device)
    assert e.value.errno == ENODEV
    assert "devm_memremap_pages" in "".join(line for line in k.dmesg[before:] if "WARNING" in line)
    # The queue's end is the mapping's business since then, and the stub does not know.
    queue = r"\d+ bytes allocated in (blk_alloc_queue_node|percpu_ref_init)\(\) were not freed"
    left = [found.message for found in k.quiescence()]
    assert all(re.fullmatch(queue, text) for text in left)
    assert bool(left) is ("final-put" in k.patches)


@pytest.mark.parametrize(
    ("number", "checked"),
    [(i, True) for i in range(CONFIGURATIONS)] + [(i, False) for i in range(COVERING)],
)
def test_every_driver_of_a_configuration_binds_works_unbinds_and_does_so_again(
    number: int, checked: bool
) -> None:
    row = rows()[number]
    try:
        with kernel(row, checked=checked) as k:
            for mode in ALL_MODES:
                if works(mode, k.config):
                    cycle(k, mode)
        with kernel(row, checked=checked, on_violation="record") as k:
            for mode in ALL_MODES:
                if not works(mode, k.config):
                    lacks(k, mode)
            assert {v.kind for v in k.violations} <= {"warn"}
    except BaseException as e:
        e.add_note(f"{row['version']}, cpus={row['cpus']}, {k.config!r}")
        raise


# --- what is switched off ---


def bound_device(k: Kernel) -> Device:
    """A device that a driver has which does nothing."""
    k.driver("drv", probe=lambda device: 0)
    return k.device("drv.0")


def test_debug_devres_logs_what_is_registered_and_released() -> None:
    with Kernel(config=Config(debug_devres=True)) as k:
        k.iomem.load(MAP)
        pmem = k.driver("pmem")
        device = pmem.device(START, SIZE)
        pmem.bind(device)
        pmem.unbind(device)
        lines = [line.split() for line in k.dmesg if "DEVRES" in line]
        added = [line[4:6] for line in lines if line[3] == "ADD"]
        released = [line[4:6] for line in lines if line[3] == "REL"]
        assert "devm_action_release" in [name for _, name in added]
        removed = [line[4:6] for line in lines if line[3] == "REM"]
        assert sorted(added) == sorted(released + removed)


@pytest.mark.parametrize("checked", [True, False], ids=["checked", "plain"])
@pytest.mark.parametrize("version", versions())
def test_devm_memremap_pages_without_zone_device_warns_and_is_enxio(
    version: str, checked: bool
) -> None:
    config = Config(**NO_DEVICE_MEMORY)
    with Kernel(version, config=config, checked=checked, on_violation="record") as k:
        device = bound_device(k)
        ref = k.percpu_ref()
        kills: list[Any] = []
        pagemap = k.pagemap(START, SIZE, ref=ref, kill=kills.append, cleanup=kills.append)
        for _ in range(2):
            with pytest.raises(KernelError) as e:
                device.memremap_pages(pagemap)
            assert e.value.errno == ENXIO
        # The stub knows neither callback, and nothing has been taken.
        assert kills == [] and not ref.dead and ref.logical == 1
        assert not pagemap.dev_set and k.max_pfn == 0
        # A lookup neither keeps a pagemap that it is given nor lets go of it.
        for given in (None, pagemap):
            assert k.get_dev_pagemap(START >> 12, given) is None
            assert k.get_dev_pagemap((START + SIZE) >> 12, given) is None
        assert ref.logical == 1
        assert [line for line in k.dmesg if "WARNING" in line and "memremap.c" in line] == [
            line for line in k.dmesg if "WARNING" in line
        ]
        assert len([line for line in k.dmesg if "WARNING" in line]) == 1, "once"
        assert [v.kind for v in k.violations] == ["warn"]
        assert k.quiescence() == []


def test_what_ends_a_ref_is_missed_by_the_call_that_needs_it() -> None:
    """Since the final-put patch with a warning, every time, of devm_memremap_pages() itself."""
    with Kernel("v5.2", on_violation="record") as k:
        device = bound_device(k)
        pagemap = k.pagemap(START, SIZE, ref=k.percpu_ref(), kill=True, cleanup=None)
        for _ in range(2):
            with pytest.raises(KernelError) as e:
                device.memremap_pages(pagemap)
            assert e.value.errno == EINVAL
            text, place = (line for line in e.value.log if "---" not in line)
            assert text == "Missing reference count teardown definition"
            assert re.search(r" at kernel/memremap\.c:\d+ devm_memremap_pages$", place)
        assert [v.func for v in k.violations] == ["devm_memremap_pages"] * 2


def test_calls_that_a_configuration_lacks_do_nothing() -> None:
    with Kernel(config=Config(**NO_DEVICE_MEMORY)) as k:
        k.dev_pagemap_get_ops()
        assert not k.devmap_managed_key
        k.dev_pagemap_put_ops()
        assert not k.devmap_managed_key
        k.dev_pagemap_get_ops()
        k.assert_quiescent()
        assert k.device_private_fault(k.page(START >> 12)) == VmFault.SIGBUS


def test_without_dev_pagemap_ops_a_managed_page_becomes_idle_in_silence() -> None:
    changed = dict.fromkeys(("device_private", "device_public", "dev_pagemap_ops"), False)
    freed: list[int] = []
    with Kernel(config=Config(**changed)) as k:
        device = bound_device(k)
        pagemap = k.pagemap(
            START, SIZE, ref=k.percpu_ref(), type=MemoryType.PRIVATE,
            page_free=lambda page: freed.append(page.pfn),
        )  # fmt: skip
        k.dev_pagemap_get_ops()
        device.memremap_pages(pagemap)
        page = k.page(START >> 12)
        page.get()
        page.put()
        assert page.count == 1 and freed == []
        assert page.is_zone_device and not page.is_device_private
        device.release_driver()


EXPORTS = {
    "zone_device": (
        "devm_memremap_pages", "devm_memunmap_pages", "get_dev_pagemap", "pci_p2pdma_add_resource",
    ),
    "dev_pagemap_ops": (
        "dev_pagemap_get_ops", "dev_pagemap_put_ops", "devmap_managed_key",
        "__put_devmap_managed_page",
    ),
    "device_private": ("device_private_entry_fault",),
}  # fmt: skip
HMM_EXPORTS = ("hmm_devmem_add", "hmm_devmem_add_resource", "hmm_device_new", "hmm_device_put")


def feature_sets() -> list[Config]:
    """Every legal combination of what is built."""
    return list(
        dict.fromkeys(Config(**{n: core[n] for n in NO_DEVICE_MEMORY}) for core in space().cores)
    )


@pytest.mark.parametrize("config", feature_sets(), ids=str)
def test_what_is_not_built_is_not_exported(config: Config) -> None:
    built = {name: getattr(config, key) for key, names in EXPORTS.items() for name in names}
    built |= dict.fromkeys(HMM_EXPORTS, config.device_private or config.device_public)
    with Kernel("v5.2", config=config) as k:
        assert {name: name in k.exports for name in built} == built
        modules = [k.module("m", license="GPL", needs=[name]) for name in built]
        assert [not m.modpost().status for m in modules] == list(built.values())
        assert Export.NOT_EXPORTED not in k.exports.values()


# --- sizes and orders ---


@pytest.mark.parametrize("page_shift", [12, 14, 16])
def test_index_has_blocks_of_pages_whatever_their_size(page_shift: int) -> None:
    """Five pages from an odd one on: orders 0, 1 and so on, and nobody beside them."""
    with Kernel(config=Config(page_shift=page_shift)) as k:
        first = (START >> page_shift) + 1
        device = bound_device(k)
        size = 5 << page_shift
        pagemap = k.pagemap(first << page_shift, size + 100, ref=k.percpu_ref())
        device.memremap_pages(pagemap)
        found = [k.get_dev_pagemap(first + i) for i in range(-1, 6)]
        assert found == [None, *[pagemap] * 5, None]
        for handle in found:
            if handle:
                handle.put()
        assert pagemap.ref is not None and pagemap.ref.logical == 1 + 5
        pages = k.zone().spanned
        assert pages << page_shift == 1 << k.config.section_size_bits
        device.release_driver()
        k.assert_quiescent()


@pytest.mark.parametrize(
    ("page_shift", "section_size_bits", "block", "blocks"),
    [
        (12, 27, 512, 1),  # 2 MiB: a huge page, as on x86-64
        (12, 30, 512, 8),
        (12, 21, 8, 1),  # less than a huge page
        (14, 27, 32, 1),
        (14, 30, 256, 1),
        (16, 27, 2, 1),
        (16, 30, 16, 1),
    ],
)
def test_altmap_gives_one_block_for_each_huge_page_of_struct_pages(
    page_shift: int, section_size_bits: int, block: int, blocks: int
) -> None:
    config = Config(page_shift=page_shift, section_size_bits=section_size_bits)
    section = 1 << section_size_bits
    base = START >> page_shift
    need = blocks * block
    pages = section >> page_shift
    assert need == pages * STRUCT_PAGE >> page_shift
    for reserve in (0, 1, block, block + 1):
        pad = -reserve % block
        for free, sections in ((pad + 2 * need, 2), (pad + 2 * need - 1, 1)):
            with Kernel(config=config, on_violation="record") as k:
                pagemap = k.pagemap(START, 2 * section, ref=k.percpu_ref())
                pagemap.set_altmap(base, reserve, free)
                device = bound_device(k)
                if sections == 2:
                    device.memremap_pages(pagemap)
                    assert k.section_memmap_pfn((START >> section_size_bits) + 1) == (
                        base + reserve + pad + need
                    )
                else:
                    with pytest.raises(KernelError, match="ENOMEM"):
                        device.memremap_pages(pagemap)
                whole = sections * need
                # Blocks of a section that cannot be finished stay handed out.
                assert pagemap.altmap.align == pad
                assert whole <= pagemap.altmap.alloc < whole + need or sections == 2
                assert pagemap.altmap.alloc % block == 0
                if sections == 2:
                    assert pagemap.altmap.alloc == whole
                    device.release_driver()
                    assert (pagemap.altmap.alloc, pagemap.altmap.align) == (0, pad)
                    k.assert_quiescent()
