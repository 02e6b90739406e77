// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tasks: coroutines on their own guarded stacks, one running at a time.
 *
 * A call of the host is a task that runs to its end or until it blocks.  While
 * it is blocked whoever else can run does: tasks that were woken, and RCU
 * callbacks that are due.  When nobody can, the call is over and its task
 * stays parked.
 *
 * A callback of the host never runs on a task's stack: the task parks, the
 * host's stack runs the callback, the result resumes the task.  Operations
 * that the callback issues run on the parked task's stack, in its context.
 */
#include "asan.h"
#include "switch.h"
#include "machine.h"

#include <linux/workqueue.h>
#undef snprintf
#undef vsnprintf
#undef memset
#undef memcpy

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13; older ones refuse it */
#endif

#define MAX_UPCALL_DEPTH 12

__thread struct kernel_context kernel_context
	__attribute__((tls_model("initial-exec"), visibility("hidden")));
__thread struct machine *current_machine
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

#ifndef __x86_64__

/* Neither is a constant of a function that calls it, whatever the compiler knows of threads. */

struct kernel_context *noinline this_context(void)
{
	__asm__ volatile("" : : : "memory");
	return &kernel_context;
}

struct machine *noinline this_machine(void)
{
	__asm__ volatile("" : : : "memory");
	return current_machine;
}

#endif

/*
 * The guard turns an overflow into a fault at once instead of damage.  A guard
 * without a mapping of its own is cheaper, where the system has it.
 */
static int guard_stack(struct machine *m, int stack)
{
	char *guard = stack_bottom(m, stack) - TASK_STACK_GUARD;

	if (!madvise(guard, TASK_STACK_GUARD, MADV_GUARD_INSTALL))
		return 0;
	return mprotect(guard, TASK_STACK_GUARD, PROT_NONE);
}

/*
 * Calls, as far as the compiler is concerned: it must not take a store on one
 * side of a switch for the repetition of one on the other and not tell of it.
 */
static noinline void __untracked leave_for_host(struct machine *m, struct emu_task *task)
{
	switch_to_host(m, task);
}

static noinline void __untracked enter_task(struct machine *m, struct emu_task *task)
{
	switch_to_task(m, task);
}

static void task_entry(void)
{
	struct machine *m = this_machine();
	struct emu_task *task = m->running;

	asan_enter_stack(NULL, &m->host_stack, &m->host_stack_size);
	task->result = task->fn(task->args);
	m = this_machine();
	task = m->running;
	task->run = task->kind == TASK_CONTEXT ? RUN_IDLE : RUN_DONE;
	leave_for_host(m, task);
	__builtin_unreachable();
}

struct emu_task *task_create(struct machine *m, enum task_kind kind, const char *comm, int cpu)
{
	struct machine_state *s = m->s;
	struct emu_task *task = NULL;
	int i;

	for (i = 0; i < s->nr_tasks; i++)
		if (s->tasks[i]->kind == TASK_FREE) {
			task = s->tasks[i];
			break;
		}
	if (!task) {
		if (s->nr_tasks == MAX_TASKS)
			return NULL;
		if (!s->tasks[i])
			s->tasks[i] = machine_alloc(m, sizeof(*task));
		task = s->tasks[i];
		if (!task)
			return NULL;
		s->nr_tasks++;
	}
	if (i >= m->stacks_made) {
		if (guard_stack(m, i))
			return NULL;
		m->stacks_made = i + 1;
	}
	machine_dirty(task, sizeof(*task));
	memset(task, 0, sizeof(*task));
	task->stack = i;
	task->kind = kind;
	task->run = RUN_IDLE;
	task->serial = next_serial(m);
	task->t.pid = ++s->next_pid;
	task->t.cpu = cpu;
	strncpy(task->t.comm, comm, sizeof(task->t.comm) - 1);
	return task;
}

bool tasks_reserve(struct machine *m, int n)
{
	struct machine_state *s = m->s;

	for (int i = s->nr_tasks; i < s->nr_tasks + n && i < MAX_TASKS; i++) {
		if (!s->tasks[i])
			s->tasks[i] = machine_alloc(m, sizeof(*s->tasks[i]));
		if (!s->tasks[i])
			return false;
	}
	return true;
}

void task_free(struct machine *m, struct emu_task *task)
{
	struct machine_state *s = m->s;

	task->kind = TASK_FREE;
	/* Whoever looks at all tasks pays for those that there are. */
	while (s->nr_tasks && s->tasks[s->nr_tasks - 1]->kind == TASK_FREE)
		s->nr_tasks--;
}

void task_start(struct machine *m, struct emu_task *task, task_fn fn, const int64_t *args,
		int nargs)
{
	char *stack = stack_bottom(m, task->stack);

	asan_forget_frames(stack, TASK_STACK_SIZE);
	task->fn = fn;
	for (int i = 0; i < nargs; i++)
		task->args[i] = args[i];
	task->result = 0;
	task->run = RUN_READY;
	task->upcalls = NULL;
	task->upcall_depth = 0;
	task->sp = coroutine_prepare(stack, TASK_STACK_SIZE, task_entry);
	INIT_LIST_HEAD(&task->ready);
}

void task_wants_host(struct machine *m)
{
	snprintf(m->error, sizeof(m->error),
		 "a callback of the host cannot run while schedules are explored");
	m->refused = true;
}

void task_block(const char *kind, const void *object, const char *what)
{
	struct machine *m = this_machine();
	struct emu_task *task = m->running;

	task->run = RUN_BLOCKED;
	task->t.state = TASK_UNINTERRUPTIBLE;
	task->wait_kind = kind;
	task->wait_object = object;
	task->wait_what = what;
	task->steps = 0;
	trace_event(m, EVENT_BLOCK, (uint64_t)((const char *)object - m->arena),
		    (uint64_t)(uintptr_t)what);
	leave_for_host(m, task);
	task->t.state = TASK_RUNNING;
	task->wait_kind = NULL;
	task->wait_object = NULL;
	task->wait_what = NULL;
}

void task_block_until(const char *kind, const void *object, const char *what,
		      unsigned long deadline)
{
	struct machine_state *s = this_machine()->s;
	struct emu_task *task = this_machine()->running;

	task->deadline = deadline;
	s->nr_sleepers += deadline != 0;
	task_block(kind, object, what);
	s->nr_sleepers -= deadline != 0;
	task->deadline = 0;
}

void task_wake(struct emu_task *task)
{
	struct machine *m = this_machine();

	if (task->run != RUN_BLOCKED)
		return;
	if (unlikely(m->explorer != NULL)) {
		if (task->gp_clock)
			explore_grace_period(m, task, task->gp_flavour);
		else
			explore_wake(m, task);
		task->run = RUN_READY;
		return;
	}
	task->run = RUN_READY;
	trace_event(m, EVENT_WAKE, (uint64_t)task->t.pid, 0);
	list_add_tail(&task->ready, &m->s->ready);
}

void task_die(void)
{
	struct machine *m = this_machine();
	struct emu_task *task = m->running;

	if (!task)
		__builtin_trap(); /* the machine itself is broken: nothing runs on the host's stack */
	m->task_died = true;
	task->run = RUN_DEAD;
	task->t.state = TASK_DEAD;
	leave_for_host(m, task);
	__builtin_unreachable();
}

void soft_lockup(struct machine *m)
{
	const struct task_struct *t = &m->running->t;

	printk_level(LOGLEVEL_EMERG, "watchdog: BUG: soft lockup - CPU#%d stuck! [%s:%d]\n", t->cpu,
		     t->comm, t->pid);
	report_violation(VIOLATION_SOFT_LOCKUP, "%s/%d runs without end and gives way to nobody",
			 t->comm, t->pid);
	task_die();
}

void arena_exhausted(struct machine *m)
{
	m->arena_full = true;
	task_die();
}

/* Has the host's nested call what it waits for? */
static bool request_ended(const struct emu_task *task, const struct upcall_frame *frame)
{
	return task->run == RUN_UPCALL && task->upcalls == frame && frame->request_done;
}

/* Runs callback of @task on this stack. */
static void serve_upcall(struct machine *m, struct emu_task *task)
{
	struct upcall_frame *f = task->upcalls;
	struct emu_task *saved_task = m->upcall_task;
	struct upcall_frame *saved_frame = m->upcall_frame;
	bool resumed = f->parked;
	int64_t result;

	m->upcall_task = task;
	m->upcall_frame = f;
	f->parked = false;
	trace_event(m, EVENT_UPCALL, (uint64_t)f->id, resumed);
	result = m->upcall(m->upcall_data, (int64_t)(uintptr_t)f, f->id,
			   resumed ? f->request_result : f->args[0], f->args[1], resumed);
	m->upcall_task = saved_task;
	m->upcall_frame = saved_frame;
	if (task->run == RUN_UPCALL && task->upcalls == f) {
		f->done = true;
		f->result = result;
	} else {
		/* What it issued has not ended: it is continued when that has. */
		f->parked = true;
	}
}

/* Runs @task until it blocks, ends, or answers the host's request in @stop. */
static void run_slice(struct machine *m, struct emu_task *task, const struct upcall_frame *stop)
{
	if (!list_empty(&task->ready))
		list_del_init(&task->ready);
	enter_task(m, task);
	while (task->run == RUN_UPCALL && !(stop && request_ended(task, stop))) {
		serve_upcall(m, task);
		if (task->run != RUN_UPCALL)
			break;
		enter_task(m, task);
	}
	if (task->run == RUN_DONE && (task->kind == TASK_SOFTIRQ || task->kind == TASK_WORKER))
		task_free(m, task);
	rcu_wake_waiters(m);
}

static int64_t work(const int64_t *args)
{
	(void)args;
	return process_one_work();
}

struct emu_task *worker_task(struct machine *m)
{
	struct machine_state *s = m->s;
	struct work_struct *item;
	struct emu_task *task;

	list_for_each_entry(item, &s->kernel.workqueue.worklist, entry) {
		if (item->running)
			continue;
		task = task_create(m, TASK_WORKER, "kworker/0:0", 0);
		if (task)
			task_start(m, task, work, NULL, 0);
		return task;
	}
	return NULL;
}

struct emu_task *pass_time(struct machine *m)
{
	struct machine_state *s = m->s;
	struct emu_task *next = NULL;

	if (!s->nr_sleepers)
		return NULL;
	for (int i = 0; i < s->nr_tasks; i++) {
		struct emu_task *task = s->tasks[i];

		if (task->kind != TASK_FREE && task->run == RUN_BLOCKED && task->deadline &&
		    (!next || task->deadline < next->deadline))
			next = task;
	}
	if (next) {
		if (s->clock < next->deadline)
			s->clock = next->deadline;
		task_wake(next);
	}
	return next;
}

/* Lets somebody run; @first has precedence. False when nobody can. */
static bool run_somebody(struct machine *m, struct emu_task *first, const struct upcall_frame *stop)
{
	struct machine_state *s = m->s;
	struct emu_task *task = NULL;

	if (first && first->run == RUN_READY)
		task = first;
	else if (!list_empty(&s->ready))
		task = list_first_entry(&s->ready, struct emu_task, ready);
	else
		task = rcu_next_task(m);
	if (!task)
		task = worker_task(m);
	if (!task)
		task = pass_time(m);
	if (!task)
		return false;
	run_slice(m, task, task == first ? stop : NULL);
	return true;
}

static bool ended(const struct emu_task *task)
{
	return task->run == RUN_DONE || task->run == RUN_IDLE || task->run == RUN_DEAD;
}

int run_task(struct machine *m, struct emu_task *task)
{
	while (!ended(task)) {
		if (!run_somebody(m, task, NULL))
			return EMU_BLOCKED;
		if (m->arena_full)
			break;
	}
	return EMU_OK;
}

int run_alone(struct machine *m, struct emu_task *task)
{
	run_slice(m, task, NULL);
	return ended(task) ? EMU_OK : EMU_BLOCKED;
}

void run_others(struct machine *m)
{
	while (!m->arena_full && others_pending(m) && run_somebody(m, NULL, NULL))
		;
}

int64_t upcall(long id, int64_t a, int64_t b)
{
	struct machine *m = this_machine();
	struct emu_task *task = m->running;
	struct upcall_frame f = { .id = id, .args = { a, b }, .prev = task->upcalls };

	if (task->upcall_depth >= MAX_UPCALL_DEPTH) {
		snprintf(m->error, sizeof(m->error), "callbacks nested more than %d deep",
			 MAX_UPCALL_DEPTH);
		return 0;
	}
	task->upcalls = &f;
	task->upcall_depth++;
	do {
		task->run = RUN_UPCALL;
		leave_for_host(m, task);
		m = this_machine();
		if (f.request) {
			task_fn fn = f.request;

			f.request = NULL;
			f.request_result = fn(f.request_args);
			f.request_done = true;
		}
	} while (!f.done);
	task->upcalls = f.prev;
	task->upcall_depth--;
	return f.result;
}

int nested_request(struct machine *m, task_fn fn, const int64_t *args, int nargs, int64_t *result)
{
	struct emu_task *task = m->upcall_task;
	struct upcall_frame *f = m->upcall_frame;

	if (task->run != RUN_UPCALL || task->upcalls != f)
		return EMU_BLOCKED; /* an earlier operation of this callback is still blocked */
	for (int i = 0; i < nargs; i++)
		f->request_args[i] = args[i];
	f->request = fn;
	f->request_done = false;
	run_slice(m, task, f);
	while (!request_ended(task, f)) {
		if (task->run == RUN_DEAD || m->arena_full)
			return EMU_DEAD;
		if (!run_somebody(m, task, f))
			return EMU_BLOCKED;
	}
	*result = f->request_result;
	return EMU_OK;
}

void cond_resched(void)
{
	this_machine()->running->steps = 0;
	this_machine()->steps = 0;
	this_machine()->ticks = 0;
	might_sleep();
}

void watch_pages(struct machine *m)
{
	struct emu_task *task = m->running;

	if (!task || task->steps < SOFT_LOCKUP_PAGES)
		return;
	printk_level(LOGLEVEL_EMERG, "watchdog: BUG: soft lockup - CPU#%d stuck for 22s! [%s:%d]\n",
		     task->t.cpu, task->t.comm, task->t.pid);
	report_violation(VIOLATION_SOFT_LOCKUP,
			 "%s/%d handled %lu pages without a scheduling point", task->t.comm,
			 task->t.pid, task->steps);
	task->steps = 0;
}

void cond_resched_pages(unsigned long n)
{
	if (n >= 1024)
		cond_resched();
}
