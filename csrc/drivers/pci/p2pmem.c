// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver for functions that are nothing but memory: every memory BAR is
 * offered to other devices.
 */
#include <linux/kernel_data.h>
#include <linux/pci-p2pdma.h>

#define p2pmem_driver (kernel_data()->pci.p2pmem_driver)

static int p2pmem_probe(struct pci_dev *pdev)
{
	int error;

	for (int bar = 0; bar <= PCI_STD_RESOURCE_END; bar++) {
		if (!(pci_resource_flags(pdev, bar) & IORESOURCE_MEM))
			continue;
		error = pci_p2pdma_add_resource(pdev, bar, 0, 0);
		if (error)
			return error;
	}
	pci_p2pmem_publish(pdev, true);
	return 0;
}

/**
 * p2pmem_init() - register the driver
 *
 * Return: 0 or an error of driver_register().
 */
int __init p2pmem_init(void)
{
	p2pmem_driver = (struct pci_driver){
		.driver = { .name = "p2pmem_pci" },
		.probe = p2pmem_probe,
	};
	return pci_register_driver(&p2pmem_driver);
}
