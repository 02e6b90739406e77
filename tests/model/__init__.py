# SPDX-License-Identifier: GPL-2.0-only
"""Reference models: pure Python, deliberately stupid, obviously right.

Each says what the kernel answers in the simplest words there are, with lists
and integers and no thought of speed.  The tests beside them drive a model and
the emulated kernel with the same calls and compare everything that can be
seen after each.
"""
