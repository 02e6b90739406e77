// SPDX-License-Identifier: GPL-2.0-only
/* Operations on RCU and on the running task's context. */
#include <linux/percpu-refcount.h>

#include "ops.h"

#include <linux/kernel.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

/**
 * struct host_rcu - a callback of the host that waits for a grace period
 */
struct host_rcu {
	struct rcu_head head;
	int64_t callback;
};

static void host_rcu_callback(struct rcu_head *head)
{
	struct host_rcu *h = container_of(head, struct host_rcu, head);
	int64_t callback = h->callback;

	kfree(h);
	upcall(callback, 0, 0);
}

static int64_t queue_host(const int64_t *args, void (*queue)(struct rcu_head *, rcu_callback_t))
{
	struct host_rcu *h = kzalloc(sizeof(*h), GFP_ATOMIC);

	if (!h)
		return -ENOMEM;
	h->callback = args[0];
	queue(&h->head, host_rcu_callback);
	return 0;
}

static int64_t op_call_rcu(const int64_t *args)
{
	return queue_host(args, call_rcu);
}

static int64_t op_call_rcu_sched(const int64_t *args)
{
	return queue_host(args, call_rcu_sched);
}

#define CALL(name)                                    \
	static int64_t op_##name(const int64_t *args) \
	{                                             \
		(void)args;                           \
		name();                               \
		return 0;                             \
	}

CALL(synchronize_rcu)
CALL(synchronize_sched)
CALL(rcu_barrier)
CALL(rcu_barrier_sched)
CALL(rcu_read_lock)
CALL(preempt_disable)
CALL(cond_resched)

static int64_t op_rcu_read_unlock(const int64_t *args)
{
	(void)args;
	if (!current->rcu_read_lock_nesting)
		return bad_argument("this task is not inside rcu_read_lock()");
	rcu_read_unlock();
	return 0;
}

static int64_t op_preempt_enable(const int64_t *args)
{
	(void)args;
	if (!current->preempt_count)
		return bad_argument("this task has not disabled pre-emption");
	preempt_enable();
	return 0;
}

static int64_t op_might_sleep(const int64_t *args)
{
	(void)args;
	might_sleep();
	return 0;
}

/* Bits: 0 in softirq, 1 irqs off, 2 pre-emption off, 3 rcu_sched held, 4 rcu held. */
static int64_t op_context(const int64_t *args)
{
	(void)args;
	return (current->in_softirq ? 1 : 0) | (irqs_disabled() ? 2 : 0) | (in_atomic() ? 4 : 0) |
	       (rcu_read_lock_sched_held() ? 8 : 0) | (rcu_read_lock_held() ? 16 : 0) |
	       current->cpu << 8;
}

static int64_t op_clear_once(const int64_t *args)
{
	(void)args;
	clear_once_flags(this_machine());
	return 0;
}

static const struct op ops[] = {
	OP("call_rcu", "x", "e", op_call_rcu),
	OP("call_rcu_sched", "x", "e", op_call_rcu_sched),
	OP("synchronize_rcu", "", "v", op_synchronize_rcu),
	OP("synchronize_sched", "", "v", op_synchronize_sched),
	OP("rcu_barrier", "", "v", op_rcu_barrier),
	OP("rcu_barrier_sched", "", "v", op_rcu_barrier_sched),
	OP("rcu_read_lock", "", "v", op_rcu_read_lock),
	OP("rcu_read_unlock", "", "v", op_rcu_read_unlock),
	OP("rcu_read_lock_sched", "", "v", op_preempt_disable),
	OP("rcu_read_unlock_sched", "", "v", op_preempt_enable),
	OP("preempt_disable", "", "v", op_preempt_disable),
	OP("preempt_enable", "", "v", op_preempt_enable),
	OP("cond_resched", "", "v", op_cond_resched),
	OP("might_sleep", "", "v", op_might_sleep),
	OP("context", "", "u", op_context),
	OP("clear_warn_once", "", "v", op_clear_once),
};
OP_TABLE(ops_rcu, ops);
