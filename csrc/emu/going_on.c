// SPDX-License-Identifier: GPL-2.0-only
/*
 * Steps that a task takes without giving way.
 *
 * Where the loop of run_once() would choose the running task again, and nobody else
 * can be tried, the next step begins on the task's own stack.  So it does where
 * nobody else need be tried as far as is known: most of what a task does is to objects
 * that no other task of the program ever comes near.  What other tasks have come near,
 * in this execution or in one before, is remembered by words.
 *
 * Such a step is accounted for as any other, and later ones find their races with it.
 * It only has no mark to be taken back to: if somebody is to be tried there after all,
 * steps are repeated from an earlier one on.  So what is known decides how long a search
 * takes and nothing else.
 */
#include "dpor.h"

/* Has nobody but @proc ever begun a step with an access to some of the object that it frees? */
static bool frees_own(struct explorer *x, const struct access *object, unsigned int proc)
{
	if (object->end - object->start > WIDE_LINES * 64)
		return false;
	for (uintptr_t at = object->start & ~63UL; at < object->end; at += 64)
		if (*line_users(x, at) & ~(1U << proc))
			return false;
	return true;
}

/*
 * Has nobody but @proc ever begun a step with an access to the word that its next one is to, or
 * asked for a grace period that the section which it enters is about?  Wide accesses do not count.
 */
static bool is_own(struct explorer *x, const struct access *access, unsigned int proc)
{
	const uint32_t others = ~(1U << proc);

	if (access->kind == ACCESS_FREE)
		return frees_own(x, access, proc);
	return access->start >> 3 == (access->end - 1) >> 3 &&
	       !(*word_users(x, access->start) & others) && !access->rcu_write &&
	       !((access->rcu_read & 1U ? x->askers[0] : 0) & others) &&
	       !((access->rcu_read & 2U ? x->askers[1] : 0) & others);
}

/* Who else is to be tried at step @next, of a task that goes on, as far as is known? */
static uint32_t others_at(struct explorer *x, const struct step *next, bool own)
{
	const uint32_t others = next->enabled & ~x->sleep & ~(1U << next->proc);

	/* Races enter whoever could have gone. */
	if (x->strategy->reduces)
		return own ? 0 : others;
	return others ? x->strategy->alternatives(x, next) & others : 0;
}

bool goes_on(struct explorer *x)
{
	struct machine *m = x->m;
	struct step *step = &x->steps[x->depth], *next = step + 1;
	struct emu_task *task = m->running;
	const uint32_t bit = 1U << step->proc;
	const bool clocks = keeps_clocks(x);
	bool own;

	if (x->strategy->samples || x->strategy->caches || x->starting || x->path ||
	    x->depth + 1 < x->prefix || x->depth + 1 == MAX_STEPS - 1 ||
	    step->failed < step->nr_fails || m->refused || m->arena_full ||
	    (x->phases && task->operation))
		return false;
	x->enabled = enabled_procs(x);
	/* What the worker takes may be another item because of this step: see takes_item(). */
	if (!(x->enabled & bit) || x->enabled & 1U << PROC_WORKER)
		return false;
	own = clocks && is_own(x, &task->pending, step->proc);
	next->proc = step->proc;
	next->enabled = x->enabled;
	x->depth++;
	if (others_at(x, next, own)) {
		x->depth--;
		return false;
	}
	x->enabled = 0;
	next->sleep = x->sleep;
	next->done = next->backtrack = bit;
	next->calls = next->failed = next->nr_fails = 0;
	next->fails_before = step->fails_before + step->nr_fails;
	next->preemptions = step->preemptions;
	next->mark = NO_MARK;
	complete_access(x, next, &task->pending);
	if (clocks) {
		step->clock = x->procs[step->proc].clock;
		if (own)
			account_own(x, x->depth);
		else
			account(x, x->depth, true);
		list_step(x, x->depth);
	}
	if (x->sleep)
		x->sleep = still_asleep(x, x->sleep, &next->access);
	x->result->steps++;
	task->pending = (struct access){ .kind = ACCESS_NONE };
	m->steps = 0;
	m->ticks = 0;
	return true;
}
