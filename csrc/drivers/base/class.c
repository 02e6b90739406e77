// SPDX-License-Identifier: GPL-2.0-only
/*
 * Classes: kinds of device by what they do. Here they are names.
 */
#include <linux/device.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/slab.h>

/**
 * __class_create() - make a class
 * @owner: module
 * @name: its name; not copied
 *
 * mirrors drivers/base/class.c:__class_create, v4.19
 *
 * Context: may sleep.  Return: the class or ERR_PTR(-ENOMEM).
 */
struct class *__class_create(struct module *owner, const char *name)
{
	struct class *cls = kzalloc(sizeof(*cls), GFP_KERNEL);

	(void)owner;
	if (!cls)
		return ERR_PTR(-ENOMEM);
	cls->name = name;
	return cls;
}
EXPORT_SYMBOL_GPL(__class_create);

/* The reverse; NULL and errors are ignored. */
void class_destroy(struct class *cls)
{
	if (!cls || IS_ERR(cls))
		return;
	kfree(cls);
}
EXPORT_SYMBOL_GPL(class_destroy);
