// SPDX-License-Identifier: GPL-2.0-only
/*
 * The smallest protocol of kill, get and put: an owner kills a count, users
 * take a reference unless it is dead or zero, and whoever drops the last one
 * frees.  Every access is one that another CPU can see, so the number of its
 * interleavings is known, and a search over them can be held against it.
 */
#include <linux/bug.h>
#include <linux/export.h>
#include <linux/ref_test.h>

static noinline void ref_test_put(struct ref_test *ref)
{
	if (atomic_dec_and_test(&ref->count))
		WRITE_ONCE(ref->freed, 1);
}

/**
 * ref_test_init() - one reference, the owner's
 * @ref: count
 */
void ref_test_init(struct ref_test *ref)
{
	atomic_set(&ref->count, 1);
	WRITE_ONCE(ref->dead, 0);
	WRITE_ONCE(ref->freed, 0);
}

/**
 * ref_test_kill() - the owner: nobody new, and its reference goes
 * @ref: count
 */
void ref_test_kill(struct ref_test *ref)
{
	WRITE_ONCE(ref->dead, 1);
	ref_test_put(ref);
}

/**
 * ref_test_use() - a user: take a reference, look, drop it
 * @ref: count
 *
 * Return: has it got one?
 */
bool ref_test_use(struct ref_test *ref)
{
	int count;

	if (READ_ONCE(ref->dead))
		return false;
	count = atomic_read(&ref->count);
	if (!count || !atomic_try_cmpxchg(&ref->count, &count, count + 1))
		return false;
	WARN_ON(READ_ONCE(ref->freed));
	ref_test_put(ref);
	return true;
}
