/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_NOTIFIER_H
#define _LINUX_NOTIFIER_H

#include <linux/mutex.h>
#include <linux/types.h>

#define NOTIFY_DONE 0x0000
#define NOTIFY_OK 0x0001
#define NOTIFY_STOP_MASK 0x8000
#define NOTIFY_BAD (NOTIFY_STOP_MASK | 0x0002)
#define NOTIFY_STOP (NOTIFY_OK | NOTIFY_STOP_MASK)

/**
 * struct notifier_block - one listener of a chain
 * @notifier_call: called with the block, the event and its data
 * @next: next listener, lower or equal priority
 * @priority: higher is called earlier
 */
struct notifier_block {
	int (*notifier_call)(struct notifier_block *nb, unsigned long action, void *data);
	struct notifier_block *next;
	int priority;
};

/* Blocking chain: walked under a sleeping reader lock. */
struct blocking_notifier_head {
	struct rw_semaphore rwsem;
	struct notifier_block *head;
};

#define BLOCKING_INIT_NOTIFIER_HEAD(name)   \
	do {                                \
		init_rwsem(&(name)->rwsem); \
		(name)->head = NULL;        \
	} while (0)

/* All may sleep. */
int blocking_notifier_chain_register(struct blocking_notifier_head *nh, struct notifier_block *nb);
int blocking_notifier_chain_unregister(struct blocking_notifier_head *nh,
				       struct notifier_block *nb);
int blocking_notifier_call_chain(struct blocking_notifier_head *nh, unsigned long val, void *v);

#endif
