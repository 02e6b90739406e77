// SPDX-License-Identifier: GPL-2.0-only
/*
 * EMU_PHASES: EMU_DPOR, but what follows the end of a phase is searched once for each
 * state, see phases.c.
 */
#include "execution.h"

/* Between two operations of a task, callbacks and work: the sooner a phase ends the better. */
static unsigned int callbacks_between_operations(struct explorer *x, uint32_t choices)
{
	const uint32_t callbacks = choices >> PROC_RCU << PROC_RCU;
	const unsigned int chosen = same_or_first(x, choices);

	if (callbacks && x->depth && chosen == x->steps[x->depth - 1].proc && chosen < PROC_RCU &&
	    x->procs[chosen].task->operation)
		return (unsigned int)__builtin_ctz(callbacks);
	return chosen;
}

const struct strategy strategy_phases = {
	.reduces = true,
	.sleeps = true,
	.phases = true,
	.choose = callbacks_between_operations,
	.alternatives = only_the_chosen,
};
