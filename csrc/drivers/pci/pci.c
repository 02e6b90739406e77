// SPDX-License-Identifier: GPL-2.0-only
/*
 * The PCI bus: functions with base address registers, and their drivers.
 *
 * No function has an identity here, so a driver binds only where
 * driver_override says that it may.
 */
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/kernel_data.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/string.h>

#define pci_bus_type (kernel_data()->pci.pci_bus_type)

/* mirrors drivers/pci/pci-driver.c:pci_bus_match, v4.19 */
static int pci_bus_match(struct device *dev, struct device_driver *drv)
{
	const char *driver_override = to_pci_dev(dev)->driver_override;

	return driver_override && !strcmp(driver_override, drv->name);
}

/* mirrors drivers/pci/pci-driver.c:pci_device_probe, v4.19 */
static int pci_device_probe(struct device *dev)
{
	return to_pci_driver(dev->driver)->probe(to_pci_dev(dev));
}

/* mirrors drivers/pci/pci-driver.c:pci_device_remove, v4.19 */
static int pci_device_remove(struct device *dev)
{
	struct pci_driver *drv = to_pci_driver(dev->driver);

	if (drv->remove)
		drv->remove(to_pci_dev(dev));
	return 0;
}

/**
 * pci_register_driver() - register a driver of the PCI bus
 * @drv: the driver; @drv->driver.name is set
 *
 * mirrors drivers/pci/pci-driver.c:__pci_register_driver, v4.19
 *
 * Return: 0 or an error of driver_register().
 */
int pci_register_driver(struct pci_driver *drv)
{
	drv->driver.bus = &pci_bus_type;
	return driver_register(&drv->driver);
}
EXPORT_SYMBOL(pci_register_driver);

/* mirrors drivers/pci/pci-driver.c:pci_unregister_driver, v4.19 */
void pci_unregister_driver(struct pci_driver *drv)
{
	driver_unregister(&drv->driver);
}
EXPORT_SYMBOL(pci_unregister_driver);

/* mirrors drivers/pci/probe.c:pci_release_dev, v4.19 */
static void pci_release_dev(struct device *dev)
{
	struct pci_dev *pdev = to_pci_dev(dev);

	for (int i = 0; i < DEVICE_COUNT_RESOURCE; i++)
		if (pdev->resource[i].parent)
			release_resource(&pdev->resource[i]);
	kfree(pdev->driver_override);
	kfree(dev->platform_data);
	kfree(pdev);
}

/**
 * pci_alloc_dev() - make a function without BARs
 * @name: "0000:3b:00.0"
 *
 * Return: the function, initialised and not added, or NULL.
 */
struct pci_dev *pci_alloc_dev(const char *name)
{
	struct pci_dev *pdev = kzalloc(sizeof(*pdev), GFP_KERNEL);

	if (!pdev)
		return NULL;
	device_initialize(&pdev->dev);
	pdev->dev.bus = &pci_bus_type;
	pdev->dev.release = pci_release_dev;
	if (dev_set_name(&pdev->dev, "%s", name)) {
		put_device(&pdev->dev);
		return NULL;
	}
	return pdev;
}

/**
 * pci_bus_add_device() - show a function to its drivers
 * @pdev: the function
 *
 * A BAR whose place the firmware has not told of yet is entered into the tree.
 *
 * Return: 0 or an error of device_add().
 */
int pci_bus_add_device(struct pci_dev *pdev)
{
	for (int i = 0; i < DEVICE_COUNT_RESOURCE; i++) {
		struct resource *res = &pdev->resource[i];

		if (!(res->flags & IORESOURCE_MEM))
			continue;
		res->name = pci_name(pdev);
		if (region_intersects(res->start, resource_size(res), 0, IORES_DESC_NONE) ==
		    REGION_DISJOINT)
			WARN_ON(request_resource(&iomem_resource, res));
	}
	return device_add(&pdev->dev);
}

void __init pci_init(void)
{
	pci_bus_type = (struct bus_type){
		.name = "pci",
		.match = pci_bus_match,
		.probe = pci_device_probe,
		.remove = pci_device_remove,
	};
	WARN_ON(bus_register(&pci_bus_type));
}
