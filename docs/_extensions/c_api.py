# SPDX-License-Identifier: GPL-2.0-only
"""``.. c-api:: HEADER``: what stands between the cffi markers of a header, with its kernel-doc.

Declarations become directives of Sphinx's C domain.  A function without kernel-doc, or whose
kernel-doc does not name each of its parameters, is a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.nodes import nested_parse_with_titles

BEGIN, END = "/* --- cffi: begin --- */", "/* --- cffi: end --- */"
_COMMENT = re.compile(r"/\*(?P<doc>\*?)(?P<text>.*?)\*/", re.DOTALL)
_DECLARATION = re.compile(r"[^;{]*(?:\{[^}]*\}[^;{]*)?;", re.DOTALL)
_log = logging.getLogger(__name__)


def _plain(comment: str) -> str:
    """The text of a comment without what it is drawn with."""
    return "\n".join(re.sub(r"^\s*\* ?", "", line) for line in comment.split("\n"))


def declarations(header: str) -> Iterator[tuple[str, str]]:
    """The declarations of the part that cffi parses, each with the comment directly above it."""
    rest = header[header.index(BEGIN) + len(BEGIN) : header.index(END)]
    rest = re.sub(r"^#.*\n", "", rest, flags=re.MULTILINE)
    while rest := rest.lstrip():
        comment = ""
        if match := _COMMENT.match(rest):
            comment = _plain(match["text"])
            rest = rest[match.end() :].lstrip("\n")
            if rest.startswith("\n"):
                continue
        if match := _DECLARATION.match(rest):
            yield match[0].strip(), comment.strip()
            rest = rest[match.end() :]


def _text(comment: str) -> tuple[str, dict[str, str], str]:
    """Description, parameters and result of a kernel-doc comment."""
    head, parameters, returns = "", {}, ""
    lines = re.sub(r"^\w+\(\) - ", "", comment).splitlines()
    target = ""
    for line in lines:
        if match := re.match(r"@(\w+): (.*)", line):
            target, line = match.groups()
            parameters[target] = line
        elif match := re.match(r"Return: (.*)", line):
            target, returns = "Return", match[1]
        elif not line.strip():
            target = ""
            head += "\n"
        elif target == "Return":
            returns += " " + line.strip()
        elif target:
            parameters[target] += " " + line.strip()
        else:
            head += line + "\n"
    return head.strip(), parameters, returns


def _literal(text: str) -> str:
    """Names as kernel-doc marks them, as reStructuredText does."""
    text = re.sub(r"@(\w+)", r"``\1``", text)
    return re.sub(r"\b(emu_\w+)\(\)", r":c:func:`\1`", text)


def _indented(text: str, by: str = "   ") -> list[str]:
    return [by + line if line else "" for line in text.splitlines()]


def _function(declaration: str, comment: str) -> Iterator[str]:
    declaration = " ".join(declaration.rstrip(";").split())
    name = re.search(r"(\w+)\(", declaration)[1]  # type: ignore[index]
    inside = declaration[declaration.index("(") + 1 : -1]
    named = [] if inside == "void" else re.findall(r"(\w+)(?:,|$)", inside)
    head, parameters, returns = _text(comment)
    if not head or list(parameters) != named:
        _log.warning("%s(): no kernel-doc that has %s", name, ", ".join(named) or "a description")
    yield f".. c:function:: {declaration}"
    yield ""
    yield from _indented(_literal(head))
    yield ""
    for parameter, text in parameters.items():
        yield f"   :param {parameter}: {_literal(text)}"
    if returns:
        yield f"   :returns: {_literal(returns)}"
    yield ""


def _enumerators(body: str) -> Iterator[str]:
    for match in re.finditer(
        r"(\w+)(?:\s*=\s*[^,/]+?)?\s*(?:,\s*|(?=/\*)|$|\n)(?:/\* (.*?) \*/)?", body
    ):
        yield f"   .. c:enumerator:: {match[1]}"
        yield ""
        if match[2]:
            yield f"      {_literal(match[2])}"
            yield ""


def _fields(body: str) -> Iterator[str]:
    for match in re.finditer(r"(\w[^;]*);\s*?(?:/\* (.*?) \*/)?(?=\n|$)", body):
        yield f"   .. c:member:: {' '.join(match[1].split())}"
        yield ""
        if match[2]:
            yield f"      {_literal(match[2])}"
            yield ""


def directives(header: str) -> Iterator[str]:
    """The comment that the header begins with and the declarations, as reStructuredText."""
    top = _COMMENT.search(header, header.index("#define"))
    if top and top.end() < header.index(BEGIN):
        yield from (*_literal(_plain(top["text"])).splitlines(), "")
    for declaration, comment in declarations(header):
        description = [*_indented(_literal(_text(comment)[0])), ""]
        if match := re.match(r"(struct|enum)\s*(\w*)\s*\{(.*)\}", declaration, re.DOTALL):
            kind, name, body = match.groups()
            yield f".. c:{kind}:: {name or '@flags'}"
            yield from ("", *description)
            yield from (_fields if kind == "struct" else _enumerators)(body)
        elif match := re.match(r"typedef struct \w+ (\w+);", declaration):
            yield f".. c:type:: {match[1]}"
            yield from ("", *description)
        elif declaration.startswith("typedef"):
            yield f".. c:type:: {' '.join(declaration[8:-1].split())}"
            yield from ("", *description)
        else:
            yield from _function(declaration, comment)


class CApi(Directive):
    """``.. c-api:: HEADER``, a path below the root of the repository."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The directives, parsed."""
        env = self.state.document.settings.env
        path = Path(env.app.srcdir).parent / self.arguments[0]
        env.note_dependency(str(path))
        lines = StringList(list(directives(path.read_text())), source=str(path))
        node = nodes.section()
        node.document = self.state.document
        nested_parse_with_titles(self.state, lines, node)
        return node.children


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the directive."""
    app.add_directive("c-api", CApi)
    return {"parallel_read_safe": True}
