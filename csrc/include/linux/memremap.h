/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_MEMREMAP_H
#define _LINUX_MEMREMAP_H

#include <linux/ioport.h>
#include <linux/mmzone.h>
#include <linux/pgtable.h>
#include <linux/types.h>

struct device;
struct page;
struct percpu_ref;
struct vm_area_struct;

/**
 * struct vmem_altmap - struct pages stored in the device that they describe
 * @base_pfn: first page of the whole mapping, start of a section
 * @reserve: pages at the base that belong to the driver: never handed out,
 *	their struct pages never initialised
 * @free: pages behind those that may hold struct pages
 * @align: pages lost to alignment so far; only ever grows
 * @alloc: pages handed out
 *
 * All counts are in pages.
 */
struct vmem_altmap {
	const unsigned long base_pfn;
	const unsigned long reserve;
	unsigned long free;
	unsigned long align;
	unsigned long alloc;
};

/*
 * Kinds of device memory; 0 is memory that nobody wants to hear about.
 *
 * MEMORY_DEVICE_PRIVATE: the CPU cannot touch it; its pages are mapped by
 *	special swap entries, and a fault on one migrates it back.
 * MEMORY_DEVICE_PUBLIC: cache coherent, usable by the CPU; must not be
 *	pinned, so that the device can always have it back.
 * MEMORY_DEVICE_FS_DAX: like RAM and pinnable; whoever waits for a page to
 *	become idle is woken.
 * MEMORY_DEVICE_PCI_P2PDMA: in a PCI BAR, for transfers between devices.
 */
enum memory_type {
	MEMORY_DEVICE_PRIVATE = 1,
	MEMORY_DEVICE_PUBLIC,
	MEMORY_DEVICE_FS_DAX,
	MEMORY_DEVICE_PCI_P2PDMA,
};

/* The CPU touched a page it cannot reach: migrate it back. Result VM_FAULT_*. */
typedef int (*dev_page_fault_t)(struct vm_area_struct *vma, unsigned long addr,
				const struct page *page, unsigned int flags, pmd_t *pmdp);
/* The last user of a page is gone; only the mapping's own reference is left. */
typedef void (*dev_page_free_t)(struct page *page, void *data);

/**
 * struct dev_pagemap - a device range with struct pages
 * @page_fault: see dev_page_fault_t
 * @page_free: see dev_page_free_t; must not sleep
 * @altmap: where the struct pages are stored, if @altmap_valid
 * @altmap_valid: use @altmap
 * @res: the range
 * @ref: held once for each device page, from mapping to the page's end
 * @kill: moves @ref to the dead state; called at release, or when mapping
 *	fails once it has begun (from "Fix shutdown handling" on)
 * @cleanup: waits until @ref is idle and exits it; called at release between
 *	the last put and the end of the memory (from "fix final page put race" on)
 * @dev: the device; set by devm_memremap_pages()
 * @data: for @page_free
 * @type: enum memory_type
 * @pci_p2pdma_bus_offset: bus address minus CPU address, of memory in a PCI BAR
 */
struct dev_pagemap {
	dev_page_fault_t page_fault;
	dev_page_free_t page_free;
	struct vmem_altmap altmap;
	bool altmap_valid;
	struct resource res;
	struct percpu_ref *ref;
	void (*kill)(struct percpu_ref *ref);
	void (*cleanup)(struct percpu_ref *ref);
	struct device *dev;
	void *data;
	enum memory_type type;
	u64 pci_p2pdma_bus_offset;
};

void memremap_init(void);

void *devm_memremap_pages(struct device *dev, struct dev_pagemap *pgmap);
void devm_memunmap_pages(struct device *dev, struct dev_pagemap *pgmap);
struct dev_pagemap *get_dev_pagemap(unsigned long pfn, struct dev_pagemap *pgmap);
struct dev_pagemap *__get_dev_pagemap(unsigned long pfn, struct dev_pagemap *pgmap);
void put_dev_pagemap(struct dev_pagemap *pgmap);

#ifndef KERNEL_CHECKED
/*
 * Loops ask for one page after the other: the pagemap in hand answers without
 * a call.  The function that modules get is in kernel/memremap.c.
 */
extern inline __attribute__((gnu_inline)) struct dev_pagemap *
get_dev_pagemap(unsigned long pfn, struct dev_pagemap *pgmap)
{
	/* PAGE_SHIFT, but an extern inline function may not call a static one. */
	resource_size_t phys = (resource_size_t)pfn << this_context()->data->config.page_shift;

	if (likely(pgmap && pgmap->res.start <= phys && phys <= pgmap->res.end))
		return pgmap;
	return __get_dev_pagemap(pfn, pgmap);
}
#endif

void dev_pagemap_get_ops(void);
void dev_pagemap_put_ops(void);

unsigned long vmem_altmap_offset(struct vmem_altmap *altmap);
void vmem_altmap_free(struct vmem_altmap *altmap, unsigned long nr_pfns);

#endif
