/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_LOCK_STATE_H
#define _LINUX_LOCK_STATE_H

#include <linux/types.h>

struct task_struct;

/**
 * struct lock_state - what all locks are
 * @owner: the task that holds it alone, NULL: none
 * @readers: those who share it
 * @waiters: tasks that sleep or spin for it
 * @name: for reports
 */
struct lock_state {
	struct task_struct *owner;
	unsigned int readers;
	unsigned int waiters;
	const char *name;
};

#endif
