// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that comes and goes: sections are added, their pages are given to a
 * zone; later zone and node shrink and the sections are removed.
 *
 * Everything happens under one lock for the whole machine.  Adding is not
 * rolled back: sections added before one that fails stay.
 */
#include <linux/cpu.h>
#include <linux/ioport.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>

#define mem_hotplug_lock (kernel_data()->memory_hotplug.mem_hotplug_lock)

noinline void mem_hotplug_begin(void)
{
	cpus_read_lock();
	down_write(&mem_hotplug_lock);
}

noinline void mem_hotplug_done(void)
{
	up_write(&mem_hotplug_lock);
	cpus_read_unlock();
}

void get_online_mems(void)
{
	down_read(&mem_hotplug_lock);
}

void put_online_mems(void)
{
	up_read(&mem_hotplug_lock);
}

/* mirrors include/linux/memory_hotplug.h:pfn_to_online_page, v4.19 */
struct page *pfn_to_online_page(unsigned long pfn)
{
	return online_section_nr(pfn_to_section_nr(pfn)) ? pfn_to_page(pfn) : NULL;
}

/* Loops over sections give way after each. */
static void cond_resched_sections(unsigned long n)
{
	cond_resched_pages(n * 1024);
}

/**
 * __add_pages() - memmaps for the sections of a range
 * @nid: node
 * @phys_start_pfn: first page, start of a section
 * @nr_pages: whole sections
 * @altmap: storage for the memmaps, or NULL
 * @want_memblock: register memory block devices; nobody here does
 *
 * A section that has a memmap already keeps it, and that is no error.
 *
 * mirrors mm/memory_hotplug.c:__add_pages, v4.19
 *
 * Return: 0, -EINVAL if @altmap does not fit the range, -ENOMEM; sections
 * added by then stay.
 */
noinline int __add_pages(int nid, unsigned long phys_start_pfn, unsigned long nr_pages,
			 struct vmem_altmap *altmap, bool want_memblock)
{
	unsigned long nr, end;
	bool present;

	(void)want_memblock;
	if (altmap) {
		if (altmap->base_pfn != phys_start_pfn || vmem_altmap_offset(altmap) > nr_pages) {
			pr_warn_once("memory add fail, invalid altmap\n");
			return -EINVAL;
		}
		altmap->alloc = 0;
	}
	if (!nr_pages)
		return 0;

	nr = pfn_to_section_nr(phys_start_pfn);
	end = pfn_to_section_nr(phys_start_pfn + nr_pages - 1) + 1;
	while (nr < end) {
		unsigned long n = section_stretch(nr, end - nr, &present);

		if (!present && sparse_add_sections(nid, nr, n, altmap) < n)
			return -ENOMEM;
		cond_resched_sections(n);
		nr += n;
	}
	return 0;
}

/* [@start_pfn, @end_pfn) is about to leave @zone: where does the zone end now? */
static void shrink_zone_span(struct zone *zone, unsigned long start_pfn, unsigned long end_pfn)
{
	unsigned long zone_start = zone->zone_start_pfn;
	unsigned long zone_end = zone_end_pfn(zone);
	int nid = zone_to_nid(zone);
	int idx = (int)zone_idx(zone);

	if (start_pfn <= zone_start) {
		zone_start = memmap_first_in_zone(max(end_pfn, zone_start), zone_end, nid, idx);
		zone_start &= PAGE_SECTION_MASK;
	}
	if (end_pfn >= zone_end) {
		unsigned long last = memmap_last_in_zone(zone_start, start_pfn, nid, idx);

		zone_end = last < start_pfn ? ALIGN(last + 1, PAGES_PER_SECTION) : zone_start;
	}
	if (zone_start < zone_end) {
		zone->zone_start_pfn = zone_start;
		zone->spanned_pages = zone_end - zone_start;
	} else {
		zone->zone_start_pfn = 0;
		zone->spanned_pages = 0;
	}
}

static void shrink_pgdat_span(struct pglist_data *pgdat, int nid, unsigned long start_pfn,
			      unsigned long end_pfn)
{
	unsigned long node_start = pgdat->node_start_pfn;
	unsigned long node_end = pgdat_end_pfn(pgdat);

	if (start_pfn <= node_start)
		node_start = memmap_first_in_zone(max(end_pfn, node_start), node_end, nid, -1) &
			     PAGE_SECTION_MASK;
	if (end_pfn >= node_end) {
		unsigned long last = memmap_last_in_zone(node_start, start_pfn, nid, -1);

		node_end = last < start_pfn ? ALIGN(last + 1, PAGES_PER_SECTION) : node_start;
	}
	if (node_start < node_end) {
		pgdat->node_start_pfn = node_start;
		pgdat->node_spanned_pages = node_end - node_start;
	} else {
		pgdat->node_start_pfn = 0;
		pgdat->node_spanned_pages = 0;
	}
}

static void __remove_zone(struct zone *zone, unsigned long start_pfn, unsigned long nr_pages)
{
	int nid = zone_to_nid(zone);
	struct pglist_data *pgdat = NODE_DATA(nid);
	unsigned long flags;

	spin_lock_irqsave(&pgdat->node_size_lock, flags);
	shrink_zone_span(zone, start_pfn, start_pfn + nr_pages);
	shrink_pgdat_span(pgdat, nid, start_pfn, start_pfn + nr_pages);
	spin_unlock_irqrestore(&pgdat->node_size_lock, flags);
}

/**
 * __remove_pages() - take the sections of a range away
 * @zone: the zone of its pages
 * @phys_start_pfn: first page, start of a section
 * @nr_pages: whole sections
 * @altmap: what __add_pages() was given
 *
 * Nobody asks whether a page is still in use.
 *
 * mirrors mm/memory_hotplug.c:__remove_pages, v4.19
 *
 * Return: 0, or -EINVAL at the first section that has no memmap; those before
 * it are gone, those behind it stay.
 */
noinline int __remove_pages(struct zone *zone, unsigned long phys_start_pfn, unsigned long nr_pages,
			    struct vmem_altmap *altmap)
{
	unsigned long nr, n;
	bool present;

	/* A device's range in the resource tree belongs to its driver. */
	if (!is_dev_zone(zone)) {
		resource_size_t start = PFN_PHYS(phys_start_pfn);
		resource_size_t size = PFN_PHYS(nr_pages);
		int ret;

		ret = release_mem_region_adjustable(&iomem_resource, start, size);
		if (ret) {
			resource_size_t endres = start + size - 1;

			pr_warn("Unable to release resource <%pa-%pa> (%d)\n", &start, &endres,
				ret);
		}
	}
	zone->contiguous = false;

	BUG_ON(phys_start_pfn & ~PAGE_SECTION_MASK);
	BUG_ON(nr_pages % PAGES_PER_SECTION);
	if (!nr_pages)
		return 0;

	nr = pfn_to_section_nr(phys_start_pfn);
	n = section_stretch(nr, nr_pages / PAGES_PER_SECTION, &present);
	if (!present)
		return -EINVAL;
	cond_resched_sections(n);
	__remove_zone(zone, phys_start_pfn, section_nr_to_pfn(n));
	sparse_remove_sections(nr, n, altmap);
	zone->contiguous = true;
	return section_nr_to_pfn(n) < nr_pages ? -EINVAL : 0;
}

void resize_zone_range(struct zone *zone, unsigned long start_pfn, unsigned long nr_pages)
{
	unsigned long end_pfn = start_pfn + nr_pages;
	unsigned long old_end = zone_end_pfn(zone);

	if (zone_is_empty(zone))
		zone->zone_start_pfn = start_pfn;
	else
		zone->zone_start_pfn = min(start_pfn, zone->zone_start_pfn);
	zone->spanned_pages = max(end_pfn, old_end) - zone->zone_start_pfn;
}

void resize_pgdat_range(struct pglist_data *pgdat, unsigned long start_pfn, unsigned long nr_pages)
{
	unsigned long end_pfn = start_pfn + nr_pages;
	unsigned long old_end = pgdat_end_pfn(pgdat);

	if (!pgdat->node_spanned_pages)
		pgdat->node_start_pfn = start_pfn;
	else
		pgdat->node_start_pfn = min(start_pfn, pgdat->node_start_pfn);
	pgdat->node_spanned_pages = max(end_pfn, old_end) - pgdat->node_start_pfn;
}

/**
 * move_pfn_range_to_zone() - make the pages of a range pages of a zone
 * @zone: the zone; zone and node span the range afterwards
 * @start_pfn: first page
 * @nr_pages: how many; all have a memmap
 * @altmap: where that is stored, or NULL
 *
 * mirrors mm/memory_hotplug.c:move_pfn_range_to_zone, v4.19
 */
noinline void move_pfn_range_to_zone(struct zone *zone, unsigned long start_pfn,
				     unsigned long nr_pages, struct vmem_altmap *altmap)
{
	int nid = zone_to_nid(zone);
	struct pglist_data *pgdat = NODE_DATA(nid);
	unsigned long flags;

	zone->contiguous = false;
	spin_lock_irqsave(&pgdat->node_size_lock, flags);
	resize_zone_range(zone, start_pfn, nr_pages);
	resize_pgdat_range(pgdat, start_pfn, nr_pages);
	spin_unlock_irqrestore(&pgdat->node_size_lock, flags);

	memmap_init_zone(nr_pages, nid, zone_idx(zone), start_pfn, altmap);
	zone->contiguous = true;
}

void memory_hotplug_init(void)
{
	init_rwsem(&mem_hotplug_lock);
	init_rwsem(&kernel_data()->memory_hotplug.cpu_hotplug_lock);
}
