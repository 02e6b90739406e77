// SPDX-License-Identifier: GPL-2.0-only
/*
 * The resource tree: regions that drivers claim.
 *
 * A region is a resource that this file allocates and marks BUSY.  It nests in
 * what firmware and buses have described, at any depth, but never in another
 * region: that is how two drivers are kept apart.  A region is given back by
 * its numbers, not by its pointer.
 */

#include <linux/bug.h>
#include <linux/device.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/kernel_data.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#define resource_lock (kernel_data()->resource.resource_lock)
#define muxed_resource_wait (kernel_data()->resource.muxed_resource_wait)

/**
 * __request_region() - claim a range for a driver
 * @parent: where to start looking for the innermost resource that is not busy
 * @start: first address
 * @n: size
 * @name: holder
 * @flags: IORESOURCE_* besides BUSY and the type, which comes from the parent
 *
 * If both @flags and the resource in the way are MUXED, waits until a muxed
 * region is released.
 *
 * Context: may sleep.
 * Return: the region, or NULL if it is taken or there is no memory.
 *
 * mirrors kernel/resource.c:__request_region, v4.19
 */
struct resource *__request_region(struct resource *parent, resource_size_t start, resource_size_t n,
				  const char *name, unsigned long flags)
{
	struct resource *res = kzalloc(sizeof(*res), GFP_KERNEL);
	struct wait_queue_entry wait;
	struct resource *conflict;

	if (!res)
		return NULL;

	res->name = name;
	res->start = start;
	res->end = start + n - 1;

	write_lock(&resource_lock);
	for (;;) {
		res->flags = resource_type(parent) | resource_ext_type(parent) | IORESOURCE_BUSY |
			     flags;
		res->desc = parent->desc;

		conflict = __request_resource(parent, res);
		if (!conflict)
			break;
		if (conflict != parent && !(conflict->flags & IORESOURCE_BUSY)) {
			parent = conflict;
			continue;
		}
		if (!(conflict->flags & flags & IORESOURCE_MUXED)) {
			kfree(res);
			res = NULL;
			break;
		}
		/*
		 * A release that comes between the unlock and going to sleep
		 * wakes nobody; only the next one does.
		 */
		init_wait(&wait);
		write_unlock(&resource_lock);
		prepare_to_wait(&muxed_resource_wait, &wait);
		schedule_wait(&muxed_resource_wait, &wait, "muxed region released");
		finish_wait(&muxed_resource_wait, &wait);
		write_lock(&resource_lock);
	}
	write_unlock(&resource_lock);
	return res;
}
EXPORT_SYMBOL(__request_region);

/**
 * __release_region() - give back what __request_region() returned
 * @parent: as at the request
 * @start: first address
 * @n: size
 *
 * Complains if no region has exactly this range.  Children of the region are
 * dropped with it.
 *
 * Context: process.
 *
 * mirrors kernel/resource.c:__release_region, v4.19
 */
void __release_region(struct resource *parent, resource_size_t start, resource_size_t n)
{
	resource_size_t end = start + n - 1;
	struct resource **slot = &parent->child;
	struct resource *res;

	write_lock(&resource_lock);
	while ((res = *slot)) {
		if (res->start > start || res->end < end) {
			slot = &res->sibling;
			continue;
		}
		if (!(res->flags & IORESOURCE_BUSY)) {
			slot = &res->child;
			continue;
		}
		if (res->start != start || res->end != end)
			break;

		*slot = res->sibling;
		write_unlock(&resource_lock);
		if (res->flags & IORESOURCE_MUXED)
			wake_up(&muxed_resource_wait);
		kfree(res);
		return;
	}
	write_unlock(&resource_lock);
	pr_warn("Trying to free nonexistent resource <%016llx-%016llx>\n", start, end);
}
EXPORT_SYMBOL(__release_region);

/**
 * release_mem_region_adjustable() - give back a part of a busy memory region
 * @parent: where to start looking
 * @start: first address
 * @size: size
 *
 * Memory may be removed in other portions than it was added in: the region is
 * freed, trimmed at one end, or split.
 *
 * Context: may sleep.
 * Return: 0; -EINVAL if no busy memory region covers the range; -EBUSY if
 * children of the region are in the way; -ENOMEM if it would have to be split
 * and there is no memory.
 *
 * mirrors kernel/resource.c:release_mem_region_adjustable, v4.19
 */
int release_mem_region_adjustable(struct resource *parent, resource_size_t start,
				  resource_size_t size)
{
	resource_size_t end = start + size - 1;
	struct resource *upper, *res, **slot;
	int ret = -EINVAL;

	if (start < parent->start || end > parent->end)
		return ret;

	/* Only a split needs it, which shows when sleeping is over. */
	upper = kzalloc(sizeof(*upper), GFP_KERNEL);

	slot = &parent->child;
	write_lock(&resource_lock);
	while ((res = *slot) && res->start < end) {
		if (res->start > start || res->end < end) {
			slot = &res->sibling;
			continue;
		}
		if (!(res->flags & IORESOURCE_MEM))
			break;
		if (!(res->flags & IORESOURCE_BUSY)) {
			slot = &res->child;
			continue;
		}

		if (res->start == start && res->end == end) {
			*slot = res->sibling;
			kfree(res);
			ret = 0;
		} else if (res->start == start) {
			ret = __adjust_resource(res, end + 1, res->end - end);
		} else if (res->end == end) {
			ret = __adjust_resource(res, res->start, start - res->start);
		} else if (!upper) {
			ret = -ENOMEM;
		} else {
			upper->name = res->name;
			upper->start = end + 1;
			upper->end = res->end;
			upper->flags = res->flags;
			upper->desc = res->desc;
			upper->parent = res->parent;
			upper->sibling = res->sibling;
			upper->child = NULL;

			ret = __adjust_resource(res, res->start, start - res->start);
			if (!ret) {
				res->sibling = upper;
				upper = NULL;
			}
		}
		break;
	}
	write_unlock(&resource_lock);

	kfree(upper);
	return ret;
}

/* mirrors kernel/resource.c:devm_resource_release, v4.19 */
static void devm_resource_release(struct device *dev, void *data)
{
	struct resource **res = data;

	(void)dev;
	release_resource(*res);
}

static int devm_resource_match(struct device *dev, void *data, void *match_data)
{
	struct resource **res = data;

	(void)dev;
	return *res == match_data;
}

/**
 * devm_request_resource() - claim a range until a device is unbound
 * @dev: device
 * @root: where
 * @new: what; must outlive the binding
 *
 * Context: may sleep.  Return: 0, -ENOMEM, or -EBUSY if something is in the way.
 *
 * mirrors kernel/resource.c:devm_request_resource, v4.19
 */
int devm_request_resource(struct device *dev, struct resource *root, struct resource *new)
{
	struct resource *conflict, **data;

	data = devres_alloc(devm_resource_release, sizeof(*data), GFP_KERNEL);
	if (!data)
		return -ENOMEM;
	*data = new;

	conflict = request_resource_conflict(root, new);
	if (conflict) {
		dev_err(dev, "resource collision: %pR conflicts with %s %pR\n", new, conflict->name,
			conflict);
		devres_free(data);
		return -EBUSY;
	}

	devres_add(dev, data);
	return 0;
}
EXPORT_SYMBOL(devm_request_resource);

/**
 * devm_release_resource() - undo devm_request_resource() early
 * @dev: device
 * @new: what was claimed
 *
 * Context: process.
 *
 * mirrors kernel/resource.c:devm_release_resource, v4.19
 */
void devm_release_resource(struct device *dev, struct resource *new)
{
	WARN_ON(devres_release(dev, devm_resource_release, devm_resource_match, new));
}
EXPORT_SYMBOL(devm_release_resource);

/* The numbers by which a device's region is given back. */
struct region_devres {
	struct resource *parent;
	resource_size_t start;
	resource_size_t n;
};

/* mirrors kernel/resource.c:devm_region_release, v4.19 */
static void devm_region_release(struct device *dev, void *data)
{
	struct region_devres *this = data;

	(void)dev;
	__release_region(this->parent, this->start, this->n);
}

static int devm_region_match(struct device *dev, void *data, void *match_data)
{
	struct region_devres *this = data, *match = match_data;

	(void)dev;
	return this->parent == match->parent && this->start == match->start && this->n == match->n;
}

/**
 * __devm_request_region() - claim a range until a device is unbound
 * @dev: device
 * @parent: as for __request_region()
 * @start: first address
 * @n: size
 * @name: holder
 *
 * Context: may sleep.
 * Return: the region, or NULL if it is taken or there is no memory.
 *
 * mirrors kernel/resource.c:__devm_request_region, v4.19
 */
struct resource *__devm_request_region(struct device *dev, struct resource *parent,
				       resource_size_t start, resource_size_t n, const char *name)
{
	struct region_devres *dr;
	struct resource *res;

	dr = devres_alloc(devm_region_release, sizeof(*dr), GFP_KERNEL);
	if (!dr)
		return NULL;
	dr->parent = parent;
	dr->start = start;
	dr->n = n;

	res = __request_region(parent, start, n, name, 0);
	if (res)
		devres_add(dev, dr);
	else
		devres_free(dr);
	return res;
}
EXPORT_SYMBOL(__devm_request_region);

/**
 * __devm_release_region() - undo __devm_request_region() early
 * @dev: device
 * @parent: as at the request
 * @start: first address
 * @n: size
 *
 * Context: process.
 *
 * mirrors kernel/resource.c:__devm_release_region, v4.19
 */
void __devm_release_region(struct device *dev, struct resource *parent, resource_size_t start,
			   resource_size_t n)
{
	struct region_devres match_data = { .parent = parent, .start = start, .n = n };

	__release_region(parent, start, n);
	WARN_ON(devres_destroy(dev, devm_region_release, devm_region_match, &match_data));
}
EXPORT_SYMBOL(__devm_release_region);
