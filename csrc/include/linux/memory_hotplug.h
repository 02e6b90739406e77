/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_MEMORY_HOTPLUG_H
#define _LINUX_MEMORY_HOTPLUG_H

#include <linux/mmzone.h>
#include <linux/types.h>

struct page;
struct vmem_altmap;

void memory_hotplug_init(void);

/*
 * Whoever changes the memory of the machine is alone (begin, done); whoever
 * only wants it to stay as it is shares (get, put).  Not recursive, sleep.
 */
void mem_hotplug_begin(void);
void mem_hotplug_done(void);
void get_online_mems(void);
void put_online_mems(void);

/* The page at @pfn if it is System RAM in use, NULL for device memory. */
struct page *pfn_to_online_page(unsigned long pfn);

/* Context of all of these: process, inside mem_hotplug_begin(), may sleep. */
int arch_add_memory(int nid, u64 start, u64 size, struct vmem_altmap *altmap, bool want_memblock);
int add_pages(int nid, unsigned long start_pfn, unsigned long nr_pages, struct vmem_altmap *altmap,
	      bool want_memblock);
int __add_pages(int nid, unsigned long phys_start_pfn, unsigned long nr_pages,
		struct vmem_altmap *altmap, bool want_memblock);
int arch_remove_memory(u64 start, u64 size, struct vmem_altmap *altmap);
int __remove_pages(struct zone *zone, unsigned long phys_start_pfn, unsigned long nr_pages,
		   struct vmem_altmap *altmap);
void move_pfn_range_to_zone(struct zone *zone, unsigned long start_pfn, unsigned long nr_pages,
			    struct vmem_altmap *altmap);

/* Zone and node span the range afterwards, too. */
void resize_zone_range(struct zone *zone, unsigned long start_pfn, unsigned long nr_pages);
void resize_pgdat_range(struct pglist_data *pgdat, unsigned long start_pfn, unsigned long nr_pages);

/* mm/page.c: the struct pages of a range become pages of @zone. */
void memmap_init_zone(unsigned long size, int nid, enum zone_type zone, unsigned long start_pfn,
		      struct vmem_altmap *altmap);

struct dev_pagemap;
void memmap_init_zone_device(struct zone *zone, unsigned long start_pfn, unsigned long nr_pages,
			     struct dev_pagemap *pgmap);

/* mm/sparse.c */
unsigned long sparse_add_sections(int nid, unsigned long nr, unsigned long n,
				  struct vmem_altmap *altmap);
void sparse_remove_sections(unsigned long nr, unsigned long n, struct vmem_altmap *altmap);

/**
 * register_boot_memory() - System RAM that the firmware reports
 * @start_pfn: first page
 * @nr_pages: how many
 * @nid: node
 *
 * Sections, memmap and linear mapping of RAM are made at boot and stay.
 */
void register_boot_memory(unsigned long start_pfn, unsigned long nr_pages, int nid);

#endif
