/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _EMU_API_H
#define _EMU_API_H

/*
 * What the files that form the boundary share: entering and leaving a machine,
 * and running one operation as a task.
 */

#include "ops.h"

/**
 * struct entry - what a call of the host found when it came
 * @machine: the thread's machine
 * @context: the thread's CPU
 * @nested: the call comes from a callback
 */
struct entry {
	struct machine *machine;
	struct kernel_context context;
	bool nested;
};

/**
 * machine_look() - as machine_enter(), for what is no call: nothing runs
 *
 * EMU_OK: until machine_look_away() no other thread gets inside, and what is
 * stored in the arena is seen to be stored.
 */
int machine_look(struct machine *m, struct entry *saved);
void machine_look_away(struct machine *m, const struct entry *saved);
/** machine_enter() - EMU_OK: the thread is inside @m, until machine_leave() */
int machine_enter(struct machine *m, struct entry *saved);
/** machine_leave() - @status, with EMU_VIOLATION if the call broke a rule */
int machine_leave(struct machine *m, const struct entry *saved, int status);

/** host_allocation() - status of a call of the host that has asked for machine memory */
int host_allocation(struct machine *m, bool succeeded);
const struct op *find_op(int op);
/** decode_argument() - turn argument @v of type @type into what the operation works on */
int decode_argument(struct machine *m, char type, int64_t *v);
int64_t task_handle(const struct emu_task *task);
/** find_task() - the task behind a handle, NULL if it is gone */
struct emu_task *find_task(struct machine *m, int64_t handle);
/** sections_open() - a call that is over must leave none open that nothing can close */
static inline bool sections_open(const struct emu_task *task)
{
	return task->t.preempt_count || task->t.irqs_disabled || task->t.rcu_read_lock_nesting;
}
/** finish_call() - status and result of a direct call that has run as far as it can */
int finish_call(struct machine *m, struct emu_task *task, int status, int64_t *result);
/** run_call() - run @fn in a callback's task, a context, or a task of its own */
int run_call(struct machine *m, int64_t context, const char *name, task_fn fn, const int64_t *args,
	     int nargs, bool nested, int64_t *result);
int call_op(struct machine *m, int64_t task, int op, int nargs, const int64_t *args, bool nested,
	    int64_t *result);

#endif
