# SPDX-License-Identifier: GPL-2.0-only
"""Build of the two extension modules.

Both are the whole core: ``_plain`` for speed, ``_checked`` with the emulated
kernel's files compiled with the compiler's thread-sanitizer instrumentation,
whose entry points the machine itself supplies.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).parent
KERNEL_DIRECTORIES = ("kernel", "mm", "lib", "drivers", "block")

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
OUR_HEADERS = ["-Icsrc/include", "-Icsrc/emu"]
KERNEL_FLAGS = ["-ffreestanding", "-fno-ipa-icf"]
SANITIZERS = {
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"],
}


def compiler_is_clang(command: list[str]) -> bool:
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    return "clang" in version.stdout


class BuildKernel(build_ext):
    """Gives the emulated kernel's files their own flags."""

    def build_extension(self, ext):
        if sys.platform != "linux":
            raise SystemExit("memremap_emu needs Linux: its tasks and its page faults rest on it")
        compiler = self.compiler
        clang = compiler_is_clang(compiler.compiler_so[:1])
        checked = ext.name.endswith("_checked")
        sanitizer = os.environ.get("MEMREMAP_EMU_SANITIZE")
        if sanitizer and sanitizer not in SANITIZERS:
            raise SystemExit(f"MEMREMAP_EMU_SANITIZE must be one of {sorted(SANITIZERS)}")
        instrument = ["-fsanitize=thread"]
        if clang:
            instrument += ["-mllvm", "-tsan-distinguish-volatile=1", "-fno-inline-functions"]
        else:
            instrument += [
                "--param",
                "tsan-distinguish-volatile=1",
                # Every function keeps its entry, so that the trace has it.
                "-fno-inline-functions-called-once",
                "-fno-inline-small-functions",
                "-fno-ipa-sra",
                "-fno-ipa-cp",
                "-fno-partial-inlining",
            ]
        original = compiler._compile
        coverage = ["--coverage"] if os.environ.get("MEMREMAP_EMU_COVERAGE") else []
        warnings = ["-Wconversion", "-Werror"] if os.environ.get("MEMREMAP_EMU_WERROR") else []

        def compile_one(obj, src, source_ext, cc_args, extra_postargs, pp_opts):
            flags = [f for f in (extra_postargs or []) if f not in MACHINE_FLAGS]
            parts = Path(src).parts
            ours = "csrc" in parts
            if ours:
                flags = [*flags, *OUR_HEADERS, *MACHINE_FLAGS, *warnings]
            kernel = ours and parts[parts.index("csrc") + 1] in KERNEL_DIRECTORIES
            if kernel:
                flags = flags + KERNEL_FLAGS + coverage
            if checked:
                flags = [*flags, "-DKERNEL_CHECKED=1"]
                if kernel:
                    flags = flags + instrument
            # No compiler combines the two sanitizers: the checked kernel keeps its own.
            if sanitizer and not (checked and kernel):
                flags = flags + SANITIZERS[sanitizer]
            return original(obj, src, source_ext, cc_args, flags, pp_opts)

        compiler._compile = compile_one
        temp = self.build_temp
        # Both modules compile the same files: each needs its own objects.
        self.build_temp = str(Path(temp) / ext.name)
        ext.extra_link_args = list(ext.extra_link_args)
        if sanitizer:
            ext.extra_link_args += SANITIZERS[sanitizer]
        if coverage:
            ext.extra_link_args += coverage
        try:
            super().build_extension(ext)
        finally:
            compiler._compile = original
            self.build_temp = temp


if shutil.which(os.environ.get("CC", "cc").split()[0]) is None:
    raise SystemExit("memremap_emu needs a C compiler (gcc or clang) to be built")

setup(
    cffi_modules=["memremap_emu/_build.py:plain", "memremap_emu/_build.py:checked"],
    cmdclass={"build_ext": BuildKernel},
)
