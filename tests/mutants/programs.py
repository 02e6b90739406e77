# SPDX-License-Identifier: GPL-2.0-only
"""Programs of the table whose tasks race, where those of check do not reach.

Each is a function of a kernel with two CPUs that sets the machine up and returns what is to be
explored.  A name in the table is the function's, with hyphens.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from memremap_emu import Kernel
from memremap_emu.device import Device
from memremap_emu.drivers import BuiltinDriver
from memremap_emu.errors import Blocked, ViolationRecord
from memremap_emu.explore import Program

START = 0x100000000
SECTION = 1 << 27
BAR = 0xC0000000


@dataclass(frozen=True)
class Made:
    """A program that is ready to be explored.

    Attributes:
        program: the tasks; None: all has been done
        quiescence: what is left behind is judged, as everything has come back by then
        before: what setting it up has violated
    """

    program: Program | None
    quiescence: bool = True
    before: Sequence[ViolationRecord] = ()


def _bound(k: Kernel, name: str, mode: str = "fsdax") -> tuple[BuiltinDriver, Device]:
    k.iomem.load(f"{START:x}-{START + SECTION - 1:x} : Persistent Memory")
    driver = k.driver(name) if name == "dax_pmem" else k.driver(name, mode=mode)
    device = driver.device(START, SECTION)
    driver.bind(device)
    return driver, device


def percpu_ref_protocol(k: Kernel) -> Made:
    """An owner kills a count, one user holds it, one does not: as tests/models/percpu_ref.pml."""
    ref, released, confirmed = k.percpu_ref(), k.completion("released"), k.completion("confirmed")
    ref.complete_on_release(released)
    ref.get()
    program = Program(k)
    owner = program.task("owner").call("percpu_ref_kill_and_complete", ref, confirmed)
    owner.wait(released).call("percpu_ref_exit", ref)
    program.task("holder").put(ref)
    program.task("user").call("percpu_ref_use", ref)
    return Made(program, quiescence=False)


def two_switches(k: Kernel) -> Made:
    """Two tasks want a count to be atomic, and wait for it."""
    ref = k.percpu_ref(None)
    program = Program(k)
    for name in ("one", "two"):
        program.task(name).call("percpu_ref_switch_to_atomic_sync", ref)
    return Made(program, quiescence=False)


def freeze_and_unfreeze(k: Kernel) -> Made:
    """A queue is frozen under an I/O, comes to life again, and is unbound."""
    driver, device = _bound(k, "pmem", "raw")
    bio = device.submit_bio(0, 4096, write=True)
    program = Program(k)
    freezer = program.task("freezer")
    freezer.call("blk_mq_freeze_queue", device).call("blk_mq_unfreeze_queue", device)
    freezer.unbind(driver, device)
    program.task("user").end_bio(bio)
    return Made(program)


def kill_against_switch(k: Kernel) -> Made:
    """Two tasks change the mode of one count."""
    ref = k.percpu_ref(None)
    program = Program(k)
    program.task("one").kill(ref)
    program.task("two").call("percpu_ref_switch_to_atomic", ref, 0)
    return Made(program, quiescence=False)


def exit_twice(k: Kernel) -> Made:
    """A second exit does nothing."""
    ref, released = k.percpu_ref(None), k.completion()
    ref.complete_on_release(released)
    program = Program(k)
    task = program.task("one").call("percpu_ref_switch_to_atomic_sync", ref).kill(ref)
    # The switch may hold a reference still: it drops its own after all is atomic.
    task.call("wait_for_completion", released)
    task.call("percpu_ref_exit", ref).call("percpu_ref_exit", ref)
    return Made(program, quiescence=False)


def two_managed(k: Kernel) -> Made:
    """Two tasks allocate managed memory of one device."""
    device = k.device("x.0")
    program = Program(k)
    for name in ("one", "two"):
        program.task(name).call("devm_kmalloc", device, 64)
    return Made(program, quiescence=False)


def managed_and_freed(k: Kernel) -> Made:
    """One task allocates managed memory, another frees what it had allocated before."""
    device = k.device("x.0")
    memory = device.kmalloc(64)
    program = Program(k)
    program.task("one").call("devm_kmalloc", device, 64)
    program.task("two").call("devm_kfree", device, memory)
    return Made(program, quiescence=False)


def two_regions(k: Kernel) -> Made:
    """Two tasks claim regions that are disjoint, and give them back."""
    program = Program(k)
    root = k.iomem.root
    for number, name in enumerate(("one", "two")):
        args = (root, START + number * 0x1000, 0x1000)
        task = program.task(name).call("request_region", *args, name, 0)
        task.call("release_region", *args)
    return Made(program)


def regions_that_share_an_address(k: Kernel) -> Made:
    """The second of two regions begins where the first one ends."""
    k.iomem.request_region(START, 0x1000, "one")
    k.iomem.request_region(START + 0xFFF, 0x1000, "two")
    return Made(None)


def two_insertions(k: Kernel) -> Made:
    """Two tasks insert resources of their own and remove them."""
    program = Program(k)
    root = k.iomem.root
    for number, name in enumerate(("one", "two")):
        start = START + number * 0x1000
        new = k.resource(start, start + 0xFFF, name)
        task = program.task(name).call("insert_resource", root, new)
        task.call("remove_resource", new)
    return Made(program, quiescence=False)


def two_users_of_a_pool(k: Kernel) -> Made:
    """Two tasks take memory of a BAR and give it back."""
    driver = k.driver("p2pdma")
    k.iomem.load(f"{BAR:x}-{BAR + SECTION - 1:x} : PCI Bus 0000:00")
    device = driver.device(BAR, SECTION)
    driver.bind(device)
    program = Program(k)
    for name in ("one", "two"):
        program.task(name).call("pci_use_p2pmem", device, 4096)
    return Made(program, quiescence=False)


def whole_pool_twice(k: Kernel) -> Made:
    """All memory of a BAR is taken and given back; then there is as much as before."""
    driver = k.driver("p2pdma")
    k.iomem.load(f"{BAR:x}-{BAR + SECTION - 1:x} : PCI Bus 0000:00")
    device = driver.device(BAR, SECTION)
    driver.bind(device)
    before: list[ViolationRecord] = []
    for _ in range(2):
        piece = device.alloc_p2pmem(SECTION)
        if not piece:
            message = "pci_alloc_p2pmem() does not find what has been given back"
            before.append(ViolationRecord("contract", message))
            break
        device.free_p2pmem(piece, SECTION)
    program = Program(k)
    program.task("unbind").unbind(driver.driver, device)
    return Made(program, before=before)


def pool_of_the_dying(k: Kernel) -> Made:
    """Who asks for memory of a BAR that is going away gets none, and keeps none."""
    driver = k.driver("p2pdma")
    k.iomem.load(f"{BAR:x}-{BAR + SECTION - 1:x} : PCI Bus 0000:00")
    device = driver.device(BAR, SECTION)
    driver.bind(device)
    piece = device.alloc_p2pmem(4096)
    with suppress(Blocked):
        driver.unbind(device)
    device.alloc_p2pmem(4096)
    device.free_p2pmem(piece, 4096)
    k.run_callbacks()
    return Made(None)


def two_releases(k: Kernel) -> Made:
    """Two mappings in sections of their own end at the same time."""
    devices = []
    for number in range(2):
        start = START + number * SECTION
        device = k.device(f"x.{number}")
        device.memremap_pages(k.pagemap(start, SECTION, ref=k.percpu_ref(None)))
        devices.append(device)
    program = Program(k)
    for number, device in enumerate(devices):
        program.task(f"release{number}").call("devres_release_all", device)
    return Made(program)


def disk_memory_against_unbind(k: Kernel) -> Made:
    """A file system asks where a disk's memory is."""
    driver, device = _bound(k, "pmem", "raw")
    program = Program(k)
    program.task("unbind").unbind(driver, device)
    program.task("user").call("dax_direct_access", "pmem0", 0, 1)
    return Made(program)


def reinit_against_tryget(k: Kernel) -> Made:
    """A count comes back to life while somebody tries to get a reference."""
    ref = k.percpu_ref(None)
    ref.kill()
    k.run_callbacks()
    program = Program(k)
    program.task("owner", cpu=0).call("percpu_ref_reinit", ref)
    program.task("user", cpu=1).call("percpu_ref_tryget_live", ref)
    return Made(program, quiescence=False)


def two_hmm_devices(k: Kernel) -> Made:
    """Two tasks drop the last references on devices of HMM: the minors are a table of all."""
    devices = [k.hmm_device() for _ in range(2)]
    program = Program(k)
    for number, device in enumerate(devices):
        program.task(f"put{number}").call("hmm_device_put", device)
    return Made(program, quiescence=False)


def put_while_unbind_waits(k: Kernel) -> Made:
    """The last put of a page of a disk comes when unbind has done its own."""
    driver, device = _bound(k, "pmem")
    page = k.page((START >> 12) + 0x1000)
    page.get()
    with suppress(Blocked):
        driver.unbind(device)
    page.put()
    k.rcu_barrier()
    return Made(None)


def two_unbinds(k: Kernel) -> Made:
    """Two tasks write to the driver's unbind file."""
    driver, device = _bound(k, "dax_pmem")
    program = Program(k)
    program.task("one").unbind(driver, device)
    program.task("two").unbind(driver, device)
    return Made(program)


def probes_blocked(k: Kernel) -> Made:
    """After unbind and bind, whoever puts probes off does not wait for one that is over."""
    driver, device = _bound(k, "dax_pmem")
    program = Program(k)
    task = program.task("one").unbind(driver, device).bind(driver, device)
    task.call("device_block_probing", 1).unbind(driver, device)
    return Made(program)
