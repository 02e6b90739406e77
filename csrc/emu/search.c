// SPDX-License-Identifier: GPL-2.0-only
/*
 * A search as the host holds it: made, run in slices, asked, saved and gone on
 * with.  What it does is in explore.c.
 */
#include "search.h"
#include "cache.h"
#include "findings.h"
#include "items.h"
#include "kcsan.h"
#include "lock_union.h"
#include "orders.h"
#include "pages.h"
#include "phases.h"
#include "shelf.h"

#include <linux/kernel.h>

#undef snprintf
#undef vsnprintf
#undef memset
#undef memcpy
#undef strcmp
#undef strlen
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Handles that an execution may give out and nobody else. */
#define SERIALS 4096

/* Steps of which a search that is kept for the next one is cleaned; others go back to the system. */
#define STEPS_CLEANED 256

/**
 * struct emu_search - a search, as the host holds it
 * @x: last, and in it the steps: few searches touch many of them
 */
struct emu_search {
	struct emu_explore_result result;
	char names[MAX_PROGRAM_TASKS][16];
	uint8_t *schedule;
	struct explorer x;
};

_Static_assert(offsetof(struct explorer, steps) + sizeof(((struct explorer *)0)->steps) ==
		       sizeof(struct explorer),
	       "steps come last");

static int decode_ops(struct machine *m, const struct emu_op *ops, size_t n, int64_t *decoded)
{
	for (size_t i = 0; i < n; i++) {
		const struct op *o = find_op(ops[i].op);

		if (!o || ops[i].nargs < 0 || ops[i].nargs > TASK_ARGS ||
		    (size_t)ops[i].nargs != strlen(o->info.args)) {
			snprintf(m->error, sizeof(m->error), "operation %zu: no such operation", i);
			return EMU_BAD_OPERATION;
		}
		for (int k = 0; k < ops[i].nargs; k++) {
			int64_t *v = &decoded[i * TASK_ARGS + (size_t)k];
			int status;

			*v = ops[i].args[k];
			status = decode_argument(m, o->info.args[k], v);
			if (status != EMU_OK)
				return status;
		}
	}
	return EMU_OK;
}

/* Is operation @n an @unlock of what the task has not taken by @lock, or no longer? */
static bool strays(const struct emu_op *ops, size_t n, const char *lock, const char *unlock)
{
	int held = 0;

	if (strcmp(find_op(ops[n].op)->info.name, unlock) != 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		const char *name = find_op(ops[i].op)->info.name;

		if (!ops[i].nargs || ops[i].args[0] != ops[n].args[0])
			continue;
		held += !strcmp(name, lock);
		held -= !strcmp(name, unlock);
	}
	return held <= 0;
}

/*
 * Who waits for a lock comes after its release anyway: that is a step only for who does not, or
 * releases one that it does not have.  Is operation @n one of those?
 */
static bool tries(const struct emu_op *ops, size_t n)
{
	const char *name = find_op(ops[n].op)->info.name;

	return !strcmp(name, "mutex_trylock") || !strcmp(name, "mutex_is_locked") ||
	       strays(ops, n, "mutex_lock", "mutex_unlock");
}

/* Does operation @n look whether a page was given up? */
static bool looks(const struct emu_op *ops, size_t n)
{
	const char *name = find_op(ops[n].op)->info.name;

	return !strcmp(name, "lookup") || !strcmp(name, "get_dev_pagemap") ||
	       !strcmp(name, "expect_mapped");
}

/* A copy of a task: the host's may be gone when the search goes on. */
static int copy_task(struct emu_search *search, int i, const struct emu_program_task *from)
{
	struct explorer *x = &search->x;
	struct emu_op *ops = calloc(from->nr_ops + 1, sizeof(*ops));
	int status;

	snprintf(search->names[i], sizeof(search->names[i]), "%s", from->name);
	x->decoded[i] = calloc(from->nr_ops + 1, TASK_ARGS * sizeof(int64_t));
	if (!ops || !x->decoded[i]) {
		free(ops);
		return EMU_NO_MEMORY;
	}
	memcpy(ops, from->ops, from->nr_ops * sizeof(*ops));
	x->program[i] = (struct emu_program_task){
		.name = search->names[i],
		.cpu = from->cpu,
		.ops = ops,
		.nr_ops = from->nr_ops,
	};
	status = decode_ops(x->m, ops, from->nr_ops, x->decoded[i]);
	for (size_t n = 0; n < from->nr_ops && status == EMU_OK; n++) {
		x->tries |= tries(ops, n);
		x->strays |= strays(ops, n, "read_lock", "read_unlock");
		x->looks |= looks(ops, n);
	}
	return status;
}

static void unmap_search(void *search)
{
	unmap_pages(search, sizeof(emu_search));
}

/* For the next one: as new, which is cheaper than one that is. */
static bool keep_search(emu_search *search)
{
	const size_t all = page_up(sizeof(*search));
	const size_t cleaned = page_up(offsetof(emu_search, x.steps[STEPS_CLEANED]));
	const size_t behind = offsetof(emu_search, names);

	if (shelf_is_full(SHELF_SEARCH) ||
	    madvise((char *)search + cleaned, all - cleaned, MADV_DONTNEED))
		return false;
	/* There is room for many more violations than most searches find. */
	memset(search, 0, offsetof(emu_search, result.found[search->result.nr_found]));
	memset((char *)search + behind, 0, cleaned - behind);
	return shelf_keep(SHELF_SEARCH, search, unmap_search);
}

static emu_search *take_search(void)
{
	emu_search *search = shelf_take(SHELF_SEARCH);

	return search ? search : map_pages(sizeof(*search));
}

void emu_search_free(emu_search *search, int closed)
{
	struct explorer *x;
	struct entry saved;

	if (!search)
		return;
	x = &search->x;
	/* Whoever is inside keeps the snapshot until the machine goes. */
	if (!closed && x->snapshot > 0 && machine_enter(x->m, &saved) == EMU_OK) {
		snapshot_drop(x->m, x->snapshot);
		machine_leave(x->m, &saved, EMU_OK);
	}
	for (int i = 0; i < x->nr_tasks; i++) {
		free((struct emu_op *)(uintptr_t)x->program[i].ops);
		free(x->decoded[i]);
	}
	cache_free(x);
	phases_free(x);
	orders_free(x);
	lock_union_free(x);
	free(x->frames);
	free(x->path);
	stacks_free(x->stacks);
	free(search->schedule);
	if (!keep_search(search))
		unmap_search(search);
}

/* Is the schedule one to be followed to the end? */
static bool replays(const struct explorer *x)
{
	return x->options.schedule_length && !x->options.under && x->options.strategy != EMU_GUIDED;
}

static const char *what_is_wrong(const struct emu_explore_options *o, int nr_tasks)
{
	const struct strategy *strategy = strategy_numbered(o->strategy);

	if (!CHECKED_BUILD || nr_tasks < 1 || nr_tasks > MAX_PROGRAM_TASKS)
		return "1 to 8 tasks, in the checked build";
	if (!strategy || o->max_preemptions < 0)
		return "no such strategy";
	if (o->max_faults < 0 || o->max_faults > MAX_FAILS)
		return "0 to 4 failing calls";
	if (strategy->samples && !o->schedule_length && !o->max_executions && !(o->max_seconds > 0))
		return "a search that samples needs a bound";
	if (strategy->samples && o->max_faults)
		return "a search that samples does not choose failing calls";
	return NULL;
}

_Static_assert(MAX_PROGRAM_TASKS == 8 && MAX_FAILS == 4, "as the texts above say");

static int search_new(struct machine *m, const struct emu_program_task *tasks, int nr_tasks,
		      const struct emu_explore_options *options, emu_search **out)
{
	const size_t length = options->schedule_length;
	emu_search *search = take_search();
	struct explorer *x;
	int status = EMU_OK;

	if (!search)
		return EMU_NO_MEMORY;
	x = &search->x;
	x->m = m;
	x->nr_tasks = nr_tasks;
	x->options = *options;
	if (length) {
		search->schedule = malloc(length);
		if (search->schedule)
			memcpy(search->schedule, options->schedule, length);
		else
			status = EMU_NO_MEMORY;
	}
	x->options.schedule = search->schedule;
	x->result = &search->result;
	x->result->status = EMU_EXPLORE_RUNNING;
	x->strategy = strategy_numbered(options->strategy);
	x->random = options->seed;
	x->worker = (struct access){
		.start = (uintptr_t)&m->s->kernel.workqueue.workqueue_lock,
		.end = (uintptr_t)&m->s->kernel.workqueue.workqueue_lock + 1,
		.kind = ACCESS_READ,
	};
	for (int i = 0; i < nr_tasks && status == EMU_OK; i++)
		status = copy_task(search, i, &tasks[i]);
	if (status == EMU_OK && x->strategy->caches && !cache_prepare(x))
		status = EMU_NO_MEMORY;
	if (status == EMU_OK && x->strategy->phases && !phases_prepare(x))
		status = EMU_NO_MEMORY;
	if (status == EMU_OK && x->options.orders && !orders_prepare(x))
		status = EMU_NO_MEMORY;
	if (status == EMU_OK && !(kcsan_prepare(m) && lockdep_prepare(m)))
		status = EMU_NO_MEMORY;
	/* Where objects lie must not depend on how many callbacks ran at a time. */
	if (status == EMU_OK && !tasks_reserve(m, nr_tasks + MAX_PROCS - MAX_PROGRAM_TASKS))
		status = EMU_NO_MEMORY;
	if (status == EMU_OK) {
		/* Nor on whether somebody has looked at the machine before, who leaves no page open. */
		memmap_close_page(&m->s->memmap);
		x->snapshot = snapshot_take(m);
		x->fallible_start = m->s->fallible_calls;
		x->known = m->s->nr_violations;
		x->serials = m->handle_serial;
		m->handle_serial += SERIALS;
		if (x->snapshot < 0)
			status = EMU_NO_MEMORY;
	}
	if (status == EMU_OK && !lock_union_prepare(x))
		status = EMU_NO_MEMORY;
	if (status == EMU_OK && x->options.schedule_length && x->options.under) {
		int faults = x->options.max_faults;

		if (!read_schedule(x, x->options.schedule, x->options.schedule_length)) {
			snprintf(m->error, sizeof(m->error), "no schedule to begin with");
			status = EMU_BAD_ARGUMENT;
		}
		x->options.max_faults = faults;
		x->frozen = x->prefix;
	}
	if (status == EMU_OK && replays(x)) {
		x->frames = calloc(MAX_TASKS, sizeof(*x->frames));
		x->path = calloc(MAX_STEPS, sizeof(*x->path));
		x->stacks = stacks_new();
		if (!x->frames || !x->path || !x->stacks)
			status = EMU_NO_MEMORY;
	}
	if (status == EMU_OK)
		*out = search;
	else
		emu_search_free(search, 0);
	return status;
}

int emu_search_new(emu_machine *m, const struct emu_program_task *tasks, int nr_tasks,
		   const struct emu_explore_options *options, emu_search **search)
{
	struct entry saved;
	int status = machine_enter(m, &saved);
	const char *wrong;

	if (status != EMU_OK)
		return status;
	wrong = what_is_wrong(options, nr_tasks);
	if (saved.nested) {
		status = EMU_BUSY;
	} else if (wrong) {
		snprintf(m->error, sizeof(m->error), "%s", wrong);
		status = EMU_BAD_ARGUMENT;
	} else {
		status = search_new(m, tasks, nr_tasks, options, search);
	}
	return machine_leave(m, &saved, status);
}

int emu_search_run(emu_search *search, double seconds, uint32_t pause, const char *hurry,
		   double least)
{
	struct explorer *x = &search->x;
	struct machine *m = x->m;
	struct entry saved;
	enum rcu_mode mode;
	unsigned long serials;
	int status = machine_enter(m, &saved);

	if (status != EMU_OK)
		return status;
	if (saved.nested || m->explorer || !snapshot_exists(m, x->snapshot))
		return machine_leave(m, &saved, EMU_BUSY);
	if (search->result.status != EMU_EXPLORE_RUNNING)
		return machine_leave(m, &saved, EMU_OK);
	snapshot_restore(m, x->snapshot);
	/* What the machine has been left with is not of this call. */
	m->call_log_start = m->s->log_end;
	m->call_violations_start = m->s->nr_violations;
	/* One schedule is never gone back in. */
	if (!x->options.reexecute && !replays(x) && !undo_begin(m))
		return machine_leave(m, &saved, EMU_NO_MEMORY);
	mode = m->rcu_mode;
	serials = m->handle_serial;
	m->rcu_mode = RCU_MANUAL;
	m->explorer = x;
	m->wipes = x->strategy->caches;
	m->backtraces = x->stacks;
	x->pause = pause;
	x->hurry = hurry;
	x->least = least;
	if (replays(x))
		replay(x);
	else
		explore(x, seconds);
	m->explorer = NULL;
	m->wipes = false;
	m->backtraces = NULL;
	undo_end(m);
	m->rcu_mode = mode;
	m->handle_serial = max(serials, m->handle_serial);
	m->refused = false;
	m->arena_full = false;
	/*
	 * What the last execution did stays to be looked at, if that was a
	 * violation or the schedule that was asked for.
	 */
	if (search->result.status != EMU_EXPLORE_VIOLATION &&
	    !(replays(x) && search->result.status == EMU_EXPLORE_EXHAUSTED))
		snapshot_restore(m, x->snapshot);
	return machine_leave(m, &saved, EMU_OK);
}

const struct emu_explore_result *emu_search_result(const emu_search *search)
{
	return &search->result;
}

int emu_search_path(const emu_search *search, struct emu_search_frames *steps, uint32_t max)
{
	const struct explorer *x = &search->x;

	for (unsigned int d = 0; x->path && d < x->depth && d < max; d++)
		steps[d] = x->path[d];
	return x->path ? (int)x->depth : 0;
}

int emu_search_stacks(const emu_search *search, uint32_t number,
		      struct emu_violation_stacks *stacks)
{
	return stacks_read(search->x.stacks, number, stacks) ? EMU_OK : EMU_BAD_ARGUMENT;
}

int emu_search_lock_order(const emu_search *search, uint32_t number, struct emu_lock_order *order)
{
	return lock_union_order(&search->x, number, order) ? EMU_OK : EMU_BAD_ARGUMENT;
}

int emu_search_learn(emu_search *search, const struct emu_lock_order *order)
{
	return lock_union_add(&search->x, order) ? EMU_OK : EMU_BAD_ARGUMENT;
}

long emu_search_orders(const emu_search *search, struct emu_search_order *orders, size_t max)
{
	return read_orders(&search->x, orders, max);
}

int emu_search_position(const emu_search *search, struct emu_search_position *position)
{
	const struct explorer *x = &search->x;

	if (x->given && x->full)
		return EMU_NO_MEMORY;
	position->nr_steps = x->prefix;
	position->nr_final = (uint32_t)x->result->final_states;
	position->nr_races = x->nr_races;
	position->bound = x->bound;
	position->given = x->given;
	lock_union_read(x, position);
	memcpy(position->final, x->final_order, position->nr_final * sizeof(*position->final));
	memcpy(position->races, x->races, x->nr_races * sizeof(*x->races));
	for (unsigned int d = 0; d < x->prefix; d++) {
		const struct step *from = &x->steps[d];
		struct emu_search_step *to = &position->steps[d];

		*to = (struct emu_search_step){
			.proc = from->proc,
			.enabled = from->enabled,
			.backtrack = from->backtrack,
			.done = from->done,
			.sleep = from->sleep,
			.calls = from->calls,
			.nr_fails = from->nr_fails,
		};
		memcpy(to->fails, from->fails, sizeof(to->fails));
		memcpy(to->limits, from->limits, sizeof(to->limits));
	}
	return EMU_OK;
}

int emu_search_settled(const emu_search *search)
{
	return (int)search->x.settled;
}

int emu_search_continue(emu_search *search, const struct emu_search_position *position,
			const struct emu_explore_result *result)
{
	struct explorer *x = &search->x;
	const uint32_t nr = position->nr_steps;

	if (!is_position(position) || !is_result(result) || x->prefix != x->frozen ||
	    (nr && nr < x->frozen) || (position->given && (x->frozen || !nr)))
		return EMU_BAD_ARGUMENT;
	if (position->given) {
		x->given = position->given;
		x->frozen = x->given - 1;
	}
	read_steps(x, position, x->given ? 0 : x->frozen);
	x->nr_races = position->nr_races;
	memcpy(x->races, position->races, x->nr_races * sizeof(*x->races));
	search->result = *result;
	search->result.status = EMU_EXPLORE_RUNNING;
	search->result.final_states = search->result.final_hash = 0;
	for (uint32_t i = 0; i < position->nr_final; i++)
		add_final_state(x, position->final[i]);
	lock_union_meet(x, position);
	x->prefix = nr ? nr : x->frozen;
	x->bound = position->bound;
	x->cut = result->bounds &
		 ~(uint32_t)(EMU_BOUND_EXECUTIONS | EMU_BOUND_SECONDS | EMU_BOUND_SAMPLES);
	return EMU_OK;
}

int emu_search_extend(emu_search *search, uint64_t max_executions)
{
	struct explorer *x = &search->x;
	const uint32_t bounds = EMU_BOUND_EXECUTIONS | EMU_BOUND_SECONDS;

	/* Behind its last execution, that is, and there is another one. */
	if (search->result.status != EMU_EXPLORE_BOUND || !(x->cut & bounds))
		return EMU_BAD_ARGUMENT;
	x->options.max_executions = max_executions;
	x->cut &= ~bounds;
	search->result.status = EMU_EXPLORE_RUNNING;
	return EMU_OK;
}

uint64_t emu_search_room(const emu_search *search)
{
	return room_for_items(&search->x);
}

int emu_search_take_over(emu_search *search, const struct emu_search_position *position,
			 const struct emu_explore_result *result)
{
	if (!is_position(position) || !is_result(result) ||
	    !take_over(&search->x, position, result))
		return EMU_BAD_ARGUMENT;
	return EMU_OK;
}
