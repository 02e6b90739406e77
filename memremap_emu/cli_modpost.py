# SPDX-License-Identifier: GPL-2.0-only
"""``memremap-emu modpost``: a module is built against the exports of a kernel."""

from __future__ import annotations

import argparse
import sys

from memremap_emu.errors import KernelError, errno_name
from memremap_emu.kernel import Kernel
from memremap_emu.ranges import BadInputError
from memremap_emu.versions import DEFAULT_VERSION, GRAMMAR, select


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser(
        "modpost",
        help="build a module against the exports of a kernel",
        description="Says what modpost says when a module with this licence that uses these "
        "symbols is built, and with --load what insmod says.  Exit status 0: built (and loaded), "
        "1: not, 2: bad input.",
    )
    parser.add_argument(
        "--license", metavar="L", help="its MODULE_LICENSE (default: it has none)", default=None
    )
    parser.add_argument(
        "--needs", metavar="SYM", nargs="*", default=[], help="symbols that it uses"
    )
    parser.add_argument(
        "--weak", metavar="SYM", nargs="*", default=[], help="symbols that may be missing"
    )
    parser.add_argument("--name", default="module", help="its name (default: %(default)s)")
    parser.add_argument(
        "--version",
        metavar="V",
        default=DEFAULT_VERSION,
        help=f"kernel: {GRAMMAR} (default: {DEFAULT_VERSION})",
    )
    parser.add_argument("--load", action="store_true", help="load it, too, if it was built")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        chosen = select(arguments.version)
    except ValueError as e:
        raise BadInputError(str(e)) from None
    with Kernel(
        chosen.version,
        applied=chosen.applied,
        without=chosen.without,
        modes=chosen.modes,
        checked=False,
    ) as kernel:
        try:
            module = kernel.module(
                arguments.name,
                license=arguments.license,
                needs=arguments.needs,
                weak=arguments.weak,
                intree=False,
            )
        except ValueError as e:
            raise BadInputError(str(e)) from None
        build = module.modpost()
        sys.stderr.write(build.stderr)
        if build.status or not arguments.load:
            return build.status
        loaded = True
        try:
            module.load()
        except KernelError as e:
            loaded = False
            error = errno_name(e.errno or 0)
            print(f"insmod: {arguments.name}.ko: {error}", file=sys.stderr)
        print("\n".join([*kernel.dmesg, kernel.tainted]))
    return 0 if loaded else 1
