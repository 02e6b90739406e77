// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registering drivers.
 */

#include <linux/device.h>
#include <linux/export.h>
#include <linux/string.h>

#include "base.h"

/**
 * driver_find() - find a driver by name
 * @name: name
 * @bus: registered bus
 *
 * mirrors drivers/base/driver.c:driver_find, v4.19
 *
 * Return: the driver or NULL.
 */
struct device_driver *driver_find(const char *name, struct bus_type *bus)
{
	struct device_driver *found = NULL;
	struct klist_iter i;
	struct klist_node *n;

	klist_iter_init(&bus->p->klist_drivers, &i);
	while (!found && (n = klist_next(&i)) != NULL) {
		struct device_driver *drv =
			container_of(n, struct driver_private, knode_bus)->driver;

		if (strcmp(drv->name, name) == 0)
			found = drv;
	}
	klist_iter_exit(&i);
	return found;
}
EXPORT_SYMBOL_GPL(driver_find);

/**
 * driver_register() - make a driver known and bind the devices that want it
 * @drv: driver with its bus set
 *
 * mirrors drivers/base/driver.c:driver_register, v4.19
 *
 * Return: 0; -EINVAL if the bus is not registered; -EBUSY if its name is taken;
 * -ENOMEM; a negative match result. Failing probes are not errors.
 * Context: may sleep.
 */
int driver_register(struct device_driver *drv)
{
	if (!drv->bus || !drv->bus->p)
		return -EINVAL;
	if ((drv->bus->probe && drv->probe) || (drv->bus->remove && drv->remove))
		pr_warn("Driver '%s' needs updating - please use bus_type methods\n", drv->name);
	if (driver_find(drv->name, drv->bus)) {
		pr_err("Error: Driver '%s' is already registered, aborting...\n", drv->name);
		return -EBUSY;
	}
	return bus_add_driver(drv);
}
EXPORT_SYMBOL_GPL(driver_register);

/**
 * driver_unregister() - unbind a driver from all its devices and forget it
 * @drv: driver
 *
 * mirrors drivers/base/driver.c:driver_unregister, v4.19
 *
 * Context: may sleep.
 */
void driver_unregister(struct device_driver *drv)
{
	if (!drv || !drv->p) {
		WARN(1, "Unexpected driver unregister!\n");
		return;
	}
	bus_remove_driver(drv);
}
EXPORT_SYMBOL_GPL(driver_unregister);
