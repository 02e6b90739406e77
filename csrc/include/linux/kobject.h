/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_KOBJECT_H
#define _LINUX_KOBJECT_H

#include <linux/kref.h>
#include <linux/types.h>

struct kobject;

struct kobj_type {
	void (*release)(struct kobject *kobj);
};

/**
 * struct kobject - name and reference count of an object in sysfs
 * @name: allocated by kobject_set_name_vargs(), freed after the release
 * @ktype: whose release is called with the last reference
 * @kref: references
 * @state_initialized: kobject_init() has been called
 * @state_in_sysfs: visible; read without a lock by the driver core
 *
 * There is no sysfs, hence no directory, parent or kset.
 */
struct kobject {
	const char *name;
	const struct kobj_type *ktype;
	struct kref kref;
	bool state_initialized;
	bool state_in_sysfs;
};

static inline const char *kobject_name(const struct kobject *kobj)
{
	return kobj->name;
}

void kobject_init(struct kobject *kobj, const struct kobj_type *ktype);
int kobject_set_name_vargs(struct kobject *kobj, const char *fmt, va_list vargs);
struct kobject *kobject_get(struct kobject *kobj);
void kobject_put(struct kobject *kobj);
void kobject_del(struct kobject *kobj);

#endif
