# SPDX-License-Identifier: GPL-2.0-only
"""allocate_resource() of a resource that is linked already: it is resized or moved."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from memremap_emu import Kernel, KernelError, Resource

LIMIT = 0xFFFF


@pytest.fixture(params=[True, False], ids=["checked", "plain"])
def k(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with Kernel(checked=request.param) as kernel:
        yield kernel


@pytest.fixture
def root(k: Kernel) -> Resource:
    """0000-0fff "first", 2000-2fff "old", 8000-8fff "last", in 0000-ffff."""
    root = k.resource(0, LIMIT, "root")
    for start, name in ((0, "first"), (0x2000, "old"), (0x8000, "last")):
        root.request(k.resource(start, start + 0xFFF, name))
    return root


def old_of(root: Resource) -> Resource:
    return root.children[1]


def place(resource: Resource) -> tuple[int, int]:
    return resource.start, resource.end


def test_place_around_the_old_one_is_taken_with_its_children(k: Kernel, root: Resource) -> None:
    old = old_of(root)
    child = k.resource(0x2000, 0x20FF, "child")
    old.request(child)
    root.allocate(old, 0x6000, 0x1000, LIMIT, 0x1000)
    assert place(old) == (0x1000, 0x6FFF)
    assert child.parent == old


def test_resource_grows_to_where_there_is_room(root: Resource) -> None:
    old = old_of(root)
    root.allocate(old, 0x7000, 0, LIMIT, 0x1000)
    assert place(old) == (0x1000, 0x7FFF)
    assert [r.name for r in root.children] == ["first", "old", "last"]


def test_resource_that_fits_nowhere_stays_as_it_was(root: Resource) -> None:
    old = old_of(root)
    with pytest.raises(KernelError) as error:
        root.allocate(old, 0x8000, 0, LIMIT, 0x1000)
    assert error.value.errno == errno.EBUSY
    assert place(old) == (0x2000, 0x2FFF)


def test_resource_shrinks_in_its_place(root: Resource) -> None:
    old = old_of(root)
    root.allocate(old, 0x800, 0x2400, 0x2FFF, 0x400)
    assert place(old) == (0x2400, 0x2BFF)
    assert [r.name for r in root.children] == ["first", "old", "last"]


def test_resource_moves_behind_its_neighbour(root: Resource) -> None:
    old = old_of(root)
    root.allocate(old, 0x1000, 0x9000, LIMIT, 0x1000)
    assert place(old) == (0x9000, 0x9FFF)
    assert [r.name for r in root.children] == ["first", "last", "old"]


def test_resource_with_children_does_not_move(k: Kernel, root: Resource) -> None:
    old = old_of(root)
    old.request(k.resource(0x2000, 0x20FF, "child"))
    with pytest.raises(KernelError) as error:
        root.allocate(old, 0x1000, 0x9000, LIMIT, 0x1000)
    assert error.value.errno == errno.EBUSY
    assert place(old) == (0x2000, 0x2FFF)


def test_first_resource_of_its_root_moves_up(root: Resource) -> None:
    first = root.children[0]
    root.allocate(first, 0x1000, 0x3000, LIMIT, 0x1000)
    assert place(first) == (0x3000, 0x3FFF)
    assert [r.name for r in root.children] == ["old", "first", "last"]
