// SPDX-License-Identifier: GPL-2.0-only
/*
 * EMU_CACHE: depth first with sleep sets, but from a state that has been met before
 * with as many failing calls left only those are tried who slept there each time
 * (Godefroid, 1996, chapter 6); the states are in cache.c.
 *
 * What follows depends on the state alone: the arena, stacks and places of the tasks,
 * callbacks that wait.  What came before it does not count, so orders of locks and data
 * races are those of the executions that were run; two states are taken for one if 53
 * bits of hash agree.
 */
#include "execution.h"

const struct strategy strategy_cache = {
	.caches = true,
	.sleeps = true,
	.choose = same_or_first,
	.alternatives = everybody,
};
