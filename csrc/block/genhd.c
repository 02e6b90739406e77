// SPDX-License-Identifier: GPL-2.0-only

#include <linux/blkdev.h>
#include <linux/device.h>
#include <linux/export.h>

/*
 * The queue reference is put here, although only device_add_disk() takes it:
 * a disk that has a queue and is thrown away before it was added takes one of
 * somebody else's references with it, as in v4.19.
 *
 * mirrors block/genhd.c:disk_release, v4.19
 */
static void disk_release(struct kobject *kobj)
{
	struct gendisk *disk = container_of(kobj, struct gendisk, kobj);

	if (disk->queue)
		blk_put_queue(disk->queue);
	kfree(disk);
}

static const struct kobj_type disk_ktype = {
	.release = disk_release,
};

/**
 * __alloc_disk_node() - make a disk
 * @minors: device numbers wanted for partitions; there are none here
 * @node_id: NUMA node
 *
 * Return: the disk with one reference, or NULL.
 *
 * mirrors block/genhd.c:__alloc_disk_node, v4.19
 */
struct gendisk *__alloc_disk_node(int minors, int node_id)
{
	struct gendisk *disk;

	(void)minors;
	disk = kzalloc_node(sizeof(*disk), GFP_KERNEL, node_id);
	if (disk) {
		disk->node_id = node_id;
		kobject_init(&disk->kobj, &disk_ktype);
	}
	return disk;
}
EXPORT_SYMBOL(__alloc_disk_node);

/* A file that could not be made is missing; the disk works without. */
static void register_disk(struct device *parent, struct gendisk *disk)
{
	disk->driverfs_dev = get_device(parent);
	if (disk->bb)
		disk->bb_node = kernfs_create_file("badblocks");
}

/**
 * device_add_disk() - make a disk public
 * @parent: device that it is the disk of
 * @disk: the disk, with its queue
 *
 * Errors are not reported.
 *
 * mirrors block/genhd.c:__device_add_disk, v4.19
 */
void device_add_disk(struct device *parent, struct gendisk *disk)
{
	WRITE_ONCE(disk->flags, disk->flags | GENHD_FL_UP);

	register_disk(parent, disk);
	blk_register_queue(disk);

	/* The queue stays around as long as the disk, see disk_release(). */
	WARN_ON_ONCE(!blk_get_queue(disk->queue));
}
EXPORT_SYMBOL(device_add_disk);

/**
 * del_gendisk() - counterpart of device_add_disk()
 * @disk: the disk
 *
 * Whoever has the disk open keeps it, and its queue, until put_disk().
 * Does not wait for I/O.
 *
 * mirrors block/genhd.c:del_gendisk, v4.19
 */
void del_gendisk(struct gendisk *disk)
{
	struct kernfs_node *bb_node = disk->bb_node;
	struct device *parent = disk->driverfs_dev;

	set_capacity(disk, 0);
	WRITE_ONCE(disk->flags, disk->flags & ~GENHD_FL_UP);

	if (disk->queue)
		blk_unregister_queue(disk);
	else
		WARN_ON(1);

	disk->bb_node = NULL;
	disk->driverfs_dev = NULL;
	kernfs_put(bb_node);
	put_device(parent);
}
EXPORT_SYMBOL(del_gendisk);

/**
 * get_disk_and_module() - open a disk
 * @disk: the disk
 *
 * Return: its kobject, one more reference held, or NULL if it is not there
 * (any more).
 *
 * mirrors block/genhd.c:get_disk_and_module, v4.19
 */
struct kobject *get_disk_and_module(struct gendisk *disk)
{
	if (!(READ_ONCE(disk->flags) & GENHD_FL_UP))
		return NULL;
	if (!kref_get_unless_zero(&disk->kobj.kref))
		return NULL;
	return &disk->kobj;
}
EXPORT_SYMBOL(get_disk_and_module);

/* mirrors block/genhd.c:put_disk, v4.19 */
void put_disk(struct gendisk *disk)
{
	if (disk)
		kobject_put(&disk->kobj);
}
EXPORT_SYMBOL(put_disk);
