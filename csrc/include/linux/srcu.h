/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_SRCU_H
#define _LINUX_SRCU_H

#include <linux/atomic.h>
#include <linux/mutex.h>
#include <linux/wait.h>

/**
 * struct srcu_struct - RCU of one subsystem, whose readers may sleep
 * @srcu_idx: index that new readers use
 * @srcu_lock_nesting: readers inside, by index
 * @srcu_gp_mutex: one grace period at a time
 * @srcu_wq: a grace period waits here for the old readers
 */
struct srcu_struct {
	atomic_t srcu_idx;
	atomic_t srcu_lock_nesting[2];
	struct mutex srcu_gp_mutex;
	wait_queue_head_t srcu_wq;
};

void init_srcu_struct(struct srcu_struct *ssp);
int srcu_read_lock(struct srcu_struct *ssp);
void srcu_read_unlock(struct srcu_struct *ssp, int idx);
void synchronize_srcu(struct srcu_struct *ssp);

#endif
