/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_COMPLETION_H
#define _LINUX_COMPLETION_H

#include <linux/wait.h>

/**
 * struct completion - "this has happened", counted
 * @done: complete() calls not yet consumed; UINT_MAX after complete_all()
 * @wait: waiters, first come first served
 * @name: for reports
 */
struct completion {
	unsigned int done;
	wait_queue_head_t wait;
	const char *name;
};

void __init_completion(struct completion *x, const char *name);
#define init_completion(x) __init_completion(x, #x)
void reinit_completion(struct completion *x);
void complete(struct completion *x);
void complete_all(struct completion *x);
void wait_for_completion(struct completion *x);
unsigned long wait_for_completion_timeout(struct completion *x, unsigned long timeout);
int wait_for_completion_interruptible(struct completion *x);
int wait_for_completion_killable(struct completion *x);
bool try_wait_for_completion(struct completion *x);
bool completion_done(struct completion *x);

#endif
