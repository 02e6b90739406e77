// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the strategies of exploration share, and which there are; each has a
 * file of its own, strategy_*.c.
 */
#include "execution.h"

uint64_t draw_number(struct explorer *x)
{
	/* splitmix64: any seed will do, and any number of draws. */
	uint64_t z = x->random += 0x9e3779b97f4a7c15UL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9UL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebUL;
	return z ^ z >> 31;
}

unsigned int same_or_first(struct explorer *x, uint32_t choices)
{
	if (x->depth && choices & 1U << x->steps[x->depth - 1].proc)
		return x->steps[x->depth - 1].proc;
	return (unsigned int)__builtin_ctz(choices);
}

uint32_t only_the_chosen(struct explorer *x, const struct step *step)
{
	(void)x;
	return 1U << step->proc;
}

uint32_t everybody(struct explorer *x, const struct step *step)
{
	(void)x;
	return step->enabled;
}

unsigned int preemptions_before(const struct explorer *x)
{
	return x->depth ? x->steps[x->depth - 1].preemptions : 0;
}

static const struct strategy *const strategies[] = {
	[EMU_DPOR] = &strategy_dpor,
	[EMU_DFS] = &strategy_dfs,
	[EMU_PREEMPTIONS] = &strategy_preemptions,
	[EMU_PCT] = &strategy_pct,
	[EMU_RANDOM] = &strategy_random,
	[EMU_CACHE] = &strategy_cache,
	[EMU_SLEEP] = &strategy_sleep,
	[EMU_GUIDED] = &strategy_guided,
	[EMU_PHASES] = &strategy_phases,
};

const struct strategy *strategy_numbered(int number)
{
	if (number < 0 || (size_t)number >= sizeof(strategies) / sizeof(*strategies))
		return NULL;
	return strategies[number];
}
