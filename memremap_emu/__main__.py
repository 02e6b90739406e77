# SPDX-License-Identifier: GPL-2.0-only
"""``python -m memremap_emu`` is ``memremap-emu``."""

import sys

from memremap_emu.cli import main

if __name__ == "__main__":
    sys.exit(main())
