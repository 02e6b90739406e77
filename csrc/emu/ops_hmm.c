// SPDX-License-Identifier: GPL-2.0-only
/* Operations on HMM device memory, and on the drivers that come with it. */
#include <linux/percpu-refcount.h>

#include "ops.h"

#include <linux/err.h>
#include <linux/hmm.h>
#include <linux/hmm_test.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/patches.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/swapops.h>

/**
 * struct host_hmm_ops - callbacks of the host for one devmem
 */
struct host_hmm_ops {
	struct hmm_devmem_ops ops;
	int64_t free;
	int64_t fault;
};

static const struct host_hmm_ops *host_ops(const struct hmm_devmem *devmem)
{
	return container_of(devmem->ops, const struct host_hmm_ops, ops);
}

static void host_free(struct hmm_devmem *devmem, struct page *page)
{
	if (host_ops(devmem)->free)
		upcall(host_ops(devmem)->free, (int64_t)page_to_pfn(page), 0);
}

/* A callback that failed could not migrate the page back. */
static int host_fault(struct hmm_devmem *devmem, struct vm_area_struct *vma, unsigned long addr,
		      const struct page *page, unsigned int flags, pmd_t *pmdp)
{
	int64_t result;

	(void)vma;
	(void)flags;
	(void)pmdp;
	if (!host_ops(devmem)->fault)
		return VM_FAULT_SIGBUS;
	result = upcall(host_ops(devmem)->fault, (int64_t)page_to_pfn(page), (int64_t)addr);
	return result < 0 ? VM_FAULT_SIGBUS : (int)result;
}

static const struct hmm_devmem_ops *new_ops(int64_t free, int64_t fault)
{
	struct host_hmm_ops *h = machine_alloc(this_machine(), sizeof(*h));

	h->ops.free = host_free;
	h->ops.fault = host_fault;
	h->free = free;
	h->fault = fault;
	return &h->ops;
}

static bool hmm_is_there(void)
{
	if (!hmm_configured())
		bad_argument(
			"this kernel has neither CONFIG_DEVICE_PRIVATE nor CONFIG_DEVICE_PUBLIC");
	return hmm_configured();
}

/* The devmem lies behind the head of its devres entry. */
static int64_t devmem_handle(const struct hmm_devmem *devmem)
{
	const struct alloc_header *h = find_object(this_machine(), devmem);

	return object_or_new('G', devmem, h ? (const char *)h + sizeof(*h) : NULL);
}

static int64_t devmem_result(const struct hmm_devmem *devmem)
{
	return IS_ERR(devmem) ? PTR_ERR(devmem) : devmem_handle(devmem);
}

static int64_t op_devmem_add(const int64_t *args)
{
	if (!hmm_is_there())
		return 0;
	this_machine()->s->hmm_get_ops++;
	return devmem_result(hmm_devmem_add(new_ops(args[2], args[3]), ARG(struct device, 0),
					    (unsigned long)args[1]));
}

static int64_t op_devmem_add_resource(const int64_t *args)
{
	struct resource *res = ARG(struct resource, 1);

	if (!hmm_is_there())
		return 0;
	if (res->desc == IORES_DESC_DEVICE_PUBLIC_MEMORY)
		this_machine()->s->hmm_get_ops++;
	return devmem_result(
		hmm_devmem_add_resource(new_ops(args[2], args[3]), ARG(struct device, 0), res));
}

static int64_t op_devmem_remove(const int64_t *args)
{
	if (patched(PATCH_HMM_DEVM))
		return bad_argument("this kernel has no hmm_devmem_remove()");
	hmm_devmem_remove(ARG(struct hmm_devmem, 0));
	return 0;
}

static int64_t op_devmem_field(const int64_t *args)
{
	struct hmm_devmem *devmem = ARG(struct hmm_devmem, 0);

	switch (args[1]) {
	case 0:
		return (int64_t)devmem->pfn_first;
	case 1:
		return (int64_t)devmem->pfn_last;
	case 2:
		return object_or_new('E', devmem->resource, devmem->resource);
	case 3:
		return object_or_new('R', &devmem->ref, NULL);
	case 4:
		return object_or_new('P', &devmem->pagemap, NULL);
	case 5:
		return object_handle('D', devmem->device);
	default:
		return bad_argument("no such field");
	}
}

/* ---- page faults ---- */

static swp_entry_t private_entry(int64_t pfn, bool write)
{
	return make_device_private_entry(pfn_to_page((unsigned long)pfn), write);
}

/* That the page is there is looked at by plain reads alone: who takes it away comes first or last. */
static void give_way_for_fault(int64_t pfn)
{
	struct machine *m = this_machine();

	if (unlikely(m->explorer != NULL))
		explore_access(m, pfn_to_page((unsigned long)pfn), STRUCT_PAGE_SIZE, false);
}

/* The CPU touches what a device-private entry stands for: pfn, address, flags, write. */
static int64_t op_private_fault(const int64_t *args)
{
	if (!page_at(args[0]))
		return 0;
	give_way_for_fault(args[0]);
	return device_private_entry_fault(NULL, (unsigned long)args[1],
					  private_entry(args[0], args[3] != 0),
					  (unsigned int)args[2], NULL);
}

/* The loop that a benchmark times: @args[1] faults of one page. */
static int64_t op_private_fault_loop(const int64_t *args)
{
	int64_t sigbus = 0;

	if (!page_at(args[0]))
		return 0;
	if (args[1] < 0 || args[1] > 1L << 32)
		return bad_argument("a number of rounds");
	watchdog_off();
	for (int64_t i = 0; i < args[1]; i++) {
		give_way_for_fault(args[0]);
		sigbus += device_private_entry_fault(NULL, 0, private_entry(args[0], false), 0,
						     NULL) == VM_FAULT_SIGBUS;
	}
	return sigbus;
}

static int64_t op_alloc_locked_page(const int64_t *args)
{
	struct page *page = hmm_vma_alloc_locked_page(NULL, (unsigned long)args[0]);

	return page ? (int64_t)page_to_pfn(page) : -1;
}

/*
 * A load (0) or store (1) through the direct map.  Nothing is stored there,
 * but what is not mapped faults: here, not where a sanitizer would look it up.
 */
static int64_t __attribute__((no_sanitize("address"))) op_linear_access(const int64_t *args)
{
	volatile char *p = __va(PFN_PHYS((unsigned long)args[0]));

	if (!page_at(args[0]))
		return 0;
	if (linear_mapping_present((unsigned long)args[0]))
		return 0;
	if (args[1])
		*p = 0;
	return *p;
}

/* ---- devices that no bus knows of ---- */

static int64_t op_hmm_device_new(const int64_t *args)
{
	struct hmm_device *hmm_device;

	if (!hmm_is_there())
		return 0;
	hmm_device = hmm_device_new((void *)(uintptr_t)args[0]);
	if (IS_ERR(hmm_device))
		return PTR_ERR(hmm_device);
	return object_new('Y', hmm_device, hmm_device);
}

static int64_t op_hmm_device_put(const int64_t *args)
{
	hmm_device_put(ARG(struct hmm_device, 0));
	return 0;
}

static int64_t op_hmm_device_field(const int64_t *args)
{
	struct hmm_device *hmm_device = ARG(struct hmm_device, 0);

	switch (args[1]) {
	case 0:
		return hmm_device->minor;
	case 1:
		return hmm_device->device.devt;
	case 2:
		return object_or_new('D', &hmm_device->device, hmm_device);
	case 3:
		return (int64_t)(uintptr_t)dev_get_drvdata(&hmm_device->device);
	default:
		return bad_argument("no such field");
	}
}

/* ---- the drivers "hmm" and "hmm_public" ---- */

static struct hmm_test *test_of(struct device *dev)
{
	struct hmm_test_data *data = &kernel_data()->hmm_test;

	if (!device_is_bound(dev) || (dev->driver != &data->hmm_driver.driver &&
				      dev->driver != &data->hmm_public_driver.driver))
		return NULL;
	return dev_get_drvdata(dev);
}

static int64_t op_test_devmem(const int64_t *args)
{
	struct hmm_test *test = test_of(ARG(struct device, 0));

	if (!test)
		return bad_argument("not a device bound to hmm or hmm_public");
	return devmem_handle(test->devmem);
}

static int64_t op_test_count(const int64_t *args)
{
	struct hmm_test *test = test_of(ARG(struct device, 0));

	if (!test)
		return bad_argument("not a device bound to hmm or hmm_public");
	return atomic_long_read(args[1] ? &test->nr_fault : &test->nr_free);
}

static const struct op ops[] = {
	OP("hmm_devmem_add", "Dixx", "e", op_devmem_add),
	OP("hmm_devmem_add_resource", "DExx", "e", op_devmem_add_resource),
	OP("hmm_devmem_remove", "G", "v", op_devmem_remove),
	OP("hmm_devmem_field", "Gi", "u", op_devmem_field),
	OP("device_private_entry_fault", "iiii", "u", op_private_fault),
	OP("device_private_fault_loop", "ii", "u", op_private_fault_loop),
	OP("hmm_vma_alloc_locked_page", "i", "u", op_alloc_locked_page),
	OP("linear_access", "ii", "u", op_linear_access),
	OP("hmm_device_new", "i", "e", op_hmm_device_new),
	OP("hmm_device_put", "Y", "v", op_hmm_device_put),
	OP("hmm_device_field", "Yi", "u", op_hmm_device_field),
	OP("hmm_test_devmem", "D", "G", op_test_devmem),
	OP("hmm_test_count", "Di", "u", op_test_count),
};
OP_TABLE(ops_hmm, ops);
