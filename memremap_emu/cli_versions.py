# SPDX-License-Identifier: GPL-2.0-only
"""``memremap-emu versions``: the kernels that there are, and the patches that make them."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap

from memremap_emu.versions import GRAMMAR, SERIES_LENGTH, modes, patches, versions

SCHEMA = 1
_SERIES = "mm: Merge hmm into devm_memremap_pages, mark GPL-only"
_NOTE = (
    "v5.0 and v5.2 are v4.19 with the patches listed, which concern the lifetime of device "
    "memory, and nothing else of those releases."
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "versions",
        help="list kernels, patches and modes",
        description="Lists the kernels that can be run, the patches that they are made of with "
        f"their upstream titles and what each needs, and the modes. {_NOTE}",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    sys.stdout.write(_as_json() if arguments.format == "json" else _as_text())
    return 0


def _as_text() -> str:
    lines = ["Versions", ""]
    before: tuple[str, ...] = ()
    for number, version in enumerate(versions().values()):
        added = [name for name in version.patches if name not in before]
        what = "before the series" if not number else f"{len(version.patches)} patches"
        last = list(versions())[number - 1] if number else ""
        if len(added) == SERIES_LENGTH:
            what += f": {last} + the series 1/{SERIES_LENGTH} .. {SERIES_LENGTH}/{SERIES_LENGTH}"
        elif added:
            what += f": {last} + {', '.join(added)}"
        lines += textwrap.wrap(
            f"{version.name:<12} {what}",
            98,
            initial_indent="  ",
            subsequent_indent=" " * 15,
            break_on_hyphens=False,
        )
        before = version.patches
    lines += ["", *textwrap.wrap(_NOTE, 98)]
    lines += [
        f"Any of them can be had in part: {GRAMMAR},",
        "such as 'memremap-v6 5/7' or 'v5.2 without final-put'.",
        "",
        f'Patches; 1/{SERIES_LENGTH} .. {SERIES_LENGTH}/{SERIES_LENGTH} are the v6 series "'
        f'{_SERIES}"',
        "",
    ]
    for patch in patches():
        place = f"{patch.number + 1}/{SERIES_LENGTH}" if patch.number < SERIES_LENGTH else ""
        lines.append(f"  {place:<4} {patch.name:<20} {patch.title}")
        if patch.needs:
            lines.append(f"{' ' * 28}needs {', '.join(patch.needs)}")
    lines += ["", "Modes: mistakes of the past, made again", ""]
    for mode in modes():
        lines.append(f"  {mode.name:<18} {mode.title}")
        if mode.needs:
            lines.append(f"{' ' * 21}needs {', '.join(mode.needs)}")
    return "\n".join(lines) + "\n"


def _as_json() -> str:
    document = {
        "schema": SCHEMA,
        "note": _NOTE,
        "versions": [{"name": v.name, "patches": list(v.patches)} for v in versions().values()],
        "patches": [
            {
                "name": p.name,
                "title": p.title,
                "needs": list(p.needs),
                "series": p.number + 1 if p.number < SERIES_LENGTH else None,
            }
            for p in patches()
        ],
        "modes": [{"name": m.name, "title": m.title, "needs": list(m.needs)} for m in modes()],
    }
    return json.dumps(document, indent=2) + "\n"
