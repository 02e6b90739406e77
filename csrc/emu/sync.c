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
		/* Awake, and it has not looked again yet. */
		if (wait->woken)
			continue;
		if (wait->exclusive && exclusive-- == 0)
			break;
		if (!wait->stays)
			list_del_init(&wait->entry);
		wait->woken = true;
		task_wake(task_of(wait->task));
	}
}

void wake_up(wait_queue_head_t *wq)
{
	_raw_spin_lock_irqsave(&wq->lock, wq, sizeof(*wq), __func__);
	wake_up_some(wq, 1);
	spin_unlock_irq(&wq->lock);
}

void wake_up_all(wait_queue_head_t *wq)
{
	_raw_spin_lock_irqsave(&wq->lock, wq, sizeof(*wq), __func__);
	wake_up_some(wq, UINT_MAX);
	spin_unlock_irq(&wq->lock);
}

void init_wait(struct wait_queue_entry *wait)
{
	INIT_LIST_HEAD(&wait->entry);
	wait->task = current;
	wait->exclusive = false;
	wait->stays = false;
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
	_raw_spin_lock_irqsave(&wq->lock, wq, sizeof(*wq), __func__);
	queue_wait(wq, wait);
	spin_unlock_irq(&wq->lock);
}

void prepare_to_wait_exclusive(wait_queue_head_t *wq, struct wait_queue_entry *wait)
{
	wait->exclusive = true;
	prepare_to_wait(wq, wait);
}

void finish_wait(wait_queue_head_t *wq, struct wait_queue_entry *wait)
{
	_raw_spin_lock_irqsave(&wq->lock, wq, sizeof(*wq), __func__);
	if (!list_empty(&wait->entry))
		list_del_init(&wait->entry);
	spin_unlock_irq(&wq->lock);
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
	_raw_spin_lock_irqsave(&x->wait.lock, x, sizeof(*x), __func__);
	x->done = 0;
	spin_unlock_irq(&x->wait.lock);
}

static void tell_lockdep(const struct completion *x,
			 void (*tell)(struct machine *m, const void *completion, const char *name))
{
	struct machine *m = this_machine();

	if (likely(m->explorer == NULL))
		return;
	tell(m, x, x->name);
	/* Before the first step: what is known of locks already is no part of the state. */
	if (m->wipes)
		wipe_stack();
}

void complete(struct completion *x)
{
	tell_lockdep(x, lockdep_complete);
	_raw_spin_lock_irqsave(&x->wait.lock, x, sizeof(*x), __func__);
	if (x->done != UINT_MAX)
		x->done++;
	wake_up_some(&x->wait, 1);
	spin_unlock_irq(&x->wait.lock);
}

void complete_all(struct completion *x)
{
	tell_lockdep(x, lockdep_complete);
	_raw_spin_lock_irqsave(&x->wait.lock, x, sizeof(*x), __func__);
	x->done = UINT_MAX;
	wake_up_some(&x->wait, UINT_MAX);
	spin_unlock_irq(&x->wait.lock);
}

/* Takes one complete(), sleeping for it until the clock has passed @deadline (0: never). */
static bool wait_for_done(struct completion *x, unsigned long deadline)
{
	struct machine *m = this_machine();
	struct wait_queue_entry wait;
	bool taken = false;

	might_sleep();
	if (!deadline)
		tell_lockdep(x, lockdep_wait);
	_raw_spin_lock_irqsave(&x->wait.lock, x, sizeof(*x), "wait_for_completion");
	init_wait(&wait);
	wait.exclusive = true;
	/* Somebody may take what it was woken for: it is the next one all the same. */
	wait.stays = true;
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

	_raw_spin_lock_irqsave(&x->wait.lock, x, sizeof(*x), __func__);
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

	_raw_spin_lock_irqsave(&x->wait.lock, x, sizeof(*x), __func__);
	done = x->done != 0;
	spin_unlock_irq(&x->wait.lock);
	return done;
}

/* Visible: whoever asks comes before it or after it. */
static void set_static_key(struct static_key *key, int enabled)
{
	struct machine *m = this_machine();

	if (unlikely(m->explorer != NULL))
		explore_access(m, &key->enabled, sizeof(key->enabled), true);
	key->enabled = enabled;
}

void static_branch_enable(struct static_key *key)
{
	struct memory_hotplug_data *hotplug = &kernel_data()->memory_hotplug;

	/* Patching text excludes CPU hotplug, hence memory hotplug's writer too. */
	down_read(&hotplug->cpu_hotplug_lock);
	set_static_key(key, 1);
	up_read(&hotplug->cpu_hotplug_lock);
}

void static_branch_disable(struct static_key *key)
{
	struct memory_hotplug_data *hotplug = &kernel_data()->memory_hotplug;

	down_read(&hotplug->cpu_hotplug_lock);
	set_static_key(key, 0);
	up_read(&hotplug->cpu_hotplug_lock);
}
