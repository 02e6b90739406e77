# SPDX-License-Identifier: GPL-2.0-only
"""The cffi declarations of the two extension modules: one header is the source."""

import os
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parent.parent
BEGIN = "/* --- cffi: begin --- */"
END = "/* --- cffi: end --- */"
PREAMBLE = """
#include "csrc/include/memremap_emu.h"
/* What cffi defines below must be what the header says a callback is. */
static __typeof__(*(emu_upcall_fn)0) emu_python_upcall;
"""
UPCALL = """
extern "Python" int64_t emu_python_upcall(void *data, int64_t frame, int64_t id, int64_t a,
                                          int64_t b, int resumed);
"""


def _declarations() -> str:
    text = (ROOT / "csrc/include/memremap_emu.h").read_text()
    return text.split(BEGIN)[1].split(END)[0]


def _module(name: str) -> FFI:
    ffi = FFI()
    ffi.cdef(_declarations() + UPCALL)
    base = Path(os.path.relpath(ROOT))
    sources = sorted(str(p) for p in (base / "csrc").rglob("*.c"))
    depends = sorted(str(p) for p in (base / "csrc").rglob("*.h"))
    ffi.set_source(
        f"memremap_emu.{name}",
        PREAMBLE,
        sources=sources,
        depends=depends,
        # csrc/include holds the emulated kernel's <linux/...>, which must not hide the
        # system's from Python's own headers: setup.py names it for our files only.
        include_dirs=[str(base)],
        libraries=["dl", "pthread"],
        py_limited_api=True,
    )
    return ffi


plain = _module("_plain")
checked = _module("_checked")
