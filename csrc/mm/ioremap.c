// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings of physical ranges outside the linear map.
 *
 * A mapping is an address in the vmalloc area and a memory type reserved for
 * its range; two mappings of one range cannot be cached differently.  Nobody
 * reads through the address, so there are no page tables behind it.
 */

#include <linux/bug.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/kernel_data.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/slab.h>

#define vmap_area_lock (kernel_data()->ioremap.vmap_area_lock)
#define vmlist (kernel_data()->ioremap.vmlist)

/*
 * The lowest gap that is large enough, a guard page behind it included, so
 * that a mapping made anew gets the address it had.
 *
 * mirrors mm/vmalloc.c:__get_vm_area_node, v4.19
 */
static struct vm_struct *get_vm_area(unsigned long size, phys_addr_t phys_addr)
{
	unsigned long addr = VMALLOC_START;
	struct vm_struct *area, *next;

	area = kzalloc(sizeof(*area), GFP_KERNEL);
	if (!area)
		return NULL;
	size += PAGE_SIZE;

	spin_lock(&vmap_area_lock);
	list_for_each_entry(next, &vmlist, list) {
		if ((unsigned long)next->addr - addr >= size)
			break;
		addr = (unsigned long)next->addr + next->size;
	}
	if (size > VMALLOC_END - addr) {
		spin_unlock(&vmap_area_lock);
		kfree(area);
		return NULL;
	}
	area->addr = (void *)addr;
	area->size = size;
	area->phys_addr = phys_addr;
	list_add_tail(&area->list, &next->list);
	spin_unlock(&vmap_area_lock);
	return area;
}

/* mirrors mm/vmalloc.c:remove_vm_area, v4.19 */
static struct vm_struct *remove_vm_area(const volatile void *addr)
{
	struct vm_struct *area, *found = NULL;

	spin_lock(&vmap_area_lock);
	list_for_each_entry(area, &vmlist, list) {
		if (area->addr == addr) {
			list_del(&area->list);
			found = area;
			break;
		}
	}
	spin_unlock(&vmap_area_lock);
	return found;
}

/* mirrors arch/x86/mm/ioremap.c:__ioremap_caller, v4.19 */
static void __iomem *__ioremap(resource_size_t phys_addr, unsigned long size,
			       enum page_cache_mode pcm)
{
	resource_size_t last_addr = phys_addr + size - 1;
	unsigned long offset = (unsigned long)(phys_addr & ~PAGE_MASK);
	enum page_cache_mode new_pcm;
	struct vm_struct *area;
	int retval;

	if (!size || last_addr < phys_addr)
		return NULL;

	if (last_addr >> kernel_data()->config.physical_bits) {
		printk("ioremap: invalid physical address %llx\n", phys_addr);
		WARN_ON_ONCE(1);
		return NULL;
	}

	if (region_intersects(phys_addr, size, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE) !=
	    REGION_DISJOINT) {
		WARN_ONCE(1, "ioremap on RAM at %pa - %pa\n", &phys_addr, &last_addr);
		return NULL;
	}

	phys_addr -= offset;
	size = ALIGN(last_addr + 1, PAGE_SIZE) - phys_addr;

	retval = reserve_memtype(phys_addr, phys_addr + size, pcm, &new_pcm);
	if (retval) {
		pr_err("ioremap reserve_memtype failed %d\n", retval);
		return NULL;
	}
	if (pcm != new_pcm && !is_new_memtype_allowed(pcm, new_pcm)) {
		pr_err("ioremap error for 0x%llx-0x%llx, requested 0x%x, got 0x%x\n", phys_addr,
		       phys_addr + size, pcm, new_pcm);
		goto err_free_memtype;
	}

	area = get_vm_area(size, phys_addr);
	if (!area)
		goto err_free_memtype;
	return (char *)area->addr + offset;

err_free_memtype:
	free_memtype(phys_addr, phys_addr + size);
	return NULL;
}

/**
 * ioremap_nocache() - map a device's registers
 * @phys_addr: first address
 * @size: bytes
 *
 * Context: process, may sleep.
 * Return: the mapping, to be given back by iounmap(), or NULL.
 */
void __iomem *ioremap_nocache(resource_size_t phys_addr, unsigned long size)
{
	return __ioremap(phys_addr, size, _PAGE_CACHE_MODE_UC_MINUS);
}
EXPORT_SYMBOL(ioremap_nocache);

/* ioremap_nocache() with write combining. */
void __iomem *ioremap_wc(resource_size_t phys_addr, unsigned long size)
{
	return __ioremap(phys_addr, size, _PAGE_CACHE_MODE_WC);
}
EXPORT_SYMBOL(ioremap_wc);

/* ioremap_nocache() with the cache written through. */
void __iomem *ioremap_wt(resource_size_t phys_addr, unsigned long size)
{
	return __ioremap(phys_addr, size, _PAGE_CACHE_MODE_WT);
}
EXPORT_SYMBOL(ioremap_wt);

/* ioremap_nocache() for what behaves like memory. */
void __iomem *ioremap_cache(resource_size_t phys_addr, unsigned long size)
{
	return __ioremap(phys_addr, size, _PAGE_CACHE_MODE_WB);
}
EXPORT_SYMBOL(ioremap_cache);

/**
 * iounmap() - undo an ioremap
 * @addr: what it returned; an address of the linear map is ignored
 *
 * mirrors arch/x86/mm/ioremap.c:iounmap, v4.19
 */
void iounmap(const volatile void __iomem *addr)
{
	struct vm_struct *area;

	if ((unsigned long)addr < VMALLOC_START)
		return;

	area = remove_vm_area((const volatile void *)((unsigned long)addr & PAGE_MASK));
	if (!area) {
		pr_err("iounmap: bad address %px\n", addr);
		return;
	}
	free_memtype(area->phys_addr, area->phys_addr + area->size - PAGE_SIZE);
	kfree(area);
}
EXPORT_SYMBOL(iounmap);

void __init ioremap_init(void)
{
	spin_lock_init(&vmap_area_lock);
	INIT_LIST_HEAD(&vmlist);
}
