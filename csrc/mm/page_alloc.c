// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages of system memory, for those few who want one.
 *
 * A deliberate difference: pages are handed out from the top of RAM downwards,
 * each once.  Like every other freed object a freed page is not used again, so
 * that whoever still holds on to it is seen.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/topology.h>

#define alloc_pfn (kernel_data()->page_alloc.alloc_pfn)

/**
 * alloc_page_vma() - a page for user space
 * @gfp: GFP_*
 * @vma: where it will be mapped
 * @addr: where in @vma
 *
 * Context: may sleep.
 * Return: a page with one reference, or NULL.
 */
struct page *alloc_page_vma(gfp_t gfp, struct vm_area_struct *vma, unsigned long addr)
{
	int nid = numa_mem_id();
	const struct zone *zone = &NODE_DATA(nid)->zone_normal;
	unsigned long end = alloc_pfn[nid] ? alloc_pfn[nid] : zone_end_pfn(zone);
	unsigned long pfn;

	(void)gfp;
	(void)vma;
	(void)addr;
	if (!reserve_pages(1))
		return NULL;
	pfn = memmap_last_in_zone(zone->zone_start_pfn, end, nid, ZONE_NORMAL);
	if (pfn >= end)
		return NULL;
	alloc_pfn[nid] = pfn;
	return pfn_to_page(pfn);
}
