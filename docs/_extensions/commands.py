# SPDX-License-Identifier: GPL-2.0-only
"""``.. commands::``: what ``--help`` says of each command, from the parsers themselves."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from memremap_emu import cli


def helps() -> Iterator[tuple[str, str]]:
    """Each command and its help text; the command itself first."""
    os.environ["COLUMNS"] = "100"
    parser = cli.parser()
    yield parser.prog, parser.format_help()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield f"{parser.prog} {name}", command.format_help()


class Commands(Directive):
    """A section for each command."""

    def run(self) -> list[nodes.Node]:
        """The sections."""
        found: list[nodes.Node] = []
        for name, text in helps():
            section = nodes.section(ids=[nodes.make_id(name)])
            section += nodes.title(name, name)
            section += nodes.literal_block(text, text, language="none")
            found.append(section)
        return found


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the directive."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True}
