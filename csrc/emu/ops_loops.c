// SPDX-License-Identifier: GPL-2.0-only
/* Operations that are there to be timed, and yardsticks for them. */
#include <linux/percpu-refcount.h>

#include "ops.h"

#include <linux/kernel.h>
#include <linux/memremap.h>

static int64_t op_pagemap_loop(const int64_t *args)
{
	struct dev_pagemap *pgmap = NULL;
	int64_t hits = 0;

	if (!pfn_in_range(args[0]) || args[2] < 0 || args[2] > 1L << 32)
		return bad_argument("a pfn and a number of rounds");
	watchdog_off();
	if (args[1] == 2) { /* the pagemap in hand answers */
		pgmap = get_dev_pagemap((unsigned long)args[0], NULL);
		for (int64_t i = 0; i < args[2]; i++) {
			barrier();
			hits += get_dev_pagemap((unsigned long)args[0], pgmap) != NULL;
		}
		put_dev_pagemap(pgmap);
		return hits;
	}
	for (int64_t i = 0; i < args[2]; i++) {
		pgmap = get_dev_pagemap((unsigned long)args[0], NULL);
		hits += pgmap != NULL;
		put_dev_pagemap(pgmap);
	}
	return hits;
}

/* The yardstick of references: an atomic increment and decrement, and no mark for either. */
static noinline int64_t __untracked atomic_pairs(int64_t n)
{
	long counter = 1;

	for (int64_t i = 0; i < n; i++) {
		__atomic_add_fetch(&counter, 1, __ATOMIC_SEQ_CST);
		barrier();
		__atomic_sub_fetch(&counter, 1, __ATOMIC_SEQ_CST);
		barrier();
	}
	return 0;
}

static int64_t op_ref_loop(const int64_t *args)
{
	struct percpu_ref *ref = ARG(struct percpu_ref, 0);
	int64_t hits = 0;

	if (args[2] < 0 || args[2] > 1L << 32)
		return bad_argument("a number of rounds");
	watchdog_off();
	if (args[1])
		return atomic_pairs(args[2]);
	for (int64_t i = 0; i < args[2]; i++) {
		if (percpu_ref_tryget_live(ref)) {
			barrier();
			percpu_ref_put(ref);
			hits++;
		}
	}
	return hits;
}

#define STACK_FRAME 512L

/* A frame of its own for each call, and the compiler knows no way around it. */
static noinline int64_t use_stack(int64_t bytes)
{
	volatile char frame[STACK_FRAME];

	frame[0] = 1;
	frame[STACK_FRAME - 1] = 2;
	return bytes > STACK_FRAME ? use_stack(bytes - STACK_FRAME) + frame[0] : frame[0];
}

/* A call chain of about so many bytes, for whoever wants to see where stacks end. */
static int64_t op_use_stack(const int64_t *args)
{
	return use_stack(args[0]);
}

/* The yardstick of a restore: copies 4 KiB from here to there. */
static int64_t op_copy_loop(const int64_t *args)
{
	char from[4096] = { 1 }, to[4096];

	if (args[0] < 0 || args[0] > 1L << 32)
		return bad_argument("a number of rounds");
	for (int64_t i = 0; i < args[0]; i++) {
		__builtin_memcpy(to, from, sizeof(to));
		__asm__ volatile("" : : "r"(to), "r"(from) : "memory");
	}
	return 0;
}

static const struct op ops[] = {
	OP("get_dev_pagemap_loop", "iii", "u", op_pagemap_loop),
	OP("percpu_ref_loop", "Rii", "u", op_ref_loop),
	OP("copy_4k_loop", "i", "v", op_copy_loop),
	OP("use_stack", "i", "i", op_use_stack),
};
OP_TABLE(ops_loops, ops);
