/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_LOCKDEP_H
#define EMU_LOCKDEP_H

/*
 * Orders of locks while schedules are explored: see lockdep.c.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct explorer;
struct machine;

#define LOCKDEP_CLASSES 64 /* bits of a word */
#define LOCKDEP_TASKS 32
#define LOCKDEP_TEXT 256 /* of a cycle */
#define LOCKDEP_NAME 48 /* of a class, with its end */

/**
 * struct lock_graph - which classes have been taken while which were held
 * @after: for each class: bit mask of classes
 * @by: for each of those: bit mask of the tasks that did it
 */
struct lock_graph {
	uint64_t after[LOCKDEP_CLASSES];
	uint32_t by[LOCKDEP_CLASSES][LOCKDEP_CLASSES];
};

/**
 * struct lock_edge - an edge of a cycle; it leads to the class of the next one
 * @class: where it starts
 * @task: which made it
 */
struct lock_edge {
	unsigned int class;
	unsigned int task;
};

/**
 * lock_cycle_text() - "a -> b [task], b -> a [other]"
 * @text: filled in; the same whichever edge of the cycle comes first
 * @edges: of the cycle
 * @nr: how many
 * @name_of: of a class, and whether it is a completion
 * @task_of: name of a task
 * @data: for both
 */
void lock_cycle_text(char text[LOCKDEP_TEXT], const struct lock_edge *edges, unsigned int nr,
		     const char *(*name_of)(const void *data, unsigned int class, bool *completion),
		     const char *(*task_of)(const void *data, unsigned int task), const void *data);

/** lockdep_acquire() - the running task has got the lock; @tried: it would not have waited */
void lockdep_acquire(struct machine *m, const void *lock, const char *name, bool tried);
/** lockdep_release() - it lets go of it */
void lockdep_release(struct machine *m, const void *lock);
/** lockdep_wait() - it is about to wait for a completion */
void lockdep_wait(struct machine *m, const void *completion, const char *name);
/** lockdep_complete() - it completes it */
void lockdep_complete(struct machine *m, const void *completion, const char *name);
/** lockdep_prepare() - schedules will be explored; false: the host is out of memory */
bool lockdep_prepare(struct machine *m);
/** lockdep_shown() - the execution at hand is complete: its cycles have been reported */
void lockdep_shown(struct explorer *x);
/** lockdep_forget() - another execution begins */
void lockdep_forget(struct machine *m);
/** lockdep_free() - the machine goes away */
void lockdep_free(struct machine *m);

#endif
