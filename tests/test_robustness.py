# SPDX-License-Identifier: GPL-2.0-only
"""Nothing that a user does in Python crashes or hangs the process, and nothing is lost."""

from __future__ import annotations

import contextlib
import copy
import gc
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from memremap_emu import (
    ArenaFull,
    Blocked,
    Config,
    Kernel,
    KernelError,
    KernelPanic,
    MachineClosed,
    MemoryType,
    TaskDied,
    Violation,
)
from memremap_emu._native import Library, Native
from memremap_emu.explore import Program as Tasks
from memremap_emu.objects import Device
from tests.sanitizers import not_under_asan

ATOMIC = 1
BASE = 0x100000000
PFN = BASE >> 12
SECTION = 128 << 20
FUZZER = Path(__file__).with_name("fuzz_calls.py")


@pytest.fixture(params=[True, False], ids=["checked", "plain"])
def k(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with Kernel(checked=request.param) as kernel:
        yield kernel


def run(code: str, timeout: float = 60) -> str:
    """Runs a program of its own: what it prints; a crash or a hang fails the test."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True, text=True, timeout=timeout, cwd=FUZZER.parents[1], check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stderr[-2000:]}"
    return done.stdout


# --- handles ---


def everything(k: Kernel) -> dict[str, Any]:
    """One object of each kind."""
    return {
        "ref": k.percpu_ref(),
        "completion": k.completion(),
        "mutex": k.mutex(),
        "spinlock": k.spinlock(),
        "rwlock": k.rwlock(),
        "wait_queue": k.wait_queue(),
        "memory": k.kmalloc(8),
        "tree": k.radix_tree(),
        "resource": k.resource(0, 1),
        "pagemap": k.pagemap(BASE, SECTION),
        "device": k.device("x.0"),
        "driver": k.driver("d", probe=lambda device: 0),
        "notifier": k.notifier(lambda event, device: None),
        "page": k.page(0),
        "iomem": k.iomem,
        "kernel": k,
    }


def poke(target: Any, arguments: Any = ()) -> list[str]:
    """Calls everything public with these arguments; names of exceptions raised."""
    raised = []
    for name in dir(type(target)):
        if name.startswith("_") or name in ("close", "kernel"):
            continue
        try:
            attribute = getattr(target, name)
            if callable(attribute):
                attribute(*arguments)
        except (Exception, BaseExceptionGroup) as e:
            raised.append(type(e).__name__)
    return raised


def test_everything_of_a_closed_kernel_is_refused(k: Kernel) -> None:
    objects = everything(k)
    objects["task"] = k.task()
    k.close()
    k.close()
    for call in (
        objects["ref"].get, objects["page"].get, objects["device"].add, objects["memory"].free,
        lambda: objects["pagemap"].start, lambda: objects["driver"].name, lambda: k.dmesg,
        lambda: str(k.iomem), k.snapshot, k.percpu_ref, lambda: k.violations, lambda: k.stats,
        k.rcu_barrier, k.run_callbacks, lambda: k.state_hash, k.quiescence, k.task,
        lambda: k.trace.functions(), lambda: k.trace.enable(), objects["task"].release,
        lambda: objects["task"].__enter__(), lambda: k.fault_sites, k.clear_warn_once,
        lambda: k.fault_injection().__enter__(), lambda: k.tasks, lambda: objects["task"].state,
    ):  # fmt: skip
        with pytest.raises(MachineClosed):
            call()
    for target in objects.values():
        poke(target)


def test_objects_of_another_kernel_are_refused(k: Kernel) -> None:
    with Kernel() as other:
        mine, theirs = everything(k), everything(other)
        for call in (
            lambda: k.pagemap(BASE, SECTION, ref=theirs["ref"]),
            lambda: mine["device"].memremap_pages(theirs["pagemap"]),
            lambda: k.iomem.root.request(theirs["resource"]),
            lambda: mine["driver"].bind(theirs["device"]),
            lambda: mine["device"].kfree(theirs["memory"]),
            lambda: k.get_dev_pagemap(0, theirs["pagemap"]),
            lambda: Tasks(k).task("t").call("percpu_ref_get", theirs["ref"], 1),
            lambda: Tasks(k).task("t").get_page(theirs["page"]),
            lambda: Tasks(k).task("t").put_page(theirs["page"]),
            lambda: k.device_private_fault(theirs["page"]),
            lambda: mine["ref"].complete_on_release(theirs["completion"]),
            lambda: k.format("%pR", theirs["resource"]),
        ):
            with pytest.raises(ValueError, match="another kernel"):
                call()


def test_only_a_completion_can_be_completed_on_release(k: Kernel) -> None:
    wrong: Any = 5
    with pytest.raises(TypeError, match="completion must be a Completion, not int"):
        k.percpu_ref().complete_on_release(wrong)


def test_objects_made_after_a_snapshot_are_refused_when_it_has_been_restored(
    k: Kernel,
) -> None:
    snapshot = k.snapshot()
    old = everything(k)
    snapshot.restore()
    new = everything(k)
    for name in ("ref", "completion", "memory", "tree", "resource", "pagemap", "device"):
        assert new[name]._handle != old[name]._handle
    with pytest.raises(ValueError):
        old["ref"].get()
    with pytest.raises(ValueError):
        _ = old["device"].name
    new["ref"].get()


def test_objects_made_before_a_snapshot_live_on(k: Kernel) -> None:
    ref = k.percpu_ref()
    snapshot = k.snapshot()
    ref.get(5)
    snapshot.restore()
    assert ref.logical == 1
    snapshot.drop()
    with pytest.raises(ValueError):
        snapshot.restore()
    with pytest.raises(ValueError):
        snapshot.drop()


def test_object_of_another_kind_is_a_type_error(k: Kernel) -> None:
    objects = everything(k)
    for call in (
        lambda: objects["device"].memremap_pages(objects["ref"]),
        lambda: k.pagemap(BASE, SECTION, ref=objects["device"]),
        lambda: k.pagemap(BASE, SECTION, ref=1),
        lambda: k.iomem.root.insert("x"),
        lambda: k.get_dev_pagemap(0, objects["page"]),
    ):
        with pytest.raises(TypeError):
            call()


@pytest.mark.parametrize("value", [None, "1", 1.0, b"1", (), True, object()])
def test_number_of_another_type_is_a_type_error(k: Kernel, value: object) -> None:
    for call in (
        lambda: k.page(value), lambda: k.kmalloc(value), lambda: k.pagemap(value, 1),
        lambda: k.resource(value, 1), lambda: k.percpu_ref().get(value),
        lambda: k.iomem.request_region(value, 1, "x"),
    ):  # fmt: skip
        with pytest.raises(TypeError):
            call()


@pytest.mark.parametrize("value", [0, 1, True, None, b"x", 1.5])
def test_memory_map_is_read_from_paths_and_text_only(k: Kernel, value: Any) -> None:
    with pytest.raises(TypeError):
        k.iomem.load(value)
    os.fstat(1)  # still open


@pytest.mark.parametrize("value", [-1, 1 << 64, 1 << 200, -(1 << 100)])
def test_number_that_does_not_fit_is_a_value_error(k: Kernel, value: int) -> None:
    for call in (
        lambda: k.page(value), lambda: k.kmalloc(value), lambda: k.pagemap(value, 1),
        lambda: k.resource(value, 1), lambda: k.radix_tree().lookup(value),
    ):  # fmt: skip
        with pytest.raises(ValueError):
            call()


@pytest.mark.parametrize("value", [1 << 64, -(1 << 63) - 1, 1 << 200])
def test_number_of_more_than_64_bits_is_not_cut_off(k: Kernel, value: int) -> None:
    dev, memory = k.device("d.0"), k.kmalloc(8)
    for call in (
        lambda: memory.read(value), lambda: memory.write(0, value), lambda: k.kmalloc(8, value),
        lambda: dev.kmalloc_array(value, 8), lambda: dev.printk("x", value),
        lambda: k.iomem.walk(print, value), lambda: k.radix_tree().insert(0, 4, value),
        lambda: k.trace.events(value), lambda: k.pagemap(BASE, SECTION, type=value),
        lambda: Tasks(k).task("t").call("kmalloc", value, 0),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="64 bits"):
            call()


@pytest.mark.parametrize("pfn", [1 << 34, (1 << 52) - 1, 1 << 63, (1 << 64) - 1])
def test_page_beyond_the_address_space_is_refused(k: Kernel, pfn: int) -> None:
    for call in (k.page(pfn).get, k.page(pfn).put, lambda: k.page(pfn).count):
        with pytest.raises(ValueError, match="beyond"):
            call()


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "\ud800"])
def test_names_that_no_kernel_can_have_are_refused(k: Kernel, name: str) -> None:
    for call in (
        lambda: k.device(name), lambda: k.mutex(name), lambda: k.resource(0, 1, name),
        lambda: k.iomem.request_region(0, 1, name),
    ):  # fmt: skip
        with pytest.raises(ValueError):
            call()


def test_names_are_text_not_formats(k: Kernel) -> None:
    dev = k.device("100%s%n%d.0", bus=False)
    dev.printk("%s %n %p %1000d")
    assert k.dmesg == [" 100%s%n%d.0: %s %n %p %1000d"]


def test_machine_has_one_owner(k: Kernel) -> None:
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot be copied or pickled"):
            copied(k.page(0)._native)


# --- contexts and failing calls, one inside the other ---


def test_context_that_is_entered_again_inside_itself_is_left_as_often(k: Kernel) -> None:
    outer, inner = k.task(cpu=1), k.task(cpu=2)
    with outer, inner, outer:
        k.rcu_read_lock()
    assert (outer.rcu_nesting, inner.rcu_nesting) == (1, 0)
    with pytest.raises(ValueError, match="use a task context"):
        k.rcu_read_lock()


def test_failing_call_inside_another_ends_alone(k: Kernel) -> None:
    with k.fault_injection("kmalloc", nth=2) as outer:
        with k.fault_injection("devm_kmalloc") as inner:
            k.kmalloc(8)
        assert (outer.left, inner.left) == (1, 1)
        with pytest.raises(KernelError):
            k.kmalloc(8)
    assert (outer.hits, inner.hits) == (1, 0)
    k.kmalloc(8)


def test_call_that_is_going_to_fail_is_not_planned_twice(k: Kernel) -> None:
    with (fault := k.fault_injection("kmalloc")), pytest.raises(RuntimeError, match="already"):
        fault.__enter__()
    k.kmalloc(8)
    with fault, pytest.raises(KernelError):
        k.kmalloc(8)


# --- callbacks that raise ---


class Boom(Exception):
    """Raised by callbacks."""


def boom(*args: Any) -> None:
    raise Boom


def raise_in_probe(k: Kernel) -> None:
    k.driver("d", probe=boom)
    k.device("d.0")


def raise_in_remove(k: Kernel) -> None:
    k.driver("d", probe=lambda device: 0, remove=boom)
    k.device("d.0").unregister()


def raise_in_action(k: Kernel) -> None:
    dev = k.device("d.0")
    dev.add_action(boom)
    dev.devres_release_all()


def raise_in_devres_release(k: Kernel) -> None:
    dev = k.device("d.0")
    dev.devres_add(boom)
    dev.devres_release_all()


def raise_in_release(k: Kernel) -> None:
    k.percpu_ref(boom, ATOMIC).kill()


def raise_in_rcu_release(k: Kernel) -> None:
    k.percpu_ref(boom).kill()


def raise_in_confirm(k: Kernel) -> None:
    k.percpu_ref().kill_and_confirm(boom)


def raise_in_kill(k: Kernel) -> None:
    k.iomem.add(BASE, BASE + SECTION - 1, "System RAM")
    pm = k.pagemap(BASE, SECTION, ref=k.percpu_ref(), kill=boom)
    k.device("d.0").memremap_pages(pm)


def raise_in_page_free(k: Kernel) -> None:
    k.dev_pagemap_get_ops()
    pm = k.pagemap(BASE, SECTION, ref=k.percpu_ref(), type=MemoryType.FS_DAX, page_free=boom)
    k.device("d.0").memremap_pages(pm)
    k.page(PFN).get()
    k.page(PFN).put()


def raise_in_rcu(k: Kernel) -> None:
    k.call_rcu(boom)


def raise_in_notifier(k: Kernel) -> None:
    k.notifier(boom)
    k.device("d.0")


def raise_in_walk(k: Kernel) -> None:
    k.iomem.add(BASE, BASE + SECTION - 1, "System RAM")
    k.iomem.walk(boom)


RAISERS = [
    raise_in_probe, raise_in_remove, raise_in_action, raise_in_devres_release, raise_in_release,
    raise_in_rcu_release, raise_in_confirm, raise_in_kill, raise_in_page_free, raise_in_rcu,
    raise_in_notifier, raise_in_walk,
]  # fmt: skip


@pytest.mark.parametrize("raiser", RAISERS, ids=lambda f: f.__name__.removeprefix("raise_in_"))
def test_exception_of_a_callback_surfaces_and_the_kernel_goes_on(
    k: Kernel, raiser: Callable[[Kernel], None]
) -> None:
    with pytest.raises(Boom):
        raiser(k)
    ref = k.percpu_ref(flags=ATOMIC)
    ref.get()
    assert ref.count == 2, "the next call is a call like any other"
    assert k.stats.blocked_tasks == 0


def test_call_ends_before_the_exception_surfaces(k: Kernel) -> None:
    done: list[str] = []
    dev = k.device("d.0")
    dev.add_action(lambda data: done.append("older"))
    dev.add_action(boom)
    with pytest.raises(Boom):
        dev.devres_release_all()
    assert done == ["older"]
    assert dev.devres_release_all() == 0


def test_signal_on_the_way_into_a_callback_or_out_of_it_is_not_lost(k: Kernel) -> None:
    dev = k.device("d.0")
    border = (Library._upcall.__code__, Native.upcall.__code__)
    left = 0

    def handler(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal left
        if frame.f_code not in border:
            return None
        if event != "return":
            left -= 1
            if not left:
                raise Boom
        return handler

    before = sys.gettrace()
    for number in range(1, 100):
        left = number
        dev.add_action(lambda data: None)
        sys.settrace(handler)
        try:
            dev.devres_release_all()
        except Boom:
            pass
        else:
            break
        finally:
            sys.settrace(before)
        dev.add_action(boom)
        with pytest.raises(Boom):
            dev.devres_release_all()
    assert number > 10, "it came before and after the callback"
    assert left > 0, "and as often as it came it was told"


def test_several_exceptions_surface_together(k: Kernel) -> None:
    dev = k.device("d.0")
    for _ in range(3):
        dev.add_action(boom)
        dev.add_action(lambda data: 1 // 0)
    with pytest.raises(BaseExceptionGroup) as group:
        dev.devres_release_all()
    assert [type(e) for e in group.value.exceptions] == [ZeroDivisionError, Boom] * 3


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_exceptions_that_end_programs_surface_too(k: Kernel, error: type[BaseException]) -> None:
    def raiser(data: Any) -> None:
        raise error

    dev = k.device("d.0")
    dev.add_action(raiser)
    with pytest.raises(error):
        dev.devres_release_all()


def test_kernel_error_of_a_callback_is_its_result_and_no_exception(k: Kernel) -> None:
    def probe(device: Device) -> int:
        raise KernelError(12)

    k.driver("d", probe=probe)
    k.device("d.0")
    assert "d: probe of d.0 failed with error -12" in k.dmesg


@pytest.mark.parametrize("number", [-12, 4096, 1 << 31, 1 << 100])
def test_kernel_error_of_no_error_number_surfaces(k: Kernel, number: int) -> None:
    def raiser(data: Any) -> None:
        raise KernelError(number)

    dev = k.device("d.0")
    dev.add_action(raiser)
    with pytest.raises(KernelError) as caught:
        dev.devres_release_all()
    assert caught.value.errno == number


@pytest.mark.parametrize("result", ["text", 1.5, [], object(), 1 << 100])
def test_callback_that_returns_nonsense_is_told(k: Kernel, result: object) -> None:
    k.driver("d", probe=lambda device: result)
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        k.device("d.0")
    k.percpu_ref(flags=ATOMIC).get()


# --- callbacks that block, nest, call back ---


def test_plain_callback_that_blocks_gets_blocked(k: Kernel) -> None:
    x = k.completion()
    caught: list[str] = []

    def action(data: Any) -> None:
        try:
            x.wait()
        except Blocked as e:
            caught.append(e.waits_for)
            raise

    dev = k.device("d.0")
    dev.add_action(action)
    with pytest.raises(Blocked):
        dev.devres_release_all()
    assert caught == ["completion completion"]
    x.complete()
    k.percpu_ref(flags=ATOMIC).get()


def test_plain_callback_that_swallows_blocked_and_goes_on_is_told(k: Kernel) -> None:
    x = k.completion()
    tried: list[str] = []

    def action(data: Any) -> None:
        for _ in range(3):
            try:
                x.wait()
            except Blocked:
                tried.append("blocked")

    dev = k.device("d.0")
    dev.add_action(action)
    with pytest.raises(Blocked):
        dev.devres_release_all()
    assert tried == ["blocked"] * 3
    x.complete()
    k.run_callbacks()


def test_generator_that_blocks_is_continued_when_it_is_woken(k: Kernel) -> None:
    x = k.completion()
    steps: list[int] = []

    def action(data: Any) -> Iterator[Any]:
        for i in range(3):
            yield x.wait
            steps.append(i)

    dev = k.device("d.0")
    dev.add_action(action)
    with pytest.raises(Blocked) as blocked:
        dev.devres_release_all()
    for n in range(1, 4):
        x.complete()
        assert steps == list(range(n))
    assert blocked.value.task.done


def test_generator_that_yields_nonsense_is_told(k: Kernel) -> None:
    def action(data: Any) -> Iterator[Any]:
        yield 42

    dev = k.device("d.0")
    dev.add_action(action)
    with pytest.raises(TypeError):
        dev.devres_release_all()
    assert dev.devres_release_all() == 0


def test_generator_parked_for_ever_is_dropped_with_its_kernel(k: Kernel) -> None:
    x = k.completion()

    def action(data: Any) -> Iterator[Any]:
        yield x.wait

    dev = k.device("d.0")
    dev.add_action(action)
    with pytest.raises(Blocked):
        dev.devres_release_all()
    k.close()


def test_callbacks_nested_too_deeply_are_refused(k: Kernel) -> None:
    depth = 0

    def action(data: Any) -> None:
        nonlocal depth
        depth += 1
        dev.add_action(action)
        dev.devres_release_all()

    dev = k.device("d.0")
    dev.add_action(action)
    with contextlib.suppress(RuntimeError, ValueError, BaseExceptionGroup):
        dev.devres_release_all()
    assert 1 < depth < 1000
    k.percpu_ref(flags=ATOMIC).get()


def test_callback_may_use_the_kernel_that_calls_it(k: Kernel) -> None:
    def action(data: Any) -> None:
        everything(k)
        _ = k.dmesg, k.stats, k.violations, str(k.iomem), k.tasks

    dev = k.device("d.0")
    dev.add_action(action)
    dev.devres_release_all()
    assert k.iomem.root.start == 0


def test_callback_may_use_another_kernel_but_not_close_its_own(k: Kernel) -> None:
    seen: list[int] = []

    def action(data: Any) -> None:
        with Kernel() as other:
            ref = other.percpu_ref()
            ref.get()
            seen.append(ref.logical)
        with pytest.raises(RuntimeError, match="in use"):
            k.close()
        with pytest.raises(RuntimeError):
            k.snapshot()

    dev = k.device("d.0")
    dev.add_action(action)
    dev.devres_release_all()
    assert seen == [2]


def test_callback_that_restores_a_snapshot_is_refused(k: Kernel) -> None:
    snapshot = k.snapshot()
    dev = k.device("d.0")
    dev.add_action(lambda data: snapshot.restore())
    with pytest.raises(RuntimeError):
        dev.devres_release_all()


# --- running out of things ---


@pytest.mark.parametrize("checked", [True, False])
def test_full_arena_is_arena_full_and_a_restore_recovers(checked: bool) -> None:
    with Kernel(checked=checked, config=Config(arena_size=256 << 10)) as k:
        snapshot = k.snapshot()
        for _ in range(3):
            with pytest.raises(ArenaFull):
                for _ in range(100_000):
                    k.kmalloc(64)
            with pytest.raises(ArenaFull):
                k.kmalloc(4096)
            _ = k.dmesg, k.stats, k.violations, k.quiescence()
            snapshot.restore()
            k.percpu_ref().get()


def fill(k: Kernel, make: Callable[[int], object]) -> type[BaseException]:
    """Makes things until that fails: how."""
    for i in range(1_000_000):
        try:
            make(i)
        except (ArenaFull, RuntimeError) as e:
            return type(e)
    raise AssertionError("a machine of 256 KiB that never fills")


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("names", ArenaFull),
        ("devices", ArenaFull),
        ("refs", ArenaFull),
        ("regions", ArenaFull),
        ("callbacks", ArenaFull),
        ("actions", ArenaFull),
        ("tree", ArenaFull),
        ("contexts", RuntimeError),
        ("sleepers", RuntimeError),
        ("page runs", ArenaFull),
    ],
)
def test_whatever_fills_a_machine_is_told(what: str, expected: type[BaseException]) -> None:
    config = Config(arena_size=256 << 10 if expected is ArenaFull else 4 << 20)
    with Kernel(rcu="manual", config=config) as k:
        snapshot = k.snapshot()
        dev = k.device("d.0")
        tree = k.radix_tree()
        wq = k.wait_queue()

        def sleep(i: int) -> None:
            with contextlib.suppress(Blocked):
                wq.sleep()

        if what == "page runs":
            k.device("e.0").memremap_pages(k.pagemap(BASE, SECTION, ref=k.percpu_ref()))
        make: dict[str, Callable[[int], object]] = {
            "names": lambda i: k._native.intern(f"a rather long name that is new: {i}"),
            "devices": lambda i: k.device(f"x.{i}"),
            "refs": lambda i: k.percpu_ref(),
            "regions": lambda i: k.iomem.request_region(i * 4096, 4096, "x"),
            "callbacks": lambda i: k.call_rcu(lambda: None),
            "actions": lambda i: dev.add_action(print, i),
            "tree": lambda i: tree.insert(i << 12, 1),
            "contexts": lambda i: k.task(),
            "sleepers": sleep,
            "page runs": lambda i: k.page(PFN + 2 * i % 0x8000).get(),
        }
        assert fill(k, make[what]) is expected
        k.quiescence()
        snapshot.restore()
        k.percpu_ref().get()


def test_arena_too_small_to_boot_is_refused() -> None:
    with pytest.raises(ValueError):
        Config(arena_size=4096)


limits_address_space = not_under_asan(
    "AddressSanitizer reserves more address space than the limit that this test sets"
)


@limits_address_space
def test_arena_larger_than_the_address_space_of_the_host_is_a_memory_error() -> None:
    run("""
        import resource
        import memremap_emu
        from memremap_emu import Config, Kernel
        Kernel().close()
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        for checked in (True, False):
            for _ in range(3):
                try:
                    Kernel(checked=checked, config=Config(arena_size=1 << 34))
                except MemoryError as e:
                    assert not isinstance(e, memremap_emu.ArenaFull)
                else:
                    raise AssertionError("16 GiB in 1 GiB")
        with Kernel() as k:
            k.percpu_ref().get()
    """)


@limits_address_space
def test_snapshots_beyond_the_memory_of_the_host_are_a_memory_error() -> None:
    run("""
        import resource
        from memremap_emu import Config, Kernel
        k = Kernel(config=Config(arena_size=64 << 20))
        for _ in range(100):
            k.kmalloc(100 << 10)
        resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
        taken = []
        try:
            for _ in range(1000):
                taken.append(k.snapshot())
        except MemoryError:
            pass
        else:
            raise AssertionError("10 GiB in 512 MiB")
        taken[0].restore()
        k.percpu_ref().get()
    """)


# --- oopses ---


def test_wild_pointer_is_an_oops_that_kills_the_task(k: Kernel) -> None:
    ref = k.percpu_ref(flags=ATOMIC)
    ref.kill()
    ref.exit()
    with pytest.raises((TaskDied, Violation)):
        ref.reinit()  # brings it to life without counters
        ref.switch_to_percpu()
    k.completion().complete()
    assert any(v.kind == "bug" for v in k.violations)


def test_failed_init_does_not_crash_whoever_uses_the_ref_all_the_same(k: Kernel) -> None:
    ref = k.percpu_ref()
    ref.kill()
    ref.exit()
    with k.fault_injection("percpu_ref_init"), pytest.raises(KernelError):
        ref.init()
    for call in (ref.get, ref.put, ref.tryget, ref.tryget_live, ref.kill, ref.exit):
        with contextlib.suppress(Violation, TaskDied, Blocked):
            call()
    k.percpu_ref(flags=ATOMIC).get()


def test_locks_of_a_dead_task_stay_held(k: Kernel) -> None:
    dead = k.percpu_ref(flags=0)
    dead.kill()
    k.rcu_barrier_sched()
    dead.exit()
    with pytest.raises((TaskDied, Violation)):
        dead.reinit()
    with pytest.raises(Blocked) as blocked:
        k.percpu_ref(flags=ATOMIC).kill()
    assert "percpu_ref_switch_lock" in blocked.value.waits_for
    assert blocked.value.task.state == "blocked"


def test_panicked_kernel_answers_nothing_until_it_is_restored() -> None:
    with Kernel(config=Config(panic_on_warn=True), on_violation="record") as k:
        dev = k.device("d.0")
        snapshot = k.snapshot()
        with pytest.raises(KernelPanic):
            dev.warn("enough")
        assert k.dmesg[-1] == "Kernel panic - not syncing: panic_on_warn set ..." or any(
            "panic_on_warn set ..." in line for line in k.dmesg
        )
        for call in (dev.get, k.percpu_ref, k.rcu_barrier):
            with pytest.raises(KernelPanic):
                call()
        snapshot.restore()
        dev.printk("alive")


@pytest.mark.parametrize("checked", [True, False])
def test_task_that_goes_round_in_circles_is_a_soft_lockup(checked: bool) -> None:
    """A resource that is listed in one tree and lives in another closes a ring."""
    with Kernel(checked=checked, on_violation="record") as k:
        one, two = k.resource(0, 0xFFFF, "one"), k.resource(0, 0xFFFF, "two")
        first, second, third = (k.resource(n << 12, n << 12 | 0xFF) for n in (1, 2, 3))
        for r in (first, second, third):
            one.request(r)
        two.request(third)
        third.adjust(0x1800, 0x100)
        one.request(third)
        with pytest.raises(TaskDied, match="soft lockup"):
            one.lookup(0x9000)
        assert [v.kind for v in k.violations] == ["soft-lockup"]
        k.percpu_ref(flags=ATOMIC).get()
        with pytest.raises(Blocked) as blocked:
            k.resource(0, 1).request(k.resource(0, 0))
        assert "resource_lock" in blocked.value.waits_for, "held by a task that is dead"


def test_long_operation_that_the_host_asked_for_is_no_lockup() -> None:
    with Kernel(checked=False) as k:
        tree = k.radix_tree()
        assert k._native.call("radix_tree_lookup_loop", tree._handle, 0, 1, 600_000_000) == 0
        assert not k.violations


def test_resource_cannot_be_linked_twice_or_into_itself(k: Kernel) -> None:
    root = k.resource(0, 0xFFFF)
    child = k.resource(0x1000, 0x1FFF)
    root.request(child)
    grandchild = k.resource(0x1100, 0x11FF)
    child.request(grandchild)
    for parent, new in ((root, root), (child, root), (grandchild, child), (root, grandchild)):
        for call in (parent.request, parent.insert, parent.insert_expand_to_fit):
            with pytest.raises(ValueError):
                call(new)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda k: k.driver("d", probe=5), TypeError, "probe must be callable, not int"),
        (lambda k: k.driver("d", probe=id, remove=5), TypeError, "remove must be callable"),
        (lambda k: k.driver("d", probe=id, match=5), TypeError, "match must be callable"),
        (lambda k: k.driver("pmem", match=lambda d: 1), ValueError, "match= needs probe="),
        (lambda k: k.notifier(5), TypeError, "callback must be callable"),
        (lambda k: k.pagemap(BASE, SECTION, page_free=5), TypeError, "page_free must be callable"),
        (lambda k: k.device("d.0").add_action(5), TypeError, "action must be callable"),
        (lambda k: k.device("d.0").devres_add(5), TypeError, "release must be callable"),
        (lambda k: k.percpu_ref().switch_to_atomic(5), TypeError, "confirm must be callable"),
        (lambda k: k.task(name=5), TypeError, "name must be a str, not int"),
        (lambda k: k.task(name="a\0b"), ValueError, "NUL"),
        (lambda k: Tasks(k).task(5), TypeError, "name must be a str, not int"),
        (lambda k: Tasks(k).task("a\0b"), ValueError, "NUL"),
        (lambda k: Tasks(k).task("t", cpu=1 << 40), TypeError, "cpu must be an int"),
        (lambda k: k.fault_injection("kmalloc\0x"), ValueError, "NUL"),
        (lambda k: k.fault_injection(nth=1 << 70), ValueError, "nth is 0x400000000000000000"),
        (lambda k: k.run_callbacks("all"), TypeError, "n must be an int, not str"),
        (lambda k: k.printk(5), TypeError, "must be a str, not int"),
        (lambda k: k.mutex([]), TypeError, "must be a str, not list"),
        (lambda k: k.zone("DMA"), ValueError, "no zone 'DMA'; known: Device, Normal"),
        (lambda k: k.device_private_fault(5), TypeError, "page must be a Page, not int"),
        (lambda k: Tasks(k).task("t").put_page(5), TypeError, "page must be a Page, not int"),
        (lambda k: Tasks(k).task("t").bind(5, 5), TypeError, "driver must be a Driver, not int"),
        (
            lambda k: Tasks(k).task("t").unbind(k.driver("d", probe=id), 5),
            TypeError,
            "device must be a Device, not int",
        ),
        (lambda k: k.format("%d", 1 << 64), ValueError, "does not fit into 64 bits"),
        (lambda k: k.format("%d", -(1 << 63) - 1), ValueError, "does not fit into 64 bits"),
    ],
)
def test_argument_of_a_wrong_kind_is_refused_where_it_is_passed(
    k: Kernel, call: Callable[[Kernel], object], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        call(k)
    k.assert_quiescent()


def test_running_more_callbacks_than_there_can_be_runs_all(k: Kernel) -> None:
    k.run_callbacks(1 << 70)
    k.run_callbacks(-(1 << 70))


# --- threads, processes, garbage ---


def test_kernel_used_by_two_threads_at_once_is_refused(k: Kernel) -> None:
    inside, go_on = threading.Event(), threading.Event()
    caught: list[BaseException] = []

    def action(data: Any) -> None:
        inside.set()
        assert go_on.wait(10)

    dev = k.device("d.0")
    dev.add_action(action)
    worker = threading.Thread(target=dev.devres_release_all)
    worker.start()
    assert inside.wait(10)
    for call in (k.percpu_ref, k.page(0).get, k.snapshot, k.close, k.run_callbacks, k.task):
        try:
            call()
        except RuntimeError as e:
            caught.append(e)
    go_on.set()
    worker.join(10)
    assert len(caught) == 6 and all("in use" in str(e) for e in caught)
    k.percpu_ref().get()


class AnotherThreadsTurn:
    """The machine's library, where another thread runs between the end of a call and its result."""

    def __init__(self, lib: Any, turn: Callable[[], object]) -> None:
        self.lib = lib
        self.turn: Callable[[], object] | None = turn

    def __getattr__(self, name: str) -> Any:
        function = getattr(self.lib, name)
        if name not in ("emu_call", "emu_text"):
            return function

        def call(*args: Any) -> Any:
            status = function(*args)
            turn, self.turn = self.turn, None
            if turn:
                thread = threading.Thread(target=turn)
                thread.start()
                thread.join(10)
            return status

        return call


def test_result_of_a_call_is_its_own_whoever_calls_before_it_is_read(k: Kernel) -> None:
    ref, other = k.percpu_ref(), k.percpu_ref()
    ref.get(6)
    found: list[int] = []
    k._native.lib = AnotherThreadsTurn(k._native.lib, lambda: found.append(other.logical))
    assert ref.logical == 7
    assert found == [1]


def test_text_of_a_reading_is_its_own_whoever_reads_before_it_is_decoded(k: Kernel) -> None:
    one, two = k.device("one.0"), k.device("two.0")
    found: list[str] = []
    k._native.lib = AnotherThreadsTurn(k._native.lib, lambda: found.append(two.name))
    assert one.name == "one.0"
    assert found == ["two.0"]


def test_what_a_callback_raised_is_told_to_the_thread_that_ran_it(k: Kernel) -> None:
    dev, ref = k.device("d.0"), k.percpu_ref()

    def action(data: Any) -> None:
        raise LookupError("from the action")

    dev.add_action(action)
    found: list[int] = []
    k._native.lib = AnotherThreadsTurn(k._native.lib, lambda: found.append(ref.logical))
    with pytest.raises(LookupError, match="from the action"):
        dev.devres_release_all()
    assert found == [1]


@pytest.mark.parametrize("checked", [True, False])
def test_reading_a_full_machine_leaves_the_next_call_alone(checked: bool) -> None:
    k = Kernel(checked=checked, config=Config(arena_size=256 << 10))
    ref, dev = k.percpu_ref(), k.device("d.0")
    k.iomem.add(BASE, BASE + SECTION - 1, "Persistent Memory")
    for size in (2048, 1, 0):  # down to the last byte
        for i in range(10_000):
            try:
                k._native.intern(f"{i:x}".ljust(size, "."))
            except ArenaFull:
                break
        else:
            pytest.fail("the arena never gets full")
    for read in (lambda: str(k.iomem), lambda: dev.name, lambda: repr(ref), lambda: k.state_hash):
        with contextlib.suppress(ArenaFull):
            read()
        ref.get()
        ref.put()


def life(checked: bool) -> int:
    """Bind, use, unbind: what every kernel must end with."""
    with Kernel(checked=checked) as k:
        k.iomem.add(BASE, BASE + SECTION - 1, "Persistent Memory")
        driver = k.driver("dax_pmem")
        dev = driver.device(BASE, SECTION)
        driver.bind(dev)
        k.page(PFN + 0x4000).get()
        k.page(PFN + 0x4000).put()
        driver.unbind(dev)
        k.assert_quiescent()
        return k.state_hash


@pytest.mark.parametrize("checked", [True, False])
def test_hundred_kernels_in_two_threads_do_not_know_of_each_other(checked: bool) -> None:
    expected = life(checked)
    found: list[int] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            found.extend(life(checked) for _ in range(50))
        except BaseException as e:  # shown below
            errors.append(e)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not errors
    assert found == [expected] * 100


def test_hundred_kernels_alive_at_once() -> None:
    kernels = [Kernel(cpus=1 + i % 4, checked=bool(i % 2)) for i in range(100)]
    refs = [kernel.percpu_ref() for kernel in kernels]
    for i, ref in enumerate(refs):
        ref.get(i + 1)
    assert [ref.logical for ref in refs] == [i + 2 for i in range(100)]
    for kernel in kernels:
        kernel.close()


def test_kernel_that_is_closed_while_another_thread_calls_it_is_closed_for_that() -> None:
    run("""
        import threading
        import time
        from memremap_emu import Kernel, MachineClosed

        def work(k, told):
            page = k.page(0x100)
            while True:
                try:
                    page.valid
                except MachineClosed:
                    told.append(k)
                    return
                except RuntimeError as e:
                    assert "in use" in str(e), e

        for _ in range(20):
            k, told = Kernel(), []
            threads = [threading.Thread(target=work, args=(k, told)) for _ in range(2)]
            for t in threads:
                t.start()
            time.sleep(0.01)
            while True:
                try:
                    k.close()
                    break
                except RuntimeError as e:
                    assert "in use" in str(e), e
            for t in threads:
                t.join(10)
            assert told == [k, k]
    """)


def test_memory_of_a_kernel_that_was_closed_under_another_thread_goes_with_its_last_user() -> None:
    run("""
        import gc
        import threading
        from memremap_emu import Config, Kernel

        def size():
            with open("/proc/self/statm") as f:
                return int(f.read().split()[0]) * 4096

        inside, go_on = threading.Event(), threading.Event()
        busy = Kernel()

        def match(dev):
            inside.set()
            go_on.wait(10)
            return 0

        def work():
            busy.driver("x", probe=lambda dev: 0, match=match)
            busy.device("x.0")

        thread = threading.Thread(target=work)
        thread.start()
        assert inside.wait(10)
        before = size()
        for _ in range(4):
            Kernel(config=Config(arena_size=1 << 32)).close()
        gc.collect()
        assert size() - before < 2 << 32, size() - before  # one mapping is kept for the next
        go_on.set()
        thread.join(10)
    """)


def test_kernel_made_in_one_thread_works_in_another(k: Kernel) -> None:
    result: list[int] = []
    ref = k.percpu_ref()

    def work() -> None:
        ref.get()
        with k.task(cpu=1):
            k.rcu_read_lock()
            k.rcu_read_unlock()
        result.append(ref.logical)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert result == [2]
    ref.put()


def test_package_that_has_not_been_built_says_so(tmp_path: Path) -> None:
    """As it is found in the directory of a clone, before the installed one."""
    import memremap_emu

    package = Path(memremap_emu.__file__).parent
    shutil.copytree(
        package,
        tmp_path / "memremap_emu",
        ignore=shutil.ignore_patterns("*.so", "*.json", "__pycache__"),
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", "from memremap_emu import Kernel; Kernel()"],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert "ImportError: memremap_emu was found in" in done.stderr
    assert "has not been built" in done.stderr


def test_task_that_overruns_its_stack_dies_and_takes_nobody_along(k: Kernel) -> None:
    ref, completion = k.percpu_ref(), k.completion("c")
    with pytest.raises(Blocked) as blocked:
        completion.wait()
    calls = k._native.call("use_stack", 16 << 10)
    assert calls == 32
    with pytest.raises((TaskDied, Violation)):
        k._native.call("use_stack", 1 << 20)
    assert any("unable to handle kernel paging request" in line for line in k.dmesg)
    assert k._native.call("use_stack", 16 << 10) == calls
    ref.get()
    assert ref.logical == 2
    completion.complete()
    assert blocked.value.task.done, "its stack is next to the one that was overrun"


def test_oops_in_a_thread_that_made_no_kernel_is_an_oops_all_the_same() -> None:
    run("""
        import threading
        from memremap_emu import Kernel, TaskDied, Violation
        k = Kernel(on_violation="record")
        ref = k.percpu_ref()
        ref.kill()
        ref.exit()
        seen = []
        def work():
            try:
                ref.reinit()
            except TaskDied:
                seen.append(1)
        t = threading.Thread(target=work)
        t.start()
        t.join()
        assert seen == [1]
    """)


def test_kernel_is_collected_with_everything_made_from_it() -> None:
    kernel = Kernel()
    gone = weakref.ref(kernel)
    objects = everything(kernel)
    # A default keeps them for good; what a closure names would go with the del below.
    objects["device"].add_action(lambda data, kept=objects: kept)
    del kernel, objects
    gc.collect()
    assert gone() is None


def test_search_that_is_finalised_after_its_kernel_leaves_it_alone() -> None:
    run("""
        import gc
        from memremap_emu import Kernel
        from memremap_emu.explore import Program
        gc.collect()  # garbage is finalised in an order that depends on what came before
        for _ in range(3):
            k = Kernel()
            program = Program(k)
            program.task("t").get(k.percpu_ref())
            k.search = program.search()
            k.search.run(0.001)
            del k, program
            gc.collect()
    """)


def test_object_keeps_its_kernel_alive() -> None:
    ref = Kernel().percpu_ref()
    gc.collect()
    ref.get()
    assert ref.logical == 2


def test_kernel_collected_while_tasks_are_parked_and_contexts_are_open() -> None:
    run("""
        import gc
        from memremap_emu import Blocked, Kernel
        for _ in range(20):
            k = Kernel()
            task = k.task()
            x = k.completion()
            try:
                x.wait()
            except Blocked:
                pass
            task.__enter__()
            k.rcu_read_lock()
            del x
            del k, task
            gc.collect()
    """)


def test_forked_child_has_a_kernel_of_its_own(k: Kernel) -> None:
    ref = k.percpu_ref()
    ref.get()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            ref.get(10)
            with Kernel() as other:
                other.percpu_ref().get()
            status = 0 if ref.logical == 12 else 2
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert ref.logical == 2


def test_segfaults_of_others_are_not_swallowed() -> None:
    done = subprocess.run(
        [sys.executable, "-c",
         "import ctypes, memremap_emu; k = memremap_emu.Kernel(); ctypes.string_at(0)"],
        capture_output=True, timeout=60, cwd=FUZZER.parents[1], check=False,
    )  # fmt: skip
    assert done.returncode == -11


FAULTS = """
        import ctypes, faulthandler, sys
        from memremap_emu import Kernel, TaskDied
        checked = {checked}
        k = Kernel(on_violation="record", checked=checked)
        faulthandler.enable()
        {between}
        for _ in range(2):
            try:
                k._native.call("use_stack", 1 << 20)
            except TaskDied:
                print([v.message for v in k.violations][-1])
        sys.stdout.flush()
        {end}
"""


def faults(checked: bool, between: str = "", end: str = "") -> tuple[int, list[str], str]:
    """What becomes of a task's page faults, and of one that is nobody's: status and output."""
    code = textwrap.dedent(FAULTS.format(checked=checked, between=between, end=end))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, timeout=60, cwd=FUZZER.parents[1], check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize("checked", [True, False], ids=["checked", "plain"])
def test_faults_are_the_machines_again_once_another_kernel_is_made(checked: bool) -> None:
    status, found, errors = faults(checked, "other = Kernel(checked=checked)")
    assert (status, errors) == (0, "")
    assert len(found) == 2
    assert all(re.fullmatch(r"unable to handle kernel paging request at \w{16}", f) for f in found)


@pytest.mark.parametrize("checked", [True, False], ids=["checked", "plain"])
def test_fault_that_another_handler_saw_first_has_no_address(checked: bool) -> None:
    status, found, errors = faults(checked)
    assert status == 0
    assert errors.count("Fatal Python error: Segmentation fault") == 1, "it does not know better"
    assert found[0] == "unable to handle kernel paging request"
    assert re.fullmatch(r"unable to handle kernel paging request at \w{16}", found[1])


@pytest.mark.parametrize(
    ("between", "reports"),
    [
        ("other = Kernel(checked=checked)", 1),
        ("other = Kernel(checked=checked); faulthandler.disable(); again = Kernel()", 0),
        ("other = Kernel(); faulthandler.disable(); faulthandler.enable(); again = Kernel()", 1),
    ],
)
def test_fault_that_is_nobodys_goes_to_every_handler_once_and_kills(
    between: str, reports: int
) -> None:
    status, found, errors = faults(True, between, "ctypes.string_at(0)")
    assert status == -signal.SIGSEGV
    assert len(found) == 2
    assert errors.count("Fatal Python error: Segmentation fault") == reports


# --- at random ---


@pytest.mark.parametrize(
    ("what", "seed", "calls"),
    [("boundary", 1, 35_000), ("boundary", 2, 35_000), ("objects", 1, 30_000)],
)
def test_random_calls_with_random_arguments_neither_crash_nor_hang(
    what: str, seed: int, calls: int
) -> None:
    done = subprocess.run(
        [sys.executable, str(FUZZER), what, str(seed), str(calls)],
        capture_output=True, text=True, timeout=120, cwd=FUZZER.parents[1], check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    assert done.stdout.endswith("done\n")
