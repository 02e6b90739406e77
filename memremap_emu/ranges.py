# SPDX-License-Identifier: GPL-2.0-only
"""Where device memory can be: memory maps from files, and the ranges that a driver can drive."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from memremap_emu import iomem
from memremap_emu.iomem import CLAIM, PMEM_NAMES, HiddenAddressesError, IomemError, Range

PROC_IOMEM = "/proc/iomem"
EMBEDDED = "xeon-hpsa-memmap-4g.txt"
LEGACY = "Persistent Memory (legacy)"
RAM = "System RAM"
#: What the firmware's map (e820) says a range is; ``memmap=`` overrides any of it.
FIRMWARE_NAMES = frozenset(
    {
        RAM,
        "Reserved",
        "reserved",
        "ACPI Tables",
        "ACPI Non-volatile Storage",
        "Unusable memory",
        *PMEM_NAMES,
    }
)
KERNEL_IMAGE = frozenset({"Kernel code", "Kernel rodata", "Kernel data", "Kernel bss"})
SECTION_SIZE = 1 << 27
PAGE_SIZE = 1 << 12
#: The emulated CPU's physical address space (`Config.physical_bits`) ends here.
LIMIT = 1 << 46
#: A memory map larger than this is no memory map.
MAX_FILE = 16 << 20
_SUFFIXES = {s: 10 * (i + 1) for i, s in enumerate("kmgtpe")}
_NUMBER = re.compile(r"(0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*)([kmgtpe]?)", re.IGNORECASE)


class BadInputError(ValueError):
    """What the user gave cannot be worked with; the text says where and why."""


@dataclass(frozen=True)
class MemoryMap:
    """A memory map and where it comes from.

    Attributes:
        source: name of the file, or of the embedded map
        ranges: its top-level ranges, ascending
        note: what a reader must be told about the choice of source, or empty
    """

    source: str
    ranges: tuple[Range, ...]
    note: str = ""


@dataclass(frozen=True)
class Memmap:
    """``memmap=nn[KMG]!ss[KMG]`` of the kernel's command line: persistent memory by decree."""

    start: int
    size: int

    @property
    def end(self) -> int:
        """Last address, inclusive."""
        return self.start + self.size - 1

    def __str__(self) -> str:
        return f"memmap={_with_suffix(self.size)}!{_with_suffix(self.start)}"


def _with_suffix(value: int) -> str:
    for suffix in "EPTGMK":
        shift = _SUFFIXES[suffix.lower()]
        if value and value % (1 << shift) == 0:
            return f"{value >> shift}{suffix}"
    return f"{value:#x}"


def memparse(text: str) -> int:
    """memparse(): a decimal, octal or hexadecimal number with a suffix K, M, G, T, P or E.

    Raises:
        ValueError: it is no such number, or does not fit into 64 bits.
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a number with an optional suffix K, M, G, T, P or E")
    digits, suffix = match.groups()
    digits = digits.lower()
    base = 16 if digits.startswith("0x") else 8 if digits.startswith("0") else 10
    value = int(digits, base) << _SUFFIXES.get(suffix.lower(), 0)
    if value >> 64:
        raise ValueError(f"{text} does not fit into 64 bits")
    return value


def parse_memmap(text: str) -> list[Memmap]:
    """Reads ``nn[KMG]!ss[KMG]``, or several of them separated by commas.

    Raises:
        BadInputError: with the reason.
    """
    found = []
    for part in text.removeprefix("memmap=").split(","):
        size, mark, start = part.partition("!")
        if not mark:
            raise BadInputError(
                f"--memmap {part}: persistent memory is SIZE!START, for example 4G!12G"
            )
        try:
            option = Memmap(memparse(start), memparse(size))
        except ValueError as e:
            raise BadInputError(f"--memmap {part}: {e}") from None
        if not option.size:
            raise BadInputError(f"--memmap {part}: the size is zero")
        if option.end >= LIMIT:
            raise BadInputError(
                f"--memmap {part}: ends at {option.end:#x}, beyond the physical address space, "
                f"which ends at {LIMIT - 1:#x}"
            )
        found.append(option)
    return found


# --- reading ---


def read(path: str | None) -> MemoryMap:
    """The map of a file; of this machine if ``path`` is None, or, where that is hidden, a real
    one that comes with the package.

    Raises:
        BadInputError: the file cannot be read, or is no memory map (file, line and reason).
    """
    if path is not None:
        return MemoryMap(path, _parse(_text(path), path))
    try:
        return MemoryMap(PROC_IOMEM, _parse(_text(PROC_IOMEM), PROC_IOMEM))
    except HiddenAddressesError:
        why = "hides its addresses from this user"
    except BadInputError as e:
        why = f"cannot be used ({e})"
    text = iomem.embedded(EMBEDDED)
    return MemoryMap(
        f"embedded {EMBEDDED}",
        _parse(text, EMBEDDED),
        f"{PROC_IOMEM} {why}: using the embedded map {EMBEDDED}",
    )


def _text(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
        raise BadInputError(f"{path}: {reason}") from None
    if len(data) > MAX_FILE:
        raise BadInputError(f"{path}: larger than {MAX_FILE >> 20} MiB, no memory map")
    return data.decode(errors="replace")


def _parse(text: str, source: str) -> tuple[Range, ...]:
    try:
        ranges = tuple(iomem.parse(text, source))
        for top in ranges:
            if top.end >= LIMIT:
                raise IomemError(
                    source,
                    top.line,
                    f"beyond the physical address space, which ends at {LIMIT - 1:#x}",
                )
    except HiddenAddressesError:
        if source == PROC_IOMEM:
            raise
        raise BadInputError(
            f"{source}:1: all addresses are zero: the file was written by a user "
            "who was not allowed to see them"
        ) from None
    except IomemError as e:
        raise BadInputError(str(e)) from None
    if not ranges:
        raise BadInputError(f"{source}: no memory map in it: the file is empty")
    return ranges


# --- memmap= ---


def _overlaps(a: Range | Memmap, start: int, end: int) -> bool:
    return a.start <= end and start <= a.end


def _pieces(old: Range, start: int, end: int) -> Iterator[Range]:
    """What remains of a range around [start, end], with the children that still fit."""
    for first, last in ((old.start, start - 1), (end + 1, old.end)):
        if first <= last and first >= old.start and last <= old.end:
            inside = [c for c in old.children if first <= c.start and c.end <= last]
            yield Range(first, last, old.name, old.line, inside)


def carve(memory: MemoryMap, option: Memmap) -> MemoryMap:
    """The map that a boot with this ``memmap=`` parameter would have shown.

    The parameter overrides what the firmware says; only the range that the kernel's image
    takes up is made System RAM again, and what the kernel had reserved in RAM that is none
    any more (the crash kernel) would lie elsewhere, so it is left out.

    Raises:
        BadInputError: the range is, in part, no memory but a device's.
    """
    start, end = option.start, option.end
    kept: list[Range] = []
    image: list[Range] = []
    for top in memory.ranges:
        if not _overlaps(top, start, end):
            kept.append(top)
            continue
        blocking: Range | None = top if top.name not in FIRMWARE_NAMES else None
        for child in top.children:
            if not _overlaps(child, start, end):
                continue
            if top.name == RAM and child.name in KERNEL_IMAGE:
                image.append(child)
            elif top.name != RAM and top.name not in PMEM_NAMES:
                blocking = blocking or child
        if blocking is not None:
            raise BadInputError(
                f"--memmap {str(option).partition('=')[2]}: overlaps {blocking.name!r} of "
                f"{memory.source}:{blocking.line}, which is no memory"
            )
        kept.extend(_pieces(top, start, end))
    made = Range(start, end, LEGACY)
    if image:
        first = min(r.start for r in image) & -PAGE_SIZE
        last = max(r.end for r in image) | (PAGE_SIZE - 1)
        ram = Range(max(first, start), min(last, end), RAM, image[0].line)
        if (ram.start, ram.end) == (start, end):
            raise BadInputError(
                f"--memmap {str(option).partition('=')[2]}: lies inside the kernel's own image, "
                f"{memory.source}:{ram.line}"
            )
        ram.children = [c for c in image if ram.start <= c.start and c.end <= ram.end]
        kept.extend([*_pieces(made, ram.start, ram.end), ram])
    else:
        kept.append(made)
    kept.sort(key=lambda r: r.start)
    return MemoryMap(f"{memory.source} {option}", tuple(kept), memory.note)


# --- finding ---


def _walk(ranges: Sequence[Range]) -> Iterator[Range]:
    for top in ranges:
        yield top
        if top.name not in PMEM_NAMES:
            yield from _walk(top.children)


def persistent_memory(memory: MemoryMap) -> list[Range]:
    """The ranges that the drivers of persistent memory can drive."""
    return [r for r in _walk(memory.ranges) if r.name in PMEM_NAMES]


#: Name of a PCI function, which a BAR has in a memory map.
_FUNCTION = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")


def bars(memory: MemoryMap) -> list[Range]:
    """The BARs of PCI functions that have room for a page."""
    return [
        r
        for top in memory.ranges
        for r in top.walk()
        if _FUNCTION.fullmatch(r.name) and r.size >= PAGE_SIZE and r.start % PAGE_SIZE == 0
    ]


def private_range(memory: MemoryMap, size: int) -> Range | None:
    """Where memory that has no address will be: the highest range, in steps of its size, that
    nothing in the map touches; None if there is none."""
    size = -(-size // SECTION_SIZE) * SECTION_SIZE
    start = LIMIT - size
    while start > size:
        touched = [r for r in memory.ranges if _overlaps(r, start, start + size - 1)]
        if not touched:
            return Range(start, start + size - 1, "device memory")
        # No candidate above the lowest of these is free.
        lowest = min(r.start for r in touched)
        start -= max(1, -(-(start + size - lowest) // size)) * size
    return None


def _sections(start: int, end: int) -> tuple[int, int]:
    """The range that a mapping of [start, end] adds: whole sections."""
    return start & -SECTION_SIZE, end | (SECTION_SIZE - 1)


def free_section(memory: MemoryMap, target: Range) -> int | None:
    """Start of a section that nothing in the map touches, the nearest above ``target`` or, if
    there is none, below it."""
    start, end = _sections(target.start, target.end)
    taken = [_sections(r.start, r.end) for r in memory.ranges]
    candidate = end + 1
    for first, last in taken:
        if first <= candidate <= last:
            candidate = last + 1
    if candidate + SECTION_SIZE <= LIMIT:
        return candidate
    candidate = start - SECTION_SIZE
    for first, last in reversed(taken):
        if first <= candidate <= last:
            candidate = first - SECTION_SIZE
    return candidate if candidate >= 0 else None


def excerpt(
    memory: MemoryMap,
    target: Range,
    second: int | None = None,
    *,
    keep_claims: bool = False,
    above: bool = False,
) -> str:
    """The part of a map that a device on ``target`` can notice, as text.

    That is all System RAM and whatever lies in the sections of the range.  ``second`` is the
    start of one more section, which becomes persistent memory.  ``above`` takes all that lies
    above the range, too, for whoever looks for a free range from the top.
    """
    start, end = _sections(target.start, target.end)
    lines: list[str] = []

    def add(r: Range, depth: int) -> None:
        indent = "  " * min(depth, iomem.MAX_LEVEL)
        lines.append(f"{indent}{r.start:08x}-{r.end:08x} : {r.name}")
        for child in r.children:
            if not _overlaps(child, start, end):
                continue
            if not keep_claims and r.name in PMEM_NAMES and CLAIM.match(child.name):
                continue
            add(child, depth + 1)

    tops = list(memory.ranges)
    if second is not None:
        tops.append(Range(second, second + SECTION_SIZE - 1, PMEM_NAMES[0]))
        tops.sort(key=lambda r: r.start)
    for top in tops:
        higher = above and top.start > end
        if top.name == RAM or _overlaps(top, start, end) or top.start == second or higher:
            add(top, 0)
    return "\n".join(lines) + "\n"
