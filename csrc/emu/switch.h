/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_SWITCH_H
#define EMU_SWITCH_H

/*
 * Switching between the host and the tasks of a machine.
 *
 * Inline, down to the change of stacks: every return behind one is to a place
 * that the processor does not expect.  For files whose stores are not
 * instrumented; sched.c, whose are, calls.
 */

#include "asan.h"
#include "coroutine.h"
#include "machine.h"

/* From the running task back to the host. */
static inline __attribute__((always_inline)) void __untracked switch_to_host(struct machine *m,
									     struct emu_task *task)
{
	bool over = task->run == RUN_DONE || task->run == RUN_IDLE || task->run == RUN_DEAD;
	void *kept = NULL;

	asan_leave_stack(over ? NULL : &kept, m->host_stack, m->host_stack_size);
	if (TRACKS_STORES)
		mark_dirty(m, (size_t)((char *)&task->sp - m->arena), sizeof(task->sp));
	coroutine_switch(&task->sp, &m->host_sp);
	m = this_machine();
	asan_enter_stack(kept, &m->host_stack, &m->host_stack_size);
}

/* From the host, or from a task that serves as one, to @task. */
static inline __attribute__((always_inline)) void __untracked switch_to_task(struct machine *m,
									     struct emu_task *task)
{
	const struct kernel_context saved = kernel_context;
	struct emu_task *saved_running = m->running;
	void *saved_sp = m->host_sp;
#ifdef ADDRESS_SANITIZER
	const void *saved_stack = m->host_stack;
	size_t saved_size = m->host_stack_size;
#endif
	void *kept = NULL;

	/* What it counts of its own it does not mark there. */
	if (!CHECKED_BUILD)
		machine_dirty(&task->t, sizeof(task->t));
	m->running = task;
	m->steps = 0;
	m->ticks = 0;
	kernel_context.task = &task->t;
	kernel_context.cpu = (unsigned long)task->t.cpu;
	asan_leave_stack(&kept, stack_bottom(m, task->stack), TASK_STACK_SIZE);
	coroutine_switch(&m->host_sp, &task->sp);
	asan_enter_stack(kept, NULL, NULL);
#ifdef ADDRESS_SANITIZER
	m->host_stack = saved_stack;
	m->host_stack_size = saved_size;
#endif
	m->host_sp = saved_sp;
	m->running = saved_running;
	kernel_context = saved;
}

/** task_yield() - the running task gives way; returns when somebody resumes it */
static inline __attribute__((always_inline)) void task_yield(struct machine *m,
							     struct emu_task *task)
{
	switch_to_host(m, task);
}

/** task_wants_host() - a task asked for a callback of the host where there can be none */
void task_wants_host(struct machine *m);

/** task_resume() - let @task go on until it gives way or ends */
static inline __attribute__((always_inline)) void task_resume(struct machine *m,
							      struct emu_task *task)
{
	switch_to_task(m, task);
	if (unlikely(task->run == RUN_UPCALL))
		task_wants_host(m);
}

#endif
