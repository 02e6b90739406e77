/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _BASE_H
#define _BASE_H

#include <linux/device.h>
#include <linux/klist.h>
#include <linux/notifier.h>

/**
 * struct subsys_private - the driver core's part of a bus
 * @bus: the bus
 * @node: link in the list of all buses
 * @klist_devices: its devices, each with a reference
 * @klist_drivers: its drivers
 * @bus_notifier: who hears of BUS_NOTIFY_* events
 * @drivers_autoprobe: new devices and drivers are tried at once
 */
struct subsys_private {
	struct bus_type *bus;
	struct list_head node;
	struct klist klist_devices;
	struct klist klist_drivers;
	struct blocking_notifier_head bus_notifier;
	bool drivers_autoprobe;
};

/**
 * struct driver_private - the driver core's part of a driver
 * @driver: the driver
 * @klist_devices: devices bound to it, in the order of binding
 * @knode_bus: link in the bus's list of drivers
 */
struct driver_private {
	struct device_driver *driver;
	struct klist klist_devices;
	struct klist_node knode_bus;
};

/**
 * struct device_private - the driver core's part of a device
 * @device: the device
 * @knode_bus: link in the bus's list of devices
 * @knode_driver: link in the bound driver's list; attached means bound
 * @deferred_probe: link in the pending or the active list of deferred probes
 * @driver_link: link in the driver's directory to the device, or NULL
 * @device_link: link in the device's directory to its driver, or NULL
 */
struct device_private {
	struct device *device;
	struct klist_node knode_bus;
	struct klist_node knode_driver;
	struct list_head deferred_probe;
	struct sysfs_link *driver_link;
	struct sysfs_link *device_link;
};

/**
 * struct sysfs_link - what is left of a symbolic link without a sysfs
 * @target: the kobject or driver it leads to
 */
struct sysfs_link {
	const void *target;
};

/**
 * struct devres_node - one entry of a device's resource list
 * @entry: link
 * @release: tells regular entries and the two group markers apart
 * @name: release function as written, for the log
 * @size: bytes of payload, for the log
 */
struct devres_node {
	struct list_head entry;
	dr_release_t release;
	const char *name;
	size_t size;
};

/**
 * struct devres - a regular entry
 * @node: link and identity
 * @data: payload, 8-byte aligned; what the public functions hand out
 */
struct devres {
	struct devres_node node;
	unsigned long long data[];
};

/**
 * struct devres_group - a pair of markers around some entries
 * @node: open and close marker; the latter is on the list once closed
 * @id: the caller's, or the group itself
 * @color: scratch of a release: how many of its markers are in the range
 */
struct devres_group {
	struct devres_node node[2];
	void *id;
	int color;
};

/**
 * struct action_devres - payload of an action
 * @data: its argument
 * @action: the function
 */
struct action_devres {
	void *data;
	void (*action)(void *data);
};

void devm_action_release(struct device *dev, void *res);

struct devres *alloc_dr(dr_release_t release, size_t size, gfp_t gfp, const char *name,
			const char *caller);

int bus_add_device(struct device *dev);
void bus_probe_device(struct device *dev);
void bus_remove_device(struct device *dev);
int bus_add_driver(struct device_driver *drv);
void bus_remove_driver(struct device_driver *drv);
void bus_notify(struct device *dev, unsigned long event);

int driver_probe_device(struct device_driver *drv, struct device *dev);
void device_initial_probe(struct device *dev);
void driver_detach(struct device_driver *drv);
void driver_deferred_probe_add(struct device *dev);
void driver_deferred_probe_del(struct device *dev);
void driver_deferred_probe_init(void);

static inline int driver_match_device(struct device_driver *drv, struct device *dev)
{
	return drv->bus->match ? drv->bus->match(dev, drv) : 1;
}

#endif
