// SPDX-License-Identifier: GPL-2.0-only
/*
 * The boundary: every call of the host enters and leaves here.  Tasks and
 * snapshots: api_tasks.c; many operations in one call: batch.c.
 */
#include "api.h"

#include <linux/kernel.h>
#include <linux/percpu-refcount.h>

#undef snprintf
#undef vsnprintf
#undef memset
#undef memcpy
#undef strlen
#undef strcmp
#undef strncmp
#include <stdio.h>
#include <string.h>

static const struct op_table *const tables[] = {
	&ops_percpu_ref, &ops_sync,   &ops_rcu,	   &ops_device,	   &ops_devres, &ops_resource,
	&ops_radix,	 &ops_memory, &ops_driver, &ops_constants, &ops_printk, &ops_hmm,
	&ops_pci,	 &ops_module, &ops_listed, &ops_page,	   &ops_loops,
};

/**
 * struct object_entry - what a handle stands for
 * @p: the object, NULL once it is gone
 * @alloc: header of the allocation it lies in, NULL if it lives for ever
 * @serial: tells it from what had this place before a restore
 * @kind: its letter
 */
struct object_entry {
	const void *p;
	const struct alloc_header *alloc;
	unsigned int serial;
	char kind;
};

/* A handle is the place in the table, counted from 1, and the serial number above it. */
#define HANDLE_BITS 24
#define MAX_OBJECTS (1 << HANDLE_BITS)

struct object_table {
	int count;
	int capacity;
	struct object_entry *entries;
};

/* --- entering and leaving --- */

int __untracked machine_enter(struct machine *m, struct entry *saved)
{
	/* Every thread has its own place for the machine that it is in. */
	unsigned long self = (unsigned long)&current_machine, nobody = 0;

	if (!m)
		return EMU_CLOSED;
	if (!__atomic_compare_exchange_n(&m->thread, &nobody, self, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED) &&
	    nobody != self) {
		/* Not ours to write an error text into: another thread is inside. */
		return nobody == MACHINE_CLOSED ? EMU_CLOSED : EMU_BUSY;
	}
	page_fault_stack();
	watchdog_arm();
	saved->machine = current_machine;
	saved->context = kernel_context;
	saved->nested = m->depth > 0;
	m->depth++;
	if (!saved->nested) {
		m->error[0] = '\0';
		m->call_log_start = m->s->log_end;
		m->call_violations_start = m->s->nr_violations;
		m->s->memmap.reported = ~0UL;
		m->calls++;
	}
	current_machine = m;
	kernel_context.data = &m->s->kernel;
	return EMU_OK;
}

int __untracked machine_leave(struct machine *m, const struct entry *saved, int status)
{
	if (m->depth == 1 && m->s->nr_violations > m->call_violations_start)
		status |= EMU_VIOLATION;
	current_machine = saved->machine;
	kernel_context = saved->context;
	if (--m->depth == 0)
		__atomic_store_n(&m->thread, 0, __ATOMIC_RELEASE);
	return status;
}

int __untracked machine_look(struct machine *m, struct entry *saved)
{
	unsigned long self = (unsigned long)&current_machine, nobody = 0;

	if (!m)
		return EMU_CLOSED;
	if (!__atomic_compare_exchange_n(&m->thread, &nobody, self, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED) &&
	    nobody != self)
		return nobody == MACHINE_CLOSED ? EMU_CLOSED : EMU_BUSY;
	saved->nested = nobody == self;
	saved->machine = current_machine;
	current_machine = m;
	return EMU_OK;
}

void __untracked machine_look_away(struct machine *m, const struct entry *saved)
{
	current_machine = saved->machine;
	if (!saved->nested)
		__atomic_store_n(&m->thread, 0, __ATOMIC_RELEASE);
}

const char *emu_error(emu_machine *m)
{
	return m->error;
}

int64_t bad_argument(const char *fmt, ...)
{
	struct machine *m = this_machine();
	va_list args;

	va_start(args, fmt);
	vsnprintf(m->error, sizeof(m->error), fmt, args);
	va_end(args);
	m->refused = true;
	return 0;
}

/* --- handles --- */

static int64_t handle_of(const struct object_table *t, int i)
{
	return (int64_t)t->entries[i].serial << HANDLE_BITS | (i + 1);
}

static struct object_entry *entry_of(const struct object_table *t, int64_t handle)
{
	int i = (int)(handle & (MAX_OBJECTS - 1)) - 1;

	if (!t || handle <= 0 || i < 0 || i >= t->count || handle_of(t, i) != handle)
		return NULL;
	return &t->entries[i];
}

int64_t object_new(char kind, const void *p, const void *within)
{
	struct machine *m = this_machine();
	struct object_table *t = m->s->objects;
	struct object_entry *e;

	if (!p)
		return 0;
	if (!t) {
		t = machine_alloc(m, sizeof(*t));
		if (!t)
			return 0;
		m->s->objects = t;
	}
	if (t->count == t->capacity) {
		int capacity = t->capacity ? 2 * t->capacity : 16;
		struct object_entry *grown = machine_alloc(m, (size_t)capacity * sizeof(*grown));

		if (!grown)
			return 0;
		if (t->count)
			memcpy(grown, t->entries, (size_t)t->count * sizeof(*grown));
		machine_free(m, t->entries);
		t->entries = grown;
		t->capacity = capacity;
	}
	if (t->count == MAX_OBJECTS - 1)
		arena_exhausted(m);
	e = &t->entries[t->count++];
	e->p = p;
	e->serial = (unsigned int)(next_serial(m) & 0x7fffffff);
	e->kind = kind;
	e->alloc = within ? (const struct alloc_header *)((const char *)within - 64) : NULL;
	return handle_of(t, t->count - 1);
}

void object_forget(const void *p)
{
	struct object_table *t = this_machine()->s->objects;

	for (int i = 0; t && i < t->count; i++)
		if (t->entries[i].p == p)
			t->entries[i].p = NULL;
}

int64_t object_handle(char kind, const void *p)
{
	struct object_table *t = this_machine()->s->objects;

	/* Newest first: an address is never reused, but a fresh object is asked for most. */
	for (int i = t ? t->count - 1 : -1; i >= 0; i--)
		if (t->entries[i].p == p && t->entries[i].kind == kind)
			return handle_of(t, i);
	return 0;
}

int64_t object_or_new(char kind, const void *p, const void *within)
{
	int64_t handle = p ? object_handle(kind, p) : 0;

	return handle ? handle : object_new(kind, p, within);
}

const void *object_at(char kind, int64_t handle)
{
	struct object_table *t = this_machine()->s->objects;
	const struct object_entry *e = entry_of(t, handle);

	if (!e || e->kind != kind || (e->alloc && e->alloc->freed))
		return NULL;
	return e->p;
}

static bool is_object_letter(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z' && !strchr("isx", c));
}

/* Turns argument @v of type @type into what the operation works on. */
int decode_argument(struct machine *m, char type, int64_t *v)
{
	struct object_table *t = m->s->objects;
	const struct object_entry *e;
	bool optional = type >= 'a' && type <= 'z';
	char kind = optional && type != 's' ? (char)(type - 'a' + 'A') : type;

	if (type == 'i' || type == 'x')
		return EMU_OK;
	if (is_object_letter(type) && optional && *v == 0)
		return EMU_OK;
	if (type == 's' && *v == 0)
		return EMU_OK;
	e = entry_of(t, *v);
	if (!e)
		goto bad;
	if (e->kind != kind || !e->p) {
		if (e->kind == kind)
			snprintf(m->error, sizeof(m->error), "the object is gone");
		else
			goto bad;
		return EMU_BAD_HANDLE;
	}
	/* Devices and drivers that were freed cannot be asked anything; whoever
	 * uses smaller freed objects has a use after free coming. */
	if (e->alloc && e->alloc->freed && strchr("DL", kind)) {
		snprintf(m->error, sizeof(m->error), "the object has been freed");
		return EMU_BAD_HANDLE;
	}
	*v = (int64_t)(uintptr_t)e->p;
	return EMU_OK;
bad:
	snprintf(m->error, sizeof(m->error), "not a handle of kind '%c'", kind);
	return EMU_BAD_HANDLE;
}

/* Outcome of something that the host's stack allocated. */
int host_allocation(struct machine *m, bool succeeded)
{
	bool full = m->arena_full;

	if (succeeded)
		return EMU_OK;
	m->arena_full = false;
	return full ? EMU_ARENA_FULL : EMU_NO_TASK;
}

int emu_intern(emu_machine *m, const char *text, int64_t *id)
{
	struct entry saved;
	int status = machine_enter(m, &saved);
	size_t len = strlen(text) + 1;
	char *copy;

	if (status != EMU_OK)
		return status;
	if (len > 4096) {
		snprintf(m->error, sizeof(m->error), "a string of more than 4095 bytes");
		status = EMU_BAD_ARGUMENT;
	} else {
		copy = machine_alloc(m, len);
		if (copy)
			memcpy(copy, text, len);
		*id = object_new('s', copy, NULL);
		status = host_allocation(m, *id != 0);
	}
	return machine_leave(m, &saved, status);
}

/* --- operations --- */

const struct op *find_op(int op)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		if (op < 0)
			return NULL;
		if (op < tables[i]->count)
			return &tables[i]->ops[op];
		op -= tables[i]->count;
	}
	return NULL;
}

int emu_op_count(void)
{
	int count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		count += tables[i]->count;
	return count;
}

const struct emu_op_info *emu_op_info(int op)
{
	const struct op *o = find_op(op);

	return o ? &o->info : NULL;
}

int64_t task_handle(const struct emu_task *task)
{
	return (int64_t)(task->serial << 8 | (unsigned long)task->stack);
}

struct emu_task *find_task(struct machine *m, int64_t handle)
{
	int slot = (int)(handle & 0xff);
	struct emu_task *task;

	if (handle <= 0 || slot >= m->s->nr_tasks)
		return NULL;
	task = m->s->tasks[slot];
	if (task->kind == TASK_FREE || task->serial != (unsigned long)handle >> 8)
		return NULL;
	return task;
}

int finish_call(struct machine *m, struct emu_task *task, int status, int64_t *result)
{
	if (m->arena_full) {
		m->arena_full = false;
		if (task->run != RUN_DONE && task->run != RUN_IDLE)
			task->run = RUN_DEAD;
		return EMU_ARENA_FULL;
	}
	if (status == EMU_BLOCKED) {
		*result = task_handle(task);
		return status;
	}
	*result = task->result;
	if (task->run == RUN_DEAD) {
		*result = task_handle(task);
		return m->s->panicked ? EMU_PANICKED : EMU_DEAD;
	}
	if (task->kind == TASK_DIRECT) {
		if (sections_open(task)) {
			snprintf(m->error, sizeof(m->error),
				 "leaves a read section or lock open that no later call can "
				 "close: use a task context");
			task->t.preempt_count = 0;
			task->t.irqs_disabled = 0;
			task->t.rcu_read_lock_nesting = 0;
			m->refused = true;
		}
		task_free(m, task);
	}
	if (m->refused) {
		m->refused = false;
		return EMU_BAD_ARGUMENT;
	}
	return EMU_OK;
}

/* Runs @fn as the host asks: in a callback's task, a context, or a task of its own. */
int run_call(struct machine *m, int64_t context, const char *name, task_fn fn, const int64_t *args,
	     int nargs, bool nested, int64_t *result)
{
	struct emu_task *task;
	int status;

	if (m->s->panicked)
		return EMU_PANICKED;
	if (nested) {
		if (!m->upcall_task)
			return EMU_BUSY;
		status = nested_request(m, fn, args, nargs, result);
		if (status == EMU_BLOCKED)
			*result = task_handle(m->upcall_task);
		if (status == EMU_OK && m->refused) {
			m->refused = false;
			return EMU_BAD_ARGUMENT;
		}
		return status;
	}
	if (!context)
		context = m->context;
	if (context) {
		task = find_task(m, context);
		if (!task || task->kind != TASK_CONTEXT) {
			snprintf(m->error, sizeof(m->error), "not a task context");
			return EMU_BAD_HANDLE;
		}
		if (task->run != RUN_IDLE) {
			snprintf(m->error, sizeof(m->error), "the task is still %s",
				 task->run == RUN_DEAD ? "dead" : "in an earlier call");
			return EMU_BAD_ARGUMENT;
		}
	} else {
		task = task_create(m, TASK_DIRECT, name, 0);
		if (!task)
			return host_allocation(m, false);
	}
	task_start(m, task, fn, args, nargs);
	status = run_task(m, task);
	if (status == EMU_OK)
		run_others(m);
	return finish_call(m, task, status, result);
}

int call_op(struct machine *m, int64_t task, int op, int nargs, const int64_t *args, bool nested,
	    int64_t *result)
{
	const struct op *o = find_op(op);
	int64_t decoded[TASK_ARGS] = { 0 };
	int status;

	*result = 0;
	if (!o || nargs < 0 || nargs > TASK_ARGS || (size_t)nargs != strlen(o->info.args)) {
		snprintf(m->error, sizeof(m->error),
			 o ? "%s takes %zu arguments" : "no such operation", o ? o->info.name : "",
			 o ? strlen(o->info.args) : (size_t)0);
		return EMU_BAD_OPERATION;
	}
	for (int i = 0; i < nargs; i++) {
		decoded[i] = args[i];
		status = decode_argument(m, o->info.args[i], &decoded[i]);
		if (status != EMU_OK)
			return status;
	}
	return run_call(m, task, o->info.name, o->fn, decoded, nargs, nested, result);
}

int emu_call(emu_machine *m, int64_t task, int op, int nargs, const int64_t *args, int64_t *result)
{
	struct entry saved;
	int status = machine_enter(m, &saved);

	if (status != EMU_OK)
		return status;
	status = call_op(m, task, op, nargs, args, saved.nested, result);
	return machine_leave(m, &saved, status);
}

int call_in_passing(struct machine *m, task_fn fn, const int64_t *args, int nargs)
{
	struct entry saved;
	struct emu_task *task;
	int status = machine_enter(m, &saved);

	if (status != EMU_OK)
		return status;
	task = task_create(m, TASK_DIRECT, "reader", 0);
	if (task) {
		task_start(m, task, fn, args, nargs);
		status = run_alone(m, task);
		if (m->arena_full) {
			m->arena_full = false; /* this call's, not the next one's */
			status = EMU_ARENA_FULL;
		}
		task_free(m, task);
	} else {
		status = host_allocation(m, false);
	}
	return machine_leave(m, &saved, status);
}
