// SPDX-License-Identifier: GPL-2.0-only
/*
 * Radix tree with entries that cover 2^order keys.
 *
 * A node resolves six bits of the key.  What a slot holds tells itself apart
 * by its low bits:
 *
 *	00, 10	an item (10: an exceptional one), or NULL
 *	01	something of the tree: a child node, a sibling, or the retry mark
 *
 *	root -> [ shift 6 | . | N | . | ... ]
 *			        |
 *			        v
 *		[ shift 0 | A | s | s | s | B | ... ]
 *			    ^   |   |   |
 *			    +---+---+---+
 *
 * An entry of order k lives at the level whose shift is k rounded down to a
 * multiple of six, in 2^(k mod 6) consecutive slots: the head holds the item
 * (A), the others point at the head's slot (s).  So a lookup ends at the first
 * slot that is not a child, whatever the level, after at most one hop more; a
 * value is replaced for the whole block by one store; and an entry of order 15
 * costs two nodes and not 32768 slots.  The price is that the tree cannot say
 * where an entry begins or ends, and that a block whose keys hold nothing but
 * an empty leftover node looks occupied.
 *
 * Telling child from sibling must not cost a lookup anything.  Nodes are
 * allocated on 64-byte boundaries, so a child's tagged address has 000001 in
 * its low six bits.  A sibling is the tagged address of a head with at least
 * two slots, which therefore has an even index; the slots array begins 40
 * bytes into the node, so a slot on a 64-byte boundary has index 3 mod 8, and
 * no sibling looks like a child.  The retry mark is given other bits too.  And
 * as a node's level is always one below its parent's, no node but the top one
 * is asked for its shift.
 *
 * Readers hold only rcu_read_lock().  A node is complete when it is published,
 * its shift never changes, and it is freed after a grace period; so a reader
 * with a stale node still finds what it would have found when it came.  There
 * is one exception: when the last bottom node goes away because its only item
 * moves into the root, the item could be deleted from the root later and the
 * stale node would go on showing it.  The mark left in that slot sends such a
 * reader back to the root.
 *
 * Writers are serialised by their callers.
 */
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/radix-tree.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#define RADIX_TREE_NODE_ALIGN 64UL
#define RADIX_TREE_FIRST_ALIGNED_SLOT                                        \
	((RADIX_TREE_NODE_ALIGN -                                            \
	  offsetof(struct radix_tree_node, slots) % RADIX_TREE_NODE_ALIGN) / \
	 sizeof(void *))

BUILD_BUG_ON(sizeof(struct radix_tree_node) != 576);
BUILD_BUG_ON(RADIX_TREE_FIRST_ALIGNED_SLOT % 2 == 0);

/* Internal by its low two bits, but the address of no node and no slot. */
#define RADIX_TREE_RETRY ((void *)(4UL | RADIX_TREE_INTERNAL_NODE))

static inline void *node_to_entry(void *ptr)
{
	return (void *)((unsigned long)ptr | RADIX_TREE_INTERNAL_NODE);
}

static inline struct radix_tree_node *entry_to_node(const void *entry)
{
	return (void *)((unsigned long)entry - RADIX_TREE_INTERNAL_NODE);
}

static inline void **entry_to_slot(const void *entry)
{
	return (void **)((unsigned long)entry - RADIX_TREE_INTERNAL_NODE);
}

static inline bool is_child(const void *entry)
{
	return !(((unsigned long)entry - RADIX_TREE_INTERNAL_NODE) & (RADIX_TREE_NODE_ALIGN - 1));
}

/* Largest index below a node of @shift, all ones if that is every index. */
static unsigned long shift_maxindex(unsigned int shift)
{
	unsigned int bits = shift + RADIX_TREE_MAP_SHIFT;

	return bits >= BITS_PER_LONG ? ~0UL : BIT(bits) - 1;
}

/*
 * Find what covers @index, and on the way the slot that holds it (the head's
 * for a sibling) and the node of that slot (NULL for the root pointer).
 */
static __always_inline void *__radix_tree_lookup(const struct radix_tree_root *root,
						 unsigned long index,
						 struct radix_tree_node **nodep, void ***slotp)
{
	struct radix_tree_node *node;
	unsigned long offset;
	unsigned int shift;
	void *entry;

restart:
	*nodep = NULL;
	*slotp = (void **)&root->rnode;
	entry = rcu_dereference_raw(root->rnode);
	if (unlikely(!is_child(entry)))
		return index ? NULL : entry;

	node = entry_to_node(entry);
	shift = node->shift;
	offset = index >> shift;
	if (unlikely(offset > RADIX_TREE_MAP_MASK))
		return NULL;

	entry = rcu_dereference_raw(node->slots[offset]);
	while (is_child(entry)) {
		node = entry_to_node(entry);
		shift -= RADIX_TREE_MAP_SHIFT;
		offset = (index >> shift) & RADIX_TREE_MAP_MASK;
		entry = rcu_dereference_raw(node->slots[offset]);
	}
	*nodep = node;
	*slotp = &node->slots[offset];

	/*
	 * The head is read after its sibling: a writer may have put anything
	 * there in between, and then the root knows better.
	 */
	if (radix_tree_is_internal_node(entry)) {
		if (unlikely(entry == RADIX_TREE_RETRY))
			goto restart;
		*slotp = entry_to_slot(entry);
		entry = rcu_dereference_raw(**slotp);
		if (unlikely(radix_tree_is_internal_node(entry)))
			goto restart;
	}
	return entry;
}

/**
 * radix_tree_lookup() - find the item that covers an index
 * @root: tree
 * @index: any index of the item's block
 *
 * mirrors lib/radix-tree.c:radix_tree_lookup, v4.19
 *
 * Context: any; under rcu_read_lock() if writers may be about, and then the
 * item is as valid as its owner's rules make it.
 * Return: the item, or NULL.
 */
void *radix_tree_lookup(const struct radix_tree_root *root, unsigned long index)
{
	struct radix_tree_node *node;
	void **slot;

	return __radix_tree_lookup(root, index, &node, &slot);
}
EXPORT_SYMBOL(radix_tree_lookup);

/**
 * radix_tree_lookup_slot() - find the slot of the item that covers an index
 * @root: tree
 * @index: any index of the item's block
 *
 * mirrors lib/radix-tree.c:radix_tree_lookup_slot, v4.19
 *
 * Context: as radix_tree_lookup().
 * Return: the slot, for radix_tree_replace_slot(), or NULL.
 */
void **radix_tree_lookup_slot(const struct radix_tree_root *root, unsigned long index)
{
	struct radix_tree_node *node;
	void **slot;

	if (!__radix_tree_lookup(root, index, &node, &slot))
		return NULL;
	return slot;
}
EXPORT_SYMBOL(radix_tree_lookup_slot);

static struct radix_tree_node *radix_tree_node_alloc(struct radix_tree_root *root,
						     struct radix_tree_node *parent,
						     unsigned int shift, unsigned int offset)
{
	struct radix_tree_node *node = kzalloc(sizeof(*node), root->gfp_mask);

	if (!node)
		return NULL;
	node->shift = (unsigned char)shift;
	node->offset = (unsigned char)offset;
	node->parent = parent;
	node->root = root;
	return node;
}

static void radix_tree_node_rcu_free(struct rcu_head *head)
{
	kfree(container_of(head, struct radix_tree_node, rcu_head));
}

static void radix_tree_node_free(struct radix_tree_node *node)
{
	call_rcu(&node->rcu_head, radix_tree_node_rcu_free);
}

/*
 * Put new top nodes above what the root holds until @index is below it, and
 * tell the shift above the top node in @shift.  An empty tree is as tall as
 * one likes, so it gets no nodes here; the descent makes them.
 */
static int radix_tree_extend(struct radix_tree_root *root, unsigned long index, unsigned int *shift)
{
	void *entry = root->rnode;
	struct radix_tree_node *node;
	unsigned int top = *shift;

	while (index > shift_maxindex(top))
		top += RADIX_TREE_MAP_SHIFT;

	for (; entry && *shift <= top; *shift += RADIX_TREE_MAP_SHIFT) {
		node = radix_tree_node_alloc(root, NULL, *shift, 0);
		if (!node)
			return -ENOMEM;
		node->count = 1;
		if (is_child(entry))
			entry_to_node(entry)->parent = node;
		else
			node->exceptional = radix_tree_exceptional_entry(entry);
		node->slots[0] = entry;
		entry = node_to_entry(node);
		rcu_assign_pointer(root->rnode, entry);
	}
	*shift = top + RADIX_TREE_MAP_SHIFT;
	return 0;
}

/*
 * Make the node that an entry of @order at @index belongs in.  Stops earlier
 * at an item, which the caller then finds in the slot.
 */
static int radix_tree_create(struct radix_tree_root *root, unsigned long index, unsigned int order,
			     struct radix_tree_node **nodep, void ***slotp)
{
	unsigned long last = index | (BIT(order) - 1);
	struct radix_tree_node *node = NULL;
	void **slot = &root->rnode;
	unsigned int shift = 0;
	unsigned long maxindex = 0;
	unsigned int offset = 0;
	int error;

	if (is_child(root->rnode)) {
		shift = entry_to_node(root->rnode)->shift;
		maxindex = shift_maxindex(shift);
		shift += RADIX_TREE_MAP_SHIFT;
	}

	/*
	 * A block at index 0 may fill the span of a tree exactly and would
	 * then be put in the root pointer, where an item stands for index 0
	 * alone.  Asking for one index more puts a node above it.
	 */
	if (order && last == BIT(order) - 1)
		last++;

	if (last > maxindex) {
		error = radix_tree_extend(root, last, &shift);
		if (error)
			return error;
	}

	while (shift > order) {
		shift -= RADIX_TREE_MAP_SHIFT;
		if (!*slot) {
			struct radix_tree_node *child;

			child = radix_tree_node_alloc(root, node, shift, offset);
			if (!child)
				return -ENOMEM;
			rcu_assign_pointer(*slot, node_to_entry(child));
			if (node)
				node->count++;
		} else if (!is_child(*slot)) {
			break;
		}
		node = entry_to_node(*slot);
		offset = (index >> shift) & RADIX_TREE_MAP_MASK;
		slot = &node->slots[offset];
	}

	*nodep = node;
	*slotp = slot;
	return 0;
}

/**
 * __radix_tree_insert() - insert an item for a block of indices
 * @root: tree
 * @index: any index of the block
 * @order: the block is the aligned one of 2^@order indices around @index
 * @item: not NULL, low two bits 00 or 10
 *
 * A failing insert shows nothing to readers, but the tree may have grown inner
 * nodes; those left empty are used by later smaller inserts and block larger
 * ones.
 *
 * mirrors lib/radix-tree.c:__radix_tree_insert, v4.19
 *
 * Context: writers serialised; may sleep if the tree's gfp mask says so.
 * Return: 0, -EEXIST if any index of the block is covered, -ENOMEM.
 */
int __radix_tree_insert(struct radix_tree_root *root, unsigned long index, unsigned int order,
			void *item)
{
	struct radix_tree_node *node;
	unsigned long i, n = 1;
	void **slot;
	int error;

	BUG_ON(radix_tree_is_internal_node(item));

	error = radix_tree_create(root, index, order, &node, &slot);
	if (error)
		return error;

	if (node && order > node->shift) {
		n = BIT(order - node->shift);
		slot = &node->slots[(unsigned long)(slot - node->slots) & ~(n - 1)];
	}
	for (i = 0; i < n; i++)
		if (slot[i])
			return -EEXIST;

	/* Head first: a sibling must never lead a reader to an empty head. */
	rcu_assign_pointer(slot[0], item);
	for (i = 1; i < n; i++)
		rcu_assign_pointer(slot[i], node_to_entry(slot));

	if (node) {
		node->count = (unsigned char)(node->count + n);
		if (radix_tree_exceptional_entry(item))
			node->exceptional = (unsigned char)(node->exceptional + n);
	}
	return 0;
}
EXPORT_SYMBOL(__radix_tree_insert);

/*
 * Store @item in @slot, the head of its entry.  Siblings follow by themselves
 * unless @item is NULL: then they are cleared, before the head.  Without
 * @node the counts cannot follow, which is only right if they stay the same
 * or there are none.
 */
static void __radix_tree_replace(struct radix_tree_root *root, struct radix_tree_node *node,
				 void **slot, void *item)
{
	void *old = *slot;
	int count = !!item - !!old;
	int exceptional = radix_tree_exceptional_entry(item) - radix_tree_exceptional_entry(old);

	WARN_ON_ONCE(!node && slot != &root->rnode && (count || exceptional));

	if (node && (count || exceptional)) {
		void **end = node->slots + RADIX_TREE_MAP_SIZE;
		void **s = slot;

		do {
			node->count = (unsigned char)(node->count + count);
			node->exceptional = (unsigned char)(node->exceptional + exceptional);
			if (s != slot && !item)
				WRITE_ONCE(*s, NULL);
		} while (++s < end && *s == node_to_entry(slot));
	}
	rcu_assign_pointer(*slot, item);
}

/**
 * radix_tree_replace_slot() - swap the item of an entry
 * @root: tree
 * @slot: what radix_tree_lookup_slot() returned
 * @item: new item, of the same kind (exceptional or not) as the old one
 *
 * mirrors lib/radix-tree.c:radix_tree_replace_slot, v4.19
 *
 * Context: writers serialised.
 */
void radix_tree_replace_slot(struct radix_tree_root *root, void **slot, void *item)
{
	__radix_tree_replace(root, NULL, slot, item);
}
EXPORT_SYMBOL(radix_tree_replace_slot);

/*
 * Take away top nodes that hold nothing but slot 0.  An item comes along only
 * from the bottom level: higher up it covers more than the index 0 that the
 * root pointer can stand for.
 */
static void radix_tree_shrink(struct radix_tree_root *root)
{
	while (is_child(root->rnode)) {
		struct radix_tree_node *node = entry_to_node(root->rnode);
		void *entry = node->slots[0];

		if (node->count != 1 || !entry)
			return;
		if (is_child(entry))
			entry_to_node(entry)->parent = NULL;
		else if (node->shift)
			return;

		rcu_assign_pointer(root->rnode, entry);
		node->count = 0;
		if (!is_child(entry))
			WRITE_ONCE(node->slots[0], RADIX_TREE_RETRY);
		radix_tree_node_free(node);
	}
}

/* Free @node and those above it as far as they are empty, then shrink. */
static void radix_tree_delete_node(struct radix_tree_root *root, struct radix_tree_node *node)
{
	struct radix_tree_node *parent;

	for (; !node->count; node = parent) {
		parent = node->parent;
		if (parent) {
			WRITE_ONCE(parent->slots[node->offset], NULL);
			parent->count--;
		} else {
			WRITE_ONCE(root->rnode, NULL);
		}
		radix_tree_node_free(node);
		if (!parent)
			return;
	}
	if (!node->parent)
		radix_tree_shrink(root);
}

/**
 * radix_tree_delete_item() - delete the entry that covers an index, if it is
 *	the expected one
 * @root: tree
 * @index: any index of the entry's block
 * @item: what must be there, or NULL for anything
 *
 * mirrors lib/radix-tree.c:radix_tree_delete_item, v4.19
 *
 * Context: writers serialised.  Readers may go on seeing the item until a
 * grace period has passed.
 * Return: the item, or NULL if it was absent or another one.
 */
void *radix_tree_delete_item(struct radix_tree_root *root, unsigned long index, void *item)
{
	struct radix_tree_node *node;
	void **slot;
	void *entry;

	entry = __radix_tree_lookup(root, index, &node, &slot);
	if (!entry || (item && entry != item))
		return NULL;

	__radix_tree_replace(root, node, slot, NULL);
	if (node)
		radix_tree_delete_node(root, node);
	return entry;
}
EXPORT_SYMBOL(radix_tree_delete_item);

/**
 * radix_tree_delete() - delete the entry that covers an index
 * @root: tree
 * @index: any index of the entry's block
 *
 * mirrors lib/radix-tree.c:radix_tree_delete, v4.19
 *
 * Context: as radix_tree_delete_item().
 * Return: the item, or NULL if it was absent.
 */
void *radix_tree_delete(struct radix_tree_root *root, unsigned long index)
{
	return radix_tree_delete_item(root, index, NULL);
}
EXPORT_SYMBOL(radix_tree_delete);
