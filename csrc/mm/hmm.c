// SPDX-License-Identifier: GPL-2.0-only
/*
 * Heterogeneous memory management: memory of devices.
 *
 * Memory with struct pages is devm_memremap_pages()'s business.  What is added
 * here is the range (private memory has no address, so a free one is looked
 * for), a reference count of its own, and callbacks in terms of the device.
 *
 * Everything is managed for the device, and nothing takes it away earlier:
 *
 *	registered	released (the other way round)
 *	devmem		memory freed
 *	ref_exit	waits for whoever still uses a page, ends the reference
 *	region		given back (private memory only)
 *	mapping		reference killed, pages put, memory removed
 *
 * Since "fix final page put race" the mapping itself waits, before it removes
 * the memory, and ref_exit is not registered.
 *
 * dev_pagemap_get_ops() is called by each attempt to add memory and has no
 * counterpart: from the first one on, every last-but-one put_page() of a device
 * page tells its driver, for as long as the machine is up.
 */
#include <linux/device.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/hmm.h>
#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/kernel_data.h>
#include <linux/patches.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "hmm_internal.h"

#define hmm_device_lock (kernel_data()->hmm.hmm_device_lock)
#define hmm_device_mask (kernel_data()->hmm.hmm_device_mask)
#define hmm_device_devt (kernel_data()->hmm.hmm_device_devt)
#define hmm_device_class (kernel_data()->hmm.hmm_device_class)

#define SECTION_SIZE (1UL << PA_SECTION_SHIFT)

/**
 * hmm_vma_alloc_locked_page() - a page of system memory to migrate to
 * @vma: where it will be mapped; says which memory it should be, nobody asks here
 * @addr: address in @vma
 *
 * mirrors mm/hmm.c:hmm_vma_alloc_locked_page, v4.19
 *
 * Context: process, may sleep.
 * Return: a locked page, or NULL.
 */
struct page *hmm_vma_alloc_locked_page(struct vm_area_struct *vma, unsigned long addr)
{
	struct page *page = alloc_page_vma(GFP_HIGHUSER, vma, addr);

	if (!page)
		return NULL;
	lock_page(page);
	return page;
}
EXPORT_SYMBOL(hmm_vma_alloc_locked_page);

/* ---- the life of a devmem ---- */

noinline void hmm_devmem_ref_release(struct percpu_ref *ref)
{
	struct hmm_devmem *devmem = container_of(ref, struct hmm_devmem, ref);

	complete(&devmem->completion);
}

static noinline void hmm_devmem_ref_exit(void *data)
{
	struct percpu_ref *ref = data;
	struct hmm_devmem *devmem = container_of(ref, struct hmm_devmem, ref);

	wait_for_completion(&devmem->completion);
	percpu_ref_exit(ref);
}

/* The same, asked for by the mapping. */
static void hmm_devmem_ref_cleanup(struct percpu_ref *ref)
{
	hmm_devmem_ref_exit(ref);
}

static noinline void hmm_devmem_ref_kill(struct percpu_ref *ref)
{
	percpu_ref_kill(ref);
}

int hmm_devmem_fault(struct vm_area_struct *vma, unsigned long addr, const struct page *page,
		     unsigned int flags, pmd_t *pmdp)
{
	struct hmm_devmem *devmem = page_pgmap(page)->data;

	return devmem->ops->fault(devmem, vma, addr, page, flags, pmdp);
}

void hmm_devmem_free(struct page *page, void *data)
{
	struct hmm_devmem *devmem = data;

	/* Whose page it was is nobody's business once it is free. */
	set_page_mapping(page, 0);
	devmem->ops->free(devmem, page);
}

void hmm_devmem_init_fields(struct hmm_devmem *devmem, const struct hmm_devmem_ops *ops,
			    struct device *device)
{
	init_completion(&devmem->completion);
	devmem->pfn_first = -1UL;
	devmem->pfn_last = -1UL;
	devmem->resource = NULL;
	devmem->device = device;
	devmem->ops = ops;
}

struct resource *hmm_devmem_request_free(struct device *device, unsigned long size)
{
	struct resource *res;
	resource_size_t addr;

	addr = min(iomem_resource.end,
		   ((resource_size_t)1 << kernel_data()->config.max_physmem_bits) - 1);
	addr = addr - size + 1UL;

	for (; addr > size && addr >= iomem_resource.start; addr -= size) {
		if (region_intersects(addr, size, 0, IORES_DESC_NONE) != REGION_DISJOINT)
			continue;
		res = devm_request_mem_region(device, addr, size, dev_name(device));
		return res ? res : ERR_PTR(-ENOMEM);
	}
	return ERR_PTR(-ERANGE);
}

/* Everything up to the range; what fails from here on is undone by devres. */
static struct hmm_devmem *hmm_devmem_new(const struct hmm_devmem_ops *ops, struct device *device)
{
	struct hmm_devmem *devmem;
	int ret;

	dev_pagemap_get_ops();

	devmem = devm_kzalloc(device, sizeof(*devmem), GFP_KERNEL);
	if (!devmem)
		return ERR_PTR(-ENOMEM);

	hmm_devmem_init_fields(devmem, ops, device);

	ret = percpu_ref_init(&devmem->ref, &hmm_devmem_ref_release, 0, GFP_KERNEL);
	if (ret)
		return ERR_PTR(ret);

	if (patched(PATCH_FINAL_PUT))
		return devmem;
	/* If this fails it waits for a reference that nobody kills. */
	ret = devm_add_action_or_reset(device, hmm_devmem_ref_exit, &devmem->ref);
	if (ret)
		return ERR_PTR(ret);
	return devmem;
}

/* The last step: struct pages for devmem->resource. */
static struct hmm_devmem *hmm_devmem_map(struct hmm_devmem *devmem, enum memory_type type)
{
	struct dev_pagemap *pagemap = &devmem->pagemap;
	struct resource *res = devmem->resource;
	void *addr;

	devmem->pfn_first = PHYS_PFN(res->start);
	devmem->pfn_last = devmem->pfn_first + PHYS_PFN(resource_size(res));

	pagemap->type = type;
	memcpy(&pagemap->res, res, sizeof(pagemap->res));
	pagemap->page_fault = hmm_devmem_fault;
	pagemap->page_free = hmm_devmem_free;
	pagemap->altmap_valid = false;
	pagemap->ref = &devmem->ref;
	pagemap->data = devmem;
	pagemap->kill = hmm_devmem_ref_kill;
	pagemap->cleanup = hmm_devmem_ref_cleanup;

	addr = devm_memremap_pages(devmem->device, pagemap);
	return IS_ERR(addr) ? addr : devmem;
}

/**
 * hmm_devmem_add() - struct pages for memory that the CPU cannot reach
 * @ops: what the driver does for it
 * @device: the device
 * @size: bytes of memory; rounded up to whole sections
 *
 * The memory gets a range of physical addresses that nothing uses: the highest
 * one, seen in steps of its own size.  If that one cannot be requested no other
 * is tried.
 *
 * mirrors mm/hmm.c:hmm_devmem_add, v4.19 + 5/7 ... 7/7; before 6/7: hmm_before.c
 *
 * Context: process, may sleep.
 * Return: the memory, until the driver is unbound, or ERR_PTR: -ENOMEM, -ERANGE
 * (no free range), or what devm_memremap_pages() answers.
 */
struct hmm_devmem *hmm_devmem_add(const struct hmm_devmem_ops *ops, struct device *device,
				  unsigned long size)
{
	struct hmm_devmem *devmem;
	struct resource *res;

	if (!patched(PATCH_HMM_MEMREMAP))
		return hmm_devmem_add_before(ops, device, size);

	devmem = hmm_devmem_new(ops, device);
	if (IS_ERR(devmem))
		return devmem;
	res = hmm_devmem_request_free(device, ALIGN(size, SECTION_SIZE));
	if (IS_ERR(res))
		return ERR_CAST(res);
	devmem->resource = res;

	devmem->resource->desc = IORES_DESC_DEVICE_PRIVATE_MEMORY;
	return hmm_devmem_map(devmem, MEMORY_DEVICE_PRIVATE);
}
EXPORT_SYMBOL_GPL(hmm_devmem_add);

/**
 * hmm_devmem_add_resource() - struct pages for coherent memory of a device
 * @ops: what the driver does for it
 * @device: the device
 * @res: the memory, of the kind IORES_DESC_DEVICE_PUBLIC_MEMORY; stays the caller's
 *
 * mirrors mm/hmm.c:hmm_devmem_add_resource, v4.19 + 5/7 ... 7/7
 *
 * Context: process, may sleep.
 * Return: the memory, until the driver is unbound, or ERR_PTR: -EINVAL (another
 * kind of range), -ENOMEM, or what devm_memremap_pages() answers.
 */
struct hmm_devmem *hmm_devmem_add_resource(const struct hmm_devmem_ops *ops, struct device *device,
					   struct resource *res)
{
	struct hmm_devmem *devmem;

	if (res->desc != IORES_DESC_DEVICE_PUBLIC_MEMORY)
		return ERR_PTR(-EINVAL);
	if (!patched(PATCH_HMM_MEMREMAP))
		return hmm_devmem_add_resource_before(ops, device, res);

	devmem = hmm_devmem_new(ops, device);
	if (IS_ERR(devmem))
		return devmem;
	devmem->resource = res;
	return hmm_devmem_map(devmem, MEMORY_DEVICE_PUBLIC);
}
EXPORT_SYMBOL_GPL(hmm_devmem_add_resource);

/* ---- devices that no bus knows of ---- */

static void hmm_device_release(struct device *device)
{
	struct hmm_device *hmm_device = container_of(device, struct hmm_device, device);

	spin_lock(&hmm_device_lock);
	hmm_device_mask[hmm_device->minor / BITS_PER_LONG] &=
		~BIT(hmm_device->minor % BITS_PER_LONG);
	spin_unlock(&hmm_device_lock);

	kfree(hmm_device);
}

/* Context: under hmm_device_lock.  Return: the minor, HMM_DEVICE_MAX if all are taken. */
static unsigned int take_lowest_minor(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(hmm_device_mask); i++) {
		unsigned int bit;

		if (hmm_device_mask[i] == ~0UL)
			continue;
		bit = (unsigned int)__builtin_ctzl(~hmm_device_mask[i]);
		hmm_device_mask[i] |= BIT(bit);
		return i * BITS_PER_LONG + bit;
	}
	return HMM_DEVICE_MAX;
}

/**
 * hmm_device_new() - a device to hang memory on
 * @drvdata: driver data
 *
 * It is initialised, on no bus and never added.
 *
 * mirrors mm/hmm.c:hmm_device_new, v4.19
 *
 * Context: process, may sleep.
 * Return: the device, or ERR_PTR: -ENOMEM, -EBUSY (all 256 are in use).
 */
struct hmm_device *hmm_device_new(void *drvdata)
{
	struct hmm_device *hmm_device = kzalloc(sizeof(*hmm_device), GFP_KERNEL);
	int error;

	if (!hmm_device)
		return ERR_PTR(-ENOMEM);

	spin_lock(&hmm_device_lock);
	hmm_device->minor = take_lowest_minor();
	spin_unlock(&hmm_device_lock);
	if (hmm_device->minor >= HMM_DEVICE_MAX) {
		kfree(hmm_device);
		return ERR_PTR(-EBUSY);
	}

	/* Nobody looks whether the name could be allocated. */
	error = dev_set_name(&hmm_device->device, "hmm_device%d", hmm_device->minor);
	(void)error;
	hmm_device->device.devt = MKDEV(MAJOR(hmm_device_devt), hmm_device->minor);
	hmm_device->device.release = hmm_device_release;
	dev_set_drvdata(&hmm_device->device, drvdata);
	hmm_device->device.class = hmm_device_class;
	device_initialize(&hmm_device->device);
	return hmm_device;
}
EXPORT_SYMBOL(hmm_device_new);

/**
 * hmm_device_put() - drop a reference; with the last one its minor is free again
 * @hmm_device: the device
 *
 * mirrors mm/hmm.c:hmm_device_put, v4.19
 */
void hmm_device_put(struct hmm_device *hmm_device)
{
	put_device(&hmm_device->device);
}
EXPORT_SYMBOL(hmm_device_put);

/**
 * hmm_init() - numbers and a class for hmm devices
 *
 * mirrors mm/hmm.c:hmm_init, v4.19
 *
 * Return: 0 or an error of alloc_chrdev_region() or class_create().
 */
int __init hmm_init(void)
{
	int ret;

	spin_lock_init(&hmm_device_lock);
	hmm_before_init();

	ret = alloc_chrdev_region(&hmm_device_devt, 0, HMM_DEVICE_MAX, "hmm_device");
	if (ret)
		return ret;

	hmm_device_class = class_create(NULL, "hmm_device");
	if (IS_ERR(hmm_device_class)) {
		unregister_chrdev_region(hmm_device_devt, HMM_DEVICE_MAX);
		return (int)PTR_ERR(hmm_device_class);
	}
	return 0;
}
