// SPDX-License-Identifier: GPL-2.0-only
/*
 * The resource tree: what lies in a range?
 *
 * The walkers hold resource_lock only while they look for the next hit, and
 * hand out a clipped copy of it, so a callback may sleep and change the tree.
 */

#include <linux/bug.h>
#include <linux/export.h>
#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/kernel_data.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/spinlock.h>

#define resource_lock (kernel_data()->resource.resource_lock)

/* The resource after @res in address order, parents before their children. */
static struct resource *next_resource(struct resource *res, bool sibling_only)
{
	if (sibling_only)
		return res->sibling;
	if (res->child)
		return res->child;
	while (!res->sibling && res->parent)
		res = res->parent;
	return res->sibling;
}

/**
 * region_intersects() - is there a kind of resource in a range?
 * @start: first address
 * @size: size
 * @flags: IORESOURCE_* that the kind has
 * @desc: its IORES_DESC_*, or IORES_DESC_NONE for any
 *
 * Looks at the uppermost resources only; holes do not matter.  With no @flags
 * and no @desc everything is of the kind.
 *
 * Context: process.
 * Return: REGION_DISJOINT if nothing of the kind is there, REGION_INTERSECTS if
 * nothing else is, REGION_MIXED if both are.
 *
 * mirrors kernel/resource.c:region_intersects, v4.19
 */
int region_intersects(resource_size_t start, size_t size, unsigned long flags, unsigned long desc)
{
	resource_size_t end = start + size - 1;
	bool type = false, other = false;
	struct resource *p;

	read_lock(&resource_lock);
	for (p = iomem_resource.child; p; p = p->sibling) {
		/* Three questions, not one: an empty range has its end first. */
		bool touched = (p->start <= start && start <= p->end) ||
			       (p->start <= end && end <= p->end) ||
			       (start <= p->start && p->end <= end);

		if (!touched)
			continue;
		if ((p->flags & flags) == flags && (desc == IORES_DESC_NONE || desc == p->desc))
			type = true;
		else
			other = true;
	}
	read_unlock(&resource_lock);

	if (!type)
		return REGION_DISJOINT;
	return other ? REGION_MIXED : REGION_INTERSECTS;
}
EXPORT_SYMBOL_GPL(region_intersects);

/*
 * Finds the lowest resource that has the flags of @res and touches its range,
 * and makes @res a clipped copy of it.  A resource that starts at the last
 * address of the range is not seen.  The flags of the hit, all of them, stay
 * behind in @res for the next search.
 *
 * mirrors kernel/resource.c:find_next_iomem_res, v4.19
 */
static bool find_next_iomem_res(struct resource *res, unsigned long desc,
				bool first_level_children_only)
{
	struct resource *p;
	bool found = false;

	BUG_ON(res->start >= res->end);

	read_lock(&resource_lock);
	for (p = iomem_resource.child; p; p = next_resource(p, first_level_children_only)) {
		if ((p->flags & res->flags) != res->flags)
			continue;
		if (desc != IORES_DESC_NONE && desc != p->desc)
			continue;
		if (p->start > res->end)
			break;
		if (p->end >= res->start && p->start < res->end) {
			found = true;
			break;
		}
	}
	if (found) {
		res->start = max(res->start, p->start);
		res->end = min(res->end, p->end);
		res->flags = p->flags;
		res->desc = p->desc;
	}
	read_unlock(&resource_lock);
	return found;
}

/* mirrors kernel/resource.c:__walk_iomem_res_desc, v4.19 */
static int __walk_iomem_res_desc(struct resource *res, unsigned long desc,
				 bool first_level_children_only, void *arg,
				 int (*func)(struct resource *, void *))
{
	resource_size_t orig_end = res->end;
	int ret = -1;

	while (res->start < res->end && find_next_iomem_res(res, desc, first_level_children_only)) {
		ret = func(res, arg);
		if (ret)
			break;
		res->start = res->end + 1;
		res->end = orig_end;
	}
	return ret;
}

/**
 * walk_iomem_res_desc() - visit resources of one kind, at any level
 * @desc: IORES_DESC_*, or IORES_DESC_NONE for any
 * @flags: IORESOURCE_* that they have; after the first hit, all that it has
 * @start: first address
 * @end: last address
 * @arg: for @func
 * @func: gets a copy, clipped to the range; the walk ends when it returns non-zero
 *
 * The walk goes on behind each hit, so what is below it is not visited.
 *
 * Context: process; @func may sleep.
 * Return: what @func returned last, or -1 if it was never called.
 *
 * mirrors kernel/resource.c:walk_iomem_res_desc, v4.19
 */
int walk_iomem_res_desc(unsigned long desc, unsigned long flags, u64 start, u64 end, void *arg,
			int (*func)(struct resource *, void *))
{
	struct resource res = { .start = start, .end = end, .flags = flags };

	return __walk_iomem_res_desc(&res, desc, false, arg, func);
}
EXPORT_SYMBOL_GPL(walk_iomem_res_desc);

/**
 * walk_system_ram_res() - visit uppermost resources that are System RAM
 * @start: first address
 * @end: last address
 * @arg: for @func
 * @func: as for walk_iomem_res_desc()
 *
 * Context: process.  Return: as walk_iomem_res_desc().
 *
 * mirrors kernel/resource.c:walk_system_ram_res, v4.19
 */
int walk_system_ram_res(u64 start, u64 end, void *arg, int (*func)(struct resource *, void *))
{
	struct resource res = {
		.start = start,
		.end = end,
		.flags = IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY,
	};

	return __walk_iomem_res_desc(&res, IORES_DESC_NONE, true, arg, func);
}

/**
 * walk_mem_res() - visit uppermost resources that are busy memory
 * @start: first address
 * @end: last address
 * @arg: for @func
 * @func: as for walk_iomem_res_desc()
 *
 * Context: process.  Return: as walk_iomem_res_desc().
 *
 * mirrors kernel/resource.c:walk_mem_res, v4.19
 */
int walk_mem_res(u64 start, u64 end, void *arg, int (*func)(struct resource *, void *))
{
	struct resource res = {
		.start = start,
		.end = end,
		.flags = IORESOURCE_MEM | IORESOURCE_BUSY,
	};

	return __walk_iomem_res_desc(&res, IORES_DESC_NONE, true, arg, func);
}

/**
 * walk_system_ram_range() - visit the whole pages of System RAM in a range
 * @start_pfn: first page
 * @nr_pages: number of pages
 * @arg: for @func
 * @func: called with first page, number of pages and @arg; the walk ends when
 *	it returns non-zero
 *
 * Context: process.
 * Return: what @func returned last, or -1 if it was never called.
 *
 * mirrors kernel/resource.c:walk_system_ram_range, v4.19
 */
int walk_system_ram_range(unsigned long start_pfn, unsigned long nr_pages, void *arg,
			  int (*func)(unsigned long, unsigned long, void *))
{
	struct resource res = {
		.start = (u64)start_pfn << PAGE_SHIFT,
		.end = ((u64)(start_pfn + nr_pages) << PAGE_SHIFT) - 1,
		.flags = IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY,
	};
	resource_size_t orig_end = res.end;
	int ret = -1;

	while (res.start < res.end && find_next_iomem_res(&res, IORES_DESC_NONE, true)) {
		unsigned long pfn = (unsigned long)((res.start + PAGE_SIZE - 1) >> PAGE_SHIFT);
		unsigned long end_pfn = (unsigned long)((res.end + 1) >> PAGE_SHIFT);

		if (end_pfn > pfn) {
			ret = func(pfn, end_pfn - pfn, arg);
			if (ret)
				break;
		}
		res.start = res.end + 1;
		res.end = orig_end;
	}
	return ret;
}

static int __is_ram(unsigned long pfn, unsigned long nr_pages, void *arg)
{
	(void)pfn;
	(void)nr_pages;
	(void)arg;
	return 1;
}

/**
 * page_is_ram() - is this page System RAM?
 * @pfn: page
 *
 * Context: process.  Return: 1 or 0.
 *
 * mirrors kernel/resource.c:page_is_ram, v4.19
 */
int page_is_ram(unsigned long pfn)
{
	return walk_system_ram_range(pfn, 1, NULL, __is_ram) == 1;
}
EXPORT_SYMBOL_GPL(page_is_ram);

/**
 * iomem_map_sanity_check() - complain about a mapping that leaves its resource
 * @addr: first address
 * @size: size
 *
 * Whole pages count.  Busy resources do not: a driver may claim less than it maps.
 *
 * Context: process.  Return: 0, or -1 after a complaint.
 *
 * mirrors kernel/resource.c:iomem_map_sanity_check, v4.19
 */
int iomem_map_sanity_check(resource_size_t addr, unsigned long size)
{
	resource_size_t last = addr + size - 1;
	struct resource *p;
	int err = 0;

	read_lock(&resource_lock);
	for (p = iomem_resource.child; p; p = next_resource(p, false)) {
		if (p->start >= addr + size || p->end < addr)
			continue;
		if (p->start >> PAGE_SHIFT <= addr >> PAGE_SHIFT &&
		    p->end >> PAGE_SHIFT >= last >> PAGE_SHIFT)
			continue;
		if (p->flags & IORESOURCE_BUSY)
			continue;

		pr_warn("resource sanity check: requesting [mem %#010llx-%#010llx], which spans more than %s %pR\n",
			addr, last, p->name, p);
		err = -1;
		break;
	}
	read_unlock(&resource_lock);
	return err;
}
