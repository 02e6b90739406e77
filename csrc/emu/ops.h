/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _EMU_OPS_H
#define _EMU_OPS_H

/*
 * Operations: what the host can ask a machine to do, one table per subject.
 * Arguments arrive decoded: handles as pointers of the right kind, strings as
 * pointers, the rest as numbers.
 */

#include "machine.h"

struct op {
	struct emu_op_info info;
	task_fn fn;
};

#define OP(name, args, result, fn)         \
	{                                  \
		{ name, args, result }, fn \
	}

struct op_table {
	const struct op *ops;
	int count;
};

extern const struct op_table ops_percpu_ref, ops_sync, ops_rcu, ops_device, ops_devres,
	ops_resource, ops_radix, ops_memory, ops_driver, ops_constants, ops_printk, ops_hmm,
	ops_pci, ops_module, ops_listed, ops_page, ops_loops;

#define OP_TABLE(name, array) const struct op_table name = { array, ARRAY_SIZE(array) }

/* Argument @i of an operation as a pointer to @type. */
#define ARG(type, i) ((type *)(uintptr_t)args[i])
/* A string; who can do without asks for 0, to all others that is an empty one. */
#define STRING(i) (args[i] ? (const char *)(uintptr_t)args[i] : "")

/**
 * object_new() - give an object of the emulated kernel a handle
 * @kind: its letter (memremap_emu.h)
 * @p: the object; it lies in the allocation @within
 * @within: the allocation whose life is the object's, NULL: it lives for ever
 *
 * Return: the handle, 0 for a NULL object.
 */
int64_t object_new(char kind, const void *p, const void *within);
/** object_forget() - the object is no more; its handle stays refused for ever */
void object_forget(const void *p);
/** object_handle() - handle of an object that has one, else 0 */
int64_t object_handle(char kind, const void *p);
/** object_or_new() - its handle, made if it has none yet */
int64_t object_or_new(char kind, const void *p, const void *within);
/** object_at() - the object of this kind behind a handle, NULL if there is none */
const void *object_at(char kind, int64_t handle);
/**
 * call_in_passing() - run @fn in a task of its own and nothing else
 *
 * For looking at things with the kernel's own functions.  If it blocks it is
 * given up: it must hold nothing while it waits.
 */
int call_in_passing(struct machine *m, task_fn fn, const int64_t *args, int nargs);
/** bad_argument() - end the running operation: EMU_BAD_ARGUMENT with this text */
int64_t bad_argument(const char *fmt, ...);

/** pfn_in_range() - does the physical address space reach so far? */
bool pfn_in_range(int64_t pfn);
/** page_at() - the struct page of @pfn, NULL (and the operation is refused) if there can be none */
struct page *page_at(int64_t pfn);
/** anything_left_behind() - would emu_quiescence() tell of something that is no note? */
bool anything_left_behind(struct machine *m);
/** resource_can_be_linked() - may @new go below @root? If not, the operation is refused */
bool resource_can_be_linked(const struct resource *root, const struct resource *new);

/**
 * struct host_ref - a percpu_ref made by the host
 * @ref: the count
 * @release: callback, 0 none
 * @confirm: callback of the switch in flight
 * @kill: callback of the pagemap that uses it, 0: percpu_ref_kill()
 * @cleanup: callback of the pagemap that uses it, 0 none
 * @trampoline: which function its release is
 * @zero: @released has been completed since it came to life
 * @released: completed by its release, NULL none
 * @confirmed: completed when the switch in flight is confirmed
 */
struct host_ref {
	struct percpu_ref ref;
	int64_t release;
	int64_t confirm;
	int64_t kill;
	int64_t cleanup;
	int trampoline;
	bool zero;
	struct completion *released;
	struct completion *confirmed;
};

#endif
