// SPDX-License-Identifier: GPL-2.0-only
/* Operations on device memory: pagemaps, sections, zones, mappings. */
#include <linux/percpu-refcount.h>

#include "ops.h"

#include <linux/index_test.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/memory_hotplug.h>
#include <linux/memremap.h>
#include <linux/outline.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/slab.h>
#include <linux/string.h>

/**
 * struct host_pagemap - a pagemap made by the host
 */
struct host_pagemap {
	struct dev_pagemap pgmap;
	int64_t page_free;
};

static void host_kill(struct percpu_ref *ref)
{
	struct host_ref *h = container_of(ref, struct host_ref, ref);

	upcall(h->kill, object_handle('R', ref), 0);
}

static void host_cleanup(struct percpu_ref *ref)
{
	struct host_ref *h = container_of(ref, struct host_ref, ref);

	upcall(h->cleanup, object_handle('R', ref), 0);
}

static void plain_kill(struct percpu_ref *ref)
{
	percpu_ref_kill(ref);
}

static void host_page_free(struct page *page, void *data)
{
	struct host_pagemap *h = data;

	upcall(h->page_free, (int64_t)page_to_pfn(page), 0);
}

static int64_t op_pagemap_new(const int64_t *args)
{
	struct host_pagemap *h = kzalloc(sizeof(*h), GFP_KERNEL);

	if (!h)
		return 0;
	if (args[2] < 0 || args[2] > MEMORY_DEVICE_PCI_P2PDMA) {
		kfree(h);
		return bad_argument("type must be 0..%d", MEMORY_DEVICE_PCI_P2PDMA);
	}
	h->pgmap.res.start = (resource_size_t)args[0];
	h->pgmap.res.end = (resource_size_t)args[1];
	h->pgmap.res.flags = IORESOURCE_MEM;
	h->pgmap.res.name = args[4] ? STRING(4) : NULL;
	h->pgmap.type = (enum memory_type)args[2];
	h->page_free = args[3];
	if (args[3])
		h->pgmap.page_free = host_page_free;
	h->pgmap.data = h;
	object_new('O', &h->pgmap, h);
	return object_new('P', &h->pgmap, h);
}

/* The ref (0 none) and its kill: 0 none, -1 percpu_ref_kill(), else a callback. */
static int64_t op_pagemap_set_ref(const int64_t *args)
{
	struct dev_pagemap *pgmap = ARG(struct dev_pagemap, 0);
	struct percpu_ref *ref = ARG(struct percpu_ref, 1);

	if (args[2] > 0 && ref && !object_handle('H', ref))
		return bad_argument("a driver's percpu_ref cannot call the host back");
	pgmap->ref = ref;
	pgmap->kill = NULL;
	if (args[2] == -1) {
		pgmap->kill = plain_kill;
	} else if (args[2] > 0) {
		if (ref)
			container_of(ref, struct host_ref, ref)->kill = args[2];
		pgmap->kill = host_kill;
	}
	return 0;
}

/* What waits for the ref and ends it, called by kernels that have such a callback: 0 none. */
static int64_t op_pagemap_set_cleanup(const int64_t *args)
{
	struct dev_pagemap *pgmap = ARG(struct dev_pagemap, 0);
	struct percpu_ref *ref = pgmap->ref;

	pgmap->cleanup = NULL;
	if (!args[1])
		return 0;
	if (!ref || !object_handle('H', ref))
		return bad_argument("a cleanup needs a percpu_ref of the host");
	container_of(ref, struct host_ref, ref)->cleanup = args[1];
	pgmap->cleanup = host_cleanup;
	return 0;
}

static int64_t op_pagemap_set_altmap(const int64_t *args)
{
	struct dev_pagemap *pgmap = ARG(struct dev_pagemap, 0);
	struct vmem_altmap altmap = { .base_pfn = (unsigned long)args[1],
				      .reserve = (unsigned long)args[2],
				      .free = (unsigned long)args[3] };

	if (args[1] < 0 || args[2] < 0 || args[3] < 0 || args[2] > 1L << 40 || args[3] > 1L << 40)
		return bad_argument("an altmap counts pages, from 0 to 2^40");
	machine_dirty(&pgmap->altmap, sizeof(altmap));
	memcpy(&pgmap->altmap, &altmap, sizeof(altmap));
	pgmap->altmap_valid = true;
	return 0;
}

static int64_t op_pagemap_free(const int64_t *args)
{
	struct dev_pagemap *pgmap = ARG(struct dev_pagemap, 0);

	if (!object_handle('O', pgmap))
		return bad_argument("this pagemap belongs to a driver");
	kfree(container_of(pgmap, struct host_pagemap, pgmap));
	return 0;
}

static int64_t op_pagemap_field(const int64_t *args)
{
	const struct dev_pagemap *pgmap = ARG(struct dev_pagemap, 0);

	switch (args[1]) {
	case 0:
		return (int64_t)pgmap->res.start;
	case 1:
		return (int64_t)pgmap->res.end;
	case 2:
		return pgmap->type;
	case 3:
		return pgmap->dev != NULL;
	case 4:
		return pgmap->altmap_valid;
	case 5:
		return (int64_t)pgmap->altmap.base_pfn;
	case 6:
		return (int64_t)pgmap->altmap.reserve;
	case 7:
		return (int64_t)pgmap->altmap.free;
	case 8:
		return (int64_t)pgmap->altmap.align;
	case 9:
		return (int64_t)pgmap->altmap.alloc;
	case 10:
		return object_or_new('R', pgmap->ref, NULL);
	default:
		return bad_argument("no such field");
	}
}

static int64_t op_memremap_pages(const int64_t *args)
{
	const struct resource *res = &ARG(struct dev_pagemap, 1)->res;
	unsigned int bits = kernel_data()->config.max_physmem_bits;

	/* Sections beyond have no place in the kernel's tables: it would overrun them. */
	if (res->end != res->start - 1 && (res->end < res->start || res->end >> bits))
		return bad_argument("beyond the %u bits of physical address that have sections",
				    bits);
	return (int64_t)(uintptr_t)devm_memremap_pages(ARG(struct device, 0),
						       ARG(struct dev_pagemap, 1));
}

/*
 * A mapping is killed before it gives its pages up, so whoever finds it alive
 * finds pages that it holds.  That is seen here and not where the count drops:
 * without somebody who looks the wrong order does no harm.
 */
static struct dev_pagemap *lookup_watched(unsigned long pfn)
{
	struct dev_pagemap *pgmap = get_dev_pagemap(pfn, NULL);
	struct machine *m = this_machine();
	bool dying;

	if (!pgmap || memmap_given_up_by(pfn) != pgmap)
		return pgmap;
	/* It may have been killed since it was found. */
	if (unlikely(m->explorer != NULL))
		explore_access(m, &pgmap->ref->percpu_count_ptr,
			       sizeof(pgmap->ref->percpu_count_ptr), false);
	dying = pgmap->ref->percpu_count_ptr & __PERCPU_REF_DEAD;
	if (!dying)
		report_violation_in(VIOLATION_CONTRACT, "get_dev_pagemap",
				    "a pagemap that is alive has given up pfn 0x%lx", pfn);
	return pgmap;
}

static int64_t op_get_dev_pagemap(const int64_t *args)
{
	unsigned long pfn = (unsigned long)args[0];
	struct dev_pagemap *held = ARG(struct dev_pagemap, 1);

	if (held)
		return object_or_new('P', outline_get_dev_pagemap(pfn, held), NULL);
	return object_or_new('P', lookup_watched(pfn), NULL);
}

static int64_t op_put_dev_pagemap(const int64_t *args)
{
	put_dev_pagemap(ARG(struct dev_pagemap, 0));
	return 0;
}

static int64_t op_get_ops(const int64_t *args)
{
	(void)args;
	dev_pagemap_get_ops();
	this_machine()->s->host_get_ops++;
	return 0;
}

static int64_t op_put_ops(const int64_t *args)
{
	(void)args;
	dev_pagemap_put_ops();
	this_machine()->s->host_get_ops--;
	return 0;
}

static int64_t op_key_enabled(const int64_t *args)
{
	(void)args;
	return static_key_enabled(&kernel_data()->memremap.devmap_managed_key);
}

static int64_t op_zone_field(const int64_t *args)
{
	const struct pglist_data *pgdat;
	const struct zone *zone;

	if (args[0] < 0 || args[0] >= kernel_data()->config.numa_nodes)
		return bad_argument("no such node");
	pgdat = NODE_DATA(args[0]);
	zone = args[1] ? &pgdat->zone_device : &pgdat->zone_normal;
	switch (args[2]) {
	case 0:
		return (int64_t)zone->zone_start_pfn;
	case 1:
		return (int64_t)zone->spanned_pages;
	case 2:
		return (int64_t)zone->present_pages;
	case 3:
		return (int64_t)zone->managed_pages;
	default:
		return bad_argument("no such field");
	}
}

static int64_t op_max_pfn(const int64_t *args)
{
	(void)args;
	return (int64_t)kernel_data()->memory_hotplug.max_pfn;
}

static int64_t op_section_memmap(const int64_t *args)
{
	if (args[0] < 0 || (unsigned long)args[0] >= NR_MEM_SECTIONS)
		return bad_argument("no such section");
	return (int64_t)section_memmap_pfn((unsigned long)args[0]);
}

static int64_t op_linear_mapping(const int64_t *args)
{
	return pfn_in_range(args[0]) && linear_mapping_present((unsigned long)args[0]);
}

static int64_t op_zero_shadow(const int64_t *args)
{
	return pfn_in_range(args[0]) && zero_shadow_present((unsigned long)args[0]);
}

static int64_t op_ioremap(const int64_t *args)
{
	void *addr;

	if (args[1] < 0 || args[2] <= 0)
		return bad_argument("an address and a size");
	switch (args[0]) {
	case _PAGE_CACHE_MODE_WB:
		addr = ioremap_cache((resource_size_t)args[1], (unsigned long)args[2]);
		break;
	case _PAGE_CACHE_MODE_WC:
		addr = ioremap_wc((resource_size_t)args[1], (unsigned long)args[2]);
		break;
	case _PAGE_CACHE_MODE_UC_MINUS:
		addr = ioremap_nocache((resource_size_t)args[1], (unsigned long)args[2]);
		break;
	case _PAGE_CACHE_MODE_WT:
		addr = ioremap_wt((resource_size_t)args[1], (unsigned long)args[2]);
		break;
	default:
		return bad_argument("WB, WC, UC- or WT");
	}
	return (int64_t)(uintptr_t)addr;
}

static int64_t op_iounmap(const int64_t *args)
{
	iounmap((void *)(uintptr_t)args[0]);
	return 0;
}

static int64_t op_va(const int64_t *args)
{
	return (int64_t)(uintptr_t)__va(args[0]);
}

/* A lookup and, if it finds something, its put; watched: on the way there, too. */
static int64_t op_lookup(const int64_t *args)
{
	struct dev_pagemap *pgmap;

	if (!pfn_in_range(args[0]))
		return bad_argument("pfn beyond the physical address space");
	if (args[1] && index_leads_to_exited_ref((unsigned long)args[0]))
		report_violation_in(VIOLATION_REFCOUNT, "get_dev_pagemap",
				    "the index leads to a percpu_ref that was exited");
	pgmap = lookup_watched((unsigned long)args[0]);
	if (pgmap)
		put_dev_pagemap(pgmap);
	return pgmap != NULL;
}

/*
 * Of a device that is bound a lookup finds the pages: that is what success of
 * its mapping promises.  Under the device's lock nobody binds or unbinds it.
 */
static int64_t op_expect_mapped(const int64_t *args)
{
	struct device *dev = ARG(struct device, 0);
	struct dev_pagemap *pgmap;

	if (!pfn_in_range(args[1]))
		return bad_argument("pfn beyond the physical address space");
	device_lock(dev);
	pgmap = NULL;
	if (device_is_bound(dev)) {
		pgmap = lookup_watched((unsigned long)args[1]);
		if (!pgmap)
			report_violation_in(VIOLATION_CONTRACT, "get_dev_pagemap",
					    "does not find pfn 0x%lx of %s, which is bound",
					    (unsigned long)args[1], dev_name(dev));
		else
			put_dev_pagemap(pgmap);
	}
	device_unlock(dev);
	return pgmap != NULL;
}

static const struct op ops[] = {
	OP("pagemap_new", "iiixs", "P", op_pagemap_new),
	OP("pagemap_set_ref", "Pri", "v", op_pagemap_set_ref),
	OP("pagemap_set_cleanup", "Pi", "v", op_pagemap_set_cleanup),
	OP("pagemap_set_altmap", "Piii", "v", op_pagemap_set_altmap),
	OP("pagemap_free", "P", "v", op_pagemap_free),
	OP("pagemap_field", "Pi", "u", op_pagemap_field),
	OP("devm_memremap_pages", "DP", "u", op_memremap_pages),
	OP("get_dev_pagemap", "ip", "P", op_get_dev_pagemap),
	OP("put_dev_pagemap", "P", "v", op_put_dev_pagemap),
	OP("dev_pagemap_get_ops", "", "v", op_get_ops),
	OP("dev_pagemap_put_ops", "", "v", op_put_ops),
	OP("devmap_managed_key", "", "b", op_key_enabled),
	OP("zone_field", "iii", "u", op_zone_field),
	OP("max_pfn", "", "u", op_max_pfn),
	OP("section_memmap_pfn", "i", "u", op_section_memmap),
	OP("linear_mapping_present", "i", "b", op_linear_mapping),
	OP("zero_shadow_present", "i", "b", op_zero_shadow),
	OP("ioremap", "iii", "u", op_ioremap),
	OP("iounmap", "i", "v", op_iounmap),
	OP("va", "i", "u", op_va),
	OP("lookup", "ii", "b", op_lookup),
	OP("expect_mapped", "Di", "b", op_expect_mapped),
};
OP_TABLE(ops_memory, ops);
