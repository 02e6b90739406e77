// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dynamic partial-order reduction by source sets and sleep sets (Abdulla,
 * Aronis, Jonsson, Sagonas: "Optimal dynamic partial order reduction", POPL
 * 2014, algorithm 1).
 *
 * Two steps are dependent if they begin with accesses that conflict, or if one
 * of them makes the other possible.  Happens-before is kept in vector clocks.
 * When a step turns out to race with an earlier one, the order of the two is
 * reversed some day: somebody who can begin such a reversal is entered in the
 * earlier step's backtrack set, unless it holds one already.
 *
 * A compare-and-exchange that fails only reads.  Whether it does can change
 * only by a step that it conflicts with either way.
 *
 * RCU: entering a read section is a read of the flavour, asking for a grace
 * period is a write.  So both orders are tried, and with them both answers to
 * the question whether the grace period waits for that reader.  The end of a
 * section makes callbacks possible and is no scheduling point: nothing else
 * can see it.
 */
#include "dpor.h"

/*
 * Step @d, now on the stack, races with step @i: enter somebody in @i's
 * backtrack set who can begin an execution in which @d comes first.
 */
static void reverse_race(struct explorer *x, unsigned int i, unsigned int d,
			 const struct clock *before)
{
	struct step *race = &x->steps[i];
	const struct step *last = &x->steps[d];
	uint32_t initials = 0, seen = 0;
	bool last_is_initial = true;

	for (unsigned int k = i + 1; k < d; k++) {
		const struct step *step = &x->steps[k];
		bool initial = true;

		if (happens_before(race, &step->clock))
			continue;
		if (!(seen & 1U << step->proc)) {
			seen |= 1U << step->proc;
			for (unsigned int j = i + 1; j < k && initial; j++)
				if (!happens_before(race, &x->steps[j].clock) &&
				    happens_before(&x->steps[j], &step->clock))
					initial = false;
			if (initial)
				initials |= 1U << step->proc;
		}
		if (happens_before(step, before) || conflicts(&step->access, &last->access))
			last_is_initial = false;
	}
	if (last_is_initial && !(seen & 1U << last->proc))
		initials |= 1U << last->proc;
	initials &= race->enabled;
	if (!initials) {
		/* Who goes first there has to be made possible by somebody. */
		race->backtrack |= race->enabled;
	} else if (!(initials & race->backtrack)) {
		if (initials & 1U << last->proc)
			race->backtrack |= 1U << last->proc;
		else
			race->backtrack |= initials & -initials;
	}
}

void account(struct explorer *x, unsigned int d, bool races)
{
	struct step *step = &x->steps[d];
	struct proc *p = &x->procs[step->proc];
	const struct clock before = p->clock;
	struct lock_clock *lock;

	step->index = ++p->steps;
	for (unsigned int i = d; i-- > 0;) {
		const struct step *earlier = &x->steps[i];

		if (!conflicts(&earlier->access, &step->access) || earlier->proc == step->proc)
			continue;
		if (races && !happens_before(earlier, &p->clock))
			reverse_race(x, i, d, &before);
		/* A lock is handed over by its release, not by its acquisition. */
		if (step->access.kind != ACCESS_ACQUIRE)
			join(&p->clock, &earlier->clock);
	}
	if (step->access.kind == ACCESS_ACQUIRE) {
		lock = lock_clock(x, step->access.object);
		if (lock)
			join(&p->clock, &lock->clock);
	}
	p->clock.at[step->proc] = step->index;
	step->begin = step->clock = p->clock;
}

void account_again(struct explorer *x, unsigned int d)
{
	const struct step *step = &x->steps[d];
	struct proc *p = &x->procs[step->proc];

	p->steps = step->index;
	p->clock = step->begin;
}

/* Whoever hangs at a lock might have had it first: that race is one, too. */
void account_blocked(struct explorer *x)
{
	for (unsigned int i = 0; i < MAX_PROCS; i++) {
		const struct emu_task *task = x->procs[i].task;

		if (!task || task->run != RUN_READY || task->pending.kind != ACCESS_ACQUIRE)
			continue;
		x->steps[x->depth].proc = i;
		x->steps[x->depth].access = task->pending;
		undo_record(x->m, &x->procs[i], sizeof(x->procs[i]));
		account(x, x->depth, true);
	}
}

uint32_t still_asleep(const struct explorer *x, uint32_t candidates, const struct access *access)
{
	uint32_t asleep = 0;

	for (; candidates; candidates &= candidates - 1) {
		unsigned int proc = (unsigned int)__builtin_ctz(candidates);
		const struct access pending = pending_now(x, proc);

		if (!conflicts(&pending, access))
			asleep |= 1U << proc;
	}
	return asleep;
}
