// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reference counts with per-CPU counters.
 *
 * A get or put in per-CPU mode is one plain add to a counter of this CPU.  A
 * single counter means nothing, as a reference may be taken on one CPU and
 * dropped on another; the sum over all CPUs does, but nobody can form it while
 * others add.  So in this mode zero is never noticed, and need not be: whoever
 * created the count holds the initial reference.  To give that one up is to
 * kill the count, and that is when it turns into an ordinary atomic one:
 *
 *	1. flags are set in percpu_count_ptr, so new gets and puts go to @count;
 *	2. an RCU-sched grace period passes.  Each get and put is a read section
 *	   from its look at the flags to its add, so after it no CPU is left
 *	   that may still touch a counter: their sum stands still;
 *	3. the sum is added to @count.
 *
 * During step 2 @count sees only a part of the references, and puts of those
 * that the counters hold would bring it to zero and below.  Therefore it
 * carries PERCPU_COUNT_BIAS as long as the counters count, half the range of
 * the word away from zero in either direction.  The bias goes in the very add
 * that brings the sum; between two adds zero would show although references
 * were left.
 *
 * The deferred step holds a reference of its own, or the last user's put right
 * after that add would release the object it is working on.  It drops it last,
 * when it has confirmed the switch: so confirmation comes before a release
 * that the switch itself brings about, and a confirm callback may look at the
 * count.  What may be freed in release may not be freed, nor its count exited,
 * in confirm, since confirm_switch is cleared and waiters are woken after it.
 *
 * A count already atomic is killed on the spot: confirm and release run in the
 * killer's context under the lock, and a release that kills, switches or
 * reinitialises any count would wait for itself.
 *
 * One lock serialises all changes of mode of all counts; they are rare.
 * percpu_count_ptr and confirm_switch are read without it.
 */
#include <linux/bug.h>
#include <linux/export.h>
#include <linux/kernel_data.h>
#include <linux/percpu-refcount.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#define PERCPU_COUNT_BIAS (1UL << (BITS_PER_LONG - 1))

#define percpu_ref_switch_lock (kernel_data()->percpu_refcount.percpu_ref_switch_lock)
#define percpu_ref_switch_waitq (kernel_data()->percpu_refcount.percpu_ref_switch_waitq)

static unsigned long *percpu_count_ptr(const struct percpu_ref *ref)
{
	return (unsigned long *)(READ_ONCE(ref->percpu_count_ptr) &
				 ~(unsigned long)__PERCPU_REF_ATOMIC_DEAD);
}

/**
 * percpu_ref_init() - make a reference count of one
 * @ref: where; need not be initialised
 * @release: called when the last reference is dropped
 * @flags: PERCPU_REF_INIT_ATOMIC: start in atomic mode and stay there;
 *	PERCPU_REF_INIT_DEAD: start as killed and released, for
 *	percpu_ref_reinit() to bring to life
 * @gfp: for the counters
 *
 * mirrors lib/percpu-refcount.c:percpu_ref_init, v4.19
 *
 * Context: as @gfp says.
 * Return: 0, or -ENOMEM with nothing but the counters' address set (to NULL).
 */
int percpu_ref_init(struct percpu_ref *ref, percpu_ref_func_t *release, unsigned int flags,
		    gfp_t gfp)
{
	unsigned long word, start = 0;

	word = (unsigned long)alloc_percpu_gfp(unsigned long, gfp);
	ref->percpu_count_ptr = word;
	if (!word)
		return -ENOMEM;

	if (flags & (PERCPU_REF_INIT_ATOMIC | PERCPU_REF_INIT_DEAD))
		word |= __PERCPU_REF_ATOMIC;
	else
		start += PERCPU_COUNT_BIAS;
	if (flags & PERCPU_REF_INIT_DEAD)
		word |= __PERCPU_REF_DEAD;
	else
		start++;

	ref->percpu_count_ptr = word;
	ref->force_atomic = flags & PERCPU_REF_INIT_ATOMIC;
	ref->release = release;
	ref->confirm_switch = NULL;
	atomic_long_set(&ref->count, (long)start);
	return 0;
}
EXPORT_SYMBOL_GPL(percpu_ref_init);

/**
 * percpu_ref_exit() - free the counters
 * @ref: reference count, released and with no switch under way; a second exit
 *	and one after a failed init do nothing
 *
 * The count is not looked at and release is not called.  Gets and puts that
 * come later, wrongly, find an atomic count that is dead.
 *
 * mirrors lib/percpu-refcount.c:percpu_ref_exit, v4.19
 *
 * Context: any.
 */
void percpu_ref_exit(struct percpu_ref *ref)
{
	unsigned long *counters = percpu_count_ptr(ref);

	if (!counters)
		return;
	WARN_ON_ONCE(READ_ONCE(ref->confirm_switch));
	free_percpu(counters);
	WRITE_ONCE(ref->percpu_count_ptr, __PERCPU_REF_ATOMIC_DEAD);
}
EXPORT_SYMBOL_GPL(percpu_ref_exit);

/* Stands in for a missing callback: confirm_switch also says "under way". */
static void percpu_ref_noop_confirm_switch(struct percpu_ref *ref)
{
	(void)ref;
}

static void percpu_ref_call_confirm(struct percpu_ref *ref)
{
	ref->confirm_switch(ref);
	WRITE_ONCE(ref->confirm_switch, NULL);
	wake_up_all(&percpu_ref_switch_waitq);
	percpu_ref_put(ref);
}

/*
 * The grace period is over.  A count exited meanwhile has no counters; what
 * they held is lost without a word.
 *
 * mirrors lib/percpu-refcount.c:percpu_ref_switch_to_atomic_rcu, v4.19
 */
static void percpu_ref_switch_to_atomic_rcu(struct rcu_head *rcu)
{
	struct percpu_ref *ref = container_of(rcu, struct percpu_ref, rcu);
	unsigned long *counters = percpu_count_ptr(ref);
	unsigned long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += *per_cpu_ptr(counters, cpu);
	atomic_long_add((long)(sum - PERCPU_COUNT_BIAS), &ref->count);

	/* One is ours. */
	WARN_ONCE(atomic_long_read(&ref->count) <= 0,
		  "percpu ref (%pf) <= 0 (%ld) after switching to atomic", ref->release,
		  atomic_long_read(&ref->count));

	percpu_ref_call_confirm(ref);
}

/* mirrors lib/percpu-refcount.c:__percpu_ref_switch_to_atomic, v4.19 */
static void __percpu_ref_switch_to_atomic(struct percpu_ref *ref, percpu_ref_func_t *confirm_switch)
{
	if (ref->percpu_count_ptr & __PERCPU_REF_ATOMIC) {
		if (confirm_switch)
			confirm_switch(ref);
		return;
	}

	WRITE_ONCE(ref->percpu_count_ptr, ref->percpu_count_ptr | __PERCPU_REF_ATOMIC);
	WRITE_ONCE(ref->confirm_switch, confirm_switch ?: percpu_ref_noop_confirm_switch);

	/* Goes to @count, as the flag is set: the RCU callback's own. */
	percpu_ref_get(ref);
	call_rcu_sched(&ref->rcu, percpu_ref_switch_to_atomic_rcu);
}

/* mirrors lib/percpu-refcount.c:__percpu_ref_switch_to_percpu, v4.19 */
static void __percpu_ref_switch_to_percpu(struct percpu_ref *ref)
{
	unsigned long *percpu_count = percpu_count_ptr(ref);
	int cpu;

	BUG_ON(!percpu_count);

	if (!(ref->percpu_count_ptr & __PERCPU_REF_ATOMIC))
		return;

	atomic_long_add((long)PERCPU_COUNT_BIAS, &ref->count);

	/* Whoever sees the flag gone must see bias and cleared counters too. */
	for_each_possible_cpu(cpu)
		*per_cpu_ptr(percpu_count, cpu) = 0;
	smp_store_release(&ref->percpu_count_ptr,
			  ref->percpu_count_ptr & ~(unsigned long)__PERCPU_REF_ATOMIC);
}

/*
 * Bring the mode in line with force_atomic and DEAD.  A switch under way comes
 * first; waiting for it drops the lock.
 *
 * mirrors lib/percpu-refcount.c:__percpu_ref_switch_mode, v4.19
 */
static void __percpu_ref_switch_mode(struct percpu_ref *ref, percpu_ref_func_t *confirm_switch)
{
	wait_event_lock_irq(percpu_ref_switch_waitq, !READ_ONCE(ref->confirm_switch),
			    percpu_ref_switch_lock);

	if (ref->force_atomic || (ref->percpu_count_ptr & __PERCPU_REF_DEAD))
		__percpu_ref_switch_to_atomic(ref, confirm_switch);
	else
		__percpu_ref_switch_to_percpu(ref);
}

/**
 * percpu_ref_switch_to_atomic() - count atomically from now on
 * @ref: reference count
 * @confirm_switch: called when every CPU does, or NULL
 *
 * Lasts until percpu_ref_switch_to_percpu(), across percpu_ref_reinit().
 *
 * mirrors lib/percpu-refcount.c:percpu_ref_switch_to_atomic, v4.19
 *
 * Context: process if a switch may be under way; otherwise any.  If the count
 * is atomic already, @confirm_switch runs before this returns, under the lock.
 */
void percpu_ref_switch_to_atomic(struct percpu_ref *ref, percpu_ref_func_t *confirm_switch)
{
	unsigned long flags;

	spin_lock_irqsave(&percpu_ref_switch_lock, flags);
	ref->force_atomic = true;
	__percpu_ref_switch_mode(ref, confirm_switch);
	spin_unlock_irqrestore(&percpu_ref_switch_lock, flags);
}
EXPORT_SYMBOL_GPL(percpu_ref_switch_to_atomic);

/**
 * percpu_ref_switch_to_atomic_sync() - percpu_ref_switch_to_atomic() and wait
 * @ref: reference count
 *
 * mirrors lib/percpu-refcount.c:percpu_ref_switch_to_atomic_sync, v4.19
 *
 * Context: process, sleeps.
 */
void percpu_ref_switch_to_atomic_sync(struct percpu_ref *ref)
{
	percpu_ref_switch_to_atomic(ref, NULL);
	wait_event(percpu_ref_switch_waitq, !READ_ONCE(ref->confirm_switch));
}
EXPORT_SYMBOL_GPL(percpu_ref_switch_to_atomic_sync);

/**
 * percpu_ref_switch_to_percpu() - allow per-CPU mode again
 * @ref: reference count, not exited
 *
 * A dead one returns to it in percpu_ref_reinit().
 *
 * mirrors lib/percpu-refcount.c:percpu_ref_switch_to_percpu, v4.19
 *
 * Context: as percpu_ref_switch_to_atomic().
 */
void percpu_ref_switch_to_percpu(struct percpu_ref *ref)
{
	unsigned long flags;

	spin_lock_irqsave(&percpu_ref_switch_lock, flags);
	ref->force_atomic = false;
	__percpu_ref_switch_mode(ref, NULL);
	spin_unlock_irqrestore(&percpu_ref_switch_lock, flags);
}
EXPORT_SYMBOL_GPL(percpu_ref_switch_to_percpu);

/**
 * percpu_ref_kill_and_confirm() - drop the initial reference, let no new user
 *	in, and say when that holds everywhere
 * @ref: reference count, not killed before
 * @confirm_kill: called when percpu_ref_tryget_live() fails on every CPU, or
 *	NULL
 *
 * A second kill is warned of and drops a reference all the same, somebody
 * else's.
 *
 * mirrors lib/percpu-refcount.c:percpu_ref_kill_and_confirm, v4.19
 *
 * Context: process if a switch may be under way; otherwise any.  If the count
 * is atomic already, @confirm_kill and possibly release run before this
 * returns, under the lock.
 */
void percpu_ref_kill_and_confirm(struct percpu_ref *ref, percpu_ref_func_t *confirm_kill)
{
	unsigned long flags;

	spin_lock_irqsave(&percpu_ref_switch_lock, flags);
	WARN_ONCE(ref->percpu_count_ptr & __PERCPU_REF_DEAD, "%s called more than once on %pf!",
		  __func__, ref->release);
	WRITE_ONCE(ref->percpu_count_ptr, ref->percpu_count_ptr | __PERCPU_REF_DEAD);
	__percpu_ref_switch_mode(ref, confirm_kill);
	percpu_ref_put(ref);
	spin_unlock_irqrestore(&percpu_ref_switch_lock, flags);
}
EXPORT_SYMBOL_GPL(percpu_ref_kill_and_confirm);

/* percpu_ref_get() of the initial reference: the one that is taken where nobody holds any. */
static void take_initial(struct percpu_ref *ref)
{
	unsigned long *counters;

	rcu_read_lock_sched();
	if (__ref_is_percpu(ref, &counters))
		this_cpu_add(*counters, 1);
	else
		atomic_long_inc(&ref->count);
	rcu_read_unlock_sched();
}

/**
 * percpu_ref_reinit() - bring a released count back to life
 * @ref: reference count, killed and zero, not exited
 *
 * It holds the initial reference again, in per-CPU mode unless that has been
 * forbidden.  On a count that is not zero this warns and goes on.
 *
 * mirrors lib/percpu-refcount.c:percpu_ref_reinit, v4.19
 *
 * Context: as percpu_ref_switch_to_atomic().
 */
void percpu_ref_reinit(struct percpu_ref *ref)
{
	unsigned long flags;

	spin_lock_irqsave(&percpu_ref_switch_lock, flags);
	WARN_ON_ONCE(!percpu_ref_is_zero(ref));
	WRITE_ONCE(ref->percpu_count_ptr,
		   ref->percpu_count_ptr & ~(unsigned long)__PERCPU_REF_DEAD);
	take_initial(ref);
	__percpu_ref_switch_mode(ref, NULL);
	spin_unlock_irqrestore(&percpu_ref_switch_lock, flags);
}
EXPORT_SYMBOL_GPL(percpu_ref_reinit);

/* Make the lock and the wait queue that all reference counts share. */
void __init percpu_refcount_init(void)
{
	__spin_lock_init(&percpu_ref_switch_lock, "percpu_ref_switch_lock");
	__init_waitqueue_head(&percpu_ref_switch_waitq, "percpu_ref_switch_waitq");
}
