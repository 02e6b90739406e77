// SPDX-License-Identifier: GPL-2.0-only
/*
 * EMU_PREEMPTIONS: depth first, with at most so many steps that take the processor from
 * somebody who could go on (Musuvathi, Qadeer: "Iterative context bounding for systematic
 * testing of multithreaded programs", PLDI 2007), first with none, then with one more each
 * time.
 */
#include "execution.h"

static uint32_t within_bound(struct explorer *x, const struct step *step)
{
	uint32_t same;

	if (!x->depth)
		return step->enabled;
	same = 1U << x->steps[x->depth - 1].proc;
	if (!(step->enabled & same) || preemptions_before(x) < x->bound)
		return step->enabled;
	if (step->enabled & ~same)
		x->cut |= EMU_BOUND_PREEMPTIONS;
	return same;
}

const struct strategy strategy_preemptions = {
	.rounds = true,
	.choose = same_or_first,
	.alternatives = within_bound,
};
