// SPDX-License-Identifier: GPL-2.0-only
/*
 * Freezing a queue.
 *
 * While mq_freeze_depth is above zero no I/O enters: the usage counter is
 * dead.  The depth is counted so that any number of tasks may want the queue
 * frozen; only the first kills the counter and only the last revives it.
 * Depth and counter change one after the other, not together: a freeze and an
 * unfreeze that overlap can apply their kill and their revival in the wrong
 * order.
 */

#include <linux/blkdev.h>
#include <linux/export.h>

/**
 * blk_freeze_queue_start() - let no more I/O enter
 * @q: the queue
 *
 * Does not wait for what is inside.
 *
 * mirrors block/blk-mq.c:blk_freeze_queue_start, v4.19
 */
void blk_freeze_queue_start(struct request_queue *q)
{
	if (atomic_inc_return(&q->mq_freeze_depth) == 1)
		percpu_ref_kill(&q->q_usage_counter);
}
EXPORT_SYMBOL_GPL(blk_freeze_queue_start);

/**
 * blk_mq_freeze_queue_wait() - wait until all I/O has left
 * @q: a queue whose freeze has been started
 *
 * Context: process, sleeps.
 *
 * mirrors block/blk-mq.c:blk_mq_freeze_queue_wait, v4.19
 */
void blk_mq_freeze_queue_wait(struct request_queue *q)
{
	wait_event(q->mq_freeze_wq, percpu_ref_is_zero(&q->q_usage_counter));
}
EXPORT_SYMBOL_GPL(blk_mq_freeze_queue_wait);

/**
 * blk_freeze_queue() - let no more I/O enter and wait until all has left
 * @q: the queue
 *
 * The kernel drains a queue with requests of its own between the two steps; a
 * queue that hands each bio to its driver at once has none.
 *
 * mirrors block/blk-mq.c:blk_freeze_queue, v4.19
 */
void blk_freeze_queue(struct request_queue *q)
{
	blk_freeze_queue_start(q);
	blk_mq_freeze_queue_wait(q);
}

/* mirrors block/blk-mq.c:blk_mq_freeze_queue, v4.19 */
void blk_mq_freeze_queue(struct request_queue *q)
{
	blk_freeze_queue(q);
}
EXPORT_SYMBOL_GPL(blk_mq_freeze_queue);

/**
 * blk_mq_unfreeze_queue() - counterpart of one freeze
 * @q: the queue
 *
 * mirrors block/blk-mq.c:blk_mq_unfreeze_queue, v4.19
 */
void blk_mq_unfreeze_queue(struct request_queue *q)
{
	int freeze_depth = atomic_dec_return(&q->mq_freeze_depth);

	WARN_ON_ONCE(freeze_depth < 0);
	if (!freeze_depth) {
		percpu_ref_reinit(&q->q_usage_counter);
		wake_up_all(&q->mq_freeze_wq);
	}
}
EXPORT_SYMBOL_GPL(blk_mq_unfreeze_queue);
