/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_PCI_H
#define _LINUX_PCI_H

#include <linux/device.h>
#include <linux/ioport.h>

struct pci_p2pdma;

/* Base address registers, and the expansion ROM behind them. */
#define PCI_STD_RESOURCE_END 5
#define PCI_ROM_RESOURCE 6
#define DEVICE_COUNT_RESOURCE 7

/**
 * struct pci_dev - a PCI function
 * @dev: the device
 * @resource: what its BARs decode; size 0: not there
 * @driver_override: the only driver that may bind to it, or NULL: none may
 * @p2pdma: see drivers/pci/p2pdma.c, or NULL
 *
 * Configuration space, capabilities and interrupts are not here.
 */
struct pci_dev {
	struct device dev;
	struct resource resource[DEVICE_COUNT_RESOURCE];
	const char *driver_override;
	struct pci_p2pdma *p2pdma;
};

static inline struct pci_dev *to_pci_dev(struct device *dev)
{
	return container_of(dev, struct pci_dev, dev);
}

#define pci_resource_start(dev, bar) ((dev)->resource[bar].start)
#define pci_resource_end(dev, bar) ((dev)->resource[bar].end)
#define pci_resource_flags(dev, bar) ((dev)->resource[bar].flags)
#define pci_resource_len(dev, bar)                                      \
	((pci_resource_start(dev, bar) == 0 &&                          \
	  pci_resource_end(dev, bar) == pci_resource_start(dev, bar)) ? \
		 0 :                                                    \
		 (pci_resource_end(dev, bar) - pci_resource_start(dev, bar) + 1))

/* Where the device sees the BAR: no host bridge here translates. */
static inline u64 pci_bus_address(struct pci_dev *pdev, int bar)
{
	return pci_resource_start(pdev, bar);
}

static inline const char *pci_name(const struct pci_dev *pdev)
{
	return dev_name(&pdev->dev);
}

#define pci_info(pdev, fmt, ...) dev_info(&(pdev)->dev, fmt, ##__VA_ARGS__)

/**
 * struct pci_driver - a driver of the PCI bus
 * @driver: name and place on the bus
 * @probe: take the function
 * @remove: give it back, or NULL
 */
struct pci_driver {
	struct device_driver driver;
	int (*probe)(struct pci_dev *dev);
	void (*remove)(struct pci_dev *dev);
};

static inline struct pci_driver *to_pci_driver(struct device_driver *drv)
{
	return container_of(drv, struct pci_driver, driver);
}

void pci_init(void);
int __must_check pci_register_driver(struct pci_driver *drv);
void pci_unregister_driver(struct pci_driver *drv);

struct pci_dev *pci_alloc_dev(const char *name);
int __must_check pci_bus_add_device(struct pci_dev *dev);

#endif
