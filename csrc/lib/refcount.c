// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reference counts that warn instead of wrapping.
 *
 * Zero is final: an object whose count has been zero is being freed, so taking
 * a reference then is a use after free and leaves the count alone.  UINT_MAX is
 * final too: a count that got there has lost its meaning, and an object that is
 * never freed is better than one that is freed twice.
 */

#include <linux/bug.h>
#include <linux/export.h>
#include <linux/refcount.h>
#include <limits.h>

static bool refcount_change(refcount_t *r, int *old, unsigned int new)
{
	return __atomic_compare_exchange_n(&r->refs.counter, old, (int)new, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

/**
 * refcount_inc_not_zero_checked() - take a reference if the object still lives
 * @r: the count
 *
 * mirrors lib/refcount.c:refcount_inc_not_zero_checked, v4.19
 *
 * Return: false if the count was zero.
 */
bool refcount_inc_not_zero_checked(refcount_t *r)
{
	int old = atomic_read(&r->refs);

	do {
		if (old == 0)
			return false;
		if ((unsigned int)old == UINT_MAX)
			return true;
	} while (!refcount_change(r, &old, (unsigned int)old + 1));
	WARN_ONCE((unsigned int)old + 1 == UINT_MAX, "refcount_t: saturated; leaking memory.\n");
	return true;
}
EXPORT_SYMBOL(refcount_inc_not_zero_checked);

/**
 * refcount_inc_checked() - take another reference
 * @r: the count, which the caller knows not to be zero
 *
 * mirrors lib/refcount.c:refcount_inc_checked, v4.19
 */
void refcount_inc_checked(refcount_t *r)
{
	WARN_ONCE(!refcount_inc_not_zero_checked(r),
		  "refcount_t: increment on 0; use-after-free.\n");
}
EXPORT_SYMBOL(refcount_inc_checked);

/**
 * refcount_sub_and_test_checked() - drop several references
 * @i: how many
 * @r: the count
 *
 * mirrors lib/refcount.c:refcount_sub_and_test_checked, v4.19
 *
 * Return: true if these were the last.
 */
bool refcount_sub_and_test_checked(unsigned int i, refcount_t *r)
{
	int old = atomic_read(&r->refs);

	do {
		if ((unsigned int)old == UINT_MAX)
			return false;
		if ((unsigned int)old < i) {
			WARN_ONCE(1, "refcount_t: underflow; use-after-free.\n");
			return false;
		}
	} while (!refcount_change(r, &old, (unsigned int)old - i));
	return (unsigned int)old == i;
}
EXPORT_SYMBOL(refcount_sub_and_test_checked);

/**
 * refcount_dec_and_test_checked() - drop one reference
 * @r: the count
 *
 * mirrors lib/refcount.c:refcount_dec_and_test_checked, v4.19
 *
 * Return: true if it was the last.
 */
bool refcount_dec_and_test_checked(refcount_t *r)
{
	return refcount_sub_and_test_checked(1, r);
}
EXPORT_SYMBOL(refcount_dec_and_test_checked);
