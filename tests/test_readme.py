# SPDX-License-Identifier: GPL-2.0-only
"""The shape of README.md; what it shows is run by test_docs.py."""

import re
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_first_example_is_short_and_ends_with_what_it_finds() -> None:
    found = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.DOTALL)
    assert found
    example, answer = found.groups()
    lines = [line for line in example.splitlines() if line]
    assert len(lines) == 12
    assert answer.startswith("memremap_emu.errors.Violation: ")


def test_test_command_is_where_ci_looks_for_it() -> None:
    assert re.search(
        r"^<!-- ci: the test command -->\n```sh\n.*pytest.*\n```$", README, re.MULTILINE
    )
