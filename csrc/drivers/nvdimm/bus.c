// SPDX-License-Identifier: GPL-2.0-only

#include <linux/export.h>
#include <linux/kernel_data.h>
#include <linux/libnvdimm.h>

#define nvdimm_bus_type (kernel_data()->nvdimm.nvdimm_bus_type)

/* mirrors drivers/nvdimm/bus.c:to_nd_device_type, v4.19 */
static int to_nd_device_type(const struct device *dev)
{
	return is_nd_dax(dev) ? ND_DEVICE_DAX_PMEM : ND_DEVICE_NAMESPACE_IO;
}

/* mirrors drivers/nvdimm/bus.c:nvdimm_bus_match, v4.19 */
static int nvdimm_bus_match(struct device *dev, struct device_driver *drv)
{
	return (to_nd_device_driver(drv)->type >> to_nd_device_type(dev)) & 1;
}

/* mirrors drivers/nvdimm/bus.c:nvdimm_bus_probe, v4.19 */
static int nvdimm_bus_probe(struct device *dev)
{
	return to_nd_device_driver(dev->driver)->probe(dev);
}

/* mirrors drivers/nvdimm/bus.c:nvdimm_bus_remove, v4.19 */
static int nvdimm_bus_remove(struct device *dev)
{
	struct nd_device_driver *nd_drv = to_nd_device_driver(dev->driver);

	return nd_drv->remove ? nd_drv->remove(dev) : 0;
}

/**
 * nd_driver_register() - register a driver of the nd bus
 * @nd_drv: the driver; @nd_drv->drv.name is set
 *
 * Return: 0, -EINVAL if it says nothing about what it drives, or an error of
 * driver_register().
 *
 * mirrors drivers/nvdimm/bus.c:__nd_driver_register, v4.19
 */
int nd_driver_register(struct nd_device_driver *nd_drv)
{
	struct device_driver *drv = &nd_drv->drv;

	if (!nd_drv->type) {
		pr_debug("driver type bitmask not set\n");
		return -EINVAL;
	}
	if (!nd_drv->probe) {
		pr_debug("%s ->probe() must be specified\n", drv->name);
		return -EINVAL;
	}

	drv->bus = &nvdimm_bus_type;
	return driver_register(drv);
}
EXPORT_SYMBOL(nd_driver_register);

void __init nvdimm_init(void)
{
	nvdimm_bus_type = (struct bus_type){
		.name = "nd",
		.match = nvdimm_bus_match,
		.probe = nvdimm_bus_probe,
		.remove = nvdimm_bus_remove,
	};
	WARN_ON(bus_register(&nvdimm_bus_type));
}
