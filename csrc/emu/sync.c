// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locks, wait queues, completions.
 *
 * Exactly one task runs, so a lock is the name of its owner and whoever finds
 * it taken parks until the owner lets go.  A spinning task parks as well: it
 * could not do anything else anyway, and a task that spins on its own lock is
 * found hanging instead of hanging the process.
 */
#include "kcsan.h"
#include "lockdep.h"
#include "machine.h"

#include <linux/completion.h>
#include <linux/jump_label.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <limits.h>

static void wake_lock_waiters(const void *lock)
{
	struct machine_state *s = this_machine()->s;

	for (int i = 0; i < s->nr_tasks; i++) {
		struct emu_task *task = s->tasks[i];

		if (task->kind != TASK_FREE && task->run == RUN_BLOCKED &&
		    task->wait_object == lock)
			task_wake(task);
	}
}

/* While schedules are explored, a lock is waited for by not being chosen. */
static void acquire(const void *lock, bool (*ready)(const void *lock), bool exclusive)
{
	struct machine *m = this_machine();

	if (unlikely(m->explorer != NULL))
		explore_acquire(m, lock, ready, exclusive);
}

static void released(const void *lock)
{
	struct machine *m = this_machine();

	if (unlikely(m->explorer != NULL))
		explore_release(m, lock);
}

static bool spinlock_free(const void *lock)
{
	return !((const spinlock_t *)lock)->owner;
}

static bool rwlock_readable(const void *lock)
{
	return !((const rwlock_t *)lock)->writer;
}

static bool rwlock_free(const void *lock)
{
	return rwlock_readable(lock) && !((const rwlock_t *)lock)->readers;
}

static bool mutex_free(const void *lock)
{
	return !((const struct mutex *)lock)->owner;
}

static bool rwsem_readable(const void *sem)
{
	return !((const struct rw_semaphore *)sem)->writer;
}

static bool rwsem_free(const void *sem)
{
	return rwsem_readable(sem) && !((const struct rw_semaphore *)sem)->readers;
}

/* Readers come after writers and before them, and are not ordered among themselves. */
static void lock_orders(struct machine *m, enum event_type type, const void *lock, bool reader)
{
	const void *readers = (const char *)lock + 1;

	if (type == EVENT_UNLOCK) {
		kcsan_release(m, reader ? readers : lock);
		return;
	}
	kcsan_acquire(m, lock);
	if (!reader)
		kcsan_acquire(m, readers);
}

static void __lock_event(enum event_type type, const void *lock, const char *name, bool reader,
			 bool tried)
{
	struct machine *m = this_machine();

	if (unlikely(m->explorer != NULL)) {
		lock_orders(m, type, lock, reader);
		if (type == EVENT_UNLOCK)
			lockdep_release(m, lock);
		else
			lockdep_acquire(m, lock, name, tried);
		if (m->wipes)
			wipe_stack();
	}
	trace_event(m, type, (uint64_t)((const char *)lock - m->arena), (uint64_t)(uintptr_t)name);
}

static void lock_event(enum event_type type, const void *lock, const char *name)
{
	__lock_event(type, lock, name, false, false);
}

static void reader_event(enum event_type type, const void *lock, const char *name)
{
	__lock_event(type, lock, name, true, false);
}

void __spin_lock_init(spinlock_t *lock, const char *name)
{
	lock->owner = NULL;
	lock->waiters = 0;
	lock->name = name;
}

void spin_lock(spinlock_t *lock)
{
	kasan_touch(lock, sizeof(*lock), true, __func__);
	preempt_disable();
	acquire(lock, spinlock_free, true);
	while (lock->owner) {
		lock->waiters++;
		task_block("spinlock", lock, lock->name);
		lock->waiters--;
	}
	lock->owner = current;
	lock_event(EVENT_LOCK, lock, lock->name);
}

void spin_unlock(spinlock_t *lock)
{
	kasan_touch(lock, sizeof(*lock), true, __func__);
	if (lock->owner != current)
		report_violation_at(VIOLATION_LOCK_ORDER, __builtin_return_address(0),
				    "spinlock %s released by a task that does not hold it",
				    lock->name);
	released(lock);
	lock_event(EVENT_UNLOCK, lock, lock->name);
	lock->owner = NULL;
	if (lock->waiters)
		wake_lock_waiters(lock);
	preempt_enable();
}

void spin_lock_irq(spinlock_t *lock)
{
	current->irqs_disabled++;
	spin_lock(lock);
}

void spin_unlock_irq(spinlock_t *lock)
{
	spin_unlock(lock);
	current->irqs_disabled--;
}

unsigned long __spin_lock_irqsave(spinlock_t *lock)
{
	spin_lock_irq(lock);
	return 0;
}

void spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags)
{
	(void)flags;
	spin_unlock_irq(lock);
}

void __rwlock_init(rwlock_t *lock, const char *name)
{
	lock->writer = NULL;
	lock->readers = 0;
	lock->waiters = 0;
	lock->name = name;
}

void read_lock(rwlock_t *lock)
{
	kasan_touch(lock, sizeof(*lock), true, __func__);
	preempt_disable();
	acquire(lock, rwlock_readable, false);
	while (lock->writer) {
		lock->waiters++;
		task_block("rwlock", lock, lock->name);
		lock->waiters--;
	}
	lock->readers++;
	reader_event(EVENT_LOCK, lock, lock->name);
}

void read_unlock(rwlock_t *lock)
{
	kasan_touch(lock, sizeof(*lock), true, __func__);
	released(lock);
	reader_event(EVENT_UNLOCK, lock, lock->name);
	lock->readers--;
	if (lock->waiters)
		wake_lock_waiters(lock);
	preempt_enable();
}

void write_lock(rwlock_t *lock)
{
	kasan_touch(lock, sizeof(*lock), true, __func__);
	preempt_disable();
	acquire(lock, rwlock_free, true);
	while (lock->writer || lock->readers) {
		lock->waiters++;
		task_block("rwlock", lock, lock->name);
		lock->waiters--;
	}
	lock->writer = current;
	lock_event(EVENT_LOCK, lock, lock->name);
}

void write_unlock(rwlock_t *lock)
{
	kasan_touch(lock, sizeof(*lock), true, __func__);
	released(lock);
	lock_event(EVENT_UNLOCK, lock, lock->name);
	lock->writer = NULL;
	if (lock->waiters)
		wake_lock_waiters(lock);
	preempt_enable();
}

void __mutex_init(struct mutex *lock, const char *name)
{
	lock->owner = NULL;
	lock->waiters = 0;
	lock->name = name;
}

void mutex_lock(struct mutex *lock)
{
	kasan_touch(lock, sizeof(*lock), true, __func__);
	might_sleep();
	acquire(lock, mutex_free, true);
	while (lock->owner) {
		lock->waiters++;
		task_block("mutex", lock, lock->name);
		lock->waiters--;
	}
	lock->owner = current;
	lock_event(EVENT_LOCK, lock, lock->name);
}

/* No signals here: the interruptible forms never are interrupted. */
int mutex_lock_interruptible(struct mutex *lock)
{
	mutex_lock(lock);
	return 0;
}

int mutex_lock_killable(struct mutex *lock)
{
	mutex_lock(lock);
	return 0;
}

int mutex_trylock(struct mutex *lock)
{
	struct machine *m = this_machine();

	kasan_touch(lock, sizeof(*lock), true, __func__);
	if (unlikely(m->explorer != NULL))
		explore_access(m, lock, 1, true);
	if (lock->owner)
		return 0;
	lock->owner = current;
	__lock_event(EVENT_LOCK, lock, lock->name, false, true);
	return 1;
}

void mutex_unlock(struct mutex *lock)
{
	kasan_touch(lock, sizeof(*lock), true, __func__);
	if (lock->owner != current)
		report_violation_at(VIOLATION_LOCK_ORDER, __builtin_return_address(0),
				    "mutex %s released by a task that does not hold it",
				    lock->name);
	released(lock);
	lock_event(EVENT_UNLOCK, lock, lock->name);
	lock->owner = NULL;
	if (lock->waiters)
		wake_lock_waiters(lock);
}

bool mutex_is_locked(struct mutex *lock)
{
	kasan_touch(lock, sizeof(*lock), true, __func__);
	return lock->owner != NULL;
}

void __init_rwsem(struct rw_semaphore *sem, const char *name)
{
	sem->writer = NULL;
	sem->readers = 0;
	sem->waiters = 0;
	sem->name = name;
}

void down_read(struct rw_semaphore *sem)
{
	kasan_touch(sem, sizeof(*sem), true, __func__);
	might_sleep();
	acquire(sem, rwsem_readable, false);
	while (sem->writer) {
		sem->waiters++;
		task_block("rw_semaphore", sem, sem->name);
		sem->waiters--;
	}
	sem->readers++;
	reader_event(EVENT_LOCK, sem, sem->name);
}

void up_read(struct rw_semaphore *sem)
{
	kasan_touch(sem, sizeof(*sem), true, __func__);
	released(sem);
	reader_event(EVENT_UNLOCK, sem, sem->name);
	sem->readers--;
	if (sem->waiters)
		wake_lock_waiters(sem);
}

void down_write(struct rw_semaphore *sem)
{
	kasan_touch(sem, sizeof(*sem), true, __func__);
	might_sleep();
	acquire(sem, rwsem_free, true);
	while (sem->writer || sem->readers) {
		sem->waiters++;
		task_block("rw_semaphore", sem, sem->name);
		sem->waiters--;
	}
	sem->writer = current;
	lock_event(EVENT_LOCK, sem, sem->name);
}

void up_write(struct rw_semaphore *sem)
{
	kasan_touch(sem, sizeof(*sem), true, __func__);
	released(sem);
	lock_event(EVENT_UNLOCK, sem, sem->name);
	sem->writer = NULL;
	if (sem->waiters)
		wake_lock_waiters(sem);
}

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

void reinit_completion(struct completion *x)
{
	kasan_touch(x, sizeof(*x), true, __func__);
	x->done = 0;
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
