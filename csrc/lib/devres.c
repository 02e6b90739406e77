// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings of a device's registers that last until it is unbound.
 */

#include <linux/bug.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/kernel_data.h>

static void devm_ioremap_release(struct device *dev, void *res)
{
	(void)dev;
	iounmap(*(void __iomem **)res);
}

static int devm_ioremap_match(struct device *dev, void *res, void *match_data)
{
	(void)dev;
	return *(void **)res == match_data;
}

/**
 * devm_ioremap() - ioremap() for as long as the device is bound
 * @dev: the device
 * @offset: first physical address
 * @size: bytes
 *
 * mirrors lib/devres.c:devm_ioremap, v4.19
 *
 * Context: process, may sleep.
 * Return: the mapping, or NULL.
 */
void __iomem *devm_ioremap(struct device *dev, resource_size_t offset, resource_size_t size)
{
	void __iomem **ptr, *addr;

	ptr = devres_alloc(devm_ioremap_release, sizeof(*ptr), GFP_KERNEL);
	if (!ptr)
		return NULL;

	addr = ioremap(offset, size);
	if (!addr) {
		devres_free(ptr);
		return NULL;
	}

	*ptr = addr;
	devres_add(dev, ptr);
	return addr;
}
EXPORT_SYMBOL(devm_ioremap);

/**
 * devm_iounmap() - undo devm_ioremap() early
 * @dev: the device
 * @addr: what devm_ioremap() returned
 *
 * mirrors lib/devres.c:devm_iounmap, v4.19
 */
void devm_iounmap(struct device *dev, void __iomem *addr)
{
	WARN_ON(devres_release(dev, devm_ioremap_release, devm_ioremap_match, addr));
}
EXPORT_SYMBOL(devm_iounmap);

/**
 * devm_ioremap_resource() - claim a device's registers and map them
 * @dev: the device
 * @res: where they are
 *
 * mirrors lib/devres.c:devm_ioremap_resource, v4.19
 *
 * Context: process, may sleep.
 * Return: the mapping, or ERR_PTR: -EINVAL (no memory resource), -EBUSY (claimed
 * by somebody else), -ENOMEM (not mapped; the claim is given back).
 */
void __iomem *devm_ioremap_resource(struct device *dev, struct resource *res)
{
	resource_size_t size;
	void __iomem *addr;

	if (!res || resource_type(res) != IORESOURCE_MEM) {
		dev_err(dev, "invalid resource\n");
		return ERR_PTR(-EINVAL);
	}

	size = resource_size(res);
	if (!devm_request_mem_region(dev, res->start, size, res->name ?: dev_name(dev))) {
		dev_err(dev, "can't request region for resource %pR\n", res);
		return ERR_PTR(-EBUSY);
	}

	addr = devm_ioremap(dev, res->start, size);
	if (!addr) {
		dev_err(dev, "ioremap failed for resource %pR\n", res);
		devm_release_mem_region(dev, res->start, size);
		return ERR_PTR(-ENOMEM);
	}
	return addr;
}
EXPORT_SYMBOL(devm_ioremap_resource);
