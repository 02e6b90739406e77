// SPDX-License-Identifier: GPL-2.0-only
/*
 * Items: parts of a search that somebody else carries out, at any time, and
 * what they have found becomes part of the search when it comes to them.
 *
 * What follows a choice depends on three things only: the steps before it with
 * the calls that fail in them, who is chosen, and who need not go any more
 * (sleep and done) at that step.  This holds for counts, final states,
 * violations and their order, and for the races between steps behind the choice
 * and those before it.  Such a race may enter somebody in an earlier step's
 * backtrack set, unless one who would do is there; whether one is depends on
 * when it is met.  So an item only keeps these races, as they come, and the
 * search that takes it over enters them then, in the same order and by the
 * same rule as if it had met them itself.
 *
 * What the item knew of these sets when it was made only saves it from keeping
 * races that are settled: they grow and never shrink.
 */
#include "items.h"
#include "dpor.h"
#include "estimate.h"
#include "findings.h"
#include "lock_union.h"

#include <linux/kernel.h>

#undef memcmp
#undef memcpy
#include <string.h>

void keep_race(struct explorer *x, unsigned int i, uint32_t initials, unsigned int proc)
{
	for (unsigned int k = 0; k < x->nr_races; k++) {
		const struct emu_search_race *known = &x->races[k];

		/* Once that one has been entered, somebody who does for this one is there. */
		if (known->step == i &&
		    (!known->initials || (initials && !(known->initials & ~initials))))
			return;
	}
	if (x->nr_races == MAX_RACES) {
		x->full = true;
		return;
	}
	x->races[x->nr_races++] =
		(struct emu_search_race){ .step = i, .initials = initials, .proc = proc };
}

bool is_position(const struct emu_search_position *p)
{
	if (p->nr_steps >= MAX_STEPS || p->nr_final > MAX_FINAL_STATES || p->nr_races > MAX_RACES ||
	    p->bound > MAX_STEPS || p->given >= MAX_STEPS ||
	    (p->nr_steps && p->nr_steps < p->given) || (p->nr_races && !p->given))
		return false;
	if (!lock_union_fits(p))
		return false;
	for (uint32_t d = 0; d < p->nr_steps; d++) {
		const struct emu_search_step *step = &p->steps[d];

		if (step->proc >= MAX_PROCS || step->nr_fails > MAX_FAILS ||
		    !(step->enabled & 1U << step->proc))
			return false;
	}
	for (uint32_t i = 0; i < p->nr_races; i++)
		if (p->races[i].step >= p->given || p->races[i].proc >= MAX_PROCS)
			return false;
	return true;
}

bool is_result(const struct emu_explore_result *result)
{
	if (result->nr_found > ARRAY_SIZE(result->found) ||
	    result->schedule_length > sizeof(result->schedule))
		return false;
	for (uint32_t i = 0; i < result->nr_found; i++) {
		const struct emu_explored_violation *v = &result->found[i];

		if (!memchr(v->func, '\0', sizeof(v->func)) ||
		    !memchr(v->message, '\0', sizeof(v->message)) ||
		    v->schedule_length > sizeof(v->schedule))
			return false;
	}
	return true;
}

void read_steps(struct explorer *x, const struct emu_search_position *position, unsigned int first)
{
	for (unsigned int d = first; d < position->nr_steps; d++) {
		const struct emu_search_step *from = &position->steps[d];
		const struct step *before = d ? &x->steps[d - 1] : NULL;

		x->steps[d] = (struct step){
			.fails_before = before ? before->fails_before + before->nr_fails : 0,
			.proc = from->proc,
			.enabled = from->enabled,
			.backtrack = from->backtrack,
			.done = from->done,
			.sleep = from->sleep,
			.calls = from->calls,
			.nr_fails = from->nr_fails,
		};
		memcpy(x->steps[d].fails, from->fails, sizeof(from->fails));
		memcpy(x->steps[d].limits, from->limits, sizeof(from->limits));
	}
}

/* Does the search stand where the item was made, about to make that choice? */
static bool comes_to(const struct explorer *x, const struct emu_search_position *item)
{
	const struct step *choice = &x->steps[x->prefix - 1];

	if (!item->given || item->given != x->prefix || x->prefix <= x->frozen ||
	    item->bound != x->bound || choice->done & 1U << choice->proc)
		return false;
	for (unsigned int d = 0; d < item->given && item->nr_steps; d++) {
		const struct step *ours = &x->steps[d];
		const struct emu_search_step *step = &item->steps[d];

		if (step->proc != ours->proc)
			return false;
		if (d + 1 < item->given &&
		    (step->nr_fails != ours->nr_fails ||
		     memcmp(step->fails, ours->fails, ours->nr_fails * sizeof(*ours->fails))))
			return false;
	}
	return true;
}

uint64_t room_for_items(const struct explorer *x)
{
	const struct emu_explore_options *o = &x->options;
	const uint64_t executions = x->result->executions + x->result->too_long;
	uint64_t next = o->max_executions ? o->max_executions : UINT64_MAX;

	if (o->worthwhile)
		next = min(next, next_question(x->result->executions));
	/* The item may have gone on behind its last complete execution, the search would not. */
	return next > executions ? next - executions - 1 : 0;
}

bool take_over(struct explorer *x, const struct emu_search_position *item,
	       const struct emu_explore_result *result)
{
	struct emu_explore_result *r = x->result;
	struct step *choice;

	if (x->over || !comes_to(x, item))
		return false;
	if (result->executions + result->too_long > room_for_items(x))
		return false;
	if (result->violating && x->options.stop_at_violation)
		return false;

	add_findings(x, result);
	r->asleep += result->asleep;
	r->too_long += result->too_long;
	r->steps += result->steps;
	if (result->max_depth > r->max_depth)
		r->max_depth = result->max_depth;
	x->cut |= result->bounds & ~(uint32_t)(EMU_BOUND_EXECUTIONS | EMU_BOUND_SECONDS);
	for (uint32_t i = 0; i < item->nr_final; i++)
		add_final_state(x, item->final[i]);
	lock_union_meet(x, item);
	for (uint32_t i = 0; i < item->nr_races; i++)
		enter_initial(x, item->races[i].step, item->races[i].initials, item->races[i].proc);

	unlist_steps(x, 0);
	choice = &x->steps[item->given - 1];
	choice->done |= 1U << choice->proc;
	/* What is known of it was of who went there before. */
	choice->index = 0;
	choice->calls = 0;
	if (item->nr_steps) {
		const struct emu_search_step *last = &item->steps[item->given - 1];

		choice->calls = last->calls;
		choice->nr_fails = last->nr_fails;
		memcpy(choice->fails, last->fails, sizeof(choice->fails));
		memcpy(choice->limits, last->limits, sizeof(choice->limits));
		read_steps(x, item, item->given);
		x->prefix = item->nr_steps;
	} else {
		x->over = true;
	}
	return true;
}
