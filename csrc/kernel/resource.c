// SPDX-License-Identifier: GPL-2.0-only
/*
 * The resource tree: insertion, removal, adjustment.
 *
 * Who holds which addresses is a tree of ranges.  The children of a node are
 * disjoint, lie inside it and are linked in ascending order, so one pass over
 * the siblings answers whether a range is free.  Everything here is built on
 * one primitive, __request_resource(), which links a range directly below a
 * node or says what is in the way; the node itself is the answer when the
 * range does not fit into it.
 *
 * Two kinds of user meet in the tree.  Firmware and buses describe what is
 * there, by request or by insertion, where insertion may push a new level
 * between two others.  Drivers claim what they use (resource_region.c): their
 * regions are BUSY, which means that nothing may nest below them.
 *
 * resource_lock protects all links.  It is a plain rwlock: process context only.
 */

#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/kernel_data.h>
#include <linux/printk.h>
#include <linux/spinlock.h>

#define resource_lock (kernel_data()->resource.resource_lock)
#define muxed_resource_wait (kernel_data()->resource.muxed_resource_wait)

EXPORT_SYMBOL(ioport_resource);
EXPORT_SYMBOL(iomem_resource);

/**
 * resource_init() - set up the two empty roots
 *
 * The memory root ends where the CPU's physical addresses do.
 */
void __init resource_init(void)
{
	unsigned int bits = kernel_data()->config.physical_bits;

	iomem_resource = (struct resource){
		.name = "PCI mem",
		.start = 0,
		.end = bits < 64 ? (1ULL << bits) - 1 : ~0ULL,
		.flags = IORESOURCE_MEM,
	};
	ioport_resource = (struct resource){
		.name = "PCI IO",
		.start = 0,
		.end = 0xffff,
		.flags = IORESOURCE_IO,
	};
	rwlock_init(&resource_lock);
	init_waitqueue_head(&muxed_resource_wait);
}

/* The pointer that leads to @res in its parent's list, or to the list's end. */
static struct resource **resource_slot(const struct resource *res)
{
	struct resource **slot = &res->parent->child;

	while (*slot && *slot != res)
		slot = &(*slot)->sibling;
	return slot;
}

/*
 * Links @new directly below @root.  Returns what is in the way: NULL if
 * nothing was, @root if @new is empty or does not fit into it.
 *
 * mirrors kernel/resource.c:__request_resource, v4.19
 */
struct resource *__request_resource(struct resource *root, struct resource *new)
{
	struct resource **slot = &root->child;

	if (new->end < new->start || new->start < root->start || new->end > root->end)
		return root;

	while (*slot && (*slot)->end < new->start)
		slot = &(*slot)->sibling;
	if (*slot && (*slot)->start <= new->end)
		return *slot;

	new->sibling = *slot;
	new->parent = root;
	*slot = new;
	return NULL;
}

/*
 * Unlinks @old, either with all that is below it or by putting its children
 * into its place.  In the second case @old keeps its stale child pointer.
 *
 * mirrors kernel/resource.c:__release_resource, v4.19
 */
int __release_resource(struct resource *old, bool release_child)
{
	struct resource **slot = resource_slot(old);
	struct resource *child;

	if (!*slot)
		return -EINVAL;

	if (release_child || !old->child) {
		*slot = old->sibling;
	} else {
		*slot = old->child;
		for (child = old->child;; child = child->sibling) {
			child->parent = old->parent;
			if (!child->sibling)
				break;
		}
		child->sibling = old->sibling;
	}
	old->parent = NULL;
	return 0;
}

/**
 * request_resource_conflict() - claim a range directly below a root
 * @root: where
 * @new: what
 *
 * Context: process.  Return: NULL, or the resource that is in the way.
 *
 * mirrors kernel/resource.c:request_resource_conflict, v4.19
 */
struct resource *request_resource_conflict(struct resource *root, struct resource *new)
{
	struct resource *conflict;

	write_lock(&resource_lock);
	conflict = __request_resource(root, new);
	write_unlock(&resource_lock);
	return conflict;
}

/**
 * request_resource() - claim a range directly below a root
 * @root: where
 * @new: what
 *
 * Context: process.  Return: 0 or -EBUSY.
 *
 * mirrors kernel/resource.c:request_resource, v4.19
 */
int request_resource(struct resource *root, struct resource *new)
{
	return request_resource_conflict(root, new) ? -EBUSY : 0;
}
EXPORT_SYMBOL(request_resource);

/**
 * release_resource() - unlink a resource together with its subtree
 * @old: a linked resource
 *
 * Context: process.  Return: 0, or -EINVAL if its parent does not list it.
 *
 * mirrors kernel/resource.c:release_resource, v4.19
 */
int release_resource(struct resource *old)
{
	int ret;

	write_lock(&resource_lock);
	ret = __release_resource(old, true);
	write_unlock(&resource_lock);
	return ret;
}
EXPORT_SYMBOL(release_resource);

/**
 * remove_resource() - unlink a resource, its children move up
 * @old: a linked resource
 *
 * The inverse of insert_resource().
 *
 * Context: process.  Return: 0, or -EINVAL if its parent does not list it.
 *
 * mirrors kernel/resource.c:remove_resource, v4.19
 */
int remove_resource(struct resource *old)
{
	int ret;

	write_lock(&resource_lock);
	ret = __release_resource(old, false);
	write_unlock(&resource_lock);
	return ret;
}
EXPORT_SYMBOL_GPL(remove_resource);

/*
 * Goes down from @parent to the deepest resource that strictly contains @new
 * and links it there; resources that lie inside @new become its children.  Of
 * two equal ranges the later one becomes the parent.
 *
 * mirrors kernel/resource.c:__insert_resource, v4.19
 */
static struct resource *__insert_resource(struct resource *parent, struct resource *new)
{
	struct resource *first, *last, *res, **slot;

	for (;; parent = first) {
		first = __request_resource(parent, new);
		if (!first)
			return NULL;
		if (first == parent)
			return first;
		if (WARN_ON(first == new))
			return first;
		if (first->start > new->start || first->end < new->end)
			break;
		if (first->start == new->start && first->end == new->end)
			break;
	}

	/* Everything from @first to @last goes below @new, or nothing does. */
	for (last = first;; last = last->sibling) {
		if (last->start < new->start || last->end > new->end)
			return last;
		if (!last->sibling || last->sibling->start > new->end)
			break;
	}

	slot = resource_slot(first);
	new->parent = parent;
	new->sibling = last->sibling;
	new->child = first;
	last->sibling = NULL;
	for (res = first; res; res = res->sibling)
		res->parent = new;
	*slot = new;
	return NULL;
}

/**
 * insert_resource_conflict() - insert a range at the level where it belongs
 * @parent: uppermost possible parent
 * @new: what; its child pointer is overwritten if it gets children
 *
 * Context: process.  Return: NULL, or the resource that is in the way.
 *
 * mirrors kernel/resource.c:insert_resource_conflict, v4.19
 */
struct resource *insert_resource_conflict(struct resource *parent, struct resource *new)
{
	struct resource *conflict;

	write_lock(&resource_lock);
	conflict = __insert_resource(parent, new);
	write_unlock(&resource_lock);
	return conflict;
}

/**
 * insert_resource() - insert a range at the level where it belongs
 * @parent: uppermost possible parent
 * @new: what
 *
 * Context: process.  Return: 0, or -EBUSY if a resource overlaps partially.
 *
 * mirrors kernel/resource.c:insert_resource, v4.19
 */
int insert_resource(struct resource *parent, struct resource *new)
{
	return insert_resource_conflict(parent, new) ? -EBUSY : 0;
}
EXPORT_SYMBOL_GPL(insert_resource);

/**
 * insert_resource_expand_to_fit() - insert a range, widened over all overlaps
 * @root: uppermost possible parent
 * @new: what; nothing happens if it is linked already or leaves @root
 *
 * Context: process.
 *
 * mirrors kernel/resource.c:insert_resource_expand_to_fit, v4.19
 */
void insert_resource_expand_to_fit(struct resource *root, struct resource *new)
{
	struct resource *conflict;

	if (new->parent)
		return;

	write_lock(&resource_lock);
	while ((conflict = __insert_resource(root, new)) && conflict != root) {
		new->start = min(new->start, conflict->start);
		new->end = max(new->end, conflict->end);
		printk("Expanded resource %s due to conflict with %s\n", new->name, conflict->name);
	}
	write_unlock(&resource_lock);
}

/* mirrors kernel/resource.c:__adjust_resource, v4.19; resource_lock held */
int __adjust_resource(struct resource *res, resource_size_t start, resource_size_t size)
{
	resource_size_t end = start + size - 1;
	struct resource *parent = res->parent;
	struct resource *child, *prev;

	if (parent) {
		if (start < parent->start || end > parent->end)
			return -EBUSY;
		if (res->sibling && res->sibling->start <= end)
			return -EBUSY;
		prev = NULL;
		for (child = parent->child; child != res; child = child->sibling)
			prev = child;
		if (prev && start <= prev->end)
			return -EBUSY;
	}

	for (child = res->child; child; child = child->sibling)
		if (child->start < start || child->end > end)
			return -EBUSY;

	res->start = start;
	res->end = end;
	return 0;
}

/**
 * adjust_resource() - give a resource another range in the same place
 * @res: resource
 * @start: new first address
 * @size: new size
 *
 * Context: process.
 * Return: 0, or -EBUSY if the range leaves the parent, touches a neighbour or
 * uncovers a child.
 *
 * mirrors kernel/resource.c:adjust_resource, v4.19
 */
int adjust_resource(struct resource *res, resource_size_t start, resource_size_t size)
{
	int ret;

	write_lock(&resource_lock);
	ret = __adjust_resource(res, start, size);
	write_unlock(&resource_lock);
	return ret;
}
EXPORT_SYMBOL(adjust_resource);

/**
 * lookup_resource() - find a direct child by its first address
 * @root: its parent
 * @start: first address
 *
 * Context: process.  Return: the child or NULL.
 *
 * mirrors kernel/resource.c:lookup_resource, v4.19
 */
struct resource *lookup_resource(struct resource *root, resource_size_t start)
{
	struct resource *res;

	read_lock(&resource_lock);
	for (res = root->child; res; res = res->sibling)
		if (res->start == start)
			break;
	read_unlock(&resource_lock);
	return res;
}
