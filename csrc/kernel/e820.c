// SPDX-License-Identifier: GPL-2.0-only
/*
 * The firmware's memory map.  Its ranges come into the resource tree from outside.
 *
 * The map outlives boot: addresses that the firmware uses are never handed
 * out by allocate_resource(), whatever the tree says.
 */

#include <linux/e820.h>
#include <linux/errno.h>
#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/kernel_data.h>

#define e820_table (kernel_data()->e820.e820_table)

#define BIOS_ROM_BASE 0xffe00000ULL
#define BIOS_ROM_END 0xffffffffULL

/**
 * e820__range_add() - add a range to the firmware's map
 * @start: first address
 * @size: size
 * @type: what the firmware says it is
 *
 * Context: boot.  Return: 0, or -ENOMEM if the table is full.
 */
int __init e820__range_add(u64 start, u64 size, enum e820_type type)
{
	struct e820_entry *entry;

	if (e820_table.nr_entries == E820_MAX_ENTRIES)
		return -ENOMEM;
	entry = &e820_table.entries[e820_table.nr_entries++];
	entry->addr = start;
	entry->size = size;
	entry->type = type;
	return 0;
}

/* Takes [start, end] out of @avail, keeping the larger part of the rest. */
static void resource_clip(struct resource *avail, resource_size_t start, resource_size_t end)
{
	resource_size_t below, above;

	if (avail->end < start || avail->start > end)
		return;
	below = avail->start < start ? start - avail->start : 0;
	above = avail->end > end ? avail->end - end : 0;
	if (below > above)
		avail->end = start - 1;
	else
		avail->start = end + 1;
}

/**
 * arch_remove_reservations() - cut what the firmware uses off a free range
 * @avail: memory range about to be handed out; may come back empty
 *
 * The first megabyte is not excluded as such, ISA devices need it.
 *
 * Context: under resource_lock.
 *
 * mirrors arch/x86/kernel/resource.c:arch_remove_reservations, v4.19
 */
void arch_remove_reservations(struct resource *avail)
{
	unsigned int i;

	if (!(avail->flags & IORESOURCE_MEM))
		return;
	resource_clip(avail, BIOS_ROM_BASE, BIOS_ROM_END);
	for (i = 0; i < e820_table.nr_entries; i++)
		resource_clip(avail, e820_table.entries[i].addr,
			      e820_table.entries[i].addr + e820_table.entries[i].size - 1);
}
