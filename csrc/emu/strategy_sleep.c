// SPDX-License-Identifier: GPL-2.0-only
/*
 * EMU_SLEEP: depth first with sleep sets alone (Godefroid: "Partial-order methods
 * for the verification of concurrent systems", 1996).
 */
#include "execution.h"

const struct strategy strategy_sleep = {
	.sleeps = true,
	.choose = same_or_first,
	.alternatives = everybody,
};
