// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sleepable RCU.
 *
 * A reader counts itself in under the current index and out under the same
 * one.  A grace period turns new readers to the other index and waits until
 * the old one is empty.  A reader that fetched the index just before the turn
 * may count itself in after the wait, under the index that a single turn of
 * the next grace period would not look at: hence two turns, which wait for
 * both.
 */

#include <linux/export.h>
#include <linux/srcu.h>

/* mirrors kernel/rcu/srcutiny.c:init_srcu_struct, v4.19 */
void init_srcu_struct(struct srcu_struct *ssp)
{
	atomic_set(&ssp->srcu_idx, 0);
	atomic_set(&ssp->srcu_lock_nesting[0], 0);
	atomic_set(&ssp->srcu_lock_nesting[1], 0);
	mutex_init(&ssp->srcu_gp_mutex);
	init_waitqueue_head(&ssp->srcu_wq);
}
EXPORT_SYMBOL_GPL(init_srcu_struct);

/**
 * srcu_read_lock() - enter a read section, which may sleep
 * @ssp: the subsystem's SRCU
 *
 * Return: index to leave it with.
 */
int srcu_read_lock(struct srcu_struct *ssp)
{
	int idx = atomic_read(&ssp->srcu_idx) & 1;

	atomic_inc(&ssp->srcu_lock_nesting[idx]);
	return idx;
}
EXPORT_SYMBOL_GPL(srcu_read_lock);

/**
 * srcu_read_unlock() - leave a read section
 * @ssp: the subsystem's SRCU
 * @idx: what srcu_read_lock() returned
 */
void srcu_read_unlock(struct srcu_struct *ssp, int idx)
{
	if (atomic_dec_and_test(&ssp->srcu_lock_nesting[idx]))
		wake_up_all(&ssp->srcu_wq);
}
EXPORT_SYMBOL_GPL(srcu_read_unlock);

static void srcu_flip(struct srcu_struct *ssp)
{
	int old = atomic_read(&ssp->srcu_idx) & 1;

	atomic_inc(&ssp->srcu_idx);
	wait_event(ssp->srcu_wq, atomic_read(&ssp->srcu_lock_nesting[old]) == 0);
}

/**
 * synchronize_srcu() - wait until every reader that is inside now has left
 * @ssp: the subsystem's SRCU
 *
 * Context: process, sleeps; not inside a read section of @ssp.
 */
void synchronize_srcu(struct srcu_struct *ssp)
{
	might_sleep();
	mutex_lock(&ssp->srcu_gp_mutex);
	srcu_flip(ssp);
	srcu_flip(ssp);
	mutex_unlock(&ssp->srcu_gp_mutex);
}
EXPORT_SYMBOL_GPL(synchronize_srcu);
