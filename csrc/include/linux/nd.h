/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_ND_H
#define _LINUX_ND_H

#include <linux/device.h>

/* Kinds of device on the nd bus. */
#define ND_DEVICE_NAMESPACE_IO 4 /* a namespace, or what claims one for blocks */
#define ND_DEVICE_NAMESPACE_PMEM 5
#define ND_DEVICE_DAX_PMEM 7 /* what claims one for device-dax */

/* The kinds that a driver drives. */
#define ND_DRIVER_NAMESPACE_IO (1UL << ND_DEVICE_NAMESPACE_IO)
#define ND_DRIVER_NAMESPACE_PMEM (1UL << ND_DEVICE_NAMESPACE_PMEM)
#define ND_DRIVER_DAX_PMEM (1UL << ND_DEVICE_DAX_PMEM)

/**
 * struct nd_device_driver - a driver of the nd bus
 * @drv: the driver; its own callbacks stay NULL
 * @type: ND_DRIVER_*
 * @probe: called by the bus
 * @remove: called by the bus, or NULL
 */
struct nd_device_driver {
	struct device_driver drv;
	unsigned long type;
	int (*probe)(struct device *dev);
	int (*remove)(struct device *dev);
};

static inline struct nd_device_driver *to_nd_device_driver(struct device_driver *drv)
{
	return container_of(drv, struct nd_device_driver, drv);
}

int __must_check nd_driver_register(struct nd_device_driver *nd_drv);

#endif
