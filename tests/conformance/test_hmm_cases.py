# SPDX-License-Identifier: GPL-2.0-only
"""Recorded case of HMM device memory, and the recorded export table.

With the series HMM's kill callback is the kernel's own, so a test cannot end a
grace period between it and the removal of the memory, where it ended on the
real kernel: here it ends when unbinding waits.  Where the fold of the killed ref ran is
chance, as the notes to the recordings say; that it ran is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import pytest
from harness import GOLDEN, SECTION, VERSIONS, Boot, Odev, compare, effective, golden
from test_device_memory import Settle, new, show_page, show_zone

from memremap_emu import HmmDevMem, Kernel, Page, VmFault
from memremap_emu.module import Export
from memremap_emu.objects import Device

#: What was compiled into its callers without the series, and so was not traced there.
INLINED = {
    "memremap-v6": (),
    "v4.19": tuple(
        f"TRACE hmm_devmem_{name}" for name in ("ref_kill", "ref_exit", "radix_release")
    ),
}
#: What ran when the grace period ended.
FOLD = ("TRACE percpu_ref_switch_to_atomic_rcu", "TRACE hmm_devmem_ref_release")


@dataclass(eq=False)
class HmmOdev(Odev):
    """A device of the recorder with HMM memory: ``e_probe()`` and its callbacks."""

    size: int = 0
    devmem: HmmDevMem | None = None
    nfree: int = 0

    def __post_init__(self) -> None:
        self.probe = HmmOdev.add_memory
        if not self.boot.series:
            self.remove = HmmOdev.remove_memory

    def add_memory(self, dev: Device) -> int:
        d = self.devmem = self.boot.k.hmm_devmem(
            dev, self.size, free=self.on_free, fault=lambda page, at: VmFault.SIGBUS
        )
        r = d.resource
        self.boot.P(
            f"dev={self.id} hmm ok size={self.size:#x} res={r.pr} name={r.name} desc={r.desc} "
            f"parent={r.parent.name} pfn_first={d.pfn_first:#x} pfn_last={d.pfn_last:#x} "
            f"eff={effective(d.ref)} type={d.pagemap.type:d}"
        )
        return 0

    def remove_memory(self, dev: Device) -> Generator[Callable[[], Any], Any, None]:
        """Before the series the driver had to."""
        self.boot.P("calling hmm_devmem_remove")
        yield lambda: self.devmem.remove()
        self.boot.P("hmm_devmem_remove returned")

    def on_free(self, page: Page) -> None:
        self.nfree += 1
        offset = page.pfn - self.devmem.pfn_first
        mapped = page.mapping != 0
        self.boot.P(f"ev=hmm_free pfn_off={offset:#x} count={page.count} mapping={mapped:d}")


def e_new(boot: Boot, size: int) -> HmmOdev:
    o: HmmOdev = boot.odev(kind=HmmOdev, size=size)
    return o


def e_common(boot: Boot, o: HmmOdev) -> None:
    k = boot.k
    boot.P(f"key_before={k.devmap_managed_key:d}")
    show_zone(boot, "before")
    with boot.P.tracing():
        boot.reg(o)
    d = o.devmem
    first, last = d.pfn_first, d.pfn_last
    show_zone(boot, "after")
    for at, pfn in (("first", first), ("last", last - 1), ("past", last)):
        show_page(boot, at, pfn)
    page = d.pages[4]
    page.drvdata = 0x1234
    boot.P(f"drvdata={page.drvdata:x}")
    page.mapping = 0x1000
    page.get()
    page.put()
    boot.P(
        f"get/put nfree={o.nfree} count={page.count} eff={effective(d.ref)} "
        f"mapping={page.mapping != 0:d} drvdata={page.drvdata:x}"
    )
    kinds = f"private={page.is_device_private:d} public={page.is_device_public:d}"
    boot.P(f"{kinds} key={k.devmap_managed_key:d}")
    with boot.P.tracing():
        boot.unbind(o)
    show_page(boot, "gone", first)
    boot.P(f"nfree={o.nfree} key_after={k.devmap_managed_key:d}")


def e_one(boot: Boot) -> None:
    for remark, size in (("", 1), ("second, size SEC+1", SECTION + 1)):
        if remark:
            boot.P(remark)
        o = e_new(boot, size)
        e_common(boot, o)
        boot.delete(o)
    boot.P("two at once then 3*SEC")
    devices = [e_new(boot, size) for size in (SECTION, SECTION, 3 * SECTION)]
    for o in devices:
        boot.reg(o)
    for o in devices:
        boot.unbind(o)


def highest_memory_so_far(boot: Boot, end: int) -> None:
    """Memory that came and went before the case: max_pfn stays where it ended."""
    o = new(boot, end - SECTION, SECTION, Settle.AFTER_KILL)
    o.register()
    o.unbind()
    boot.delete(o)


def re_enacted(checked: bool, version: str) -> list[str]:
    boot = Boot(checked=checked, version=version)
    highest_memory_so_far(boot, 0x558000000)
    boot.next_id = 11
    lines = boot.run("e_one", e_one)
    assert not boot.k.violations
    return lines


def without_folds(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith(FOLD)]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("checked", [True, False], ids=["checked", "plain"])
def test_hmm_memory_is_added_used_and_removed_as_on_the_real_kernel(
    checked: bool, version: str
) -> None:
    recorded = golden(version)["e_one"]
    assert not [line for line in recorded if line.startswith(INLINED[version])]
    lines = re_enacted(checked, version)
    lines = [line for line in lines if not line.startswith(INLINED[version])]
    if version == "memremap-v6":
        recorded, lines = without_folds(recorded), without_folds(lines)
    found = compare(recorded, lines, checked)
    assert not found.differences, "\n".join(found.differences)
    assert found.agreeing == found.comparable > (90 if checked else 45)


def test_each_unbinding_folds_the_ref_once_after_the_kill_and_before_the_wait_for_it() -> None:
    for lines in (golden()["e_one"], re_enacted(True, "memremap-v6")):
        names = [line.split()[1] for line in lines if line.startswith("TRACE ")]
        kills = [i for i, name in enumerate(names) if name == "hmm_devmem_ref_kill"]
        assert len(kills) == 2
        for kill in kills:
            end = names.index("percpu_ref_exit", kill)
            window = names[kill:end]
            assert window.count("percpu_ref_switch_to_atomic_rcu") == 1
            assert window.count("hmm_devmem_ref_release") == 1
            assert window.index("hmm_devmem_ref_release") > window.index(
                "percpu_ref_switch_to_atomic_rcu"
            )


def recorded_exports(version: str) -> dict[str, str]:
    found = {}
    for line in (GOLDEN / f"{version}.txt").read_text().splitlines():
        if line.startswith("CASE g_exports "):
            sym, how = (word.split("=")[1] for word in line.split()[2:4])
            found[sym] = how
    return found


@pytest.mark.parametrize("version", ["memremap-v6", "v4.19"])
def test_exports_are_those_of_the_recorded_symbol_table(version: str) -> None:
    recorded = recorded_exports(version)
    assert len(recorded) > 60
    with Kernel(version) as k:
        table: dict[str, Any] = k.exports
    names = {Export.EXPORT_SYMBOL: "EXPORT_SYMBOL", Export.EXPORT_SYMBOL_GPL: "EXPORT_SYMBOL_GPL"}
    answered = {sym: names.get(table.get(sym), "not-exported") for sym in recorded}
    assert answered == recorded
