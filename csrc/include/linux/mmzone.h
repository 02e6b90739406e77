/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_MMZONE_H
#define _LINUX_MMZONE_H

#include <linux/kernel_data.h>
#include <linux/types.h>

/* ZONE_DMA, ZONE_DMA32 and ZONE_MOVABLE are here for their numbers only. */
enum zone_type {
	ZONE_DMA,
	ZONE_DMA32,
	ZONE_NORMAL,
	ZONE_MOVABLE,
	ZONE_DEVICE,
};

#define NODE_DATA(nid) (&kernel_data()->page_alloc.nodes[nid])

#define PAGE_SHIFT (kernel_data()->config.page_shift)
#define PAGE_SIZE (1UL << PAGE_SHIFT)
#define PAGE_MASK (~(PAGE_SIZE - 1))

/* PA_SECTION_SHIFT: physical address to section number. */
#define PA_SECTION_SHIFT (kernel_data()->config.section_size_bits)
#define PFN_SECTION_SHIFT (PA_SECTION_SHIFT - PAGE_SHIFT)
#define PAGES_PER_SECTION (1UL << PFN_SECTION_SHIFT)
#define PAGE_SECTION_MASK (~(PAGES_PER_SECTION - 1))
#define NR_MEM_SECTIONS (1UL << (kernel_data()->config.max_physmem_bits - PA_SECTION_SHIFT))

/* One page of section descriptors, 16 bytes each, is a root; roots stay. */
#define SECTIONS_PER_ROOT (PAGE_SIZE / 16)

static inline unsigned long pfn_to_section_nr(unsigned long pfn)
{
	return pfn >> PFN_SECTION_SHIFT;
}

static inline unsigned long section_nr_to_pfn(unsigned long sec)
{
	return sec << PFN_SECTION_SHIFT;
}

static inline int zone_to_nid(const struct zone *zone)
{
	return zone->node;
}

static inline enum zone_type zone_idx(const struct zone *zone)
{
	return (enum zone_type)zone->zone_idx;
}

static inline bool is_dev_zone(const struct zone *zone)
{
	return zone_idx(zone) == ZONE_DEVICE;
}

static inline unsigned long zone_end_pfn(const struct zone *zone)
{
	return zone->zone_start_pfn + zone->spanned_pages;
}

static inline unsigned long pgdat_end_pfn(const struct pglist_data *pgdat)
{
	return pgdat->node_start_pfn + pgdat->node_spanned_pages;
}

static inline bool zone_is_empty(const struct zone *zone)
{
	return !zone->spanned_pages;
}

/* The section table. It is kept by range, so what acts on it does too. */

/* Memmap that lies in ordinary memory of the node, not in an altmap. */
#define NO_MEMMAP_PFN (~0UL)

bool present_section_nr(unsigned long nr);
bool online_section_nr(unsigned long nr);

/**
 * section_stretch() - sections that are alike
 * @nr: first section
 * @n: look no further than this many, not 0
 * @present: set to whether @nr has a memmap
 *
 * Return: how many, from @nr on, all have one or all have none.
 */
unsigned long section_stretch(unsigned long nr, unsigned long n, bool *present);

/* The same for the pages that hold the descriptors of sections. */
unsigned long section_root_stretch(unsigned long root, unsigned long n, bool *present);
void set_section_roots(unsigned long root, unsigned long n);

/**
 * set_sections_present() - publish the memmaps of @n sections
 * @nr: first section
 * @n: how many
 * @nid: node
 * @online: System RAM, usable for everything
 * @memmap_pfn: first page of the first memmap, the others follow; or NO_MEMMAP_PFN
 *
 * The new struct pages hold what the memory held before, or with DEBUG_VM a
 * poison: using one before it is initialised is a bug.
 */
void set_sections_present(unsigned long nr, unsigned long n, int nid, bool online,
			  unsigned long memmap_pfn);

/* Takes the memmaps of @n sections away, whoever still holds one of the pages. */
void clear_sections(unsigned long nr, unsigned long n);

/* Where the memmap of section @nr lies, NO_MEMMAP_PFN if not in an altmap. */
unsigned long section_memmap_pfn(unsigned long nr);

static inline bool pfn_valid(unsigned long pfn)
{
	return present_section_nr(pfn_to_section_nr(pfn));
}

#endif
