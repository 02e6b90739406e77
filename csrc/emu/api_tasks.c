// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls of the host about tasks and snapshots.
 */
#include <linux/percpu-refcount.h>

#include "api.h"

#include <linux/kernel.h>

#undef snprintf
#undef vsnprintf
#undef memset
#undef memcpy
#include <stdio.h>
#include <string.h>

int emu_run(emu_machine *m, int callbacks)
{
	struct entry saved;
	int status = machine_enter(m, &saved);

	if (status != EMU_OK)
		return status;
	if (saved.nested) {
		status = EMU_BUSY;
	} else if (m->s->panicked) {
		status = EMU_PANICKED;
	} else {
		m->s->rcu_budget = callbacks < 0 ? 1 << 30 : callbacks;
		run_others(m);
		m->s->rcu_budget = 0;
		if (m->arena_full) {
			m->arena_full = false;
			status = EMU_ARENA_FULL;
		}
	}
	return machine_leave(m, &saved, status);
}

int emu_task_new(emu_machine *m, const char *name, int cpu, int64_t *handle)
{
	struct entry saved;
	int status = machine_enter(m, &saved);
	struct emu_task *task;

	if (status != EMU_OK)
		return status;
	if (cpu < 0 || cpu >= m->s->kernel.config.cpus) {
		snprintf(m->error, sizeof(m->error), "no such CPU");
		status = EMU_BAD_ARGUMENT;
	} else {
		task = task_create(m, TASK_CONTEXT, name, cpu);
		if (task)
			*handle = task_handle(task);
		status = host_allocation(m, task != NULL);
	}
	return machine_leave(m, &saved, status);
}

int emu_set_context(emu_machine *m, int64_t task, int64_t *previous)
{
	struct entry saved;
	int status = machine_enter(m, &saved);

	if (status != EMU_OK)
		return status;
	*previous = m->context;
	if (task && !find_task(m, task)) {
		snprintf(m->error, sizeof(m->error), "not a task context");
		status = EMU_BAD_HANDLE;
	} else {
		m->context = task;
	}
	return machine_leave(m, &saved, status);
}

int emu_task_info(emu_machine *m, int64_t handle, struct emu_task_info *info)
{
	struct emu_task *task = find_task(m, handle);

	memset(info, 0, sizeof(*info));
	info->state = -1;
	info->comm = "";
	info->wait_kind = "";
	info->wait_what = "";
	if (!task)
		return EMU_BAD_HANDLE;
	info->pid = task->t.pid;
	info->cpu = task->t.cpu;
	info->state = (int32_t)task->run;
	info->preempt_count = (int32_t)task->t.preempt_count;
	info->irqs_disabled = (int32_t)task->t.irqs_disabled;
	info->in_softirq = task->t.in_softirq;
	info->rcu_nesting = task->t.rcu_read_lock_nesting;
	info->result = task->result;
	info->comm = task->t.comm;
	if (task->run == RUN_BLOCKED) {
		info->wait_kind = task->wait_kind;
		info->wait_what = string_or_unknown(m, task->wait_what);
	}
	return EMU_OK;
}

int emu_task_release(emu_machine *m, int64_t handle)
{
	struct entry saved;
	int status = machine_enter(m, &saved);
	struct emu_task *task;

	if (status != EMU_OK)
		return status;
	task = find_task(m, handle);
	if (!task)
		status = EMU_BAD_HANDLE;
	else if (task->run == RUN_DONE || task->run == RUN_IDLE)
		task_free(m, task);
	else
		status = EMU_BUSY;
	return machine_leave(m, &saved, status);
}

int emu_tasks(emu_machine *m, int64_t *handles, int max)
{
	struct machine_state *s = m->s;
	int count = 0;

	for (int i = 0; i < s->nr_tasks; i++) {
		if (s->tasks[i]->kind == TASK_FREE)
			continue;
		if (count < max)
			handles[count] = task_handle(s->tasks[i]);
		count++;
	}
	return count;
}

/* ---- snapshots ---- */

int emu_snapshot(emu_machine *m, int64_t *id)
{
	struct entry saved;
	int status = machine_enter(m, &saved);

	if (status != EMU_OK)
		return status;
	if (saved.nested) {
		status = EMU_BUSY;
	} else {
		*id = snapshot_take(m);
		if (*id < 0)
			status = EMU_NO_MEMORY;
	}
	return machine_leave(m, &saved, status);
}

int emu_restore(emu_machine *m, int64_t id)
{
	struct entry saved;
	int status = machine_enter(m, &saved);

	if (status != EMU_OK)
		return status;
	if (saved.nested)
		status = EMU_BUSY;
	else if (snapshot_restore(m, id))
		status = EMU_BAD_HANDLE;
	return machine_leave(m, &saved, status);
}

/* What lies there is written once more. */
static void write_lines(struct machine *m, size_t lines, size_t distance)
{
	for (size_t i = 0; i < lines; i++) {
		volatile char *p = m->arena + i * distance * DIRTY_LINE;

		*p = *p;
		machine_dirty((const char *)p, 1);
	}
}

int emu_restore_loop(emu_machine *m, int64_t id, uint64_t lines, uint64_t rounds, int bare)
{
	struct entry saved;
	int status = machine_enter(m, &saved);
	size_t all;

	if (status != EMU_OK)
		return status;
	if (saved.nested)
		return machine_leave(m, &saved, EMU_BUSY);
	if (snapshot_restore(m, id))
		return machine_leave(m, &saved, EMU_BAD_HANDLE);
	all = m->s->brk / DIRTY_LINE;
	if (!lines || lines > all || rounds > 1UL << 32) {
		snprintf(m->error, sizeof(m->error), "%s",
			 rounds > 1UL << 32 ? "too many rounds" : "no such number of lines");
		return machine_leave(m, &saved, EMU_BAD_ARGUMENT);
	}
	for (uint64_t i = 0; i < rounds; i++) {
		write_lines(m, lines, all / lines);
		if (!bare)
			snapshot_restore(m, id);
	}
	snapshot_restore(m, id);
	return machine_leave(m, &saved, EMU_OK);
}

int emu_snapshot_differs(emu_machine *m, int64_t id, int64_t *offset)
{
	*offset = m ? snapshot_differs(m, id) : -2;
	return *offset == -2 ? EMU_BAD_HANDLE : EMU_OK;
}

int emu_snapshot_drop(emu_machine *m, int64_t id)
{
	return snapshot_drop(m, id) ? EMU_BAD_HANDLE : EMU_OK;
}
