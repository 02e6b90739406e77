// SPDX-License-Identifier: GPL-2.0-only
/* Constants of the emulated kernel, by their names in C. */
#include <linux/percpu-refcount.h>

#include "ops.h"

#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/patches.h>
#include <linux/radix-tree.h>

#undef strcmp
#include <string.h>

/*
 * One callback for each of the two patches that add one; here both always have
 * room, and so has the bus offset, which came with p2pdma and no patch here.
 */
static int64_t sizeof_dev_pagemap(void)
{
	size_t size = offsetof(struct dev_pagemap, pci_p2pdma_bus_offset);

	if (!patched(PATCH_SHUTDOWN))
		size -= sizeof(void *);
	if (!patched(PATCH_FINAL_PUT))
		size -= sizeof(void *);
	return (int64_t)size;
}

static int64_t op_constant(const int64_t *args)
{
	const char *name = STRING(0);
	const struct kernel_config *config = &kernel_data()->config;
	const struct {
		const char *name;
		int64_t value;
	} constants[] = {
#define CONSTANT(c) { #c, (int64_t)(c) }
		CONSTANT(PAGES_PER_SECTION),
		{ "SECTION_SIZE_BITS", config->section_size_bits },
		{ "MAX_PHYSMEM_BITS", config->max_physmem_bits },
		CONSTANT(PA_SECTION_SHIFT),
		CONSTANT(MEMORY_DEVICE_PRIVATE),
		CONSTANT(MEMORY_DEVICE_PUBLIC),
		CONSTANT(MEMORY_DEVICE_FS_DAX),
		CONSTANT(LIST_POISON1),
		CONSTANT(LIST_POISON2),
		CONSTANT(IORES_DESC_NONE),
		CONSTANT(IORES_DESC_CRASH_KERNEL),
		CONSTANT(IORES_DESC_ACPI_TABLES),
		CONSTANT(IORES_DESC_ACPI_NV_STORAGE),
		CONSTANT(IORES_DESC_PERSISTENT_MEMORY),
		CONSTANT(IORES_DESC_PERSISTENT_MEMORY_LEGACY),
		CONSTANT(IORES_DESC_DEVICE_PRIVATE_MEMORY),
		CONSTANT(IORES_DESC_DEVICE_PUBLIC_MEMORY),
		CONSTANT(REGION_INTERSECTS),
		CONSTANT(REGION_DISJOINT),
		CONSTANT(REGION_MIXED),
		CONSTANT(PERCPU_REF_INIT_ATOMIC),
		CONSTANT(PERCPU_REF_INIT_DEAD),
		CONSTANT(RADIX_TREE_MAP_SHIFT),
		{ "sizeof(struct page)", STRUCT_PAGE_SIZE },
		CONSTANT(sizeof(struct percpu_ref)),
		{ "sizeof(struct dev_pagemap)", sizeof_dev_pagemap() },
		CONSTANT(sizeof(struct vmem_altmap)),
		CONSTANT(sizeof(struct radix_tree_node)),
#undef CONSTANT
	};

	for (size_t i = 0; i < ARRAY_SIZE(constants); i++)
		if (!strcmp(constants[i].name, name))
			return constants[i].value;
	return bad_argument("no constant of this name is known");
}

static const struct op ops[] = {
	OP("constant", "s", "u", op_constant),
};
OP_TABLE(ops_constants, ops);
