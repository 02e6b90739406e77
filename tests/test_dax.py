# SPDX-License-Identifier: GPL-2.0-only
"""Direct access to the memory of a pmem disk, and its end."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from memremap_emu import Blocked, Kernel, KernelError
from memremap_emu.device import Device

START, SIZE = 0x140000000, 0x40000000
PAGES = SIZE >> 12
MAP = "00000000-3fffffff : System RAM\n140000000-17fffffff : Persistent Memory (legacy)\n"


@pytest.fixture(params=[True, False], ids=["checked", "plain"])
def k(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with Kernel(checked=request.param) as kernel:
        kernel.iomem.load(MAP)
        yield kernel


def bind(k: Kernel, mode: str) -> Device:
    pmem = k.driver("pmem", mode=mode)
    device = pmem.device(START, SIZE, "pfn0.0" if mode == "fsdax" else "namespace0.0")
    pmem.bind(device)
    return device


@pytest.mark.parametrize("mode", ["raw", "memory"])
def test_page_of_the_disk_is_the_page_of_the_namespace(k: Kernel, mode: str) -> None:
    bind(k, mode)
    assert k.dax_pfn("pmem0", 0) == START >> 12
    assert k.dax_pfn("pmem0", 5) == (START >> 12) + 5


def test_data_of_fsdax_begins_behind_its_metadata(k: Kernel) -> None:
    device = bind(k, "fsdax")
    assert device.pagemap is not None
    first = k.dax_pfn("pmem0", 0)
    assert first > START >> 12
    assert k.dax_direct_access("pmem0", 0, PAGES) == PAGES - (first - (START >> 12))


def test_no_more_pages_are_given_than_wanted(k: Kernel) -> None:
    bind(k, "raw")
    assert k.dax_direct_access("pmem0", 0, 16) == 16
    assert k.dax_direct_access("pmem0", 0, 2 * PAGES) == PAGES
    assert k.dax_direct_access("pmem0", PAGES - 3, 16) == 3


@pytest.mark.parametrize(
    ("host", "pgoff", "nr_pages", "error"),
    [
        ("pmem0", PAGES, 1, errno.ERANGE),
        ("pmem0", 0, -1, errno.EINVAL),
        ("pmem1", 0, 1, errno.EOPNOTSUPP),
    ],
)
def test_access_to_what_is_not_there_fails(
    k: Kernel, host: str, pgoff: int, nr_pages: int, error: int
) -> None:
    bind(k, "raw")
    with pytest.raises(KernelError) as raised:
        k.dax_direct_access(host, pgoff, nr_pages)
    assert raised.value.errno == error


def test_disk_is_not_found_after_unbind(k: Kernel) -> None:
    k.driver("pmem").unbind(bind(k, "raw"))
    with pytest.raises(KernelError) as raised:
        k.dax_pfn("pmem0", 0)
    assert raised.value.errno == errno.EOPNOTSUPP
    k.assert_quiescent()


def test_unbind_waits_for_whoever_is_inside_a_read_section(k: Kernel) -> None:
    device = bind(k, "raw")
    index = k.dax_read_lock()
    with pytest.raises(Blocked) as blocked:
        k.driver("pmem").unbind(device)
    # It is on its way out: nobody who comes now gets in.
    with pytest.raises(KernelError) as raised:
        k.dax_pfn("pmem0", 0)
    assert raised.value.errno == errno.EOPNOTSUPP
    assert not blocked.value.task.done
    k.dax_read_unlock(index)
    assert blocked.value.task.done
    k.assert_quiescent()


@pytest.mark.parametrize("index", [0, 1, 2, -1])
def test_unlock_of_what_is_not_locked_is_refused(k: Kernel, index: int) -> None:
    with pytest.raises(ValueError, match="dax_read_lock"):
        k.dax_read_unlock(index)


@pytest.mark.parametrize("altmap", [False, True])
def test_device_dax_instance_goes_with_its_region(k: Kernel, altmap: bool) -> None:
    dax = k.driver("dax_pmem", altmap=altmap)
    device = dax.device(START, SIZE)
    for _ in range(2):
        dax.bind(device)
        page = k.page((START >> 12) + 0x10000)
        assert page.pgmap is not None
        dax.unbind(device)
        k.assert_quiescent()


def test_unbind_of_device_dax_waits_for_a_pagemap_that_is_held(k: Kernel) -> None:
    dax = k.driver("dax_pmem")
    device = dax.device(START, SIZE)
    dax.bind(device)
    pagemap = k.get_dev_pagemap(START >> 12)
    assert pagemap is not None
    with pytest.raises(Blocked, match="completion") as blocked:
        dax.unbind(device)
    assert k.get_dev_pagemap(START >> 12) is None
    pagemap.put()
    assert blocked.value.task.done
    k.assert_quiescent()
