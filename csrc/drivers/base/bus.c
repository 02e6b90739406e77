// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buses: where devices and drivers meet.
 *
 * The lists of a bus hold references to its devices, and can be walked while
 * they change; so a walk may meet a device that is being deleted.
 */

#include <linux/device.h>
#include <linux/export.h>
#include <linux/kernel_data.h>
#include <linux/string.h>

#include "base.h"

#define buses_lock (kernel_data()->driver_core.buses_lock)
#define buses (kernel_data()->driver_core.buses)

static struct device *bus_node_to_device(struct klist_node *n)
{
	return container_of(n, struct device_private, knode_bus)->device;
}

static void klist_devices_get(struct klist_node *n)
{
	get_device(bus_node_to_device(n));
}

static void klist_devices_put(struct klist_node *n)
{
	put_device(bus_node_to_device(n));
}

/**
 * bus_register() - make a bus known
 * @bus: bus
 *
 * mirrors drivers/base/bus.c:bus_register, v4.19
 *
 * Return: 0 or -ENOMEM. Context: may sleep.
 */
int bus_register(struct bus_type *bus)
{
	struct subsys_private *priv = kzalloc(sizeof(*priv), GFP_KERNEL);

	if (!priv)
		return -ENOMEM;
	priv->bus = bus;
	BLOCKING_INIT_NOTIFIER_HEAD(&priv->bus_notifier);
	klist_init(&priv->klist_devices, klist_devices_get, klist_devices_put);
	klist_init(&priv->klist_drivers, NULL, NULL);
	priv->drivers_autoprobe = true;
	bus->p = priv;

	spin_lock(&buses_lock);
	list_add_tail(&priv->node, &buses);
	spin_unlock(&buses_lock);
	return 0;
}
EXPORT_SYMBOL_GPL(bus_register);

/**
 * bus_register_notifier() - hear of the events of a bus
 * @bus: bus
 * @nb: called with BUS_NOTIFY_* and the device; may sleep
 *
 * mirrors drivers/base/bus.c:bus_register_notifier, v4.19
 *
 * Return: 0.
 */
int bus_register_notifier(struct bus_type *bus, struct notifier_block *nb)
{
	return blocking_notifier_chain_register(&bus->p->bus_notifier, nb);
}
EXPORT_SYMBOL_GPL(bus_register_notifier);

/**
 * bus_unregister_notifier() - hear no more of them
 * @bus: bus
 * @nb: listener
 *
 * mirrors drivers/base/bus.c:bus_unregister_notifier, v4.19
 *
 * Return: 0 or -ENOENT.
 */
int bus_unregister_notifier(struct bus_type *bus, struct notifier_block *nb)
{
	return blocking_notifier_chain_unregister(&bus->p->bus_notifier, nb);
}
EXPORT_SYMBOL_GPL(bus_unregister_notifier);

/* Tell the listeners of the device's bus, if it has one. */
void bus_notify(struct device *dev, unsigned long event)
{
	if (dev->bus)
		blocking_notifier_call_chain(&dev->bus->p->bus_notifier, event, dev);
}

/**
 * bus_for_each_dev() - walk the devices of a bus
 * @bus: bus
 * @start: begin behind this device, or NULL
 * @data: passed to @fn
 * @fn: called without locks; anything but 0 ends the walk
 *
 * mirrors drivers/base/bus.c:bus_for_each_dev, v4.19
 *
 * Return: what ended the walk, 0 at its end, -EINVAL if @bus is not registered.
 */
int bus_for_each_dev(struct bus_type *bus, struct device *start, void *data,
		     int (*fn)(struct device *dev, void *data))
{
	struct klist_iter i;
	struct klist_node *n;
	int error = 0;

	if (!bus || !bus->p)
		return -EINVAL;
	klist_iter_init_node(&bus->p->klist_devices, &i, start ? &start->p->knode_bus : NULL);
	while (!error && (n = klist_next(&i)) != NULL)
		error = fn(bus_node_to_device(n), data);
	klist_iter_exit(&i);
	return error;
}
EXPORT_SYMBOL_GPL(bus_for_each_dev);

/**
 * bus_for_each_drv() - walk the drivers of a bus
 * @bus: bus
 * @start: begin behind this driver, or NULL
 * @data: passed to @fn
 * @fn: called without locks; anything but 0 ends the walk
 *
 * mirrors drivers/base/bus.c:bus_for_each_drv, v4.19
 *
 * Return: what ended the walk, 0 at its end, -EINVAL without a bus.
 */
int bus_for_each_drv(struct bus_type *bus, struct device_driver *start, void *data,
		     int (*fn)(struct device_driver *drv, void *data))
{
	struct klist_iter i;
	struct klist_node *n;
	int error = 0;

	if (!bus)
		return -EINVAL;
	klist_iter_init_node(&bus->p->klist_drivers, &i, start ? &start->p->knode_bus : NULL);
	while (!error && (n = klist_next(&i)) != NULL)
		error = fn(container_of(n, struct driver_private, knode_bus)->driver, data);
	klist_iter_exit(&i);
	return error;
}
EXPORT_SYMBOL_GPL(bus_for_each_drv);

/* As user space writes names: one newline at the end of either does not count. */
static bool sysfs_streq(const char *s1, const char *s2)
{
	size_t n1 = strlen(s1), n2 = strlen(s2);

	if (n1 && s1[n1 - 1] == '\n')
		n1--;
	if (n2 && s2[n2 - 1] == '\n')
		n2--;
	return n1 == n2 && strncmp(s1, s2, n1) == 0;
}

/**
 * bus_find_device_by_name() - find a device
 * @bus: bus
 * @start: begin behind this device, or NULL
 * @name: its name, with or without a newline
 *
 * mirrors drivers/base/bus.c:bus_find_device_by_name, v4.19
 *
 * Return: the device with a reference, or NULL.
 */
struct device *bus_find_device_by_name(struct bus_type *bus, struct device *start, const char *name)
{
	struct device *dev = NULL;
	struct klist_iter i;
	struct klist_node *n;

	if (!bus || !bus->p)
		return NULL;
	klist_iter_init_node(&bus->p->klist_devices, &i, start ? &start->p->knode_bus : NULL);
	while (!dev && (n = klist_next(&i)) != NULL)
		if (sysfs_streq(name, dev_name(bus_node_to_device(n))))
			dev = get_device(bus_node_to_device(n));
	klist_iter_exit(&i);
	return dev;
}
EXPORT_SYMBOL_GPL(bus_find_device_by_name);

/* ---- devices ---- */

/*
 * mirrors drivers/base/bus.c:bus_add_device, v4.19; without files and links
 * nothing can fail
 */
int bus_add_device(struct device *dev)
{
	if (dev->bus)
		klist_add_tail(&dev->p->knode_bus, &dev->bus->p->klist_devices);
	return 0;
}

/* mirrors drivers/base/bus.c:bus_probe_device, v4.19 */
void bus_probe_device(struct device *dev)
{
	if (dev->bus && READ_ONCE(dev->bus->p->drivers_autoprobe))
		device_initial_probe(dev);
}

/* mirrors drivers/base/bus.c:bus_remove_device, v4.19 */
void bus_remove_device(struct device *dev)
{
	if (!dev->bus)
		return;
	/* Nobody finds it any more, so nobody binds it again after this. */
	if (klist_node_attached(&dev->p->knode_bus))
		klist_del(&dev->p->knode_bus);
	device_release_driver(dev);
}

/* mirrors drivers/base/bus.c:bus_rescan_devices_helper, v4.19 */
static int bus_rescan_devices_helper(struct device *dev, void *data)
{
	struct device *parent = dev->bus->need_parent_lock ? dev->parent : NULL;
	int ret = 0;

	(void)data;
	if (READ_ONCE(dev->driver))
		return 0;
	if (parent)
		device_lock(parent);
	ret = device_attach(dev);
	if (parent)
		device_unlock(parent);
	return ret < 0 ? ret : 0;
}

/* ---- files ---- */

static void device_lock_for_bind(struct device *dev)
{
	if (dev->parent && dev->bus->need_parent_lock)
		device_lock(dev->parent);
}

static void device_unlock_for_bind(struct device *dev)
{
	if (dev->parent && dev->bus->need_parent_lock)
		device_unlock(dev->parent);
}

/**
 * bus_unbind_store() - write to a driver's unbind file
 * @drv: driver
 * @buf: device name, with or without a newline
 * @count: bytes written
 *
 * Whether it is this driver's device is asked before the lock is taken: in
 * between it may get another driver, which is then unbound.
 *
 * mirrors drivers/base/bus.c:unbind_store, v4.19
 *
 * Return: @count; -ENODEV if no such device is bound to @drv; -ENOENT if the
 * driver has no such file. Context: may sleep.
 */
int bus_unbind_store(struct device_driver *drv, const char *buf, size_t count)
{
	struct device *dev;
	int err = -ENODEV;

	if (drv->suppress_bind_attrs)
		return -ENOENT;
	dev = bus_find_device_by_name(drv->bus, NULL, buf);
	if (dev && READ_ONCE(dev->driver) == drv) {
		device_lock_for_bind(dev);
		device_release_driver(dev);
		device_unlock_for_bind(dev);
		err = (int)count;
	}
	put_device(dev);
	return err;
}

/**
 * bus_bind_store() - write to a driver's bind file
 * @drv: driver
 * @buf: device name, with or without a newline
 * @count: bytes written
 *
 * Any match but 0 will do here, an error too.
 *
 * mirrors drivers/base/bus.c:bind_store, v4.19
 *
 * Return: @count; -ENODEV if there is no such device, if it has a driver, does
 * not match, or its probe failed in whatever way; -EPROBE_DEFER while probing
 * is blocked; -ENOENT if the driver has no such file. Context: may sleep.
 */
int bus_bind_store(struct device_driver *drv, const char *buf, size_t count)
{
	struct device *dev;
	int err = -ENODEV;

	if (drv->suppress_bind_attrs)
		return -ENOENT;
	dev = bus_find_device_by_name(drv->bus, NULL, buf);
	if (dev && !READ_ONCE(dev->driver) && driver_match_device(drv, dev)) {
		device_lock_for_bind(dev);
		device_lock(dev);
		err = driver_probe_device(drv, dev);
		device_unlock(dev);
		device_unlock_for_bind(dev);
		if (err > 0)
			err = (int)count;
		else if (err == 0)
			err = -ENODEV;
	}
	put_device(dev);
	return err;
}

/**
 * bus_drivers_probe_store() - write to a bus's drivers_probe file
 * @bus: bus
 * @buf: device name, with or without a newline
 * @count: bytes written
 *
 * mirrors drivers/base/bus.c:store_drivers_probe, v4.19
 *
 * Return: @count, also when no driver was found; -ENODEV if there is no such
 * device; -EINVAL if looking for a driver failed. Context: may sleep.
 */
int bus_drivers_probe_store(struct bus_type *bus, const char *buf, size_t count)
{
	struct device *dev = bus_find_device_by_name(bus, NULL, buf);
	int err = -EINVAL;

	if (!dev)
		return -ENODEV;
	if (bus_rescan_devices_helper(dev, NULL) == 0)
		err = (int)count;
	put_device(dev);
	return err;
}

/**
 * bus_drivers_autoprobe_store() - write to a bus's drivers_autoprobe file
 * @bus: bus
 * @buf: off if it begins with '0', otherwise on
 * @count: bytes written
 *
 * mirrors drivers/base/bus.c:store_drivers_autoprobe, v4.19
 *
 * Return: @count.
 */
int bus_drivers_autoprobe_store(struct bus_type *bus, const char *buf, size_t count)
{
	WRITE_ONCE(bus->p->drivers_autoprobe, buf[0] != '0');
	return (int)count;
}

/* mirrors drivers/base/bus.c:show_drivers_autoprobe, v4.19 */
bool bus_drivers_autoprobe(struct bus_type *bus)
{
	return READ_ONCE(bus->p->drivers_autoprobe);
}

/* ---- drivers ---- */

/*
 * mirrors drivers/base/bus.c:bus_add_driver, v4.19
 *
 * Return: 0; -EINVAL if the bus is not registered; -ENOMEM; or the error that
 * ended driver_attach().  In that last case v4.19 frees the driver's private
 * part while it is still on the bus's list, and while devices that have been
 * bound before are on its own: whoever walks either next uses freed memory.
 */
int bus_add_driver(struct device_driver *drv)
{
	struct driver_private *priv;
	int error;

	if (!drv->bus || !drv->bus->p)
		return -EINVAL;
	priv = kzalloc(sizeof(*priv), GFP_KERNEL);
	if (!priv)
		return -ENOMEM;
	klist_init(&priv->klist_devices, NULL, NULL);
	priv->driver = drv;
	drv->p = priv;
	klist_add_tail(&priv->knode_bus, &drv->bus->p->klist_drivers);

	if (READ_ONCE(drv->bus->p->drivers_autoprobe)) {
		error = driver_attach(drv);
		if (error) {
			kfree(priv);
			drv->p = NULL;
			return error;
		}
	}
	return 0;
}

/* mirrors drivers/base/bus.c:bus_remove_driver, v4.19 */
void bus_remove_driver(struct device_driver *drv)
{
	if (!drv->bus)
		return;
	/* Off the list first: no device finds the driver while it detaches. */
	klist_remove(&drv->p->knode_bus);
	driver_detach(drv);
	/* drv->p is left dangling: unregistering twice is a use after free. */
	kfree(drv->p);
}
