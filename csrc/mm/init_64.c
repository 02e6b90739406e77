// SPDX-License-Identifier: GPL-2.0-only
/*
 * The architecture's half of memory hotplug (arch/x86/mm/init_64.c): the
 * linear mapping, and how far memory reaches.  Neither is rolled back when
 * the generic half fails.
 */
#include <linux/memory_hotplug.h>
#include <linux/mm.h>

#define max_pfn (kernel_data()->memory_hotplug.max_pfn)
#define max_low_pfn (kernel_data()->memory_hotplug.max_low_pfn)

/* Only ever grows. */
static void update_end_of_memory_vars(u64 start, u64 size)
{
	unsigned long end_pfn = PFN_UP(start + size);

	if (end_pfn > max_pfn) {
		max_pfn = end_pfn;
		max_low_pfn = end_pfn;
	}
}

/**
 * add_pages() - struct pages without a linear mapping
 * @nid: node
 * @start_pfn: first page, start of a section
 * @nr_pages: whole sections
 * @altmap: storage for the memmap, or NULL
 * @want_memblock: register memory block devices; nobody here does
 *
 * mirrors arch/x86/mm/init_64.c:add_pages, v4.19
 *
 * Return: as __add_pages(). The end of memory moves even on failure.
 */
noinline int add_pages(int nid, unsigned long start_pfn, unsigned long nr_pages,
		       struct vmem_altmap *altmap, bool want_memblock)
{
	int ret;

	ret = __add_pages(nid, start_pfn, nr_pages, altmap, want_memblock);
	WARN_ON_ONCE(ret);
	update_end_of_memory_vars(PFN_PHYS(start_pfn), PFN_PHYS(nr_pages));
	return ret;
}

/**
 * arch_add_memory() - struct pages and a linear mapping
 * @nid: node
 * @start: first address, start of a section
 * @size: whole sections
 * @altmap: storage for the memmap, or NULL
 * @want_memblock: register memory block devices; nobody here does
 *
 * mirrors arch/x86/mm/init_64.c:arch_add_memory, v4.19
 *
 * Return: as add_pages(). The linear mapping stays on failure.
 */
noinline int arch_add_memory(int nid, u64 start, u64 size, struct vmem_altmap *altmap,
			     bool want_memblock)
{
	unsigned long start_pfn = PHYS_PFN(start);
	unsigned long nr_pages = PHYS_PFN(size);

	set_linear_mapping(start_pfn, nr_pages);
	return add_pages(nid, start_pfn, nr_pages, altmap, want_memblock);
}

/**
 * arch_remove_memory() - the reverse of arch_add_memory()
 * @start: first address
 * @size: whole sections
 * @altmap: what arch_add_memory() was given
 *
 * mirrors arch/x86/mm/init_64.c:arch_remove_memory, v4.19
 *
 * Return: as __remove_pages().
 */
noinline int arch_remove_memory(u64 start, u64 size, struct vmem_altmap *altmap)
{
	unsigned long start_pfn = PHYS_PFN(start);
	unsigned long nr_pages = PHYS_PFN(size);
	struct page *page = pfn_to_page(start_pfn);
	int ret;

	/* The first pages of an altmap are not initialised and name no zone. */
	if (altmap)
		page = pfn_to_page(start_pfn + vmem_altmap_offset(altmap));
	ret = __remove_pages(page_zone(page), start_pfn, nr_pages, altmap);
	WARN_ON_ONCE(ret);
	clear_linear_mapping(start_pfn, nr_pages);
	return ret;
}
