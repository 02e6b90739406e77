// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two drivers for devices with memory: "hmm" for memory that the CPU cannot
 * reach, as much as board code says, and "hmm_public" for the coherent memory
 * behind BAR 0.
 */
#include <linux/err.h>
#include <linux/hmm_test.h>
#include <linux/kernel_data.h>
#include <linux/pci.h>

#define hmm_driver (kernel_data()->hmm_test.hmm_driver)
#define hmm_public_driver (kernel_data()->hmm_test.hmm_public_driver)
#define nr_adds (kernel_data()->hmm_test.nr_adds)

static void hmm_test_free(struct hmm_devmem *devmem, struct page *page)
{
	struct hmm_test *test = dev_get_drvdata(devmem->device);

	(void)page;
	atomic_long_inc(&test->nr_free);
}

/* There is no address space to migrate into. */
static int hmm_test_fault(struct hmm_devmem *devmem, struct vm_area_struct *vma, unsigned long addr,
			  const struct page *page, unsigned int flags, pmd_t *pmdp)
{
	struct hmm_test *test = dev_get_drvdata(devmem->device);

	(void)vma;
	(void)addr;
	(void)page;
	(void)flags;
	(void)pmdp;
	atomic_long_inc(&test->nr_fault);
	return VM_FAULT_SIGBUS;
}

static const struct hmm_devmem_ops hmm_test_ops = {
	.free = hmm_test_free,
	.fault = hmm_test_fault,
};

static int hmm_probe(struct pci_dev *pdev)
{
	const struct hmm_test_platform_data *pdata = dev_get_platdata(&pdev->dev);
	struct hmm_test *test;

	if (!pdata)
		return -ENODEV;
	test = devm_kzalloc(&pdev->dev, sizeof(*test), GFP_KERNEL);
	if (!test)
		return -ENOMEM;
	dev_set_drvdata(&pdev->dev, test);
	atomic_inc(&nr_adds);
	test->devmem = hmm_devmem_add(&hmm_test_ops, &pdev->dev, pdata->size);
	return IS_ERR(test->devmem) ? (int)PTR_ERR(test->devmem) : 0;
}

static int hmm_public_probe(struct pci_dev *pdev)
{
	struct hmm_test *test;
	struct resource *res;

	if (!(pci_resource_flags(pdev, 0) & IORESOURCE_MEM))
		return -ENODEV;
	test = devm_kzalloc(&pdev->dev, sizeof(*test), GFP_KERNEL);
	if (!test)
		return -ENOMEM;
	dev_set_drvdata(&pdev->dev, test);
	res = devm_request_mem_region(&pdev->dev, pci_resource_start(pdev, 0),
				      pci_resource_len(pdev, 0), pci_name(pdev));
	if (!res)
		return -EBUSY;
	res->desc = IORES_DESC_DEVICE_PUBLIC_MEMORY;
	atomic_inc(&nr_adds);
	test->devmem = hmm_devmem_add_resource(&hmm_test_ops, &pdev->dev, res);
	return IS_ERR(test->devmem) ? (int)PTR_ERR(test->devmem) : 0;
}

/**
 * hmm_test_init() - register both drivers
 *
 * Return: 0 or an error of driver_register().
 */
int __init hmm_test_init(void)
{
	int error;

	hmm_driver = (struct pci_driver){
		.driver = { .name = "hmm" },
		.probe = hmm_probe,
	};
	hmm_public_driver = (struct pci_driver){
		.driver = { .name = "hmm_public" },
		.probe = hmm_public_probe,
	};
	error = pci_register_driver(&hmm_driver);
	if (error)
		return error;
	error = pci_register_driver(&hmm_public_driver);
	if (error)
		pci_unregister_driver(&hmm_driver);
	return error;
}
