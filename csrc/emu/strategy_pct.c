// SPDX-License-Identifier: GPL-2.0-only
/*
 * EMU_PCT: random priorities and a few random points at which the one that runs becomes
 * the least important (Burckhardt, Kothari, Musuvathi, Nagarakatte: "A randomized
 * scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010).  The length of an
 * execution, which the paper wants to know, is that of the longest so far.
 */
#include "execution.h"

static void draw_priorities(struct explorer *x)
{
	unsigned int longest = x->result->max_depth ? x->result->max_depth : MAX_CHANGES;

	/* Whoever is above all change points, in random order. */
	for (unsigned int i = 0; i < MAX_PROCS; i++)
		x->priority[i] = MAX_CHANGES + (draw_number(x) >> 32);
	x->changes = (unsigned int)x->options.max_preemptions;
	if (x->changes > MAX_CHANGES)
		x->changes = MAX_CHANGES;
	for (unsigned int i = 0; i < x->changes; i++)
		x->change[i] = (unsigned int)(draw_number(x) % longest);
}

static unsigned int most_important(struct explorer *x, uint32_t choices)
{
	unsigned int best = 0;

	for (unsigned int round = 0; round < 2; round++) {
		uint64_t highest = 0;

		for (uint32_t left = choices; left; left &= left - 1) {
			unsigned int proc = (unsigned int)__builtin_ctz(left);

			if (x->priority[proc] >= highest) {
				highest = x->priority[proc];
				best = proc;
			}
		}
		for (unsigned int i = 0; i < x->changes && !round; i++)
			if (x->change[i] == x->depth)
				x->priority[best] = i;
	}
	return best;
}

const struct strategy strategy_pct = {
	.samples = true,
	.begin = draw_priorities,
	.choose = most_important,
	.alternatives = only_the_chosen,
};
