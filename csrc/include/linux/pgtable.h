/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_PGTABLE_H
#define _LINUX_PGTABLE_H

#include <linux/list.h>
#include <linux/types.h>

struct vm_area_struct;

typedef struct {
	unsigned long pmd;
} pmd_t;

/* ---- the direct map of all physical memory ---- */

/* x86-64 with 4-level tables and without address randomisation. */
#define PAGE_OFFSET 0xffff880000000000UL
#define __va(x) ((void *)((unsigned long)(x) + PAGE_OFFSET))
#define __pa(x) ((unsigned long)(x)-PAGE_OFFSET)

/* Kernel page tables are kept by range. Mapping what is mapped is allowed. */
void set_linear_mapping(unsigned long start_pfn, unsigned long nr_pages);
void clear_linear_mapping(unsigned long start_pfn, unsigned long nr_pages);
bool linear_mapping_present(unsigned long pfn);

/* The zero shadow of @nr_pages pages from @start_pfn on. */
void set_zero_shadow(unsigned long start_pfn, unsigned long nr_pages);
void clear_zero_shadow(unsigned long start_pfn, unsigned long nr_pages);
bool zero_shadow_present(unsigned long pfn);

/* ---- memory types, arch/x86/mm/pat.c ---- */

enum page_cache_mode {
	_PAGE_CACHE_MODE_WB = 0,
	_PAGE_CACHE_MODE_WC = 1,
	_PAGE_CACHE_MODE_UC_MINUS = 2,
	_PAGE_CACHE_MODE_UC = 3,
	_PAGE_CACHE_MODE_WT = 4,
	_PAGE_CACHE_MODE_WP = 5,
};

typedef struct {
	enum page_cache_mode pgprot;
} pgprot_t;

#define PAGE_KERNEL ((pgprot_t){ _PAGE_CACHE_MODE_WB })

/**
 * struct memtype - how a physical range is cached
 * @start: first address
 * @end: first address behind it
 * @type: enum page_cache_mode
 * @list: link in memtypes, ascending @start, older first
 */
struct memtype {
	u64 start;
	u64 end;
	enum page_cache_mode type;
	struct list_head list;
};

bool pat_enabled(void);
int reserve_memtype(u64 start, u64 end, enum page_cache_mode req_type,
		    enum page_cache_mode *new_type);
int free_memtype(u64 start, u64 end);
bool is_new_memtype_allowed(enum page_cache_mode pcm, enum page_cache_mode new_pcm);
int track_pfn_remap(struct vm_area_struct *vma, pgprot_t *prot, unsigned long pfn,
		    unsigned long addr, unsigned long size);
void untrack_pfn(struct vm_area_struct *vma, unsigned long pfn, unsigned long size);
void pat_init(void);

#endif
