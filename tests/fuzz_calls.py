# SPDX-License-Identifier: GPL-2.0-only
"""Random calls with random arguments, through the C boundary and through Python objects.

Run by test_robustness.py in a process of its own, so that a crash or a hang is a failing
test: ``python fuzz_calls.py boundary|objects SEED CALLS``.  Prints what it did; the last
line printed before a crash says how to run it again.
"""

from __future__ import annotations

import random
import sys
from typing import Any

import memremap_emu
from memremap_emu import Config, Kernel
from memremap_emu._native import Native
from memremap_emu.drivers import BuiltinDriver
from memremap_emu.objects import Object, Page, Task, VmemAltmap

#: Numbers that have broken something somewhere, once.
NUMBERS = (
    0, 1, -1, 2, 3, 7, 63, 64, 4095, 4096, 0x7FFF, 0x8000, 1 << 20, (1 << 27) - 1, 1 << 27,
    0x100000, 0x100000000, 0x107FFFFFF, 1 << 34, (1 << 46) - 1, 1 << 46, 1 << 52, (1 << 31) - 1,
    1 << 31, (1 << 32) - 1, 1 << 62, (1 << 63) - 1, -(1 << 63), -(1 << 31), -4096, -12,
)  # fmt: skip
CALLS_PER_KERNEL = 500


def config(rng: random.Random) -> Config:
    """Small machines, so that they fill up, of every kind."""
    return Config(
        arena_size=rng.choice((256 << 10, 1 << 20, 8 << 20)),
        preempt_rcu=rng.random() < 0.7,
        debug_vm=rng.random() < 0.7,
        physical_bits=rng.choice((34, 36)),
        kasan=rng.random() < 0.8,
        pat=rng.random() < 0.8,
    )


def kernel(rng: random.Random, number: int) -> Kernel | None:
    """One of them; None where the machine is too small to boot."""
    try:
        return Kernel(
            checked=number % 2 == 0,
            cpus=rng.choice((1, 2, 4, 64)),
            config=config(rng),
            rcu=rng.choice(("eager", "manual")),
            on_violation=rng.choice(("raise", "record")),
            trace=rng.random() < 0.3,
        )
    except memremap_emu.ArenaFull:
        return None


def boundary(rng: random.Random, calls: int) -> None:
    """emu_call() with any operation, any number of any arguments, in any task."""
    done = 0
    number = 0
    while done < calls:
        k = kernel(rng, number)
        number += 1
        if k is None:
            continue
        native = k._native
        lib, ffi = native.lib, native.ffi
        ops = lib.emu_op_count()
        signatures = [ffi.string(lib.emu_op_info(i).args).decode() for i in range(ops)]
        results = [ffi.string(lib.emu_op_info(i).result).decode() for i in range(ops)]
        skip = {i for i in range(ops) if "loop" in ffi.string(lib.emu_op_info(i).name).decode()}
        makers = [i for i in range(ops) if results[i].isupper()]
        handles: dict[str, list[int]] = {}
        tasks = [0]
        callbacks = [0] + [native.callback(i, callback(rng, k)) for i in range(3)]
        out = ffi.new("int64_t *")
        previous = ffi.new("int64_t *")
        snapshots = [k.snapshot()]
        for i in range(3):
            native.intern(f"name{i}")
        for _ in range(CALLS_PER_KERNEL):
            done += 1
            op = rng.randrange(-2, ops + 2)
            if rng.random() < 0.95:
                op = rng.choice(makers) if rng.random() < 0.1 else rng.randrange(ops)
            if op in skip:
                continue
            signature = signatures[op] if 0 <= op < ops else "ii"
            args = [argument(rng, letter, handles, callbacks, native) for letter in signature]
            if rng.random() < 0.03:
                args = [rng.choice(NUMBERS) for _ in range(rng.randrange(7))]
            nargs = len(args) if rng.random() < 0.99 else rng.choice((-1, 0, 6, 7, 1 << 30))
            task = rng.choice(tasks) if rng.random() < 0.3 else 0
            if rng.random() < 0.01:
                task = rng.choice(NUMBERS)
            args += [0] * (6 - len(args))
            lib.emu_call(native.m, task, op, nargs, args, out)
            native._exceptions.clear()
            if 0 <= op < ops and results[op].isupper() and out[0]:
                handles.setdefault(results[op], []).append(int(out[0]))
            chance = rng.random()
            if chance < 0.01:
                if lib.emu_task_new(native.m, b"task", rng.randrange(-1, 3), out) == 0:
                    tasks.append(int(out[0]))
            elif chance < 0.02:
                lib.emu_set_context(native.m, rng.choice(tasks), previous)
            elif chance < 0.025:
                snapshots.append(k.snapshot())
            elif chance < 0.045:
                number_of_one = rng.choice([s._number for s in snapshots] + [0, 1 << 20])
                if lib.emu_restore(native.m, number_of_one) == 0:
                    lib.emu_snapshot_differs(native.m, number_of_one, out)
                    assert out[0] == -1, f"restored, but for the byte at {out[0]:#x}"
            elif chance < 0.055:
                lib.emu_fault_plan(native.m, ffi.NULL, rng.randrange(3), 0, ffi.new("int *"))
            elif chance < 0.065:
                lib.emu_run(native.m, rng.choice((-1, 0, 1)))
            elif chance < 0.07:
                k.quiescence()
                _ = k.state_hash, k.dmesg, k.tasks, k.violations
        k.close()


def callback(rng: random.Random, k: Kernel) -> Any:
    """A callback that answers anything, calls back, or raises."""

    def call(a: int, b: int) -> int:
        chance = rng.random()
        if chance < 0.1:
            raise RuntimeError("a callback of the fuzzer")
        if chance < 0.3:
            k.rcu_read_lock()
            k.rcu_read_unlock()
        if chance < 0.35:
            k.synchronize_rcu()
        return rng.choice((0, 0, 0, 1, -5, -12, -517))

    return call


def argument(
    rng: random.Random, letter: str, handles: dict[str, list[int]], callbacks: list[int],
    native: Native,
) -> int:  # fmt: skip
    """An argument for this letter, as a rule of its kind."""
    if rng.random() < 0.02:
        return rng.choice(NUMBERS)
    if letter == "x":
        return rng.choice(callbacks)
    if letter == "s":
        return rng.choice([0, *native._strings.values()])
    if letter == "i":
        return rng.choice(NUMBERS) if rng.random() < 0.5 else rng.randrange(8)
    known = handles.get(letter.upper(), [])
    return rng.choice(known) if known and rng.random() < 0.97 else 0


JUNK: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 12, 1 << 12, 1 << 27, 1 << 64, -(1 << 70), 1.5, "", "x",
    "platform", "a\0b", "x" * 5000, b"bytes", (), [], {}, object(), lambda *a: 0, len,
    "\ud800", "é" * 300, "%s%n", 0x100000000, 0x108000000, float("nan"), range(3),
)  # fmt: skip


def objects(rng: random.Random, calls: int) -> None:
    """Methods and properties of the Python objects with arguments that fit and that do not."""
    done = 0
    number = 0
    while done < calls:
        k = kernel(rng, number)
        number += 1
        if k is None:
            continue
        known: list[Any] = [k, k.iomem, k.trace]
        for _ in range(CALLS_PER_KERNEL):
            done += 1
            target = rng.choice(known)
            name = rng.choice([n for n in dir(type(target)) if not n.startswith("_")])
            if name == "close" and rng.random() < 0.98:
                continue
            pool = JUNK + tuple(known)
            try:
                attribute = getattr(target, name)
                if rng.random() < 0.1 and isinstance(getattr(type(target), name), property):
                    setattr(target, name, rng.choice(pool))
                if not callable(attribute):
                    found = attribute
                else:
                    args = [rng.choice(pool) for _ in range(rng.randrange(4))]
                    if rng.random() < 0.7:
                        args = [good(rng, known) for _ in range(rng.randrange(5))]
                    found = attribute(*args)
            except SystemError:
                raise
            except (Exception, BaseExceptionGroup):
                continue
            if isinstance(found, KINDS) and len(known) < 60:
                known.append(found)
        k.close()


#: What the fuzzer keeps and calls again.
KINDS = (
    Object, Page, Task, VmemAltmap, memremap_emu.Snapshot, BuiltinDriver,
)  # fmt: skip


def good(rng: random.Random, known: list[Any]) -> Any:
    """An argument that often fits."""
    return rng.choice(
        (
            rng.randrange(5), 0x100000000, 1 << 27, 4096, "pmem", "dax_pmem", "name",
            lambda *a: 0, rng.choice(known), rng.choice(known), rng.choice(known),
        )
    )  # fmt: skip


if __name__ == "__main__":
    what, seed, calls = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    print(f"python {' '.join(sys.argv)}", flush=True)
    {"boundary": boundary, "objects": objects}[what](random.Random(seed), calls)
    print("done")
