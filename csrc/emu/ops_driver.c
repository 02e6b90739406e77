// SPDX-License-Identifier: GPL-2.0-only
/* Operations on the drivers that come with the kernel: pmem and device-dax. */
#include <linux/percpu-refcount.h>

#include "ops.h"

#include <linux/blkdev.h>
#include <linux/dax.h>
#include <linux/device.h>
#include <linux/kernel.h>
#include <linux/kernel_data.h>
#include <linux/libnvdimm.h>
#include <linux/string.h>

static int64_t op_builtin_driver(const int64_t *args)
{
	const char *name = STRING(0);
	struct device_driver *drv;

	drv = driver_find(name, &kernel_data()->nvdimm.nvdimm_bus_type);
	if (!drv)
		drv = driver_find(name, &kernel_data()->pci.pci_bus_type);
	if (!drv)
		return bad_argument("this kernel has no driver %s: it needs %s", name,
				    strncmp(name, "hmm", 3) ?
					    "CONFIG_ZONE_DEVICE" :
					    "CONFIG_DEVICE_PRIVATE or CONFIG_DEVICE_PUBLIC");
	return object_or_new('L', drv, NULL);
}

/* A namespace of enum nd_mode, on its bus, not bound: drivers bind when asked. */
static int64_t op_namespace_new(const int64_t *args)
{
	struct nd_namespace_io *nsio;
	struct bus_type *bus = &kernel_data()->nvdimm.nvdimm_bus_type;
	int error;

	if (args[3] < ND_MODE_RAW || args[3] > ND_MODE_DEVDAX)
		return bad_argument("no such mode");
	if (args[2] <= 0)
		return bad_argument("a namespace has a size");
	nsio = nd_namespace_create(STRING(0), (resource_size_t)args[1], (resource_size_t)args[2],
				   (enum nd_mode)args[3], args[4] != 0);
	if (!nsio)
		return 0;
	bus_drivers_autoprobe_store(bus, "0", 1);
	error = device_add(&nsio->common.dev);
	if (error) {
		put_device(&nsio->common.dev);
		return 0;
	}
	return object_new('D', &nsio->common.dev, nsio);
}

static bool is_namespace(const struct device *dev)
{
	return dev->bus == &kernel_data()->nvdimm.nvdimm_bus_type;
}

static struct pmem_device *pmem_of(struct device *dev)
{
	if (!is_namespace(dev) || is_nd_dax(dev) || !device_is_bound(dev))
		return NULL;
	return dev_get_drvdata(dev);
}

static int64_t op_pmem_ref(const int64_t *args)
{
	struct pmem_device *pmem = pmem_of(ARG(struct device, 0));

	if (!pmem)
		return bad_argument("not a device bound to nd_pmem");
	return object_or_new('R', &pmem->disk->queue->q_usage_counter, pmem->disk->queue);
}

static int64_t op_queue_depth(const int64_t *args)
{
	struct pmem_device *pmem = pmem_of(ARG(struct device, 0));

	if (!pmem)
		return bad_argument("not a device bound to nd_pmem");
	return atomic_read(&pmem->disk->queue->mq_freeze_depth);
}

static void end_bio(struct bio *bio)
{
	WRITE_ONCE(bio->bi_private, (void *)1UL);
}

/* Starts an I/O that stays in flight until bio_endio. */
static int64_t op_submit_bio(const int64_t *args)
{
	struct pmem_device *pmem = pmem_of(ARG(struct device, 0));
	struct gendisk *disk;
	struct bio *bio;

	if (!pmem)
		return bad_argument("not a device bound to nd_pmem");
	if (args[2] < 0 || args[3] <= 0 || args[3] > 1 << 20)
		return bad_argument("a sector and at most 1 MiB");
	disk = pmem->disk;
	bio = bio_alloc(GFP_KERNEL);
	if (!bio)
		return 0;
	bio->bi_disk = disk;
	bio->bi_opf = args[1] ? REQ_OP_WRITE : REQ_OP_READ;
	if (args[4])
		bio->bi_opf |= REQ_NOWAIT;
	bio->bi_sector = (sector_t)args[2];
	bio->bi_size = (unsigned int)args[3];
	bio->bi_end_io = end_bio;
	get_disk_and_module(disk);
	submit_bio(bio);
	return object_new('B', bio, bio);
}

static int64_t op_bio_end(const int64_t *args)
{
	struct bio *bio = ARG(struct bio, 0);
	struct gendisk *disk = bio->bi_disk;

	if (!READ_ONCE(bio->bi_private))
		bio_endio(bio);
	object_forget(bio);
	bio_put(bio);
	put_disk(disk);
	return 0;
}

static int64_t op_bio_status(const int64_t *args)
{
	struct bio *bio = ARG(struct bio, 0);

	return READ_ONCE(bio->bi_private) ? blk_status_to_errno(bio->bi_status) : 1;
}

static int64_t op_freeze_queue(const int64_t *args)
{
	struct pmem_device *pmem = pmem_of(ARG(struct device, 0));

	if (!pmem)
		return bad_argument("not a device bound to nd_pmem");
	blk_mq_freeze_queue(pmem->disk->queue);
	return 0;
}

static int64_t op_unfreeze_queue(const int64_t *args)
{
	struct pmem_device *pmem = pmem_of(ARG(struct device, 0));

	if (!pmem)
		return bad_argument("not a device bound to nd_pmem");
	if (atomic_read(&pmem->disk->queue->mq_freeze_depth) == 0)
		return bad_argument("the queue is not frozen");
	blk_mq_unfreeze_queue(pmem->disk->queue);
	return 0;
}

/*
 * The disk of a namespace, open until put_disk(); NULL if no driver has made one.
 * Who has not opened it may lose it to the driver's remove at any time.
 */
static struct gendisk *open_disk(struct device *dev)
{
	struct gendisk *disk = NULL;
	struct pmem_device *pmem;

	device_lock(dev);
	pmem = pmem_of(dev);
	if (pmem) {
		disk = pmem->disk;
		get_disk_and_module(disk);
	}
	device_unlock(dev);
	return disk;
}

static int64_t op_disk_freeze(const int64_t *args)
{
	struct gendisk *disk = open_disk(ARG(struct device, 0));

	if (disk) {
		blk_mq_freeze_queue(disk->queue);
		put_disk(disk);
	}
	return 0;
}

static int64_t op_disk_unfreeze(const int64_t *args)
{
	struct gendisk *disk = open_disk(ARG(struct device, 0));

	if (disk) {
		blk_mq_unfreeze_queue(disk->queue);
		put_disk(disk);
	}
	return 0;
}

/* The disk's memory as a file system asks for it: pages from @1 on, at most @2. */
static int64_t op_dax_direct_access(const int64_t *args)
{
	struct dax_device *dax_dev = dax_get_by_host(STRING(0));
	void *kaddr;
	pfn_t pfn;
	long found;
	int id;

	id = dax_read_lock();
	found = dax_direct_access(dax_dev, (unsigned long)args[1], (long)args[2], &kaddr, &pfn);
	dax_read_unlock(id);
	put_dax(dax_dev);
	return found;
}

static int64_t op_dax_pfn(const int64_t *args)
{
	struct dax_device *dax_dev = dax_get_by_host(STRING(0));
	pfn_t pfn;
	long found;
	int id;

	id = dax_read_lock();
	found = dax_direct_access(dax_dev, (unsigned long)args[1], 1, NULL, &pfn);
	dax_read_unlock(id);
	put_dax(dax_dev);
	return found < 0 ? found : (int64_t)(pfn.val & ~PFN_FLAGS_MASK);
}

static int64_t op_dax_read_lock(const int64_t *args)
{
	(void)args;
	return dax_read_lock();
}

static int64_t op_dax_read_unlock(const int64_t *args)
{
	const struct srcu_struct *ssp = &kernel_data()->dax.dax_srcu;

	if (args[0] & ~1 || atomic_read(&ssp->srcu_lock_nesting[args[0]]) == 0)
		return bad_argument("not what dax_read_lock() has returned");
	dax_read_unlock((int)args[0]);
	return 0;
}

static int64_t op_pagemap_of(const int64_t *args)
{
	struct device *dev = ARG(struct device, 0);

	if (!is_namespace(dev) || !device_is_bound(dev))
		return bad_argument("not a bound namespace");
	if (!is_nd_dax(dev)) {
		struct pmem_device *pmem = dev_get_drvdata(dev);

		return pmem->pgmap.dev ? object_or_new('P', &pmem->pgmap, pmem) : 0;
	}
	/* The dax driver keeps its own structure to itself: ask a page. */
	return 0;
}

static const struct op ops[] = {
	OP("builtin_driver", "s", "L", op_builtin_driver),
	OP("namespace_new", "siiii", "D", op_namespace_new),
	OP("pmem_queue_ref", "D", "R", op_pmem_ref),
	OP("pmem_queue_depth", "D", "u", op_queue_depth),
	OP("submit_bio", "Diiii", "B", op_submit_bio),
	OP("bio_endio", "B", "v", op_bio_end),
	OP("dax_direct_access", "sii", "u", op_dax_direct_access),
	OP("dax_pfn", "si", "u", op_dax_pfn),
	OP("dax_read_lock", "", "u", op_dax_read_lock),
	OP("dax_read_unlock", "i", "v", op_dax_read_unlock),
	OP("bio_status", "B", "u", op_bio_status),
	OP("blk_mq_freeze_queue", "D", "v", op_freeze_queue),
	OP("blk_mq_unfreeze_queue", "D", "v", op_unfreeze_queue),
	OP("disk_freeze", "D", "v", op_disk_freeze),
	OP("disk_unfreeze", "D", "v", op_disk_unfreeze),
	OP("device_pagemap", "D", "P", op_pagemap_of),
};
OP_TABLE(ops_driver, ops);
