# SPDX-License-Identifier: GPL-2.0-only
"""Known bugs that a campaign has to find from nothing; also what the benchmarks time."""

#: A bug, a kernel that has it, one with nothing but its fix, and the kinds of its violations.
BUGS = {
    "A02": ("v5.2 without final-put", "v5.2", {"memmap-removed"}),
    "A13": (
        "v5.2 without p2pdma-gen-pool,p2pdma-resource-ref,final-put",
        "v5.2 without p2pdma-resource-ref,final-put",
        {"use-after-free"},
    ),
    "A16": ("memremap-v6 1/7", "memremap-v6 2/7", {"contract", "hang"}),
    "B06": ("memremap-v6 with b06-collision", "memremap-v6", {"contract", "leak"}),
}
