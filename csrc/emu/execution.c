// SPDX-License-Identifier: GPL-2.0-only
/*
 * The processes of a program that is being explored: what they tell about
 * themselves, who can go on, and letting one go on.
 */
#include "execution.h"
#include "switch.h"

#include <linux/percpu-refcount.h>
#include <linux/kernel.h>

#undef memset
#include <string.h>

#define PROLOGUE_WORDS 2048 /* of the stack, that an operation needs up to its first step */

/* --- what the tasks tell --- */

/* An operation begins, for whoever looks, with the first visible thing that it does. */
static void operation_begins(struct machine *m, struct emu_task *task)
{
	if (!task->operation)
		return;
	trace_event(m, EVENT_OPERATION, (uint64_t)(uintptr_t)task->operation,
		    (uint64_t)task->operation_argument);
	machine_dirty(&task->operation, sizeof(task->operation));
	task->operation = NULL;
}

void operation_breaks_a_rule(struct machine *m)
{
	/* For people to look at: where nobody does, a search goes by what is visible. */
	if (m->trace_on && m->explorer && m->running)
		operation_begins(m, m->running);
}

/*
 * Where the running task is to tell what it is about to do; NULL: it is the host, who goes on.
 * It is written there at once: a copy of what has just been written piece by piece waits for that.
 */
static inline struct access *announcing(struct machine *m)
{
	struct emu_task *task = m->running;

	if (!task)
		return NULL;
	/* With it the rest of its line: whether it is ready, and its stack pointer. */
	machine_dirty(&task->pending, sizeof(task->pending));
	return &task->pending;
}

static inline __attribute__((always_inline)) void give_way(struct machine *m)
{
	struct explorer *x = m->explorer;
	struct emu_task *task = m->running;

	if (unlikely(x->frames != NULL))
		walk_stack(m, __builtin_frame_address(0), x->frames[task->stack].pc,
			   EMU_PATH_FRAMES);
	task->run = RUN_READY;
	m->wipes = x->strategy->caches;
	if (!goes_on(x))
		task_yield(m, task);
	operation_begins(m, task);
}

/* A read section is entered together with the first visible thing done in it. */
static noinline void give_way_and_enter(struct machine *m)
{
	struct emu_task *task = m->running;

	task->pending.rcu_read |= (uint8_t)rcu_entering(task);
	give_way(m);
	rcu_enter(m, task);
}

static inline __attribute__((always_inline)) void give_way_in_section(struct machine *m)
{
	if (m->running->t.rcu_read_lock_nesting || m->running->t.preempt_count)
		give_way_and_enter(m);
	else
		give_way(m);
}

void explore_point(struct machine *m, const struct access *access)
{
	struct access *announced = announcing(m);

	if (!announced)
		return;
	*announced = *access;
	give_way_in_section(m);
}

void explore_free(struct machine *m, const void *object, unsigned long size)
{
	struct access *announced = size ? announcing(m) : NULL;
	struct explorer *x = m->explorer;

	if (!announced)
		return;
	*announced = (struct access){
		.start = (uintptr_t)object,
		.end = (uintptr_t)object + size,
		.kind = ACCESS_FREE,
	};
	/* Before the section that it is in, which has no part in it: most callbacks only free. */
	give_way(m);
	if (!keeps_clocks(x))
		return;
	if (x->nr_freed == MAX_FREED) {
		x->cut |= EMU_BOUND_LOCKS;
		return;
	}
	x->freed[x->nr_freed++] = (struct freed){
		.start = (uintptr_t)object,
		.end = (uintptr_t)object + size,
		.depth = x->depth,
	};
}

unsigned int find_free(const struct explorer *x, const struct access *access)
{
	for (unsigned int i = x->nr_freed; i-- > 0;)
		if (x->freed[i].start < access->end && access->start < x->freed[i].end)
			return x->freed[i].depth + 1;
	return 0;
}

void explore_access(struct machine *m, const void *addr, unsigned long size, bool write)
{
	struct access *announced = announcing(m);

	if (!announced)
		return;
	*announced = (struct access){
		.start = (uintptr_t)addr,
		.end = (uintptr_t)addr + size,
		.kind = write ? ACCESS_WRITE : ACCESS_READ,
	};
	give_way_in_section(m);
}

void explore_compare(struct machine *m, const void *addr, unsigned long size, uint64_t expected)
{
	struct access *announced = announcing(m);

	if (!announced)
		return;
	*announced = (struct access){
		.start = (uintptr_t)addr,
		.end = (uintptr_t)addr + size,
		.kind = ACCESS_WRITE,
		.compares = (uint8_t)size,
		.expected = expected,
	};
	give_way_in_section(m);
}

void explore_acquire(struct machine *m, const void *lock, bool (*ready)(const void *lock),
		     bool exclusive)
{
	struct access *announced = announcing(m);

	if (!announced)
		return;
	*announced = (struct access){
		.start = (uintptr_t)lock,
		.end = (uintptr_t)lock + 1,
		.kind = ACCESS_ACQUIRE,
		.exclusive = exclusive,
		.ready = ready,
	};
	give_way_in_section(m);
}

void explore_unlock(struct machine *m, const void *lock)
{
	const struct access access = {
		.start = (uintptr_t)lock,
		.end = (uintptr_t)lock + 1,
		.kind = ACCESS_RELEASE,
		.compares = sizeof(current),
		.expected = (uint64_t)(uintptr_t)current,
	};

	_Static_assert(!offsetof(struct lock_state, owner), "who is expected there");
	if (m->explorer->tries)
		explore_point(m, &access);
}

void explore_read_unlock(struct machine *m, const void *lock)
{
	if (m->explorer->strays)
		explore_access(m, lock, 1, true);
}

struct lock_clock *lock_clock(struct explorer *x, const void *object)
{
	const size_t at = ((uintptr_t)object >> 3) * 0x9e3779b1U >> 7;

	for (unsigned int i = 0; i < MAX_LOCKS; i++) {
		struct lock_clock *lock = &x->locks[(at + i) % MAX_LOCKS];

		if (lock->object == object)
			return lock;
		if (lock->object)
			continue;
		undo_record(x->m, lock, sizeof(*lock));
		lock->object = object;
		memset(&lock->clock, 0, sizeof(lock->clock));
		return lock;
	}
	x->cut |= EMU_BOUND_LOCKS;
	return NULL;
}

void explore_release(struct machine *m, const void *object)
{
	struct explorer *x = m->explorer;
	struct lock_clock *lock;

	if (!keeps_clocks(x))
		return;
	lock = lock_clock(x, object);
	if (!lock)
		return;
	undo_record(m, &lock->clock, sizeof(lock->clock));
	join(&lock->clock, &x->procs[x->running].clock);
}

void explore_wake(struct machine *m, const struct emu_task *task)
{
	struct explorer *x = m->explorer;

	if (!keeps_clocks(x))
		return;
	for (unsigned int i = 0; i < MAX_PROCS; i++)
		if (x->procs[i].task == task) {
			undo_record(m, &x->procs[i].clock, sizeof(x->procs[i].clock));
			join(&x->procs[i].clock, &x->procs[x->running].clock);
		}
}

/* A grace period that was asked for at @clock is over: who was waited for? */
static void join_exits(struct clock *to, const struct rcu_exits *exits, unsigned long clock)
{
	join(to, &exits->rest);
	for (unsigned int i = 0; i < exits->nr; i++)
		if (exits->start[i] <= clock)
			join(to, &exits->clock[i]);
}

void explore_grace_period(struct machine *m, const struct emu_task *task, int flavour)
{
	struct explorer *x = m->explorer;

	if (!keeps_clocks(x))
		return;
	for (unsigned int i = 0; i < MAX_PROCS; i++)
		if (x->procs[i].task == task) {
			undo_record(m, &x->procs[i].clock, sizeof(x->procs[i].clock));
			join_exits(&x->procs[i].clock, &x->rcu_exits[flavour], task->gp_clock);
		}
}

void explore_rcu_queued(struct machine *m, int flavour)
{
	struct explorer *x = m->explorer;
	struct queued *q = &x->queued[flavour];

	if (!keeps_clocks(x))
		return;
	if (q->tail - q->head == MAX_QUEUED)
		x->cut |= EMU_BOUND_LOCKS;
	undo_record(m, &q->tail, sizeof(q->tail));
	undo_record(m, &q->clock[q->tail % MAX_QUEUED], sizeof(struct clock));
	q->clock[q->tail++ % MAX_QUEUED] = x->procs[x->running].clock;
}

void explore_rcu_exit(struct machine *m, int flavour, unsigned long start)
{
	struct explorer *x = m->explorer;
	struct rcu_exits *exits = &x->rcu_exits[flavour];

	if (!keeps_clocks(x))
		return;
	/* Whoever waits for one that began then waits for all of those. */
	for (unsigned int i = exits->nr; i-- > 0;)
		if (exits->start[i] == start) {
			undo_record(m, &exits->clock[i], sizeof(exits->clock[0]));
			join(&exits->clock[i], &x->procs[x->running].clock);
			return;
		}
	if (exits->nr == MAX_EXITS) {
		x->cut |= EMU_BOUND_LOCKS;
		undo_record(m, &exits->rest, sizeof(exits->rest));
		join(&exits->rest, &x->procs[x->running].clock);
		return;
	}
	undo_record(m, &exits->nr, sizeof(exits->nr));
	undo_record(m, &exits->start[exits->nr], sizeof(exits->start[0]));
	undo_record(m, &exits->clock[exits->nr], sizeof(exits->clock[0]));
	exits->start[exits->nr] = start;
	exits->clock[exits->nr++] = x->procs[x->running].clock;
}

void explore_loses(struct machine *m)
{
	m->explorer->cut |= EMU_BOUND_LOCKS;
}

unsigned long explore_fallible(struct machine *m, unsigned long n)
{
	struct explorer *x = m->explorer;
	struct step *step = &x->steps[x->depth];
	/* Many calls alike: the first, the second, the middle and the last one stand for all. */
	const unsigned long chosen[] = { 0, 1, n / 2, n - 1 };
	const bool all = n <= MANY_CALLS;
	uint32_t number;

	/* A step that is repeated has failed so under whatever bound there was then. */
	if (!x->options.max_faults && !step->nr_fails)
		return n;
	if (!all || x->starting)
		x->cut |= EMU_BOUND_FAULTS;
	if (x->starting)
		return n;
	number = step->calls + 1;
	step->calls += all ? (uint32_t)n : (uint32_t)ARRAY_SIZE(chosen);
	if (step->failed == step->nr_fails || step->fails[step->failed] > step->calls)
		return n;
	/* The calls behind it are not made. */
	step->calls = step->fails[step->failed++];
	return all ? step->calls - number : chosen[step->calls - number];
}

/* --- one execution --- */

bool task_over(const struct emu_task *task)
{
	return task->run == RUN_DONE || task->run == RUN_DEAD || task->run == RUN_IDLE;
}

static inline bool task_enabled(const struct emu_task *task)
{
	const struct access *pending = &task->pending;

	return task->run == RUN_READY &&
	       (pending->kind != ACCESS_ACQUIRE || pending->ready((const void *)pending->start));
}

/* Between two callbacks, or items of work: is there another one? */
static inline bool more_to_do(struct machine *m, unsigned int proc)
{
	struct machine_state *s = m->s;

	if (proc == PROC_WORKER)
		return !list_empty(&s->kernel.workqueue.worklist);
	return s->rcu[proc - PROC_RCU].head && rcu_flavour_due(m, (int)(proc - PROC_RCU));
}

uint32_t enabled_procs(struct explorer *x)
{
	const struct proc *const end = x->procs + x->nr_tasks;
	uint32_t enabled = 0, bit = 1;

	if (x->m->s->rcu_waiters)
		rcu_wake_waiters(x->m);
	for (const struct proc *p = x->procs; p < end; p++, bit <<= 1)
		if (task_enabled(p->task))
			enabled |= bit;
	if (kernel_idles(x))
		return enabled;
	for (unsigned int i = PROC_RCU; i < MAX_PROCS; i++) {
		const struct emu_task *task = x->procs[i].task;

		if (task ? task_enabled(task) : more_to_do(x->m, i))
			enabled |= 1U << i;
	}
	return enabled;
}

/* Who wakes comes after all that anybody has done: else time would not have passed. */
bool let_time_pass(struct explorer *x)
{
	const struct emu_task *task = pass_time(x->m);

	for (unsigned int i = 0; task && keeps_clocks(x) && i < MAX_PROCS; i++) {
		struct proc *p = &x->procs[i];

		if (p->task != task)
			continue;
		undo_record(x->m, &p->clock, sizeof(p->clock));
		for (unsigned int k = 0; k < MAX_PROCS; k++)
			if (k != i)
				join(&p->clock, &x->procs[k].clock);
	}
	return task != NULL;
}

/*
 * Where nobody else is to be tried, whatever races there will be, and no other
 * call is to fail, there is nothing to come back for: the step is taken back
 * with one before it.
 */
static bool comes_back(const struct explorer *x, const struct step *step)
{
	const uint32_t others = x->strategy->reduces ? step->enabled : step->backtrack;

	return others & ~step->sleep & ~(1U << step->proc) || step->nr_fails ||
	       step->fails_before < (uint32_t)x->options.max_faults;
}

void begin_step(struct explorer *x, struct step *step)
{
	struct machine *m = x->m;
	struct proc *p = &x->procs[step->proc];

	step->calls = 0;
	step->failed = 0;
	step->mark = NO_MARK;
	if (!m->undo)
		return;
	if (!x->depth || comes_back(x, step))
		step->mark = undo_mark(m);
	else if (step->proc == step[-1].proc)
		return;
	/* What a step changes and no hook of a store tells of. */
	undo_record(m, p, sizeof(*p));
	if (p->task)
		undo_record(m, p->task->sp,
			    (size_t)(stack_top(m, p->task->stack) - (char *)p->task->sp));
}

void join_callback(struct explorer *x, unsigned int proc)
{
	const int flavour = (int)(proc - PROC_RCU);
	const struct queued *q = &x->queued[flavour];

	join(&x->procs[proc].clock, &q->clock[q->head % MAX_QUEUED]);
	join_exits(&x->procs[proc].clock, &x->rcu_exits[flavour], rcu_oldest_clock(x->m, flavour));
}

/* The oldest callback of @flavour begins. */
static struct emu_task *take_callback(struct explorer *x, int flavour)
{
	struct queued *q = &x->queued[flavour];

	if (keeps_clocks(x)) {
		undo_record(x->m, &q->head, sizeof(q->head));
		q->head++;
	}
	return rcu_flavour_task(x->m, flavour);
}

void run_proc(struct explorer *x, unsigned int proc)
{
	struct machine *m = x->m;
	struct proc *p = &x->procs[proc];

	x->running = proc;
	if (!p->task) {
		if (proc == PROC_WORKER) {
			p->task = worker_task(m);
		} else {
			p->task = take_callback(x, (int)(proc - PROC_RCU));
		}
		if (!p->task)
			return;
	}
	machine_dirty(&p->task->pending, sizeof(p->task->pending));
	p->task->pending = (struct access){ .kind = ACCESS_NONE };
	task_resume(m, p->task);
	if (task_over(p->task)) {
		if (proc >= PROC_RCU) {
			task_free(m, p->task);
			p->task = NULL;
		}
	}
}

/*
 * Where a phase may end equal states look equal: nothing is left of what the task did before, as
 * deep as it gets before the first visible thing that it does, but for the first kilobyte, which
 * wipe_stack() reaches.
 */
static noinline __attribute__((no_sanitize("address"))) void begin_operation(struct machine *m)
{
	volatile uint64_t *const end = (uint64_t *)__builtin_frame_address(0) - 32;

	/* One by one: what a call would leave there is what is to go. */
	for (volatile uint64_t *p = end - PROLOGUE_WORDS; p < end; p++)
		*p = 0;
	m->wipes = true;
}

int64_t run_program_task(const int64_t *args)
{
	const struct emu_program_task *program = (const void *)(uintptr_t)args[0];
	const int64_t *decoded = (const int64_t *)(uintptr_t)args[1];

	for (size_t i = 0; i < program->nr_ops; i++) {
		const struct op *o = find_op(program->ops[i].op);
		struct machine *m = this_machine();

		machine_dirty(&m->running->operation,
			      sizeof(m->running->operation) +
				      sizeof(m->running->operation_argument));
		if (m->explorer->strategy->phases) {
			begin_operation(m);
			wipe_stack();
		}
		m->running->operation = o->info.name;
		m->running->operation_argument = program->ops[i].nargs ? program->ops[i].args[0] :
									 0;
		trace_event(m, EVENT_NEXT, 0, 0);
		o->fn(decoded + i * TASK_ARGS);
		operation_begins(m, m->running);
	}
	return 0;
}
