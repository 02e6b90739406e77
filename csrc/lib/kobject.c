// SPDX-License-Identifier: GPL-2.0-only
/*
 * Named, reference-counted objects: what remains of kobjects without a sysfs.
 */

#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/slab.h>
#include <linux/string.h>

/**
 * kobject_init() - give an object its first reference
 * @kobj: object, zeroed when used for the first time
 * @ktype: its kind
 *
 * mirrors lib/kobject.c:kobject_init, v4.19
 */
void kobject_init(struct kobject *kobj, const struct kobj_type *ktype)
{
	/* Going on is what the kernel does; whoever held references loses them. */
	if (kobj->state_initialized)
		pr_err("kobject (%p): tried to init an initialized object, something is seriously wrong.\n",
		       kobj);
	kref_init(&kobj->kref);
	WRITE_ONCE(kobj->state_in_sysfs, false);
	kobj->state_initialized = true;
	kobj->ktype = ktype;
}
EXPORT_SYMBOL(kobject_init);

static int name_length(const char *fmt, va_list vargs)
{
	va_list copy;
	int length;

	va_copy(copy, vargs);
	length = vsnprintf(NULL, 0, fmt, copy);
	va_end(copy);
	return length;
}

/**
 * kobject_set_name_vargs() - set or replace the name
 * @kobj: object
 * @fmt: format of the name; a slash in the result becomes an exclamation mark
 * @vargs: its arguments
 *
 * mirrors lib/kobject.c:kobject_set_name_vargs, v4.19
 *
 * Return: 0 or -ENOMEM. Context: may sleep.
 */
int kobject_set_name_vargs(struct kobject *kobj, const char *fmt, va_list vargs)
{
	size_t size = (size_t)name_length(fmt, vargs) + 1;
	char *name = kmalloc(size, GFP_KERNEL);
	size_t i;

	if (!name)
		return -ENOMEM;
	vsnprintf(name, size, fmt, vargs);
	for (i = 0; name[i]; i++)
		if (name[i] == '/')
			name[i] = '!';
	kfree(kobj->name);
	kobj->name = name;
	return 0;
}

/**
 * kobject_get() - take a reference
 * @kobj: object or NULL
 *
 * mirrors lib/kobject.c:kobject_get, v4.19
 *
 * Return: @kobj.
 */
struct kobject *kobject_get(struct kobject *kobj)
{
	if (!kobj)
		return NULL;
	if (!kobj->state_initialized)
		WARN(1,
		     "kobject: '%s' (%p): is not initialized, yet kobject_get() is being called.\n",
		     kobject_name(kobj), kobj);
	kref_get(&kobj->kref);
	return kobj;
}
EXPORT_SYMBOL(kobject_get);

static void kobject_release(struct kref *kref)
{
	struct kobject *kobj = container_of(kref, struct kobject, kref);
	/* The release frees the object around the kobject: the name must outlive it. */
	const char *name = kobj->name;

	kobject_del(kobj);
	if (kobj->ktype && kobj->ktype->release)
		kobj->ktype->release(kobj);
	kfree(name);
}

/**
 * kobject_put() - drop a reference; the last one releases the object
 * @kobj: object or NULL
 *
 * mirrors lib/kobject.c:kobject_put, v4.19
 *
 * Context: what the object's release needs.
 */
void kobject_put(struct kobject *kobj)
{
	if (!kobj)
		return;
	if (!kobj->state_initialized)
		WARN(1,
		     "kobject: '%s' (%p): is not initialized, yet kobject_put() is being called.\n",
		     kobject_name(kobj), kobj);
	kref_put(&kobj->kref, kobject_release);
}
EXPORT_SYMBOL(kobject_put);

/**
 * kobject_del() - make the object invisible
 * @kobj: object, which may be invisible already
 *
 * mirrors lib/kobject.c:kobject_del, v4.19
 */
void kobject_del(struct kobject *kobj)
{
	WRITE_ONCE(kobj->state_in_sysfs, false);
}
EXPORT_SYMBOL(kobject_del);
