// SPDX-License-Identifier: GPL-2.0-only
/*
 * Wait queues, completions, static branches.
 */
#include "lockdep.h"
#include "machine.h"

#include <linux/completion.h>
#include <linux/jump_label.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/wait.h>
#include <limits.h>

void __init_waitqueue_head(wait_queue_head_t *wq, const char *name)
{
	__spin_lock_init(&wq->lock, name);
	INIT_LIST_HEAD(&wq->head);
}

static void wake_up_some(wait_queue_head_t *wq, unsigned int exclusive)
{
	struct wait_queue_entry *wait, *next;

	list_for_each_entry_safe(wait, next, &wq->head, entry) {
		if (wait->exclusive && exclusive-- == 0)
			break;
		list_del_init(&wait->entry);
		wait->woken = true;
		task_wake(task_of(wait->task));
	}
}

void wake_up(wait_queue_head_t *wq)
{
	unsigned long flags;

	kasan_touch(wq, sizeof(*wq), true, __func__);
	spin_lock_irqsave(&wq->lock, flags);
	wake_up_some(wq, 1);
	spin_unlock_irqrestore(&wq->lock, flags);
}

void wake_up_all(wait_queue_head_t *wq)
{
	unsigned long flags;

	kasan_touch(wq, sizeof(*wq), true, __func__);
	spin_lock_irqsave(&wq->lock, flags);
	wake_up_some(wq, UINT_MAX);
	spin_unlock_irqrestore(&wq->lock, flags);
}

void init_wait(struct wait_queue_entry *wait)
{
	INIT_LIST_HEAD(&wait->entry);
	wait->task = current;
	wait->exclusive = false;
	wait->woken = false;
}

/* Under the queue's lock. */
static void queue_wait(wait_queue_head_t *wq, struct wait_queue_entry *wait)
{
	wait->woken = false;
	if (!list_empty(&wait->entry))
		return;
	if (wait->exclusive)
		list_add_tail(&wait->entry, &wq->head);
	else
		list_add(&wait->entry, &wq->head);
}

void prepare_to_wait(wait_queue_head_t *wq, struct wait_queue_entry *wait)
{
	unsigned long flags;

	kasan_touch(wq, sizeof(*wq), true, __func__);
	spin_lock_irqsave(&wq->lock, flags);
	queue_wait(wq, wait);
	spin_unlock_irqrestore(&wq->lock, flags);
}

void prepare_to_wait_exclusive(wait_queue_head_t *wq, struct wait_queue_entry *wait)
{
	wait->exclusive = true;
	prepare_to_wait(wq, wait);
}

void finish_wait(wait_queue_head_t *wq, struct wait_queue_entry *wait)
{
	unsigned long flags;

	kasan_touch(wq, sizeof(*wq), true, __func__);
	spin_lock_irqsave(&wq->lock, flags);
	if (!list_empty(&wait->entry))
		list_del_init(&wait->entry);
	spin_unlock_irqrestore(&wq->lock, flags);
}

void schedule_wait(wait_queue_head_t *wq, struct wait_queue_entry *wait, const char *what)
{
	if (!wait->woken)
		task_block("wait queue", wq, what);
}

void __init_completion(struct completion *x, const char *name)
{
	x->done = 0;
	x->name = name;
	__init_waitqueue_head(&x->wait, name);
}

/* Under the lock, unlike the kernel's: others come before it or after it. */
void reinit_completion(struct completion *x)
{
	unsigned long flags;

	kasan_touch(x, sizeof(*x), true, __func__);
	spin_lock_irqsave(&x->wait.lock, flags);
	x->done = 0;
	spin_unlock_irqrestore(&x->wait.lock, flags);
}

static void completes(const struct completion *x)
{
	struct machine *m = this_machine();

	if (unlikely(m->explorer != NULL))
		lockdep_complete(m, x, x->name);
}

void complete(struct completion *x)
{
	unsigned long flags;

	kasan_touch(x, sizeof(*x), true, __func__);
	completes(x);
	spin_lock_irqsave(&x->wait.lock, flags);
	if (x->done != UINT_MAX)
		x->done++;
	wake_up_some(&x->wait, 1);
	spin_unlock_irqrestore(&x->wait.lock, flags);
}

void complete_all(struct completion *x)
{
	unsigned long flags;

	kasan_touch(x, sizeof(*x), true, __func__);
	completes(x);
	spin_lock_irqsave(&x->wait.lock, flags);
	x->done = UINT_MAX;
	wake_up_some(&x->wait, UINT_MAX);
	spin_unlock_irqrestore(&x->wait.lock, flags);
}

/* Takes one complete(), sleeping for it until the clock has passed @deadline (0: never). */
static bool wait_for_done(struct completion *x, unsigned long deadline)
{
	struct machine *m = this_machine();
	struct wait_queue_entry wait;
	bool taken = false;

	kasan_touch(x, sizeof(*x), true, "wait_for_completion");
	might_sleep();
	if (unlikely(m->explorer != NULL) && !deadline)
		lockdep_wait(m, x, x->name);
	spin_lock_irq(&x->wait.lock);
	init_wait(&wait);
	wait.exclusive = true;
	while (!x->done && !(deadline && m->s->clock >= deadline)) {
		queue_wait(&x->wait, &wait);
		spin_unlock_irq(&x->wait.lock);
		if (!wait.woken)
			task_block_until("completion", x, x->name, deadline);
		spin_lock_irq(&x->wait.lock);
	}
	if (!list_empty(&wait.entry))
		list_del_init(&wait.entry);
	if (x->done) {
		if (x->done != UINT_MAX)
			x->done--;
		taken = true;
	}
	spin_unlock_irq(&x->wait.lock);
	return taken;
}

void wait_for_completion(struct completion *x)
{
	wait_for_done(x, 0);
}

unsigned long wait_for_completion_timeout(struct completion *x, unsigned long timeout)
{
	struct machine *m = this_machine();
	unsigned long deadline = m->s->clock + timeout;

	if (!wait_for_done(x, deadline ? deadline : 1))
		return 0;
	return deadline > m->s->clock ? deadline - m->s->clock : 1;
}

int wait_for_completion_interruptible(struct completion *x)
{
	wait_for_completion(x);
	return 0;
}

int wait_for_completion_killable(struct completion *x)
{
	wait_for_completion(x);
	return 0;
}

bool try_wait_for_completion(struct completion *x)
{
	bool taken = false;

	kasan_touch(x, sizeof(*x), true, __func__);
	spin_lock_irq(&x->wait.lock);
	if (x->done) {
		if (x->done != UINT_MAX)
			x->done--;
		taken = true;
	}
	spin_unlock_irq(&x->wait.lock);
	return taken;
}

bool completion_done(struct completion *x)
{
	bool done;

	kasan_touch(x, sizeof(*x), true, __func__);
	spin_lock_irq(&x->wait.lock);
	done = x->done != 0;
	spin_unlock_irq(&x->wait.lock);
	return done;
}

void static_branch_enable(struct static_key *key)
{
	struct memory_hotplug_data *hotplug = &kernel_data()->memory_hotplug;

	/* Patching text excludes CPU hotplug, hence memory hotplug's writer too. */
	down_read(&hotplug->cpu_hotplug_lock);
	WRITE_ONCE(key->enabled, 1);
	up_read(&hotplug->cpu_hotplug_lock);
}

void static_branch_disable(struct static_key *key)
{
	struct memory_hotplug_data *hotplug = &kernel_data()->memory_hotplug;

	down_read(&hotplug->cpu_hotplug_lock);
	WRITE_ONCE(key->enabled, 0);
	up_read(&hotplug->cpu_hotplug_lock);
}
