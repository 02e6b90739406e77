/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_IO_H
#define _LINUX_IO_H

#include <linux/list.h>
#include <linux/types.h>

struct device;
struct resource;

/* How memremap() shall map. */
enum {
	MEMREMAP_WB = 1 << 0,
	MEMREMAP_WT = 1 << 1,
	MEMREMAP_WC = 1 << 2,
	MEMREMAP_ENC = 1 << 3,
	MEMREMAP_DEC = 1 << 4,
};
#define ARCH_MEMREMAP_PMEM MEMREMAP_WB

/* Where mappings outside the linear map live (x86-64, 4-level). */
#define VMALLOC_START 0xffffc90000000000UL
#define VMALLOC_END 0xffffe8ffffffffffUL

/**
 * struct vm_struct - one mapping of the vmalloc area
 * @list: link in vmlist, ascending addresses
 * @addr: virtual address of the first mapped page
 * @size: bytes, whole pages and one guard page behind them
 * @phys_addr: first physical address
 */
struct vm_struct {
	struct list_head list;
	void *addr;
	unsigned long size;
	phys_addr_t phys_addr;
};

/* ---- arch/x86/mm/ioremap.c ---- */

void ioremap_init(void);
void __iomem *ioremap_nocache(resource_size_t phys_addr, unsigned long size);
void __iomem *ioremap_wc(resource_size_t phys_addr, unsigned long size);
void __iomem *ioremap_wt(resource_size_t phys_addr, unsigned long size);
void __iomem *ioremap_cache(resource_size_t phys_addr, unsigned long size);
#define ioremap(phys_addr, size) ioremap_nocache(phys_addr, size)
void iounmap(const volatile void __iomem *addr);

/* ---- kernel/iomem.c ---- */

void *memremap(resource_size_t offset, size_t size, unsigned long flags);
void memunmap(void *addr);
void *devm_memremap(struct device *dev, resource_size_t offset, size_t size, unsigned long flags);
void devm_memunmap(struct device *dev, void *addr);

/* ---- lib/devres.c ---- */

void __iomem *devm_ioremap(struct device *dev, resource_size_t offset, resource_size_t size);
void devm_iounmap(struct device *dev, void __iomem *addr);
void __iomem *devm_ioremap_resource(struct device *dev, struct resource *res);

#endif
