/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_REF_TEST_H
#define _LINUX_REF_TEST_H

#include <linux/atomic.h>

/**
 * struct ref_test - a count that its owner kills while users come and go
 * @count: references, the owner's included
 * @dead: the owner has killed it
 * @freed: the last reference is gone
 */
struct ref_test {
	atomic_t count;
	int dead;
	int freed;
};

void ref_test_init(struct ref_test *ref);
void ref_test_kill(struct ref_test *ref);
bool ref_test_use(struct ref_test *ref);

#endif
