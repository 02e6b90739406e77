// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sections: memory is described in blocks, and each block that exists has an
 * array of struct pages, its memmap.
 *
 * Device memory can store its memmap on itself (struct vmem_altmap): blocks
 * of one PMD are cut off its front, each naturally aligned.  As all blocks
 * are of one size, alignment costs something once, in front of the first.
 *
 * Sections are handled by stretches: what a loop would do to each of a row of
 * equal sections is done to all of them, and ends at the one where an
 * allocation fails.
 */
#include <linux/kernel.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/slab.h>

#define max_pfn (kernel_data()->memory_hotplug.max_pfn)
#define max_low_pfn (kernel_data()->memory_hotplug.max_low_pfn)

/*
 * Makes the pages that hold the descriptors of [@nr, @nr + @n).  They are
 * shared by many sections and never given back.
 *
 * Return: how many sections from @nr on have a descriptor.
 */
static noinline unsigned long sparse_index_init(unsigned long nr, unsigned long n)
{
	unsigned long root = nr / SECTIONS_PER_ROOT;
	unsigned long end = (nr + n - 1) / SECTIONS_PER_ROOT + 1;
	bool present;

	while (root < end) {
		unsigned long roots = section_root_stretch(root, end - root, &present);

		if (!present) {
			unsigned long made = reserve_pages(roots);

			set_section_roots(root, made);
			if (made < roots) {
				unsigned long first = (root + made) * SECTIONS_PER_ROOT;

				return first > nr ? first - nr : 0;
			}
		}
		root += roots;
	}
	return n;
}

/* Pages of the blocks in which a memmap is mapped, and blocks per section. */
static unsigned long vmemmap_block_pages(unsigned long *blocks)
{
	unsigned long pages = DIV_ROUND_UP(PAGES_PER_SECTION * STRUCT_PAGE_SIZE, PAGE_SIZE);
	unsigned long block = min(pages, PAGE_SIZE / sizeof(pmd_t));

	*blocks = pages / block;
	return block;
}

/*
 * Cuts up to @count blocks of @nr_pfns pages, a power of two, off @altmap.
 *
 * Return: how many there was room for; the first begins at *@pfn.
 */
static noinline unsigned long altmap_alloc_block_buf(struct vmem_altmap *altmap,
						     unsigned long nr_pfns, unsigned long count,
						     unsigned long *pfn)
{
	unsigned long used = altmap->alloc + altmap->align;
	unsigned long next = altmap->base_pfn + altmap->reserve + used;
	unsigned long pad = ALIGN(next, nr_pfns) - next;
	unsigned long nr_free = altmap->free > used ? altmap->free - used : 0;

	if (nr_pfns + pad > nr_free)
		return 0;
	count = min(count, (nr_free - pad) / nr_pfns);
	altmap->alloc += count * nr_pfns;
	altmap->align += pad;
	*pfn = next + pad;
	return count;
}

/*
 * Finds memory for the memmaps of @n sections, from @altmap if there is one:
 * when that is full there is no falling back to the node's memory.
 *
 * Return: for how many; the first memmap begins at *@memmap_pfn.
 */
static noinline unsigned long vmemmap_populate(unsigned long n, struct vmem_altmap *altmap,
					       unsigned long *memmap_pfn)
{
	unsigned long blocks, block;

	*memmap_pfn = NO_MEMMAP_PFN;
	if (!altmap)
		return reserve_pages(n);
	block = vmemmap_block_pages(&blocks);
	/* Blocks of a memmap that cannot be finished stay handed out. */
	return altmap_alloc_block_buf(altmap, block, n * blocks, memmap_pfn) / blocks;
}

static void vmemmap_free(unsigned long n, struct vmem_altmap *altmap)
{
	unsigned long blocks, block;

	if (!altmap)
		return;
	block = vmemmap_block_pages(&blocks);
	vmem_altmap_free(altmap, n * blocks * block);
}

/* Return: for how many of @n sections there is memory for the pageblock flags. */
static noinline unsigned long __kmalloc_section_usemap(unsigned long n)
{
	return reserve_pages(n);
}

/**
 * sparse_add_sections() - give memmaps to sections that have none
 * @nid: node
 * @nr: first section
 * @n: how many, not 0
 * @altmap: storage for the memmaps, or NULL for memory of the node
 *
 * mirrors mm/sparse.c:sparse_add_one_section, v4.19, for a row of sections
 *
 * Context: process, inside mem_hotplug_begin().
 * Return: how many, from @nr on, have been added; if less than @n, memory for
 * the next one could not be had.
 */
unsigned long sparse_add_sections(int nid, unsigned long nr, unsigned long n,
				  struct vmem_altmap *altmap)
{
	struct pglist_data *pgdat = NODE_DATA(nid);
	unsigned long memmap_pfn, populated, flags;

	n = sparse_index_init(nr, n);
	if (n)
		n = vmemmap_populate(n, altmap, &memmap_pfn);
	if (!n)
		return 0;
	populated = n;
	n = __kmalloc_section_usemap(populated);
	vmemmap_free(populated - n, altmap);
	if (!n)
		return 0;
	spin_lock_irqsave(&pgdat->node_size_lock, flags);
	set_sections_present(nr, n, nid, false, memmap_pfn);
	spin_unlock_irqrestore(&pgdat->node_size_lock, flags);
	return n;
}

/**
 * sparse_remove_sections() - take memmaps away
 * @nr: first section; it and all others have one
 * @n: how many
 * @altmap: where the storage of the memmaps goes back to, or NULL
 *
 * mirrors mm/sparse.c:sparse_remove_one_section, v4.19, for a row of sections
 *
 * Context: process, inside mem_hotplug_begin().
 */
void sparse_remove_sections(unsigned long nr, unsigned long n, struct vmem_altmap *altmap)
{
	/* Any node's lock: sections are not looked at without mem_hotplug_lock. */
	struct pglist_data *pgdat = NODE_DATA(0);
	unsigned long flags;

	spin_lock_irqsave(&pgdat->node_size_lock, flags);
	clear_sections(nr, n);
	spin_unlock_irqrestore(&pgdat->node_size_lock, flags);
	vmemmap_free(n, altmap);
}

void register_boot_memory(unsigned long start_pfn, unsigned long nr_pages, int nid)
{
	unsigned long end_pfn = start_pfn + nr_pages;
	unsigned long nr = pfn_to_section_nr(start_pfn);
	unsigned long end_nr;
	struct zone *zone = &NODE_DATA(nid)->zone_normal;
	bool present;

	if (!nr_pages)
		return;
	end_nr = pfn_to_section_nr(end_pfn - 1) + 1;
	while (nr < end_nr) {
		unsigned long n = section_stretch(nr, end_nr - nr, &present);

		if (!present) {
			set_section_roots(nr / SECTIONS_PER_ROOT, (nr + n - 1) / SECTIONS_PER_ROOT -
									  nr / SECTIONS_PER_ROOT +
									  1);
			set_sections_present(nr, n, nid, true, NO_MEMMAP_PFN);
			memmap_zero_range(section_nr_to_pfn(nr), section_nr_to_pfn(n));
		}
		nr += n;
	}
	memmap_init_range(start_pfn, nr_pages, ZONE_NORMAL, nid, false);
	set_linear_mapping(start_pfn, nr_pages);
	resize_zone_range(zone, start_pfn, nr_pages);
	resize_pgdat_range(NODE_DATA(nid), start_pfn, nr_pages);
	zone->present_pages += nr_pages;
	zone->managed_pages += nr_pages;
	if (end_pfn > max_pfn) {
		max_pfn = end_pfn;
		max_low_pfn = end_pfn;
	}
	if (kernel_data()->memory_hotplug.highest_memmap_pfn < end_pfn - 1)
		kernel_data()->memory_hotplug.highest_memmap_pfn = end_pfn - 1;
}
