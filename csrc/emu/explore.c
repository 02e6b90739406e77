// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stateless exploration of all schedules of a program, with dynamic
 * partial-order reduction by source sets and sleep sets (Abdulla, Aronis,
 * Jonsson, Sagonas: "Optimal dynamic partial order reduction", POPL 2014,
 * algorithm 1).
 *
 * Every execution starts from the same snapshot.  A process is one that can be
 * chosen at a scheduling point: the program's tasks, the runner of callbacks
 * of each RCU flavour, and the worker of the workqueue.  The trace so far is a
 * stack of steps; a step remembers who could have gone, who has gone, who need
 * not go (sleep), and who must still be tried (backtrack).
 *
 * Two steps are dependent if they begin with accesses that conflict, or if one
 * of them makes the other possible.  Happens-before is kept in vector clocks.
 * When a step turns out to race with an earlier one, the order of the two is
 * reversed some day: somebody who can begin such a reversal is entered in the
 * earlier step's backtrack set, unless it holds one already.
 *
 * RCU: entering a read section is a read of the flavour, asking for a grace
 * period is a write.  So both orders are tried, and with them both answers to
 * the question whether the grace period waits for that reader.  The end of a
 * section makes callbacks possible and is no scheduling point: nothing else
 * can see it.
 */
#include "execution.h"
#include "kcsan.h"
#include "lockdep.h"

#include <linux/percpu-refcount.h>
#include <linux/workqueue.h>

#undef snprintf
#undef vsnprintf
#undef memset
#undef memcpy
#undef strlen
#undef strcmp
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Is @i among what happens before an event with clock @clock? */
static bool happens_before(const struct step *i, const struct clock *clock)
{
	return clock->at[i->proc] >= i->index;
}

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

/* The clock of the step that is about to be taken at @d, and its races. */
static void account(struct explorer *x, unsigned int d)
{
	struct step *step = &x->steps[d];
	struct proc *p = &x->procs[step->proc];
	struct clock before;
	struct lock_clock *lock;

	step->index = ++p->steps;
	before = p->clock;
	for (unsigned int i = d; i-- > 0;) {
		const struct step *earlier = &x->steps[i];

		if (earlier->proc == step->proc || !conflicts(&earlier->access, &step->access))
			continue;
		if (!happens_before(earlier, &p->clock)) {
			if (d + 1 >= x->prefix)
				reverse_race(x, i, d, &before);
		}
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
	step->clock = p->clock;
}

/* Whoever hangs at a lock might have had it first: that race is one, too. */
static void account_blocked(struct explorer *x)
{
	for (unsigned int i = 0; i < MAX_PROCS; i++) {
		const struct emu_task *task = x->procs[i].task;

		if (!task || task->run != RUN_READY || task->pending.kind != ACCESS_ACQUIRE)
			continue;
		x->steps[x->depth].proc = i;
		x->steps[x->depth].access = task->pending;
		account(x, x->depth);
	}
}

/* Who of @candidates stays asleep when @access has been carried out? */
static uint32_t still_asleep(const struct explorer *x, uint32_t candidates,
			     const struct access *access)
{
	uint32_t asleep = 0;

	for (unsigned int i = 0; i < MAX_PROCS; i++)
		if (candidates & 1U << i && !conflicts(pending_of(x, i), access))
			asleep |= 1U << i;
	return asleep;
}

enum outcome { RUN_TO_END, RUN_ASLEEP, RUN_TOO_LONG, RUN_REFUSED, RUN_MISMATCH };

static enum outcome run_once(struct explorer *x)
{
	struct machine *m = x->m;
	uint32_t sleep = 0;
	int64_t args[2];

	snapshot_restore(m, x->snapshot);
	memset(x->procs, 0, sizeof(x->procs));
	for (int flavour = 0; flavour < 2; flavour++) {
		x->rcu_exits[flavour].nr = 0;
		memset(&x->rcu_exits[flavour].rest, 0, sizeof(struct clock));
	}
	x->queued[0].head = x->queued[0].tail = 0;
	x->queued[1].head = x->queued[1].tail = 0;
	x->nr_locks = 0;
	m->explorer = x;
	if (x->strategy->begin)
		x->strategy->begin(x);
	for (int i = 0; i < x->nr_tasks; i++) {
		struct emu_task *task =
			task_create(m, TASK_DIRECT, x->program[i].name, x->program[i].cpu);

		if (!task)
			return RUN_REFUSED;
		x->procs[i].task = task;
		args[0] = (int64_t)(uintptr_t)&x->program[i];
		args[1] = (int64_t)(uintptr_t)x->decoded[i];
		task_start(m, task, run_program_task, args, 2);
		run_proc(x, (unsigned int)i);
	}
	for (x->depth = 0;; x->depth++) {
		struct step *step = &x->steps[x->depth];
		uint32_t enabled = enabled_procs(x);
		uint32_t choices;

		/* What is repeated could be done the first time; a schedule from outside need not. */
		if (x->depth < x->prefix && !(enabled & 1U << step->proc))
			return RUN_MISMATCH;
		if (!enabled) {
			account_blocked(x);
			return RUN_TO_END;
		}
		if (x->depth == MAX_STEPS - 1)
			return RUN_TOO_LONG;
		if (x->depth >= x->prefix) {
			step->enabled = enabled;
			step->sleep = sleep;
			step->done = 0;
			choices = enabled & ~sleep;
			if (!choices)
				return RUN_ASLEEP;
			step->proc = x->strategy->choose(x, choices);
			step->backtrack = x->strategy->alternatives(x, step);
		}
		step->done |= 1U << step->proc;
		step->access = *pending_of(x, step->proc);
		sleep = 0;
		if (x->strategy->reduces) {
			account(x, x->depth);
			sleep = still_asleep(x, step->sleep | (step->done & ~(1U << step->proc)),
					     &step->access);
		}
		x->result->steps++;
		run_proc(x, step->proc);
		if (m->refused || m->arena_full)
			return RUN_REFUSED;
		/* Steps take their end's clock: what they released or woke is known now. */
		step->clock = x->procs[step->proc].clock;
	}
}

/* Unfinished tasks, when nobody can go on: they hang. */
static bool somebody_hangs(const struct explorer *x)
{
	for (int i = 0; i < x->nr_tasks; i++)
		if (!task_over(x->procs[i].task))
			return true;
	return false;
}

static void report_hang(struct explorer *x)
{
	for (int i = 0; i < x->nr_tasks; i++) {
		const struct emu_task *task = x->procs[i].task;

		if (!task_over(task))
			report_violation(VIOLATION_HANG, "%s/%d waits for %s %s", task->t.comm,
					 task->t.pid, task->wait_kind ? task->wait_kind : "a lock",
					 string_or_unknown(this_machine(), task->wait_what));
	}
}

/* Each line of the quiescence check is a kind, a tab and what was found. */
static void report_leaks(struct explorer *x)
{
	char text[2048];
	size_t length;

	emu_quiescence(x->m, text, sizeof(text), &length);
	if (!length)
		return;
	text[sizeof(text) - 1] = '\0';
	for (char *save, *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *message = strchr(line, '\t');
		enum violation_kind kind = VIOLATION_LEAK;

		if (!message)
			continue;
		*message++ = '\0';
		if (!strcmp(line, "note"))
			continue; /* permanent by specification */
		for (int i = 0; i < NR_VIOLATION_KINDS; i++)
			if (!strcmp(line, emu_violation_kind_name(i)))
				kind = (enum violation_kind)i;
		report_violation(kind, "%s", message);
	}
}

/* The set of final states: open addressing; what does not fit is not counted. */
static void keep_final_state(struct explorer *x)
{
	uint64_t hash;
	unsigned int i;

	emu_state_hash(x->m, &hash);
	hash |= 1;
	for (i = 0; i < MAX_FINAL_STATES; i++) {
		uint64_t *place = &x->final[(hash + i) % MAX_FINAL_STATES];

		if (*place == hash)
			return;
		if (!*place) {
			*place = hash;
			x->result->final_states++;
			x->result->final_hash += hash * 0x9e3779b97f4a7c15UL;
			return;
		}
	}
}

static void keep_schedule(struct explorer *x)
{
	struct emu_explore_result *r = x->result;
	size_t n = x->depth < EMU_SCHEDULE_LENGTH ? x->depth : EMU_SCHEDULE_LENGTH;

	r->schedule_length = (uint32_t)x->depth;
	for (size_t i = 0; i < n; i++)
		r->schedule[i] = (uint8_t)x->steps[i].proc;
}

/* Are two messages equal but for the numbers in them? */
static bool same_but_for_numbers(const char *a, const char *b)
{
	while (*a && *b) {
		if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
			while (isxdigit((unsigned char)*a) || *a == 'x')
				a++;
			while (isxdigit((unsigned char)*b) || *b == 'x')
				b++;
		} else if (*a++ != *b++) {
			return false;
		}
	}
	return *a == *b;
}

/* Keeps what the execution at hand has broken, with the schedule that shows it. */
static void keep_violations(struct explorer *x, int known)
{
	struct emu_explore_result *r = x->result;
	struct machine *m = x->m;

	for (int i = known; i < m->s->nr_violations; i++) {
		const struct violation *v = &m->violations[i];
		struct emu_explored_violation *f = r->found;
		size_t n;

		while (f < r->found + r->nr_found &&
		       !(f->kind == v->kind && !strcmp(f->func, v->func) &&
			 same_but_for_numbers(f->message, v->message)))
			f++;
		if (f < r->found + r->nr_found) {
			f->executions++;
			continue;
		}
		if (r->nr_found == sizeof(r->found) / sizeof(*r->found))
			continue;
		r->nr_found++;
		f->kind = v->kind;
		memcpy(f->func, v->func, sizeof(f->func));
		memcpy(f->message, v->message, sizeof(f->message));
		f->execution = r->executions;
		f->executions = 1;
		f->schedule_length = x->depth;
		n = x->depth < EMU_SCHEDULE_LENGTH ? x->depth : EMU_SCHEDULE_LENGTH;
		for (size_t k = 0; k < n; k++)
			f->schedule[k] = (uint8_t)x->steps[k].proc;
	}
}

/* The next execution: the deepest step from which somebody is still to be tried. */
static bool backtrack(struct explorer *x)
{
	if (x->depth > x->longest)
		x->longest = x->depth;
	if (x->strategy->samples) {
		x->prefix = 0;
		return true;
	}
	while (x->depth > 0) {
		struct step *step = &x->steps[--x->depth];
		uint32_t todo = step->backtrack & ~step->done & ~step->sleep;

		if (!todo)
			continue;
		step->proc = (unsigned int)__builtin_ctz(todo);
		x->prefix = x->depth + 1;
		return true;
	}
	return false;
}

/* Has the search come to a bound?  An execution that was given up as too long counts. */
static bool bounded(struct explorer *x, const struct timespec *start)
{
	const struct emu_explore_options *o = x->options;
	struct emu_explore_result *r = x->result;
	bool over = o->max_executions && r->executions + r->too_long >= o->max_executions;
	struct timespec now;

	if (!over && o->max_seconds > 0) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		over = (double)(now.tv_sec - start->tv_sec) +
			       (double)(now.tv_nsec - start->tv_nsec) * 1e-9 >
		       o->max_seconds;
	}
	if (over)
		r->status = EMU_EXPLORE_BOUND;
	return over;
}

static void explore(struct explorer *x)
{
	struct machine *m = x->m;
	struct emu_explore_result *r = x->result;
	struct timespec start;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		int known;
		enum outcome outcome = run_once(x);

		known = m->call_violations_start;
		if (outcome == RUN_REFUSED) {
			r->status = EMU_EXPLORE_REFUSED;
			return;
		}
		if (outcome == RUN_TOO_LONG || outcome == RUN_ASLEEP) {
			/* One that is too long may never end; the search goes on without it. */
			if (outcome == RUN_TOO_LONG)
				r->too_long++;
			else
				r->asleep++;
			if (bounded(x, &start))
				return;
			continue;
		}
		r->executions++;
		if (m->s->fallible_calls - x->fallible_start > r->fallible_calls)
			r->fallible_calls = m->s->fallible_calls - x->fallible_start;
		keep_final_state(x);
		if (somebody_hangs(x))
			report_hang(x);
		else if (x->options->check_quiescence)
			report_leaks(x);
		if (m->s->nr_violations > known) {
			r->violating++;
			keep_violations(x, known);
			if (r->violating == 1) {
				r->first_violation = r->executions;
				keep_schedule(x);
			}
			if (x->options->stop_at_violation) {
				r->status = EMU_EXPLORE_VIOLATION;
				return;
			}
		}
		if (bounded(x, &start))
			return;
	} while (backtrack(x));
	if (x->cut)
		r->status = EMU_EXPLORE_BOUND;
	else
		r->status = r->too_long ? EMU_EXPLORE_TOO_LONG : EMU_EXPLORE_EXHAUSTED;
}

/* One execution that follows @schedule, and then whoever can. */
static void replay(struct explorer *x)
{
	const struct emu_explore_options *o = x->options;

	for (size_t i = 0; i < o->schedule_length && i < MAX_STEPS; i++) {
		/* One that there cannot be is not enabled either. */
		x->steps[i].proc = o->schedule[i] < MAX_PROCS ? o->schedule[i] : MAX_PROCS;
		x->steps[i].enabled = ~0U;
	}
	x->prefix = o->schedule_length < MAX_STEPS ? (unsigned int)o->schedule_length : MAX_STEPS;
	x->result->status = EMU_EXPLORE_EXHAUSTED;
	switch (run_once(x)) {
	case RUN_TO_END:
		x->result->executions = 1;
		if (somebody_hangs(x))
			report_hang(x);
		else if (o->check_quiescence)
			report_leaks(x);
		x->result->violating = x->m->s->nr_violations > x->m->call_violations_start;
		keep_violations(x, x->m->call_violations_start);
		if (x->result->violating)
			x->result->status = EMU_EXPLORE_VIOLATION;
		break;
	case RUN_REFUSED:
		x->result->status = EMU_EXPLORE_REFUSED;
		break;
	case RUN_MISMATCH:
		x->result->status = EMU_EXPLORE_MISMATCH;
		break;
	default:
		x->result->status = EMU_EXPLORE_TOO_LONG;
	}
	keep_schedule(x);
}

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

static int explore_program(struct machine *m, const struct emu_program_task *tasks, int nr_tasks,
			   const struct emu_explore_options *options,
			   struct emu_explore_result *result)
{
	struct explorer *x = calloc(1, sizeof(*x));
	enum rcu_mode mode = m->rcu_mode;
	int status = EMU_OK;

	if (!x)
		return EMU_NO_MEMORY;
	memset(result, 0, sizeof(*result));
	x->m = m;
	x->program = tasks;
	x->nr_tasks = nr_tasks;
	x->options = options;
	x->result = result;
	x->strategy = strategy_numbered(options->strategy);
	x->random = options->seed;
	for (int i = 0; i < nr_tasks && status == EMU_OK; i++) {
		x->decoded[i] = calloc(tasks[i].nr_ops + 1, TASK_ARGS * sizeof(int64_t));
		if (!x->decoded[i])
			status = EMU_NO_MEMORY;
		else
			status = decode_ops(m, tasks[i].ops, tasks[i].nr_ops, x->decoded[i]);
	}
	if (status == EMU_OK && !(kcsan_prepare(m) && lockdep_prepare(m)))
		status = EMU_NO_MEMORY;
	if (status == EMU_OK) {
		x->snapshot = snapshot_take(m);
		if (x->snapshot < 0)
			status = EMU_NO_MEMORY;
	}
	if (status == EMU_OK) {
		m->rcu_mode = RCU_MANUAL;
		x->fallible_start = m->s->fallible_calls;
		if (options->schedule_length)
			replay(x);
		else
			explore(x);
		m->explorer = NULL;
		m->rcu_mode = mode;
		m->refused = false;
		m->arena_full = false;
		/* What the last execution did stays to be looked at, unless it was none. */
		if (result->status != EMU_EXPLORE_VIOLATION)
			snapshot_restore(m, x->snapshot);
		snapshot_drop(m, x->snapshot);
	}
	for (int i = 0; i < nr_tasks; i++)
		free(x->decoded[i]);
	free(x);
	return status;
}

int emu_explore(emu_machine *m, const struct emu_program_task *tasks, int nr_tasks,
		const struct emu_explore_options *options, struct emu_explore_result *result)
{
	struct entry saved;
	int status = machine_enter(m, &saved);

	if (status != EMU_OK)
		return status;
	if (saved.nested) {
		status = EMU_BUSY;
	} else if (!CHECKED_BUILD || nr_tasks < 1 || nr_tasks > MAX_PROGRAM_TASKS) {
		snprintf(m->error, sizeof(m->error), "1 to %d tasks, in the checked build",
			 MAX_PROGRAM_TASKS);
		status = EMU_BAD_ARGUMENT;
	} else if (!strategy_numbered(options->strategy) || options->max_preemptions < 0) {
		snprintf(m->error, sizeof(m->error), "no such strategy");
		status = EMU_BAD_ARGUMENT;
	} else if (strategy_numbered(options->strategy)->samples && !options->schedule_length &&
		   !options->max_executions && !(options->max_seconds > 0)) {
		snprintf(m->error, sizeof(m->error), "a search that samples needs a bound");
		status = EMU_BAD_ARGUMENT;
	} else {
		status = explore_program(m, tasks, nr_tasks, options, result);
	}
	return machine_leave(m, &saved, status);
}
