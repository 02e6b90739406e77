// SPDX-License-Identifier: GPL-2.0-only
/*
 * Request queues that hand each bio to their driver at once.
 *
 * Two counts keep a queue.  The kobject keeps its memory.  q_usage_counter
 * keeps it usable: an I/O holds it from generic_make_request() to
 * bio_endio(), and a driver may lend it to somebody who must be gone before
 * the queue is, as pmem does to the pages of its namespace.  Killing it
 * (blk_freeze_queue_start()) closes the door, reaching zero means that the
 * last one has left.
 */

#include <linux/blkdev.h>
#include <linux/export.h>
#include <linux/rcupdate.h>

/* mirrors block/blk-core.c:blk_queue_flag_set, v4.19 */
void blk_queue_flag_set(unsigned int flag, struct request_queue *q)
{
	unsigned long flags;

	spin_lock_irqsave(q->queue_lock, flags);
	WRITE_ONCE(q->queue_flags, q->queue_flags | (1UL << flag));
	spin_unlock_irqrestore(q->queue_lock, flags);
}
EXPORT_SYMBOL(blk_queue_flag_set);

/* mirrors block/blk-core.c:blk_queue_flag_clear, v4.19 */
void blk_queue_flag_clear(unsigned int flag, struct request_queue *q)
{
	unsigned long flags;

	spin_lock_irqsave(q->queue_lock, flags);
	WRITE_ONCE(q->queue_flags, q->queue_flags & ~(1UL << flag));
	spin_unlock_irqrestore(q->queue_lock, flags);
}
EXPORT_SYMBOL(blk_queue_flag_clear);

/* Runs in the context of the last put, which may not sleep. */
static void blk_queue_usage_counter_release(struct percpu_ref *ref)
{
	struct request_queue *q = container_of(ref, struct request_queue, q_usage_counter);

	wake_up_all(&q->mq_freeze_wq);
}

/**
 * blk_alloc_queue_node() - make a queue
 * @gfp_mask: GFP_*
 * @node_id: NUMA node
 * @lock: the driver's own queue lock, or NULL
 *
 * The usage counter starts in atomic mode, see blk_register_queue().
 *
 * Return: the queue with one reference, or NULL.
 *
 * mirrors block/blk-core.c:blk_alloc_queue_node, v4.19
 */
struct request_queue *blk_alloc_queue_node(gfp_t gfp_mask, int node_id, spinlock_t *lock)
{
	struct request_queue *q;

	q = kzalloc_node(sizeof(*q), gfp_mask, node_id);
	if (!q)
		return NULL;

	q->node = node_id;
	kobject_init(&q->kobj, &blk_queue_ktype);
	mutex_init(&q->sysfs_lock);
	spin_lock_init(&q->__queue_lock);
	q->queue_lock = lock ? lock : &q->__queue_lock;
	init_waitqueue_head(&q->mq_freeze_wq);

	if (percpu_ref_init(&q->q_usage_counter, blk_queue_usage_counter_release,
			    PERCPU_REF_INIT_ATOMIC, GFP_KERNEL))
		goto fail_q;

	return q;

fail_q:
	kfree(q);
	return NULL;
}
EXPORT_SYMBOL(blk_alloc_queue_node);

/* mirrors block/blk-settings.c:blk_queue_make_request, v4.19 */
void blk_queue_make_request(struct request_queue *q, make_request_fn *mfn)
{
	q->make_request_fn = mfn;
}
EXPORT_SYMBOL(blk_queue_make_request);

/**
 * blk_get_queue() - take a reference to a queue
 * @q: the queue
 *
 * Return: false if the queue is being torn down.
 *
 * mirrors block/blk-core.c:blk_get_queue, v4.19
 */
bool blk_get_queue(struct request_queue *q)
{
	if (blk_queue_dying(q))
		return false;
	kobject_get(&q->kobj);
	return true;
}
EXPORT_SYMBOL(blk_get_queue);

/* mirrors block/blk-core.c:blk_put_queue, v4.19 */
void blk_put_queue(struct request_queue *q)
{
	kobject_put(&q->kobj);
}
EXPORT_SYMBOL(blk_put_queue);

/**
 * blk_set_queue_dying() - let no I/O enter any more, ever
 * @q: the queue
 *
 * mirrors block/blk-core.c:blk_set_queue_dying, v4.19
 */
void blk_set_queue_dying(struct request_queue *q)
{
	blk_queue_flag_set(QUEUE_FLAG_DYING, q);

	/* The flag is only looked at by who finds the counter dead. */
	blk_freeze_queue_start(q);

	/* Who waits for an unfreeze shall not wait any longer. */
	wake_up_all(&q->mq_freeze_wq);
}
EXPORT_SYMBOL_GPL(blk_set_queue_dying);

/**
 * blk_cleanup_queue() - tear a queue down
 * @q: the queue; the caller's reference is consumed
 *
 * Waits for all who hold the usage counter.  Its kill is counted
 * (mq_freeze_depth), so that it makes no difference whether the counter has
 * been killed before.
 *
 * Context: process, sleeps.
 *
 * mirrors block/blk-core.c:blk_cleanup_queue, v4.19
 */
void blk_cleanup_queue(struct request_queue *q)
{
	mutex_lock(&q->sysfs_lock);
	blk_set_queue_dying(q);
	mutex_unlock(&q->sysfs_lock);

	blk_freeze_queue(q);
	blk_queue_flag_set(QUEUE_FLAG_DEAD, q);

	percpu_ref_exit(&q->q_usage_counter);
	blk_put_queue(q);
}
EXPORT_SYMBOL(blk_cleanup_queue);

/**
 * blk_queue_enter() - enter a queue
 * @q: the queue
 * @flags: BLK_MQ_REQ_NOWAIT: do not wait for an unfreeze
 *
 * Context: process, sleeps while the queue is frozen.
 *
 * Return: 0, the usage counter held; -EBUSY if frozen and not willing to wait;
 * -ENODEV if the queue is being torn down.
 *
 * mirrors block/blk-core.c:blk_queue_enter, v4.19
 */
int blk_queue_enter(struct request_queue *q, blk_mq_req_flags_t flags)
{
	for (;;) {
		bool success;

		rcu_read_lock();
		success = percpu_ref_tryget_live(&q->q_usage_counter);
		rcu_read_unlock();

		if (success)
			return 0;

		if (flags & BLK_MQ_REQ_NOWAIT)
			return -EBUSY;

		wait_event(q->mq_freeze_wq,
			   atomic_read(&q->mq_freeze_depth) == 0 || blk_queue_dying(q));
		if (blk_queue_dying(q))
			return -ENODEV;
	}
}

/* mirrors block/blk-core.c:blk_queue_exit, v4.19 */
void blk_queue_exit(struct request_queue *q)
{
	percpu_ref_put(&q->q_usage_counter);
}

/* mirrors block/blk-core.c:bio_check_eod, v4.19 */
static bool bio_check_eod(const struct bio *bio)
{
	sector_t maxsector = get_capacity(bio->bi_disk);
	sector_t nr_sectors = bio->bi_size >> SECTOR_SHIFT;

	return nr_sectors && (nr_sectors > maxsector || bio->bi_sector > maxsector - nr_sectors);
}

/* mirrors block/blk-core.c:blk_status_to_errno, v4.19 */
int blk_status_to_errno(blk_status_t status)
{
	switch (status) {
	case BLK_STS_OK:
		return 0;
	case BLK_STS_AGAIN:
		return -EAGAIN;
	default:
		return -EIO;
	}
}
EXPORT_SYMBOL_GPL(blk_status_to_errno);

/**
 * generic_make_request() - hand an I/O to its driver
 * @bio: the I/O
 *
 * Enters the queue.  An I/O is in flight when this returns: it stays inside
 * until bio_endio().  (A pmem driver has copied the data by then and ends the
 * bio itself.  Here somebody else ends it, so that other things can happen
 * during the copy.)  If it cannot enter, it has ended already, in error.
 *
 * Context: process, sleeps while the queue is frozen, unless REQ_NOWAIT.
 *
 * mirrors block/blk-core.c:generic_make_request, v4.19
 */
blk_qc_t generic_make_request(struct bio *bio)
{
	struct request_queue *q = bio->bi_disk->queue;
	blk_mq_req_flags_t flags = 0;

	might_sleep();
	if (bio->bi_opf & REQ_NOWAIT)
		flags = BLK_MQ_REQ_NOWAIT;

	if (blk_queue_enter(q, flags) < 0) {
		if (!blk_queue_dying(q) && (bio->bi_opf & REQ_NOWAIT))
			bio_wouldblock_error(bio);
		else
			bio_io_error(bio);
		return BLK_QC_T_NONE;
	}
	bio->bi_flags |= 1u << BIO_QUEUE_ENTERED;

	if (bio_check_eod(bio)) {
		bio_io_error(bio);
		return BLK_QC_T_NONE;
	}
	return q->make_request_fn(q, bio);
}
EXPORT_SYMBOL(generic_make_request);

/* mirrors block/blk-core.c:submit_bio, v4.19 */
blk_qc_t submit_bio(struct bio *bio)
{
	return generic_make_request(bio);
}
EXPORT_SYMBOL(submit_bio);
