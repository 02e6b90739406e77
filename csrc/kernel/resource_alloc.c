// SPDX-License-Identifier: GPL-2.0-only
/*
 * The resource tree: finding room for a resource that may lie anywhere.
 */

#include <linux/bug.h>
#include <linux/e820.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/kernel_data.h>
#include <linux/spinlock.h>

#define resource_lock (kernel_data()->resource.resource_lock)

/* What allocate_resource() was asked for. */
struct resource_constraint {
	resource_size_t min, max, align;
	resource_alignf_t alignf;
	void *alignf_data;
};

static resource_size_t simple_align_resource(void *data, const struct resource *avail,
					     resource_size_t size, resource_size_t align)
{
	(void)data;
	(void)size;
	(void)align;
	return avail->start;
}

/*
 * Tries to place @size addresses in @gap, which is cut to what the caller and
 * the firmware leave of it and stays cut.
 */
static bool fits_in_gap(struct resource *gap, struct resource *new, resource_size_t size,
			const struct resource_constraint *constraint)
{
	struct resource avail = { .flags = new->flags & ~IORESOURCE_UNSET };
	struct resource alloc = { .flags = avail.flags };

	gap->start = max(gap->start, constraint->min);
	gap->end = min(gap->end, constraint->max);
	arch_remove_reservations(gap);

	avail.start = ALIGN(gap->start, constraint->align);
	avail.end = gap->end;
	if (avail.start < gap->start)
		return false;

	alloc.start = constraint->alignf(constraint->alignf_data, &avail, size, constraint->align);
	alloc.end = alloc.start + size - 1;
	if (alloc.start > alloc.end || !resource_contains(&avail, &alloc))
		return false;

	new->start = alloc.start;
	new->end = alloc.end;
	return true;
}

/*
 * Finds the lowest place for @size addresses below @root and stores it in
 * @new.  The addresses of @old, if it is given, count as free.
 *
 * mirrors kernel/resource.c:__find_resource, v4.19
 */
static int __find_resource(struct resource *root, struct resource *old, struct resource *new,
			   resource_size_t size, const struct resource_constraint *constraint)
{
	struct resource *this = root->child;
	struct resource gap = *new;

	gap.start = root->start;
	/* What starts where the root does leaves no gap before it. */
	if (this && this->start == root->start) {
		gap.start = this == old ? old->start : this->end + 1;
		this = this->sibling;
	}
	for (;; this = this->sibling) {
		if (!this)
			gap.end = root->end;
		else
			gap.end = this == old ? this->end : this->start - 1;

		if (gap.end >= gap.start && fits_in_gap(&gap, new, size, constraint))
			return 0;

		if (!this || this->end == root->end)
			return -EBUSY;
		if (this != old)
			gap.start = this->end + 1;
	}
}

/*
 * Resizes or moves @old, which is linked.  A place around or inside the old
 * one is taken as it is; to move elsewhere it must have no children.
 *
 * mirrors kernel/resource.c:reallocate_resource, v4.19
 */
static int reallocate_resource(struct resource *root, struct resource *old, resource_size_t newsize,
			       const struct resource_constraint *constraint)
{
	struct resource new = *old;
	struct resource *conflict;
	int err;

	write_lock(&resource_lock);
	err = __find_resource(root, old, &new, newsize, constraint);
	if (err)
		goto out;

	if (resource_contains(&new, old)) {
		old->start = new.start;
		old->end = new.end;
		goto out;
	}
	if (old->child) {
		err = -EBUSY;
		goto out;
	}
	if (resource_contains(old, &new)) {
		old->start = new.start;
		old->end = new.end;
	} else {
		__release_resource(old, true);
		*old = new;
		conflict = __request_resource(root, old);
		BUG_ON(conflict);
	}
out:
	write_unlock(&resource_lock);
	return err;
}

/**
 * allocate_resource() - link a resource at the lowest place where it fits
 * @root: where
 * @new: what; resized or moved if it is linked already
 * @size: addresses needed
 * @min: lowest address allowed
 * @max: highest address allowed
 * @align: alignment, a power of two
 * @alignf: returns the first address to use in an aligned gap; NULL: its start
 * @alignf_data: for @alignf
 *
 * Context: process; @alignf is called under resource_lock.
 * Return: 0, or -EBUSY if it fits nowhere.
 *
 * mirrors kernel/resource.c:allocate_resource, v4.19
 */
int allocate_resource(struct resource *root, struct resource *new, resource_size_t size,
		      resource_size_t min, resource_size_t max, resource_size_t align,
		      resource_alignf_t alignf, void *alignf_data)
{
	struct resource_constraint constraint = {
		.min = min,
		.max = max,
		.align = align,
		.alignf = alignf ? alignf : simple_align_resource,
		.alignf_data = alignf_data,
	};
	int err;

	if (new->parent)
		return reallocate_resource(root, new, size, &constraint);

	write_lock(&resource_lock);
	err = __find_resource(root, NULL, new, size, &constraint);
	if (!err && __request_resource(root, new))
		err = -EBUSY;
	write_unlock(&resource_lock);
	return err;
}
EXPORT_SYMBOL(allocate_resource);
