# SPDX-License-Identifier: GPL-2.0-only
"""What the calls of a driver's life are documented to answer.

A probe's own error does not reach user space: the ``bind`` file says ENODEV
for any.  The kernel log has it, but for ENODEV and ENXIO, with which a driver
declines without a word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from errno import EBUSY, EEXIST, EINVAL, ENOMEM, ENXIO

from memremap_emu.errors import errno_name
from memremap_emu.trace import Call, EventType

Calls = Sequence[Call]

#: The pagemaps' kill callbacks.
KILL_FUNCTIONS = frozenset(
    {
        "pmem_freeze_queue",
        "dax_pmem_percpu_kill",
        "hmm_devmem_ref_kill",
        "pci_p2pdma_percpu_kill",
        "p2pdma_pagemap_kill",
    }
)
#: Functions that tell which part of a probe is under way.
STAGES = frozenset(
    {
        "driver_sysfs_add",
        "nd_pmem_probe",
        "dax_pmem_probe",
        "pmem_attach_disk",
        "devm_nsio_enable",
        "devm_nsio_disable",
        "devm_memremap",
        "devm_memremap_pages",
        "alloc_dax_region",
        "devm_create_dev_dax",
        "device_add_disk",
        "hmm_devmem_add",
        "hmm_devmem_add_resource",
        "pci_p2pdma_add_resource",
    }
)
#: What has to be traced.
FUNCTIONS = KILL_FUNCTIONS | STAGES
#: Calls whose failure only costs what they are for: shadow below the top level is not checked
#: for, and without its sysfs node there are no notifications of bad blocks.
SWALLOWED = frozenset({"zero_pud_populate", "kernfs_create_file"})
REGION_REQUESTS = frozenset({"__devm_request_region", "__request_region"})
#: What an ioremap needs; devm_memremap() answers ENXIO whatever the reason.
MAPPING = frozenset({"reserve_memtype", "get_vm_area"})

_PROBE_ERROR = re.compile(r": probe of \S+ failed with error (-?\d+)$")
_WARNING = re.compile(r"^WARNING: CPU: \d+ PID: \d+ at \S+ ")
#: What a kernel may answer when nothing failed: error number and the log line that explains it.
_REFUSALS = (
    (ENXIO, re.compile(r"unable to satisfy requested alignment")),
    (ENXIO, re.compile(r"devm_memremap_pages attempted on (mixed|ram) region ")),
    (ENOMEM, re.compile(r"Conflicting mapping in same section")),
    (EBUSY, re.compile(r"could not reserve region ")),
    (EEXIST, re.compile(r"devm_memremap_pages: failed: -17")),
    (EINVAL, re.compile(r"memory add fail, invalid altmap")),
    # An altmap that is too small for the sections that the range touches.
    (ENOMEM, re.compile(r"WARNING: .* add_pages$")),
)


class Answer(Enum):
    """Answers of a probe that are no error numbers."""

    BOUND = "bound"
    #: ENODEV or ENXIO: nothing is logged.
    DECLINED = "declined"


@dataclass(frozen=True)
class FaultPoint:
    """A place where a call may fail.

    Attributes:
        site: the kernel function that asks for memory
        stage: the part of the probe that was under way, of `STAGES`, or empty
        count: how many times it asked in a row
    """

    site: str
    stage: str
    count: int = 1


@dataclass
class Probe:
    """One attempt to bind, as log and trace show it.

    Attributes:
        answer: `Answer`, or the positive error number that the log gives
        log: lines logged
        faults: calls that failed, in order
        mapped: devm_memremap_pages() was called
        stage: the last of `STAGES` that was reached
    """

    answer: Answer | int
    log: tuple[str, ...]
    faults: list[FaultPoint] = field(default_factory=list)
    mapped: bool = False
    stage: str = ""

    @property
    def bound(self) -> bool:
        """The driver has taken the device."""
        return self.answer is Answer.BOUND

    @property
    def conflict(self) -> bool:
        """devm_memremap_pages() gave up before it touched anything."""
        return any("Conflicting mapping in same section" in line for line in self.log)

    def decisive(self) -> FaultPoint | None:
        """The first failing call that a probe does not put up with."""
        return next((f for f in self.faults if f.site not in SWALLOWED), None)

    def refusal(self, creation_log: Sequence[str] = ()) -> str | None:
        """Why the kernel declines by specification, None if it gives no reason.

        ``creation_log`` is what was logged when the device was made.
        """
        for errno, pattern in _REFUSALS:
            for line in (*self.log, *creation_log):
                if pattern.search(line) and self.answer in (errno, Answer.DECLINED):
                    return _WARNING.sub("warning in ", line)
        if self.answer == ENOMEM and self.stage == "alloc_dax_region":
            return "alloc_dax_region() wants start and size aligned"
        return "the driver declines" if self.answer is Answer.DECLINED else None


def show(answer: Answer | int) -> str:
    """An answer as a kernel developer writes it: ``-ENOMEM``."""
    if isinstance(answer, Answer):
        return "success" if answer is Answer.BOUND else "-ENXIO"
    return f"-{errno_name(answer)}" if answer else "error 0"


def next_stage(stage: str, name: str) -> str:
    """The stage after a function of `STAGES` is entered."""
    # Raw access to the namespace is had by devm_memremap(), too.
    return stage if stage == "devm_nsio_enable" and name == "devm_memremap" else name


def read_probe(bound: bool, log: Sequence[str], calls: Calls) -> Probe:
    """Reads an attempt to bind from what it logged and traced."""
    answer: Answer | int = Answer.BOUND if bound else Answer.DECLINED
    if not bound:
        for line in log:
            match = _PROBE_ERROR.search(line)
            if match:
                answer = -int(match[1])
    probe = Probe(answer, tuple(log))
    stage = ""
    for kind, name, _ in calls:
        if kind is EventType.FUNC:
            if name in STAGES:
                stage = next_stage(stage, name)
                if name == "devm_memremap_pages":
                    probe.mapped = True
        elif kind is EventType.FAULT:
            probe.faults.append(FaultPoint(name, stage))
    probe.stage = stage
    return probe


def fault_points(calls: Calls) -> list[FaultPoint]:
    """The fallible calls that were met, in order."""
    found = []
    stage = ""
    for kind, name, count in calls:
        if kind is EventType.FUNC:
            if name in STAGES:
                stage = next_stage(stage, name)
        elif kind is EventType.FALLIBLE:
            found.append(FaultPoint(name, stage, count))
    return found


def kills(calls: Calls) -> int:
    """How often a pagemap's kill callback was called."""
    return sum(kind is EventType.FUNC and name in KILL_FUNCTIONS for kind, name, _ in calls)


@dataclass(frozen=True)
class Contract:
    """The documented answers of a driver in a kernel with some patches.

    Attributes:
        driver: name for `Kernel.driver`
        patches: short names, as of `memremap_emu.versions`
    """

    driver: str
    patches: frozenset[str]

    @property
    def _kill_in_pagemap(self) -> bool:
        return "shutdown" in self.patches

    def answers(self, fault: FaultPoint) -> tuple[Answer | int, ...]:
        """What a probe may answer when this call is the one that fails."""
        if fault.site == "driver_sysfs_add":
            return (0,)  # the driver core loses the error
        if fault.stage == "devm_nsio_enable" and self.driver == "pmem":
            return (Answer.DECLINED,)  # nd_pmem_probe() answers ENXIO whatever the reason
        if fault.site in REGION_REQUESTS:
            # Private memory has a range that was free a moment ago.
            return (ENOMEM,) if self.driver == "hmm" else (EBUSY,)
        if fault.site in MAPPING and fault.stage in ("devm_memremap", "devm_nsio_enable"):
            return (Answer.DECLINED,)
        if fault.site == "kobject_set_name_vargs":
            return (EINVAL,)  # device_add() of a device without a name
        if fault.site == "devm_add_action" and fault.stage == "devm_memremap_pages":
            # Before the pagemap had its kill callback, devm_memremap_pages() did not look
            # whether its release had been registered.
            return (ENOMEM,) if self._kill_in_pagemap else (ENOMEM, Answer.BOUND)
        return (ENOMEM,)

    def kills(self, probe: Probe) -> tuple[int, ...]:
        """How often the pagemap's ref may be killed from bind to the end of unbind or of a
        failed probe.

        Once, when devm_memremap_pages() has been called; never when it was not called or gave
        up over a conflict.  As long as the kill is an action of the driver's, it is registered
        in every mode, but not before the mapping has been tried.
        """
        if self.driver in ("hmm", "hmm_public") and "hmm-memremap" not in self.patches:
            # An action of HMM's own; "use devm semantics" forgot it for private memory.
            if "hmm-devm" in self.patches and self.driver == "hmm":
                return (0,)
            return (1,) if probe.bound else (0, 1)
        if not self._kill_in_pagemap:
            return (1,) if probe.bound else (0, 1)
        gave_up = probe.conflict and "final-put" not in self.patches
        return (int(probe.mapped and not gave_up),)
