/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_LOCKDEP_H
#define EMU_LOCKDEP_H

/*
 * Orders of locks while schedules are explored: see lockdep.c.
 */

#include <stdbool.h>

struct machine;

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
/** lockdep_forget() - another execution begins */
void lockdep_forget(struct machine *m);
/** lockdep_free() - the machine goes away */
void lockdep_free(struct machine *m);

#endif
