# SPDX-License-Identifier: GPL-2.0-only
"""The configuration of a machine: its ``.config``.

The fields of `Config` are the table of keys: each has its default, its legal values and its
meaning there and nowhere else.  `keys` gives the table to whoever wants to walk it, `table` as
text (``docs/configuration.md``), and a value that it does not list is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any


@dataclass(frozen=True)
class Key:
    """One key of a configuration.

    Attributes:
        name: as `Config` calls it
        default: its value if none is given
        legal: all values that it may have; some need others, see `RULES`
        kernel: what a real kernel calls it
        meaning: what it is
    """

    name: str
    default: int
    legal: tuple[int, ...] | range
    kernel: str
    meaning: str

    @property
    def values(self) -> str:
        """The legal values in words."""
        if isinstance(self.legal, range):
            return f"{self.legal[0]} to {self.legal[-1]}"
        words = [str(value) for value in self.legal]
        return f"{', '.join(words[:-1])} or {words[-1]}"

    def check(self, value: object, where: str = "Config.") -> None:
        """Is it a legal value?

        Raises:
            TypeError: it has not the type.
            ValueError: it is none of the values, with these.
        """
        kind = type(self.default)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise TypeError(f"{where}{self.name} must be {_ARTICLE[kind]}, not {value!r}")
        if int(value) not in self.legal:
            raise ValueError(f"{where}{self.name} must be {self.values}, not {value!r}")


_ARTICLE = {bool: "a bool", int: "an int"}


def _key(default: int, legal: tuple[int, ...] | range, kernel: str, meaning: str) -> Any:
    return field(default=default, metadata={"legal": legal, "kernel": kernel, "meaning": meaning})


def _switch(default: bool, kernel: str, meaning: str) -> Any:
    return _key(default, (False, True), kernel, meaning)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Configuration of an emulated kernel; values of a key: `keys`, ``docs/configuration.md``.

    Raises:
        TypeError: an unknown key, with the list of those known; a value of another type.
        ValueError: a value that the key does not have, with those that it has; a combination
            that no kernel can be built with, with the reason.
    """

    page_shift: int = _key(12, (12, 14, 16), "PAGE_SHIFT", "log2 of the page size: 4, 16 or 64 KiB")
    section_size_bits: int = _key(
        27, range(21, 31), "SECTION_SIZE_BITS", "log2 of the bytes of a memory section"
    )
    max_physmem_bits: int = _key(
        46, range(32, 53), "MAX_PHYSMEM_BITS", "bits of physical address that sections cover"
    )
    physical_bits: int = _key(
        46,
        range(32, 53),
        "x86_phys_bits",
        "bits of physical address that the CPU has; iomem ends there",
    )
    numa_nodes: int = _key(1, range(1, 5), "MAX_NUMNODES", "number of NUMA nodes")
    zone_device: bool = _switch(True, "CONFIG_ZONE_DEVICE", "device memory has struct pages")
    device_private: bool = _switch(
        True, "CONFIG_DEVICE_PRIVATE", "HMM has memory that the CPU cannot reach"
    )
    device_public: bool = _switch(
        True, "CONFIG_DEVICE_PUBLIC", "HMM has memory that the CPU can reach"
    )
    dev_pagemap_ops: bool = _switch(
        True, "CONFIG_DEV_PAGEMAP_OPS", "drivers are told of pages that become idle"
    )
    kasan: bool = _switch(True, "CONFIG_KASAN", "shadow is added and removed with device memory")
    pat: bool = _switch(True, "CONFIG_X86_PAT", "memory types are tracked")
    preempt_rcu: bool = _switch(True, "CONFIG_PREEMPT_RCU", "RCU and RCU-sched are two flavours")
    debug_vm: bool = _switch(
        True, "CONFIG_DEBUG_VM", "page counts are checked, new struct pages poisoned"
    )
    debug_devres: bool = _switch(
        False, "CONFIG_DEBUG_DEVRES, devres.log=1", "managed resources are logged"
    )
    panic_on_warn: bool = _switch(False, "panic_on_warn", "a WARN panics")
    arena_size: int = _key(
        64 << 20,
        range(256 << 10, (1 << 36) + 1),
        "",
        "bytes of address space for the machine's memory",
    )

    def __new__(cls, **values: Any) -> Config:
        """Refuses what is no key."""
        unknown = [name for name in values if name not in keys()]
        if unknown:
            raise TypeError(f"unknown configuration key {unknown[0]!r}; known: {', '.join(keys())}")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for name, key in keys().items():
            key.check(getattr(self, name))
        for rule in RULES:
            if not rule.holds(*(getattr(self, name) for name in rule.keys)):
                raise ValueError(f"Config: {rule.reason}")

    def native(self) -> dict[str, Any]:
        """The fields of ``struct emu_config`` that are the configuration's."""
        return {f.name: int(getattr(self, f.name)) for f in fields(self)}

    def __str__(self) -> str:
        changed = {n: getattr(self, n) for n, k in keys().items() if getattr(self, n) != k.default}
        return " ".join(f"{name}={value}" for name, value in changed.items()) or "default"


@dataclass(frozen=True)
class Rule:
    """What keys ask of each other.

    Attributes:
        keys: their names
        holds: called with their values: may they be so together?
        reason: what is said if not
    """

    keys: tuple[str, ...]
    holds: Callable[..., bool]
    reason: str


def _needs(key: str, other: str, verb: str = "needs") -> Rule:
    return Rule((key, other), lambda has, other: other or not has, f"{key} {verb} {other}")


RULES = (
    Rule(
        ("section_size_bits", "page_shift"),
        lambda section_size_bits, page_shift: section_size_bits >= page_shift + 9,
        "section_size_bits must be at least page_shift + 9: a section has whole pageblocks",
    ),
    Rule(
        ("section_size_bits", "page_shift"),
        lambda section_size_bits, page_shift: section_size_bits - page_shift + 6 >= page_shift,
        "section_size_bits must be at least 2 * page_shift - 6: its struct pages, of 64 bytes, "
        "fill whole pages",
    ),
    _needs("device_private", "zone_device"),
    _needs("device_public", "zone_device"),
    _needs("dev_pagemap_ops", "zone_device"),
    _needs("device_private", "dev_pagemap_ops", "selects"),
    _needs("device_public", "dev_pagemap_ops", "selects"),
)

#: The key that is an argument of `Kernel`, because nearly every test says it.
CPUS = Key("cpus", 4, range(1, 65), "NR_CPUS", "virtual CPUs; an argument of `Kernel`")


@cache
def keys() -> dict[str, Key]:
    """The keys of `Config` by name, in order."""
    found = {}
    for f in fields(Config):
        assert f.default is not MISSING
        data = f.metadata
        found[f.name] = Key(f.name, f.default, data["legal"], data["kernel"], data["meaning"])
    return found


def table() -> str:
    """All keys and what they ask of each other, in Markdown."""
    lines = ["| key | default | values | in the kernel | |", "|---|---|---|---|---|"]
    for key in (CPUS, *keys().values()):
        kernel = ", ".join(f"`{part}`" for part in key.kernel.split(", ") if part)
        lines.append(f"| `{key.name}` | {key.default} | {key.values} | {kernel} | {key.meaning} |")
    return "\n".join([*lines, "", *(f"* {rule.reason}" for rule in RULES), ""])
