# SPDX-License-Identifier: GPL-2.0-only
"""Re-enacting what was recorded on a real kernel, and comparing.

``golden/`` holds the recordings and the kernel-side program that made them.
A case here is a Python function that makes the same calls through the API and
prints the same facts with a `Recorder`; `compare()` then sets both texts side
by side, after the named `RULES` have taken out of both what cannot agree for
a reason that has nothing to do with behaviour.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import itertools
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import GeneratorType
from typing import Any

from memremap_emu import Blocked, Kernel, KernelError
from memremap_emu.faults import FaultInjection
from memremap_emu.objects import Device, PerCpuRef
from memremap_emu.trace import EventType

GOLDEN = Path(__file__).parent / "golden"
MB = 1 << 20
SECTION = 128 * MB
#: Where the recorder keeps its device memory: nothing behind it, and RAM behind it.
BASE = 0x400000000
ABASE = 0x180000000
PMEM, PMEM_SIZE = 0x140000000, 0x40000000

#: Functions whose entries the recorder traced.
PROBES = frozenset(
    re.findall(
        r'"(\w+)"',
        re.search(r"probes\[\] = \{(.*?)\};", (GOLDEN / "recorder.c").read_text(), re.S)[1],
    )
)

#: The boots and the order of their cases.
BOOTS = {
    1: [
        *("a_flavour", "c_tree", "c_iomem", "a_init", "a_basic", "a_kill_nouser", "a_kill_atomic"),
        *("a_double", "a_putunder", "a_putunder1", "a_atomic_neg", "a_exit", "a_reinit"),
        *("a_switch", "b_order", "b_groups", "b_fail", "b_self", "b_mem", "b_notify", "c_fmt"),
        *("k_const", "k_radix"),
    ],
    2: [
        *("d_basic", "d_types", "d_partial", "d_conflict", "d_exist", "d_ram", "d_mixed"),
        *("d_null", "d_live"),
    ],
    3: ["d_altmap", "d_pat", "d_sweep0"],
}

#: What was recorded: the kernel with and without the series.
VERSIONS = ("memremap-v6", "v4.19")

#: The machine's memory map: depth, start, end, flags, name.
MEMORY_MAP = (
    (0, 0x0, 0xFFF, 0x80000200, "Reserved"),
    (0, 0x1000, 0x9FBFF, 0x81000200, "System RAM"),
    (0, 0x9FC00, 0x9FFFF, 0x80000200, "Reserved"),
    (0, 0xA0000, 0xBFFFF, 0x200201, "PCI Bus 0000:00"),
    (0, 0xC0000, 0xC05FF, 0x80004200, "Video ROM"),
    (0, 0xF0000, 0xFFFFF, 0x80000200, "Reserved"),
    (1, 0xF0000, 0xFFFFF, 0x80004200, "System ROM"),
    (0, 0x100000, 0xBFFDFFFF, 0x81000200, "System RAM"),
    (1, 0x1000000, 0x1801FFF, 0x81000200, "Kernel code"),
    (1, 0x1802000, 0x1FAE2FF, 0x81000200, "Kernel data"),
    (1, 0x20A0000, 0x35FFFFF, 0x81000200, "Kernel bss"),
    (0, 0xBFFE0000, 0xBFFFFFFF, 0x200, "Reserved"),
    (0, 0xC0000000, 0xFEBFFFFF, 0x200201, "PCI Bus 0000:00"),
    (0, 0xFEC00000, 0xFEC003FF, 0x80000200, "IOAPIC 0"),
    (0, 0xFED00000, 0xFED003FF, 0x200, "HPET 0"),
    (1, 0xFED00000, 0xFED003FF, 0x200, "PNP0103:00"),
    (0, 0xFEE00000, 0xFEE00FFF, 0x80000200, "Local APIC"),
    (0, 0xFFFC0000, 0xFFFFFFFF, 0x200, "Reserved"),
    (0, 0x100000000, 0x13FFFFFFF, 0x81000200, "System RAM"),
    (0, 0x140000000, 0x17FFFFFFF, 0x200, "Persistent Memory (legacy)"),
    (0, 0x180000000, 0x1BFFFFFFF, 0x200, "Reserved"),
    (0, 0x1C0000000, 0x23FFFFFFF, 0x200201, "PCI Bus 0000:00"),
    (0, 0x400000000, 0x7FFFFFFFF, 0x200, "Reserved"),
    (0, 0xFD00000000, 0xFFFFFFFFFF, 0x200, "Reserved"),
)
#: Where the other kernel image has its data: start and end by name.
IMAGE = {
    "v4.19": {"Kernel data": (0x1802000, 0x1FAE83F), "Kernel bss": (0x20A1000, 0x35FFFFF)},
}


# --- the recordings ---


@functools.cache
def golden(version: str = VERSIONS[0]) -> dict[str, list[str]]:
    """Recorded lines of each case."""
    cases: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in (GOLDEN / f"{version}.txt").read_text().splitlines():
        if line.startswith("BEGIN "):
            current = cases[line.split()[1]] = []
        elif line.startswith("END "):
            current = None
        elif current is not None:
            current.append(line)
    return cases


# --- re-enacting ---


class Recorder:
    """The lines of one case, as they come: facts, function entries, the kernel's log."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.case = "?"
        self.lines: list[str] = []
        self._tracing = False
        self._log = 0
        self._event = 0
        self.begin("?")

    def begin(self, case: str) -> None:
        """Starts a case: what happened before belongs to nobody."""
        native = self.kernel._native
        self._log = int(native.stats().log_end)
        self._event = self.kernel.trace.position
        self.case = case
        self.lines = []
        self._tracing = False

    def drain(self) -> None:
        """Adds what the kernel has logged and, while tracing, entered since the last time."""
        kernel = self.kernel
        end = kernel.trace.position
        if end == self._event:
            return
        assert end - self._event <= 1 << 15, "the trace buffer has overflowed"
        log = [text for _, text in kernel._native.log(self._log)]
        self._log = int(kernel._native.stats().log_end)
        for event in kernel.trace.events(self._event):
            if event.type is EventType.PRINTK:
                self.lines.append(log.pop(0))
            elif self._tracing and event.type is EventType.FUNC and event.name in PROBES:
                self.lines.append(f"TRACE {event.name}{' irqctx' if event.softirq else ''}")
        assert not log
        self._event = end

    def __call__(self, text: str) -> None:
        """Adds a fact: the recorder's ``P()``."""
        self.drain()
        self.lines.append(f"CASE {self.case} {text}")

    @contextmanager
    def tracing(self) -> Iterator[None]:
        """Function entries are recorded inside: the recorder's ``trace_on``."""
        self.drain()
        self._tracing = True
        try:
            yield
        finally:
            self.drain()
            self._tracing = False


@dataclass(eq=False)
class Odev:
    """A device of the recorder, ``struct odev``: what its probe did and saw.

    ``probe`` and ``remove`` take the Odev and the Device.  A probe that calls something that may
    block is a generator and yields the call: ``rc = yield lambda: ...``.  It returns 0 or a
    negative errno, or lets a KernelError pass.
    """

    boot: Boot
    id: int
    probe: Callable[[Any, Device], Any] | None = None
    remove: Callable[[Any, Device], Any] | None = None
    device: Device | None = None
    probe_rc: int = 0
    nprobe: int = 0
    nkill: int = 0
    nrel: int = 0
    arg: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"oracle.{self.id}"

    def ended(self, what: str) -> None:
        """Called when ``reg`` or ``unbind`` has ended, before that is reported."""


class Boot:
    """A kernel in the start state of the recordings: pmem bound, the driver ``oracle`` there.

    Attributes:
        k: the kernel
        P: the recorder; ``boot.P("rel=%d" ...)`` is written ``boot.P(f"rel={n}")``
        next_id: number of the next device
        version: of the kernel, one of `VERSIONS`
        series: the recorder was built for the kernel with the series (its ``ORACLE_V6``)
    """

    def __init__(
        self, *, checked: bool = True, next_id: int = 0, version: str = VERSIONS[0]
    ) -> None:
        self.k = Kernel(
            version, checked=checked, cpus=2, rcu="manual", on_violation="record", trace=True
        )
        self.version = version
        self.series = version != "v4.19"
        self.checked = checked
        self.next_id = next_id
        self._odevs: dict[str, Odev] = {}
        parents = [self.k.iomem.root]
        for depth, *place, flags, name in MEMORY_MAP:
            start, end = IMAGE.get(version, {}).get(name, place)
            del parents[depth + 1 :]
            parents.append(self.k.iomem.add(start, end, name, flags=flags, parent=parents[depth]))
        pmem = self.k.driver("pmem", mode="memory")
        self.namespace = pmem.device(PMEM, PMEM_SIZE, "namespace0.0")
        pmem.bind(self.namespace)
        self.driver = self.k.driver("oracle", probe=self._probe, remove=self._remove)
        self.P = Recorder(self.k)

    def run(self, name: str, case: Callable[[Boot], None]) -> list[str]:
        """Runs a case; its lines."""
        self.k.clear_warn_once()
        self.P.begin(name)
        case(self)
        self.P.drain()
        return self.P.lines

    def grace(self) -> None:
        """Ends grace periods: everything that is due runs, softirqs first."""
        self.k.run_callbacks()

    def barrier_sched(self) -> None:
        """rcu_barrier_sched()."""
        self.patiently(self.k.rcu_barrier_sched)

    def patiently(self, call: Callable[[], Any]) -> None:
        """A call that may wait for a grace period, and the end of that."""
        try:
            call()
        except Blocked as blocked:
            self.grace()
            assert blocked.task.done, f"hangs: {blocked}"

    # --- the driver "oracle" ---

    def odev(
        self,
        probe: Callable[[Any, Device], Any] | None = None,
        remove: Callable[[Any, Device], Any] | None = None,
        kind: type[Odev] = Odev,
        **fields: Any,
    ) -> Any:
        """A device with the next number, not registered yet: ``o_new()``."""
        o = kind(self, self.next_id, probe, remove, **fields)
        self.next_id += 1
        self._odevs[o.name] = o
        return o

    def _probe(self, device: Device) -> Generator[Callable[[], Any], Any, int]:
        o = self._odevs[device.name]
        o.device = device
        o.nprobe += 1
        o.probe_rc = -5
        rc = o.probe(o, device) if o.probe else 0
        if isinstance(rc, GeneratorType):
            rc = yield from rc
        o.probe_rc = int(rc or 0)
        return o.probe_rc

    def _remove(self, device: Device) -> Generator[Callable[[], Any], Any, int]:
        o = self._odevs[device.name]
        self.P(f"dev={o.id} ev=remove driver={int(device.driver is not None)}")
        result = o.remove(o, device) if o.remove else 0
        if isinstance(result, GeneratorType):
            yield from result
        return 0

    def _bounded(self, o: Odev, what: str, call: Callable[[], Any]) -> bool:
        """Runs it in a thread of its own; True if it hangs although grace periods end."""
        try:
            call()
        except Blocked as blocked:
            self.grace()
            if not blocked.task.done:
                self.P(f"dev={o.id} op={what} hang=1 state=2 nkill={o.nkill} nrel={o.nrel}")
                return True
        o.ended(what)
        return False

    def reg(self, o: Odev) -> bool:
        """Registers the device, which probes: ``o_reg()``; True if that hangs."""
        o.device = self.k.device(o.name, add=False)
        device = o.device
        hangs = self._bounded(o, "reg", device.add)
        if not hangs:
            bound = int(device.driver is not None)
            self.P(f"dev={o.id} op=register probe_rc={o.probe_rc} bound={bound}")
        return hangs

    def unbind(self, o: Odev) -> bool:
        """Releases the driver: ``o_unbind()``; True if that hangs."""
        assert o.device is not None
        hangs = self._bounded(o, "unbind", o.device.release_driver)
        if not hangs:
            self.P(f"dev={o.id} op=unbind done=1")
        return hangs

    def delete(self, o: Odev) -> None:
        """Unregisters the device: ``o_del()``."""
        assert o.device is not None
        o.device.unregister()

    def attach(self, o: Odev) -> int:
        """device_attach()."""
        assert o.device is not None
        return o.device.attach()

    def fail_nth(self, n: int) -> FaultInjection:
        """The n-th slab allocation inside fails: ``current->fail_nth = n``, read as ``left``."""
        return self.k.fault_injection(nth=n, slab=True)


def effective(ref: PerCpuRef) -> int:
    """The logical count as the recorder shows it, ``eff()``."""
    return ref.logical


def errno_of(call: Callable[..., Any], *args: Any) -> int:
    """What the call returns in C: 0 or a negative errno."""
    try:
        call(*args)
    except KernelError as e:
        return -(e.errno or 0)
    return 0


# --- cases ---

CASES: dict[str, Callable[[Boot], None]] = {}
#: Number of the first device of cases before which cases that are not shared ran.
FIRST_ID: dict[str, int] = {}
#: Modules that define cases.
MODULES = (
    "test_percpu_ref_cases",
    "test_driver_core_cases",
    "test_resource_cases",
    "test_constants_and_radix_cases",
    "test_device_memory",
)


def case(function: Callable[[Boot], None] | None = None, *, first_id: int | None = None) -> Any:
    """Marks a function as the re-enactment of the recorded case of the same name."""

    def add(f: Callable[[Boot], None]) -> Callable[[Boot], None]:
        CASES[f.__name__] = f
        if first_id is not None:
            FIRST_ID[f.__name__] = first_id
        return f

    return add(function) if function else add


@dataclass
class Run:
    """What a case gave: its lines, or the exception that ended it."""

    lines: list[str]
    error: BaseException | None = None


@functools.cache
def run_boot(number: int, checked: bool, version: str) -> dict[str, Run]:
    """Runs the cases of a boot in their order, one kernel for all of them."""
    boot = Boot(checked=checked, version=version)
    runs = {}
    for name in BOOTS[number]:
        if name not in CASES:
            continue
        boot.next_id = FIRST_ID.get(name, boot.next_id)
        try:
            runs[name] = Run(boot.run(name, CASES[name]))
        except Exception as e:
            boot.P.drain()
            runs[name] = Run(boot.P.lines, e)
    return runs


def load_cases() -> None:
    """Imports all modules that define cases."""
    for module in MODULES:
        if (Path(__file__).parent / f"{module}.py").exists():
            importlib.import_module(module)


def run_case(name: str, checked: bool = True, version: str = VERSIONS[0]) -> list[str]:
    """Lines of a case, run in its place among the cases of its boot."""
    load_cases()
    number = next(n for n, names in BOOTS.items() if name in names)
    run = run_boot(number, checked, version)[name]
    if run.error:
        raise run.error
    return run.lines


# --- comparing ---


@dataclass(frozen=True)
class Rule:
    """Something that both sides lose before they are compared, and why.

    ``apply`` takes and returns all lines of a case.
    """

    name: str
    reason: str
    apply: Callable[[list[str]], list[str]]


def _rewrite(pattern: str, to: str) -> Callable[[list[str]], list[str]]:
    regex = re.compile(pattern)
    return lambda lines: [regex.sub(to, line) for line in lines]


def _drop(pattern: str) -> Callable[[list[str]], list[str]]:
    regex = re.compile(pattern)
    return lambda lines: [line for line in lines if not regex.search(line)]


def _early_fold(lines: list[str]) -> list[str]:
    fold, release = "TRACE percpu_ref_switch_to_atomic_rcu", "TRACE devm_memremap_pages_release"
    for i in range(1, len(lines)):
        if lines[i].startswith(fold) and lines[i - 1].startswith(release):
            lines = [*lines[: i - 1], lines[i], lines[i - 1], *lines[i + 1 :]]
    return lines


RULES = (
    Rule(
        "warning-frame",
        "the lines around a WARNING (cut here, modules, registers, end trace) were removed "
        "when recording",
        _drop(r"^-+\[ cut here \]-+$|^---\[ end trace |^Modules linked in|^Call Trace:|^RIP: "),
    ),
    Rule(
        "process-and-cpu",
        "process ids and CPU numbers were replaced by N when recording",
        _rewrite(r"CPU: \S+ PID: \S+", "CPU: N PID: N"),
    ),
    Rule(
        "symbol-offset",
        "code offsets and sizes are those of one build",
        _rewrite(r"\+0x[0-9a-f]+/0x[0-9a-f]+", ""),
    ),
    Rule(
        "page-layout",
        "struct pages are runs here, not memory: they have a size but no offsets, and nothing "
        "that was recorded depends on pageblocks",
        lambda lines: _drop(r"^CASE k_const off_pgmap=")(
            _rewrite(r" pageblock_nr_pages=\d+", "")(lines)
        ),
    ),
    Rule(
        "recorder-line",
        "a WARNING in the caller of the kernel names a line of the recorder, here of the API",
        _drop(r"^WARNING: .* at (drivers/oracle/oracle\.c|emu/ops_\w+\.c)"),
    ),
    Rule(
        "trace-arguments",
        "arguments of traced functions are registers of the recording; the order of the "
        "functions is the fact",
        _rewrite(r"^TRACE (\w+).*?( irqctx)?$", r"TRACE \1\2"),
    ),
    Rule(
        "allocations-left",
        "how many allocations a mapping makes is no fact, only whether the one to fail was reached",
        _rewrite(r" left=[1-9]\d* ", " left=N "),
    ),
    Rule(
        "fold-in-put-loop",
        "a callback that came in the middle of the release's put loop is put before the release: "
        "direct calls are not interrupted there, and when callbacks ran was chance",
        _early_fold,
    ),
    Rule(
        "process-name",
        "PAT messages name the process",
        _rewrite(r"^(x86/PAT: )\S+:\d+ ", r"\1<comm>:<pid> "),
    ),
)
#: What only the build that traces has.
PLAIN_RULES = (
    Rule(
        "no-trace",
        "the plain build is not instrumented: function entries are not recorded",
        _drop(r"^TRACE "),
    ),
)


@dataclass(frozen=True)
class Comparison:
    """Two texts side by side.

    Attributes:
        comparable: recorded lines that are left after the rules
        agreeing: those that the re-enactment has in the same place
        differences: ``-`` lines only recorded, ``+`` lines only re-enacted
    """

    comparable: int
    agreeing: int
    differences: list[str]


def normalise(lines: list[str], checked: bool = True) -> list[str]:
    """What is compared: the lines after all rules."""
    for rule in RULES if checked else (*RULES, *PLAIN_RULES):
        lines = rule.apply(lines)
    return lines


def compare(recorded: list[str], reenacted: list[str], checked: bool = True) -> Comparison:
    """Compares the lines of a case with its recording."""
    left, right = normalise(recorded, checked), normalise(reenacted, checked)
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    differences = []
    agreeing = 0
    for op, i1, i2, j1, j2 in matcher.get_opcodes():
        if op == "equal":
            agreeing += i2 - i1
            continue
        differences += ["-" + line for line in left[i1:i2]]
        differences += ["+" + line for line in right[j1:j2]]
    return Comparison(len(left), agreeing, differences)


def check(
    name: str,
    *,
    checked: bool = True,
    version: str = VERSIONS[0],
    expected: list[str] | None = None,
) -> None:
    """Asserts that a case agrees with its recording, but for the differences expected.

    ``expected`` are lines of `Comparison.differences`; each must really differ, and the README
    beside this file explains it.
    """
    reenacted = run_case(name, checked, version)
    found = compare(golden(version)[name], reenacted, checked).differences
    if not checked:
        expected = [d for d in expected or [] if not d[1:].startswith("TRACE ")]
    assert found == (expected or []), "\n".join([f"{name} differs from the recording:", *found])


def report(checked: bool = True, version: str = VERSIONS[0]) -> dict[str, Comparison]:
    """Every case set beside its recording."""
    return {
        name: compare(golden(version)[name], run_case(name, checked, version), checked)
        for names in BOOTS.values()
        for name in names
    }


def main() -> None:
    """Prints the agreement of each case, and what differs."""
    for version, checked in itertools.product(VERSIONS, (True, False)):
        found = report(checked, version)
        build = "checked" if checked else "plain"
        print(f"{version}, {build} build: case, comparable lines, agreeing lines")
        for name, comparison in found.items():
            print(f"  {name:14} {comparison.comparable:5} {comparison.agreeing:5}")
            for line in comparison.differences:
                print(f"    {line}")
        comparable = sum(c.comparable for c in found.values())
        agreeing = sum(c.agreeing for c in found.values())
        print(f"  {'all':14} {comparable:5} {agreeing:5}  {agreeing / comparable:.2%}")


if __name__ == "__main__":
    # The modules with the cases know this one by its name.
    importlib.import_module("harness").main()
