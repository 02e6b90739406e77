/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_REFCOUNT_H
#define _LINUX_REFCOUNT_H

#include <linux/atomic.h>

/**
 * struct refcount_struct - reference count that refuses to be misused
 * @refs: the count; 0 is final, UINT_MAX saturated
 */
typedef struct refcount_struct {
	atomic_t refs;
} refcount_t;

#define REFCOUNT_INIT(n)               \
	{                              \
		.refs = ATOMIC_INIT(n) \
	}

static inline void refcount_set(refcount_t *r, unsigned int n)
{
	atomic_set(&r->refs, (int)n);
}

static inline unsigned int refcount_read(const refcount_t *r)
{
	return (unsigned int)atomic_read(&r->refs);
}

/* All checked, as with CONFIG_REFCOUNT_FULL: lib/refcount.c. */
bool refcount_inc_not_zero_checked(refcount_t *r);
void refcount_inc_checked(refcount_t *r);
bool refcount_sub_and_test_checked(unsigned int i, refcount_t *r);
bool refcount_dec_and_test_checked(refcount_t *r);

#define refcount_inc_not_zero refcount_inc_not_zero_checked
#define refcount_inc refcount_inc_checked
#define refcount_sub_and_test refcount_sub_and_test_checked
#define refcount_dec_and_test refcount_dec_and_test_checked

#endif
