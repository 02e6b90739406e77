/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_IOPORT_H
#define _LINUX_IOPORT_H

#include <linux/types.h>

struct device;

/**
 * struct resource - an address range and who holds it
 * @start: first address
 * @end: last address (inclusive)
 * @name: holder; not copied, must outlive the resource
 * @flags: IORESOURCE_*
 * @desc: IORES_DESC_*
 * @parent: resource that contains this one; NULL for a root and while unlinked
 * @sibling: next child of @parent, at higher addresses
 * @child: first child
 *
 * The children of a resource are disjoint, lie inside it and are linked in
 * ascending order.  All links are protected by resource_lock.
 */
struct resource {
	resource_size_t start;
	resource_size_t end;
	const char *name;
	unsigned long flags;
	unsigned long desc;
	struct resource *parent, *sibling, *child;
};

/* Kind of resource. */
#define IORESOURCE_BITS 0x000000ffUL
#define IORESOURCE_TYPE_BITS 0x00001f00UL
#define IORESOURCE_IO 0x00000100UL
#define IORESOURCE_MEM 0x00000200UL
#define IORESOURCE_REG 0x00000300UL
#define IORESOURCE_IRQ 0x00000400UL
#define IORESOURCE_DMA 0x00000800UL
#define IORESOURCE_BUS 0x00001000UL

/* Properties. */
#define IORESOURCE_PREFETCH 0x00002000UL
#define IORESOURCE_READONLY 0x00004000UL
#define IORESOURCE_CACHEABLE 0x00008000UL
#define IORESOURCE_RANGELENGTH 0x00010000UL
#define IORESOURCE_SHADOWABLE 0x00020000UL
#define IORESOURCE_SIZEALIGN 0x00040000UL
#define IORESOURCE_STARTALIGN 0x00080000UL
#define IORESOURCE_MEM_64 0x00100000UL
#define IORESOURCE_WINDOW 0x00200000UL
#define IORESOURCE_MUXED 0x00400000UL

#define IORESOURCE_EXT_TYPE_BITS 0x01000000UL
#define IORESOURCE_SYSRAM 0x01000000UL

#define IORESOURCE_EXCLUSIVE 0x08000000UL
#define IORESOURCE_DISABLED 0x10000000UL
#define IORESOURCE_UNSET 0x20000000UL
#define IORESOURCE_AUTO 0x40000000UL
#define IORESOURCE_BUSY 0x80000000UL

#define IORESOURCE_SYSTEM_RAM (IORESOURCE_MEM | IORESOURCE_SYSRAM)

/* What an iomem resource is used for. */
enum {
	IORES_DESC_NONE = 0,
	IORES_DESC_CRASH_KERNEL = 1,
	IORES_DESC_ACPI_TABLES = 2,
	IORES_DESC_ACPI_NV_STORAGE = 3,
	IORES_DESC_PERSISTENT_MEMORY = 4,
	IORES_DESC_PERSISTENT_MEMORY_LEGACY = 5,
	IORES_DESC_DEVICE_PRIVATE_MEMORY = 6,
	IORES_DESC_DEVICE_PUBLIC_MEMORY = 7,
};

/* Results of region_intersects(). */
enum {
	REGION_INTERSECTS,
	REGION_DISJOINT,
	REGION_MIXED,
};

/*
 * The roots of all resources.  Whoever names them includes
 * <linux/kernel_data.h>, which this header must not do.
 */
#define iomem_resource (kernel_data()->resource.iomem)
#define ioport_resource (kernel_data()->resource.ioport)

static inline resource_size_t resource_size(const struct resource *res)
{
	return res->end - res->start + 1;
}

static inline unsigned long resource_type(const struct resource *res)
{
	return res->flags & IORESOURCE_TYPE_BITS;
}

static inline unsigned long resource_ext_type(const struct resource *res)
{
	return res->flags & IORESOURCE_EXT_TYPE_BITS;
}

/* Does @outer cover @inner, both of one type and with an address? */
static inline bool resource_contains(const struct resource *outer, const struct resource *inner)
{
	return resource_type(outer) == resource_type(inner) &&
	       !((outer->flags | inner->flags) & IORESOURCE_UNSET) &&
	       outer->start <= inner->start && outer->end >= inner->end;
}

/* kernel/resource.c */
void resource_init(void);

int request_resource(struct resource *root, struct resource *new);
struct resource *request_resource_conflict(struct resource *root, struct resource *new);
int release_resource(struct resource *old);
int remove_resource(struct resource *old);
int insert_resource(struct resource *parent, struct resource *new);
struct resource *insert_resource_conflict(struct resource *parent, struct resource *new);
void insert_resource_expand_to_fit(struct resource *root, struct resource *new);
int adjust_resource(struct resource *res, resource_size_t start, resource_size_t size);
struct resource *lookup_resource(struct resource *root, resource_size_t start);

/* Under resource_lock; for the files kernel/resource*.c only. */
struct resource *__request_resource(struct resource *root, struct resource *new);
int __release_resource(struct resource *old, bool release_child);
int __adjust_resource(struct resource *res, resource_size_t start, resource_size_t size);

/* kernel/resource_alloc.c */
typedef resource_size_t (*resource_alignf_t)(void *data, const struct resource *avail,
					     resource_size_t size, resource_size_t align);
int allocate_resource(struct resource *root, struct resource *new, resource_size_t size,
		      resource_size_t min, resource_size_t max, resource_size_t align,
		      resource_alignf_t alignf, void *alignf_data);

/* kernel/resource_region.c */
struct resource *__request_region(struct resource *parent, resource_size_t start, resource_size_t n,
				  const char *name, unsigned long flags);
void __release_region(struct resource *parent, resource_size_t start, resource_size_t n);
int release_mem_region_adjustable(struct resource *parent, resource_size_t start,
				  resource_size_t size);

#define request_region(start, n, name) __request_region(&ioport_resource, (start), (n), (name), 0)
#define request_muxed_region(start, n, name) \
	__request_region(&ioport_resource, (start), (n), (name), IORESOURCE_MUXED)
#define release_region(start, n) __release_region(&ioport_resource, (start), (n))
#define request_mem_region(start, n, name) \
	__request_region(&iomem_resource, (start), (n), (name), 0)
#define request_mem_region_exclusive(start, n, name) \
	__request_region(&iomem_resource, (start), (n), (name), IORESOURCE_EXCLUSIVE)
#define release_mem_region(start, n) __release_region(&iomem_resource, (start), (n))

int devm_request_resource(struct device *dev, struct resource *root, struct resource *new);
void devm_release_resource(struct device *dev, struct resource *new);
struct resource *__devm_request_region(struct device *dev, struct resource *parent,
				       resource_size_t start, resource_size_t n, const char *name);
void __devm_release_region(struct device *dev, struct resource *parent, resource_size_t start,
			   resource_size_t n);

#define devm_request_region(dev, start, n, name) \
	__devm_request_region(dev, &ioport_resource, (start), (n), (name))
#define devm_release_region(dev, start, n) \
	__devm_release_region(dev, &ioport_resource, (start), (n))
#define devm_request_mem_region(dev, start, n, name) \
	__devm_request_region(dev, &iomem_resource, (start), (n), (name))
#define devm_release_mem_region(dev, start, n) \
	__devm_release_region(dev, &iomem_resource, (start), (n))

/* kernel/resource_walk.c */
int region_intersects(resource_size_t start, size_t size, unsigned long flags, unsigned long desc);
int walk_iomem_res_desc(unsigned long desc, unsigned long flags, u64 start, u64 end, void *arg,
			int (*func)(struct resource *, void *));
int walk_system_ram_res(u64 start, u64 end, void *arg, int (*func)(struct resource *, void *));
int walk_mem_res(u64 start, u64 end, void *arg, int (*func)(struct resource *, void *));
int walk_system_ram_range(unsigned long start_pfn, unsigned long nr_pages, void *arg,
			  int (*func)(unsigned long, unsigned long, void *));
int page_is_ram(unsigned long pfn);
int iomem_map_sanity_check(resource_size_t addr, unsigned long size);

/* kernel/resource_proc.c */
size_t resource_proc_show(struct resource *root, bool privileged, char *buf, size_t size);

#endif
