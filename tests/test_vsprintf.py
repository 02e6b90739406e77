# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's printf: C's conversions, and what may follow a %p."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from memremap_emu import IoResource, Kernel

MAX = (1 << 64) - 1


@pytest.fixture(scope="module", params=[True, False], ids=["checked", "plain"])
def k(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with Kernel(checked=request.param) as kernel:
        yield kernel


@pytest.mark.parametrize("value", [0, 1, -1, 7, 255, -128, 65535, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize(
    "fmt",
    "%d %i %5d %-5d %05d %+d %+5d %-+5d %.3d %8.3d %u "
    "%x %X %#x %#X %#10x %#010x %-#10x %#o %o %c".split(),
)
def test_integers_print_as_python_prints_them(k: Kernel, fmt: str, value: int) -> None:
    letter = fmt[-1]
    if letter == "c":
        value = 33 + value % 90
    elif letter in "uoxX":
        value &= 0xFFFFFFFF
    python = fmt.replace("u", "d").replace("i", "d")
    if "#o" in fmt:
        expected = f"0{value:o}" if value else "0"
    elif "#X" in fmt:
        expected = f"0X{value:X}"
    else:
        expected = python % value
    assert k.format("[" + fmt + "]", value) == f"[{expected}]"


@pytest.mark.parametrize(
    ("fmt", "value", "text"),
    [
        ("%hhd", 0x1FF, "-1"),
        ("%hhu", 0x1FF, "255"),
        ("%hd", 0x18000, "-32768"),
        ("%hu", 0x18000, "32768"),
        ("%d", 1 << 32, "0"),
        ("%ld", -1, "-1"),
        ("%lu", -1, str(MAX)),
        ("%llx", MAX, "ffffffffffffffff"),
        ("%zu", MAX, str(MAX)),
        ("%jd", -5, "-5"),
        ("%td", -5, "-5"),
        ("%Lx", MAX, "ffffffffffffffff"),
    ],
)
def test_length_says_how_much_of_the_argument_counts(
    k: Kernel, fmt: str, value: int, text: str
) -> None:
    assert k.format(fmt, value) == text


@pytest.mark.parametrize(
    ("fmt", "value", "width", "text"),
    [
        ("% d", 5, 0, " 5"),
        ("% d", -5, 0, "-5"),
        ("%*d", 5, 4, "   5"),
        ("%*d", 5, -4, "5   "),
        ("%.*d", 5, 4, "0005"),
        ("%.*d", 5, -4, "5"),
        ("%3c", ord("x"), 0, "  x"),
        ("%-3c|", ord("x"), 0, "x  |"),
        ("100%% %d", 1, 0, "100% 1"),
        ("%#x", 0, 0, "0x0"),
        ("%b %d", 3, 0, "%b 3"),
        ("%d %", 3, 0, "3 %"),
    ],
)
def test_flags_stars_and_what_is_no_conversion(
    k: Kernel, fmt: str, value: int, width: int, text: str
) -> None:
    assert k.format(fmt, value, width=width) == text


@pytest.mark.parametrize(
    ("fmt", "value", "width", "text"),
    [
        ("%s", "pmem0", 0, "pmem0"),
        ("%7s|", "pmem0", 0, "  pmem0|"),
        ("%-7s|", "pmem0", 0, "pmem0  |"),
        ("%.3s", "pmem0", 0, "pme"),
        ("%*s|", "pmem0", 7, "  pmem0|"),
        ("%.*s|", "pmem0", 2, "pm|"),
        ("%s", None, 0, "(null)"),
    ],
)
def test_strings(k: Kernel, fmt: str, value: str | None, width: int, text: str) -> None:
    assert k.format(fmt, value, width=width) == text


@pytest.mark.parametrize(
    ("fmt", "value", "text"),
    [
        ("%p", 0xDEAD, "000000000000dead"),
        ("%px", 0xDEAD, "000000000000dead"),
        ("%6px|", 0xDEAD, "  dead|"),
        ("%p", 0, "          (null)"),
        ("%px", 0, "0000000000000000"),
        ("%pf", 0, "          (null)"),
        ("%20p|", 0, "              (null)|"),
        ("%pS", 0x1000, "0x1000"),
        ("%pa", 0x140000000, "0x0000000140000000"),
        ("%pad", 1, "0x0000000000000001d"),
        ("%pq", 1, "0000000000000001q"),
    ],
)
def test_addresses(k: Kernel, fmt: str, value: int, text: str) -> None:
    assert k.format(fmt, value) == text


@pytest.mark.parametrize(
    ("flags", "decoded", "raw"),
    [
        (IoResource.MEM, "[mem 0x00001000-0x00001fff]", "[mem 0x00001000-0x00001fff flags 0x200]"),
        (IoResource.IO, "[io  0x1000-0x1fff]", "[io  0x1000-0x1fff flags 0x100]"),
        (0x400, "[irq 4096-8191]", "[irq 4096-8191 flags 0x400]"),
        (0x800, "[dma 4096-8191]", "[dma 4096-8191 flags 0x800]"),
        (0x1000, "[bus 1000-1fff]", "[bus 1000-1fff flags 0x1000]"),
        (0, "[??? 0x00001000-0x00001fff flags 0x0]", "[??? 0x00001000-0x00001fff flags 0x0]"),
        (0x20000200, "[mem size 0x00001000]", "[mem 0x00001000-0x00001fff flags 0x20000200]"),
        (
            0x10302200,
            "[mem 0x00001000-0x00001fff 64bit pref window disabled]",
            "[mem 0x00001000-0x00001fff flags 0x10302200]",
        ),
    ],
)
def test_resources(k: Kernel, flags: int, decoded: str, raw: str) -> None:
    resource = k.resource(0x1000, 0x1FFF, "r", flags=flags)
    assert k.format("%pR", resource) == decoded
    assert k.format("%pr", resource) == raw
    assert k.format("%60pR|", resource) == f"{decoded:>60}|"


def test_resource_of_one_byte_has_no_end(k: Kernel) -> None:
    assert k.format("%pR", k.resource(0x10, 0x10, "r")) == "[mem 0x00000010]"


@pytest.mark.parametrize(
    ("fmt", "value"),
    [
        ("%s", 1),
        ("%d", "text"),
        ("%d %d", 1),
        ("nothing", 1),
        ("%**d", 1),
        ("%99999d", 1),
        ("%*b %d", 1),
        ("%pR", 0x1000),
        ("%", 1),
    ],
)
def test_conversion_of_something_else_is_refused(k: Kernel, fmt: str, value: int | str) -> None:
    with pytest.raises(ValueError, match="a format with one conversion"):
        k.format(fmt, value)
    with pytest.raises(ValueError, match=r"a format with one %pR"):
        k.format("%px", k.resource(0, 1, "r"))


def test_star_wider_than_a_line_is_refused(k: Kernel) -> None:
    with pytest.raises(ValueError, match="a format with one conversion"):
        k.format("%*d", 1, width=1 << 31)


def test_line_longer_than_the_buffer_is_cut(k: Kernel) -> None:
    assert k.format("%s", "x" * 300) == "x" * 255
