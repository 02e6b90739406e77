// SPDX-License-Identifier: GPL-2.0-only
/*
 * Managed device resources.
 *
 * A device owns a list of entries, each a release function and some data.  New
 * entries go to the tail; searches and releases start there, so that what was
 * acquired last is given back first.
 *
 * Two properties decide which teardown orders are right:
 *
 * - Everything that one call releases leaves the device's list before the
 *   first release function runs.  A release function that looks for another
 *   entry of its batch, or for its own, finds nothing.  What it adds is not
 *   part of the batch and stays behind.
 * - An entry is freed right after its own release function, before the next
 *   older one runs.  Data of newer entries is gone by then.
 *
 * Groups are pairs of markers on the same list, recognised by their release
 * functions, which do nothing.
 *
 * Actions and managed memory, which are made of these entries, are in devm.c.
 */

#include <linux/device.h>
#include <linux/export.h>
#include <linux/kernel_data.h>

#include "base.h"

static void group_open_release(struct device *dev, void *res)
{
	(void)dev;
	(void)res;
}

static void group_close_release(struct device *dev, void *res)
{
	(void)dev;
	(void)res;
}

static struct devres *res_to_devres(const void *res)
{
	return container_of(res, struct devres, data);
}

static struct devres_group *node_to_group(struct devres_node *node)
{
	if (node->release == group_open_release)
		return container_of(node, struct devres_group, node[0]);
	if (node->release == group_close_release)
		return container_of(node, struct devres_group, node[1]);
	return NULL;
}

static void devres_log(struct device *dev, struct devres_node *node, const char *op)
{
	if (unlikely(kernel_data()->config.debug_devres))
		dev_err(dev, "DEVRES %3s %p %s (%lu bytes)\n", op, (void *)node, node->name,
			(unsigned long)node->size);
}

static void devres_node_init(struct devres_node *node, dr_release_t release, const char *name,
			     size_t size)
{
	INIT_LIST_HEAD(&node->entry);
	node->release = release;
	node->name = name;
	node->size = size;
}

/* The header is always initialised, the payload only with __GFP_ZERO. */
struct devres *alloc_dr(dr_release_t release, size_t size, gfp_t gfp, const char *name,
			const char *caller)
{
	struct devres *dr;
	size_t total;

	if (__builtin_add_overflow(sizeof(*dr), size, &total))
		return NULL;
	dr = kmalloc_caller(total, gfp, caller);
	if (!dr)
		return NULL;
	devres_node_init(&dr->node, release, name, size);
	return dr;
}

static void add_dr(struct device *dev, struct devres_node *node)
{
	devres_log(dev, node, "ADD");
	BUG_ON(!list_empty(&node->entry));
	list_add_tail(&node->entry, &dev->devres_head);
}

/* Newest first. @match runs under the lock. */
static struct devres *find_dr(struct device *dev, dr_release_t release, dr_match_t match,
			      void *match_data)
{
	struct devres_node *node;

	list_for_each_entry_reverse(node, &dev->devres_head, entry) {
		struct devres *dr = container_of(node, struct devres, node);

		if (node->release != release)
			continue;
		if (!match || match(dev, dr->data, match_data))
			return dr;
	}
	return NULL;
}

/**
 * __devres_alloc_node() - allocate an entry
 * @release: what gives the resource back
 * @size: bytes of payload
 * @gfp: allocation flags
 * @nid: node to allocate on
 * @name: @release as the caller wrote it, for the log
 * @caller: function on whose behalf, the name of the fault point
 *
 * mirrors drivers/base/devres.c:__devres_alloc_node, v4.19
 *
 * Return: the zeroed payload, on no list yet, or NULL.
 */
void *__devres_alloc_node(dr_release_t release, size_t size, gfp_t gfp, int nid, const char *name,
			  const char *caller)
{
	struct devres *dr = alloc_dr(release, size, gfp | __GFP_ZERO, name, caller);

	(void)nid;
	return dr ? dr->data : NULL;
}
EXPORT_SYMBOL_GPL(__devres_alloc_node);

/**
 * devres_free() - free an entry that is on no list
 * @res: payload or NULL
 *
 * mirrors drivers/base/devres.c:devres_free, v4.19
 */
void devres_free(void *res)
{
	if (res) {
		struct devres *dr = res_to_devres(res);

		BUG_ON(!list_empty(&dr->node.entry));
		kfree(dr);
	}
}
EXPORT_SYMBOL_GPL(devres_free);

/**
 * devres_add() - register an entry
 * @dev: device
 * @res: payload
 *
 * mirrors drivers/base/devres.c:devres_add, v4.19
 *
 * Context: any.
 */
void devres_add(struct device *dev, void *res)
{
	struct devres *dr = res_to_devres(res);
	unsigned long flags;

	spin_lock_irqsave(&dev->devres_lock, flags);
	add_dr(dev, &dr->node);
	spin_unlock_irqrestore(&dev->devres_lock, flags);
}
EXPORT_SYMBOL_GPL(devres_add);

/**
 * devres_find() - find the newest entry of a kind
 * @dev: device
 * @release: the kind
 * @match: further condition, or NULL; called under the lock, irqs off
 * @match_data: passed to @match
 *
 * mirrors drivers/base/devres.c:devres_find, v4.19
 *
 * Return: payload or NULL.
 */
void *devres_find(struct device *dev, dr_release_t release, dr_match_t match, void *match_data)
{
	unsigned long flags;
	struct devres *dr;

	spin_lock_irqsave(&dev->devres_lock, flags);
	dr = find_dr(dev, release, match, match_data);
	spin_unlock_irqrestore(&dev->devres_lock, flags);
	return dr ? dr->data : NULL;
}
EXPORT_SYMBOL_GPL(devres_find);

/**
 * devres_get() - find an entry, or register the given one
 * @dev: device
 * @new_res: payload to register if there is none; freed if there is
 * @match: see devres_find()
 * @match_data: passed to @match
 *
 * mirrors drivers/base/devres.c:devres_get, v4.19
 *
 * Return: payload found or registered, never NULL.
 */
void *devres_get(struct device *dev, void *new_res, dr_match_t match, void *match_data)
{
	struct devres *new_dr = res_to_devres(new_res);
	unsigned long flags;
	struct devres *dr;

	spin_lock_irqsave(&dev->devres_lock, flags);
	dr = find_dr(dev, new_dr->node.release, match, match_data);
	if (!dr) {
		add_dr(dev, &new_dr->node);
		dr = new_dr;
		new_res = NULL;
	}
	spin_unlock_irqrestore(&dev->devres_lock, flags);
	devres_free(new_res);
	return dr->data;
}
EXPORT_SYMBOL_GPL(devres_get);

/**
 * devres_remove() - unlink the newest entry of a kind, nothing more
 * @dev: device
 * @release: the kind
 * @match: see devres_find()
 * @match_data: passed to @match
 *
 * mirrors drivers/base/devres.c:devres_remove, v4.19
 *
 * Return: payload, now the caller's, or NULL.
 */
void *devres_remove(struct device *dev, dr_release_t release, dr_match_t match, void *match_data)
{
	unsigned long flags;
	struct devres *dr;

	spin_lock_irqsave(&dev->devres_lock, flags);
	dr = find_dr(dev, release, match, match_data);
	if (dr) {
		list_del_init(&dr->node.entry);
		devres_log(dev, &dr->node, "REM");
	}
	spin_unlock_irqrestore(&dev->devres_lock, flags);
	return dr ? dr->data : NULL;
}
EXPORT_SYMBOL_GPL(devres_remove);

/**
 * devres_destroy() - unlink and free an entry without releasing the resource
 * @dev: device
 * @release: the kind
 * @match: see devres_find()
 * @match_data: passed to @match
 *
 * mirrors drivers/base/devres.c:devres_destroy, v4.19
 *
 * Return: 0 or -ENOENT.
 */
int devres_destroy(struct device *dev, dr_release_t release, dr_match_t match, void *match_data)
{
	void *res = devres_remove(dev, release, match, match_data);

	if (!res)
		return -ENOENT;
	devres_free(res);
	return 0;
}
EXPORT_SYMBOL_GPL(devres_destroy);

/**
 * devres_release() - unlink an entry, release the resource, free the entry
 * @dev: device
 * @release: the kind, and what is called
 * @match: see devres_find()
 * @match_data: passed to @match
 *
 * mirrors drivers/base/devres.c:devres_release, v4.19
 *
 * Return: 0 or -ENOENT. Context: what @release needs.
 */
int devres_release(struct device *dev, dr_release_t release, dr_match_t match, void *match_data)
{
	void *res = devres_remove(dev, release, match, match_data);

	if (!res)
		return -ENOENT;
	release(dev, res);
	devres_free(res);
	return 0;
}
EXPORT_SYMBOL_GPL(devres_release);

/**
 * devres_for_each_res() - call a function for all entries of a kind
 * @dev: device
 * @release: the kind
 * @match: see devres_find()
 * @match_data: passed to @match
 * @fn: called newest to oldest under the lock, so must not sleep; NULL: nothing
 * @data: passed to @fn
 *
 * mirrors drivers/base/devres.c:devres_for_each_res, v4.19
 */
void devres_for_each_res(struct device *dev, dr_release_t release, dr_match_t match,
			 void *match_data, void (*fn)(struct device *dev, void *res, void *data),
			 void *data)
{
	struct devres_node *node, *next;
	unsigned long flags;

	if (!fn)
		return;

	spin_lock_irqsave(&dev->devres_lock, flags);
	list_for_each_entry_safe_reverse(node, next, &dev->devres_head, entry) {
		struct devres *dr = container_of(node, struct devres, node);

		if (node->release != release)
			continue;
		if (match && !match(dev, dr->data, match_data))
			continue;
		fn(dev, dr->data, data);
	}
	spin_unlock_irqrestore(&dev->devres_lock, flags);
}
EXPORT_SYMBOL_GPL(devres_for_each_res);

/*
 * Move what [first, end) holds to @todo: regular entries as they come, groups
 * that lie in the range as a whole behind them.  A group of which only one
 * marker is in the range stays where it is.
 *
 * Return: number of regular entries moved.
 */
static int remove_nodes(struct list_head *first, struct list_head *end, struct list_head *todo)
{
	/* @first may move; what precedes it does not. */
	struct list_head *before = first->prev;
	struct list_head *pos, *next;
	bool seen = false;
	int cnt = 0;

	for (pos = first; pos != end; pos = next) {
		struct devres_node *node = list_entry(pos, struct devres_node, entry);
		struct devres_group *grp = node_to_group(node);

		next = pos->next;
		if (grp) {
			grp->color = 0;
			seen = true;
		} else {
			list_move_tail(pos, todo);
			cnt++;
		}
	}
	if (!seen)
		return cnt;

	/*
	 * Only markers are left in the range.  One point for each marker met,
	 * one more for a group that is still open, which ends with the range.
	 */
	for (pos = before->next; pos != end; pos = next) {
		struct devres_node *node = list_entry(pos, struct devres_node, entry);
		struct devres_group *grp = node_to_group(node);

		next = pos->next;
		BUG_ON(!grp || list_empty(&grp->node[0].entry));
		grp->color++;
		if (list_empty(&grp->node[1].entry))
			grp->color++;
		BUG_ON(grp->color <= 0 || grp->color > 2);
		if (grp->color == 2) {
			/* Both markers met, or the open one of an open group. */
			list_move_tail(&grp->node[0].entry, todo);
			list_del_init(&grp->node[1].entry);
		}
	}
	return cnt;
}

/*
 * Takes the lock from the caller and drops it: release functions may sleep.
 */
static int release_nodes(struct device *dev, struct list_head *first, struct list_head *end,
			 unsigned long flags)
{
	struct devres_node *node, *older;
	struct list_head todo;
	int cnt;

	INIT_LIST_HEAD(&todo);
	cnt = remove_nodes(first, end, &todo);
	spin_unlock_irqrestore(&dev->devres_lock, flags);

	/*
	 * The entries stay linked to each other, so that a release function
	 * that frees its own one meets the BUG_ON() of devres_free().
	 */
	list_for_each_entry_safe_reverse(node, older, &todo, entry) {
		devres_log(dev, node, "REL");
		/* A group's first member is its open marker: one layout, one free. */
		node->release(dev, container_of(node, struct devres, node)->data);
		kfree(node);
	}
	return cnt;
}

/**
 * devres_release_all() - release everything a device has
 * @dev: device
 *
 * mirrors drivers/base/devres.c:devres_release_all, v4.19
 *
 * Return: number of regular entries released, or -ENODEV if @dev has not been
 * initialised. Context: process, may sleep.
 */
int devres_release_all(struct device *dev)
{
	unsigned long flags;

	if (WARN_ON(dev->devres_head.next == NULL))
		return -ENODEV;
	spin_lock_irqsave(&dev->devres_lock, flags);
	return release_nodes(dev, dev->devres_head.next, &dev->devres_head, flags);
}

/**
 * devres_open_group() - mark the beginning of a group
 * @dev: device
 * @id: name of the group; NULL for one of its own
 * @gfp: allocation flags
 *
 * mirrors drivers/base/devres.c:devres_open_group, v4.19
 *
 * Return: the id, or NULL without memory.
 */
void *devres_open_group(struct device *dev, void *id, gfp_t gfp)
{
	struct devres_group *grp = kmalloc(sizeof(*grp), gfp);
	unsigned long flags;

	if (unlikely(!grp))
		return NULL;
	devres_node_init(&grp->node[0], group_open_release, "grp<", 0);
	devres_node_init(&grp->node[1], group_close_release, "grp>", 0);
	grp->id = id ? id : grp;
	grp->color = 0;

	spin_lock_irqsave(&dev->devres_lock, flags);
	add_dr(dev, &grp->node[0]);
	spin_unlock_irqrestore(&dev->devres_lock, flags);
	return grp->id;
}
EXPORT_SYMBOL_GPL(devres_open_group);

/* The newest group of this id, or, for NULL, the newest that is still open. */
static struct devres_group *find_group(struct device *dev, void *id)
{
	struct devres_node *node;

	list_for_each_entry_reverse(node, &dev->devres_head, entry) {
		struct devres_group *grp;

		if (node->release != group_open_release)
			continue;
		grp = container_of(node, struct devres_group, node[0]);
		if (id ? grp->id == id : list_empty(&grp->node[1].entry))
			return grp;
	}
	return NULL;
}

/**
 * devres_close_group() - mark the end of a group
 * @dev: device
 * @id: the group, or NULL for the newest open one
 *
 * mirrors drivers/base/devres.c:devres_close_group, v4.19
 */
void devres_close_group(struct device *dev, void *id)
{
	struct devres_group *grp;
	unsigned long flags;

	spin_lock_irqsave(&dev->devres_lock, flags);
	grp = find_group(dev, id);
	if (grp)
		add_dr(dev, &grp->node[1]);
	else
		WARN_ON(1);
	spin_unlock_irqrestore(&dev->devres_lock, flags);
}
EXPORT_SYMBOL_GPL(devres_close_group);

/**
 * devres_remove_group() - forget a group, keep its entries
 * @dev: device
 * @id: the group, or NULL for the newest open one
 *
 * mirrors drivers/base/devres.c:devres_remove_group, v4.19
 */
void devres_remove_group(struct device *dev, void *id)
{
	struct devres_group *grp;
	unsigned long flags;

	spin_lock_irqsave(&dev->devres_lock, flags);
	grp = find_group(dev, id);
	if (grp) {
		list_del_init(&grp->node[0].entry);
		list_del_init(&grp->node[1].entry);
		devres_log(dev, &grp->node[0], "REM");
	} else {
		WARN_ON(1);
	}
	spin_unlock_irqrestore(&dev->devres_lock, flags);
	kfree(grp);
}
EXPORT_SYMBOL_GPL(devres_remove_group);

/**
 * devres_release_group() - release what a group holds, and the group
 * @dev: device
 * @id: the group, or NULL for the newest open one; an open group reaches to
 *	the newest entry
 *
 * mirrors drivers/base/devres.c:devres_release_group, v4.19
 *
 * Return: number of regular entries released. Context: process, may sleep.
 */
int devres_release_group(struct device *dev, void *id)
{
	struct devres_group *grp;
	unsigned long flags;
	struct list_head *end;

	spin_lock_irqsave(&dev->devres_lock, flags);
	grp = find_group(dev, id);
	if (!grp) {
		WARN_ON(1);
		spin_unlock_irqrestore(&dev->devres_lock, flags);
		return 0;
	}
	end = &dev->devres_head;
	if (!list_empty(&grp->node[1].entry))
		end = grp->node[1].entry.next;
	return release_nodes(dev, &grp->node[0].entry, end, flags);
}
EXPORT_SYMBOL_GPL(devres_release_group);
