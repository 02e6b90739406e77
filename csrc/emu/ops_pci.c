// SPDX-License-Identifier: GPL-2.0-only
/* Operations on PCI functions, their p2p memory, and the ranges of a test. */
#include <linux/percpu-refcount.h>

#include "ops.h"

#include <linux/hmm_test.h>
#include <linux/kernel.h>
#include <linux/memremap.h>
#include <linux/nfit_test.h>
#include <linux/pci-p2pdma.h>
#include <linux/slab.h>
#include <linux/string.h>

/* A function for one driver, with so much memory of its own; not added yet. */
static int64_t op_pci_dev_new(const int64_t *args)
{
	struct hmm_test_platform_data *pdata;
	struct pci_dev *pdev;

	if (!args[0] || !args[1])
		return bad_argument("a function has a name and a driver");
	bus_drivers_autoprobe_store(&kernel_data()->pci.pci_bus_type, "0", 1);
	pdev = pci_alloc_dev(STRING(0));
	if (!pdev)
		return 0;
	pdata = kzalloc(sizeof(*pdata), GFP_KERNEL);
	pdev->dev.platform_data = pdata;
	pdev->driver_override = kstrdup(STRING(1), GFP_KERNEL);
	if (!pdata || !pdev->driver_override) {
		put_device(&pdev->dev);
		return 0;
	}
	pdata->size = (unsigned long)args[2];
	return object_new('D', &pdev->dev, pdev);
}

static struct pci_dev *pci_dev_of(const int64_t *args)
{
	struct device *dev = ARG(struct device, 0);

	if (dev->bus == &kernel_data()->pci.pci_bus_type)
		return to_pci_dev(dev);
	bad_argument("not a PCI device");
	return NULL;
}

static bool is_bar(int64_t bar)
{
	if (bar >= 0 && bar <= PCI_STD_RESOURCE_END)
		return true;
	bad_argument("a BAR is 0 to %d", PCI_STD_RESOURCE_END);
	return false;
}

static int64_t op_set_bar(const int64_t *args)
{
	struct pci_dev *pdev = pci_dev_of(args);
	struct resource *res;

	if (!pdev || !is_bar(args[1]))
		return 0;
	if (device_is_registered(&pdev->dev))
		return bad_argument("the device has been added already");
	if (args[3] <= 0)
		return bad_argument("a BAR has a size");
	res = &pdev->resource[args[1]];
	res->start = (resource_size_t)args[2];
	res->end = (resource_size_t)(args[2] + args[3] - 1);
	res->flags = (unsigned long)args[4];
	return 0;
}

static int64_t op_bus_add_device(const int64_t *args)
{
	struct pci_dev *pdev = pci_dev_of(args);

	if (!pdev)
		return 0;
	if (device_is_registered(&pdev->dev))
		return bad_argument("the device has been added already");
	return pci_bus_add_device(pdev);
}

/* ---- p2p memory ---- */

static int64_t op_add_resource(const int64_t *args)
{
	struct pci_dev *pdev = pci_dev_of(args);

	if (!pdev || !is_bar(args[1]))
		return 0;
	return pci_p2pdma_add_resource(pdev, (int)args[1], (size_t)args[2], (u64)args[3]);
}

static int64_t op_alloc_p2pmem(const int64_t *args)
{
	struct pci_dev *pdev = pci_dev_of(args);

	return pdev ? (int64_t)(uintptr_t)pci_alloc_p2pmem(pdev, (size_t)args[1]) : 0;
}

static int64_t op_free_p2pmem(const int64_t *args)
{
	struct pci_dev *pdev = pci_dev_of(args);

	if (pdev)
		pci_free_p2pmem(pdev, (void *)(uintptr_t)args[1], (size_t)args[2]);
	return 0;
}

static int64_t op_virt_to_bus(const int64_t *args)
{
	struct pci_dev *pdev = pci_dev_of(args);

	return pdev ? (int64_t)pci_p2pmem_virt_to_bus(pdev, (void *)(uintptr_t)args[1]) : 0;
}

static int64_t op_publish(const int64_t *args)
{
	struct pci_dev *pdev = pci_dev_of(args);

	if (pdev)
		pci_p2pmem_publish(pdev, args[1] != 0);
	return 0;
}

static int64_t op_has_p2pmem(const int64_t *args)
{
	struct pci_dev *pdev = pci_dev_of(args);

	return pdev && pci_has_p2pmem(pdev);
}

/* Memory that is given back at once, by one task: its address, 0 if there is none. */
static int64_t op_use_p2pmem(const int64_t *args)
{
	struct pci_dev *pdev = pci_dev_of(args);
	void *addr = pdev ? pci_alloc_p2pmem(pdev, (size_t)args[1]) : NULL;

	if (addr)
		pci_free_p2pmem(pdev, addr, (size_t)args[1]);
	return (int64_t)(uintptr_t)addr;
}

/* The group "p2pmem", -1 where there is none: size, available, published; and the ref. */
static int64_t op_p2pdma_field(const int64_t *args)
{
	struct pci_dev *pdev = pci_dev_of(args);
	struct pci_p2pdma *p2p;

	if (!pdev)
		return 0;
	p2p = pdev->p2pdma;
	if (args[1] == 3)
		/* Where each resource has its own there is none to speak of. */
		return p2p && p2p->devmap_ref.release ? object_or_new('R', &p2p->devmap_ref, NULL) :
							0;
	if (!p2p || !p2p->sysfs)
		return -1;
	switch (args[1]) {
	case 0:
		return (int64_t)gen_pool_size(p2p->pool);
	case 1:
		return (int64_t)gen_pool_avail(p2p->pool);
	case 2:
		return p2p->p2pmem_published;
	default:
		return bad_argument("no such field");
	}
}

/* ---- ranges of a test ---- */

static int64_t op_nfit_add(const int64_t *args)
{
	struct nfit_test_resource *nfit_res;

	if (args[1] <= 0 || args[1] > 1 << 20)
		return bad_argument("the range of a test has 1 byte to 1 MiB");
	nfit_res = nfit_test_resource_add((resource_size_t)args[0], (size_t)args[1]);
	return object_new('F', nfit_res, nfit_res);
}

static int64_t op_nfit_del(const int64_t *args)
{
	nfit_test_resource_del(ARG(struct nfit_test_resource, 0));
	object_forget(ARG(void, 0));
	return 0;
}

static int64_t op_nfit_buffer(const int64_t *args)
{
	return (int64_t)(uintptr_t)ARG(struct nfit_test_resource, 0)->buf;
}

static int64_t op_wrap_memremap_pages(const int64_t *args)
{
	return (int64_t)(uintptr_t)__wrap_devm_memremap_pages(ARG(struct device, 0),
							      ARG(struct dev_pagemap, 1));
}

static const struct op ops[] = {
	OP("pci_dev_new", "ssi", "D", op_pci_dev_new),
	OP("pci_set_bar", "Diiii", "v", op_set_bar),
	OP("pci_bus_add_device", "D", "e", op_bus_add_device),
	OP("pci_p2pdma_add_resource", "Diii", "e", op_add_resource),
	OP("pci_alloc_p2pmem", "Di", "u", op_alloc_p2pmem),
	OP("pci_free_p2pmem", "Dii", "v", op_free_p2pmem),
	OP("pci_use_p2pmem", "Di", "u", op_use_p2pmem),
	OP("pci_p2pmem_virt_to_bus", "Di", "u", op_virt_to_bus),
	OP("pci_p2pmem_publish", "Di", "v", op_publish),
	OP("pci_has_p2pmem", "D", "b", op_has_p2pmem),
	OP("p2pdma_field", "Di", "u", op_p2pdma_field),
	OP("nfit_test_resource_add", "ii", "F", op_nfit_add),
	OP("nfit_test_resource_del", "F", "v", op_nfit_del),
	OP("nfit_test_buffer", "F", "u", op_nfit_buffer),
	OP("__wrap_devm_memremap_pages", "DP", "u", op_wrap_memremap_pages),
};
OP_TABLE(ops_pci, ops);
