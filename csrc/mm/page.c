// SPDX-License-Identifier: GPL-2.0-only
/*
 * What mm/swap.c, mm/debug.c and mm/page_alloc.c do with single pages and
 * with the pages of a range that joins a zone.
 */
#include <linux/export.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/patches.h>
#include <linux/printk.h>

/**
 * __put_page() - the last reference of a page is gone
 * @page: the page, count 0
 *
 * A device page is not freed, it belongs to the device.  It gives up its hold
 * on the device's mapping, and nothing else ever does.
 *
 * mirrors mm/swap.c:__put_page, v4.19
 */
void __put_page(struct page *page)
{
	if (is_zone_device_page(page)) {
		put_dev_pagemap(page_pgmap(page));
		return;
	}
	/* Ordinary pages would go back to an allocator, which nobody has here. */
}
EXPORT_SYMBOL(__put_page);

/* mirrors mm/debug.c:dump_page, v4.19 */
void dump_page(struct page *page, const char *reason)
{
	if (page_is_poisoned(page))
		printk_level(LOGLEVEL_EMERG, "page:%px is uninitialized and poisoned\n", page);
	else
		printk_level(LOGLEVEL_EMERG,
			     "page:%px count:%d mapcount:%d mapping:%px index:%#lx\n", page,
			     page_count(page), page_mapcount(page), (void *)page_mapping(page),
			     0UL);
	printk_level(LOGLEVEL_ALERT, "page dumped because: %s\n", reason);
}

/**
 * memmap_init_zone() - the struct pages of a hot-added range become pages
 * @size: number of pages
 * @nid: node
 * @zone: zone
 * @start_pfn: first page
 * @altmap: where the memmap is stored, or NULL
 *
 * What pages were before does not matter: also those of somebody else's
 * mapping start anew with count 1 and no pagemap.  Only the reserve of an
 * altmap, which holds the driver's own data, is left out.
 *
 * With "defer ZONE_DEVICE page initialization" device pages wait for
 * memmap_init_zone_device(), but for those that hold the memmap itself.
 *
 * mirrors mm/page_alloc.c:memmap_init_zone, v4.19 to v5.0, for hotplug;
 * pageblock types are nobody's business here
 */
void memmap_init_zone(unsigned long size, int nid, enum zone_type zone, unsigned long start_pfn,
		      struct vmem_altmap *altmap)
{
	unsigned long *highest_memmap_pfn = &kernel_data()->memory_hotplug.highest_memmap_pfn;
	unsigned long end_pfn = start_pfn + size;

	if (*highest_memmap_pfn < end_pfn - 1)
		*highest_memmap_pfn = end_pfn - 1;
	if (zone == ZONE_DEVICE && patched(PATCH_DEFERRED_INIT)) {
		if (!altmap)
			return;
		end_pfn = altmap->base_pfn + vmem_altmap_offset(altmap);
	}
	if (altmap && start_pfn == altmap->base_pfn)
		start_pfn += altmap->reserve;
	if (start_pfn >= end_pfn)
		return;
	memmap_init_range(start_pfn, end_pfn - start_pfn, zone, nid, true);
	cond_resched_pages(end_pfn - start_pfn);
}

/**
 * memmap_init_zone_device() - the struct pages of device memory become pages
 * @zone: ZONE_DEVICE of a node
 * @start_pfn: first page
 * @nr_pages: number of pages, whole sections
 * @pgmap: whose they are, the padding around its own range included
 *
 * Outside the hotplug lock, so that several devices do it at the same time.
 * Takes no reference.
 *
 * mirrors mm/page_alloc.c:memmap_init_zone_device, v5.0
 *
 * Context: process, may sleep.
 */
void memmap_init_zone_device(struct zone *zone, unsigned long start_pfn, unsigned long nr_pages,
			     struct dev_pagemap *pgmap)
{
	unsigned long end_pfn = start_pfn + nr_pages;

	if (WARN_ON_ONCE(!pgmap || !is_dev_zone(zone)))
		return;
	if (pgmap->altmap_valid)
		start_pfn = pgmap->altmap.base_pfn + vmem_altmap_offset(&pgmap->altmap);
	nr_pages = start_pfn < end_pfn ? end_pfn - start_pfn : 0;
	if (nr_pages) {
		memmap_init_range(start_pfn, nr_pages, ZONE_DEVICE, zone_to_nid(zone), true);
		memmap_own_range(start_pfn, nr_pages, pgmap);
		cond_resched_pages(nr_pages);
	}
	pr_info("%s initialised, %lu pages in %ums\n", dev_name(pgmap->dev), nr_pages, 0U);
}

/**
 * mm_init() - the nodes and their zones
 *
 * Context: process, once per kernel.
 */
void mm_init(void)
{
	for (int nid = 0; nid < MAX_NUMNODES; nid++) {
		struct pglist_data *pgdat = NODE_DATA(nid);

		spin_lock_init(&pgdat->node_size_lock);
		pgdat->zone_normal.node = nid;
		pgdat->zone_normal.zone_idx = ZONE_NORMAL;
		pgdat->zone_device.node = nid;
		pgdat->zone_device.zone_idx = ZONE_DEVICE;
	}
}
