// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locks.
 *
 * Exactly one task runs, so a lock is the name of its owner and whoever finds
 * it taken parks until the owner lets go.  A spinning task parks as well: it
 * could not do anything else anyway, and a task that spins on its own lock is
 * found hanging instead of hanging the process.  What is left of the kinds of
 * lock is their names, who may share them, and what their holders may not do.
 */
#include "kcsan.h"
#include "lockdep.h"
#include "machine.h"

#include <linux/mutex.h>
#include <linux/spinlock.h>

#undef snprintf
#include <stdio.h>

static const char *const kinds[] = {
	[LOCK_SPINLOCK] = "spinlock",
	[LOCK_RWLOCK] = "rwlock",
	[LOCK_MUTEX] = "mutex",
	[LOCK_RW_SEMAPHORE] = "rw_semaphore",
};

static void init(struct lock_state *lock, enum lock_kind kind, const char *name)
{
	lock->owner = NULL;
	lock->readers = 0;
	lock->waiters = 0;
	lock->kind = (unsigned short)kind;
	lock->name = name;
}

static bool is_readable(const void *lock)
{
	return !((const struct lock_state *)lock)->owner;
}

static bool is_free(const void *lock)
{
	return is_readable(lock) && !((const struct lock_state *)lock)->readers;
}

static void wake_waiters(const struct lock_state *lock)
{
	struct machine_state *s = this_machine()->s;

	for (int i = 0; i < s->nr_tasks; i++) {
		struct emu_task *task = s->tasks[i];

		if (task->kind != TASK_FREE && task->run == RUN_BLOCKED &&
		    task->wait_object == lock)
			task_wake(task);
	}
}

/* Readers come after writers and before them, and are not ordered among themselves. */
static void orders(struct machine *m, enum event_type type, const void *lock, bool reader)
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

static void __lock_event(enum event_type type, const struct lock_state *lock, bool reader,
			 bool tried)
{
	struct machine *m = this_machine();

	if (unlikely(m->explorer != NULL)) {
		orders(m, type, lock, reader);
		if (type == EVENT_UNLOCK)
			lockdep_release(m, lock);
		else
			lockdep_acquire(m, lock, lock->name, tried);
		if (m->wipes)
			wipe_stack();
	}
	trace_event(m, type, (uint64_t)((const char *)lock - m->arena),
		    (uint64_t)(uintptr_t)lock->name);
}

/*
 * Waits for the lock in @object and takes it, for @func; while schedules are explored, it is waited
 * for by not being chosen.  No frame of its own: stacks show who called for a lock.
 */
static __always_inline void take(struct lock_state *lock, const void *object, size_t size,
				 bool reader, const char *func)
{
	struct machine *m = this_machine();
	bool (*const ready)(const void *) = reader ? is_readable : is_free;

	if (unlikely(m->explorer != NULL))
		explore_acquire(m, lock, ready, !reader);
	/* Others have come in between: it may be gone by now. */
	kasan_touch(object, size, true, func);
	while (!ready(lock)) {
		lock->waiters++;
		task_block(kinds[lock->kind], lock, lock->name);
		lock->waiters--;
	}
	if (reader)
		lock->readers++;
	else
		lock->owner = current;
	__lock_event(EVENT_LOCK, lock, reader, false);
}

static __always_inline void let_go(struct lock_state *lock, bool reader)
{
	struct machine *m = this_machine();

	if (unlikely(m->explorer != NULL))
		explore_release(m, lock);
	__lock_event(EVENT_UNLOCK, lock, reader, false);
	if (reader)
		lock->readers--;
	else
		lock->owner = NULL;
	if (lock->waiters)
		wake_waiters(lock);
}

static void check_owner(const struct lock_state *lock, const void *pc)
{
	if (lock->owner != current)
		report_violation_at(VIOLATION_LOCK_ORDER, pc,
				    "%s %s released by a task that does not hold it",
				    kinds[lock->kind], lock->name);
}

/* The lock that @task waits for; NULL: something else. */
static const struct lock_state *awaited(const struct emu_task *task)
{
	/* That it is not chosen has no kind: see take(). */
	if (!task->wait_kind)
		return task->pending.kind == ACCESS_ACQUIRE ? (const void *)task->pending.start :
							      NULL;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (task->wait_kind == kinds[i])
			return task->wait_object;
	return NULL;
}

void task_wait_text(const struct machine *m, const struct emu_task *task, char *buf, size_t size)
{
	const struct lock_state *lock = awaited(task);
	const char *kind = task->wait_kind, *what = task->wait_what;
	int length;

	if (lock) {
		kind = kinds[lock->kind];
		what = lock->name;
	}
	length = snprintf(buf, size, "%s/%d waits for %s %s", task->t.comm, task->t.pid,
			  kind ? kind : "something", string_or_unknown(m, what));
	for (int i = 0; lock && lock->owner && i < m->s->nr_tasks; i++) {
		const struct emu_task *other = m->s->tasks[i];

		if (other->kind != TASK_FREE && &other->t == lock->owner && length < (int)size)
			snprintf(buf + length, size - (size_t)length, ", held by %s/%d",
				 other->t.comm, other->t.pid);
	}
}

/* --- those whose holders may not sleep --- */

void __spin_lock_init(spinlock_t *lock, const char *name)
{
	init(&lock->state, LOCK_SPINLOCK, name);
}

void spin_lock(spinlock_t *lock)
{
	preempt_disable();
	take(&lock->state, lock, sizeof(*lock), false, __func__);
}

void _raw_spin_lock_irqsave(spinlock_t *lock, const void *object, size_t size, const char *func)
{
	current->irqs_disabled++;
	preempt_disable();
	take(&lock->state, object, size, false, func);
}

void spin_unlock(spinlock_t *lock)
{
	kasan_touch(lock, sizeof(*lock), true, __func__);
	check_owner(&lock->state, __builtin_return_address(0));
	let_go(&lock->state, false);
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
	init(&lock->state, LOCK_RWLOCK, name);
}

void read_lock(rwlock_t *lock)
{
	preempt_disable();
	take(&lock->state, lock, sizeof(*lock), true, __func__);
}

void read_unlock(rwlock_t *lock)
{
	kasan_touch(lock, sizeof(*lock), true, __func__);
	let_go(&lock->state, true);
	preempt_enable();
}

void write_lock(rwlock_t *lock)
{
	preempt_disable();
	take(&lock->state, lock, sizeof(*lock), false, __func__);
}

void write_unlock(rwlock_t *lock)
{
	kasan_touch(lock, sizeof(*lock), true, __func__);
	let_go(&lock->state, false);
	preempt_enable();
}

/* --- those whose holders may sleep --- */

void __mutex_init(struct mutex *lock, const char *name)
{
	init(&lock->state, LOCK_MUTEX, name);
}

void mutex_lock(struct mutex *lock)
{
	might_sleep();
	take(&lock->state, lock, sizeof(*lock), false, __func__);
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

	if (unlikely(m->explorer != NULL))
		explore_access(m, lock, 1, true);
	kasan_touch(lock, sizeof(*lock), true, __func__);
	if (lock->state.owner)
		return 0;
	lock->state.owner = current;
	__lock_event(EVENT_LOCK, &lock->state, false, true);
	return 1;
}

void mutex_unlock(struct mutex *lock)
{
	struct machine *m = this_machine();

	/* Who does not have it takes it away from whoever has it, or will. */
	if (unlikely(m->explorer != NULL)) {
		if (lock->state.owner == current)
			explore_unlock(m, lock);
		else
			explore_access(m, lock, 1, true);
	}
	kasan_touch(lock, sizeof(*lock), true, __func__);
	check_owner(&lock->state, __builtin_return_address(0));
	let_go(&lock->state, false);
}

bool mutex_is_locked(struct mutex *lock)
{
	struct machine *m = this_machine();

	if (unlikely(m->explorer != NULL))
		explore_access(m, lock, 1, false);
	kasan_touch(lock, sizeof(*lock), true, __func__);
	return lock->state.owner != NULL;
}

void __init_rwsem(struct rw_semaphore *sem, const char *name)
{
	init(&sem->state, LOCK_RW_SEMAPHORE, name);
}

void down_read(struct rw_semaphore *sem)
{
	might_sleep();
	take(&sem->state, sem, sizeof(*sem), true, __func__);
}

void up_read(struct rw_semaphore *sem)
{
	kasan_touch(sem, sizeof(*sem), true, __func__);
	let_go(&sem->state, true);
}

void down_write(struct rw_semaphore *sem)
{
	might_sleep();
	take(&sem->state, sem, sizeof(*sem), false, __func__);
}

void up_write(struct rw_semaphore *sem)
{
	kasan_touch(sem, sizeof(*sem), true, __func__);
	let_go(&sem->state, false);
}
