// SPDX-License-Identifier: GPL-2.0-only
/* Operations on radix trees of the host, and loops that time a lookup. */
#include <linux/percpu-refcount.h>

#include "ops.h"

#include <linux/kernel.h>
#include <linux/mutex.h>
#include <linux/radix-tree.h>
#include <linux/slab.h>

/* Items are small numbers of the host, shifted clear of the tag bits. */
#define ITEM(i) ((void *)(uintptr_t)((unsigned long)args[i] << 2))
#define ITEM_NUMBER(p) ((int64_t)((uintptr_t)(p) >> 2))

static int64_t op_new(const int64_t *args)
{
	struct radix_tree_root *root = kzalloc(sizeof(*root), GFP_KERNEL);

	(void)args;
	if (root)
		INIT_RADIX_TREE(root, GFP_KERNEL);
	return object_new('T', root, root);
}

static int64_t op_insert(const int64_t *args)
{
	if (args[2] < 0 || args[2] > 63)
		return bad_argument("order must be 0..63");
	if (args[3] < 1 || args[3] >= 1L << 60)
		return bad_argument("an item is a number from 1 to 2^60 - 1");
	return __radix_tree_insert(ARG(struct radix_tree_root, 0), (unsigned long)args[1],
				   (unsigned int)args[2], ITEM(3));
}

static int64_t op_lookup(const int64_t *args)
{
	return ITEM_NUMBER(
		radix_tree_lookup(ARG(struct radix_tree_root, 0), (unsigned long)args[1]));
}

static int64_t op_delete(const int64_t *args)
{
	return ITEM_NUMBER(
		radix_tree_delete(ARG(struct radix_tree_root, 0), (unsigned long)args[1]));
}

static int64_t op_delete_item(const int64_t *args)
{
	if (args[2] < 0 || args[2] >= 1L << 60)
		return bad_argument("an item is a number from 1 to 2^60 - 1");
	return ITEM_NUMBER(radix_tree_delete_item(ARG(struct radix_tree_root, 0),
						  (unsigned long)args[1], ITEM(2)));
}

static int64_t op_empty(const int64_t *args)
{
	return radix_tree_empty(ARG(struct radix_tree_root, 0));
}

/* Inserts @n single entries (order 0) or blocks of @order from @first on. */
static int64_t op_fill(const int64_t *args)
{
	struct radix_tree_root *root = ARG(struct radix_tree_root, 0);
	unsigned long step;
	int64_t i;
	int error;

	if (args[2] < 0 || args[2] > 1 << 22 || args[3] < 0 || args[3] > 20)
		return bad_argument("at most 2^22 entries of order at most 20");
	step = 1UL << args[3];
	watchdog_off();
	for (i = 0; i < args[2]; i++) {
		error = __radix_tree_insert(root, (unsigned long)args[1] + (unsigned long)i * step,
					    (unsigned int)args[3], (void *)4UL);
		if (error)
			return error;
	}
	return 0;
}

/* Looks up @n keys at random among @span from @first on. */
static int64_t op_lookup_loop(const int64_t *args)
{
	const struct radix_tree_root *root = ARG(struct radix_tree_root, 0);
	unsigned long first = (unsigned long)args[1], mask = (unsigned long)args[2] - 1;
	unsigned long x = 88172645463325252UL;
	int64_t hits = 0;

	if (args[2] < 1 || (args[2] & (args[2] - 1)) || args[3] < 0 || args[3] > 1L << 32)
		return bad_argument("span must be a power of two");
	watchdog_off();
	for (int64_t i = 0; i < args[3]; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		hits += radix_tree_lookup(root, first + (x & mask)) != NULL;
	}
	return hits;
}

/* The same loop without the lookup: what to subtract. */
static int64_t op_empty_loop(const int64_t *args)
{
	unsigned long first = (unsigned long)args[0], mask = (unsigned long)args[1] - 1;
	unsigned long x = 88172645463325252UL;
	int64_t hits = 0;

	if (args[1] < 1 || (args[1] & (args[1] - 1)) || args[2] < 0 || args[2] > 1L << 32)
		return bad_argument("span must be a power of two");
	watchdog_off();
	for (int64_t i = 0; i < args[2]; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		hits += (first + (x & mask)) != 0;
		barrier();
	}
	return hits;
}

static const struct op ops[] = {
	OP("radix_tree_new", "", "T", op_new),
	OP("radix_tree_insert", "Tiii", "e", op_insert),
	OP("radix_tree_lookup", "Ti", "u", op_lookup),
	OP("radix_tree_delete", "Ti", "u", op_delete),
	OP("radix_tree_delete_item", "Tii", "u", op_delete_item),
	OP("radix_tree_empty", "T", "b", op_empty),
	OP("radix_tree_fill", "Tiii", "e", op_fill),
	OP("radix_tree_lookup_loop", "Tiii", "u", op_lookup_loop),
	OP("empty_loop", "iii", "u", op_empty_loop),
};
OP_TABLE(ops_radix, ops);
