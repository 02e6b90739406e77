# SPDX-License-Identifier: GPL-2.0-only
"""Versions: sets of patches on top of v4.19; modes: mistakes made again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from memremap_emu._native import OK, library

DEFAULT_VERSION = "memremap-v6"
#: Patches of the v6 series "mm: Merge hmm into devm_memremap_pages, mark GPL-only".
SERIES_LENGTH = 7


@dataclass(frozen=True)
class Patch:
    """One patch: short name, upstream title, names of the patches that it needs."""

    number: int
    name: str
    title: str
    needs: tuple[str, ...]


@dataclass(frozen=True)
class Mode:
    """A historic mistake: short name, title of what put it right, patches that it needs."""

    number: int
    name: str
    title: str
    needs: tuple[str, ...]


@dataclass(frozen=True)
class Version:
    """A version: name and the names of its patches, in order."""

    name: str
    patches: tuple[str, ...]


@cache
def patches() -> tuple[Patch, ...]:
    """All patches that the kernel knows, in the order in which they apply."""
    native = library(False)
    raw: list[tuple[str, str, int]] = []
    info = native.ffi.new("struct emu_patch *")
    while native.lib.emu_patch(len(raw), info) == OK:
        raw.append((native.text(info.name), native.text(info.title), int(info.needs)))
    names = [name for name, _, _ in raw]
    return tuple(
        Patch(i, name, title, tuple(n for j, n in enumerate(names) if needs >> j & 1))
        for i, (name, title, needs) in enumerate(raw)
    )


@cache
def versions() -> dict[str, Version]:
    """The named versions, oldest first."""
    native = library(False)
    found: dict[str, Version] = {}
    info = native.ffi.new("struct emu_version *")
    while native.lib.emu_version(len(found), info) == OK:
        mask = int(info.patches)
        name = native.text(info.name)
        found[name] = Version(name, tuple(p.name for p in patches() if mask >> p.number & 1))
    return found


@cache
def modes() -> tuple[Mode, ...]:
    """Historic mistakes that the kernel can be told to make again."""
    native = library(False)
    found: list[Mode] = []
    info = native.ffi.new("struct emu_mode *")
    while native.lib.emu_mode(len(found), info) == OK:
        needs = tuple(p.name for p in patches() if int(info.needs) >> p.number & 1)
        found.append(Mode(len(found), native.text(info.name), native.text(info.title), needs))
    return tuple(found)


def mode_set(names: Iterable[str], chosen: Iterable[str]) -> tuple[str, ...]:
    """Names of modes, checked against the patches chosen.

    Raises:
        ValueError: unknown mode, with the ones known; a mode that needs a patch that is not in.
    """
    known = {mode.name: mode for mode in modes()}
    wanted = (names,) if isinstance(names, str) else tuple(names)
    there = set(chosen)
    for name in wanted:
        if name not in known:
            raise ValueError(f"unknown mode {name!r}; known: {', '.join(known)}")
        missing = [need for need in known[name].needs if need not in there]
        if missing:
            raise ValueError(f"mode {name!r} needs {', '.join(missing)}")
    return tuple(name for name in known if name in wanted)


def mode_mask(names: Iterable[str]) -> int:
    """Bit mask of a set of modes, as the machine takes it."""
    numbers = {mode.name: mode.number for mode in modes()}
    return sum(1 << numbers[name] for name in names)


def patch_set(
    version: str = DEFAULT_VERSION,
    *,
    applied: int | None = None,
    without: Iterable[str] = (),
) -> tuple[str, ...]:
    """Names of the patches of a version, a prefix of the series, or a version less some.

    Args:
        version: a named version
        applied: only the first so many patches of the series (0 to 7); `memremap-v6` only
        without: patches to leave out, by short name or upstream title

    Raises:
        ValueError: unknown version or patch, with the ones known; a patch that stays needs one
            that is left out, with the row of the table that says so; ``applied`` with another
            version, or out of its range.
        TypeError: ``applied`` is no int.
    """
    known = versions()
    if version not in known:
        raise ValueError(f"unknown version {version!r}; known: {', '.join(known)}")
    chosen = list(known[version].patches)
    if applied is not None:
        if version != DEFAULT_VERSION:
            raise ValueError(f"applied counts the patches of the series: not with {version}")
        if isinstance(applied, bool) or not isinstance(applied, int):
            raise TypeError(f"applied must be an int, not {type(applied).__name__}")
        if not 0 <= applied <= SERIES_LENGTH:
            raise ValueError(f"applied must be 0 to {SERIES_LENGTH}")
        chosen = chosen[:applied]
    for name in (without,) if isinstance(without, str) else without:
        patch = next((p for p in patches() if name in (p.name, p.title)), None)
        if patch is None:
            names = ", ".join(p.name for p in patches())
            raise ValueError(f"unknown patch {name!r}; known: {names}")
        if patch.name not in chosen:
            raise ValueError(f"patch {patch.name!r} is not part of {version}")
        chosen.remove(patch.name)
    for patch in patches():
        if patch.name in chosen:
            missing = [n for n in patch.needs if n not in chosen]
            if missing:
                raise ValueError(
                    f"patch {patch.name!r} ({patch.title}) needs {', '.join(patch.needs)}; "
                    f"left out: {', '.join(missing)}"
                )
    return tuple(chosen)


def patch_mask(names: Iterable[str]) -> int:
    """Bit mask of a set of patches, as the machine takes it."""
    numbers = {p.name: p.number for p in patches()}
    return sum(1 << numbers[name] for name in names)


# --- kernels by description ---

GRAMMAR = "VERSION [N/7] [without PATCH,...] [with MODE,...]"


@dataclass(frozen=True)
class Selection:
    """A kernel as one line says it: ``v5.2``, ``memremap-v6 5/7``, ``v5.2 without final-put``.

    Attributes:
        version: a named version
        applied: only the first so many patches of the series, None for all
        without: patches left out
        modes: mistakes made again
    """

    version: str = DEFAULT_VERSION
    applied: int | None = None
    without: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()

    @property
    def patches(self) -> tuple[str, ...]:
        """Names of its patches."""
        return patch_set(self.version, applied=self.applied, without=self.without)

    def __str__(self) -> str:
        text = self.version
        if self.applied is not None:
            text += f" {self.applied}/{SERIES_LENGTH}"
        if self.without:
            text += f" without {','.join(self.without)}"
        if self.modes:
            text += f" with {','.join(self.modes)}"
        return text


_SELECTION = re.compile(
    r"(?P<version>\S+)(?: (?P<applied>\d{1,3})/(?P<length>\d))?"
    r"(?: without (?P<without>[^ ,]+(?:, ?[^ ,]+)*))?(?: with (?P<modes>[^ ,]+(?:, ?[^ ,]+)*))?"
)


def select(text: str) -> Selection:
    """Reads the description of a kernel, see `GRAMMAR`.

    Raises:
        ValueError: it is none; unknown version, patch or mode, with the ones known; one without
            what it needs.
    """
    match = _SELECTION.fullmatch(text)
    if match is None or match["length"] not in (None, str(SERIES_LENGTH)):
        raise ValueError(f"{text!r} describes no kernel: {GRAMMAR}")

    def names(group: str) -> tuple[str, ...]:
        return tuple(re.split(", ?", match[group])) if match[group] else ()

    applied = None if match["applied"] is None else int(match["applied"])
    found = Selection(match["version"], applied, names("without"), names("modes"))
    mode_set(found.modes, found.patches)
    return found


def prefix(n: int) -> Selection:
    """The kernel with the first ``n`` of all patches that there are."""
    newest = list(versions())[-1]
    for name, version in versions().items():
        if version.patches == tuple(p.name for p in patches()[:n]):
            return Selection(name)
    if n < SERIES_LENGTH:
        return Selection(applied=n)
    return Selection(newest, without=tuple(p.name for p in patches()[n:]))
