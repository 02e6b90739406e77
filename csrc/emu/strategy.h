/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_STRATEGY_H
#define EMU_STRATEGY_H

/*
 * Which of those who can go on goes first, and who is to be tried after that:
 * all that tells one search from another.
 */

#include <stdbool.h>
#include <stdint.h>

struct explorer;
struct step;

/**
 * struct strategy - a way to search the schedules of a program
 * @reduces: who is tried is found out by races: one execution of those that differ in the
 *	order of independent steps
 * @sleeps: who has been tried and met no conflict since is not tried again
 * @samples: every execution is drawn anew; there is no end
 * @rounds: it is repeated with one pre-emption more each time
 * @caches: an execution that comes to a state seen before is given up
 * @phases: the same where nobody but one task is left, see phases.c
 * @begin: an execution begins; may be NULL
 * @choose: who of @choices goes at the step at hand
 * @alternatives: who is to be tried there some day, the chosen one included
 */
struct strategy {
	bool reduces;
	bool sleeps;
	bool samples;
	bool rounds;
	bool caches;
	bool phases;
	void (*begin)(struct explorer *x);
	unsigned int (*choose)(struct explorer *x, uint32_t choices);
	uint32_t (*alternatives)(struct explorer *x, const struct step *step);
};

extern const struct strategy strategy_dpor, strategy_dfs, strategy_sleep, strategy_cache;
extern const struct strategy strategy_preemptions, strategy_pct, strategy_random, strategy_guided;
extern const struct strategy strategy_phases;

/** draw_number() - the next of a search's random numbers */
uint64_t draw_number(struct explorer *x);
/** same_or_first() - who went last, which is the run with the fewest switches, or the first */
unsigned int same_or_first(struct explorer *x, uint32_t choices);
/** only_the_chosen() - nobody else is to be tried unless a race asks for it */
uint32_t only_the_chosen(struct explorer *x, const struct step *step);
/** everybody() - all who can go on are to be tried */
uint32_t everybody(struct explorer *x, const struct step *step);
/** preemptions_before() - steps so far that took the processor from somebody who could go on */
unsigned int preemptions_before(const struct explorer *x);
/** strategy_numbered() - the strategy of enum emu_strategy, NULL: there is none */
const struct strategy *strategy_numbered(int number);

#endif
