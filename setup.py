# SPDX-License-Identifier: GPL-2.0-only
"""Build of the two extension modules.

Both are the whole core: ``_plain`` for speed, ``_checked`` with the emulated
kernel's files compiled with the compiler's thread-sanitizer instrumentation,
whose entry points the machine itself supplies.

Environment, for developers:

* ``MEMREMAP_EMU_WERROR=1``: every warning is an error.
* ``MEMREMAP_EMU_SANITIZE=address``: address and undefined-behaviour sanitizers
  wherever the thread-sanitizer instrumentation is not.
* ``MEMREMAP_EMU_COVERAGE=1``: the emulated kernel counts its lines for gcov.
* ``MEMREMAP_EMU_LTO=0``: gcc optimises no file of the machine together with others: a
  second less, a search's speed a twentieth.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNEL_DIRECTORIES = ("kernel", "mm", "lib", "fs", "drivers", "block")

MACHINE_FLAGS = [
    "-std=gnu11",
    "-O2",
    "-g1",
    "-fwrapv",
    "-fno-strict-aliasing",
    "-fno-omit-frame-pointer",
    "-fvisibility=hidden",
    "-fmacro-prefix-map=csrc/=",
    "-Wall",
    "-Wextra",
]
#: A definition that differs from its prototype, or has none, never builds; nor
#: does a call by cffi that does not fit.
PROTOTYPE_FLAGS = [
    "-Werror=implicit-function-declaration",
    "-Werror=incompatible-pointer-types",
    "-Werror=int-conversion",
]
OUR_PROTOTYPE_FLAGS = ["-Werror=missing-prototypes", "-Werror=strict-prototypes"]
OUR_HEADERS = ["-Icsrc/include", "-Icsrc/emu"]
KERNEL_FLAGS = ["-ffreestanding"]
SANITIZERS = {
    "address": [
        "-fsanitize=address,undefined",
        # Defined by -fwrapv, and what tagged pointers do.
        "-fno-sanitize=pointer-overflow",
        "-fno-sanitize-recover=undefined",
    ],
}
#: Following a wild pointer is for the machine's page fault handler to judge.
KERNEL_SANITIZER_FLAGS = ["-fno-sanitize=null,alignment,object-size"]

GCC_KERNEL_FLAGS = ["-fno-ipa-icf"]
GCC_INSTRUMENT = [
    "-fsanitize=thread",
    "--param",
    "tsan-distinguish-volatile=1",
    # Every function keeps its entry, so that the trace has it.
    "-fno-inline-functions-called-once",
    "-fno-inline-small-functions",
    "-fno-ipa-sra",
    "-fno-ipa-cp",
    "-fno-partial-inlining",
]
CLANG_INSTRUMENT = [
    "-fsanitize=thread",
    "-mllvm",
    "-tsan-distinguish-volatile=1",
    "-fno-inline-functions",
]


#: The shortest paths of a search cross files of the machine: gcc makes one of them.  Where it may
#: not, as -fno-lto has it, it takes what is in the objects besides.
GCC_LINK_TIME = ["-flto=auto", "-ffat-lto-objects"]

#: They are worth larger code, where there are searches: a fifteenth of their time.
SHORTEST_PATHS = ["-O3"]

#: Stores become calls in the plain build, and those of the machine's own files in the checked
#: one too, see csrc/emu/dirty.c ...
GCC_TRACK = [
    "-fsanitize=kernel-address",
    *("--param", "asan-instrumentation-with-call-threshold=0"),
    *("--param", "asan-instrument-reads=0"),
    *("--param", "asan-globals=0"),
    *("--param", "asan-stack=0"),
]
#: For the kernel, clang does not tell of memset() and the like.
CLANG_TRACK = [
    *("-fsanitize=address", "-fsanitize-recover=address", "-fno-sanitize-address-use-after-scope"),
    *("-mllvm", "-asan-guard-against-version-mismatch=0"),
    *("-mllvm", "-asan-instrumentation-with-call-threshold=0"),
    *("-mllvm", "-asan-instrument-reads=0"),
    *("-mllvm", "-asan-globals=0"),
    *("-mllvm", "-asan-stack=0"),
]
#: ... but of those that answer the calls, and of two that say themselves what they write.
UNTRACKED = (
    "dirty.c",
    "kasan.c",
    "snapshot.c",
    "coroutine.c",
    "memmap.c",
    "memmap_ranges.c",
    "batch.c",
    "kcsan*.c",
    "lockdep.c",
    "undo.c",
    "dpor.c",
    "findings.c",
    "cache.c",
    "search.c",
    "items.c",
    "explore.c",
    "going_on.c",
    "estimate.c",
    "execution.c",
    "strategy*.c",
    "state_hash.c",
)


def choose_compiler() -> None:
    """Makes CC name a compiler that exists, or says what is missing."""
    wanted = os.environ.get("CC") or str(sysconfig.get_config_var("CC") or "cc")
    if shutil.which(wanted.split()[0]):
        return
    if "CC" not in os.environ:
        for name in ("cc", "gcc", "clang"):
            if shutil.which(name):
                os.environ["CC"] = name
                return
    raise SystemExit(
        f"memremap_emu is built by a C compiler, gcc or clang: there is no {wanted.split()[0]!r}"
    )


def compiler_is_clang(command: list[str]) -> bool:
    """Whether the command, ccache included, runs clang."""
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    return "clang" in version.stdout


def compiler_takes(command: list[str], flags: list[str]) -> bool:
    """Whether it compiles with these flags: a gcc may be built without link-time optimisation."""
    empty = [*command, *flags, "-x", "c", "-c", "-o", os.devnull, "-"]
    tried = subprocess.run(empty, input="", text=True, capture_output=True, check=False)
    return tried.returncode == 0


class Flags:
    """The flags of each file of one module."""

    def __init__(self, *, checked: bool, command: list[str]) -> None:
        clang = compiler_is_clang(command)
        sanitizer = os.environ.get("MEMREMAP_EMU_SANITIZE")
        if sanitizer and sanitizer not in SANITIZERS:
            raise SystemExit(f"MEMREMAP_EMU_SANITIZE must be one of {sorted(SANITIZERS)}")
        self.checked = checked
        self.sanitizer = SANITIZERS[sanitizer] if sanitizer else []
        if sanitizer and not clang:
            # The machine's own __tsan_*() are builtins once any sanitizer is on.
            self.sanitizer = [*self.sanitizer, "-Wno-builtin-declaration-mismatch"]
        self.coverage = ["--coverage"] if os.environ.get("MEMREMAP_EMU_COVERAGE") else []
        self.warnings = ["-Wconversion", "-Werror"] if os.environ.get("MEMREMAP_EMU_WERROR") else []
        self.kernel = KERNEL_FLAGS if clang else KERNEL_FLAGS + GCC_KERNEL_FLAGS
        self.track = CLANG_TRACK if clang else GCC_TRACK
        apart = clang or bool(self.sanitizer or self.coverage)
        apart = apart or os.environ.get("MEMREMAP_EMU_LTO") == "0"
        together = not apart and compiler_takes(command, GCC_LINK_TIME)
        self.link_time = GCC_LINK_TIME if together else []
        self.instrument = CLANG_INSTRUMENT if clang else GCC_INSTRUMENT

    def compile(self, source: str) -> list[str]:
        """What to add to the command line of ``source``."""
        parts = Path(source).parts
        ours = "csrc" in parts
        kernel = ours and parts[parts.index("csrc") + 1] in KERNEL_DIRECTORIES
        flags = list(PROTOTYPE_FLAGS)
        if ours:
            flags += [*OUR_HEADERS, *MACHINE_FLAGS, *OUR_PROTOTYPE_FLAGS, *self.warnings]
        if self.checked:
            flags += ["-DKERNEL_CHECKED=1"]
        if ours and not self.sanitizer:
            flags += ["-DTRACK_STORES=1"]
            untracked = any(fnmatch(parts[-1], name) for name in UNTRACKED)
            if not self.checked if kernel else not untracked:
                flags += self.track
            if untracked and not kernel:
                flags += self.link_time + (SHORTEST_PATHS if self.checked else [])
        if kernel:
            flags += [*self.kernel, *self.coverage]
        # No compiler combines the two sanitizers: the checked kernel keeps its own.
        if kernel and self.checked:
            flags += self.instrument
        elif self.sanitizer:
            flags += self.sanitizer
            if kernel:
                flags += KERNEL_SANITIZER_FLAGS
        return flags

    def link(self) -> list[str]:
        """What to add to the linker's."""
        return [*self.sanitizer, *self.coverage, *self.link_time]


class BuildKernel(build_ext):
    """Gives the emulated kernel's files their own flags."""

    def run(self) -> None:
        if not sys.platform.startswith("linux"):
            raise SystemExit(
                f"memremap_emu needs Linux: its tasks and its page faults rest on it, not on "
                f"{sys.platform}"
            )
        choose_compiler()
        super().run()

    def build_extension(self, ext: Extension) -> None:
        compiler: Any = self.compiler
        flags = Flags(checked=ext.name.endswith("_checked"), command=compiler.compiler_so)
        compile_file: Callable[..., None] = compiler._compile
        compile_files: Callable[..., list[str]] = compiler.compile

        def compile_one(
            obj: str, src: str, source_ext: str, cc_args: Any, extra: Any, pp_opts: Any
        ) -> None:
            compile_file(obj, src, source_ext, cc_args, [*extra, *flags.compile(src)], pp_opts)

        def compile_all(sources: list[str], **options: Any) -> list[str]:
            with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
                objects = pool.map(lambda source: compile_files([source], **options), sources)
                return [obj for one in objects for obj in one]

        temp = self.build_temp
        # Both modules compile the same files: each needs its own objects.
        self.build_temp = str(Path(temp) / ext.name)
        compiler._compile = compile_one
        compiler.compile = compile_all
        ext.extra_link_args = [*(ext.extra_link_args or []), *flags.link()]
        try:
            super().build_extension(ext)
        finally:
            compiler._compile = compile_file
            compiler.compile = compile_files
            self.build_temp = temp


setup(
    cffi_modules=["memremap_emu/_build.py:plain", "memremap_emu/_build.py:checked"],
    cmdclass={"build_ext": BuildKernel},
)
