/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_RADIX_TREE_H
#define _LINUX_RADIX_TREE_H

#include <linux/compiler.h>
#include <linux/types.h>

#define RADIX_TREE_MAP_SHIFT 6
#define RADIX_TREE_MAP_SIZE (1UL << RADIX_TREE_MAP_SHIFT)
#define RADIX_TREE_MAP_MASK (RADIX_TREE_MAP_SIZE - 1)
#define RADIX_TREE_MAX_TAGS 3

/* Low two bits of what a slot holds. */
#define RADIX_TREE_ENTRY_MASK 3UL
#define RADIX_TREE_INTERNAL_NODE 1UL
#define RADIX_TREE_EXCEPTIONAL_ENTRY 2UL

/**
 * struct radix_tree_node - 64 slots of one level
 * @shift: bits of the key below this level; never changes
 * @offset: slot of @parent that holds this node
 * @count: slots in use, siblings and children included
 * @exceptional: slots in use by exceptional entries, siblings included
 * @parent: node above, NULL at the top
 * @root: tree it belongs to
 * @rcu_head: for the deferred free
 * @slots: children, items, siblings; see lib/radix_tree.c
 * @tags: one bitmap per tag; nobody here tags
 *
 * The order of the fields matters: it decides which slots lie on a 64-byte
 * boundary, see lib/radix_tree.c.
 */
struct radix_tree_node {
	unsigned char shift;
	unsigned char offset;
	unsigned char count;
	unsigned char exceptional;
	struct radix_tree_node *parent;
	struct radix_tree_root *root;
	struct rcu_head rcu_head;
	void __rcu *slots[RADIX_TREE_MAP_SIZE];
	unsigned long tags[RADIX_TREE_MAX_TAGS][1];
};

/**
 * struct radix_tree_root - a tree
 * @gfp_mask: how its nodes are allocated
 * @rnode: NULL, a bare item for index 0, or the tagged top node
 */
struct radix_tree_root {
	gfp_t gfp_mask;
	void __rcu *rnode;
};

#define RADIX_TREE_INIT(mask)                      \
	{                                          \
		.gfp_mask = (mask), .rnode = NULL, \
	}

/* An empty tree at *@root whose nodes are allocated with @mask. */
static inline void INIT_RADIX_TREE(struct radix_tree_root *root, gfp_t mask)
{
	root->gfp_mask = mask;
	root->rnode = NULL;
}

/**
 * radix_tree_empty() - does the tree hold nothing at all?
 * @root: tree
 *
 * Inner nodes left over from an insert that ran out of memory count as
 * something.
 */
static inline bool radix_tree_empty(const struct radix_tree_root *root)
{
	return !READ_ONCE(root->rnode);
}

/* Does @entry belong to the tree itself: child node, sibling or retry mark? */
static inline bool radix_tree_is_internal_node(const void *entry)
{
	return !(((unsigned long)entry - RADIX_TREE_INTERNAL_NODE) & RADIX_TREE_ENTRY_MASK);
}

static inline bool radix_tree_exceptional_entry(const void *entry)
{
	return (unsigned long)entry & RADIX_TREE_EXCEPTIONAL_ENTRY;
}

/* @order is below 64.  The rest is documented at the functions. */
int __radix_tree_insert(struct radix_tree_root *root, unsigned long index, unsigned int order,
			void *item);
void *radix_tree_lookup(const struct radix_tree_root *root, unsigned long index);
void **radix_tree_lookup_slot(const struct radix_tree_root *root, unsigned long index);
void *radix_tree_delete(struct radix_tree_root *root, unsigned long index);
void *radix_tree_delete_item(struct radix_tree_root *root, unsigned long index, void *item);
void radix_tree_replace_slot(struct radix_tree_root *root, void **slot, void *item);

static inline int radix_tree_insert(struct radix_tree_root *root, unsigned long index, void *item)
{
	return __radix_tree_insert(root, index, 0, item);
}

#endif
