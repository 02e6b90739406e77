// SPDX-License-Identifier: GPL-2.0-only
/*
 * Struct pages.
 *
 * A page is six words in a run of equal pages.  Touching one page alone splits
 * its run in three; when it is back in the state of its neighbours they are
 * one again.
 *
 *	pages	one run or more for every section that has a memmap
 *	ghosts	pages that were still referenced when their section went away
 *	open	the page that was changed last, not yet back in its run
 *
 * References come and go in pairs, so the page that was changed last stays
 * open: changes collect in its words, and its run is split, if by then it has
 * to be, when another page is opened or somebody looks at runs.
 *
 * A real kernel that puts such a page writes to memory that is no longer
 * mapped or, if it has luck, to the struct page that it knew.  Here that is a
 * violation, and then it has luck: the ghost counts on, so that what follows
 * from the last put can be seen as well.
 *
 * This file is not instrumented: what it writes to the arena by itself, and
 * not by run_map_set(), it reports with machine_dirty().
 */
#include "memmap_pages.h"

#include <linux/list.h>

#undef memcpy
#include <string.h>

/* The list head of a page: where lru is in a real struct page. */
static unsigned long page_lru(const struct page *page)
{
	return (unsigned long)page + 8;
}

/* What is read where no struct page is. */
static const unsigned long gone_page[RUN_WORDS];

void memmap_report_page(struct memmap *mm, unsigned long pfn, enum violation_kind kind)
{
	if (mm->reported == pfn)
		return;
	machine_dirty(&mm->reported, sizeof(mm->reported));
	mm->reported = pfn;
	if (kind == VIOLATION_UNINITIALIZED)
		report_violation(kind, "struct page of pfn 0x%lx was never initialised", pfn);
	else
		report_violation(kind, "struct page of pfn 0x%lx is gone with its section", pfn);
}

/* Puts the open page back among the runs. The room for it has been made. */
void memmap_close_page(struct memmap *mm)
{
	if (mm->open_pfn == NO_PAGE_OPEN)
		return;
	run_map_set(&mm->pages, mm->open_pfn, 1, mm->open);
	machine_dirty(&mm->open_pfn, sizeof(mm->open_pfn));
	mm->open_pfn = NO_PAGE_OPEN;
}

/* The words of @page where its section is gone: what is left of it, and where. */
static noinline const unsigned long *find_ghost(struct memmap *mm, unsigned long pfn)
{
	const struct run *run = run_map_find(&mm->ghosts, pfn);

	memmap_report_page(mm, pfn, VIOLATION_MEMMAP_REMOVED);
	return run ? run->word : NULL;
}

/* The words of @page, to be read. */
static const unsigned long *find_page(const struct page *page)
{
	struct memmap *mm = this_memmap();
	unsigned long pfn = page_to_pfn(page);
	const unsigned long *word;

	if (mm->open_pfn == pfn) {
		word = mm->open;
	} else {
		const struct run *run = run_map_find(&mm->pages, pfn);

		if (!run) {
			word = find_ghost(mm, pfn);
			return word ? word : gone_page;
		}
		word = run->word;
	}
	if (word[PAGE_INIT] != PAGE_INITIALISED)
		memmap_report_page(mm, pfn, VIOLATION_UNINITIALIZED);
	return word;
}

static unsigned long read_page(const struct page *page, enum page_word field)
{
	page_access(page_to_pfn(page), 1, field, false, field == PAGE_COUNTS);
	return find_page(page)[field];
}

/**
 * struct edit - a page that is about to be changed
 * @word: its words, to be changed in place
 * @home: where they are to be stored, NULL if nowhere
 * @pfn: which page
 * @copy: what @word is if the page is not the open one
 */
struct edit {
	unsigned long *word;
	struct run_map *home;
	unsigned long pfn;
	unsigned long copy[RUN_WORDS];
};

static noinline void edit_closed_page(struct edit *edit)
{
	struct memmap *mm = this_memmap();
	const struct run *run;
	const unsigned long *ghost;

	memmap_close_page(mm);
	/* One run becomes three at most, and that must not fail later. */
	run_map_reserve(&mm->pages, 2);
	run = run_map_find(&mm->pages, edit->pfn);
	if (run) {
		machine_dirty(mm->open, sizeof(mm->open));
		memcpy(mm->open, run->word, sizeof(mm->open));
		machine_dirty(&mm->open_pfn, sizeof(mm->open_pfn));
		mm->open_pfn = edit->pfn;
		edit->word = mm->open;
		edit->home = &mm->pages;
		return;
	}
	ghost = find_ghost(mm, edit->pfn);
	edit->home = ghost ? &mm->ghosts : NULL;
	edit->word = edit->copy;
	memcpy(edit->copy, ghost ? ghost : gone_page, sizeof(edit->copy));
}

/*
 * Reads all words of @page, about to change @field of them: of an open page
 * they are dirty from here on, of a ghost when they are stored.
 */
static inline void load_page(struct edit *edit, const struct page *page, enum page_word field)
{
	struct memmap *mm = this_memmap();

	edit->pfn = page_to_pfn(page);
	page_access(edit->pfn, 1, field, true, field == PAGE_COUNTS);
	if (likely(mm->open_pfn == edit->pfn)) {
		if (CHECKED_BUILD && TRACKS_STORES)
			mark_dirty(this_machine(), offsetof(struct machine_state, memmap.open),
				   sizeof(mm->open));
		edit->word = mm->open;
		edit->home = &mm->pages;
	} else {
		edit_closed_page(edit);
	}
	if (edit->home == &mm->pages && edit->word[PAGE_INIT] != PAGE_INITIALISED)
		memmap_report_page(mm, edit->pfn, VIOLATION_UNINITIALIZED);
}

static inline void store_page(struct edit *edit)
{
	if (unlikely(edit->home == &this_memmap()->ghosts))
		run_map_set(edit->home, edit->pfn, 1, edit->word);
}

/* ---- counts ---- */

int page_count(const struct page *page)
{
	return (int)(u32)read_page(page, PAGE_COUNTS);
}

int page_mapcount(const struct page *page)
{
	return (int)(u32)(read_page(page, PAGE_COUNTS) >> 32) + 1;
}

void set_page_count(struct page *page, int count)
{
	struct edit edit;

	load_page(&edit, page, PAGE_COUNTS);
	edit.word[PAGE_COUNTS] = counts(count, (int)(u32)(edit.word[PAGE_COUNTS] >> 32));
	store_page(&edit);
}

/* Says so if adding @nr to the count of @page is something nobody may do. */
static void check_count(const struct page *page, const unsigned long *word, int nr)
{
	unsigned long pfn = page_to_pfn(page);
	int count = count_of(word);

	if (word[PAGE_INIT] != PAGE_INITIALISED)
		return;
	if (nr > 0 && count <= 0)
		report_violation(VIOLATION_REFCOUNT,
				 "reference taken on pfn 0x%lx, whose count is %d", pfn, count);
	else if (nr < 0 && count + nr < 0)
		report_violation(VIOLATION_REFCOUNT,
				 "reference dropped on pfn 0x%lx, whose count is %d", pfn, count);
	else if (nr < 0 && count + nr == 0 && (word[PAGE_FLAGS] & PAGE_ZONE_MASK) == ZONE_DEVICE &&
		 !is_claimed(word))
		report_violation(VIOLATION_REFCOUNT,
				 "last reference dropped on pfn 0x%lx, which no pagemap owns", pfn);
}

int page_ref_add_return(struct page *page, int nr)
{
	struct edit edit;
	int count;

	load_page(&edit, page, PAGE_COUNTS);
	count = (int)((unsigned int)count_of(edit.word) + (unsigned int)nr);
	if (edit.home)
		check_count(page, edit.word, nr);
	edit.word[PAGE_COUNTS] = counts(count, (int)(u32)(edit.word[PAGE_COUNTS] >> 32));
	store_page(&edit);
	return count;
}

bool get_page_unless_zero(struct page *page)
{
	struct edit edit;

	load_page(&edit, page, PAGE_COUNTS);
	if (!count_of(edit.word))
		return false;
	edit.word[PAGE_COUNTS] =
		counts(count_of(edit.word) + 1, (int)(u32)(edit.word[PAGE_COUNTS] >> 32));
	store_page(&edit);
	return true;
}

void *page_refcount_var(struct page *page)
{
	return (char *)page + 52;
}

/* ---- flags and the other words ---- */

bool test_page_flag(const struct page *page, enum pageflags flag)
{
	return read_page(page, PAGE_FLAGS) >> (PAGE_FLAG_SHIFT + flag) & 1;
}

void change_page_flag(struct page *page, enum pageflags flag, bool on)
{
	struct edit edit;

	load_page(&edit, page, PAGE_FLAGS);
	edit.word[PAGE_FLAGS] &= ~(1UL << (PAGE_FLAG_SHIFT + flag));
	edit.word[PAGE_FLAGS] |= (unsigned long)on << (PAGE_FLAG_SHIFT + flag);
	store_page(&edit);
}

enum zone_type page_zonenum(const struct page *page)
{
	return (enum zone_type)(read_page(page, PAGE_FLAGS) & PAGE_ZONE_MASK);
}

int page_to_nid(const struct page *page)
{
	unsigned long nid = read_page(page, PAGE_FLAGS) >> PAGE_NID_SHIFT & PAGE_NID_MASK;

	/* A page that was never initialised names any node; one that exists will do. */
	return nid < MAX_NUMNODES ? (int)nid : 0;
}

/* A word that may be the page's own list head, the state of a page on no list. */
static unsigned long read_list_word(const struct page *page, enum page_word field,
				    unsigned long is_self)
{
	const unsigned long *word;

	page_access(page_to_pfn(page), 1, field, false, false);
	word = find_page(page);
	if (word[PAGE_INIT] == PAGE_INITIALISED && (word[PAGE_FLAGS] & is_self))
		return page_lru(page);
	return word[field];
}

static void write_list_word(struct page *page, enum page_word field, unsigned long is_self,
			    unsigned long value)
{
	struct edit edit;

	load_page(&edit, page, field);
	edit.word[PAGE_FLAGS] &= ~is_self;
	edit.word[field] = value;
	store_page(&edit);
}

unsigned long page_pgmap_word(const struct page *page)
{
	return read_list_word(page, PAGE_PGMAP, PAGE_PGMAP_IS_SELF);
}

unsigned long page_hmm_data(const struct page *page)
{
	return read_list_word(page, PAGE_HMM_DATA, PAGE_HMM_DATA_IS_SELF);
}

void set_page_hmm_data(struct page *page, unsigned long data)
{
	write_list_word(page, PAGE_HMM_DATA, PAGE_HMM_DATA_IS_SELF, data);
}

void set_page_pgmap(struct page *page, struct dev_pagemap *pgmap)
{
	write_list_word(page, PAGE_PGMAP, PAGE_PGMAP_IS_SELF, (unsigned long)pgmap);
}

struct dev_pagemap *page_pgmap(const struct page *page)
{
	const unsigned long *word;

	page_access(page_to_pfn(page), 1, PAGE_PGMAP, false, false);
	word = find_page(page);
	return is_claimed(word) ? (struct dev_pagemap *)word[PAGE_PGMAP] :
				  &this_memmap()->no_pagemap;
}

unsigned long page_mapping(const struct page *page)
{
	return read_page(page, PAGE_MAPPING);
}

void set_page_mapping(struct page *page, unsigned long mapping)
{
	struct edit edit;

	load_page(&edit, page, PAGE_MAPPING);
	edit.word[PAGE_MAPPING] = mapping;
	store_page(&edit);
}

bool page_is_poisoned(const struct page *page)
{
	const struct run *run = run_map_find(page_runs(), page_to_pfn(page));

	return run && run->word[PAGE_INIT] == PAGE_NEVER_INITIALISED;
}

/* ---- the host's side ---- */

void memmap_init(struct memmap *mm)
{
	mm->reported = ~0UL;
	mm->open_pfn = NO_PAGE_OPEN;
	/* Every count that changes is here: not worth a mark each time. */
	machine_hot(this_machine(), mm->open, sizeof(mm->open));
	mm->no_ref.count.counter = 1L << 62;
	mm->no_ref.percpu_count_ptr = __PERCPU_REF_ATOMIC;
	mm->no_pagemap.ref = &mm->no_ref;
}

unsigned long memmap_held_ghosts(const struct memmap *mm, unsigned long *pfn)
{
	unsigned long held = 0;

	for (unsigned long i = 0; i < mm->ghosts.nr; i++) {
		const struct run *run = &mm->ghosts.runs[i];

		if (count_of(run->word) <= 0)
			continue;
		if (!held)
			*pfn = run->start;
		held += run->n;
	}
	return held;
}

void memmap_maps(struct memmap *mm, struct run_map *maps[MEMMAP_NR_MAPS])
{
	memmap_close_page(mm);
	maps[0] = &mm->pages;
	maps[1] = &mm->sections;
	maps[2] = &mm->section_roots;
	maps[3] = &mm->linear;
	maps[4] = &mm->shadow;
	maps[5] = &mm->ghosts;
}
