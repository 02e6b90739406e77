# SPDX-License-Identifier: GPL-2.0-only
"""Orders of drivers before and after each patch: what running machines register and release,
compared with a table, text for text."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from memremap_emu import Blocked, Kernel, KernelError, PciDevice
from memremap_emu.objects import Device
from memremap_emu.trace import Event, EventType
from memremap_emu.versions import versions

ORDERS = Path(__file__).parent / "data" / "driver-orders.txt"
START, SIZE = 0x400000000, 1 << 30
SECTION = 1 << 27
NFIT_SIZE = 1 << 16
BARS = {0: (0x380000000000, SECTION), 2: (0x390000000000, SECTION)}
DEVICE_PUBLIC_MEMORY = 7

#: Kernel arguments, by the names that test ids have.
KERNELS: dict[str, tuple[str, int | None]] = {
    "v4.19": ("v4.19", None),
    **{f"{n}/7": ("memremap-v6", n) for n in range(8)},
    "v5.0": ("v5.0", None),
    "v5.2": ("v5.2", None),
}
#: States of a driver: name and the patch that it begins with.
States = tuple[tuple[str, str | None], ...]
MAPPING: States = (("before", None), ("after", "shutdown"), ("final-put", "final-put"))
HMM: States = (
    ("before", None),
    ("devm", "hmm-devm"),
    ("after", "hmm-memremap"),
    ("final-put", "final-put"),
)


# --- drivers ---

#: A device that is bound, and what takes its driver away again.
Bound = tuple[Device, Callable[[], Any]]


def namespace(k: Kernel, driver: str, **mode: Any) -> Bound:
    k.iomem.add(START, START + SIZE - 1, "Persistent Memory")
    bound = k.driver(driver, **mode)
    device = bound.device(START, SIZE)
    bound.bind(device)
    return device, lambda: bound.unbind(device)


def hmm(k: Kernel, *, public: bool, remove: bool = False) -> Bound:
    """Only what HMM itself registers: the device has no driver that does, too."""
    device = k.device("gpu.0", bus=False)
    if public:
        resource = k.iomem.add(START, START + SECTION - 1, "gpu.0")
        resource.desc = DEVICE_PUBLIC_MEMORY
        devmem = k.hmm_devmem(device, resource=resource)
    else:
        devmem = k.hmm_devmem(device, size=SECTION)
    return device, devmem.remove if remove else device.devres_release_all


def nfit_test(k: Kernel) -> Bound:
    assert k._native.call("nfit_test_resource_add", START, NFIT_SIZE)
    idle = k.completion()
    ref = k.percpu_ref(lambda ref: idle.complete())

    def cleanup(ref: Any) -> Iterator[Any]:
        yield idle.wait
        yield ref.exit

    device = k.device("nfit.0", bus=False)
    device.wrap_memremap_pages(k.pagemap(START, NFIT_SIZE, ref=ref, cleanup=cleanup))
    return device, device.devres_release_all


def p2pdma(k: Kernel) -> Bound:
    """Two resources; where the mapping is refused nothing else is done about it."""
    device = PciDevice.create(k, "0000:01:00.0", "none", bars=BARS)
    for bar in BARS:
        try:
            device.add_p2pdma_resource(bar)
        except KernelError:
            assert "p2pdma-unconverted" in k.modes and "shutdown" in k.patches
    return device, device.devres_release_all


@dataclass(frozen=True)
class Subject:
    """What the table has blocks for.

    Attributes:
        bind: makes it
        memory: what its managed memory is, in order
        states: what the patches make of it
        modes: of the kernel
        until: the patch from which on it does not exist
    """

    bind: Callable[[Kernel], Bound]
    memory: tuple[str, ...] = ()
    states: States = MAPPING
    modes: tuple[str, ...] = ()
    until: str | None = None

    def state(self, kernel: str) -> str | None:
        """The state that a kernel has; None: it does not exist there."""
        version, applied = KERNELS[kernel]
        patches = versions()[version].patches[:applied]
        if self.until in patches:
            return None
        return [name for name, patch in self.states if patch is None or patch in patches][-1]


def of_namespace(driver: str, **mode: Any) -> Subject:
    memory = (f"{driver} memory", "badblocks memory")
    return Subject(lambda k: namespace(k, driver, **mode), memory)


def of_hmm(public: bool, remove: bool = False) -> Subject:
    def bind(k: Kernel) -> Bound:
        return hmm(k, public=public, remove=remove)

    return Subject(bind, ("hmm_devmem memory",), HMM, until="hmm-devm" if remove else None)


P2PDMA_MEMORY = ("p2pdma memory", "pagemap 1 memory", "pagemap 2 memory")
SUBJECTS = {
    "pmem fsdax": of_namespace("pmem", mode="fsdax"),
    "pmem fsdax altmap": of_namespace("pmem", mode="fsdax", altmap=True),
    "pmem memory": of_namespace("pmem", mode="memory"),
    "pmem raw": of_namespace("pmem", mode="raw"),
    "dax_pmem": of_namespace("dax_pmem"),
    "dax_pmem altmap": of_namespace("dax_pmem", altmap=True),
    "hmm add": of_hmm(public=False),
    "hmm add and remove": of_hmm(public=False, remove=True),
    "hmm add_resource": of_hmm(public=True),
    "hmm add_resource and remove": of_hmm(public=True, remove=True),
    "nfit_test": Subject(nfit_test),
    "p2pdma": Subject(p2pdma, P2PDMA_MEMORY),
    "p2pdma unconverted": Subject(p2pdma, P2PDMA_MEMORY, modes=("p2pdma-unconverted",)),
}


# --- recording ---

#: Functions in the middle of a release, and what the table calls it.
STEPS = {
    "percpu_ref_kill_and_confirm": "kill",
    "put_device_pages": "put pages",
    "percpu_ref_exit": "exit",
    "arch_remove_memory": "remove memory",
    "__remove_pages": "remove memory",
}
#: What the release of a disk is made of.
DISK_STEPS = ("kill_dax", "put_dax", "del_gendisk", "put_disk")


def entry_names(memory: tuple[str, ...], entries: list[str]) -> list[str]:
    """Entries as the table calls them, the oldest first; those that are there twice by number."""
    rest = iter(memory)
    words = []
    for entry in entries:
        if entry == "devm_kmalloc_release":
            words.append(next(rest))
        elif entry == "devm_region_release":
            words.append("mem region")
        else:
            # Where a callback takes the place of an action, both are there under two names.
            words.append(entry.removesuffix("_action"))
    numbered = []
    for i, word in enumerate(words):
        nth = words[: i + 1].count(word)
        numbered.append(f"{word} {nth}" if words.count(word) > 1 else word)
    return numbered


def entry_of(event: Event, registered: tuple[str, ...]) -> str | None:
    """The entry whose release an event begins."""
    if event.type is EventType.FREE and event.name == "devm_kmalloc":
        # Managed memory has a release that does nothing, not even leave a trace in every
        # build; then it is freed.
        return "devm_kmalloc_release"
    if event.type is not EventType.FUNC or event.name == "devm_kmalloc_release":
        return None
    if event.name == "__devm_release_region":
        return "devm_region_release"
    return event.name if event.name in registered else None


def step_of(event: Event, entry: str) -> str | None:
    """What an event does in the middle of the release of an entry."""
    if event.type is EventType.FUNC:
        if entry == "pmem_release_disk" and event.name in DISK_STEPS:
            return event.name
        return STEPS.get(event.name)
    # RCU is waited for, too: that is no reference that goes.
    if event.type is EventType.BLOCK and "rcu" not in event.name:
        return "wait"
    return None


def read_releases(events: list[Event], registered: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    """Entries in the order in which they are released, each with its steps."""
    released: list[tuple[str, list[str]]] = []
    task = None
    for event in events:
        entry = entry_of(event, registered)
        if entry is not None and task in (None, event.task):
            # What runs beside it, callbacks of RCU say, is not part of it.
            task = event.task
            released.append((entry, []))
        elif released and event.task == task:
            name, steps = released[-1]
            step = step_of(event, name)
            # The removal of mapped memory has that of its pages inside.
            if step is not None and steps[-1:] != [step]:
                steps.append(step)
    return released


def record(title: str, kernel: str) -> str:
    """The block that a running machine gives."""
    subject = SUBJECTS[title]
    version, applied = KERNELS[kernel]
    with Kernel(
        version, applied=applied, modes=subject.modes, trace=True, on_violation="record"
    ) as k:
        device, unbind = subject.bind(k)
        registered = device.devres
        position = k.trace.position
        ever = True
        try:
            unbind()
        except Blocked:
            ever = False
        released = read_releases(k.trace.events(position), registered)
    lines = [f"{title}, {subject.state(kernel)}"]
    names = entry_names(subject.memory, list(registered))
    lines += [f"REG {n} {name}" for n, name in enumerate(names, 1)]
    names = entry_names(subject.memory, [name for name, _ in released[::-1]])[::-1]
    if not ever:
        assert released[-1][1][-1:] == ["wait"]
        released[-1][1][-1] = "wait for ever"
    words = [
        f"{name} {{{', '.join(steps)}}}" if steps else name
        for name, (_, steps) in zip(names, released, strict=True)
    ]
    lines.append(f"release: {' -> '.join(words) or 'nothing'}")
    return "\n".join(lines) + "\n"


# --- comparing ---


@functools.cache
def table() -> dict[str, str]:
    """Blocks of the table by their first line."""
    blocks = ORDERS.read_text().strip().split("\n\n")
    return {block.splitlines()[0]: block + "\n" for block in blocks}


CASES = [
    (title, kernel)
    for title, subject in SUBJECTS.items()
    for kernel in KERNELS
    if subject.state(kernel) is not None
]


@pytest.mark.parametrize(("title", "kernel"), CASES)
def test_driver_registers_and_releases_in_the_order_of_the_table(title: str, kernel: str) -> None:
    block = record(title, kernel)
    assert block == table()[block.splitlines()[0]]


def test_the_table_has_nothing_but_what_is_compared() -> None:
    compared = {f"{title}, {SUBJECTS[title].state(kernel)}" for title, kernel in CASES}
    assert set(table()) == compared


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_wrap_of_nfit_test_registers_where_the_mapping_would(kernel: str) -> None:
    """A driver has the same order in the test as with memory, but for one name."""
    version, applied = KERNELS[kernel]
    orders = []
    for wrapped in (True, False):
        with Kernel(version, applied=applied, on_violation="record") as k:
            if wrapped:
                assert k._native.call("nfit_test_resource_add", START, NFIT_SIZE)
            device = k.device("nfit.0", bus=False)
            device.add_action(lambda _: None)
            pagemap = k.pagemap(
                START, NFIT_SIZE, ref=k.percpu_ref(lambda ref: None), cleanup=lambda ref: None
            )
            device.wrap_memremap_pages(pagemap)
            device.add_action(lambda _: None)
            orders.append(device.devres)
    mapping = ("nfit_test_kill",) if SUBJECTS["nfit_test"].state(kernel) != "before" else ()
    first, last = orders[1][0], orders[1][-1]
    assert orders[0] == (first, *mapping, last)
    assert orders[1] == (first, "devm_memremap_pages_release", last)
