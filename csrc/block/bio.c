// SPDX-License-Identifier: GPL-2.0-only

#include <linux/blkdev.h>
#include <linux/export.h>

/**
 * bio_alloc() - a new I/O, to be filled in by the caller
 * @gfp_mask: GFP_*
 *
 * Return: the bio, or NULL.
 */
struct bio *bio_alloc(gfp_t gfp_mask)
{
	return kzalloc(sizeof(struct bio), gfp_mask);
}
EXPORT_SYMBOL(bio_alloc);

void bio_put(struct bio *bio)
{
	kfree(bio);
}
EXPORT_SYMBOL(bio_put);

/**
 * bio_endio() - the I/O has ended
 * @bio: the I/O, its status set
 *
 * Called by whoever plays the hardware, once, in any context.  Lets go of the
 * queue last: the callback may free the bio, and may rely on the queue.
 *
 * mirrors block/bio.c:bio_endio and the tail of
 * block/blk-core.c:generic_make_request, v4.19
 */
void bio_endio(struct bio *bio)
{
	struct request_queue *q = NULL;

	if (bio_flagged(bio, BIO_QUEUE_ENTERED)) {
		bio->bi_flags &= ~(1u << BIO_QUEUE_ENTERED);
		q = bio->bi_disk->queue;
	}
	if (bio->bi_end_io)
		bio->bi_end_io(bio);
	if (q)
		blk_queue_exit(q);
}
EXPORT_SYMBOL(bio_endio);
