// SPDX-License-Identifier: GPL-2.0-only
/*
 * The firmware's memory map and what becomes of it in the resource tree.
 *
 * The map outlives boot: addresses that the firmware uses are never handed
 * out by allocate_resource(), whatever the tree says.
 */

#include <linux/e820.h>
#include <linux/errno.h>
#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/kernel_data.h>
#include <linux/slab.h>

#define e820_table (kernel_data()->e820.e820_table)
#define e820_res (kernel_data()->e820.e820_res)

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

static const char *__init e820_type_to_string(enum e820_type type)
{
	switch (type) {
	case E820_TYPE_RAM:
		return "System RAM";
	case E820_TYPE_ACPI:
		return "ACPI Tables";
	case E820_TYPE_NVS:
		return "ACPI Non-volatile Storage";
	case E820_TYPE_UNUSABLE:
		return "Unusable memory";
	case E820_TYPE_PMEM:
		return "Persistent Memory";
	case E820_TYPE_PRAM:
		return "Persistent Memory (legacy)";
	case E820_TYPE_RESERVED:
		break;
	}
	return "Reserved";
}

static unsigned long __init e820_type_to_iores_desc(enum e820_type type)
{
	switch (type) {
	case E820_TYPE_ACPI:
		return IORES_DESC_ACPI_TABLES;
	case E820_TYPE_NVS:
		return IORES_DESC_ACPI_NV_STORAGE;
	case E820_TYPE_PMEM:
		return IORES_DESC_PERSISTENT_MEMORY;
	case E820_TYPE_PRAM:
		return IORES_DESC_PERSISTENT_MEMORY_LEGACY;
	case E820_TYPE_RAM:
	case E820_TYPE_RESERVED:
	case E820_TYPE_UNUSABLE:
		break;
	}
	return IORES_DESC_NONE;
}

/*
 * Persistent memory is left to the driver that will claim it, and reserved
 * ranges to the devices that often turn out to live there.
 */
static bool __init do_mark_busy(enum e820_type type, const struct resource *res)
{
	if (res->start < 1ULL << 20)
		return true;
	return type != E820_TYPE_RESERVED && type != E820_TYPE_PMEM && type != E820_TYPE_PRAM;
}

/**
 * e820__reserve_resources() - put the firmware's map into the resource tree
 *
 * Ranges that are not busy wait for e820__reserve_resources_late(), so that
 * devices found in between get in first.
 *
 * Context: boot.  Return: 0 or -ENOMEM.
 *
 * mirrors arch/x86/kernel/e820.c:e820__reserve_resources, v4.19
 */
int __init e820__reserve_resources(void)
{
	unsigned int i;

	e820_res = kcalloc(e820_table.nr_entries, sizeof(*e820_res), GFP_KERNEL);
	if (!e820_res)
		return -ENOMEM;

	for (i = 0; i < e820_table.nr_entries; i++) {
		const struct e820_entry *entry = &e820_table.entries[i];
		struct resource *res = &e820_res[i];

		res->start = entry->addr;
		res->end = entry->addr + entry->size - 1;
		res->name = e820_type_to_string(entry->type);
		res->flags = entry->type == E820_TYPE_RAM ? IORESOURCE_SYSTEM_RAM : IORESOURCE_MEM;
		res->desc = e820_type_to_iores_desc(entry->type);
		if (do_mark_busy(entry->type, res)) {
			res->flags |= IORESOURCE_BUSY;
			insert_resource(&iomem_resource, res);
		}
	}
	return 0;
}

/**
 * e820__reserve_resources_late() - put the rest of the map into the tree
 *
 * Context: boot.
 *
 * mirrors arch/x86/kernel/e820.c:e820__reserve_resources_late, v4.19
 */
void __init e820__reserve_resources_late(void)
{
	unsigned int i;

	for (i = 0; i < e820_table.nr_entries; i++)
		if (!e820_res[i].parent && e820_res[i].end)
			insert_resource_expand_to_fit(&iomem_resource, &e820_res[i]);
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
