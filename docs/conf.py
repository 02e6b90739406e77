# SPDX-License-Identifier: GPL-2.0-only
"""Sphinx: ``sphinx-build -W -n -b html docs OUT``; needs the extra ``docs``."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "memremap_emu"
copyright = "GPL-2.0-only"
version = release = version_of("memremap-emu")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "c_api",
    "commands",
    "modules",
]
html_theme = "furo"
html_title = f"memremap_emu {version}"
exclude_patterns = ["_extensions"]

myst_heading_anchors = 3
suppress_warnings = [
    # A structure and a function may share a name in C; not in Sphinx.
    "duplicate_declaration.c",
    # Several modules have a class of that name, and an annotation does not say which.
    "ref.python",
]
# Outputs of a kernel are no language.
highlight_language = "none"

autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    # A class is documented where it is defined.
    "ignore-module-all": True,
}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
# `Name` in a docstring is a link where there is such a thing, and code where not.
default_role = "py:obj"

nitpick_ignore_regex = [
    # Of the standard library, of pytest and Hypothesis, whose inventories the network has.
    (
        r"py:.*",
        r"(argparse|collections|contextlib|enum|os|pathlib|pytest|_pytest|hypothesis|random|types|typing)"
        r"\..*",
    ),
    # Not public.
    (r"py:.*", r"(.*\.)?_\w+(\..*)?|Native"),
    # An alias of a generic type is cut into pieces.
    (r"py:class", r"(dict|list|tuple)\[.*"),
    (r"c:identifier", r"(u?int\d+|size)_t"),
]


def _as_code(
    app: Sphinx, env: object, node: nodes.Element, content: nodes.Node
) -> nodes.Node | None:
    return content if node.get("reftype") == "obj" else None


def _sections(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Args, Raises and so on; napoleon itself takes any colon in a property for a type."""
    plain = what in ("attribute", "data", "property")
    config = Config(napoleon_use_ivar=True)
    found = GoogleDocstring(lines, config, app, "function" if plain else what, name, obj)
    lines[:] = found.lines()


def setup(app: Sphinx) -> None:
    """Docstrings, and what the default role does with a name that is none."""
    app.connect("autodoc-process-docstring", _sections)
    app.connect("missing-reference", _as_code)
