/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_MEMMAP_H
#define EMU_MEMMAP_H

/*
 * What a real kernel keeps in arrays as large as memory: struct pages,
 * section descriptors, page tables.  Here each is a map of runs, see
 * run_map.h.
 */

#include <linux/memremap.h>
#include <linux/percpu-refcount.h>

#include "run_map.h"

/**
 * struct memmap - struct pages, sections and kernel page tables of a machine
 * @pages: state of every struct page that exists, by pfn
 * @sections: sections with a memmap, by section number
 * @section_roots: pages of section descriptors, by root number
 * @linear: the direct map, by pfn
 * @shadow: kasan zero shadow, by pfn
 * @ghosts: pages whose section went away while references were held, by pfn
 * @named: pfns that a program names, ascending: range steps stop at them
 * @nr_named: how many
 * @named_capacity: room in @named
 * @open_pfn: page whose words are in @open, NO_PAGE_OPEN if there is none
 * @open: what that page holds; @pages may say something older
 * @reported: page of a missing section that this call reported last, so that one
 *	put_page(), which looks at a page several times, is one report
 * @no_pagemap: what pages that nobody claimed lead to
 * @no_ref: its reference, which never reaches zero
 */
struct memmap {
	struct run_map pages;
	struct run_map sections;
	struct run_map section_roots;
	struct run_map linear;
	struct run_map shadow;
	struct run_map ghosts;
	unsigned long *named;
	unsigned long nr_named;
	unsigned long named_capacity;
	unsigned long open_pfn;
	unsigned long open[RUN_WORDS];
	unsigned long reported;
	struct dev_pagemap no_pagemap;
	struct percpu_ref no_ref;
};

#define MEMMAP_NR_MAPS 6
#define NO_PAGE_OPEN (~0UL)

/* Words of a run of @pages and @ghosts. */
enum page_word {
	PAGE_COUNTS, /* _refcount, and _mapcount in the upper half */
	PAGE_FLAGS,
	PAGE_PGMAP, /* lru.next */
	PAGE_HMM_DATA, /* lru.prev */
	PAGE_MAPPING,
	PAGE_INIT, /* enum page_init */
};

enum page_init {
	PAGE_INITIALISED,
	PAGE_NEVER_INITIALISED,
};

/* PAGE_FLAGS: zone, node, the flags of linux/mm.h, and what follows. */
#define PAGE_ZONE_MASK 0x7UL
#define PAGE_NID_SHIFT 8
#define PAGE_NID_MASK 0xffUL
#define PAGE_FLAG_SHIFT 16
#define PAGE_PGMAP_IS_SELF (1UL << 32) /* the word is the page's own list head */
#define PAGE_HMM_DATA_IS_SELF (1UL << 33)

/* Words of a run of @sections. */
enum section_word {
	SECTION_FLAGS, /* bit 0 online, node from bit 8 */
	/*
	 * First page of the memmap minus the pages that the memmaps of all
	 * lower sections would take: the same word for a whole row of memmaps
	 * in one altmap.  NO_MEMMAP_PFN if not in an altmap.
	 */
	SECTION_MEMMAP_PFN,
};
#define SECTION_ONLINE 1UL

void memmap_init(struct memmap *memmap);

/**
 * memmap_name_page() - make range operations treat a page on its own
 * @memmap: memmap
 * @pfn: page that a program names
 *
 * Before the program runs, so that a step over a range hides no interleaving
 * with what the program does to this page.
 */
void memmap_name_page(struct memmap *memmap, unsigned long pfn);

/** memmap_close_page() - bring @pages up to date, before somebody looks at its runs */
void memmap_close_page(struct memmap *memmap);

/* Number of runs of struct pages and of sections, for statistics. */
/** memmap_page_runs() - how many runs the struct pages make, the open one put back */
static inline unsigned long memmap_page_runs(const struct memmap *memmap)
{
	if (memmap->open_pfn == NO_PAGE_OPEN)
		return memmap->pages.nr;
	return run_map_count_with(&memmap->pages, memmap->open_pfn, memmap->open);
}

static inline unsigned long memmap_section_runs(const struct memmap *memmap)
{
	return memmap->sections.nr;
}

/**
 * memmap_held_ghosts() - references held on pages whose section is gone
 * @memmap: memmap
 * @pfn: set to the first such page, if there is any
 *
 * Return: number of such pages.
 */
unsigned long memmap_held_ghosts(const struct memmap *memmap, unsigned long *pfn);

/**
 * memmap_given_up_by() - who has mapped a page that nobody holds any more
 * @pfn: page frame number
 *
 * A visible operation: whoever gives up a page of a pagemap that is alive, or puts or takes away one
 * that was given up, comes before it or after, see gives_up().
 *
 * Return: the pagemap of the page if its count is 0, else NULL.
 */
const struct dev_pagemap *memmap_given_up_by(unsigned long pfn);
/**
 * memmap_next_ref() - of the pages that nobody or one holds: what they hold of their pagemap
 * @m: machine
 * @pfn: where to look from; set to behind the pages that were looked at
 * @end: where to look no further
 *
 * Return: the ref of the pagemap, NULL if no page is left that anybody has claimed.
 */
const struct percpu_ref *memmap_next_ref(const struct machine *m, unsigned long *pfn,
					 unsigned long end);

/**
 * memmap_maps() - all run maps, for snapshots, hashes and checks
 * @memmap: memmap
 * @maps: filled
 */
void memmap_maps(struct memmap *memmap, struct run_map *maps[MEMMAP_NR_MAPS]);

#endif
