// SPDX-License-Identifier: GPL-2.0-only
/*
 * Blocking notifier chains: callers and listeners may sleep.
 */

#include <linux/errno.h>
#include <linux/export.h>
#include <linux/notifier.h>
#include <linux/rcupdate.h>

/**
 * blocking_notifier_chain_register() - listen to a chain
 * @nh: chain
 * @nb: listener; goes behind all of the same or a higher priority
 *
 * mirrors kernel/notifier.c:blocking_notifier_chain_register, v4.19
 *
 * Return: 0. Context: may sleep.
 */
int blocking_notifier_chain_register(struct blocking_notifier_head *nh, struct notifier_block *nb)
{
	struct notifier_block **nl = &nh->head;

	down_write(&nh->rwsem);
	while (*nl && (*nl)->priority >= nb->priority)
		nl = &(*nl)->next;
	nb->next = *nl;
	rcu_assign_pointer(*nl, nb);
	up_write(&nh->rwsem);
	return 0;
}
EXPORT_SYMBOL_GPL(blocking_notifier_chain_register);

/**
 * blocking_notifier_chain_unregister() - stop listening
 * @nh: chain
 * @nb: listener; not called any more once this returns
 *
 * mirrors kernel/notifier.c:blocking_notifier_chain_unregister, v4.19
 *
 * Return: 0, or -ENOENT if @nb is not on the chain. Context: may sleep.
 */
int blocking_notifier_chain_unregister(struct blocking_notifier_head *nh, struct notifier_block *nb)
{
	struct notifier_block **nl = &nh->head;
	int ret = -ENOENT;

	down_write(&nh->rwsem);
	while (*nl && *nl != nb)
		nl = &(*nl)->next;
	if (*nl) {
		rcu_assign_pointer(*nl, nb->next);
		ret = 0;
	}
	up_write(&nh->rwsem);
	return ret;
}
EXPORT_SYMBOL_GPL(blocking_notifier_chain_unregister);

/**
 * blocking_notifier_call_chain() - tell everyone who listens
 * @nh: chain
 * @val: event
 * @v: its data
 *
 * mirrors kernel/notifier.c:blocking_notifier_call_chain, v4.19
 *
 * Return: what the last listener called returned; NOTIFY_STOP_MASK in it has
 * kept the rest from hearing. Context: may sleep.
 */
int blocking_notifier_call_chain(struct blocking_notifier_head *nh, unsigned long val, void *v)
{
	struct notifier_block *nb, *next;
	int ret = NOTIFY_DONE;

	/* An empty chain costs no lock; whoever registers now is too late anyway. */
	if (!READ_ONCE(nh->head))
		return ret;

	down_read(&nh->rwsem);
	for (nb = READ_ONCE(nh->head); nb; nb = next) {
		next = READ_ONCE(nb->next);
		ret = nb->notifier_call(nb, val, v);
		if (ret & NOTIFY_STOP_MASK)
			break;
	}
	up_read(&nh->rwsem);
	return ret;
}
EXPORT_SYMBOL_GPL(blocking_notifier_call_chain);
