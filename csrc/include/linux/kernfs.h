/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_KERNFS_H
#define _LINUX_KERNFS_H

#include <linux/kref.h>
#include <linux/kernel.h>
#include <linux/slab.h>

/**
 * struct kernfs_node - an attribute file that a driver may hold and notify
 * @count: references; one belongs to the directory while the file exists
 * @name: file name, not copied
 *
 * There is no sysfs tree: who creates a node keeps the only way to it.
 */
struct kernfs_node {
	struct kref count;
	const char *name;
};

static inline struct kernfs_node *kernfs_create_file(const char *name)
{
	struct kernfs_node *kn = kzalloc(sizeof(*kn), GFP_KERNEL);

	if (kn) {
		kref_init(&kn->count);
		kn->name = name;
	}
	return kn;
}

static inline void kernfs_release(struct kref *count)
{
	kfree(container_of(count, struct kernfs_node, count));
}

static inline struct kernfs_node *kernfs_get(struct kernfs_node *kn)
{
	if (kn)
		kref_get(&kn->count);
	return kn;
}

static inline void kernfs_put(struct kernfs_node *kn)
{
	if (kn)
		kref_put(&kn->count, kernfs_release);
}

#endif
