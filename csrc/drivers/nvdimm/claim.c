// SPDX-License-Identifier: GPL-2.0-only
/*
 * Raw access to a namespace, to read and write info blocks.
 *
 * It is had by mapping the whole namespace, and given up before the personality
 * that the info block asks for maps it in its own way.
 */

#include <linux/device.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/kernel_data.h>
#include <linux/libnvdimm.h>

/**
 * devm_nsio_enable() - get raw access to a namespace
 * @dev: device being bound
 * @nsio: the namespace
 *
 * Return: 0, -EBUSY if the range is not free, or an error of devm_memremap().
 * What has been had stays with @dev on failure.
 *
 * mirrors drivers/nvdimm/claim.c:devm_nsio_enable, v4.19
 */
int devm_nsio_enable(struct device *dev, struct nd_namespace_io *nsio)
{
	struct nd_namespace_common *ndns = &nsio->common;
	struct resource *res = &nsio->res;

	nsio->size = resource_size(res);
	if (!devm_request_mem_region(dev, res->start, resource_size(res), ndns->name)) {
		dev_warn(dev, "could not reserve region %pR\n", res);
		return -EBUSY;
	}

	if (devm_init_badblocks(dev, &nsio->bb))
		return -ENOMEM;

	nsio->addr = devm_memremap(dev, res->start, resource_size(res), ARCH_MEMREMAP_PMEM);
	return IS_ERR(nsio->addr) ? (int)PTR_ERR(nsio->addr) : 0;
}
EXPORT_SYMBOL_GPL(devm_nsio_enable);

/**
 * devm_nsio_disable() - give raw access to a namespace up
 * @dev: device being bound
 * @nsio: the namespace
 *
 * mirrors drivers/nvdimm/claim.c:devm_nsio_disable, v4.19
 */
void devm_nsio_disable(struct device *dev, struct nd_namespace_io *nsio)
{
	struct resource *res = &nsio->res;

	devm_memunmap(dev, nsio->addr);
	devm_exit_badblocks(dev, &nsio->bb);
	devm_release_mem_region(dev, res->start, resource_size(res));
}
EXPORT_SYMBOL_GPL(devm_nsio_disable);
