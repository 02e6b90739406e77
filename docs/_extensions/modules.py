# SPDX-License-Identifier: GPL-2.0-only
"""``.. modules:: NAME...``: a section for each module of the package, from its docstrings."""

from __future__ import annotations

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.application import Sphinx


class Modules(Directive):
    """Sections with what autodoc says."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """The sections."""
        found: list[nodes.Node] = []
        for name in " ".join(self.content).split():
            section = nodes.section(ids=[nodes.make_id(f"module-{name}")])
            section += nodes.title(name, name)
            lines = StringList([f".. automodule:: {name}"], source="modules")
            self.state.nested_parse(lines, 0, section)
            found.append(section)
        return found


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the directive."""
    app.add_directive("modules", Modules)
    return {"parallel_read_safe": True}
