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
