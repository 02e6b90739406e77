// SPDX-License-Identifier: GPL-2.0-only
/*
 * Life of a device: initialise, add, delete, last put.
 *
 * Deleting unbinds the driver, and unbinding releases the managed resources.
 * A device that has no driver at that moment keeps them until its last
 * reference goes: device_del() does not release them.
 */

#include <linux/device.h>
#include <linux/export.h>
#include <linux/string.h>

#include "base.h"

/* mirrors drivers/base/core.c:device_release, v4.19 */
static void device_release(struct kobject *kobj)
{
	struct device *dev = kobj_to_dev(kobj);
	struct device_private *p = dev->p;

	/*
	 * For devices that never had a driver, or that were given something
	 * after it left, this is the only place where devres goes.
	 */
	devres_release_all(dev);

	if (dev->release)
		dev->release(dev);
	else if (dev->type && dev->type->release)
		dev->type->release(dev);
	else if (dev->class && dev->class->dev_release)
		dev->class->dev_release(dev);
	else
		WARN(1,
		     "Device '%s' does not have a release() function, it is broken and must be fixed.\n",
		     dev_name(dev));
	/* The device is gone by now. */
	kfree(p);
}

static const struct kobj_type device_ktype = {
	.release = device_release,
};

/**
 * device_initialize() - make a device usable, without showing it to anyone
 * @dev: device, zeroed memory
 *
 * Afterwards put_device() is the only way to be rid of it.
 *
 * mirrors drivers/base/core.c:device_initialize, v4.19
 */
void device_initialize(struct device *dev)
{
	kobject_init(&dev->kobj, &device_ktype);
	mutex_init(&dev->mutex);
	spin_lock_init(&dev->devres_lock);
	INIT_LIST_HEAD(&dev->devres_head);
	set_dev_node(dev, NUMA_NO_NODE);
}
EXPORT_SYMBOL_GPL(device_initialize);

/**
 * dev_set_name() - set or replace a device's name
 * @dev: device
 * @fmt: format of the name
 * @...: what it takes
 *
 * mirrors drivers/base/core.c:dev_set_name, v4.19
 *
 * Return: 0 or -ENOMEM. Context: may sleep.
 */
int dev_set_name(struct device *dev, const char *fmt, ...)
{
	va_list vargs;
	int err;

	va_start(vargs, fmt);
	err = kobject_set_name_vargs(&dev->kobj, fmt, vargs);
	va_end(vargs);
	return err;
}
EXPORT_SYMBOL_GPL(dev_set_name);

/**
 * get_device() - take a reference
 * @dev: device or NULL
 *
 * mirrors drivers/base/core.c:get_device, v4.19
 *
 * Return: @dev.
 */
struct device *get_device(struct device *dev)
{
	return dev ? kobj_to_dev(kobject_get(&dev->kobj)) : NULL;
}
EXPORT_SYMBOL_GPL(get_device);

/**
 * put_device() - drop a reference; the last one releases the device
 * @dev: device or NULL
 *
 * mirrors drivers/base/core.c:put_device, v4.19
 *
 * Context: may sleep.
 */
void put_device(struct device *dev)
{
	if (dev)
		kobject_put(&dev->kobj);
}
EXPORT_SYMBOL_GPL(put_device);

/* mirrors drivers/base/core.c:device_private_init, v4.19 */
static int device_private_init(struct device *dev)
{
	dev->p = kzalloc(sizeof(*dev->p), GFP_KERNEL);
	if (!dev->p)
		return -ENOMEM;
	dev->p->device = dev;
	INIT_LIST_HEAD(&dev->p->deferred_probe);
	return 0;
}

/**
 * device_add() - show a device to its bus, which may bind a driver at once
 * @dev: initialised device
 *
 * mirrors drivers/base/core.c:device_add, v4.19
 *
 * Return: 0, whatever became of the probe; -ENOMEM; -EINVAL without a name. On
 * error the caller still has to put_device(). Context: may sleep.
 */
int device_add(struct device *dev)
{
	struct device *parent = NULL;
	int error = -EINVAL;

	dev = get_device(dev);
	if (!dev)
		goto done;
	if (!dev->p) {
		error = device_private_init(dev);
		if (error)
			goto done;
	}

	/*
	 * Out of memory for the copy shows as a device without a name: init_name
	 * is dropped either way.
	 */
	if (dev->init_name) {
		const char *init_name = dev->init_name;

		(void)dev_set_name(dev, "%s", init_name);
		dev->init_name = NULL;
	}
	if (!dev_name(dev)) {
		error = -EINVAL;
		goto name_error;
	}

	parent = get_device(dev->parent);
	WRITE_ONCE(dev->kobj.state_in_sysfs, true);
	error = bus_add_device(dev);
	if (error)
		goto bus_error;

	/* Listeners first, then user space would hear, then drivers. */
	bus_notify(dev, BUS_NOTIFY_ADD_DEVICE);
	bus_probe_device(dev);
	/* Here a device joins its parent's and its class's lists. */
done:
	put_device(dev);
	return error;

bus_error:
	kobject_del(&dev->kobj);
	put_device(parent);
name_error:
	kfree(dev->p);
	dev->p = NULL;
	goto done;
}
EXPORT_SYMBOL_GPL(device_add);

/**
 * device_register() - initialise and add a device
 * @dev: device, zeroed memory with its name, bus and release set
 *
 * mirrors drivers/base/core.c:device_register, v4.19
 *
 * Return: see device_add().
 */
int device_register(struct device *dev)
{
	device_initialize(dev);
	return device_add(dev);
}
EXPORT_SYMBOL_GPL(device_register);

/**
 * device_del() - hide a device again, unbinding its driver
 * @dev: device that device_add() accepted
 *
 * Managed resources acquired without a driver stay until the last put.
 *
 * mirrors drivers/base/core.c:device_del, v4.19
 *
 * Context: may sleep; takes the device lock.
 */
void device_del(struct device *dev)
{
	struct device *parent = dev->parent;

	bus_notify(dev, BUS_NOTIFY_DEL_DEVICE);
	/* Here it leaves its parent's and its class's lists. */
	bus_remove_device(dev);
	driver_deferred_probe_del(dev);
	/* Device links would be purged here. */
	bus_notify(dev, BUS_NOTIFY_REMOVED_DEVICE);
	kobject_del(&dev->kobj);
	put_device(parent);
}
EXPORT_SYMBOL_GPL(device_del);

/**
 * device_unregister() - delete a device and drop a reference
 * @dev: device
 *
 * mirrors drivers/base/core.c:device_unregister, v4.19
 */
void device_unregister(struct device *dev)
{
	device_del(dev);
	put_device(dev);
}
EXPORT_SYMBOL_GPL(device_unregister);

/**
 * dev_driver_string() - what stands before a device's name in messages
 * @dev: device
 *
 * mirrors drivers/base/core.c:dev_driver_string, v4.19
 *
 * Return: name of the bound driver, else of the bus, else of the class, else "".
 */
const char *dev_driver_string(const struct device *dev)
{
	/* No lock: the driver may be leaving, but is not freed while bound. */
	const struct device_driver *drv = READ_ONCE(dev->driver);

	if (drv)
		return drv->name;
	if (dev->bus)
		return dev->bus->name;
	return dev->class ? dev->class->name : "";
}
EXPORT_SYMBOL(dev_driver_string);

/* The longest text of one record of the log. */
#define LOG_LINE_MAX 992

/* Prefix and message must reach the log as one record, so in one call. */
static void dev_vprintk(int level, const struct device *dev, const char *fmt, va_list args)
{
	char text[LOG_LINE_MAX];

	vsnprintf(text, sizeof(text), fmt, args);
	if (dev)
		printk_level(level, "%s %s: %s", dev_driver_string(dev), dev_name(dev), text);
	else
		printk_level(level, "(NULL device *): %s", text);
}

/**
 * dev_printk() - message about a device
 * @level: LOGLEVEL_*
 * @dev: device or NULL
 * @fmt: format
 * @...: what it takes
 *
 * mirrors drivers/base/core.c:dev_printk, v4.19
 *
 * Context: any.
 */
void dev_printk(int level, const struct device *dev, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	dev_vprintk(level, dev, fmt, args);
	va_end(args);
}
EXPORT_SYMBOL(dev_printk);

#define define_dev_printk_level(func, level)                      \
	void func(const struct device *dev, const char *fmt, ...) \
	{                                                         \
		va_list args;                                     \
                                                                  \
		va_start(args, fmt);                              \
		dev_vprintk(level, dev, fmt, args);               \
		va_end(args);                                     \
	}                                                         \
	EXPORT_SYMBOL(func)

define_dev_printk_level(dev_err, LOGLEVEL_ERR);
define_dev_printk_level(dev_warn, LOGLEVEL_WARNING);
define_dev_printk_level(dev_info, LOGLEVEL_INFO);
