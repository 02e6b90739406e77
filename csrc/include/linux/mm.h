/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_MM_H
#define _LINUX_MM_H

#include <linux/kernel.h>
#include <linux/kernel_data.h>
#include <linux/memremap.h>
#include <linux/mmdebug.h>
#include <linux/mmzone.h>
#include <linux/pgtable.h>
#include <linux/types.h>

#define PFN_UP(x) ((unsigned long)(((x) + PAGE_SIZE - 1) >> PAGE_SHIFT))
#define PFN_DOWN(x) ((unsigned long)((x) >> PAGE_SHIFT))
#define PFN_PHYS(x) ((phys_addr_t)(x) << PAGE_SHIFT)
#define PHYS_PFN(x) ((unsigned long)((x) >> PAGE_SHIFT))

/* Results of a page fault. */
#define VM_FAULT_OOM 0x0001
#define VM_FAULT_SIGBUS 0x0002
#define VM_FAULT_MAJOR 0x0004
#define VM_FAULT_RETRY 0x0400

typedef struct {
	unsigned long val;
} swp_entry_t;

void mm_init(void);

/*
 * struct page has a place in the address space but no layout: a terabyte of
 * device memory whose pages are all alike is one record, not 2^28 of them.
 * So nobody dereferences a struct page; its fields are reached by functions.
 * An address names the page as long as the section of its pfn is there.
 */
struct page;

#define VMEMMAP_START 0xffffea0000000000UL
#define STRUCT_PAGE_SIZE 64UL

static inline struct page *pfn_to_page(unsigned long pfn)
{
	return (struct page *)(VMEMMAP_START + pfn * STRUCT_PAGE_SIZE);
}

static inline unsigned long page_to_pfn(const struct page *page)
{
	return ((unsigned long)page - VMEMMAP_START) / STRUCT_PAGE_SIZE;
}

/* ---- fields of one page ---- */

int page_count(const struct page *page);
int page_mapcount(const struct page *page);
void set_page_count(struct page *page, int count);
/* Atomic; the result is the new count. */
int page_ref_add_return(struct page *page, int nr);
/* Atomic; false, and nothing changed, if the count is 0. */
bool get_page_unless_zero(struct page *page);
/* What a waiter for the count to change waits on. */
void *page_refcount_var(struct page *page);

static inline int page_ref_count(const struct page *page)
{
	return page_count(page);
}

static inline void page_ref_add(struct page *page, int nr)
{
	(void)page_ref_add_return(page, nr);
}

static inline void page_ref_inc(struct page *page)
{
	page_ref_add(page, 1);
}

static inline int page_ref_dec_return(struct page *page)
{
	return page_ref_add_return(page, -1);
}

static inline bool page_ref_dec_and_test(struct page *page)
{
	return page_ref_dec_return(page) == 0;
}

enum pageflags {
	PG_locked,
	PG_active,
	PG_waiters,
	PG_reserved,
};

bool test_page_flag(const struct page *page, enum pageflags flag);
void change_page_flag(struct page *page, enum pageflags flag, bool on);

#define __PAGEFLAG(uname, lname)                                \
	static inline bool Page##uname(const struct page *page) \
	{                                                       \
		return test_page_flag(page, PG_##lname);        \
	}                                                       \
	static inline void SetPage##uname(struct page *page)    \
	{                                                       \
		change_page_flag(page, PG_##lname, true);       \
	}                                                       \
	static inline void ClearPage##uname(struct page *page)  \
	{                                                       \
		change_page_flag(page, PG_##lname, false);      \
	}

__PAGEFLAG(Locked, locked)
__PAGEFLAG(Active, active)
__PAGEFLAG(Waiters, waiters)
__PAGEFLAG(Reserved, reserved)

/*
 * Two words of a ZONE_DEVICE page share their place with the links of the
 * list that other pages are on.  page_pgmap_word() reads what is there: a
 * pagemap, the page's own list head, or poison.
 */
unsigned long page_pgmap_word(const struct page *page);
unsigned long page_hmm_data(const struct page *page);
void set_page_hmm_data(struct page *page, unsigned long data);
void set_page_pgmap(struct page *page, struct dev_pagemap *pgmap);
/**
 * page_pgmap() - the pagemap of a page, to be used as one
 *
 * Return: the pagemap.  For a page that none has claimed a pagemap that does
 * nothing, so that reading through it is as harmless as it happens to be with
 * a real memmap; giving up the last reference of such a page is reported.
 */
struct dev_pagemap *page_pgmap(const struct page *page);

unsigned long page_mapping(const struct page *page);
void set_page_mapping(struct page *page, unsigned long mapping);

enum zone_type page_zonenum(const struct page *page);
int page_to_nid(const struct page *page);

/* Has the page never been initialised? Not an access to the page. */
bool page_is_poisoned(const struct page *page);

static inline struct zone *page_zone(const struct page *page)
{
	struct pglist_data *pgdat = NODE_DATA(page_to_nid(page));

	return page_zonenum(page) >= ZONE_DEVICE ? &pgdat->zone_device : &pgdat->zone_normal;
}

/* ---- whole ranges of pages ---- */

/*
 * A loop that does the same to each page of a range takes one step for as
 * many pages as are alike and one for each that is not: a deliberate
 * difference, the only one between these and a loop over single pages.
 */

/* Makes [@start_pfn, +@nr_pages) fresh pages: count 1, on no list. */
void memmap_init_range(unsigned long start_pfn, unsigned long nr_pages, enum zone_type zone,
		       int nid, bool reserved);
/* Makes the pages all zeroes: holes between RAM ranges of one section. */
void memmap_zero_range(unsigned long start_pfn, unsigned long nr_pages);
/* The fresh pages belong to @pgmap, and their private word is 0. */
void memmap_own_range(unsigned long start_pfn, unsigned long nr_pages, struct dev_pagemap *pgmap);
/**
 * memmap_claim_range() - unlink pages from their list and give them to a pagemap
 *
 * Return: how many pages from @pfn on, at most up to @end, were handled.
 */
unsigned long memmap_claim_range(unsigned long pfn, unsigned long end, struct dev_pagemap *pgmap);
/** memmap_claim_linked_range() - the same, but the previous link still leads to the page itself */
unsigned long memmap_claim_linked_range(unsigned long pfn, unsigned long end,
					struct dev_pagemap *pgmap);
/**
 * memmap_put_idle_range() - drop the last reference of pages that nobody uses
 *
 * Handles the pages from @pfn on, at most up to @end, that belong to the same
 * pagemap as the first and have count 1: their count becomes 0.
 *
 * Return: how many; 0 if the page at @pfn is in use.
 */
unsigned long memmap_put_idle_range(unsigned long pfn, unsigned long end);
/* First and last pfn in [@start, @end) that is in the zone, or @end; any zone if negative. */
unsigned long memmap_first_in_zone(unsigned long start, unsigned long end, int nid, int zone);
unsigned long memmap_last_in_zone(unsigned long start, unsigned long end, int nid, int zone);

/* ---- references ---- */

static inline bool is_zone_device_page(const struct page *page)
{
	return kernel_data()->config.zone_device && page_zonenum(page) == ZONE_DEVICE;
}

static inline bool is_device_private_page(const struct page *page)
{
	return kernel_data()->config.dev_pagemap_ops && is_zone_device_page(page) &&
	       page_pgmap(page)->type == MEMORY_DEVICE_PRIVATE;
}

static inline bool is_device_public_page(const struct page *page)
{
	return kernel_data()->config.dev_pagemap_ops && is_zone_device_page(page) &&
	       page_pgmap(page)->type == MEMORY_DEVICE_PUBLIC;
}

struct page *alloc_page_vma(gfp_t gfp, struct vm_area_struct *vma, unsigned long addr);

static inline void lock_page(struct page *page)
{
	SetPageLocked(page);
}

static inline void unlock_page(struct page *page)
{
	ClearPageLocked(page);
}

void __put_devmap_managed_page(struct page *page);
void __put_page(struct page *page);

/*
 * Pages of some types tell their driver when they become idle, which is one
 * reference before the last.  The key keeps everybody else's put_page() free
 * of the question.
 */
static inline bool put_devmap_managed_page(struct page *page)
{
	if (!static_branch_unlikely(&kernel_data()->memremap.devmap_managed_key))
		return false;
	if (!is_zone_device_page(page))
		return false;
	switch (page_pgmap(page)->type) {
	case MEMORY_DEVICE_PRIVATE:
	case MEMORY_DEVICE_PUBLIC:
	case MEMORY_DEVICE_FS_DAX:
		__put_devmap_managed_page(page);
		return true;
	default:
		return false;
	}
}

/**
 * get_page() - take one more reference
 * @page: a page of which the caller already holds one
 *
 * Context: any.
 */
static inline void get_page(struct page *page)
{
	VM_BUG_ON_PAGE(page_ref_count(page) <= 0, page);
	page_ref_inc(page);
}

static inline bool put_page_testzero(struct page *page)
{
	VM_BUG_ON_PAGE(page_ref_count(page) == 0, page);
	return page_ref_dec_and_test(page);
}

/**
 * put_page() - drop a reference
 * @page: the page
 *
 * Context: any; runs the callbacks of device pages in the caller's.
 */
static inline void put_page(struct page *page)
{
	if (put_devmap_managed_page(page))
		return;
	if (put_page_testzero(page))
		__put_page(page);
}

#endif
