// SPDX-License-Identifier: GPL-2.0-only
/*
 * Phases of an execution.  A device that is bound, unbound and bound again has lives
 * that nothing connects but what one leaves to the next, and the executions of all of
 * them together are the product of those of each.  A phase ends where nobody but one
 * task is left: all others are over, no callback and no work is queued.  What follows
 * is searched once for each state; an execution that comes to a state which has been
 * searched is given up there.
 *
 * State is what decides what can follow, and what it can race with:
 *
 * - the arena, the task's stack, and how many calls may still fail;
 * - steps of others that do not come before what the task does next, and which of them
 *   come before each other;
 * - the same of accesses that data races are made of (kcsan_concurrent()).
 *
 * Whatever goes on behind a state with the same of all these takes the same steps, and
 * each of them races with the same ones before it.  So the races that were found once
 * between steps behind a state and those before it are remembered with it, and they are
 * reversed where the execution is given up, too.  Yang, Chen, Gopalakrishnan, Kirby:
 * "Efficient stateful dynamic partial order reduction", SPIN 2008, do so at every state,
 * with less in it and more to be tried.
 *
 * What an execution has broken is kept when it is complete.  So one that shows something
 * new goes on.  Orders of locks are joined over all executions (lock_union.c), also those
 * that are given up.  Two states are taken for one if 64 bits of hash agree.
 */
#include "phases.h"
#include "dpor.h"
#include "findings.h"
#include "kcsan.h"

#undef memset
#undef memcpy
#include <stdlib.h>
#include <string.h>

#define MAX_CONCURRENT 64 /* bits of struct state's races */
#define MAX_OPEN 32
#define FIRST_STATES 256UL

/**
 * struct state - one that a phase began with
 * @hash: of all that it is
 * @races: with which of the concurrent steps before it those behind it race: bits
 * @searched: all that follows has been seen
 */
struct state {
	uint64_t hash;
	uint64_t races;
	bool searched;
};

/**
 * struct open - a phase of the execution at hand
 * @depth: of its first step
 * @state: number of the state that it began with
 * @nr: how many steps before it do not come before it
 * @steps: their depths, process by process
 */
struct open {
	unsigned int depth;
	size_t state;
	unsigned int nr;
	uint16_t steps[MAX_CONCURRENT];
};

/**
 * struct phases - those of a search
 * @nr: states
 * @size: places for twice as many, a power of two
 * @states: in the order in which they were met
 * @table: of their numbers from 1 by hash, open addressing
 * @nr_open: phases of the execution at hand
 * @open: these, and room for one to be looked at
 */
struct phases {
	size_t nr;
	size_t size;
	struct state *states;
	uint32_t *table;
	unsigned int nr_open;
	struct open open[MAX_OPEN + 1];
};

bool phases_prepare(struct explorer *x)
{
	struct phases *p = calloc(1, sizeof(*p));

	x->phases = p;
	if (!p)
		return false;
	p->size = FIRST_STATES;
	p->states = calloc(p->size / 2, sizeof(*p->states));
	p->table = calloc(p->size, sizeof(*p->table));
	return p->states && p->table;
}

void phases_free(struct explorer *x)
{
	if (x->phases) {
		free(x->phases->states);
		free(x->phases->table);
	}
	free(x->phases);
	x->phases = NULL;
}

void phases_back(struct explorer *x, unsigned int depth)
{
	struct phases *p = x->phases;

	while (p->nr_open && p->open[p->nr_open - 1].depth >= depth)
		p->states[p->open[--p->nr_open].state].searched = true;
}

static uint32_t *place_of(uint32_t *table, size_t size, const struct state *states, uint64_t hash)
{
	size_t at = hash & (size - 1);

	while (table[at] && states[table[at] - 1].hash != hash)
		at = (at + 1) & (size - 1);
	return &table[at];
}

static bool grow(struct phases *p)
{
	struct state *states = realloc(p->states, p->size * sizeof(*states));
	uint32_t *table;

	if (!states)
		return false;
	p->states = states;
	table = calloc(2 * p->size, sizeof(*table));
	if (!table)
		return false;
	for (size_t i = 0; i < p->nr; i++)
		*place_of(table, 2 * p->size, states, states[i].hash) = (uint32_t)(i + 1);
	free(p->table);
	p->table = table;
	p->size *= 2;
	return true;
}

/* The state with that hash, a new one if it is the first time; NULL: no memory. */
static struct state *state_with(struct phases *p, uint64_t hash)
{
	uint32_t *place;

	if (2 * p->nr >= p->size && !grow(p))
		return NULL;
	place = place_of(p->table, p->size, p->states, hash);
	if (!*place) {
		p->states[p->nr] = (struct state){ .hash = hash };
		*place = (uint32_t)++p->nr;
	}
	return &p->states[*place - 1];
}

/* Is nobody there but the task @proc, and nothing on its way? */
static bool is_alone(const struct explorer *x, unsigned int proc)
{
	for (unsigned int i = 0; i < (unsigned int)x->nr_tasks; i++)
		if (i != proc && !task_over(x->procs[i].task))
			return false;
	return kernel_idles(x) && !x->m->s->rcu_waiters;
}

/* Steps that do not come before what has @clock, process by process; false: too many. */
static bool find_concurrent(const struct explorer *x, struct open *o, const struct clock *clock)
{
	o->nr = 0;
	for (unsigned int d = 0; d < x->depth; d++) {
		unsigned int at = o->nr;

		if (happens_before(&x->steps[d], clock))
			continue;
		if (o->nr == MAX_CONCURRENT)
			return false;
		for (; at && x->steps[o->steps[at - 1]].proc > x->steps[d].proc; at--)
			o->steps[at] = o->steps[at - 1];
		o->steps[at] = (uint16_t)d;
		o->nr++;
	}
	return true;
}

static uint64_t hash_concurrent(const struct explorer *x, const struct open *o)
{
	uint64_t hash = o->nr;

	for (unsigned int i = 0; i < o->nr; i++) {
		const struct step *step = &x->steps[o->steps[i]];
		const struct access *access = &step->access;
		uint64_t before = 0;

		for (unsigned int k = 0; k < o->nr; k++)
			before |= (uint64_t)happens_before(&x->steps[o->steps[k]], &step->clock)
				  << k;
		hash = mix_word(hash, before);
		hash = mix_word(hash, access->start);
		hash = mix_word(hash, access->end);
		hash = mix_word(hash, (uint64_t)step->proc << 32 | (uint64_t)access->kind << 24 |
					      (uint64_t)access->exclusive << 16 |
					      (uint64_t)access->rcu_read << 8 | access->rcu_write);
	}
	return hash;
}

bool begin_phase(struct explorer *x, unsigned int fails, uint32_t enabled, uint32_t sleep)
{
	const unsigned int proc = (unsigned int)__builtin_ctz(enabled);
	const struct proc *p = &x->procs[proc];
	struct phases *phases = x->phases;
	struct open *o = &phases->open[phases->nr_open];
	struct state *state;
	uint64_t hash;

	/* Between operations is often enough: to look at a state takes longer than a step. */
	if (enabled & (enabled - 1) || sleep || proc >= PROC_RCU || !p->task->operation)
		return true;
	if (phases->nr_open == MAX_OPEN || !is_alone(x, proc) || !find_concurrent(x, o, &p->clock))
		return true;
	hash = mix_word(snapshot_distance(x->m, x->snapshot, fails), hash_concurrent(x, o));
	hash = mix_word(hash, kcsan_concurrent(x->m, p->task));
	state = state_with(phases, hash);
	if (!state)
		return true;
	if (state->searched && findings_known(x)) {
		for (uint64_t races = state->races; races; races &= races - 1) {
			const unsigned int step = o->steps[__builtin_ctzl(races)];

			reverse_later(x, step, proc);
			phases_race(x, step);
		}
		return false;
	}
	o->depth = x->depth;
	o->state = (size_t)(state - phases->states);
	phases->nr_open++;
	x->result->states = phases->nr;
	return true;
}

void phases_race(struct explorer *x, unsigned int i)
{
	struct phases *p = x->phases;

	for (unsigned int n = p->nr_open; n-- && p->open[n].depth > i;) {
		const struct open *o = &p->open[n];
		unsigned int k = 0;

		while (k < o->nr && o->steps[k] != i)
			k++;
		/* There is no race with one that comes before the phase; if there were, it is told. */
		if (k < o->nr)
			p->states[o->state].races |= 1UL << k;
		else
			x->cut |= EMU_BOUND_LOCKS;
	}
}
