# SPDX-License-Identifier: GPL-2.0-only
"""Shadow memory sees what the host does to memory of the kernel."""

from __future__ import annotations

import pytest

from memremap_emu import Kernel, Violation


def test_reading_freed_memory_is_a_use_after_free() -> None:
    with Kernel(cpus=1) as k:
        memory = k.kmalloc(8)
        memory.free()
        with pytest.raises(Violation) as e:
            memory.read()
        assert e.value.kind == "use-after-free"


def test_reading_behind_the_end_is_out_of_bounds() -> None:
    with Kernel(cpus=1) as k:
        memory = k.kmalloc(8)
        memory.read(7)
        with pytest.raises(Violation) as e:
            memory.read(8)
        assert e.value.kind == "out-of-bounds"


def test_each_late_put_of_a_page_that_is_gone_is_reported() -> None:
    with Kernel(cpus=1, on_violation="record") as k:
        k.iomem.add(0x100000000, 0x107FFFFFF, "Persistent Memory")
        device = k.device("dev.0")
        device.memremap_pages(k.pagemap(0x100000000, 1 << 27, ref=k.percpu_ref()))
        page = k.page(0x100010)
        page.get()
        page.get()
        device.devres_release_all()
        page.put()
        assert [v.kind for v in k.violations] == ["memmap-removed"]
        page.put()
        assert [v.kind for v in k.violations] == ["memmap-removed", "memmap-removed"]
