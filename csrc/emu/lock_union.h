/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_LOCK_UNION_H
#define EMU_LOCK_UNION_H

/*
 * Orders of locks over all executions of a search: see lock_union.c.
 */

#include "execution.h"
#include "lockdep.h"

/** lock_union_prepare() - a search begins; false: the host is out of memory */
bool lock_union_prepare(struct explorer *x);
/** lock_union_free() - the search goes away */
void lock_union_free(struct explorer *x);
/** lock_union_class() - number of the locks of this name, LOCKDEP_CLASSES: too many names */
unsigned int lock_union_class(struct explorer *x, const char *name);
/** lock_union_literal() - the same of a name that is a constant of this module: by its address */
unsigned int lock_union_literal(struct explorer *x, const char *name);
/** lock_union_name() - of the locks with this number, cut off where it is long */
const char *lock_union_name(const struct explorer *x, unsigned int class);
/** lock_union_proc() - the running process, which is called @task */
unsigned int lock_union_proc(struct explorer *x, const char *task);
/** lock_union_learn() - @proc takes @to while it holds @from */
void lock_union_learn(struct explorer *x, unsigned int from, unsigned int to, unsigned int proc);
/**
 * lock_union_learn_wait() - @proc waits for a completion while it holds @from
 *
 * In this execution @completer, which has taken @to, completes it.
 */
void lock_union_learn_wait(struct explorer *x, unsigned int from, unsigned int to,
			   unsigned int proc, unsigned int completer, const char *completion);
/** lock_union_shown() - one execution alone shows a cycle of these classes (bit mask) */
void lock_union_shown(struct explorer *x, uint64_t classes);
/** lock_union_judge() - keeps the cycles that only several executions show; are there any? */
bool lock_union_judge(struct explorer *x);
/** lock_union_order() - the order with this number; false: there is none */
bool lock_union_order(const struct explorer *x, unsigned int number, struct emu_lock_order *order);
/** lock_union_add() - an order that this search has found in another process; false: no room */
bool lock_union_add(struct explorer *x, const struct emu_lock_order *order);

/** lock_union_read() - writes down which locks were met and which cycles were shown */
void lock_union_read(const struct explorer *x, struct emu_search_position *position);
/** lock_union_fits() - may these be what was written down? */
bool lock_union_fits(const struct emu_search_position *position);
/** lock_union_meet() - takes over what was written down; their orders are learnt apart */
void lock_union_meet(struct explorer *x, const struct emu_search_position *position);

#endif
