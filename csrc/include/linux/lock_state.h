/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_LOCK_STATE_H
#define _LINUX_LOCK_STATE_H

#include <linux/types.h>

struct task_struct;

enum lock_kind { LOCK_SPINLOCK, LOCK_RWLOCK, LOCK_MUTEX, LOCK_RW_SEMAPHORE };

/**
 * struct lock_state - what all locks are
 * @owner: the task that holds it alone, NULL: none
 * @readers: those who share it
 * @waiters: tasks that sleep or spin for it
 * @kind: which of them it is
 * @name: for reports
 */
struct lock_state {
	struct task_struct *owner;
	unsigned int readers;
	unsigned short waiters;
	unsigned short kind;
	const char *name;
};

#endif
