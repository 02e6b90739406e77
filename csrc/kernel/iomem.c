// SPDX-License-Identifier: GPL-2.0-only

#include <linux/bug.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/pgtable.h>

static bool is_vmalloc_addr(const void *addr)
{
	return (unsigned long)addr >= VMALLOC_START && (unsigned long)addr <= VMALLOC_END;
}

/**
 * memremap() - map memory that has no side effects
 * @offset: first physical address
 * @size: bytes
 * @flags: MEMREMAP_*; of several that would do the strongest is taken
 *
 * System RAM is in the linear map already, write back; it cannot be mapped
 * otherwise, and what is RAM in part only cannot be mapped at all.
 *
 * Context: process, may sleep.
 * Return: the mapping, to be given back by memunmap(), or NULL.
 *
 * mirrors kernel/iomem.c:memremap, v4.19
 */
void *memremap(resource_size_t offset, size_t size, unsigned long flags)
{
	int is_ram = region_intersects(offset, size, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE);
	void *addr = NULL;

	if (!flags)
		return NULL;

	if (is_ram == REGION_MIXED) {
		WARN_ONCE(1, "memremap attempted on mixed range %pa size: %#lx\n", &offset,
			  (unsigned long)size);
		return NULL;
	}

	if (flags & MEMREMAP_WB) {
		if (is_ram == REGION_INTERSECTS)
			addr = __va(offset);
		else
			addr = ioremap_cache(offset, size);
	}

	if (!addr && is_ram == REGION_INTERSECTS && flags != MEMREMAP_WB) {
		WARN_ONCE(1, "memremap attempted on ram %pa size: %#lx\n", &offset,
			  (unsigned long)size);
		return NULL;
	}

	if (!addr && (flags & MEMREMAP_WT))
		addr = ioremap_wt(offset, size);
	if (!addr && (flags & MEMREMAP_WC))
		addr = ioremap_wc(offset, size);
	return addr;
}
EXPORT_SYMBOL(memremap);

/* mirrors kernel/iomem.c:memunmap, v4.19 */
void memunmap(void *addr)
{
	if (is_vmalloc_addr(addr))
		iounmap(addr);
}
EXPORT_SYMBOL(memunmap);

static void devm_memremap_release(struct device *dev, void *res)
{
	(void)dev;
	memunmap(*(void **)res);
}

static int devm_memremap_match(struct device *dev, void *res, void *match_data)
{
	(void)dev;
	return *(void **)res == match_data;
}

/**
 * devm_memremap() - memremap() for as long as the device is bound
 * @dev: the device
 * @offset: first physical address
 * @size: bytes
 * @flags: MEMREMAP_*
 *
 * Context: process, may sleep.
 * Return: the mapping; ERR_PTR(-ENOMEM) if there is no memory to remember it
 * in, ERR_PTR(-ENXIO) if it could not be made.
 *
 * mirrors kernel/iomem.c:devm_memremap, v4.19
 */
void *devm_memremap(struct device *dev, resource_size_t offset, size_t size, unsigned long flags)
{
	void **ptr, *addr;

	ptr = devres_alloc_node(devm_memremap_release, sizeof(*ptr), GFP_KERNEL, dev_to_node(dev));
	if (!ptr)
		return ERR_PTR(-ENOMEM);

	addr = memremap(offset, size, flags);
	if (!addr) {
		devres_free(ptr);
		return ERR_PTR(-ENXIO);
	}

	*ptr = addr;
	devres_add(dev, ptr);
	return addr;
}
EXPORT_SYMBOL(devm_memremap);

/**
 * devm_memunmap() - undo devm_memremap() early
 * @dev: the device
 * @addr: what devm_memremap() returned
 *
 * mirrors kernel/iomem.c:devm_memunmap, v4.19
 */
void devm_memunmap(struct device *dev, void *addr)
{
	WARN_ON(devres_release(dev, devm_memremap_release, devm_memremap_match, addr));
}
EXPORT_SYMBOL(devm_memunmap);
