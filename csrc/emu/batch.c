// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls that cost little: many operations in one, and references on a page.
 *
 * This file is not instrumented: what it writes to the arena it reports with
 * machine_dirty().
 */
#include "api.h"
#include "switch.h"

#include <linux/mm.h>

#undef snprintf
#undef strlen
#include <stdio.h>
#include <string.h>

/**
 * struct batch - operations that are run one after the other
 * @ops: what to run
 * @n: how many
 * @next: the one that runs, or runs next
 * @results: of those that have run
 * @status: why the operation at @next cannot be run, EMU_OK if it can
 *
 * Lives in the frame of emu_batch(), hence not longer than that.
 */
struct batch {
	const struct emu_op *ops;
	size_t n;
	size_t next;
	int64_t *results;
	int status;
};

static void set_comm(struct task_struct *t, const char *name)
{
	size_t i;

	machine_dirty(t->comm, sizeof(t->comm));
	for (i = 0; i < sizeof(t->comm) - 1 && name[i]; i++)
		t->comm[i] = name[i];
	t->comm[i] = '\0';
}

/* What one operation has left in the task is none of the next one's. */
static void forget_call(struct emu_task *task)
{
	machine_dirty(&task->owner, sizeof(task->owner));
	machine_dirty(&task->steps, sizeof(task->steps));
	task->owner = NULL;
	task->steps = 0;
}

/* Runs on a task: operations of a batch up to one after which others may run. */
static int64_t run_batch(const int64_t *args)
{
	struct batch *b = (struct batch *)(uintptr_t)args[0];
	struct machine *m = this_machine();
	struct emu_task *task = m->running;
	const struct op *o = NULL;
	int last = -1, nargs = 0;
	int64_t decoded[TASK_ARGS];
	int64_t result;

	do {
		const struct emu_op *op = &b->ops[b->next];

		b->results[b->next] = 0;
		if (op->op != last) {
			o = find_op(op->op);
			nargs = o ? (int)strlen(o->info.args) : 0;
			last = op->op;
			if (o)
				set_comm(&task->t, o->info.name);
		}
		if (!o || op->nargs != nargs) {
			snprintf(m->error, sizeof(m->error),
				 o ? "%s takes %d arguments" : "no such operation",
				 o ? o->info.name : "", nargs);
			b->status = EMU_BAD_OPERATION;
			return 0;
		}
		for (int i = 0; i < nargs; i++) {
			decoded[i] = op->args[i];
			if (o->info.args[i] == 'i')
				continue;
			b->status = decode_argument(m, o->info.args[i], &decoded[i]);
			if (b->status != EMU_OK)
				return 0;
		}
		result = o->fn(decoded);
		if (!args[0])
			return result; /* it was blocked, and the batch ended without it */
		b->results[b->next] = result;
		if (m->refused || sections_open(task))
			return result;
		if (task->owner || task->steps)
			forget_call(task);
	} while (++b->next < b->n && !others_pending(m));
	return 0;
}

/* Each operation is a call of its own, but as long as they do not block one task will do. */
static int batch_of_direct_calls(struct machine *m, struct batch *b)
{
	int64_t args[1] = { (int64_t)(uintptr_t)b }, result;
	struct emu_task *task;
	int status = EMU_OK;

	while (b->next < b->n && status == EMU_OK) {
		if (m->s->panicked)
			return EMU_PANICKED;
		task = task_create(m, TASK_DIRECT, "batch", 0);
		if (!task)
			return EMU_NO_TASK;
		task_start(m, task, run_batch, args, 1);
		status = run_task(m, task);
		if (status == EMU_OK)
			run_others(m);
		machine_dirty(task->args, sizeof(task->args));
		task->args[0] = 0;
		status = finish_call(m, task, status, &result);
		if (status == EMU_BLOCKED || status == EMU_DEAD || status == EMU_PANICKED)
			b->results[b->next] = result;
		if (status == EMU_OK)
			status = b->status;
	}
	return status;
}

int emu_batch(emu_machine *m, int64_t task, const struct emu_op *ops, size_t n, int64_t *results,
	      size_t *done)
{
	struct batch b = { .ops = ops, .n = n, .results = results };
	struct entry saved;
	int status = machine_enter(m, &saved);

	*done = 0;
	if (status != EMU_OK)
		return status;
	if (!task && !m->context && !saved.nested) {
		status = batch_of_direct_calls(m, &b);
	} else {
		while (b.next < n && status == EMU_OK) {
			status = call_op(m, task, ops[b.next].op, ops[b.next].nargs,
					 ops[b.next].args, saved.nested, &results[b.next]);
			b.next += status == EMU_OK;
		}
	}
	*done = b.next;
	return machine_leave(m, &saved, status);
}

int64_t op_get_page(const int64_t *args);
int64_t op_put_page(const int64_t *args);

static int page_call(struct machine *m, task_fn fn, const char *name, uint64_t pfn, bool nested)
{
	int64_t args[1] = { (int64_t)pfn }, result;

	return run_call(m, 0, name, fn, args, 1, nested, &result);
}

/*
 * Is get_page() of @pfn certain to change a count and nothing else: no report,
 * no allocation, nobody else who could run before or after it?  Then it needs
 * no stack of its own.
 */
static bool get_page_is_plain(struct machine *m, uint64_t pfn)
{
	const struct memmap *mm = &m->s->memmap;

	return mm->open_pfn == pfn && mm->open[PAGE_INIT] == PAGE_INITIALISED &&
	       (int)(u32)mm->open[PAGE_COUNTS] > 0 && !m->s->panicked && !m->trace_on &&
	       !others_pending(m);
}

int emu_page_get(emu_machine *m, uint64_t pfn)
{
	struct entry saved;
	int status = machine_enter(m, &saved);

	if (status != EMU_OK)
		return status;
	if (!m->context && !saved.nested && get_page_is_plain(m, pfn))
		get_page(pfn_to_page(pfn));
	else
		status = page_call(m, op_get_page, "get_page", pfn, saved.nested);
	return machine_leave(m, &saved, status);
}

int emu_page_put(emu_machine *m, uint64_t pfn)
{
	struct entry saved;
	int status = machine_enter(m, &saved);

	if (status != EMU_OK)
		return status;
	status = page_call(m, op_put_page, "put_page", pfn, saved.nested);
	return machine_leave(m, &saved, status);
}

int emu_nothing(emu_machine *m, uint64_t pfn)
{
	return m && pfn ? EMU_OK : EMU_CLOSED;
}

/* --- what a switch costs --- */

static int64_t yield_again_and_again(const int64_t *args)
{
	for (int64_t i = 0; i < args[0]; i++) {
		struct machine *m = this_machine();

		task_yield(m, m->running);
	}
	return 0;
}

static __thread void *bare_host, *bare_inner;

static void bare_entry(void)
{
	const void *stack;
	size_t size;
	void *kept;

	asan_enter_stack(NULL, &stack, &size);
	for (;;) {
		asan_leave_stack(&kept, stack, size);
		coroutine_switch(&bare_inner, &bare_host);
		asan_enter_stack(kept, &stack, &size);
	}
}

int emu_switch_loop(emu_machine *m, uint64_t rounds, int bare)
{
	struct entry saved;
	int status = machine_enter(m, &saved);
	const int64_t args[1] = { (int64_t)rounds };
	struct emu_task *task;

	if (status != EMU_OK)
		return status;
	if (rounds > 1UL << 32) {
		snprintf(m->error, sizeof(m->error), "too many rounds");
		return machine_leave(m, &saved, EMU_BAD_ARGUMENT);
	}
	task = task_create(m, TASK_DIRECT, "switch", 0);
	if (!task)
		return machine_leave(m, &saved, EMU_NO_MEMORY);
	if (bare) {
		asan_forget_frames(stack_bottom(m, task->stack), TASK_STACK_SIZE);
		bare_inner = coroutine_prepare(stack_bottom(m, task->stack), TASK_STACK_SIZE,
					       bare_entry);
		for (uint64_t i = 0; i < rounds; i++) {
			void *kept;

			asan_leave_stack(&kept, stack_bottom(m, task->stack), TASK_STACK_SIZE);
			coroutine_switch(&bare_host, &bare_inner);
			asan_enter_stack(kept, NULL, NULL);
		}
	} else {
		task_start(m, task, yield_again_and_again, args, 1);
		while (task->run != RUN_DONE)
			task_resume(m, task);
	}
	task_free(m, task);
	return machine_leave(m, &saved, EMU_OK);
}
