/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_GENALLOC_H
#define _LINUX_GENALLOC_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>

/**
 * struct gen_pool - memory to be handed out in pieces that nobody here touches
 * @lock: protects the list and the maps of the chunks
 * @chunks: ranges, newest first
 * @min_alloc_order: log2 of the bytes that one bit of a map stands for
 */
struct gen_pool {
	spinlock_t lock;
	struct list_head chunks;
	unsigned int min_alloc_order;
};

/**
 * struct gen_pool_chunk - one range of a pool
 * @next_chunk: link in the pool
 * @avail: bytes left
 * @phys_addr: bus address that goes with @start_addr
 * @start_addr: first address
 * @end_addr: last address
 * @owner: whose it is, handed out with each piece
 * @bits: one for each unit, set: handed out
 */
struct gen_pool_chunk {
	struct list_head next_chunk;
	size_t avail;
	phys_addr_t phys_addr;
	unsigned long start_addr;
	unsigned long end_addr;
	void *owner;
	unsigned long bits[];
};

struct gen_pool *gen_pool_create(unsigned int min_alloc_order, int nid);
int gen_pool_add_virt(struct gen_pool *pool, unsigned long virt, phys_addr_t phys, size_t size,
		      int nid);
int gen_pool_add_owner(struct gen_pool *pool, unsigned long virt, phys_addr_t phys, size_t size,
		       int nid, void *owner);
void gen_pool_destroy(struct gen_pool *pool);
unsigned long gen_pool_alloc(struct gen_pool *pool, size_t size);
unsigned long gen_pool_alloc_owner(struct gen_pool *pool, size_t size, void **owner);
void gen_pool_free(struct gen_pool *pool, unsigned long addr, size_t size);
void gen_pool_free_owner(struct gen_pool *pool, unsigned long addr, size_t size, void **owner);
phys_addr_t gen_pool_virt_to_phys(struct gen_pool *pool, unsigned long addr);
size_t gen_pool_avail(struct gen_pool *pool);
size_t gen_pool_size(struct gen_pool *pool);

#endif
