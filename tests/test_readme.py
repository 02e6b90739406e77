# SPDX-License-Identifier: GPL-2.0-only
"""What README.md shows is what happens."""

import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_example_ends_as_the_readme_says() -> None:
    found = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", README, re.DOTALL)
    assert found
    example, answer = found.groups()
    lines = [line for line in example.splitlines() if line]
    assert len(lines) == 12
    run = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True)
    assert run.stdout == ""
    assert run.stderr.endswith(answer)


def test_test_command_is_where_ci_looks_for_it() -> None:
    assert re.search(
        r"^<!-- ci: the test command -->\n```sh\n.*pytest.*\n```$", README, re.MULTILINE
    )
