// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of devices as it was before devm_memremap_pages() took it over: with
 * an index of its own, keyed by section, and hot-plug done by hand.
 *
 * Pages know their pagemap but hold no reference on it, so the wait for the
 * last reference ends at once, however many pages are in use, and
 * get_dev_pagemap() finds none of them.
 *
 * At first an explicit removal was the rule: the actions that kill and end the
 * reference unregister themselves, which fails when they run as actions.  Who
 * does not remove explicitly has them run in the order
 *
 *	ref_kill	kills, waits, does not find itself: WARN
 *	devmem		memory removed, devmem freed
 *	region		given back (private memory only)
 *	ref_exit	ends a reference that was freed with devmem
 *
 * "Use devm semantics" made all of it plain actions, and for private memory
 * forgot the kill.
 *
 * mirrors mm/hmm.c, v4.19, and with 5/7
 */
#include <linux/err.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/kernel_data.h>
#include <linux/memory_hotplug.h>
#include <linux/numa.h>
#include <linux/patches.h>
#include <linux/pgtable.h>
#include <linux/radix-tree.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/topology.h>

#include "hmm_internal.h"

#define hmm_devmem_lock (kernel_data()->hmm.hmm_devmem_lock)
#define hmm_devmem_radix (kernel_data()->hmm.hmm_devmem_radix)

#define SECTION_SIZE (1UL << PA_SECTION_SHIFT)

static bool plain_actions(void)
{
	return patched(PATCH_HMM_DEVM);
}

/* ---- the reference ---- */

static noinline void hmm_devmem_ref_exit(void *data)
{
	struct percpu_ref *ref = data;
	struct hmm_devmem *devmem = container_of(ref, struct hmm_devmem, ref);

	percpu_ref_exit(ref);
	if (!plain_actions())
		devm_remove_action(devmem->device, hmm_devmem_ref_exit, data);
}

static noinline void hmm_devmem_ref_kill(void *data)
{
	struct percpu_ref *ref = data;
	struct hmm_devmem *devmem = container_of(ref, struct hmm_devmem, ref);

	percpu_ref_kill(ref);
	wait_for_completion(&devmem->completion);
	if (!plain_actions())
		devm_remove_action(devmem->device, hmm_devmem_ref_kill, data);
}

/* ---- the index ---- */

/* Steps from the start, not from its section: the last section may be missed. */
static void hmm_devmem_radix_release(struct resource *resource)
{
	resource_size_t key;

	mutex_lock(&hmm_devmem_lock);
	for (key = resource->start; key <= resource->end; key += SECTION_SIZE)
		radix_tree_delete(&hmm_devmem_radix, key >> PA_SECTION_SHIFT);
	mutex_unlock(&hmm_devmem_lock);
}

/* ---- the memory ---- */

static bool is_public(const struct resource *resource)
{
	return resource->desc == IORES_DESC_DEVICE_PUBLIC_MEMORY;
}

static int hmm_devmem_pages_create(struct hmm_devmem *devmem)
{
	struct dev_pagemap *pagemap = &devmem->pagemap;
	struct resource *resource = devmem->resource;
	struct device *device = devmem->device;
	resource_size_t key, align_start, align_size, align_end;
	unsigned long pfn, n;
	struct zone *zone;
	int ret, nid, is_ram;

	align_start = ALIGN_DOWN(resource->start, SECTION_SIZE);
	align_size = ALIGN(resource->start + resource_size(resource), SECTION_SIZE) - align_start;
	align_end = align_start + align_size - 1;

	is_ram = region_intersects(align_start, align_size, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE);
	if (is_ram == REGION_MIXED) {
		WARN_ONCE(1, "%s attempted on mixed region %pr\n", __func__, resource);
		return -ENXIO;
	}
	if (is_ram == REGION_INTERSECTS)
		return -ENXIO;

	pagemap->type = is_public(resource) ? MEMORY_DEVICE_PUBLIC : MEMORY_DEVICE_PRIVATE;
	memcpy(&pagemap->res, resource, sizeof(pagemap->res));
	pagemap->page_fault = hmm_devmem_fault;
	pagemap->page_free = hmm_devmem_free;
	pagemap->dev = device;
	pagemap->ref = &devmem->ref;
	pagemap->data = devmem;

	mutex_lock(&hmm_devmem_lock);
	for (key = align_start; key <= align_end; key += SECTION_SIZE) {
		struct hmm_devmem *owner;

		owner = radix_tree_lookup(&hmm_devmem_radix, key >> PA_SECTION_SHIFT);
		if (owner) {
			/* What this call has inserted so far stays. */
			dev_err(device, "%s: collides with mapping for %s\n", __func__,
				dev_name(owner->device));
			mutex_unlock(&hmm_devmem_lock);
			return -EBUSY;
		}
		ret = radix_tree_insert(&hmm_devmem_radix, key >> PA_SECTION_SHIFT, devmem);
		if (ret) {
			dev_err(device, "%s: failed: %d\n", __func__, ret);
			mutex_unlock(&hmm_devmem_lock);
			goto error_radix;
		}
	}
	mutex_unlock(&hmm_devmem_lock);

	nid = dev_to_node(device);
	if (nid < 0)
		nid = numa_mem_id();

	mem_hotplug_begin();
	if (pagemap->type == MEMORY_DEVICE_PUBLIC)
		ret = arch_add_memory(nid, align_start, align_size, NULL, false);
	else
		ret = add_pages(nid, PHYS_PFN(align_start), PHYS_PFN(align_size), NULL, false);
	if (ret) {
		mem_hotplug_done();
		goto error_add_memory;
	}
	zone = &NODE_DATA(nid)->zone_device;
	move_pfn_range_to_zone(zone, PHYS_PFN(align_start), PHYS_PFN(align_size), NULL);
	mem_hotplug_done();

	if (patched(PATCH_DEFERRED_INIT)) {
		memmap_init_zone_device(zone, PHYS_PFN(align_start), PHYS_PFN(align_size), pagemap);
		return 0;
	}
	for (pfn = devmem->pfn_first; pfn < devmem->pfn_last; pfn += n)
		n = memmap_claim_linked_range(pfn, devmem->pfn_last, pagemap);
	return 0;

error_add_memory:
	/* Though nothing was tracked. */
	untrack_pfn(NULL, PHYS_PFN(align_start), align_size);
error_radix:
	hmm_devmem_radix_release(resource);
	return ret;
}

static void hmm_devmem_pages_remove(struct hmm_devmem *devmem)
{
	struct resource *resource = devmem->resource;
	unsigned long start_pfn = PHYS_PFN(ALIGN_DOWN(resource->start, SECTION_SIZE));
	unsigned long npages = PHYS_PFN(ALIGN(resource_size(resource), SECTION_SIZE));
	struct zone *zone = page_zone(pfn_to_page(start_pfn));

	mem_hotplug_begin();
	if (resource->desc == IORES_DESC_DEVICE_PRIVATE_MEMORY)
		__remove_pages(zone, start_pfn, npages, NULL);
	else
		arch_remove_memory(PFN_PHYS(start_pfn), PFN_PHYS(npages), NULL);
	mem_hotplug_done();

	hmm_devmem_radix_release(resource);
}

/* ---- before 5/7 ---- */

static noinline void hmm_devmem_release(struct device *dev, void *data)
{
	struct hmm_devmem *devmem = data;

	if (percpu_ref_tryget_live(&devmem->ref)) {
		dev_WARN(dev, "%s: page mapping is still live!\n", __func__);
		percpu_ref_put(&devmem->ref);
	}
	hmm_devmem_pages_remove(devmem);
}

static int hmm_devmem_match(struct device *dev, void *data, void *match_data)
{
	struct hmm_devmem *devmem = data;

	(void)dev;
	return devmem->resource == match_data;
}

/**
 * hmm_devmem_remove() - end the memory of a device, before its driver goes
 * @devmem: the memory, or NULL
 *
 * A driver has to call it: what devres does without it, it does in a wrong
 * order and twice.
 *
 * mirrors mm/hmm.c:hmm_devmem_remove, v4.19; gone with 5/7
 *
 * Context: process, sleeps until the reference is idle.
 */
void hmm_devmem_remove(struct hmm_devmem *devmem)
{
	resource_size_t start, size;
	struct device *device;
	bool public;

	if (!devmem)
		return;

	device = devmem->device;
	start = devmem->resource->start;
	size = resource_size(devmem->resource);
	public = is_public(devmem->resource);

	hmm_devmem_ref_kill(&devmem->ref);
	hmm_devmem_ref_exit(&devmem->ref);
	devres_release(device, hmm_devmem_release, hmm_devmem_match, devmem->resource);
	if (!public)
		devm_release_mem_region(device, start, size);
}
EXPORT_SYMBOL(hmm_devmem_remove);

static struct hmm_devmem *unmanaged(const struct hmm_devmem_ops *ops, struct device *device,
				    struct resource *res, unsigned long size)
{
	struct hmm_devmem *devmem;
	int ret;

	dev_pagemap_get_ops();

	devmem = devres_alloc_node(hmm_devmem_release, sizeof(*devmem), GFP_KERNEL,
				   dev_to_node(device));
	if (!devmem)
		return ERR_PTR(-ENOMEM);
	hmm_devmem_init_fields(devmem, ops, device);
	ret = percpu_ref_init(&devmem->ref, hmm_devmem_ref_release, 0, GFP_KERNEL);
	if (ret)
		goto error_percpu_ref;
	ret = devm_add_action(device, hmm_devmem_ref_exit, &devmem->ref);
	if (ret)
		goto error_devm_add_action;

	devmem->resource = res;
	if (!res) {
		res = hmm_devmem_request_free(device, ALIGN(size, SECTION_SIZE));
		if (IS_ERR(res)) {
			ret = (int)PTR_ERR(res);
			goto error_devm_add_action;
		}
		devmem->resource = res;
		res->desc = IORES_DESC_DEVICE_PRIVATE_MEMORY;
	}
	devmem->pfn_first = PHYS_PFN(res->start);
	devmem->pfn_last = devmem->pfn_first + PHYS_PFN(resource_size(res));

	ret = hmm_devmem_pages_create(devmem);
	if (ret)
		goto error_pages;

	devres_add(device, devmem);

	ret = devm_add_action(device, hmm_devmem_ref_kill, &devmem->ref);
	if (ret) {
		hmm_devmem_remove(devmem);
		return ERR_PTR(ret);
	}
	return devmem;

error_pages:
	if (!is_public(devmem->resource))
		devm_release_mem_region(device, devmem->resource->start,
					resource_size(devmem->resource));
error_devm_add_action:
	hmm_devmem_ref_kill(&devmem->ref);
	hmm_devmem_ref_exit(&devmem->ref);
error_percpu_ref:
	devres_free(devmem);
	return ERR_PTR(ret);
}

/* ---- with 5/7 ---- */

static noinline void hmm_devmem_release_action(void *data)
{
	hmm_devmem_pages_remove(data);
}

static struct hmm_devmem *managed(const struct hmm_devmem_ops *ops, struct device *device,
				  struct resource *res, unsigned long size)
{
	struct hmm_devmem *devmem;
	bool private = !res;
	int ret;

	dev_pagemap_get_ops();

	devmem = devm_kzalloc(device, sizeof(*devmem), GFP_KERNEL);
	if (!devmem)
		return ERR_PTR(-ENOMEM);
	hmm_devmem_init_fields(devmem, ops, device);
	ret = percpu_ref_init(&devmem->ref, hmm_devmem_ref_release, 0, GFP_KERNEL);
	if (ret)
		return ERR_PTR(ret);
	ret = devm_add_action_or_reset(device, hmm_devmem_ref_exit, &devmem->ref);
	if (ret)
		return ERR_PTR(ret);

	if (private) {
		res = hmm_devmem_request_free(device, ALIGN(size, SECTION_SIZE));
		if (IS_ERR(res))
			return ERR_CAST(res);
		res->desc = IORES_DESC_DEVICE_PRIVATE_MEMORY;
	}
	devmem->resource = res;
	devmem->pfn_first = PHYS_PFN(res->start);
	devmem->pfn_last = devmem->pfn_first + PHYS_PFN(resource_size(res));

	ret = hmm_devmem_pages_create(devmem);
	if (ret)
		return ERR_PTR(ret);
	ret = devm_add_action_or_reset(device, hmm_devmem_release_action, devmem);
	if (ret)
		return ERR_PTR(ret);
	if (private)
		return devmem; /* nobody kills its reference */
	ret = devm_add_action_or_reset(device, hmm_devmem_ref_kill, &devmem->ref);
	if (ret)
		return ERR_PTR(ret);
	return devmem;
}

struct hmm_devmem *hmm_devmem_add_before(const struct hmm_devmem_ops *ops, struct device *device,
					 unsigned long size)
{
	return plain_actions() ? managed(ops, device, NULL, size) :
				 unmanaged(ops, device, NULL, size);
}

struct hmm_devmem *hmm_devmem_add_resource_before(const struct hmm_devmem_ops *ops,
						  struct device *device, struct resource *res)
{
	return plain_actions() ? managed(ops, device, res, 0) : unmanaged(ops, device, res, 0);
}

void hmm_before_init(void)
{
	mutex_init(&hmm_devmem_lock);
	INIT_RADIX_TREE(&hmm_devmem_radix, GFP_KERNEL);
}
