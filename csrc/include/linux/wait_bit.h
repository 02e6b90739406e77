/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_WAIT_BIT_H
#define _LINUX_WAIT_BIT_H

#include <linux/wait.h>

/*
 * Waiting for a variable that has no wait queue of its own: sleepers queue in
 * a table hashed by the variable's address.  Variables may share a queue, so a
 * sleeper can be woken for a neighbour's sake and looks at its condition again.
 */
#define WAIT_TABLE_BITS 4
#define WAIT_TABLE_SIZE (1 << WAIT_TABLE_BITS)

void wait_bit_init(void);
wait_queue_head_t *__var_waitqueue(const void *p);

/**
 * wake_up_var() - wake who waits for a variable
 * @var: its address
 *
 * Context: any.
 */
void wake_up_var(const void *var);

/**
 * wait_var_event() - sleep, uninterruptibly, until a condition holds
 * @var: address that wake_up_var() is called with
 * @condition: tested before sleeping and after every wake-up
 */
#define wait_var_event(var, condition)                              \
	do {                                                        \
		wait_queue_head_t *__var_wq = __var_waitqueue(var); \
		wait_event(*__var_wq, condition);                   \
	} while (0)

#endif
