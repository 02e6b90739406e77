// SPDX-License-Identifier: GPL-2.0-only
/*
 * EMU_DFS: depth first, everybody is tried everywhere.  The yardstick.
 */
#include "execution.h"

const struct strategy strategy_dfs = {
	.choose = same_or_first,
	.alternatives = everybody,
};
