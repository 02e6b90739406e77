// SPDX-License-Identifier: GPL-2.0-only
/* Operations on resource trees, and what firmware and boot code put into them. */
#include <linux/percpu-refcount.h>

#include "ops.h"

#include <linux/e820.h>
#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/memory_hotplug.h>
#include <linux/slab.h>
#include <linux/string.h>

static int64_t op_root(const int64_t *args)
{
	return object_or_new('E', args[0] ? &ioport_resource : &iomem_resource, NULL);
}

static int64_t op_new(const int64_t *args)
{
	struct resource *res = kzalloc(sizeof(*res), GFP_KERNEL);

	if (!res)
		return 0;
	res->start = (resource_size_t)args[0];
	res->end = (resource_size_t)args[1];
	res->name = args[2] ? STRING(2) : NULL;
	res->flags = (unsigned long)args[3];
	res->desc = (unsigned long)args[4];
	return object_new('E', res, res);
}

static int64_t op_free(const int64_t *args)
{
	struct resource *res = ARG(struct resource, 0);

	if (res == &iomem_resource || res == &ioport_resource)
		return bad_argument("a root is not freed");
	kfree(res);
	return 0;
}

static const struct resource *top_of(const struct resource *res)
{
	while (res->parent)
		res = res->parent;
	return res;
}

/*
 * Linking a resource into a tree at a second place, or into itself, makes a
 * ring that a real kernel would walk for ever.  Twice below the same parent
 * is told from it: the resource then conflicts with itself.
 */
bool resource_can_be_linked(const struct resource *root, const struct resource *new)
{
	const struct resource *up;

	if (new->parent &&new->parent != root && top_of(new) == top_of(root)) {
		bad_argument("the resource is in this tree already");
		return false;
	}
	for (up = root; up; up = up->parent)
		if (up == new) {
			bad_argument("a resource cannot lie within itself");
			return false;
		}
	return true;
}

#define LINKABLE(args) resource_can_be_linked(ARG(struct resource, 0), ARG(struct resource, 1))

static int64_t op_request(const int64_t *args)
{
	if (!LINKABLE(args))
		return 0;
	return request_resource(ARG(struct resource, 0), ARG(struct resource, 1));
}

static int64_t op_request_conflict(const int64_t *args)
{
	struct resource *conflict;

	if (!LINKABLE(args))
		return 0;
	conflict = request_resource_conflict(ARG(struct resource, 0), ARG(struct resource, 1));
	return object_or_new('E', conflict, conflict);
}

static int64_t op_insert(const int64_t *args)
{
	if (!LINKABLE(args))
		return 0;
	return insert_resource(ARG(struct resource, 0), ARG(struct resource, 1));
}

static int64_t op_insert_expand(const int64_t *args)
{
	if (!LINKABLE(args))
		return 0;
	insert_resource_expand_to_fit(ARG(struct resource, 0), ARG(struct resource, 1));
	return 0;
}

static int64_t op_release(const int64_t *args)
{
	if (!ARG(struct resource, 0)->parent)
		return bad_argument("not in a tree");
	return release_resource(ARG(struct resource, 0));
}

static int64_t op_remove(const int64_t *args)
{
	if (!ARG(struct resource, 0)->parent)
		return bad_argument("not in a tree");
	return remove_resource(ARG(struct resource, 0));
}

static int64_t op_adjust(const int64_t *args)
{
	return adjust_resource(ARG(struct resource, 0), (resource_size_t)args[1],
			       (resource_size_t)args[2]);
}

static int64_t op_lookup(const int64_t *args)
{
	struct resource *res = lookup_resource(ARG(struct resource, 0), (resource_size_t)args[1]);

	return object_or_new('E', res, res);
}

static int64_t op_allocate(const int64_t *args)
{
	if (args[5] <= 0 || (args[5] & (args[5] - 1)))
		return bad_argument("alignment must be a power of two");
	if (!LINKABLE(args))
		return 0;
	return allocate_resource(ARG(struct resource, 0), ARG(struct resource, 1),
				 (resource_size_t)args[2], (resource_size_t)args[3],
				 (resource_size_t)args[4], (resource_size_t)args[5], NULL, NULL);
}

static int64_t op_request_region(const int64_t *args)
{
	struct resource *res = __request_region(ARG(struct resource, 0), (resource_size_t)args[1],
						(resource_size_t)args[2],
						args[3] ? STRING(3) : NULL, (unsigned long)args[4]);

	return object_or_new('E', res, res);
}

static int64_t op_release_region(const int64_t *args)
{
	__release_region(ARG(struct resource, 0), (resource_size_t)args[1],
			 (resource_size_t)args[2]);
	return 0;
}

static int64_t op_release_adjustable(const int64_t *args)
{
	return release_mem_region_adjustable(ARG(struct resource, 0), (resource_size_t)args[1],
					     (resource_size_t)args[2]);
}

static int64_t op_intersects(const int64_t *args)
{
	return region_intersects((resource_size_t)args[0], (size_t)args[1], (unsigned long)args[2],
				 (unsigned long)args[3]);
}

static int walk_to_host(struct resource *res, void *arg)
{
	/* The copy lives as long as the call: the host looks at it by these two. */
	struct machine_state *s = this_machine()->s;

	s->walk = *res;
	return (int)upcall(*(int64_t *)arg, (int64_t)res->start, (int64_t)res->end);
}

static int64_t op_walk_desc(const int64_t *args)
{
	int64_t callback = args[4];

	/* A one-byte range is a BUG, as it is on the kernel. */
	return walk_iomem_res_desc((unsigned long)args[0], (unsigned long)args[1], (u64)args[2],
				   (u64)args[3], &callback, walk_to_host);
}

static int64_t op_walk_system_ram(const int64_t *args)
{
	int64_t callback = args[2];

	return walk_system_ram_res((u64)args[0], (u64)args[1], &callback, walk_to_host);
}

static int64_t op_walk_mem(const int64_t *args)
{
	int64_t callback = args[2];

	return walk_mem_res((u64)args[0], (u64)args[1], &callback, walk_to_host);
}

static int range_to_host(unsigned long pfn, unsigned long n, void *arg)
{
	return (int)upcall(*(int64_t *)arg, (int64_t)pfn, (int64_t)n);
}

static int64_t op_walk_range(const int64_t *args)
{
	int64_t callback = args[2];

	return walk_system_ram_range((unsigned long)args[0], (unsigned long)args[1], &callback,
				     range_to_host);
}

static int64_t op_walk_flags(const int64_t *args)
{
	(void)args;
	return (int64_t)this_machine()->s->walk.flags;
}

static int64_t op_walk_desc_of(const int64_t *args)
{
	(void)args;
	return (int64_t)this_machine()->s->walk.desc;
}

static int64_t op_page_is_ram(const int64_t *args)
{
	return page_is_ram((unsigned long)args[0]);
}

static int64_t op_sanity_check(const int64_t *args)
{
	return iomem_map_sanity_check((resource_size_t)args[0], (unsigned long)args[1]);
}

#define FIELD(name, expression)                                 \
	static int64_t op_##name(const int64_t *args)           \
	{                                                       \
		struct resource *res = ARG(struct resource, 0); \
		return (int64_t)(expression);                   \
	}

FIELD(start, res->start)
FIELD(end, res->end)
FIELD(flags, res->flags)
FIELD(desc, res->desc)
FIELD(parent, object_or_new('E', res->parent, NULL))
FIELD(child, object_or_new('E', res->child, NULL))
FIELD(sibling, object_or_new('E', res->sibling, NULL))

static int64_t op_set_desc(const int64_t *args)
{
	ARG(struct resource, 0)->desc = (unsigned long)args[1];
	return 0;
}

/**
 * struct boot_name - how boot code marks a range of this name
 */
struct boot_name {
	const char *name;
	unsigned long flags;
	unsigned long desc;
};

static const struct boot_name boot_names[] = {
	{ "System RAM", IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY, IORES_DESC_NONE },
	{ "Kernel code", IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY, IORES_DESC_NONE },
	{ "Kernel data", IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY, IORES_DESC_NONE },
	{ "Kernel rodata", IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY, IORES_DESC_NONE },
	{ "Kernel bss", IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY, IORES_DESC_NONE },
	{ "Crash kernel", IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY, IORES_DESC_CRASH_KERNEL },
	{ "ACPI Tables", IORESOURCE_MEM | IORESOURCE_BUSY, IORES_DESC_ACPI_TABLES },
	{ "ACPI Non-volatile Storage", IORESOURCE_MEM | IORESOURCE_BUSY,
	  IORES_DESC_ACPI_NV_STORAGE },
	{ "Unusable memory", IORESOURCE_MEM | IORESOURCE_BUSY, IORES_DESC_NONE },
	{ "Persistent Memory", IORESOURCE_MEM, IORES_DESC_PERSISTENT_MEMORY },
	{ "Persistent Memory (legacy)", IORESOURCE_MEM, IORES_DESC_PERSISTENT_MEMORY_LEGACY },
	{ "Reserved", IORESOURCE_MEM, IORES_DESC_NONE },
	{ "reserved", IORESOURCE_MEM, IORES_DESC_NONE },
};

static enum e820_type e820_type_of(const char *name)
{
	if (!strcmp(name, "System RAM"))
		return E820_TYPE_RAM;
	if (!strcmp(name, "ACPI Tables"))
		return E820_TYPE_ACPI;
	if (!strcmp(name, "ACPI Non-volatile Storage"))
		return E820_TYPE_NVS;
	if (!strcmp(name, "Unusable memory"))
		return E820_TYPE_UNUSABLE;
	if (!strcmp(name, "Persistent Memory"))
		return E820_TYPE_PMEM;
	if (!strcmp(name, "Persistent Memory (legacy)"))
		return E820_TYPE_PRAM;
	return E820_TYPE_RESERVED;
}

static bool from_firmware(const char *name)
{
	return e820_type_of(name) != E820_TYPE_RESERVED || !strcmp(name, "Reserved") ||
	       !strcmp(name, "reserved");
}

static bool starts_with(const char *s, const char *prefix)
{
	return !kernel_strncmp(s, prefix, strlen(prefix));
}

/* One line of a memory map: what the firmware or a bus driver would have inserted. */
static int64_t op_boot_resource(const int64_t *args)
{
	struct resource *parent = ARG(struct resource, 0);
	const char *name = args[3] ? STRING(3) : "";
	unsigned int shift = kernel_data()->config.page_shift;
	struct resource *res;
	bool named = false;
	size_t i;
	int error;

	res = kzalloc(sizeof(*res), GFP_KERNEL);
	if (!res)
		return -ENOMEM;
	res->start = (resource_size_t)args[1];
	res->end = (resource_size_t)args[2];
	res->name = name;
	res->flags = IORESOURCE_MEM | IORESOURCE_BUSY;
	if (starts_with(name, "PCI Bus"))
		res->flags = IORESOURCE_MEM | IORESOURCE_WINDOW;
	else if (starts_with(name, "HPET") || starts_with(name, "PNP") ||
		 (name[0] >= '0' && name[0] <= '9'))
		res->flags = IORESOURCE_MEM; /* a device's own range: its driver may request it */
	for (i = 0; i < ARRAY_SIZE(boot_names); i++)
		if (!strcmp(boot_names[i].name, name)) {
			named = true;
			res->flags = boot_names[i].flags;
			res->desc = boot_names[i].desc;
			/* Whatever lies below 1 MiB is the firmware's and busy. */
			if (e820_type_of(name) == E820_TYPE_RESERVED &&
			    res->flags == IORESOURCE_MEM && res->start < (1UL << 20))
				res->flags |= IORESOURCE_BUSY;
		}
	if (args[4])
		res->flags = (unsigned long)args[4];
	/* Claimed by a driver in what is there for drivers, see __request_region(). */
	if (!named && (res->flags & IORESOURCE_BUSY) && !(parent->flags & IORESOURCE_BUSY))
		res->desc = parent->desc;
	error = request_resource(parent, res);
	if (error) {
		kfree(res);
		return error;
	}
	if (parent == &iomem_resource && from_firmware(name))
		e820__range_add(res->start, resource_size(res), e820_type_of(name));
	if ((res->flags & IORESOURCE_SYSTEM_RAM) == IORESOURCE_SYSTEM_RAM &&
	    parent == &iomem_resource) {
		unsigned long first = (unsigned long)(res->start >> shift);
		unsigned long last = (unsigned long)(res->end >> shift);

		register_boot_memory(first, last - first + 1, 0);
	}
	return object_new('E', res, res);
}

static const struct op ops[] = {
	OP("resource_root", "i", "E", op_root),
	OP("resource_new", "iisii", "E", op_new),
	OP("resource_free", "E", "v", op_free),
	OP("boot_resource", "Eiisi", "E", op_boot_resource),
	OP("request_resource", "EE", "e", op_request),
	OP("request_resource_conflict", "EE", "E", op_request_conflict),
	OP("insert_resource", "EE", "e", op_insert),
	OP("insert_resource_expand_to_fit", "EE", "v", op_insert_expand),
	OP("release_resource", "E", "e", op_release),
	OP("remove_resource", "E", "e", op_remove),
	OP("adjust_resource", "Eii", "e", op_adjust),
	OP("lookup_resource", "Ei", "E", op_lookup),
	OP("allocate_resource", "EEiiii", "e", op_allocate),
	OP("request_region", "Eiisi", "E", op_request_region),
	OP("release_region", "Eii", "v", op_release_region),
	OP("release_mem_region_adjustable", "Eii", "e", op_release_adjustable),
	OP("region_intersects", "iiii", "u", op_intersects),
	OP("walk_iomem_res_desc", "iiiix", "u", op_walk_desc),
	OP("walk_system_ram_res", "iix", "u", op_walk_system_ram),
	OP("walk_mem_res", "iix", "u", op_walk_mem),
	OP("walk_system_ram_range", "iix", "u", op_walk_range),
	OP("walk_flags", "", "u", op_walk_flags),
	OP("walk_desc", "", "u", op_walk_desc_of),
	OP("page_is_ram", "i", "b", op_page_is_ram),
	OP("iomem_map_sanity_check", "ii", "u", op_sanity_check),
	OP("resource_start", "E", "u", op_start),
	OP("resource_end", "E", "u", op_end),
	OP("resource_flags", "E", "u", op_flags),
	OP("resource_desc", "E", "u", op_desc),
	OP("resource_parent", "E", "E", op_parent),
	OP("resource_child", "E", "E", op_child),
	OP("resource_sibling", "E", "E", op_sibling),
	OP("resource_set_desc", "Ei", "v", op_set_desc),
};
OP_TABLE(ops_resource, ops);
