// SPDX-License-Identifier: GPL-2.0-only
/*
 * EMU_RANDOM: everybody who can go on is as likely as the others.
 */
#include "execution.h"

static unsigned int anybody(struct explorer *x, uint32_t choices)
{
	unsigned int n = (unsigned int)(draw_number(x) % (unsigned int)__builtin_popcount(choices));

	while (n--)
		choices &= choices - 1;
	return (unsigned int)__builtin_ctz(choices);
}

const struct strategy strategy_random = {
	.samples = true,
	.choose = anybody,
	.alternatives = only_the_chosen,
};
