// SPDX-License-Identifier: GPL-2.0-only
/*
 * Section descriptors and kernel page tables: which stretches are there.
 */
#include "memmap_pages.h"

#include <linux/hmm.h>
#include <linux/patches.h>

/* Struct pages are about to come or go, whole: others see them or do not.  No frame of its own. */
static __always_inline void pages_change(unsigned long pfn, unsigned long n)
{
	struct machine *m = this_machine();

	if (unlikely(m->explorer != NULL))
		explore_access(m, pfn_to_page(pfn), n * STRUCT_PAGE_SIZE, true);
}

/* ---- sections ---- */

bool present_section_nr(unsigned long nr)
{
	return run_map_find(&this_memmap()->sections, nr) != NULL;
}

bool online_section_nr(unsigned long nr)
{
	const struct run *run = run_map_find(&this_memmap()->sections, nr);

	return run && (run->word[SECTION_FLAGS] & SECTION_ONLINE);
}

unsigned long section_stretch(unsigned long nr, unsigned long n, bool *present)
{
	return run_map_stretch(&this_memmap()->sections, nr, n, present);
}

unsigned long section_root_stretch(unsigned long root, unsigned long n, bool *present)
{
	return run_map_stretch(&this_memmap()->section_roots, root, n, present);
}

void set_section_roots(unsigned long root, unsigned long n)
{
	const unsigned long word[RUN_WORDS] = { 0 };

	run_map_set(&this_memmap()->section_roots, root, n, word);
}

/* Pages that the memmap of one section takes. */
static unsigned long memmap_pages(void)
{
	return DIV_ROUND_UP(PAGES_PER_SECTION * STRUCT_PAGE_SIZE, PAGE_SIZE);
}

void set_sections_present(unsigned long nr, unsigned long n, int nid, bool online,
			  unsigned long memmap_pfn)
{
	struct memmap *mm = this_memmap();
	unsigned long pfn, nr_pages;
	unsigned long word[RUN_WORDS] = {
		[SECTION_FLAGS] = (unsigned long)nid << 8 | (online ? SECTION_ONLINE : 0),
		[SECTION_MEMMAP_PFN] = memmap_pfn == NO_MEMMAP_PFN ?
					       NO_MEMMAP_PFN :
					       memmap_pfn - nr * memmap_pages(),
	};
	unsigned long fresh[RUN_WORDS];

	if (nr + n > NR_MEM_SECTIONS) {
		report_violation(VIOLATION_OUT_OF_BOUNDS,
				 "section 0x%lx is beyond the %u bits of physical memory",
				 nr + n - 1, kernel_data()->config.max_physmem_bits);
		n = nr < NR_MEM_SECTIONS ? NR_MEM_SECTIONS - nr : 0;
	}
	pfn = section_nr_to_pfn(nr);
	nr_pages = section_nr_to_pfn(n);
	pages_change(pfn, nr_pages);
	memmap_close_page(mm);
	run_map_set(&mm->sections, nr, n, word);
	for (int i = 0; i < RUN_WORDS; i++)
		fresh[i] = ~0UL;
	fresh[PAGE_INIT] = PAGE_NEVER_INITIALISED;
	run_map_set(&mm->pages, pfn, nr_pages, fresh);
	/* A late put now meets the new page, as it would on a real machine. */
	run_map_clear(&mm->ghosts, pfn, nr_pages);
	mm->reported = ~0UL;
}

/*
 * The part of [@from, @end) that is put when its mapping ends.  What is left
 * is padding, which keeps the count it was born with; with deferred
 * initialisation it has an owner all the same.
 */
static void owned_part(const unsigned long *word, unsigned long *from, unsigned long *end)
{
	const struct dev_pagemap *pgmap = (const struct dev_pagemap *)word[PAGE_PGMAP];
	unsigned long first, last;

	if (!pgmap || (word[PAGE_FLAGS] & PAGE_PGMAP_IS_SELF)) {
		*end = *from;
		return;
	}
	first = PHYS_PFN(pgmap->res.start);
	last = PHYS_PFN(pgmap->res.end + 1);
	if (pgmap->altmap_valid)
		first += pgmap->altmap.reserve + pgmap->altmap.free;
	*from = min(max(*from, first), *end);
	*end = max(min(*end, last), *from);
}

/*
 * HMM before hmm-memremap never puts its own count of a page: one that has only
 * that is held by nobody.
 */
static bool is_unputtable_hmm(const unsigned long *word)
{
	const struct machine *m = this_machine();
	const struct dev_pagemap *pgmap = (const void *)word[PAGE_PGMAP];

	if (patched(PATCH_HMM_MEMREMAP) || word[PAGE_PGMAP] - (uintptr_t)m->arena >= m->s->brk)
		return false;
	/* Others may have mapped memory of these types, and do put their pages. */
	return pgmap->page_free == hmm_devmem_free;
}

/* Pages of [@from, @end) on which somebody holds references stay as ghosts. */
static void keep_ghosts(struct memmap *mm, const unsigned long *run_word, unsigned long from,
			unsigned long end)
{
	unsigned long word[RUN_WORDS];
	unsigned long owned = from, owned_end = end;
	int count;

	for (int i = 0; i < RUN_WORDS; i++)
		word[i] = run_word[i];
	count = (int)(u32)word[PAGE_COUNTS];
	if (word[PAGE_INIT] != PAGE_INITIALISED || count <= 0)
		return;
	if (count == 1 && is_unputtable_hmm(word))
		return;
	if (count == 1) {
		owned_part(word, &owned, &owned_end);
		from = owned;
		end = owned_end;
	}
	if (from < end)
		run_map_set(&mm->ghosts, from, end - from, word);
}

void clear_sections(unsigned long nr, unsigned long n)
{
	struct memmap *mm = this_memmap();
	unsigned long start = section_nr_to_pfn(nr);
	unsigned long end = start + section_nr_to_pfn(n);

	pages_change(start, end - start);
	memmap_close_page(mm);
	for (unsigned long i = run_map_index(&mm->pages, start);
	     i < mm->pages.nr && mm->pages.runs[i].start < end; i++) {
		const struct run *run = &mm->pages.runs[i];
		unsigned long from = max(run->start, start);

		keep_ghosts(mm, run->word, from, min(run_end(run), end));
	}
	run_map_clear(&mm->pages, start, end - start);
	run_map_clear(&mm->sections, nr, n);
}

unsigned long section_memmap_pfn(unsigned long nr)
{
	const struct run *run = run_map_find(&this_memmap()->sections, nr);

	if (!run || run->word[SECTION_MEMMAP_PFN] == NO_MEMMAP_PFN)
		return NO_MEMMAP_PFN;
	return run->word[SECTION_MEMMAP_PFN] + nr * memmap_pages();
}

/* ---- page tables ---- */

static const unsigned long mapped[RUN_WORDS];

void set_linear_mapping(unsigned long start_pfn, unsigned long nr_pages)
{
	run_map_set(&this_memmap()->linear, start_pfn, nr_pages, mapped);
}

void clear_linear_mapping(unsigned long start_pfn, unsigned long nr_pages)
{
	run_map_clear(&this_memmap()->linear, start_pfn, nr_pages);
}

bool linear_mapping_present(unsigned long pfn)
{
	return run_map_find(&this_memmap()->linear, pfn) != NULL;
}

void set_zero_shadow(unsigned long start_pfn, unsigned long nr_pages)
{
	run_map_set(&this_memmap()->shadow, start_pfn, nr_pages, mapped);
}

void clear_zero_shadow(unsigned long start_pfn, unsigned long nr_pages)
{
	run_map_clear(&this_memmap()->shadow, start_pfn, nr_pages);
}

bool zero_shadow_present(unsigned long pfn)
{
	return run_map_find(&this_memmap()->shadow, pfn) != NULL;
}
