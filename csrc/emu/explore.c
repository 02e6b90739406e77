// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exploration of all schedules of a program, and of which calls fail in them.
 *
 * Every execution starts from the same snapshot.  A process is one that can be
 * chosen at a scheduling point: the program's tasks, the runner of callbacks
 * of each RCU flavour, and the worker of the workqueue.  The trace so far is a
 * stack of steps; a step remembers who could have gone, who has gone, who need
 * not go (sleep), and who must still be tried (backtrack), and which of the
 * calls in it that may fail do.  Whom it needs is up to the strategy
 * (strategy_*.c) and to races (dpor.c).
 *
 * The next execution begins where the one before differs from it: steps are
 * taken back (undo.c).  Where that cannot be done the execution starts from
 * the snapshot and its steps are repeated.
 *
 * A search runs in slices.  Between two of them the machine is in the state
 * that the search began in, and the stack of steps is all there is to know.
 */
#include "asan.h"
#include "cache.h"
#include "dpor.h"
#include "estimate.h"
#include "findings.h"
#include "kcsan.h"
#include "lock_union.h"
#include "phases.h"
#include "search.h"

#include <linux/kernel.h>
#include <linux/percpu-refcount.h>

#undef snprintf
#undef vsnprintf
#undef memset
#undef memcpy
#undef strlen
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Executions between two looks at the clock. */
#define CLOCK_INTERVAL 16

enum outcome {
	RUN_TO_END,
	RUN_ASLEEP,
	RUN_CACHED,
	RUN_TOO_LONG,
	RUN_REFUSED,
	RUN_MISMATCH,
};

/* --- one execution --- */

/* From the snapshot to where the first step is to be taken; false: no room for the tasks. */
static bool begin_execution(struct explorer *x)
{
	struct machine *m = x->m;
	int64_t args[2];

	snapshot_restore(m, x->snapshot);
	memset(x->procs, 0, sizeof(x->procs));
	for (int flavour = 0; flavour < 2; flavour++) {
		x->rcu_exits[flavour].nr = 0;
		memset(&x->rcu_exits[flavour].rest, 0, sizeof(struct clock));
		x->queued[flavour].head = x->queued[flavour].tail = 0;
	}
	memset(x->locks, 0, sizeof(x->locks));
	m->handle_serial = x->serials;
	x->depth = 0;
	unlist_steps(x, 0);
	x->starting = true;
	for (int i = 0; i < x->nr_tasks; i++) {
		struct emu_task *task =
			task_create(m, TASK_DIRECT, x->program[i].name, x->program[i].cpu);

		if (!task)
			return false;
		x->procs[i].task = task;
		trace_event(m, EVENT_TASK, 0, (uint64_t)task->t.pid);
		/* Equal states look equal: also where a frame has left something out. */
		if (x->strategy->caches || x->strategy->phases) {
			asan_forget_frames(stack_bottom(m, task->stack), TASK_STACK_SIZE);
			memset(stack_bottom(m, task->stack), 0, TASK_STACK_SIZE);
		}
		args[0] = (int64_t)(uintptr_t)&x->program[i];
		args[1] = (int64_t)(uintptr_t)x->decoded[i];
		task_start(m, task, run_program_task, args, 2);
		run_proc(x, (unsigned int)i);
	}
	x->starting = false;
	x->live = m->undo != NULL;
	return !m->refused && !m->arena_full;
}

/* Brings the machine to where the step at x->depth, the last of the prefix, is to be taken. */
static bool go_back(struct explorer *x)
{
	if (x->phases)
		phases_back(x, x->prefix);
	if (!x->live || x->m->undo->full) {
		if (!begin_execution(x))
			return false;
	} else {
		/* What comes behind the last mark is repeated. */
		while (x->steps[x->depth].mark == NO_MARK)
			x->depth--;
		undo_back(x->m, x->steps[x->depth].mark);
		unlist_steps(x, x->depth);
	}
	if (!x->depth && !x->prefix && x->strategy->begin)
		x->strategy->begin(x);
	return true;
}

static unsigned int fails_so_far(const struct explorer *x)
{
	const struct step *last;

	if (!x->depth)
		return 0;
	last = &x->steps[x->depth - 1];
	return last->fails_before + last->nr_fails;
}

/* Does the step at hand take the processor from who went last and could go on? */
static bool preempts(const struct explorer *x, const struct step *step)
{
	return x->depth && step->proc != step[-1].proc && step->enabled & 1U << step[-1].proc;
}

/*
 * Is @proc the worker, between two items?  Whoever takes the lock of their queue may do the one that
 * it is about to take, and it is not there any more: no race tells of that.
 */
static bool takes_item(const struct explorer *x, unsigned int proc)
{
	return proc == PROC_WORKER && !x->procs[PROC_WORKER].task;
}

static void keep_path(struct explorer *x, const struct step *step, uint32_t enabled)
{
	const struct emu_task *task = x->procs[step->proc].task;
	struct emu_search_frames *path = &x->path[x->depth];

	memset(path, 0, sizeof(*path));
	if (task)
		*path = x->frames[task->stack];
	path->proc = step->proc;
	path->enabled = enabled;
}

static enum outcome run_once(struct explorer *x)
{
	struct machine *m = x->m;
	const bool clocks = keeps_clocks(x);

	x->sleep = 0;
	x->enabled = 0;
	for (;; x->depth++) {
		struct step *step = &x->steps[x->depth];
		uint32_t enabled = x->enabled ? x->enabled : enabled_procs(x);
		const bool last = x->depth + 1 >= x->prefix;
		uint32_t choices;

		x->enabled = 0;
		while (!enabled && let_time_pass(x))
			enabled = enabled_procs(x);
		/* What is repeated could be done the first time; a schedule from outside need not. */
		if (x->depth < x->prefix && !(enabled & 1U << step->proc))
			return RUN_MISMATCH;
		step->enabled = enabled;
		if (!enabled) {
			if (clocks)
				account_blocked(x, 0);
			return RUN_TO_END;
		}
		if (x->depth == MAX_STEPS - 1)
			return RUN_TOO_LONG;
		if (x->depth >= x->prefix) {
			step->sleep = x->sleep;
			step->done = 0;
			step->nr_fails = 0;
			choices = enabled & ~x->sleep;
			if (!choices) {
				/* What would follow has been seen, but from elsewhere: these races are of here. */
				if (clocks)
					account_blocked(x, enabled);
				return RUN_ASLEEP;
			}
			if (x->strategy->caches)
				choices = cache_state(x, fails_so_far(x), enabled, x->sleep);
			if (x->phases && !begin_phase(x, fails_so_far(x), enabled, x->sleep))
				choices = 0;
			if (!choices)
				return RUN_CACHED;
			step->proc = x->strategy->choose(x, choices);
			step->backtrack = x->strategy->alternatives(x, step) & choices;
		}
		step->fails_before = fails_so_far(x);
		step->preemptions = preemptions_before(x) + preempts(x, step);
		step->done |= 1U << step->proc;
		if (x->path)
			keep_path(x, step, enabled);
		begin_step(x, step);
		complete_access(x, step, pending_of(x, step->proc));
		if (takes_item(x, step->proc))
			step->access = (struct access){ .kind = ACCESS_NONE };
		else if (unlikely(enabled & 1U << PROC_WORKER) && clocks && last &&
			 takes_item(x, PROC_WORKER) && conflicts(&step->access, &x->worker))
			enter_initial(x, x->depth, 1U << PROC_WORKER, PROC_WORKER);
		if (clocks) {
			if (last || !step->index)
				account(x, x->depth, last);
			else
				account_again(x, x->depth);
			list_step(x, x->depth);
		}
		if (x->strategy->sleeps && last)
			x->sleep = still_asleep(x, step->sleep | (step->done & ~(1U << step->proc)),
						&step->access);
		x->result->steps += last;
		run_proc(x, step->proc);
		/* It may have taken more than one. */
		step = &x->steps[x->depth];
		if (m->refused || m->arena_full)
			return RUN_REFUSED;
		if (step->failed < step->nr_fails)
			return RUN_MISMATCH;
		/* Steps take their end's clock: what they released or woke is known now. */
		if (clocks)
			step->clock = x->procs[step->proc].clock;
	}
}

/* --- from one execution to the next --- */

/* The same process again at this step, with other calls failing: sets of calls, depth first. */
static bool next_fails(const struct explorer *x, struct step *step)
{
	const uint32_t used = step->fails_before + step->nr_fails;
	const uint32_t after = step->nr_fails ? step->fails[step->nr_fails - 1] : 0;

	if (!x->options.max_faults)
		return false;
	/* A position from outside may have more of them than an execution is allowed. */
	if (used < (uint32_t)x->options.max_faults && step->nr_fails < MAX_FAILS &&
	    step->calls > after) {
		step->limits[step->nr_fails] = step->calls;
		step->fails[step->nr_fails++] = after + 1;
		return true;
	}
	while (step->nr_fails) {
		uint32_t *fails = &step->fails[step->nr_fails - 1];

		if (*fails < step->limits[step->nr_fails - 1]) {
			++*fails;
			return true;
		}
		step->nr_fails--;
	}
	return false;
}

/* The next execution: the deepest step from which somebody is still to be tried. */
static bool backtrack(struct explorer *x)
{
	if (x->strategy->samples) {
		x->depth = 0;
		x->prefix = x->frozen;
		return true;
	}
	while (x->depth > x->frozen) {
		struct step *step = &x->steps[--x->depth];
		uint32_t todo;

		x->prefix = x->depth + 1;
		if (next_fails(x, step))
			return true;
		todo = step->backtrack & ~step->done & ~step->sleep;
		if (!todo || x->depth < x->given)
			continue;
		step->proc = (unsigned int)__builtin_ctz(todo);
		return true;
	}
	x->prefix = 0;
	return false;
}

/* Is somebody about to be tried at one of the steps that the host keeps an eye on? */
static bool pauses(struct explorer *x)
{
	const struct step *step = &x->steps[x->prefix - 1];

	if (x->prefix <= x->settled)
		x->settled = x->prefix - 1;
	return x->prefix <= x->pause && !(step->done & 1U << step->proc);
}

/* A round is over: the next one, with one pre-emption more. */
static bool next_round(struct explorer *x)
{
	if (!x->strategy->rounds || x->given || !(x->cut & EMU_BOUND_PREEMPTIONS) ||
	    x->bound >= (unsigned int)x->options.max_preemptions)
		return false;
	x->cut &= ~(uint32_t)EMU_BOUND_PREEMPTIONS;
	x->bound++;
	x->depth = 0;
	x->prefix = x->frozen;
	x->live = false;
	return true;
}

/* Has the search come to a bound?  An execution that was given up as too long counts. */
static bool bounded(struct explorer *x)
{
	const struct emu_explore_options *o = &x->options;
	struct emu_explore_result *r = x->result;

	if (o->max_executions && r->executions + r->too_long >= o->max_executions)
		x->cut |= EMU_BOUND_EXECUTIONS;
	if (o->worthwhile && r->executions == next_question(r->executions) && is_hopeless(x))
		x->cut |= EMU_BOUND_EXECUTIONS;
	if (o->max_seconds > 0 && x->seconds > o->max_seconds)
		x->cut |= EMU_BOUND_SECONDS;
	if (!(x->cut & (EMU_BOUND_EXECUTIONS | EMU_BOUND_SECONDS)))
		return false;
	r->status = EMU_EXPLORE_BOUND;
	r->estimate = estimate(x, x->prefix);
	return true;
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) * 1e-9;
}

/* Is the execution at hand free of what the host cares about? */
static bool succeeds(const struct explorer *x)
{
	const struct machine *m = x->m;

	for (int i = x->known; i < m->s->nr_violations; i++)
		if (!x->options.unbroken || (int)m->violations[i].kind == x->options.unbroken - 1)
			return false;
	return true;
}

/* Runs the execution that is due and counts it; false: the search is over. */
static bool explore_one(struct explorer *x)
{
	struct emu_explore_result *r = x->result;
	enum outcome outcome;

	if (!go_back(x)) {
		r->status = EMU_EXPLORE_REFUSED;
		return false;
	}
	outcome = run_once(x);
	if (x->depth > r->max_depth)
		r->max_depth = x->depth;
	switch (outcome) {
	case RUN_TO_END:
		/* Those with fewer pre-emptions have been seen in the rounds before. */
		if (x->strategy->rounds && x->bound && preemptions_before(x) < x->bound)
			return true;
		judge(x);
		keep_findings(x);
		if (x->m->s->nr_violations > x->known && x->options.stop_at_violation) {
			r->status = EMU_EXPLORE_VIOLATION;
			r->preemptions = preemptions_before(x);
			return false;
		}
		if (x->options.stop_at_success && succeeds(x)) {
			r->status = EMU_EXPLORE_SUCCESS;
			r->preemptions = preemptions_before(x);
			keep_schedule(x);
			return false;
		}
		return true;
	case RUN_ASLEEP:
		r->asleep++;
		return true;
	case RUN_CACHED:
		r->cached++;
		return true;
	case RUN_TOO_LONG:
		/* One that is too long may never end; the search goes on without it. */
		r->too_long++;
		x->cut |= EMU_BOUND_STEPS;
		return true;
	case RUN_MISMATCH:
		r->status = EMU_EXPLORE_MISMATCH;
		return false;
	default:
		r->status = EMU_EXPLORE_REFUSED;
		return false;
	}
}

/* The search is over, or may be: what do its executions show together? */
static void judge_together(struct explorer *x)
{
	struct emu_explore_result *r = x->result;

	/* An item leaves that to whoever takes it over. */
	if (x->given)
		return;
	if (r->status != EMU_EXPLORE_EXHAUSTED && r->status != EMU_EXPLORE_BOUND &&
	    r->status != EMU_EXPLORE_TOO_LONG)
		return;
	/* It is a violation of no execution: the state is the one that all began in. */
	snapshot_restore(x->m, x->snapshot);
	x->live = false;
	if (lock_union_judge(x) && x->options.stop_at_violation)
		r->status = EMU_EXPLORE_VIOLATION;
}

/* Is somebody waiting for this run, which has taken @seconds, to end? */
static bool is_awaited(const struct explorer *x, double seconds)
{
	return x->hurry && seconds > x->least && __atomic_load_n(x->hurry, __ATOMIC_RELAXED);
}

void explore(struct explorer *x, double seconds)
{
	struct emu_explore_result *r = x->result;
	const double before = x->seconds;
	struct timespec start;

	clock_gettime(CLOCK_MONOTONIC, &start);
	x->live = false;
	x->depth = x->over ? x->prefix : 0;
	x->settled = x->prefix;
	r->status = EMU_EXPLORE_RUNNING;
	r->estimate = 0;
	for (unsigned int n = 0;; n++) {
		if (!x->over && !explore_one(x))
			break;
		x->over = false;
		if (n % CLOCK_INTERVAL == 0 || r->max_depth > MAX_STEPS / 4)
			x->seconds = before + seconds_since(&start);
		if (!backtrack(x) && !next_round(x)) {
			if (x->cut & EMU_BOUND_STEPS)
				r->status = EMU_EXPLORE_TOO_LONG;
			else
				r->status = x->cut ? EMU_EXPLORE_BOUND : EMU_EXPLORE_EXHAUSTED;
			break;
		}
		if (bounded(x))
			break;
		if ((x->prefix && pauses(x)) || is_awaited(x, x->seconds - before) ||
		    (seconds > 0 && x->seconds - before > seconds)) {
			r->estimate = estimate(x, x->prefix);
			break;
		}
	}
	judge_together(x);
	x->seconds = before + seconds_since(&start);
	r->bounds = x->cut | (x->strategy->samples ? EMU_BOUND_SAMPLES : 0);
}

bool read_schedule(struct explorer *x, const uint8_t *schedule, size_t length)
{
	struct step *step = NULL;
	uint32_t number = 0;

	x->prefix = 0;
	for (size_t i = 0; i < length; i++) {
		const uint8_t byte = schedule[i];

		if (byte < 0x80) {
			if (x->prefix == MAX_STEPS || number)
				return false;
			step = &x->steps[x->prefix++];
			memset(step, 0, sizeof(*step));
			/* One that there cannot be is not enabled either. */
			step->proc = byte < MAX_PROCS ? byte : MAX_PROCS;
			step->enabled = 1U << step->proc;
			step->backtrack = step->enabled;
			continue;
		}
		number += byte & 0x7f;
		if (byte == 0xff)
			continue;
		if (!step || step->nr_fails == MAX_FAILS || !number ||
		    (step->nr_fails && step->fails[step->nr_fails - 1] >= number))
			return false;
		step->fails[step->nr_fails++] = number;
		number = 0;
		x->options.max_faults = MAX_FAILS;
	}
	return !number;
}

/* One execution of a replay. */
static void replay_one(struct explorer *x, const uint8_t *schedule, size_t length)
{
	struct emu_explore_result *r = x->result;

	r->status = EMU_EXPLORE_MISMATCH;
	x->depth = 0;
	stacks_forget(x->stacks);
	/* Before those of the execution before are overwritten. */
	unlist_steps(x, 0);
	if (!length || !read_schedule(x, schedule, length))
		return;
	x->live = false;
	if (!go_back(x)) {
		r->status = EMU_EXPLORE_REFUSED;
		return;
	}
	switch (run_once(x)) {
	case RUN_TO_END:
		judge(x);
		keep_findings(x);
		r->status = EMU_EXPLORE_EXHAUSTED;
		break;
	case RUN_REFUSED:
		r->status = EMU_EXPLORE_REFUSED;
		break;
	case RUN_MISMATCH:
		break;
	default:
		r->status = EMU_EXPLORE_TOO_LONG;
	}
	r->max_depth = max(r->max_depth, x->depth);
	r->preemptions += preemptions_before(x);
}

void replay(struct explorer *x)
{
	const struct emu_explore_options *o = &x->options;
	struct emu_explore_result *r = x->result;
	const uint8_t *const end = o->schedule + o->schedule_length;
	const uint8_t *from = o->schedule, *next;

	for (;; from = next + 1) {
		next = memchr(from, EMU_NEXT_EXECUTION, (size_t)(end - from));
		replay_one(x, from, (size_t)((next ? next : end) - from));
		if (r->status != EMU_EXPLORE_EXHAUSTED || !next)
			break;
	}
	if (from == o->schedule) {
		keep_schedule(x);
	} else {
		r->schedule_length = (uint32_t)min(o->schedule_length, sizeof(r->schedule));
		memcpy(r->schedule, o->schedule, r->schedule_length);
	}
	if (r->status == EMU_EXPLORE_MISMATCH)
		r->schedule_length = (uint32_t)(from - o->schedule) + x->depth;
	if (r->status == EMU_EXPLORE_EXHAUSTED)
		lock_union_judge(x);
	if (r->status == EMU_EXPLORE_EXHAUSTED && r->violating)
		r->status = EMU_EXPLORE_VIOLATION;
}
