# SPDX-License-Identifier: GPL-2.0-only
"""The recorded cases of the resource tree, its walkers and its formats, re-enacted."""

from __future__ import annotations

import pytest
from harness import BASE, MB, SECTION, VERSIONS, Boot, case, check, errno_of

from memremap_emu.objects import Region, Resource

EVERYTHING = (1 << 64) - 1
MEM, SYSTEM_RAM, BUSY, EXCLUSIVE = 0x200, 0x1000200, 0x80000000, 0x8000000
FAR = 0x10000000000


def dump(b: Boot, root: Resource) -> None:
    for depth, r in root.walk():
        b.P(
            f"tree depth={depth} {r.start:x}-{r.end:x} flags={r.flags:#x} desc={r.desc} "
            f"name={r.name}"
        )


def parent_name(r: Resource | None) -> str:
    return r.parent.name if r is not None and r.parent is not None else "-"


@case
def c_tree(b: Boot) -> None:
    say, new = b.P, b.k.resource
    root = new(0, 0xFFFFFF, "root")
    nb1 = new(0x10000, 0x1FFFF, "nb1", desc=4)
    nb2 = new(0x12000, 0x13FFF, "nb2")
    eq = new(0x10000, 0x1FFFF, "eq")
    sw = new(0x8000, 0x2FFFF, "sw")
    part = new(0x18000, 0x38FFF, "part")
    out = new(0x1FFF000, 0x2000FFF, "out")
    bad = new(0x20, 0x1F, "bad")

    say(f"request_resource nb1={errno_of(root.request, nb1)}")
    say(f"request_resource eq(same range)={errno_of(root.request, eq)}")
    say(f"insert nb2(inside nb1)={errno_of(root.insert, nb2)}")
    say(f"insert eq(equal nb1)={errno_of(root.insert, eq)}")
    say(f"eq.child={eq.children[0].name if eq.children else '-'} nb1.parent={parent_name(nb1)}")
    say(f"insert sw(swallow)={errno_of(root.insert, sw)}")
    say(f"insert part(partial)={errno_of(root.insert, part)}")
    say(f"insert out={errno_of(root.insert, out)}")
    say(f"insert bad={errno_of(root.insert, bad)}")
    dump(b, root)

    a = root.request_region(0x12100, 0x100, "deep")
    assert a is not None
    say(f"nested=1 parent={parent_name(a)} flags={a.flags:#x} desc={a.desc}")
    for fact, start, n, name in (
        ("overlap_busy", 0x12180, 0x100, "ov"),
        ("same_busy", 0x12100, 0x100, "same"),
        ("inside_busy", 0x12110, 0x10, "in"),
    ):
        say(f"{fact}={int(root.request_region(start, n, name) is not None)}")
    r = root.request_region(0x13F00, 0x200, "stick")
    say(f"stick_out_of_nb2={int(r is not None)} parent={parent_name(r)}")
    say(f"start0n0={int(root.request_region(0, 0, 'z') is not None)}")
    say(f"n0={int(root.request_region(0x100, 0, 'z') is not None)}")
    say(f"iomem start0n0={int(b.k.iomem.root.request_region(0, 0, 'z') is not None)}")
    r = root.request_region(0x100000, 0x1000, "excl", EXCLUSIVE)
    assert r is not None
    say(f"excl flags={r.flags:#x}")
    say(f"past_end={int(root.request_region(0xFFF800, 0x1000, 'past') is not None)}")
    say(f"stick_out_of_sw(top)={int(root.request_region(0x2FF00, 0x200, 'stick2') is not None)}")
    dump(b, root)

    for fact, start, n in (
        ("release wrong size", 0x12100, 0x80),
        ("release exact nested", 0x12100, 0x100),
        ("release again", 0x12100, 0x100),
        ("release nonbusy exact", 0x12000, 0x2000),
        ("release start0 n0", 0, 0),
    ):
        say(fact)
        root.release_region(start, n)
    r = root.request_region(0x200000, 0x10000, "par")
    assert r is not None
    say(f"child under busy={errno_of(r.request, new(0x201000, 0x201FFF, 'ch'))}")
    root.release_region(0x200000, 0x10000)
    say("after release of busy parent with child:")
    dump(b, root)

    say(f"remove_resource(sw)={errno_of(sw.remove)}")
    dump(b, root)
    say(f"release_resource(eq)={errno_of(eq.release)}")
    dump(b, root)
    say(f"insert nb1 twice: first {errno_of(root.insert, nb1)}")
    rc = errno_of(root.insert, nb1)
    say(f"insert nb1 second={rc}")
    al = new(0, 0, "al")
    rc = errno_of(root.allocate, al, 0x3000, 0x400, 0xFFFFFF, 0x1000)
    say(f"allocate={rc} {al.start:x}-{al.end:x}")
    say(f"lookup={int(root.lookup(al.start) == al)}")
    say(f"adjust={errno_of(al.adjust, al.start, 0x2000)}")
    say(f"adjust_over={errno_of(al.adjust, al.start, 0x2000000)} {al.start:x}-{al.end:x}")
    dump(b, root)


@case
def c_iomem(b: Boot) -> None:
    say, iomem = b.P, b.k.iomem
    root, ports = iomem.root, iomem.ports
    say(
        f"iomem_resource {root.start:x}-{root.end:x} flags={root.flags:#x} name={root.name} "
        f"ioport {ports.start:x}-{ports.end:x} {ports.name}"
    )
    dump(b, root)
    rams = [r for r in root.children if r.name == "System RAM"]
    low, ram = rams[0], max(rams, key=lambda r: r.size)
    pmem = next(r for r in root.children if r.desc == 5)
    say(f"low ram {low.pr} big ram {ram.pr} pmem {pmem.pr}")
    say(
        f"REGION_INTERSECTS={Region.INTERSECTS:d} DISJOINT={Region.DISJOINT:d} "
        f"MIXED={Region.MIXED:d}"
    )
    for start, size, flags, desc in (
        (ram.start, SECTION, SYSTEM_RAM, 0),
        (ram.start + SECTION, SECTION, SYSTEM_RAM, 0),
        (0, SECTION, SYSTEM_RAM, 0),
        (BASE, SECTION, SYSTEM_RAM, 0),
        (FAR, SECTION, SYSTEM_RAM, 0),
        (ram.end - MB + 1, MB, SYSTEM_RAM, 0),
        (ram.end - MB + 1, 2 * MB, SYSTEM_RAM, 0),
        (ram.end + 1, 1, SYSTEM_RAM, 0),
        (ram.start, 1, SYSTEM_RAM, 0),
        (pmem.start, SECTION, SYSTEM_RAM, 0),
        (pmem.start, SECTION, MEM, 4),
        (pmem.start, SECTION, MEM, 5),
        (pmem.start, SECTION, 0, 0),
        (pmem.start - SECTION, 2 * SECTION, MEM, 5),
        (pmem.start - SECTION, 2 * SECTION, SYSTEM_RAM, 0),
        (BASE, SECTION, 0, 0),
        (FAR, SECTION, 0, 0),
        (0, EVERYTHING, 0, 0),
        (0, FAR, SYSTEM_RAM, 0),
        (FAR, 0, 0, 0),
        (BASE, 0, 0, 0),
        (ram.start, SECTION, SYSTEM_RAM, 6),
    ):
        found = iomem.region_intersects(start, size, flags, desc)
        say(
            f"region_intersects start={start:x} size={size:x} flags={flags:#x} desc={desc} "
            f"=> {found:d}"
        )

    def visit(start: int, end: int, flags: int, desc: int) -> int:
        say(f"ev=walk {start:x}-{end:x} flags={flags:#x} desc={desc}")
        return 0

    def visit_once(start: int, end: int, flags: int, desc: int) -> int:
        visit(start, end, flags, desc)
        return 7

    def visit_range(pfn: int, n: int) -> int:
        say(f"ev=walk_range pfn={pfn:#x} n={n:#x}")
        return 0

    busy_ram = SYSTEM_RAM | BUSY
    rc = iomem.walk(visit, flags=busy_ram)
    say(f"walk desc0 SYSRAM whole={rc}")
    rc = iomem.walk(visit, ram.start - 0x10, ram.start, flags=busy_ram)
    say(f"walk starting exactly at end={rc}")
    rc = iomem.walk(visit, FAR, FAR + 0x1000, flags=busy_ram)
    say(f"walk nothing={rc}")
    rc = iomem.walk(visit_once, flags=busy_ram)
    say(f"walk stop={rc}")
    rc = iomem.walk(visit, flags=MEM)
    say(f"walk flags MEM only={rc}")
    rc = iomem.walk_system_ram_range(visit_range, 0, (ram.end + 1) >> 12)
    say(f"walk_system_ram_range={rc}")
    say(
        f"page_is_ram(ram)={iomem.page_is_ram(ram.start >> 12):d} "
        f"page_is_ram(BASE)={iomem.page_is_ram(BASE >> 12):d}"
    )


@case
def c_fmt(b: Boot) -> None:
    for i, (start, end, flags) in enumerate(
        (
            (0x100000000, 0x13FFFFFFF, 0x200),
            (0xA0000, 0xBFFFF, 0x200),
            (0x3F8, 0x3FF, 0x100),
            (4, 4, 0x400),
            (2, 3, 0x800),
            (0, 0xFF, 0x1000),
            (0x1000, 0x1FFF, 0),
            (0x1000, 0x1000, 0x80000200),
            (0x1000, 0x1FFF, 0x20100200),
            (0x1000, 0x1FFF, 0x10302200),
            (0x3FFFF8000000, 0x3FFFFFFFFFFF, 0x81000200),
            (0, EVERYTHING, 0x200),
            (5, 1, 0x200),
            (0x10, 0x20, 0x300),
            (0, 0, 0x1100),
        )
    ):
        r = b.k.resource(start, end, flags=flags)
        b.P(f"i={i} start={start:x} end={end:x} flags={flags:x} pR={r.pR} pr={r.pr}")
    native = b.k._native
    b.P(f"null pR=|{native.format(1, 0)}| pr=|{native.format(2, 0)}|")


CASES = ["c_tree", "c_iomem", "c_fmt"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CASES)
def test_checked_build_answers_as_the_real_kernel(name: str, version: str) -> None:
    check(name, version=version)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CASES)
def test_plain_build_answers_as_the_real_kernel(name: str, version: str) -> None:
    check(name, checked=False, version=version)
