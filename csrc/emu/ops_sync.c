// SPDX-License-Identifier: GPL-2.0-only
/* Operations on completions, locks, wait queues and plain memory. */
#include <linux/percpu-refcount.h>

#include "ops.h"

#include <linux/completion.h>
#include <linux/kernel.h>
#include <linux/mutex.h>
#include <linux/ref_test.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/spinlock.h>

#define NAME(i, otherwise) (args[i] ? STRING(i) : (otherwise))

static int64_t op_completion_new(const int64_t *args)
{
	struct completion *x = kzalloc(sizeof(*x), GFP_KERNEL);

	if (x)
		__init_completion(x, NAME(0, "completion"));
	return object_new('C', x, x);
}

/* Of one that is there already: whoever uses it comes before that or after it. */
static int64_t op_completion_init(const int64_t *args)
{
	struct completion *x = ARG(struct completion, 0);
	struct machine *m = this_machine();

	if (unlikely(m->explorer != NULL))
		explore_access(m, x, sizeof(*x), true);
	kasan_touch(x, sizeof(*x), true, "init_completion");
	__init_completion(x, x->name);
	return 0;
}

static int64_t op_completion_reinit(const int64_t *args)
{
	reinit_completion(ARG(struct completion, 0));
	return 0;
}

static int64_t op_complete(const int64_t *args)
{
	complete(ARG(struct completion, 0));
	return 0;
}

static int64_t op_complete_all(const int64_t *args)
{
	complete_all(ARG(struct completion, 0));
	return 0;
}

static int64_t op_wait_for_completion(const int64_t *args)
{
	wait_for_completion(ARG(struct completion, 0));
	return 0;
}

static int64_t op_wait_for_completion_timeout(const int64_t *args)
{
	if (args[1] < 0)
		return bad_argument("a time to wait cannot be negative");
	return (int64_t)wait_for_completion_timeout(ARG(struct completion, 0),
						    (unsigned long)args[1]);
}

static int64_t op_try_wait(const int64_t *args)
{
	return try_wait_for_completion(ARG(struct completion, 0));
}

static int64_t op_completion_done(const int64_t *args)
{
	return completion_done(ARG(struct completion, 0));
}

static int64_t op_completion_count(const int64_t *args)
{
	return ARG(struct completion, 0)->done;
}

static int64_t op_free(const int64_t *args)
{
	kfree(ARG(void, 0));
	return 0;
}

static int64_t op_mutex_new(const int64_t *args)
{
	struct mutex *lock = kzalloc(sizeof(*lock), GFP_KERNEL);

	if (lock)
		__mutex_init(lock, NAME(0, "mutex"));
	return object_new('M', lock, lock);
}

static int64_t op_mutex_lock(const int64_t *args)
{
	mutex_lock(ARG(struct mutex, 0));
	return 0;
}

static int64_t op_mutex_trylock(const int64_t *args)
{
	return mutex_trylock(ARG(struct mutex, 0));
}

static int64_t op_mutex_unlock(const int64_t *args)
{
	mutex_unlock(ARG(struct mutex, 0));
	return 0;
}

static int64_t op_mutex_is_locked(const int64_t *args)
{
	return mutex_is_locked(ARG(struct mutex, 0));
}

static int64_t op_spinlock_new(const int64_t *args)
{
	spinlock_t *lock = kzalloc(sizeof(*lock), GFP_KERNEL);

	if (lock)
		__spin_lock_init(lock, NAME(0, "lock"));
	return object_new('S', lock, lock);
}

static int64_t op_spin_lock(const int64_t *args)
{
	spin_lock(ARG(spinlock_t, 0));
	return 0;
}

static int64_t op_spin_unlock(const int64_t *args)
{
	if (ARG(spinlock_t, 0)->state.owner != current)
		return bad_argument("this task does not hold the lock");
	spin_unlock(ARG(spinlock_t, 0));
	return 0;
}

static int64_t op_spin_lock_irq(const int64_t *args)
{
	spin_lock_irq(ARG(spinlock_t, 0));
	return 0;
}

static int64_t op_spin_unlock_irq(const int64_t *args)
{
	if (ARG(spinlock_t, 0)->state.owner != current || !current->irqs_disabled)
		return bad_argument("this task does not hold the lock with interrupts off");
	spin_unlock_irq(ARG(spinlock_t, 0));
	return 0;
}

static int64_t op_rwlock_new(const int64_t *args)
{
	rwlock_t *lock = kzalloc(sizeof(*lock), GFP_KERNEL);

	if (lock)
		__rwlock_init(lock, NAME(0, "lock"));
	return object_new('W', lock, lock);
}

static int64_t op_read_lock(const int64_t *args)
{
	read_lock(ARG(rwlock_t, 0));
	return 0;
}

static int64_t op_read_unlock(const int64_t *args)
{
	struct machine *m = this_machine();

	if (unlikely(m->explorer != NULL))
		explore_read_unlock(m, ARG(rwlock_t, 0));
	if (!ARG(rwlock_t, 0)->state.readers || !current->preempt_count)
		return bad_argument("this task does not hold the lock");
	read_unlock(ARG(rwlock_t, 0));
	return 0;
}

static int64_t op_write_lock(const int64_t *args)
{
	write_lock(ARG(rwlock_t, 0));
	return 0;
}

static int64_t op_write_unlock(const int64_t *args)
{
	if (ARG(rwlock_t, 0)->state.owner != current)
		return bad_argument("this task does not hold the lock");
	write_unlock(ARG(rwlock_t, 0));
	return 0;
}

static int64_t op_wait_queue_new(const int64_t *args)
{
	wait_queue_head_t *wq = kzalloc(sizeof(*wq), GFP_KERNEL);

	if (wq)
		__init_waitqueue_head(wq, NAME(0, "wait queue"));
	return object_new('Q', wq, wq);
}

static int64_t op_wake_up(const int64_t *args)
{
	wake_up(ARG(wait_queue_head_t, 0));
	return 0;
}

static int64_t op_wake_up_all(const int64_t *args)
{
	wake_up_all(ARG(wait_queue_head_t, 0));
	return 0;
}

/* Sleeps until woken once, exclusively or not. */
static int64_t op_wait_queue_sleep(const int64_t *args)
{
	wait_queue_head_t *wq = ARG(wait_queue_head_t, 0);
	struct wait_queue_entry wait;

	might_sleep();
	init_wait(&wait);
	if (args[1])
		prepare_to_wait_exclusive(wq, &wait);
	else
		prepare_to_wait(wq, &wait);
	schedule_wait(wq, &wait, args[2] ? STRING(2) : "a wake-up");
	finish_wait(wq, &wait);
	return 0;
}

static int64_t op_kmalloc(const int64_t *args)
{
	void *p = kmalloc_caller((size_t)args[0], (gfp_t)args[1], "kmalloc");

	return object_new('A', p, p);
}

static int64_t op_memory_access(const int64_t *args)
{
	unsigned char *p = ARG(unsigned char, 0);
	const struct alloc_header *h = (const struct alloc_header *)(p - 64);
	unsigned char byte;

	/* A redzone's worth past the end is enough to be seen. */
	if (args[1] < -16 || args[1] > (int64_t)h->size + 15)
		return bad_argument("offset far outside the object");
	if (args[2]) {
		kernel_memset(p + args[1], (int)args[3], 1);
		return 0;
	}
	kernel_memcpy(&byte, p + args[1], 1);
	return byte;
}

static int64_t op_ref_test_new(const int64_t *args)
{
	struct ref_test *ref = kzalloc(sizeof(*ref), GFP_KERNEL);

	(void)args;
	if (!ref)
		return 0;
	ref_test_init(ref);
	return object_new('Z', ref, ref);
}

static int64_t op_ref_test_kill(const int64_t *args)
{
	ref_test_kill(ARG(struct ref_test, 0));
	return 0;
}

static int64_t op_ref_test_use(const int64_t *args)
{
	return ref_test_use(ARG(struct ref_test, 0));
}

static const struct op ops[] = {
	OP("ref_test_new", "", "Z", op_ref_test_new),
	OP("ref_test_kill", "Z", "v", op_ref_test_kill),
	OP("ref_test_use", "Z", "b", op_ref_test_use),
	OP("completion_new", "s", "C", op_completion_new),
	OP("completion_free", "C", "v", op_free),
	OP("init_completion", "C", "v", op_completion_init),
	OP("reinit_completion", "C", "v", op_completion_reinit),
	OP("complete", "C", "v", op_complete),
	OP("complete_all", "C", "v", op_complete_all),
	OP("wait_for_completion", "C", "v", op_wait_for_completion),
	OP("wait_for_completion_timeout", "Ci", "u", op_wait_for_completion_timeout),
	OP("try_wait_for_completion", "C", "b", op_try_wait),
	OP("completion_done", "C", "b", op_completion_done),
	OP("completion_count", "C", "u", op_completion_count),
	OP("mutex_new", "s", "M", op_mutex_new),
	OP("mutex_free", "M", "v", op_free),
	OP("mutex_lock", "M", "v", op_mutex_lock),
	OP("mutex_trylock", "M", "b", op_mutex_trylock),
	OP("mutex_unlock", "M", "v", op_mutex_unlock),
	OP("mutex_is_locked", "M", "b", op_mutex_is_locked),
	OP("spinlock_new", "s", "S", op_spinlock_new),
	OP("spin_lock", "S", "v", op_spin_lock),
	OP("spin_unlock", "S", "v", op_spin_unlock),
	OP("spin_lock_irq", "S", "v", op_spin_lock_irq),
	OP("spin_unlock_irq", "S", "v", op_spin_unlock_irq),
	OP("rwlock_new", "s", "W", op_rwlock_new),
	OP("read_lock", "W", "v", op_read_lock),
	OP("read_unlock", "W", "v", op_read_unlock),
	OP("write_lock", "W", "v", op_write_lock),
	OP("write_unlock", "W", "v", op_write_unlock),
	OP("wait_queue_new", "s", "Q", op_wait_queue_new),
	OP("wake_up", "Q", "v", op_wake_up),
	OP("wake_up_all", "Q", "v", op_wake_up_all),
	OP("wait_queue_sleep", "Qis", "v", op_wait_queue_sleep),
	OP("kmalloc", "ii", "A", op_kmalloc),
	OP("kfree", "A", "v", op_free),
	OP("memory_access", "Aiii", "u", op_memory_access),
};
OP_TABLE(ops_sync, ops);
