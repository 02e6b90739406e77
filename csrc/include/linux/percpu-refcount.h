/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_PERCPU_REFCOUNT_H
#define _LINUX_PERCPU_REFCOUNT_H

#include <linux/atomic.h>
#include <linux/kernel.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

struct percpu_ref;
typedef void(percpu_ref_func_t)(struct percpu_ref *ref);

/* Flag bits in percpu_count_ptr. */
enum {
	__PERCPU_REF_ATOMIC = 1,
	__PERCPU_REF_DEAD = 2,
	__PERCPU_REF_ATOMIC_DEAD = __PERCPU_REF_ATOMIC | __PERCPU_REF_DEAD,
};

/* Flags of percpu_ref_init(). */
enum {
	PERCPU_REF_INIT_ATOMIC = 1,
	PERCPU_REF_INIT_DEAD = 2,
};

/**
 * struct percpu_ref - a reference count that is cheap while nobody kills it
 * @count: references counted atomically; plus a bias in per-CPU mode
 * @percpu_count_ptr: per-CPU counters and, in the low two bits, the mode
 * @release: called whenever a put in atomic mode makes @count zero
 * @confirm_switch: not NULL while a switch to atomic mode is under way
 * @force_atomic: stay in atomic mode until percpu_ref_switch_to_percpu()
 * @rcu: for the deferred half of the switch
 *
 * See lib/percpu_refcount.c.
 */
struct percpu_ref {
	atomic_long_t count;
	unsigned long percpu_count_ptr;
	percpu_ref_func_t *release;
	percpu_ref_func_t *confirm_switch;
	bool force_atomic : 1;
	struct rcu_head rcu;
};

BUILD_BUG_ON(sizeof(struct percpu_ref) != 56);

int __must_check percpu_ref_init(struct percpu_ref *ref, percpu_ref_func_t *release,
				 unsigned int flags, gfp_t gfp);
void percpu_ref_exit(struct percpu_ref *ref);
void percpu_ref_switch_to_atomic(struct percpu_ref *ref, percpu_ref_func_t *confirm_switch);
void percpu_ref_switch_to_atomic_sync(struct percpu_ref *ref);
void percpu_ref_switch_to_percpu(struct percpu_ref *ref);
void percpu_ref_kill_and_confirm(struct percpu_ref *ref, percpu_ref_func_t *confirm_kill);
void percpu_ref_reinit(struct percpu_ref *ref);
void __init percpu_refcount_init(void);

/*
 * The kernel takes what is done to a count as it comes.  These look at what a
 * get or put in atomic mode has found, like KASAN at memory: @word is
 * percpu_count_ptr as it was read, @count what the operation has left.
 */
static inline bool debug_percpu_ref_exited(unsigned long word)
{
	/* What is left once the counters are gone are the two flags. */
	return !(word & ~(unsigned long)__PERCPU_REF_ATOMIC_DEAD);
}
void debug_percpu_ref_get(unsigned long word, long count, unsigned long nr);
bool debug_percpu_ref_put(unsigned long word, long count);

/**
 * percpu_ref_kill() - drop the initial reference and let no new user in
 * @ref: a live reference count
 *
 * percpu_ref_kill_and_confirm() for those who need not know when.
 */
static inline void percpu_ref_kill(struct percpu_ref *ref)
{
	percpu_ref_kill_and_confirm(ref, NULL);
}

/*
 * Is the count kept in @counters?  One read of the word decides the mode and
 * yields the address, so the two cannot disagree.  Either flag means no: a
 * kill sets DEAD before ATOMIC.
 */
static inline bool __ref_is_percpu(const struct percpu_ref *ref, unsigned long **counters)
{
	unsigned long word = READ_ONCE(ref->percpu_count_ptr);

	*counters = (unsigned long *)word;
	return likely(!(word & __PERCPU_REF_ATOMIC_DEAD));
}

/**
 * percpu_ref_is_dying() - has it been killed?
 * @ref: reference count, possibly exited
 *
 * Takes no lock: true may be news to other CPUs.
 */
static inline bool percpu_ref_is_dying(const struct percpu_ref *ref)
{
	return READ_ONCE(ref->percpu_count_ptr) & __PERCPU_REF_DEAD;
}

/**
 * percpu_ref_is_zero() - have all references been dropped?
 * @ref: reference count
 *
 * Never in per-CPU mode, nor before a kill's grace period has ended.
 */
static inline bool percpu_ref_is_zero(const struct percpu_ref *ref)
{
	unsigned long *counters;

	if (__ref_is_percpu(ref, &counters))
		return false;
	return atomic_long_read(&ref->count) == 0;
}

/**
 * percpu_ref_get_many() - take several references
 * @ref: reference count of which the caller holds a reference
 * @nr: how many
 *
 * Nothing is checked: on a count of zero this is a resurrection.
 *
 * mirrors include/linux/percpu-refcount.h:percpu_ref_get_many, v4.19
 *
 * Context: any.
 */
static inline void percpu_ref_get_many(struct percpu_ref *ref, unsigned long nr)
{
	unsigned long *counters;

	rcu_read_lock_sched();
	if (__ref_is_percpu(ref, &counters))
		this_cpu_add(*counters, nr);
	else
		debug_percpu_ref_get((unsigned long)counters,
				     atomic_long_add_return((long)nr, &ref->count), nr);
	rcu_read_unlock_sched();
}

/* percpu_ref_get_many() for one. */
static inline void percpu_ref_get(struct percpu_ref *ref)
{
	percpu_ref_get_many(ref, 1);
}

/**
 * percpu_ref_tryget() - take a reference unless there are none left
 * @ref: reference count
 *
 * Succeeds on a dying count as long as somebody holds it.
 *
 * mirrors include/linux/percpu-refcount.h:percpu_ref_tryget, v4.19
 *
 * Context: any.
 * Return: true if the reference was taken.
 */
static inline bool percpu_ref_tryget(struct percpu_ref *ref)
{
	unsigned long *counters;
	bool taken = true;

	rcu_read_lock_sched();
	if (__ref_is_percpu(ref, &counters))
		this_cpu_add(*counters, 1);
	else if ((taken = atomic_long_inc_not_zero(&ref->count)))
		/* Somebody held it, however many: it may only have been exited. */
		debug_percpu_ref_get((unsigned long)counters, 2, 1);
	rcu_read_unlock_sched();
	return taken;
}

/**
 * percpu_ref_tryget_live() - take a reference unless it has been killed
 * @ref: reference count
 *
 * Only after a kill has been confirmed is it certain to fail on every CPU.
 *
 * mirrors include/linux/percpu-refcount.h:percpu_ref_tryget_live, v4.19
 *
 * Context: any.
 * Return: true if the reference was taken.
 */
static inline bool percpu_ref_tryget_live(struct percpu_ref *ref)
{
	unsigned long *counters;
	bool taken = true;

	rcu_read_lock_sched();
	if (__ref_is_percpu(ref, &counters))
		this_cpu_add(*counters, 1);
	else if (percpu_ref_is_dying(ref))
		taken = false;
	else
		taken = atomic_long_inc_not_zero(&ref->count);
	rcu_read_unlock_sched();
	return taken;
}

/**
 * percpu_ref_put_many() - drop several references
 * @ref: reference count
 * @nr: how many
 *
 * Calls @ref->release if that leaves exactly none in atomic mode, inside the
 * read section: release may free @ref but not sleep.
 *
 * mirrors include/linux/percpu-refcount.h:percpu_ref_put_many, v4.19
 *
 * Context: any.
 */
static inline void percpu_ref_put_many(struct percpu_ref *ref, unsigned long nr)
{
	unsigned long *counters;

	rcu_read_lock_sched();
	if (__ref_is_percpu(ref, &counters))
		this_cpu_sub(*counters, nr);
	else if (unlikely(debug_percpu_ref_put((unsigned long)counters,
					       atomic_long_sub_return((long)nr, &ref->count))))
		ref->release(ref);
	rcu_read_unlock_sched();
}

/* percpu_ref_put_many() for one. */
static inline void percpu_ref_put(struct percpu_ref *ref)
{
	percpu_ref_put_many(ref, 1);
}

#endif
