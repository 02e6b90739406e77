// SPDX-License-Identifier: GPL-2.0-only
/*
 * The processes of a program that is being explored: what they tell about
 * themselves, who can go on, and letting one go on.
 */
#include "execution.h"

#include <linux/percpu-refcount.h>
#include <linux/workqueue.h>

#undef memset
#include <string.h>

/* --- what the tasks tell --- */

/* An operation begins, for whoever looks, with the first visible thing that it does. */
static void operation_begins(struct machine *m, struct emu_task *task)
{
	if (!task->operation)
		return;
	trace_event(m, EVENT_OPERATION, (uint64_t)(uintptr_t)task->operation,
		    (uint64_t)task->operation_argument);
	task->operation = NULL;
}

void explore_point(struct machine *m, const struct access *access)
{
	struct emu_task *task = m->running;

	if (!task)
		return;
	task->pending = *access;
	/* A section is entered together with the first visible thing done in it. */
	task->pending.rcu_read |= (uint8_t)rcu_entering(task);
	task->run = RUN_READY;
	task_yield(m, task);
	operation_begins(m, task);
	rcu_enter(m, task);
}

void explore_access(struct machine *m, const void *addr, unsigned long size, bool write)
{
	const struct access access = {
		.start = (uintptr_t)addr,
		.end = (uintptr_t)addr + size,
		.kind = write ? ACCESS_WRITE : ACCESS_READ,
	};

	explore_point(m, &access);
}

void explore_acquire(struct machine *m, const void *lock, bool (*ready)(const void *lock))
{
	const struct access access = {
		.start = (uintptr_t)lock,
		.end = (uintptr_t)lock + 1,
		.kind = ACCESS_ACQUIRE,
		.ready = ready,
		.object = lock,
	};

	explore_point(m, &access);
}

struct lock_clock *lock_clock(struct explorer *x, const void *object)
{
	for (unsigned int i = 0; i < x->nr_locks; i++)
		if (x->locks[i].object == object)
			return &x->locks[i];
	if (x->nr_locks == MAX_LOCKS)
		return NULL;
	x->locks[x->nr_locks].object = object;
	memset(&x->locks[x->nr_locks].clock, 0, sizeof(struct clock));
	return &x->locks[x->nr_locks++];
}

void explore_release(struct machine *m, const void *object)
{
	struct explorer *x = m->explorer;
	struct lock_clock *lock = lock_clock(x, object);

	if (lock)
		join(&lock->clock, &x->procs[x->running].clock);
}

void explore_wake(struct machine *m, const struct emu_task *task)
{
	struct explorer *x = m->explorer;

	for (unsigned int i = 0; i < MAX_PROCS; i++)
		if (x->procs[i].task == task)
			join(&x->procs[i].clock, &x->procs[x->running].clock);
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

	for (unsigned int i = 0; i < MAX_PROCS; i++)
		if (x->procs[i].task == task)
			join_exits(&x->procs[i].clock, &x->rcu_exits[flavour], task->gp_clock);
}

void explore_rcu_queued(struct machine *m, int flavour)
{
	struct explorer *x = m->explorer;
	struct queued *q = &x->queued[flavour];

	q->clock[q->tail++ % MAX_QUEUED] = x->procs[x->running].clock;
}

void explore_rcu_exit(struct machine *m, int flavour, unsigned long start)
{
	struct explorer *x = m->explorer;
	struct rcu_exits *exits = &x->rcu_exits[flavour];

	if (exits->nr == MAX_EXITS) {
		join(&exits->rest, &x->procs[x->running].clock);
		return;
	}
	exits->start[exits->nr] = start;
	exits->clock[exits->nr++] = x->procs[x->running].clock;
}

/* --- one execution --- */

bool task_over(const struct emu_task *task)
{
	return task->run == RUN_DONE || task->run == RUN_DEAD || task->run == RUN_IDLE;
}

static bool proc_enabled(struct explorer *x, unsigned int proc)
{
	struct machine *m = x->m;
	struct emu_task *task = x->procs[proc].task;

	if (!task) {
		if (proc == PROC_RCU || proc == PROC_RCU_SCHED)
			return rcu_flavour_due(m, (int)(proc - PROC_RCU));
		if (proc == PROC_WORKER)
			return !list_empty(&m->s->kernel.workqueue.worklist);
		return false;
	}
	if (task->run != RUN_READY)
		return false;
	return !task->pending.ready || task->pending.ready(task->pending.object);
}

uint32_t enabled_procs(struct explorer *x)
{
	uint32_t enabled = 0;

	rcu_wake_waiters(x->m);
	for (unsigned int i = 0; i < MAX_PROCS; i++)
		if (proc_enabled(x, i))
			enabled |= 1U << i;
	return enabled;
}

const struct access *pending_of(const struct explorer *x, unsigned int proc)
{
	static const struct access nothing = { .kind = ACCESS_NONE };
	const struct emu_task *task = x->procs[proc].task;

	return task ? &task->pending : &nothing;
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
			struct queued *q = &x->queued[proc - PROC_RCU];
			unsigned long asked = rcu_oldest_clock(m, (int)(proc - PROC_RCU));

			p->task = rcu_flavour_task(m, (int)(proc - PROC_RCU));
			join(&p->clock, &q->clock[q->head++ % MAX_QUEUED]);
			join_exits(&p->clock, &x->rcu_exits[proc - PROC_RCU], asked);
		}
		if (!p->task)
			return;
	}
	p->task->pending = (struct access){ .kind = ACCESS_NONE };
	task_resume(m, p->task);
	if (task_over(p->task)) {
		if (proc >= PROC_RCU) {
			task_free(m, p->task);
			p->task = NULL;
		}
	}
}

int64_t run_program_task(const int64_t *args)
{
	const struct emu_program_task *program = (const void *)(uintptr_t)args[0];
	const int64_t *decoded = (const int64_t *)(uintptr_t)args[1];

	for (size_t i = 0; i < program->nr_ops; i++) {
		const struct op *o = find_op(program->ops[i].op);
		struct machine *m = this_machine();

		m->running->operation = o->info.name;
		m->running->operation_argument = program->ops[i].nargs ? program->ops[i].args[0] :
									 0;
		o->fn(decoded + i * TASK_ARGS);
		operation_begins(m, m->running);
	}
	return 0;
}
