/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_MEMMAP_PAGES_H
#define EMU_MEMMAP_PAGES_H

/*
 * What memmap.c (single struct pages) and memmap_ranges.c (many at once) have in common.
 */

#include "kcsan.h"
#include "machine.h"

#include <linux/mm.h>

/*
 * Every access to struct pages passes here, once: [@pfn, @pfn + @n), the word
 * @field or all of them (RUN_WORDS).  Counts are atomic, all else is plain.
 */
static inline void page_access(unsigned long pfn, unsigned long n, unsigned int field, bool write,
			       bool atomic)
{
	struct machine *m = this_machine();

	/* Whole pages change when they come and go: nothing orders that but the design. */
	if (unlikely(m->explorer != NULL) && (atomic || field == RUN_WORDS))
		explore_access(m, pfn_to_page(pfn), n * STRUCT_PAGE_SIZE, write);
	if (unlikely(m->explorer != NULL) && atomic && n == 1) {
		kcsan_acquire(m, pfn_to_page(pfn));
		if (write)
			kcsan_release(m, pfn_to_page(pfn));
		if (m->wipes)
			wipe_stack();
	}
}

static inline struct memmap *this_memmap(void)
{
	return &this_machine()->s->memmap;
}

static inline int count_of(const unsigned long *word)
{
	return (int)(u32)word[PAGE_COUNTS];
}

static inline unsigned long counts(int refcount, int mapcount)
{
	return (unsigned long)(u32)refcount | (unsigned long)(u32)mapcount << 32;
}

static inline bool is_claimed(const unsigned long *word)
{
	return word[PAGE_INIT] == PAGE_INITIALISED && word[PAGE_PGMAP] &&
	       !(word[PAGE_FLAGS] & PAGE_PGMAP_IS_SELF);
}

/** memmap_report_page() - @pfn was looked at and is gone, or was never initialised; once a call */
void memmap_report_page(struct memmap *mm, unsigned long pfn, enum violation_kind kind);

/* The runs of struct pages, for whoever looks at more than one page. */
static inline struct run_map *page_runs(void)
{
	memmap_close_page(this_memmap());
	return &this_memmap()->pages;
}

#endif
