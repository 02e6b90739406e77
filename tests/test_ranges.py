# SPDX-License-Identifier: GPL-2.0-only
"""Memory maps from files, ``memmap=``, and the ranges that a driver can drive."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memremap_emu import Kernel, iomem, ranges
from memremap_emu.ranges import BadInputError, Memmap, MemoryMap, memparse, parse_memmap

RAM = (
    "00001000-0009ffff : System RAM\n"
    "000a0000-000fffff : Reserved\n"
    "00100000-bfffffff : System RAM\n"
    "  01000000-01ffffff : Kernel code\n"
    "  02000000-02ffffff : Kernel data\n"
    "  03000000-034fabcd : Kernel bss\n"
    "c0000000-febfffff : PCI Bus 0000:00\n"
    "100000000-23fffffff : System RAM\n"
    "  230000000-237ffffff : Crash kernel\n"
)


def memory(text: str = RAM) -> MemoryMap:
    return MemoryMap("<test>", tuple(iomem.parse(text)))


def names(found: MemoryMap) -> list[tuple[str, str]]:
    return [(f"{r.start:x}-{r.end:x}", r.name) for r in found.ranges]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("4096", 4096),
        ("010", 8),
        ("0x10", 16),
        ("0X1f", 31),
        ("4K", 4096),
        ("3m", 3 << 20),
        ("0x10G", 16 << 30),
        ("2T", 2 << 40),
        ("1P", 1 << 50),
        ("1e", 1 << 60),
    ],
)
def test_memparse_reads_what_the_kernel_reads(text: str, value: int) -> None:
    assert memparse(text) == value


@pytest.mark.parametrize("text", ["", "G", "-1", "4GB", "0x", "09", "1.5G", "٣", "16E", "4 G"])
def test_memparse_refuses_what_is_no_number(text: str) -> None:
    with pytest.raises(ValueError):
        memparse(text)


def test_memmap_is_size_then_start_and_may_be_a_list() -> None:
    assert parse_memmap("4G!12G") == [Memmap(12 << 30, 4 << 30)]
    assert parse_memmap("memmap=1M!16M,0x200000!0x2000000") == [
        Memmap(16 << 20, 1 << 20),
        Memmap(0x2000000, 0x200000),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("4G", "SIZE!START"),
        ("4G@12G", "SIZE!START"),
        ("x!12G", "not a number"),
        ("4G!", "not a number"),
        ("0!4G", "size is zero"),
        ("4G!64T", "physical address space"),
        ("1!16E", "64 bits"),
    ],
)
def test_memmap_tells_what_is_wrong_with_it(text: str, reason: str) -> None:
    with pytest.raises(BadInputError, match=reason):
        parse_memmap(text)


def test_memmap_splits_the_system_ram_around_it() -> None:
    carved = ranges.carve(memory(), Memmap(0x140000000, 1 << 30))
    assert names(carved)[-3:] == [
        ("100000000-13fffffff", "System RAM"),
        ("140000000-17fffffff", "Persistent Memory (legacy)"),
        ("180000000-23fffffff", "System RAM"),
    ]
    assert [c.name for c in carved.ranges[-1].children] == ["Crash kernel"]


def test_memmap_over_the_whole_of_a_range_leaves_nothing_of_it() -> None:
    carved = ranges.carve(memory(), Memmap(0x100000000, 5 << 30))
    assert names(carved)[-1] == ("100000000-23fffffff", "Persistent Memory (legacy)")
    assert carved.ranges[-1].children == []


def test_memmap_in_a_gap_makes_a_range_there() -> None:
    carved = ranges.carve(memory(), Memmap(1 << 40, 1 << 30))
    assert names(carved)[-1] == ("10000000000-1003fffffff", "Persistent Memory (legacy)")


def test_memmap_leaves_the_kernel_image_in_system_ram() -> None:
    """What the real machine of the embedded map did with memmap=4G!4G."""
    carved = ranges.carve(memory(), Memmap(0x800000, 0x10000000))
    assert names(carved)[2:6] == [
        ("100000-7fffff", "System RAM"),
        ("800000-ffffff", "Persistent Memory (legacy)"),
        ("1000000-34fafff", "System RAM"),
        ("34fb000-107fffff", "Persistent Memory (legacy)"),
    ]
    assert [c.name for c in carved.ranges[4].children] == [
        "Kernel code",
        "Kernel data",
        "Kernel bss",
    ]


def test_memmap_drops_a_crash_kernel_that_would_lie_in_it() -> None:
    carved = ranges.carve(memory(), Memmap(0x234000000, 0x1000000))
    assert all(not r.children for r in carved.ranges[3:])


def test_memmap_over_a_device_is_refused_and_the_device_named() -> None:
    with pytest.raises(BadInputError, match=r"'PCI Bus 0000:00' of <test>:7"):
        ranges.carve(memory(), Memmap(0xB0000000, 0x20000000))


@given(st.integers(0, 0x3FFFFF), st.integers(1, 0x3FFFFF))
def test_memmap_anywhere_in_ram_keeps_a_map_that_parses_and_loads(page: int, pages: int) -> None:
    option = Memmap(page << 12, pages << 12)
    try:
        carved = ranges.carve(memory(), option)
    except BadInputError:
        return
    text = "".join(
        f"{'  ' * depth}{r.start:08x}-{r.end:08x} : {r.name}\n"
        for top in carved.ranges
        for depth, r in [(0, top), *((1, child) for child in top.children)]
    )
    assert iomem.parse(text)
    covered = [r for r in ranges.persistent_memory(carved)]
    assert covered
    assert all(option.start <= r.start and r.end <= option.end for r in covered)


def test_persistent_memory_is_found_under_both_names_and_inside_other_ranges() -> None:
    found = ranges.persistent_memory(
        memory(
            "100000000-1ffffffff : Persistent Memory (legacy)\n"
            "  100000000-1ffffffff : namespace0.0\n"
            "1000000000-1fffffffff : CXL Window 0\n"
            "  1000000000-10ffffffff : Persistent Memory\n"
        )
    )
    assert [r.start for r in found] == [0x100000000, 0x1000000000]


@pytest.mark.parametrize(
    "name", sorted(p.name for p in Path(iomem.__file__).parent.glob("maps/*.txt"))
)
def test_excerpt_of_a_real_map_boots_and_shows_the_range(name: str) -> None:
    found = MemoryMap(name, tuple(iomem.parse(iomem.embedded(name))))
    for target in ranges.persistent_memory(found):
        second = ranges.free_section(found, target)
        assert second is not None
        text = ranges.excerpt(found, target, second)
        with Kernel() as k:
            k.iomem.load(text)
            shown = [(r.start, r.end) for _, r in k.iomem if "Persistent" in r.name]
        assert (target.start, target.end) in shown
        assert (second, second + ranges.SECTION_SIZE - 1) in shown
        assert "namespace" not in text


def test_excerpt_keeps_claims_when_told_to() -> None:
    found = MemoryMap("x", tuple(iomem.parse(iomem.embedded())))
    target = ranges.persistent_memory(found)[0]
    assert "namespace0.0" in ranges.excerpt(found, target, keep_claims=True)
    assert "namespace0.0" not in ranges.excerpt(found, target)


def test_free_section_lies_above_the_range_or_below_it_if_there_is_no_room_above() -> None:
    target = memory("8000000-fffffff : Persistent Memory\n10000000-10000fff : Reserved\n")
    assert ranges.free_section(target, target.ranges[0]) == 0x18000000
    end = ranges.LIMIT - 1
    full = memory(f"10000000-{end:x} : Persistent Memory\n")
    assert ranges.free_section(full, full.ranges[0]) == 0x8000000
    whole = memory(f"0-{end:x} : Persistent Memory\n")
    assert ranges.free_section(whole, whole.ranges[0]) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "file is empty"),
        (b"00001000-0009ffff : System RAM\nfoo\n", ":2: not a line of a memory map"),
        (b"\x00\xff\xfe\x80" * 100, ":1: not a line of a memory map"),
        (b"1000-1fff : A\n1800-2fff : B\n", ":2: overlaps 'A' of line 1"),
        (b"1000-fff : A\n", ":1: ends before it starts"),
        (b"1000-1fff : A\x00B\n", ":1: a name with characters"),
        (b"0-0 : A\n  0-0 : B\n", ":1: all addresses are zero"),
        (b"0-ffffffffffffffff : Persistent Memory\n", ":1: beyond the physical address space"),
        (b"".join(b"  " * min(i, 5) + b"0-fff : x\n" for i in range(2000)), "too deeply"),
    ],
)
def test_bad_file_is_told_with_its_line_and_the_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "iomem"
    path.write_bytes(content)
    with pytest.raises(BadInputError) as caught:
        ranges.read(str(path))
    assert str(caught.value).startswith(str(path))
    assert reason in str(caught.value)


def test_a_directory_and_a_file_that_is_not_there_are_bad_input(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(BadInputError, match=str(path)):
            ranges.read(str(path))


def test_hidden_addresses_of_this_machine_give_the_embedded_map_and_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = tmp_path / "iomem"
    with Kernel() as k:
        k.iomem.load(iomem.embedded())
        hidden.write_text(k.iomem.unprivileged())
    monkeypatch.setattr(ranges, "PROC_IOMEM", str(hidden))
    found = ranges.read(None)
    assert found.source == "embedded xeon-hpsa-memmap-4g.txt"
    assert "hides its addresses" in found.note
    assert len(ranges.persistent_memory(found)) == 2


def test_visible_addresses_of_this_machine_are_taken_without_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = tmp_path / "iomem"
    shown.write_text(RAM)
    monkeypatch.setattr(ranges, "PROC_IOMEM", str(shown))
    found = ranges.read(None)
    assert (found.source, found.note) == (str(shown), "")
