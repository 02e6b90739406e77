# SPDX-License-Identifier: GPL-2.0-only
"""What can be seen of a device and its memory: where its pages are, and in which state."""

from __future__ import annotations

from typing import Any

from memremap_emu.device import Device
from memremap_emu.kernel import Kernel
from memremap_emu.memory import Page, PageMap

#: What is seen, by its name.
State = dict[str, Any]


def first_device_page(kernel: Kernel, start: int, size: int) -> int | None:
    """Pfn of a device page in the middle of [start, start + size), away from metadata and pads,
    None if there is none."""
    shift = kernel.config.page_shift
    candidates = [(start + size // 8 * eighths) >> shift for eighths in (6, 5, 7, 4, 3, 2)]
    # The index has whole pages only, counted from the first.
    behind = (start >> shift) + (size >> shift)
    for pfn in (*candidates, start >> shift, behind - 1):
        if not 0 <= pfn < behind:
            continue
        page = kernel.page(pfn)
        if page.valid and page.initialised and page.pgmap is not None:
            return pfn
    return None


def state_of(kernel: Kernel, device: Device, start: int, pfn: int, *, queue: bool) -> State:
    """The state of a device, bound or not.

    Args:
        start: physical address of its memory
        pfn: of a page in the middle of that
        queue: whether its driver has one
    """
    state: State = {"bound": device.bound}
    for number in (start >> kernel.config.page_shift, pfn):
        page = kernel.page(number)
        state[f"pfn {number:#x} valid"] = page.valid
        if page.valid:
            state[f"page {number:#x}"] = _page_state(page)
    page = kernel.page(pfn)
    pagemap = page.pgmap if page.valid and page.initialised else None
    if pagemap is not None:
        state["pagemap"] = _pagemap_state(pagemap)
    if queue and device.bound:
        # With a pagemap, its ref is the queue's.
        ref = device.queue_ref.logical if pagemap is None else None
        state["queue"] = (ref, device.queue_freeze_depth)
    state["linear"] = kernel.linear_mapping_present(pfn)
    return state


def _page_state(page: Page) -> tuple[Any, ...]:
    if not page.initialised:
        return ("uninitialised",)
    return page.count, page.zone, page.pgmap_word


def _pagemap_state(pagemap: PageMap) -> tuple[Any, ...]:
    ref = pagemap.ref
    return (
        pagemap.start,
        pagemap.end,
        pagemap.altmap_valid and pagemap.altmap.alloc,
        ref is not None and ref.logical,
    )
