// SPDX-License-Identifier: GPL-2.0-only

#include <linux/blkdev.h>
#include <linux/export.h>
#include <linux/rcupdate.h>

static void blk_free_queue_rcu(struct rcu_head *rcu_head)
{
	kfree(container_of(rcu_head, struct request_queue, rcu_head));
}

/*
 * The queue's memory outlives the last reference by a grace period, so that
 * an RCU reader which found it may still try to enter, and fail.
 *
 * The kernel does this from a work item, because releasing what a queue has
 * besides may sleep; there is nothing of the kind here.
 *
 * mirrors block/blk-sysfs.c:blk_release_queue, v4.19
 */
static void blk_release_queue(struct kobject *kobj)
{
	struct request_queue *q = container_of(kobj, struct request_queue, kobj);

	call_rcu(&q->rcu_head, blk_free_queue_rcu);
}

const struct kobj_type blk_queue_ktype = {
	.release = blk_release_queue,
};

/**
 * blk_register_queue() - make the queue of a disk public
 * @disk: the disk
 *
 * From the first registration on the usage counter counts per CPU: a queue
 * that is probed and thrown away at once is spared the grace period which the
 * way back costs.
 *
 * Return: 0 or -ENXIO.
 *
 * mirrors block/blk-sysfs.c:blk_register_queue, v4.19
 */
int blk_register_queue(struct gendisk *disk)
{
	struct request_queue *q = disk->queue;

	if (WARN_ON(!q))
		return -ENXIO;

	WARN_ONCE(blk_queue_registered(q), "%s is registering an already registered queue\n",
		  disk->disk_name);
	blk_queue_flag_set(QUEUE_FLAG_REGISTERED, q);

	if (!blk_queue_init_done(q)) {
		blk_queue_flag_set(QUEUE_FLAG_INIT_DONE, q);
		percpu_ref_switch_to_percpu(&q->q_usage_counter);
	}
	return 0;
}
EXPORT_SYMBOL_GPL(blk_register_queue);

/**
 * blk_unregister_queue() - counterpart of blk_register_queue()
 * @disk: the disk
 *
 * mirrors block/blk-sysfs.c:blk_unregister_queue, v4.19
 */
void blk_unregister_queue(struct gendisk *disk)
{
	struct request_queue *q = disk->queue;

	if (WARN_ON(!q))
		return;
	/* The disk was never added. */
	if (!blk_queue_registered(q))
		return;

	mutex_lock(&q->sysfs_lock);
	blk_queue_flag_clear(QUEUE_FLAG_REGISTERED, q);
	mutex_unlock(&q->sysfs_lock);
}
