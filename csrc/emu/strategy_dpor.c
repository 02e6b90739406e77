// SPDX-License-Identifier: GPL-2.0-only
/*
 * EMU_DPOR: depth first with partial-order reduction.  Who else is to be tried is
 * found out by races, see dpor.c.
 */
#include "execution.h"

const struct strategy strategy_dpor = {
	.reduces = true,
	.sleeps = true,
	.choose = same_or_first,
	.alternatives = only_the_chosen,
};
