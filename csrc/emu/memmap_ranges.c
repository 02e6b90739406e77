// SPDX-License-Identifier: GPL-2.0-only
/*
 * Struct pages, many at once: those of a section or a pagemap, and what is looked for among them.
 *
 * Not instrumented, as memmap.c.
 */
#include "memmap_pages.h"

#include <linux/list.h>

void memmap_init_range(unsigned long start_pfn, unsigned long nr_pages, enum zone_type zone,
		       int nid, bool reserved)
{
	const unsigned long word[RUN_WORDS] = {
		[PAGE_COUNTS] = counts(1, -1),
		[PAGE_FLAGS] = (unsigned long)zone | (unsigned long)nid << PAGE_NID_SHIFT |
			       (unsigned long)reserved << (PAGE_FLAG_SHIFT + PG_reserved) |
			       PAGE_PGMAP_IS_SELF | PAGE_HMM_DATA_IS_SELF,
		[PAGE_INIT] = PAGE_INITIALISED,
	};

	page_access(start_pfn, nr_pages, RUN_WORDS, true, false);
	run_map_set(page_runs(), start_pfn, nr_pages, word);
}

void memmap_zero_range(unsigned long start_pfn, unsigned long nr_pages)
{
	const unsigned long word[RUN_WORDS] = { 0 };

	page_access(start_pfn, nr_pages, RUN_WORDS, true, false);
	run_map_set(page_runs(), start_pfn, nr_pages, word);
}

static unsigned long first_named(const struct memmap *mm, unsigned long pfn)
{
	unsigned long low = 0, high = mm->nr_named;

	while (low < high) {
		unsigned long middle = low + (high - low) / 2;

		if (mm->named[middle] < pfn)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* How many pages from @pfn on are one step: those of @run, up to a named one. */
static unsigned long step_length(const struct memmap *mm, const struct run *run, unsigned long pfn,
				 unsigned long end)
{
	unsigned long i = first_named(mm, pfn);

	if (run_end(run) < end)
		end = run_end(run);
	if (i < mm->nr_named && mm->named[i] < end)
		end = mm->named[i] == pfn ? pfn + 1 : mm->named[i];
	return end - pfn;
}

void memmap_own_range(unsigned long start_pfn, unsigned long nr_pages, struct dev_pagemap *pgmap)
{
	struct memmap *mm = this_memmap();
	unsigned long word[RUN_WORDS];
	struct run *run = run_map_find(&mm->pages, start_pfn);

	page_access(start_pfn, nr_pages, PAGE_PGMAP, true, false);
	for (int i = 0; i < RUN_WORDS; i++)
		word[i] = run ? run->word[i] : 0;
	word[PAGE_FLAGS] &= ~(PAGE_PGMAP_IS_SELF | PAGE_HMM_DATA_IS_SELF);
	word[PAGE_PGMAP] = (unsigned long)pgmap;
	word[PAGE_HMM_DATA] = 0;
	run_map_set(&mm->pages, start_pfn, nr_pages, word);
}

/* The pages become @pgmap's; those that were unlinked before have poison where it does not reach. */
static unsigned long claim_range(unsigned long pfn, unsigned long end, struct dev_pagemap *pgmap,
				 bool unlinked)
{
	struct memmap *mm = this_memmap();
	const struct run *run = run_map_find(page_runs(), pfn);
	unsigned long word[RUN_WORDS];
	unsigned long n;

	if (!run) {
		memmap_report_page(mm, pfn, VIOLATION_MEMMAP_REMOVED);
		return 1;
	}
	n = step_length(mm, run, pfn, end);
	page_access(pfn, n, PAGE_PGMAP, true, false);
	if (run->word[PAGE_INIT] != PAGE_INITIALISED)
		memmap_report_page(mm, pfn, VIOLATION_UNINITIALIZED);
	for (int i = 0; i < RUN_WORDS; i++)
		word[i] = run->word[i];
	word[PAGE_FLAGS] &= ~PAGE_PGMAP_IS_SELF;
	word[PAGE_PGMAP] = (unsigned long)pgmap;
	if (unlinked) {
		word[PAGE_FLAGS] &= ~PAGE_HMM_DATA_IS_SELF;
		word[PAGE_HMM_DATA] = (unsigned long)LIST_POISON2;
	}
	run_map_set(&mm->pages, pfn, n, word);
	return n;
}

unsigned long memmap_claim_range(unsigned long pfn, unsigned long end, struct dev_pagemap *pgmap)
{
	return claim_range(pfn, end, pgmap, true);
}

unsigned long memmap_claim_linked_range(unsigned long pfn, unsigned long end,
					struct dev_pagemap *pgmap)
{
	return claim_range(pfn, end, pgmap, false);
}

/* Ordinary pages that nobody uses?  All others are left to put_page() and its reports. */
static bool is_idle(const struct run *run)
{
	return run && count_of(run->word) == 1 && is_claimed(run->word);
}

unsigned long memmap_put_idle_range(unsigned long pfn, unsigned long end)
{
	struct memmap *mm = this_memmap();
	const struct run *run = run_map_find(page_runs(), pfn);
	unsigned long word[RUN_WORDS];
	unsigned long n;

	if (!is_idle(run))
		return 0;
	n = step_length(mm, run, pfn, end);
	page_access(pfn, n, PAGE_COUNTS, true, true);
	/* Others may have come in between: of these pages, those that are still alike. */
	run = run_map_find(page_runs(), pfn);
	if (!is_idle(run))
		return 0;
	n = min(n, run_end(run) - pfn);
	machine_dirty(&this_machine()->running->steps, sizeof(n));
	this_machine()->running->steps += n;
	for (int i = 0; i < RUN_WORDS; i++)
		word[i] = run->word[i];
	word[PAGE_COUNTS] = counts(0, (int)(u32)(word[PAGE_COUNTS] >> 32));
	run_map_set(&mm->pages, pfn, n, word);
	return n;
}

static bool run_in_zone(const struct run *run, int nid, int zone)
{
	unsigned long flags = run->word[PAGE_FLAGS];

	return run->word[PAGE_INIT] == PAGE_INITIALISED &&
	       (flags >> PAGE_NID_SHIFT & PAGE_NID_MASK) == (unsigned long)nid &&
	       (zone < 0 || (flags & PAGE_ZONE_MASK) == (unsigned long)zone);
}

unsigned long memmap_first_in_zone(unsigned long start, unsigned long end, int nid, int zone)
{
	const struct run_map *pages = page_runs();

	for (unsigned long i = run_map_index(pages, start);
	     i < pages->nr && pages->runs[i].start < end; i++)
		if (run_in_zone(&pages->runs[i], nid, zone))
			return pages->runs[i].start > start ? pages->runs[i].start : start;
	return end;
}

unsigned long memmap_last_in_zone(unsigned long start, unsigned long end, int nid, int zone)
{
	const struct run_map *pages = page_runs();

	/* One more than the last run that begins before @end. */
	unsigned long i = run_map_index(pages, end);

	if (i < pages->nr && pages->runs[i].start < end)
		i++;
	while (i-- > 0 && run_end(&pages->runs[i]) > start)
		if (run_in_zone(&pages->runs[i], nid, zone))
			return (run_end(&pages->runs[i]) < end ? run_end(&pages->runs[i]) : end) -
			       1;
	return end;
}

void memmap_name_page(struct memmap *mm, unsigned long pfn)
{
	unsigned long i = first_named(mm, pfn);

	if (i < mm->nr_named && mm->named[i] == pfn)
		return;
	if (mm->nr_named == mm->named_capacity) {
		unsigned long capacity = mm->named_capacity ? 2 * mm->named_capacity : 8;
		unsigned long *named = machine_alloc(this_machine(), capacity * sizeof(*named));

		for (unsigned long j = 0; j < mm->nr_named; j++)
			named[j] = mm->named[j];
		machine_dirty(mm, sizeof(*mm));
		mm->named = named;
		mm->named_capacity = capacity;
	}
	machine_dirty(mm, sizeof(*mm));
	machine_dirty(&mm->named[i], (mm->nr_named - i + 1) * sizeof(*mm->named));
	for (unsigned long j = mm->nr_named++; j > i; j--)
		mm->named[j] = mm->named[j - 1];
	mm->named[i] = pfn;
}

/* The ref of the pagemap that has claimed a page; what that says may be wrong: NULL. */
static const struct percpu_ref *ref_of(const struct machine *m, const unsigned long *word)
{
	const struct dev_pagemap *pgmap = (const struct dev_pagemap *)word[PAGE_PGMAP];

	if (!is_claimed(word) ||
	    word[PAGE_PGMAP] - (uintptr_t)m->arena >= m->s->brk - sizeof(*pgmap) ||
	    (uintptr_t)pgmap->ref - (uintptr_t)m->arena >= m->s->brk - sizeof(*pgmap->ref))
		return NULL;
	return pgmap->ref;
}

const struct percpu_ref *memmap_next_ref(const struct machine *m, unsigned long *pfn,
					 unsigned long end)
{
	const struct memmap *mm = &m->s->memmap;

	while (*pfn < end) {
		const struct percpu_ref *ref;
		const unsigned long *word = mm->open;
		unsigned long next = *pfn + 1;

		if (mm->open_pfn != *pfn) {
			const unsigned long i = run_map_index(&mm->pages, *pfn);

			if (i == mm->pages.nr || mm->pages.runs[i].start >= end)
				return NULL;
			word = mm->pages.runs[i].word;
			next = run_end(&mm->pages.runs[i]);
			/* Of the open page the run may say something older. */
			if (mm->open_pfn > *pfn && mm->open_pfn < next)
				next = mm->open_pfn;
		}
		*pfn = next;
		ref = (unsigned int)count_of(word) <= 1 ? ref_of(m, word) : NULL;
		if (ref)
			return ref;
	}
	return NULL;
}

const struct dev_pagemap *memmap_given_up_by(unsigned long pfn)
{
	const struct access access = { .kind = ACCESS_NONE, .rcu_read = PAGES_GIVEN_UP };
	struct machine *m = this_machine();
	const struct run *run;

	/* Of the page itself it need not be: its count may change as long as it is not given up. */
	if (unlikely(m->explorer != NULL))
		explore_point(m, &access);
	run = run_map_find(page_runs(), pfn);
	if (!run || !is_claimed(run->word) || count_of(run->word))
		return NULL;
	return (const struct dev_pagemap *)run->word[PAGE_PGMAP];
}
