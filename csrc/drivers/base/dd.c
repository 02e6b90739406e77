// SPDX-License-Identifier: GPL-2.0-only
/*
 * Binding drivers to devices and unbinding them.
 *
 * dev->driver is set before the driver's probe and cleared after the managed
 * resources are gone, on unbind and on a failed probe alike: release functions
 * see the driver, and messages carry its name.  All of it happens under the
 * device lock, so a release function that never returns keeps that lock.
 *
 * A probe that answers -EPROBE_DEFER puts the device on the pending list.
 * Every successful probe moves that list to the active list and schedules a
 * work that tries those devices again.
 */

#include <linux/device.h>
#include <linux/export.h>
#include <linux/kernel_data.h>

#include "base.h"

#define deferred_probe_mutex (kernel_data()->driver_core.deferred_probe_mutex)
#define deferred_probe_pending_list (kernel_data()->driver_core.deferred_probe_pending_list)
#define deferred_probe_active_list (kernel_data()->driver_core.deferred_probe_active_list)
#define deferred_trigger_count (kernel_data()->driver_core.deferred_trigger_count)
#define deferred_probe_work (kernel_data()->driver_core.deferred_probe_work)
#define defer_all_probes (kernel_data()->driver_core.defer_all_probes)
#define probe_count (kernel_data()->driver_core.probe_count)
#define probe_waitqueue (kernel_data()->driver_core.probe_waitqueue)

/* ---- deferred probing ---- */

/* mirrors drivers/base/dd.c:deferred_probe_work_func, v4.19 */
static void deferred_probe_work_func(struct work_struct *work)
{
	(void)work;
	mutex_lock(&deferred_probe_mutex);
	while (!list_empty(&deferred_probe_active_list)) {
		struct device_private *private = list_first_entry(
			&deferred_probe_active_list, struct device_private, deferred_probe);
		struct device *dev = private->device;

		list_del_init(&private->deferred_probe);
		get_device(dev);
		/* The probe may defer the device again, which takes the mutex. */
		mutex_unlock(&deferred_probe_mutex);
		bus_probe_device(dev);
		mutex_lock(&deferred_probe_mutex);
		put_device(dev);
	}
	mutex_unlock(&deferred_probe_mutex);
}

/* mirrors drivers/base/dd.c:driver_deferred_probe_add, v4.19 */
void driver_deferred_probe_add(struct device *dev)
{
	mutex_lock(&deferred_probe_mutex);
	if (list_empty(&dev->p->deferred_probe))
		list_add_tail(&dev->p->deferred_probe, &deferred_probe_pending_list);
	mutex_unlock(&deferred_probe_mutex);
}

/* mirrors drivers/base/dd.c:driver_deferred_probe_del, v4.19 */
void driver_deferred_probe_del(struct device *dev)
{
	mutex_lock(&deferred_probe_mutex);
	if (!list_empty(&dev->p->deferred_probe))
		list_del_init(&dev->p->deferred_probe);
	mutex_unlock(&deferred_probe_mutex);
}

/* mirrors drivers/base/dd.c:driver_deferred_probe_trigger, v4.19 after boot */
static void driver_deferred_probe_trigger(void)
{
	mutex_lock(&deferred_probe_mutex);
	atomic_inc(&deferred_trigger_count);
	while (!list_empty(&deferred_probe_pending_list))
		list_move_tail(deferred_probe_pending_list.next, &deferred_probe_active_list);
	/* The kernel schedules the work in any case; without devices it does nothing. */
	if (!list_empty(&deferred_probe_active_list))
		schedule_work(&deferred_probe_work);
	mutex_unlock(&deferred_probe_mutex);
}

/**
 * device_block_probing() - put all probes off, and wait for those under way
 *
 * mirrors drivers/base/dd.c:device_block_probing, v4.19
 *
 * Context: may sleep.
 */
void device_block_probing(void)
{
	WRITE_ONCE(defer_all_probes, true);
	wait_for_device_probe();
}

/**
 * device_unblock_probing() - allow probes again, and catch up
 *
 * mirrors drivers/base/dd.c:device_unblock_probing, v4.19
 *
 * Context: may sleep.
 */
void device_unblock_probing(void)
{
	WRITE_ONCE(defer_all_probes, false);
	driver_deferred_probe_trigger();
}

/**
 * wait_for_device_probe() - wait until no probe is under way
 *
 * mirrors drivers/base/dd.c:wait_for_device_probe, v4.19
 *
 * Context: may sleep.
 */
void wait_for_device_probe(void)
{
	flush_work(&deferred_probe_work);
	wait_event(probe_waitqueue, atomic_read(&probe_count) == 0);
	/* Asynchronous probes would be waited for here. */
}
EXPORT_SYMBOL_GPL(wait_for_device_probe);

/* ---- binding ---- */

/**
 * device_is_bound() - has a driver taken this device?
 * @dev: device; its lock is held
 *
 * Not the same as having a driver set, which a device under probe has too.
 *
 * mirrors drivers/base/dd.c:device_is_bound, v4.19
 */
bool device_is_bound(struct device *dev)
{
	return dev->p && klist_node_attached(&dev->p->knode_driver);
}

/* mirrors drivers/base/dd.c:driver_bound, v4.19 */
static void driver_bound(struct device *dev)
{
	if (device_is_bound(dev)) {
		pr_warn("%s: device %s already bound\n", __func__, dev_name(dev));
		return;
	}

	klist_add_tail(&dev->p->knode_driver, &dev->driver->p->klist_devices);
	/* Device links would become active here. */

	/* One more driver works: perhaps it is what others have waited for. */
	driver_deferred_probe_del(dev);
	driver_deferred_probe_trigger();

	bus_notify(dev, BUS_NOTIFY_BOUND_DRIVER);
	/* User space would hear of the binding here. */
}

static struct sysfs_link *sysfs_create_link(const void *target, const char *caller)
{
	struct sysfs_link *link = kmalloc_caller(sizeof(*link), GFP_KERNEL, caller);

	if (link)
		link->target = target;
	return link;
}

/*
 * mirrors drivers/base/dd.c:driver_sysfs_add, v4.19; a link is not seen by
 * anyone here, but making it needs memory
 */
static int driver_sysfs_add(struct device *dev)
{
	bus_notify(dev, BUS_NOTIFY_BIND_DRIVER);

	dev->p->driver_link = sysfs_create_link(dev, __func__);
	if (!dev->p->driver_link)
		return -ENOMEM;
	dev->p->device_link = sysfs_create_link(dev->driver, __func__);
	if (!dev->p->device_link) {
		kfree(dev->p->driver_link);
		dev->p->driver_link = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* mirrors drivers/base/dd.c:driver_sysfs_remove, v4.19; links may be missing */
static void driver_sysfs_remove(struct device *dev)
{
	kfree(dev->p->driver_link);
	dev->p->driver_link = NULL;
	kfree(dev->p->device_link);
	dev->p->device_link = NULL;
}

/**
 * device_bind_driver() - bind without a probe
 * @dev: device whose driver has been set by the caller; its lock is held
 *
 * mirrors drivers/base/dd.c:device_bind_driver, v4.19
 *
 * Return: 0 or a negative errno.
 */
int device_bind_driver(struct device *dev)
{
	int ret = driver_sysfs_add(dev);

	if (!ret)
		driver_bound(dev);
	else
		bus_notify(dev, BUS_NOTIFY_DRIVER_NOT_BOUND);
	return ret;
}
EXPORT_SYMBOL_GPL(device_bind_driver);

static int call_probe(struct device *dev, struct device_driver *drv)
{
	if (dev->bus->probe)
		return dev->bus->probe(dev);
	if (drv->probe)
		return drv->probe(dev);
	return 0;
}

/*
 * mirrors drivers/base/dd.c:really_probe, v4.19
 *
 * Return: 1 bound, 0 not bound whatever the reason, -EPROBE_DEFER if probing
 * is blocked.
 */
static int really_probe(struct device *dev, struct device_driver *drv)
{
	int local_trigger_count = atomic_read(&deferred_trigger_count);
	int ret;

	if (READ_ONCE(defer_all_probes)) {
		dev_dbg(dev, "Driver %s force probe deferral\n", drv->name);
		driver_deferred_probe_add(dev);
		return -EPROBE_DEFER;
	}
	/* A device link whose supplier is not ready would defer here too. */

	atomic_inc(&probe_count);
	/* Left by an earlier driver, or acquired without one.  Carry on. */
	WARN_ON(!list_empty(&dev->devres_head));

	WRITE_ONCE(dev->driver, drv);
	/* Here pins are bound, then DMA is configured; either may fail. */

	if (driver_sysfs_add(dev)) {
		pr_err("%s: driver_sysfs_add(%s) failed\n", __func__, dev_name(dev));
		/* The error is not passed on: the failure is reported as error 0. */
		ret = 0;
		goto probe_failed;
	}
	/* Here the PM domain is activated. */

	ret = call_probe(dev, drv);
	if (ret)
		goto probe_failed;

	driver_bound(dev);
	ret = 1;
	goto done;

probe_failed:
	/* Here DMA is taken down again. */
	bus_notify(dev, BUS_NOTIFY_DRIVER_NOT_BOUND);
	/* Here device links are reset. */
	devres_release_all(dev);
	driver_sysfs_remove(dev);
	WRITE_ONCE(dev->driver, NULL);
	dev_set_drvdata(dev, NULL);

	switch (ret) {
	case -EPROBE_DEFER:
		dev_dbg(dev, "Driver %s requests probe deferral\n", drv->name);
		driver_deferred_probe_add(dev);
		/* Somebody else succeeded meanwhile: that trigger missed us. */
		if (local_trigger_count != atomic_read(&deferred_trigger_count))
			driver_deferred_probe_trigger();
		break;
	case -ENODEV:
	case -ENXIO:
		/* The driver looked and declined: worth a debug message only. */
		dev_dbg(dev, "%s: probe of %s rejects match %d\n", drv->name, dev_name(dev), ret);
		break;
	default:
		pr_warn("%s: probe of %s failed with error %d\n", drv->name, dev_name(dev), ret);
	}
	/* Other drivers may still match: never an error for the walk. */
	ret = 0;
done:
	atomic_dec(&probe_count);
	wake_up_all(&probe_waitqueue);
	return ret;
}

/**
 * driver_probe_device() - try to bind a driver that matches
 * @drv: driver
 * @dev: device; its lock is held, and its parent's where the bus wants that
 *
 * mirrors drivers/base/dd.c:driver_probe_device, v4.19
 *
 * Return: 1 bound, 0 not bound, -ENODEV if @dev has been deleted, -EPROBE_DEFER
 * if probing is blocked.
 */
int driver_probe_device(struct device_driver *drv, struct device *dev)
{
	if (!device_is_registered(dev))
		return -ENODEV;
	/* Runtime PM of device, suppliers and parent would be held around this. */
	return really_probe(dev, drv);
}

/* Return: as a match, with deferral turned into one after queueing the device. */
static int match_or_defer(struct device_driver *drv, struct device *dev)
{
	int ret = driver_match_device(drv, dev);

	if (ret == -EPROBE_DEFER) {
		dev_dbg(dev, "Device match requests probe deferral\n");
		driver_deferred_probe_add(dev);
		return 1;
	}
	if (ret < 0)
		dev_dbg(dev, "Bus failed to match device: %d\n", ret);
	return ret;
}

/* mirrors drivers/base/dd.c:__device_attach_driver, v4.19 */
static int __device_attach_driver(struct device_driver *drv, void *data)
{
	struct device *dev = data;
	int ret = match_or_defer(drv, dev);

	return ret > 0 ? driver_probe_device(drv, dev) : ret;
}

/* mirrors drivers/base/dd.c:__device_attach, v4.19 without asynchronous probing */
static int __device_attach(struct device *dev)
{
	int ret;

	device_lock(dev);
	if (!READ_ONCE(dev->driver)) {
		ret = bus_for_each_drv(dev->bus, NULL, dev, __device_attach_driver);
	} else if (device_is_bound(dev)) {
		ret = 1;
	} else if (device_bind_driver(dev) == 0) {
		ret = 1;
	} else {
		WRITE_ONCE(dev->driver, NULL);
		ret = 0;
	}
	device_unlock(dev);
	return ret;
}

/**
 * device_attach() - look for a driver
 * @dev: device
 *
 * mirrors drivers/base/dd.c:device_attach, v4.19
 *
 * Return: 1 bound, now or before; 0 none found; a negative errno of the match,
 * or -ENODEV or -EPROBE_DEFER as of driver_probe_device().
 * Context: may sleep; takes the device lock.
 */
int device_attach(struct device *dev)
{
	return __device_attach(dev);
}
EXPORT_SYMBOL_GPL(device_attach);

/* mirrors drivers/base/dd.c:device_initial_probe, v4.19 */
void device_initial_probe(struct device *dev)
{
	__device_attach(dev);
}

static void device_lock_with_parent(struct device *dev, struct device *parent)
{
	if (parent && dev->bus->need_parent_lock)
		device_lock(parent);
	device_lock(dev);
}

static void device_unlock_with_parent(struct device *dev, struct device *parent)
{
	device_unlock(dev);
	if (parent && dev->bus->need_parent_lock)
		device_unlock(parent);
}

/* mirrors drivers/base/dd.c:__driver_attach, v4.19 */
static int __driver_attach(struct device *dev, void *data)
{
	struct device_driver *drv = data;
	int ret = match_or_defer(drv, dev);

	if (ret <= 0)
		return ret;

	device_lock_with_parent(dev, dev->parent);
	if (!READ_ONCE(dev->driver))
		driver_probe_device(drv, dev);
	device_unlock_with_parent(dev, dev->parent);
	/* A device that does not want this driver does not stop the walk. */
	return 0;
}

/**
 * driver_attach() - look for devices
 * @drv: registered driver
 *
 * mirrors drivers/base/dd.c:driver_attach, v4.19
 *
 * Return: 0, or the negative match result that stopped the walk.
 * Context: may sleep; takes the locks of matching devices.
 */
int driver_attach(struct device_driver *drv)
{
	return bus_for_each_dev(drv->bus, NULL, drv, __driver_attach);
}
EXPORT_SYMBOL_GPL(driver_attach);

/* ---- unbinding ---- */

/* mirrors drivers/base/dd.c:__device_release_driver, v4.19; device lock held */
static void __device_release_driver(struct device *dev)
{
	struct device_driver *drv = READ_ONCE(dev->driver);

	if (!drv)
		return;
	/*
	 * Here: wait for asynchronous probing, unbind the consumers of device
	 * links, wake the device.
	 */
	driver_sysfs_remove(dev);
	bus_notify(dev, BUS_NOTIFY_UNBIND_DRIVER);

	if (dev->bus && dev->bus->remove)
		dev->bus->remove(dev);
	else if (drv->remove)
		drv->remove(dev);

	/* Here: clean up device links, then take down DMA, before devres. */
	devres_release_all(dev);
	WRITE_ONCE(dev->driver, NULL);
	dev_set_drvdata(dev, NULL);

	klist_remove(&dev->p->knode_driver);
	bus_notify(dev, BUS_NOTIFY_UNBOUND_DRIVER);
	/* User space would hear of it here. */
}

/**
 * device_release_driver_internal() - unbind, if it is that driver
 * @dev: device
 * @drv: driver that must be bound, or NULL for any
 * @parent: parent to lock if the bus wants that, or NULL
 *
 * mirrors drivers/base/dd.c:device_release_driver_internal, v4.19
 *
 * Context: may sleep; takes the device lock.
 */
void device_release_driver_internal(struct device *dev, struct device_driver *drv,
				    struct device *parent)
{
	device_lock_with_parent(dev, parent);
	if (!drv || drv == READ_ONCE(dev->driver))
		__device_release_driver(dev);
	device_unlock_with_parent(dev, parent);
}

/**
 * device_release_driver() - unbind whatever driver is bound
 * @dev: device
 *
 * From the driver's own remove this waits for itself for ever.
 *
 * mirrors drivers/base/dd.c:device_release_driver, v4.19
 *
 * Context: may sleep; takes the device lock.
 */
void device_release_driver(struct device *dev)
{
	device_release_driver_internal(dev, NULL, NULL);
}
EXPORT_SYMBOL_GPL(device_release_driver);

/* The device bound last, with a reference, or NULL. */
static struct device *last_bound_device(struct driver_private *priv)
{
	struct device_private *dev_prv;
	struct device *dev = NULL;

	spin_lock(&priv->klist_devices.k_lock);
	if (!list_empty(&priv->klist_devices.k_list)) {
		dev_prv = list_last_entry(&priv->klist_devices.k_list, struct device_private,
					  knode_driver.n_node);
		dev = get_device(dev_prv->device);
	}
	spin_unlock(&priv->klist_devices.k_lock);
	return dev;
}

/**
 * driver_detach() - unbind a driver from all its devices, last bound first
 * @drv: driver
 *
 * mirrors drivers/base/dd.c:driver_detach, v4.19
 *
 * Context: may sleep; takes the device locks.
 */
void driver_detach(struct device_driver *drv)
{
	struct device *dev;

	while ((dev = last_bound_device(drv->p)) != NULL) {
		device_release_driver_internal(dev, drv, dev->parent);
		put_device(dev);
	}
}

void __init driver_deferred_probe_init(void)
{
	mutex_init(&deferred_probe_mutex);
	INIT_LIST_HEAD(&deferred_probe_pending_list);
	INIT_LIST_HEAD(&deferred_probe_active_list);
	atomic_set(&deferred_trigger_count, 0);
	INIT_WORK(&deferred_probe_work, deferred_probe_work_func);
	defer_all_probes = false;
	atomic_set(&probe_count, 0);
	init_waitqueue_head(&probe_waitqueue);
}
