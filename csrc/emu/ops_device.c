// SPDX-License-Identifier: GPL-2.0-only
/* Operations on devices, drivers of the host, and the bus they meet on. */
#include <linux/percpu-refcount.h>

#include "ops.h"

#include <linux/device.h>
#include <linux/kernel.h>
#include <linux/outline.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/string.h>

/**
 * struct host_driver - a driver whose probe and remove are the host's
 */
struct host_driver {
	struct device_driver drv;
	int64_t probe;
	int64_t remove;
	int64_t match;
};

/**
 * struct host_notifier - a bus notifier of the host
 */
struct host_notifier {
	struct notifier_block nb;
	struct bus_type *bus;
	int64_t callback;
};

static int64_t device_handle(struct device *dev)
{
	return object_or_new('D', dev, dev);
}

static void host_device_release(struct device *dev)
{
	object_forget(dev);
	kfree(dev);
}

static int host_probe(struct device *dev)
{
	struct host_driver *h = container_of(dev->driver, struct host_driver, drv);

	return h->probe ? (int)upcall(h->probe, device_handle(dev), 0) : 0;
}

static int host_remove(struct device *dev)
{
	struct host_driver *h = container_of(dev->driver, struct host_driver, drv);

	return h->remove ? (int)upcall(h->remove, device_handle(dev), 0) : 0;
}

static int host_match(struct device *dev, struct device_driver *drv)
{
	struct host_driver *h = container_of(drv, struct host_driver, drv);

	if (drv->probe != host_probe || !h->match)
		return this_machine()->s->platform_match(dev, drv);
	return (int)upcall(h->match, device_handle(dev), 0);
}

static int host_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	struct host_notifier *h = container_of(nb, struct host_notifier, nb);

	upcall(h->callback, (int64_t)action, device_handle(data));
	return NOTIFY_OK;
}

/* What runs from here on is for @dev: what it leaves behind is @dev's. */
static struct device *on_behalf(struct device *dev)
{
	this_machine()->running->owner = dev;
	return dev;
}

static int64_t op_driver_new(const int64_t *args)
{
	struct host_driver *h = kzalloc(sizeof(*h), GFP_KERNEL);

	if (!h)
		return 0;
	h->drv.name = STRING(0);
	h->drv.bus = &platform_bus_type;
	h->drv.probe = host_probe;
	h->drv.remove = host_remove;
	h->probe = args[1];
	h->remove = args[2];
	return object_new('L', &h->drv, h);
}

static int64_t op_driver_match(const int64_t *args)
{
	struct device_driver *drv = ARG(struct device_driver, 0);

	if (drv->bus != &platform_bus_type || drv->probe != host_probe)
		return bad_argument("the driver is none of the platform bus");
	if (platform_bus_type.match != host_match) {
		this_machine()->s->platform_match = platform_bus_type.match;
		platform_bus_type.match = host_match;
	}
	container_of(drv, struct host_driver, drv)->match = args[1];
	return 0;
}

static int64_t op_driver_register(const int64_t *args)
{
	return driver_register(ARG(struct device_driver, 0));
}

static int64_t op_driver_unregister(const int64_t *args)
{
	driver_unregister(ARG(struct device_driver, 0));
	return 0;
}

static int64_t op_driver_attach(const int64_t *args)
{
	if (!ARG(struct device_driver, 0)->p)
		return bad_argument("the driver is not registered");
	return driver_attach(ARG(struct device_driver, 0));
}

/* A device on the platform bus (1) or on none (0). */
static int64_t op_device_new(const int64_t *args)
{
	struct device *dev;

	if (args[2] < NUMA_NO_NODE || args[2] >= kernel_data()->config.numa_nodes)
		return bad_argument("no such node");
	dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	if (!dev)
		return 0;
	device_initialize(dev);
	dev->bus = args[1] ? &platform_bus_type : NULL;
	dev->numa_node = (int)args[2];
	if (args[3])
		dev->release = host_device_release;
	if (dev_set_name(dev, "%s", STRING(0))) {
		dev->release = host_device_release;
		put_device(dev);
		return 0;
	}
	return device_handle(dev);
}

static int64_t op_device_add(const int64_t *args)
{
	struct device *dev = on_behalf(ARG(struct device, 0));

	if (device_is_registered(dev))
		return bad_argument("the device has been added already");
	return device_add(dev);
}

static int64_t op_device_del(const int64_t *args)
{
	struct device *dev = on_behalf(ARG(struct device, 0));

	if (!device_is_registered(dev))
		return bad_argument("the device has not been added");
	device_del(dev);
	return 0;
}

static int64_t op_device_unregister(const int64_t *args)
{
	struct device *dev = on_behalf(ARG(struct device, 0));

	if (!device_is_registered(dev))
		return bad_argument("the device has not been added");
	device_unregister(dev);
	return 0;
}

static int64_t op_get_device(const int64_t *args)
{
	get_device(ARG(struct device, 0));
	return 0;
}

static int64_t op_put_device(const int64_t *args)
{
	put_device(on_behalf(ARG(struct device, 0)));
	return 0;
}

static int64_t op_device_attach(const int64_t *args)
{
	struct device *dev = on_behalf(ARG(struct device, 0));

	if (!dev->bus || !device_is_registered(dev))
		return bad_argument("the device is not on a bus");
	return device_attach(dev);
}

static int64_t op_device_release_driver(const int64_t *args)
{
	device_release_driver(on_behalf(ARG(struct device, 0)));
	return 0;
}

/* A name that the host gives, else that of the device. */
static const char *name_to_store(const int64_t *args)
{
	if (args[1])
		return STRING(1);
	if (args[2])
		return dev_name(ARG(struct device, 2));
	bad_argument("neither a name nor a device");
	return NULL;
}

static int64_t op_bind_store(const int64_t *args)
{
	struct device *dev = args[2] ? ARG(struct device, 2) : NULL;
	const char *name;

	if (!ARG(struct device_driver, 0)->p)
		return bad_argument("the driver is not registered");
	if (dev)
		on_behalf(dev);
	name = name_to_store(args);
	return name ? bus_bind_store(ARG(struct device_driver, 0), name, strlen(name)) : 0;
}

static int64_t op_unbind_store(const int64_t *args)
{
	struct device *dev = args[2] ? ARG(struct device, 2) : NULL;
	const char *name;

	if (!ARG(struct device_driver, 0)->p)
		return bad_argument("the driver is not registered");
	if (dev)
		on_behalf(dev);
	name = name_to_store(args);
	return name ? bus_unbind_store(ARG(struct device_driver, 0), name, strlen(name)) : 0;
}

static int64_t op_drivers_probe(const int64_t *args)
{
	struct device *dev = ARG(struct device, 0);

	if (!dev->bus)
		return bad_argument("the device is on no bus");
	on_behalf(dev);
	return bus_drivers_probe_store(dev->bus, dev_name(dev), strlen(dev_name(dev)));
}

static int64_t op_autoprobe(const int64_t *args)
{
	struct bus_type *bus = args[0] ? ARG(struct device, 0)->bus : &platform_bus_type;

	if (!bus)
		return bad_argument("the device is on no bus");
	return bus_drivers_autoprobe_store(bus, args[1] ? "1" : "0", 1);
}

static int64_t op_autoprobe_show(const int64_t *args)
{
	struct bus_type *bus = args[0] ? ARG(struct device, 0)->bus : &platform_bus_type;

	if (!bus)
		return bad_argument("the device is on no bus");
	return bus_drivers_autoprobe(bus);
}

/* As a bus does that knows the driver: no match, no probe. */
static int64_t op_device_bind_driver(const int64_t *args)
{
	struct device *dev = on_behalf(ARG(struct device, 0));
	struct device_driver *drv = ARG(struct device_driver, 1);
	int ret;

	/* Drivers of other buses rely on what their probe has set up. */
	if (!drv->p || drv->bus != &platform_bus_type || dev->bus != drv->bus ||
	    !device_is_registered(dev))
		return bad_argument("a registered driver, and a device on the platform bus");
	device_lock(dev);
	outline_set_driver(dev, drv);
	ret = device_bind_driver(dev);
	if (ret)
		outline_set_driver(dev, NULL);
	device_unlock(dev);
	return ret;
}

static int64_t op_block_probing(const int64_t *args)
{
	if (args[0])
		device_block_probing();
	else
		device_unblock_probing();
	return 0;
}

static int64_t op_device_lock(const int64_t *args)
{
	device_lock(ARG(struct device, 0));
	return 0;
}

static int64_t op_device_unlock(const int64_t *args)
{
	if (ARG(struct device, 0)->mutex.state.owner != current)
		return bad_argument("this task does not hold the device lock");
	device_unlock(ARG(struct device, 0));
	return 0;
}

static int64_t op_driver_of(const int64_t *args)
{
	struct device_driver *drv = ARG(struct device, 0)->driver;

	return object_or_new('L', drv, NULL);
}

static int64_t op_is_bound(const int64_t *args)
{
	return device_is_bound(ARG(struct device, 0));
}

static int64_t op_driver_set(const int64_t *args)
{
	return ARG(struct device, 0)->driver != NULL;
}

static int64_t op_is_registered(const int64_t *args)
{
	return device_is_registered(ARG(struct device, 0));
}

static int64_t op_set_drvdata(const int64_t *args)
{
	struct device *dev = ARG(struct device, 0);

	/* A driver of the kernel follows it as a pointer. */
	if ((dev->bus && dev->bus != &platform_bus_type) ||
	    (dev->driver && dev->driver->probe != host_probe))
		return bad_argument("the data of this device is its driver's");
	outline_dev_set_drvdata(dev, (void *)(uintptr_t)args[1]);
	return 0;
}

static int64_t op_get_drvdata(const int64_t *args)
{
	return (int64_t)(uintptr_t)outline_dev_get_drvdata(ARG(struct device, 0));
}

static int64_t op_dev_err(const int64_t *args)
{
	dev_printk((int)args[2] & 7, args[0] ? ARG(struct device, 0) : NULL, "%s\n", STRING(1));
	return 0;
}

static int64_t op_dev_warn(const int64_t *args)
{
	dev_WARN(ARG(struct device, 0), "%s\n", STRING(1));
	return 0;
}

static struct bus_type *bus_of(const int64_t *args, int i)
{
	return args[i] ? ARG(struct device, i)->bus : &platform_bus_type;
}

static int64_t op_notifier_new(const int64_t *args)
{
	struct host_notifier *h;
	struct bus_type *bus = bus_of(args, 1);

	if (!bus)
		return bad_argument("the device is on no bus");
	h = kzalloc(sizeof(*h), GFP_KERNEL);
	if (!h)
		return 0;
	h->nb.notifier_call = host_notify;
	h->nb.priority = (int)args[2];
	h->callback = args[0];
	h->bus = bus;
	if (bus_register_notifier(bus, &h->nb)) {
		kfree(h);
		return 0;
	}
	return object_new('N', h, h);
}

static int64_t op_notifier_free(const int64_t *args)
{
	struct host_notifier *h = ARG(struct host_notifier, 0);

	bus_unregister_notifier(h->bus, &h->nb);
	object_forget(h);
	kfree(h);
	return 0;
}

static const struct op ops[] = {
	OP("driver_new", "sxx", "L", op_driver_new),
	OP("driver_match", "Li", "v", op_driver_match),
	OP("driver_register", "L", "e", op_driver_register),
	OP("driver_unregister", "L", "v", op_driver_unregister),
	OP("driver_attach", "L", "e", op_driver_attach),
	OP("device_new", "siii", "D", op_device_new),
	OP("device_add", "D", "e", op_device_add),
	OP("device_del", "D", "v", op_device_del),
	OP("device_unregister", "D", "v", op_device_unregister),
	OP("get_device", "D", "v", op_get_device),
	OP("put_device", "D", "v", op_put_device),
	OP("device_attach", "D", "u", op_device_attach),
	OP("device_release_driver", "D", "v", op_device_release_driver),
	OP("bind_store", "Lsd", "u", op_bind_store),
	OP("unbind_store", "Lsd", "u", op_unbind_store),
	OP("drivers_probe_store", "D", "u", op_drivers_probe),
	OP("drivers_autoprobe_show", "d", "b", op_autoprobe_show),
	OP("device_bind_driver", "DL", "e", op_device_bind_driver),
	OP("drivers_autoprobe_store", "di", "u", op_autoprobe),
	OP("device_block_probing", "i", "v", op_block_probing),
	OP("device_lock", "D", "v", op_device_lock),
	OP("device_unlock", "D", "v", op_device_unlock),
	OP("device_driver", "D", "L", op_driver_of),
	OP("device_is_bound", "D", "b", op_is_bound),
	OP("device_driver_set", "D", "b", op_driver_set),
	OP("device_is_registered", "D", "b", op_is_registered),
	OP("dev_set_drvdata", "Di", "v", op_set_drvdata),
	OP("dev_get_drvdata", "D", "u", op_get_drvdata),
	OP("dev_printk", "dsi", "v", op_dev_err),
	OP("dev_WARN", "Ds", "v", op_dev_warn),
	OP("notifier_register", "xdi", "N", op_notifier_new),
	OP("notifier_unregister", "N", "v", op_notifier_free),
};
OP_TABLE(ops_device, ops);
