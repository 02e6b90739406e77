// SPDX-License-Identifier: GPL-2.0-only
/*
 * The range of a test: memory of a pmem test device exists as a buffer, not as
 * addresses, so what the driver calls to map it is wrapped.
 *
 * The wrap has no pages and takes no reference, but it ends the mapping as the
 * real one would, at the same place among the managed resources.
 */
#include <linux/device.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/kernel_data.h>
#include <linux/memremap.h>
#include <linux/nfit_test.h>
#include <linux/patches.h>
#include <linux/slab.h>

#define nfit_test_lock (kernel_data()->nfit_test.nfit_test_lock)
#define nfit_test_resources (kernel_data()->nfit_test.nfit_test_resources)

/**
 * get_nfit_res() - the range of a test that an address lies in
 * @resource: address
 *
 * mirrors tools/testing/nvdimm/test/iomap.c:get_nfit_res, v4.19
 *
 * Context: any.  Return: the range or NULL.
 */
struct nfit_test_resource *get_nfit_res(resource_size_t resource)
{
	struct nfit_test_resource *nfit_res, *found = NULL;

	spin_lock(&nfit_test_lock);
	list_for_each_entry(nfit_res, &nfit_test_resources, list) {
		if (nfit_res->res.start <= resource && resource <= nfit_res->res.end) {
			found = nfit_res;
			break;
		}
	}
	spin_unlock(&nfit_test_lock);
	return found;
}
EXPORT_SYMBOL(get_nfit_res);

static noinline void nfit_test_kill(void *_pgmap)
{
	struct dev_pagemap *pgmap = _pgmap;

	pgmap->kill(pgmap->ref);
	if (patched(PATCH_FINAL_PUT))
		pgmap->cleanup(pgmap->ref);
}

/**
 * __wrap_devm_memremap_pages() - devm_memremap_pages() of a test
 * @dev: device
 * @pgmap: pagemap; what ends its ref is not looked at in the range of a test,
 *	except by the kernel that needs all of it
 *
 * mirrors tools/testing/nvdimm/test/iomap.c:__wrap_devm_memremap_pages, v4.19 +
 * 1/7, 3/7, final-put; before, not even the kill
 *
 * Context: process, may sleep.
 * Return: an address or ERR_PTR: -EINVAL, -ENOMEM, or what devm_memremap_pages()
 * answers.
 */
void *__wrap_devm_memremap_pages(struct device *dev, struct dev_pagemap *pgmap)
{
	resource_size_t offset = pgmap->res.start;
	struct nfit_test_resource *nfit_res = get_nfit_res(offset);
	int error;

	if (!nfit_res)
		return devm_memremap_pages(dev, pgmap);

	if (patched(PATCH_FINAL_PUT) && WARN_ON(!pgmap->ref || !pgmap->kill || !pgmap->cleanup))
		return ERR_PTR(-EINVAL);
	if (patched(PATCH_SHUTDOWN)) {
		error = devm_add_action_or_reset(dev, nfit_test_kill, pgmap);
		if (error)
			return ERR_PTR(error);
	}
	return (char *)nfit_res->buf + (offset - nfit_res->res.start);
}
EXPORT_SYMBOL_GPL(__wrap_devm_memremap_pages);

/**
 * nfit_test_resource_add() - a new range of a test
 * @start: first address
 * @size: bytes
 *
 * Return: the range, or NULL if there is no memory for its contents.
 */
struct nfit_test_resource *nfit_test_resource_add(resource_size_t start, size_t size)
{
	struct nfit_test_resource *nfit_res = kzalloc(sizeof(*nfit_res), GFP_KERNEL);

	if (!nfit_res)
		return NULL;
	nfit_res->buf = kzalloc(size, GFP_KERNEL);
	if (!nfit_res->buf) {
		kfree(nfit_res);
		return NULL;
	}
	nfit_res->res.start = start;
	nfit_res->res.end = start + size - 1;
	nfit_res->res.flags = IORESOURCE_MEM;
	nfit_res->res.name = "NFIT";

	spin_lock(&nfit_test_lock);
	list_add_tail(&nfit_res->list, &nfit_test_resources);
	spin_unlock(&nfit_test_lock);
	return nfit_res;
}

void nfit_test_resource_del(struct nfit_test_resource *nfit_res)
{
	spin_lock(&nfit_test_lock);
	list_del(&nfit_res->list);
	spin_unlock(&nfit_test_lock);
	kfree(nfit_res->buf);
	kfree(nfit_res);
}

void __init nfit_test_init(void)
{
	spin_lock_init(&nfit_test_lock);
	INIT_LIST_HEAD(&nfit_test_resources);
}
