// SPDX-License-Identifier: GPL-2.0-only
/*
 * EMU_GUIDED: what a generator of data has drawn: at each step the number, modulo how many
 * there are, of who goes; where it ends, as depth first.
 */
#include "execution.h"

static unsigned int as_drawn(struct explorer *x, uint32_t choices)
{
	unsigned int n;

	if (x->depth >= x->options.schedule_length)
		return same_or_first(x, choices);
	n = x->options.schedule[x->depth] % (unsigned int)__builtin_popcount(choices);
	while (n--)
		choices &= choices - 1;
	return (unsigned int)__builtin_ctz(choices);
}

const struct strategy strategy_guided = {
	.samples = true,
	.choose = as_drawn,
	.alternatives = only_the_chosen,
};
