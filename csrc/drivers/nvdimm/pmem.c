// SPDX-License-Identifier: GPL-2.0-only
/*
 * Persistent memory as a disk.
 *
 * The pages of a namespace are counted by its queue's usage counter, which
 * in-flight I/O holds too: freezing the queue closes it for both, and the
 * queue's cleanup waits for both.  The actions are registered so that unbind
 * runs
 *
 *	pmem_release_disk			nobody new finds disk or dax_dev
 *	devm_memremap_pages_release		freezes the queue, puts the pages
 *	pmem_release_pgmap_ops
 *	pmem_release_queue			waits for pages and I/O
 *
 * Before "Fix shutdown handling" the freeze is an action of its own, just
 * before the release of the mapping.  Since "fix final page put race" the
 * mapping's release does the queue's cleanup as well, between the puts and the
 * end of the memory; only without a pagemap is it still an action.
 */

#include <linux/blkdev.h>
#include <linux/dax.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/kernel_data.h>
#include <linux/libnvdimm.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/patches.h>
#include <linux/string.h>
#include <linux/wait_bit.h>

#define nd_pmem_driver (kernel_data()->nvdimm.nd_pmem_driver)

/*
 * What the driver of the disk does with a bio: here no more than to find out
 * where it goes.  The copy is under way when this returns, see
 * generic_make_request().
 *
 * mirrors drivers/nvdimm/pmem.c:pmem_make_request, v4.19
 */
static blk_qc_t pmem_make_request(struct request_queue *q, struct bio *bio)
{
	struct pmem_device *pmem = q->queuedata;

	bio->bi_phys = pmem->phys_addr + pmem->data_offset + (bio->bi_sector << SECTOR_SHIFT);
	return BLK_QC_T_NONE;
}

/* mirrors drivers/nvdimm/pmem.c:__pmem_direct_access, v4.19 */
static long pmem_dax_direct_access(struct dax_device *dax_dev, unsigned long pgoff, long nr_pages,
				   void **kaddr, pfn_t *pfn)
{
	struct pmem_device *pmem = dax_get_private(dax_dev);
	phys_addr_t offset = PFN_PHYS(pgoff) + pmem->data_offset;

	(void)nr_pages;
	if (kaddr)
		*kaddr = (char *)pmem->virt_addr + offset;
	pfn->val = PHYS_PFN(pmem->phys_addr + offset) | pmem->pfn_flags;
	return (long)PHYS_PFN(pmem->size - pmem->pfn_pad - offset);
}

static const struct dax_operations pmem_dax_ops = {
	.direct_access = pmem_dax_direct_access,
};

static void pmem_release_queue(void *q)
{
	blk_cleanup_queue(q);
}

static struct request_queue *queue_of(struct percpu_ref *ref)
{
	return container_of(ref, struct request_queue, q_usage_counter);
}

/* The pagemap's kill callback. */
static void pmem_freeze_queue(struct percpu_ref *ref)
{
	blk_freeze_queue_start(queue_of(ref));
}

/* The same as an action of the driver's, before the pagemap had one. */
static void pmem_freeze_queue_action(void *__q)
{
	struct request_queue *q = __q;

	pmem_freeze_queue(&q->q_usage_counter);
}

/* The pagemap's cleanup callback. */
static void pmem_pagemap_cleanup(struct percpu_ref *ref)
{
	blk_cleanup_queue(queue_of(ref));
}

static void pmem_release_disk(void *__pmem)
{
	struct pmem_device *pmem = __pmem;

	kill_dax(pmem->dax_dev);
	put_dax(pmem->dax_dev);
	del_gendisk(pmem->disk);
	put_disk(pmem->disk);
}

static void pmem_release_pgmap_ops(void *__pgmap)
{
	(void)__pgmap;
	dev_pagemap_put_ops();
}

/* A filesystem may wait for the page to become idle. */
static void fsdax_pagefree(struct page *page, void *data)
{
	(void)data;
	wake_up_var(page_refcount_var(page));
}

/* mirrors drivers/nvdimm/pmem.c:setup_pagemap_fsdax, v4.19 */
static int setup_pagemap_fsdax(struct device *dev, struct dev_pagemap *pgmap)
{
	dev_pagemap_get_ops();
	if (devm_add_action_or_reset(dev, pmem_release_pgmap_ops, pgmap))
		return -ENOMEM;
	pgmap->type = MEMORY_DEVICE_FS_DAX;
	pgmap->page_free = fsdax_pagefree;
	return 0;
}

/* mirrors drivers/nvdimm/pmem.c:pmem_attach_disk, v4.19 to v5.2 */
static int pmem_attach_disk(struct device *dev, struct nd_namespace_common *ndns)
{
	struct nd_namespace_io *nsio = to_nd_namespace_io(&ndns->dev);
	struct nd_pfn *nd_pfn = is_nd_pfn(dev) ? to_nd_pfn(dev) : NULL;
	struct resource *res = &nsio->res;
	int nid = dev_to_node(dev);
	struct dax_device *dax_dev;
	struct pmem_device *pmem;
	struct request_queue *q;
	struct gendisk *disk;
	void *addr;
	int rc;

	pmem = devm_kzalloc(dev, sizeof(*pmem), GFP_KERNEL);
	if (!pmem)
		return -ENOMEM;

	if (nd_pfn) {
		rc = nvdimm_setup_pfn(nd_pfn, &pmem->pgmap);
		if (rc)
			return rc;
	}

	/* Whoever wants the namespace goes through the disk from now on. */
	devm_nsio_disable(dev, nsio);

	dev_set_drvdata(dev, pmem);
	pmem->phys_addr = res->start;
	pmem->size = resource_size(res);
	if (nvdimm_has_flush(&nsio->nd_region) < 0)
		dev_warn(dev, "unable to guarantee persistence of writes\n");

	if (!devm_request_mem_region(dev, res->start, resource_size(res), ndns->name)) {
		dev_warn(dev, "could not reserve region %pR\n", res);
		return -EBUSY;
	}

	q = blk_alloc_queue_node(GFP_KERNEL, nid, NULL);
	if (!q)
		return -ENOMEM;

	if (!patched(PATCH_FINAL_PUT) && devm_add_action_or_reset(dev, pmem_release_queue, q))
		return -ENOMEM;

	pmem->pfn_flags = PFN_DEV;
	pmem->pgmap.ref = &q->q_usage_counter;
	if (patched(PATCH_SHUTDOWN))
		pmem->pgmap.kill = pmem_freeze_queue;
	if (patched(PATCH_FINAL_PUT))
		pmem->pgmap.cleanup = pmem_pagemap_cleanup;
	if (nd_pfn) {
		if (setup_pagemap_fsdax(dev, &pmem->pgmap))
			return -ENOMEM;
		addr = devm_memremap_pages(dev, &pmem->pgmap);
		pmem->data_offset = nd_pfn->pfn_sb.dataoff;
		pmem->pfn_pad = (u32)(resource_size(res) - resource_size(&pmem->pgmap.res));
		pmem->pfn_flags |= PFN_MAP;
	} else if (pmem_should_map_pages(dev)) {
		memcpy(&pmem->pgmap.res, res, sizeof(pmem->pgmap.res));
		pmem->pgmap.altmap_valid = false;
		if (setup_pagemap_fsdax(dev, &pmem->pgmap))
			return -ENOMEM;
		addr = devm_memremap_pages(dev, &pmem->pgmap);
		pmem->pfn_flags |= PFN_MAP;
	} else {
		if (patched(PATCH_FINAL_PUT) &&
		    devm_add_action_or_reset(dev, pmem_release_queue, q))
			return -ENOMEM;
		addr = devm_memremap(dev, pmem->phys_addr, pmem->size, ARCH_MEMREMAP_PMEM);
	}

	/* In all modes, and whether the mapping succeeded or not. */
	if (!patched(PATCH_SHUTDOWN) && devm_add_action_or_reset(dev, pmem_freeze_queue_action, q))
		return -ENOMEM;

	if (IS_ERR(addr))
		return (int)PTR_ERR(addr);
	pmem->virt_addr = addr;

	blk_queue_make_request(q, pmem_make_request);
	q->queuedata = pmem;

	disk = alloc_disk_node(0, nid);
	if (!disk)
		return -ENOMEM;
	pmem->disk = disk;

	disk->queue = q;
	disk->flags = GENHD_FL_EXT_DEVT;
	nvdimm_namespace_disk_name(ndns, disk->disk_name, sizeof(disk->disk_name));
	set_capacity(disk, (pmem->size - pmem->pfn_pad - pmem->data_offset) >> SECTOR_SHIFT);

	/* The disk is left behind on failure, as in v4.19. */
	if (devm_init_badblocks(dev, &pmem->bb))
		return -ENOMEM;
	disk->bb = &pmem->bb;

	/* See disk_release() for what else this put_disk() puts. */
	dax_dev = alloc_dax(pmem, disk->disk_name, &pmem_dax_ops);
	if (!dax_dev) {
		put_disk(disk);
		return -ENOMEM;
	}
	pmem->dax_dev = dax_dev;

	device_add_disk(dev, disk);
	if (devm_add_action_or_reset(dev, pmem_release_disk, pmem))
		return -ENOMEM;

	pmem->bb_state = kernfs_get(disk->bb_node);
	if (!pmem->bb_state)
		dev_warn(dev, "'badblocks' notification disabled\n");
	return 0;
}

/*
 * The info block has made its claim before (nd_namespace_create()), so there
 * is none to be looked for.
 *
 * mirrors drivers/nvdimm/pmem.c:nd_pmem_probe, v4.19
 */
static int nd_pmem_probe(struct device *dev)
{
	struct nd_namespace_common *ndns;

	ndns = nvdimm_namespace_common_probe(dev);
	if (IS_ERR(ndns))
		return (int)PTR_ERR(ndns);

	if (devm_nsio_enable(dev, to_nd_namespace_io(&ndns->dev)))
		return -ENXIO;

	return pmem_attach_disk(dev, ndns);
}

/* mirrors drivers/nvdimm/pmem.c:nd_pmem_remove, v4.19 */
static int nd_pmem_remove(struct device *dev)
{
	struct pmem_device *pmem = dev_get_drvdata(dev);

	/* No notification after this: the lock keeps it out. */
	kernfs_put(pmem->bb_state);
	pmem->bb_state = NULL;
	return 0;
}

/**
 * nd_pmem_init() - register the driver
 *
 * Return: 0 or an error of driver_register().
 */
int __init nd_pmem_init(void)
{
	nd_pmem_driver = (struct nd_device_driver){
		.probe = nd_pmem_probe,
		.remove = nd_pmem_remove,
		.drv = { .name = "nd_pmem" },
		.type = ND_DRIVER_NAMESPACE_IO | ND_DRIVER_NAMESPACE_PMEM,
	};
	return nd_driver_register(&nd_pmem_driver);
}
