// SPDX-License-Identifier: GPL-2.0-only
/*
 * Strategies of exploration.
 *
 * EMU_DPOR	depth first with partial-order reduction: who else is to be tried is
 *		found out by races, see dpor.c
 * EMU_DFS	depth first, everybody is tried everywhere: the yardstick
 * EMU_PREEMPTIONS
 *		depth first, with at most so many steps that take the processor from
 *		somebody who could go on (Musuvathi, Qadeer: "Iterative context bounding
 *		for systematic testing of multithreaded programs", PLDI 2007), first with
 *		none, then with one more each time
 * EMU_SLEEP	depth first with sleep sets alone (Godefroid: "Partial-order methods for the
 *		verification of concurrent systems", 1996)
 * EMU_CACHE	the same, but from a state that has been met before with as many failing calls
 *		left only those are tried who slept there each time (Godefroid, 1996, chapter
 *		6).  What follows depends on the state alone: the arena, stacks and places of
 *		the tasks, callbacks that wait.  What came before it does not count, so orders
 *		of locks and data races are those of the executions that were run; two states
 *		are taken for one if 53 bits of hash agree
 * EMU_PCT	random priorities and a few random points at which the one that runs
 *		becomes the least important (Burckhardt, Kothari, Musuvathi, Nagarakatte:
 *		"A randomized scheduler with probabilistic guarantees of finding bugs",
 *		ASPLOS 2010).  The length of an execution, which the paper wants to
 *		know, is that of the longest so far.
 * EMU_GUIDED	what a generator of data has drawn: at each step the number, modulo how many there
 *		are, of who goes; where it ends, as depth first
 * EMU_RANDOM	everybody who can go on is as likely as the others
 */
#include "execution.h"

static uint64_t draw(struct explorer *x)
{
	/* splitmix64: any seed will do, and any number of draws. */
	uint64_t z = x->random += 0x9e3779b97f4a7c15UL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9UL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebUL;
	return z ^ z >> 31;
}

/* --- depth first --- */

/* Going on with the same task is the run with the fewest switches. */
static unsigned int same_or_first(struct explorer *x, uint32_t choices)
{
	if (x->depth && choices & 1U << x->steps[x->depth - 1].proc)
		return x->steps[x->depth - 1].proc;
	return (unsigned int)__builtin_ctz(choices);
}

static uint32_t only_the_chosen(struct explorer *x, const struct step *step)
{
	(void)x;
	return 1U << step->proc;
}

static uint32_t everybody(struct explorer *x, const struct step *step)
{
	(void)x;
	return step->enabled;
}

/* --- bounded pre-emption --- */

unsigned int preemptions_before(const struct explorer *x)
{
	unsigned int n = 0;

	for (unsigned int i = 1; i < x->depth; i++)
		n += x->steps[i].proc != x->steps[i - 1].proc &&
		     x->steps[i].enabled & 1U << x->steps[i - 1].proc;
	return n;
}

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

/* --- sampling --- */

static unsigned int anybody(struct explorer *x, uint32_t choices)
{
	unsigned int n = (unsigned int)(draw(x) % (unsigned int)__builtin_popcount(choices));

	while (n--)
		choices &= choices - 1;
	return (unsigned int)__builtin_ctz(choices);
}

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

static void draw_priorities(struct explorer *x)
{
	unsigned int longest = x->result->max_depth ? x->result->max_depth : MAX_CHANGES;

	/* Whoever is above all change points, in random order. */
	for (unsigned int i = 0; i < MAX_PROCS; i++)
		x->priority[i] = MAX_CHANGES + (draw(x) >> 32);
	x->changes = (unsigned int)x->options.max_preemptions;
	if (x->changes > MAX_CHANGES)
		x->changes = MAX_CHANGES;
	for (unsigned int i = 0; i < x->changes; i++)
		x->change[i] = (unsigned int)(draw(x) % longest);
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

static const struct strategy strategies[] = {
	[EMU_DPOR] = { .reduces = true,
		       .sleeps = true,
		       .choose = same_or_first,
		       .alternatives = only_the_chosen },
	[EMU_SLEEP] = { .sleeps = true, .choose = same_or_first, .alternatives = everybody },
	[EMU_DFS] = { .choose = same_or_first, .alternatives = everybody },
	[EMU_PREEMPTIONS] = { .rounds = true,
			      .choose = same_or_first,
			      .alternatives = within_bound },
	[EMU_CACHE] = { .caches = true,
			.sleeps = true,
			.choose = same_or_first,
			.alternatives = everybody },
	[EMU_PCT] = { .samples = true,
		      .begin = draw_priorities,
		      .choose = most_important,
		      .alternatives = only_the_chosen },
	[EMU_GUIDED] = { .samples = true, .choose = as_drawn, .alternatives = only_the_chosen },
	[EMU_RANDOM] = { .samples = true, .choose = anybody, .alternatives = only_the_chosen },
};

const struct strategy *strategy_numbered(int number)
{
	if (number < 0 || (size_t)number >= sizeof(strategies) / sizeof(*strategies))
		return NULL;
	return &strategies[number];
}
