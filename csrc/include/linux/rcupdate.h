/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_RCUPDATE_H
#define _LINUX_RCUPDATE_H

#include <linux/kernel_data.h>
#include <linux/sched.h>
#include <linux/types.h>

/*
 * Two flavours (v4.19): RCU, and RCU-sched, whose readers are all regions
 * that cannot be pre-empted.  Without PREEMPT_RCU the two are one.
 */
#ifdef KERNEL_CHECKED
void rcu_read_lock(void);
void rcu_read_unlock(void);
void preempt_disable(void);
void preempt_enable(void);
#else
static inline void preempt_disable(void)
{
	struct task_struct *task = current;

	if (task->preempt_count == 0)
		raw_cpu_store(task->rcu_sched_start, kernel_data()->rcu_clock);
	raw_cpu_add(task->preempt_count, 1);
}
static inline void preempt_enable(void)
{
	raw_cpu_add(current->preempt_count, -1);
}
static inline void rcu_read_lock(void)
{
	struct task_struct *task = current;

	if (task->rcu_read_lock_nesting == 0)
		raw_cpu_store(task->rcu_start, kernel_data()->rcu_clock);
	raw_cpu_add(task->rcu_read_lock_nesting, 1);
	if (!kernel_data()->config.preempt_rcu)
		preempt_disable();
}
static inline void rcu_read_unlock(void)
{
	if (!kernel_data()->config.preempt_rcu)
		preempt_enable();
	raw_cpu_add(current->rcu_read_lock_nesting, -1);
}
#endif
static inline void rcu_read_lock_sched(void)
{
	preempt_disable();
}
static inline void rcu_read_unlock_sched(void)
{
	preempt_enable();
}

bool rcu_read_lock_held(void);
bool rcu_read_lock_sched_held(void);

void call_rcu(struct rcu_head *head, rcu_callback_t func);
void call_rcu_sched(struct rcu_head *head, rcu_callback_t func);
void synchronize_rcu(void);
void synchronize_sched(void);
void rcu_barrier(void);
void rcu_barrier_sched(void);

#define rcu_dereference(p) READ_ONCE(p)
#define rcu_dereference_raw(p) READ_ONCE(p)
#define rcu_assign_pointer(p, v) smp_store_release(&(p), v)

#endif
