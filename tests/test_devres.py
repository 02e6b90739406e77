# SPDX-License-Identifier: GPL-2.0-only
"""Managed resources: order of release, actions, groups, what callbacks see and may do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from memremap_emu import Blocked, Config, Kernel, KernelError, Violation
from memremap_emu.objects import Device


@pytest.fixture
def dev(k: Kernel) -> Device:
    """A device on no bus, so nothing but the test adds or releases anything."""
    return k.device("devres.0", bus=False)


class Log(list[Any]):
    """Callbacks that write down their data."""

    def action(self, data: Any) -> None:
        self.append(data)

    def release(self, device: Device, data: Any) -> None:
        self.append(data)


@pytest.fixture
def log() -> Log:
    return Log()


def warned(k: Kernel, function: str, line: int) -> bool:
    """A WARN of drivers/base/devres.c at this line."""
    return any(f"drivers/base/devres.c:{line} {function}" in text for text in k.dmesg)


# --- order ---


def test_release_runs_in_reverse_registration_order(dev: Device, log: Log) -> None:
    for name in "abcd":
        dev.add_action(log.action, name)
    assert dev.devres_release_all() == 4
    assert log == ["d", "c", "b", "a"]


def test_entries_of_all_kinds_share_one_order(k: Kernel, dev: Device, log: Log) -> None:
    dev.add_action(log.action, "a")
    dev.kzalloc(16)
    dev.devres_add(log.release, "b")
    dev.request_mem_region(0x1000, 0x1000, "r")
    dev.add_action(log.action, "c")
    assert dev.devres_release_all() == 5
    assert log == ["c", "b", "a"]
    assert str(k.iomem) == ""


def test_each_entry_is_freed_before_the_next_older_one_is_released(k: Kernel, dev: Device) -> None:
    live: list[int] = []
    for _ in range(3):
        dev.add_action(lambda data: live.append(k.stats.live_objects))
    before = k.stats.live_objects
    dev.devres_release_all()
    assert live == [before, before - 1, before - 2]


def test_older_callback_that_uses_newer_data_uses_freed_memory(k: Kernel, dev: Device) -> None:
    def use(data: Any) -> None:
        memory.read(0)

    dev.add_action(use)
    memory = dev.kzalloc(32)
    with pytest.raises(Violation) as error:
        dev.devres_release_all()
    assert error.value.kind == "use-after-free"


def test_newer_callback_may_use_older_data(k: Kernel, dev: Device) -> None:
    seen: list[int] = []
    memory = dev.kzalloc(32)
    dev.add_action(lambda data: seen.append(memory.read(0)))
    dev.devres_release_all()
    assert seen == [0]


def test_release_all_of_nothing_is_zero(dev: Device) -> None:
    assert dev.devres_release_all() == 0


# --- callbacks during the walk ---


def test_list_is_empty_while_callbacks_run(k: Kernel, dev: Device, log: Log) -> None:
    found: list[Any] = []
    dev.devres_add(log.release, "older")
    dev.add_action(lambda data: found.append(dev.devres_find(log.release)))
    dev.devres_release_all()
    assert found == [None]
    assert log == ["older"]


def test_action_that_removes_an_older_action_of_the_batch_warns(watched: Kernel, log: Log) -> None:
    dev = watched.device("devres.0", bus=False)
    dev.add_action(log.action, "older")
    dev.add_action(lambda data: dev.remove_action(log.action, "older"))
    assert dev.devres_release_all() == 2
    assert warned(watched, "devm_remove_action", 748)
    assert log == ["older"], "it is released all the same"


def test_action_that_removes_itself_warns(watched: Kernel) -> None:
    dev = watched.device("devres.0", bus=False)
    calls: list[Any] = []

    def action(data: Any) -> None:
        calls.append(data)
        dev.remove_action(action, data)

    dev.add_action(action, "self")
    dev.devres_release_all()
    assert calls == ["self"] and warned(watched, "devm_remove_action", 748)


@pytest.mark.parametrize("call", ["destroy", "release"])
def test_lookup_of_the_batch_from_a_callback_is_enoent(dev: Device, log: Log, call: str) -> None:
    errors: list[int | None] = []

    def action(data: Any) -> None:
        try:
            getattr(dev, f"devres_{call}")(log.release, "older")
        except KernelError as e:
            errors.append(e.errno)

    dev.devres_add(log.release, "older")
    dev.add_action(action)
    dev.devres_release_all()
    assert errors == [2] and log == ["older"]


def test_entries_added_by_a_callback_survive_until_the_next_release(dev: Device, log: Log) -> None:
    dev.add_action(lambda data: dev.add_action(log.action, "late"))
    assert dev.devres_release_all() == 1
    assert log == []
    assert dev.devres_release_all() == 1
    assert log == ["late"]


def test_callback_that_blocks_holds_up_the_older_ones(k: Kernel, dev: Device, log: Log) -> None:
    x = k.completion("users are gone")

    def wait(data: Any) -> Iterator[Callable[[], Any]]:
        yield x.wait
        log.append("waited")

    dev.add_action(log.action, "older")
    dev.add_action(wait)
    dev.add_action(log.action, "newer")
    with pytest.raises(Blocked) as blocked:
        dev.devres_release_all()
    assert blocked.value.waits_for == "completion users are gone"
    assert log == ["newer"]
    x.complete()
    assert log == ["newer", "waited", "older"]
    assert blocked.value.task.result == 3


def test_final_put_of_a_device_releases_what_it_still_has(k: Kernel, log: Log) -> None:
    dev = k.device("devres.0", bus=False)
    dev.add_action(log.action, "left")
    dev.delete()
    assert log == [], "device_del() does not release"
    dev.put()
    assert log == ["left"]


# --- actions ---


def test_add_action_without_memory_is_enomem_and_is_not_called(
    k: Kernel, dev: Device, log: Log
) -> None:
    with k.fault_injection("devm_add_action") as fault, pytest.raises(KernelError) as error:
        dev.add_action(log.action, "a")
    assert fault.hits == 1 and error.value.errno == 12
    assert log == [] and dev.devres_release_all() == 0


def test_add_action_or_reset_without_memory_is_enomem_and_is_called_at_once(
    k: Kernel, dev: Device, log: Log
) -> None:
    with k.fault_injection("devm_add_action"), pytest.raises(KernelError) as error:
        dev.add_action_or_reset(log.action, "a")
    assert error.value.errno == 12
    assert log == ["a"] and dev.devres_release_all() == 0


def test_remove_action_forgets_the_newest_match_without_calling_it(dev: Device, log: Log) -> None:
    for name in ("dup", "other", "dup"):
        dev.add_action(log.action, name)
    dev.remove_action(log.action, "dup")
    dev.devres_release_all()
    assert log == ["other", "dup"]


def test_remove_action_needs_both_function_and_data(watched: Kernel, log: Log) -> None:
    dev = watched.device("devres.0", bus=False)
    dev.add_action(log.action, "a")
    dev.remove_action(log.action, "b")
    assert warned(watched, "devm_remove_action", 748)
    assert dev.devres_release_all() == 1 and log == ["a"]


# --- lookups ---


def test_find_remove_and_release_take_the_newest_match(dev: Device, log: Log) -> None:
    for name in ("old", "x", "new"):
        dev.devres_add(log.release, name)
    assert dev.devres_find(log.release) == "new"
    assert dev.devres_find(log.release, "old") == "old"
    assert dev.devres_remove(log.release) == "new"
    assert log == [], "removed is neither released nor forgotten by its owner"
    dev.devres_release(log.release, "old")
    assert log == ["old"]
    dev.devres_destroy(log.release, "x")
    assert log == ["old"] and dev.devres_release_all() == 0


def test_identity_is_the_release_function(dev: Device, log: Log) -> None:
    other = Log()
    dev.devres_add(log.release, "a")
    assert dev.devres_find(other.release, "a") is None
    for call in (dev.devres_destroy, dev.devres_release):
        with pytest.raises(KernelError) as error:
            call(other.release, "a")
        assert error.value.errno == 2


# --- groups ---


class Groups:
    """A device on which ``g1< a g2< b g2> c g1> d`` can be written down."""

    IDS = {"g1": 0x100, "g2": 0x200, "g3": 0x300}  # noqa: RUF012

    def __init__(self, dev: Device, log: Log) -> None:
        self.dev = dev
        self.log = log

    def build(self, text: str) -> None:
        for word in text.split():
            if word.endswith("<"):
                assert self.dev.open_group(self.IDS[word[:-1]]) == self.IDS[word[:-1]]
            elif word.endswith(">"):
                self.dev.close_group(self.IDS[word[:-1]])
            else:
                self.dev.devres_add(self.log.release, word)

    def release(self, group: str) -> list[str]:
        """Releases a group: what was released, in order."""
        self.log.clear()
        count = self.dev.release_group(self.IDS[group])
        assert count == len(self.log)
        return list(self.log)

    def exists(self, group: str) -> bool:
        """Is the group known? Asked by removing it, on a copy of the machine."""
        k = self.dev.kernel
        snapshot = k.snapshot()
        warnings = k.stats.warnings
        with contextlib.suppress(Violation):
            self.dev.remove_group(self.IDS[group])
        known = k.stats.warnings == warnings
        snapshot.restore()
        snapshot.drop()
        return known

    def rest(self) -> list[str]:
        self.log.clear()
        self.dev.devres_release_all()
        return list(self.log)


@pytest.fixture
def groups(dev: Device, log: Log) -> Groups:
    return Groups(dev, log)


def test_release_of_an_outer_group_releases_the_inner_one(groups: Groups) -> None:
    groups.build("g1< a g2< b g2> c g1> d")
    assert groups.release("g1") == ["c", "b", "a"]
    assert not groups.exists("g1") and not groups.exists("g2")
    assert groups.rest() == ["d"]


def test_release_of_a_group_leaves_one_that_is_only_partly_inside(groups: Groups) -> None:
    groups.build("g1< a g2< b g1> c g2>")
    assert groups.release("g1") == ["b", "a"]
    assert not groups.exists("g1") and groups.exists("g2")
    assert groups.release("g2") == ["c"]


def test_open_group_inside_counts_as_contained(groups: Groups) -> None:
    groups.build("g1< a g2< b g1> c")
    assert groups.release("g1") == ["b", "a"]
    assert not groups.exists("g1") and not groups.exists("g2")
    assert groups.rest() == ["c"]


def test_open_group_extends_to_the_end(groups: Groups) -> None:
    groups.build("a g1< b c")
    assert groups.release("g1") == ["c", "b"]
    assert groups.rest() == ["a"]


def test_release_all_does_not_count_groups_and_frees_them(
    k: Kernel, groups: Groups, dev: Device
) -> None:
    before = k.stats.live_objects
    groups.build("g1< a g2< b g2> c g1> d")
    assert dev.devres_release_all() == 4
    assert k.stats.live_objects == before


def test_remove_group_keeps_what_is_inside(groups: Groups, dev: Device) -> None:
    groups.build("g1< a b g1> c")
    dev.remove_group(groups.IDS["g1"])
    assert not groups.exists("g1")
    assert groups.rest() == ["c", "b", "a"]


def test_group_without_id_is_its_own_id(dev: Device, log: Log) -> None:
    opened = dev.open_group()
    assert opened != 0
    dev.devres_add(log.release, "a")
    dev.close_group(opened)
    assert dev.release_group(opened) == 1


def test_no_id_means_the_newest_open_group(groups: Groups, dev: Device, log: Log) -> None:
    groups.build("g1< a g2< b g2> c")
    assert dev.release_group() == 3, "g2 is closed, so it is g1"
    assert log == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("call", "function", "line"),
    [
        ("close_group", "devres_close_group", 606),
        ("remove_group", "devres_remove_group", 634),
        ("release_group", "devres_release_group", 672),
    ],
)
def test_unknown_group_is_warned_of(watched: Kernel, call: str, function: str, line: int) -> None:
    dev = watched.device("devres.0", bus=False)
    assert not getattr(dev, call)(0x999)
    assert warned(watched, function, line)


def test_open_group_without_memory_is_enomem(k: Kernel, dev: Device) -> None:
    with k.fault_injection("devres_open_group"), pytest.raises(KernelError) as error:
        dev.open_group(0x100)
    assert error.value.errno == 12


# --- managed memory ---


def test_kzalloc_is_zeroed_and_kmalloc_is_not(dev: Device) -> None:
    assert dev.kzalloc(8).read(7) == 0
    assert dev.kmalloc(8).read(7) != 0


def test_kmalloc_of_nothing_is_valid_and_released(dev: Device) -> None:
    dev.kmalloc(0)
    assert dev.devres_release_all() == 1


@pytest.mark.parametrize(("size", "reason"), [(1 << 63, "overflow"), ((1 << 64) - 1, "overflow")])
def test_kmalloc_too_large_is_enomem(dev: Device, size: int, reason: str) -> None:
    with pytest.raises(KernelError) as error:
        dev.kmalloc(size)
    assert error.value.errno == 12, reason


def test_kfree_forgets_the_memory_and_null_or_foreign_memory_warns(watched: Kernel) -> None:
    dev = watched.device("devres.0", bus=False)
    memory = dev.kzalloc(8)
    dev.kfree(memory)
    assert not watched.violations and dev.devres_release_all() == 0
    dev.kfree(None)
    assert warned(watched, "devm_kfree", 893)
    foreign = watched.kmalloc(8)
    before = watched.stats.warnings
    dev.kfree(foreign)
    assert watched.stats.warnings == before + 1


def test_free_pages_really_frees_and_warns_when_missing(watched: Kernel) -> None:
    dev = watched.device("devres.0", bus=False)
    pages = dev.get_free_pages(1)
    before = watched.stats.live_bytes
    dev.free_pages(pages)
    assert watched.stats.live_bytes < before - 4096
    assert not watched.violations
    dev.free_pages(pages)
    assert warned(watched, "devm_free_pages", 989)


def test_free_percpu_forgets_the_record_and_leaks_the_memory(k: Kernel, dev: Device) -> None:
    before = k.stats.live_bytes
    memory = dev.alloc_percpu()
    dev.free_percpu(memory)
    assert dev.devres_release_all() == 0
    assert k.stats.live_bytes - before == 8 * k.cpus


def test_percpu_memory_is_freed_with_the_device(k: Kernel, dev: Device) -> None:
    before = k.stats.live_bytes
    dev.alloc_percpu()
    assert dev.devres_release_all() == 1
    assert k.stats.live_bytes == before


# --- the log ---


def test_debug_log_names_each_entry_as_the_kernel_does() -> None:
    with Kernel(config=Config(debug_devres=True)) as k:
        dev = k.device("devres.0", bus=False)
        dev.open_group(0x100)
        dev.add_action(lambda data: None)
        dev.kzalloc(24)
        dev.close_group(0x100)
        dev.devres_release_all()
        lines = [line for line in k.dmesg if "DEVRES" in line]
        words = [(line.split()[-5], line.split()[-3]) for line in lines]
        assert words == [
            ("ADD", "grp<"),
            ("ADD", "devm_action_release"),
            ("ADD", "devm_kzalloc_release"),
            ("ADD", "grp>"),
            ("REL", "grp<"),
            ("REL", "devm_kzalloc_release"),
            ("REL", "devm_action_release"),
        ], lines
        assert lines[2].endswith("(24 bytes)")
