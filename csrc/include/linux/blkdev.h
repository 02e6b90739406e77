/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_BLKDEV_H
#define _LINUX_BLKDEV_H

#include <linux/atomic.h>
#include <linux/badblocks.h>
#include <linux/kernfs.h>
#include <linux/kobject.h>
#include <linux/mutex.h>
#include <linux/percpu-refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

struct bio;
struct device;
struct gendisk;
struct request_queue;

typedef u64 sector_t;
typedef u8 blk_status_t;
typedef unsigned int blk_qc_t;
typedef blk_qc_t(make_request_fn)(struct request_queue *q, struct bio *bio);

#define SECTOR_SHIFT 9
#define BLK_QC_T_NONE (-1U)

#define BLK_STS_OK ((blk_status_t)0)
#define BLK_STS_IOERR ((blk_status_t)10)
#define BLK_STS_AGAIN ((blk_status_t)12)

/* ---- queues: block/blk-core.c, blk-mq.c, blk-sysfs.c ---- */

#define QUEUE_FLAG_DYING 0 /* being torn down: takes no I/O any more */
#define QUEUE_FLAG_DEAD 1 /* torn down */
#define QUEUE_FLAG_INIT_DONE 2 /* has been registered once */
#define QUEUE_FLAG_REGISTERED 3 /* is registered */

/**
 * struct request_queue - where the I/O of a disk enters
 * @make_request_fn: takes each bio
 * @queuedata: of the driver
 * @node: NUMA node of the queue
 * @queue_flags: QUEUE_FLAG_*, changed under @queue_lock, read without it
 * @__queue_lock: what @queue_lock points to unless the driver brought its own
 * @queue_lock: see @queue_flags
 * @kobj: references; the last one frees the queue after an RCU grace period
 * @sysfs_lock: registration and the start of the teardown exclude each other
 * @mq_freeze_depth: how many want no I/O to enter; not 0: the counter is dead
 * @mq_freeze_wq: woken when the counter reaches zero and when I/O may enter
 * @q_usage_counter: held by every I/O inside, and by whoever borrows it
 * @rcu_head: for the free
 */
struct request_queue {
	make_request_fn *make_request_fn;
	void *queuedata;
	int node;
	unsigned long queue_flags;
	spinlock_t __queue_lock;
	spinlock_t *queue_lock;
	struct kobject kobj;
	struct mutex sysfs_lock;
	atomic_t mq_freeze_depth;
	wait_queue_head_t mq_freeze_wq;
	struct percpu_ref q_usage_counter;
	struct rcu_head rcu_head;
};

static inline bool blk_queue_flag_test(const struct request_queue *q, unsigned int flag)
{
	return (READ_ONCE(q->queue_flags) & (1UL << flag)) != 0;
}
#define blk_queue_dying(q) blk_queue_flag_test(q, QUEUE_FLAG_DYING)
#define blk_queue_dead(q) blk_queue_flag_test(q, QUEUE_FLAG_DEAD)
#define blk_queue_init_done(q) blk_queue_flag_test(q, QUEUE_FLAG_INIT_DONE)
#define blk_queue_registered(q) blk_queue_flag_test(q, QUEUE_FLAG_REGISTERED)

typedef unsigned int blk_mq_req_flags_t;
#define BLK_MQ_REQ_NOWAIT 1u

void blk_queue_flag_set(unsigned int flag, struct request_queue *q);
void blk_queue_flag_clear(unsigned int flag, struct request_queue *q);

struct request_queue *blk_alloc_queue_node(gfp_t gfp_mask, int node_id, spinlock_t *lock);
void blk_queue_make_request(struct request_queue *q, make_request_fn *mfn);
bool blk_get_queue(struct request_queue *q);
void blk_put_queue(struct request_queue *q);
void blk_set_queue_dying(struct request_queue *q);
void blk_cleanup_queue(struct request_queue *q);
int blk_queue_enter(struct request_queue *q, blk_mq_req_flags_t flags);
void blk_queue_exit(struct request_queue *q);

void blk_freeze_queue_start(struct request_queue *q);
void blk_mq_freeze_queue_wait(struct request_queue *q);
void blk_freeze_queue(struct request_queue *q);
void blk_mq_freeze_queue(struct request_queue *q);
void blk_mq_unfreeze_queue(struct request_queue *q);

int blk_register_queue(struct gendisk *disk);
void blk_unregister_queue(struct gendisk *disk);
extern const struct kobj_type blk_queue_ktype;

/* ---- I/O: block/bio.c, blk-core.c ---- */

#define REQ_OP_READ 0u
#define REQ_OP_WRITE 1u
#define REQ_NOWAIT (1u << 21)

/* The bio holds its queue's usage counter. */
#define BIO_QUEUE_ENTERED 10

/**
 * struct bio - one I/O
 * @bi_disk: where it goes; the submitter keeps a reference to it
 * @bi_opf: REQ_OP_* and flags
 * @bi_flags: bits BIO_*
 * @bi_status: BLK_STS_*, final when the I/O has ended
 * @bi_sector: first sector
 * @bi_size: bytes
 * @bi_phys: physical address of the first sector, known once the driver has it
 * @bi_end_io: called when the I/O has ended, or NULL
 * @bi_private: of the submitter
 */
struct bio {
	struct gendisk *bi_disk;
	unsigned int bi_opf;
	unsigned int bi_flags;
	blk_status_t bi_status;
	sector_t bi_sector;
	unsigned int bi_size;
	phys_addr_t bi_phys;
	void (*bi_end_io)(struct bio *bio);
	void *bi_private;
};

static inline bool bio_flagged(const struct bio *bio, unsigned int bit)
{
	return (bio->bi_flags & (1u << bit)) != 0;
}

struct bio *bio_alloc(gfp_t gfp_mask);
void bio_put(struct bio *bio);
void bio_endio(struct bio *bio);
blk_qc_t generic_make_request(struct bio *bio);
blk_qc_t submit_bio(struct bio *bio);
int blk_status_to_errno(blk_status_t status);

static inline void bio_io_error(struct bio *bio)
{
	bio->bi_status = BLK_STS_IOERR;
	bio_endio(bio);
}

static inline void bio_wouldblock_error(struct bio *bio)
{
	bio->bi_status = BLK_STS_AGAIN;
	bio_endio(bio);
}

/* ---- disks: block/genhd.c ---- */

#define GENHD_FL_UP 0x0010
#define GENHD_FL_EXT_DEVT 0x0040
#define DISK_NAME_LEN 32

/**
 * struct gendisk - a disk
 * @disk_name: name
 * @queue: where its I/O enters; the reference that device_add_disk() takes is
 *	put with the disk's last one
 * @private_data: of the driver
 * @flags: GENHD_FL_*
 * @node_id: NUMA node
 * @capacity: sectors
 * @bb: its bad sectors, or NULL
 * @bb_node: file through which a change of @bb is announced, or NULL
 * @driverfs_dev: device that it is the disk of, held while the disk is added
 * @kobj: references
 */
struct gendisk {
	char disk_name[DISK_NAME_LEN];
	struct request_queue *queue;
	void *private_data;
	int flags;
	int node_id;
	sector_t capacity;
	struct badblocks *bb;
	struct kernfs_node *bb_node;
	struct device *driverfs_dev;
	struct kobject kobj;
};

static inline void set_capacity(struct gendisk *disk, sector_t sectors)
{
	WRITE_ONCE(disk->capacity, sectors);
}

static inline sector_t get_capacity(const struct gendisk *disk)
{
	return READ_ONCE(disk->capacity);
}

struct gendisk *__alloc_disk_node(int minors, int node_id);
#define alloc_disk_node(minors, node_id) __alloc_disk_node(minors, node_id)
void device_add_disk(struct device *parent, struct gendisk *disk);
void del_gendisk(struct gendisk *disk);
struct kobject *get_disk_and_module(struct gendisk *disk);
void put_disk(struct gendisk *disk);

#endif
