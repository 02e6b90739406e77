# SPDX-License-Identifier: GPL-2.0-only
"""A mapping is killed before it gives its pages up: a lookup that finds it alive sees that."""

from __future__ import annotations

import pytest

from memremap_emu import Kernel

START = 0x140000000
SIZE = 1 << 27


@pytest.mark.parametrize("kills", [True, False])
def test_a_live_pagemap_whose_pages_are_gone_breaks_the_contract(kills: bool) -> None:
    """By the time of cleanup the pages have been put; a driver that kills only there is late."""
    found = []
    with Kernel("v5.2", on_violation="record") as k:
        ref = k.percpu_ref(lambda ref: None)

        def kill(_: object) -> None:
            if kills:
                ref.kill()

        def cleanup(_: object) -> None:
            found.append(k.get_dev_pagemap((START + SIZE // 2) >> 12))
            if not kills:
                assert found[0] is not None
                found[0].put()
                ref.kill()

        device = k.device("x.0")
        device.memremap_pages(k.pagemap(START, SIZE, ref=ref, kill=kill, cleanup=cleanup))
        device.devres_release_all()
        messages = [(v.kind, v.message) for v in k.violations]
    assert (found == [None]) == kills
    late = ("contract", "a pagemap that is alive has given up pfn 0x144000")
    assert (late in messages) == (not kills)


def test_a_pagemap_in_hand_may_be_kept_after_its_kill() -> None:
    with Kernel("v5.2") as k:
        ref = k.percpu_ref(lambda ref: None)
        pagemap = k.pagemap(START, SIZE, ref=ref, cleanup=lambda ref: None)
        device = k.device("x.0")
        device.memremap_pages(pagemap)
        held = k.get_dev_pagemap(START >> 12)
        assert held is not None
        assert k.get_dev_pagemap((START >> 12) + 1, held) is not None
        held.put()
        device.devres_release_all()
