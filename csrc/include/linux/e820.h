/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_E820_H
#define _LINUX_E820_H

#include <linux/types.h>

struct resource;

/* Types of memory as the firmware reports them. */
enum e820_type {
	E820_TYPE_RAM = 1,
	E820_TYPE_RESERVED = 2,
	E820_TYPE_ACPI = 3,
	E820_TYPE_NVS = 4,
	E820_TYPE_UNUSABLE = 5,
	E820_TYPE_PMEM = 7,
	E820_TYPE_PRAM = 12,
};

struct e820_entry {
	u64 addr;
	u64 size;
	enum e820_type type;
};

#define E820_MAX_ENTRIES 64

/**
 * struct e820_table - the firmware's memory map
 * @nr_entries: entries in use
 * @entries: disjoint, ascending; memory that is hot-added never appears here
 */
struct e820_table {
	unsigned int nr_entries;
	struct e820_entry entries[E820_MAX_ENTRIES];
};

/* kernel/e820.c */
int e820__range_add(u64 start, u64 size, enum e820_type type);

/* Cuts what the firmware uses off a range about to be handed out. */
void arch_remove_reservations(struct resource *avail);

#endif
