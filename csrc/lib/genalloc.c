// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pools of memory that must not be touched to manage it: what is free stands
 * in bit maps beside it.
 *
 * A deliberate difference: the maps are changed under the lock of the pool and
 * not by compare-and-exchange, so that an allocation is one step.
 */
#include <linux/export.h>
#include <linux/genalloc.h>
#include <linux/kernel.h>
#include <linux/slab.h>

static size_t chunk_size(const struct gen_pool_chunk *chunk)
{
	return chunk->end_addr - chunk->start_addr + 1;
}

static bool test_bit(const unsigned long *bits, unsigned long nr)
{
	return bits[nr / BITS_PER_LONG] >> nr % BITS_PER_LONG & 1;
}

static void change_bits(unsigned long *bits, unsigned long first, unsigned long n, bool on)
{
	while (n) {
		unsigned long bit = first % BITS_PER_LONG;
		unsigned long here = min(n, BITS_PER_LONG - bit);
		unsigned long mask = (here == BITS_PER_LONG ? ~0UL : BIT(here) - 1) << bit;

		if (on)
			bits[first / BITS_PER_LONG] |= mask;
		else
			bits[first / BITS_PER_LONG] &= ~mask;
		first += here;
		n -= here;
	}
}

/* First place at or behind @from whose bit is @on, @end if there is none. */
static unsigned long find_bit(const unsigned long *bits, unsigned long from, unsigned long end,
			      bool on)
{
	while (from < end) {
		unsigned long word = bits[from / BITS_PER_LONG];

		word = (on ? word : ~word) >> from % BITS_PER_LONG;
		if (word)
			return min(from + (unsigned long)__builtin_ctzl(word), end);
		from = (from / BITS_PER_LONG + 1) * BITS_PER_LONG;
	}
	return end;
}

/* Lowest run of @n clear bits among the first @end, @end if there is none. */
static unsigned long find_clear_run(const unsigned long *bits, unsigned long end, unsigned long n)
{
	unsigned long first = find_bit(bits, 0, end, false);

	while (first < end && n <= end - first) {
		unsigned long next = find_bit(bits, first, first + n, true);

		if (next == first + n)
			return first;
		first = find_bit(bits, next, end, false);
	}
	return end;
}

/**
 * gen_pool_create() - make an empty pool
 * @min_alloc_order: log2 of the unit of allocation
 * @nid: node
 *
 * mirrors lib/genalloc.c:gen_pool_create, v4.19
 *
 * Return: the pool or NULL.
 */
struct gen_pool *gen_pool_create(unsigned int min_alloc_order, int nid)
{
	struct gen_pool *pool = kzalloc_node(sizeof(*pool), GFP_KERNEL, nid);

	if (!pool)
		return NULL;
	spin_lock_init(&pool->lock);
	INIT_LIST_HEAD(&pool->chunks);
	pool->min_alloc_order = min_alloc_order;
	return pool;
}
EXPORT_SYMBOL(gen_pool_create);

/**
 * gen_pool_add_owner() - add a range of somebody's
 * @pool: pool
 * @virt: first address
 * @phys: bus address of it
 * @size: bytes
 * @nid: node
 * @owner: what gen_pool_alloc_owner() and gen_pool_free_owner() tell about its pieces
 *
 * mirrors lib/genalloc.c:gen_pool_add_owner, v5.2
 *
 * Context: may sleep.  Return: 0 or -ENOMEM.
 */
int gen_pool_add_owner(struct gen_pool *pool, unsigned long virt, phys_addr_t phys, size_t size,
		       int nid, void *owner)
{
	unsigned long nbits = size >> pool->min_alloc_order;
	struct gen_pool_chunk *chunk;

	chunk = kzalloc_node(sizeof(*chunk) +
				     DIV_ROUND_UP(nbits, BITS_PER_LONG) * sizeof(unsigned long),
			     GFP_KERNEL, nid);
	if (!chunk)
		return -ENOMEM;
	chunk->phys_addr = phys;
	chunk->start_addr = virt;
	chunk->end_addr = virt + size - 1;
	chunk->avail = size;
	chunk->owner = owner;

	spin_lock(&pool->lock);
	list_add(&chunk->next_chunk, &pool->chunks);
	spin_unlock(&pool->lock);
	return 0;
}
EXPORT_SYMBOL(gen_pool_add_owner);

/* The same for a range that is nobody's; mirrors gen_pool_add_virt, v4.19. */
int gen_pool_add_virt(struct gen_pool *pool, unsigned long virt, phys_addr_t phys, size_t size,
		      int nid)
{
	return gen_pool_add_owner(pool, virt, phys, size, nid, NULL);
}
EXPORT_SYMBOL(gen_pool_add_virt);

/**
 * gen_pool_destroy() - end a pool of which everything has come back
 * @pool: pool
 *
 * mirrors lib/genalloc.c:gen_pool_destroy, v4.19
 */
void gen_pool_destroy(struct gen_pool *pool)
{
	struct gen_pool_chunk *chunk, *next;

	list_for_each_entry_safe(chunk, next, &pool->chunks, next_chunk) {
		unsigned long end_bit = chunk_size(chunk) >> pool->min_alloc_order;
		unsigned long bit = find_bit(chunk->bits, 0, end_bit, true);

		list_del(&chunk->next_chunk);
		BUG_ON(bit < end_bit);
		kfree(chunk);
	}
	kfree(pool);
}
EXPORT_SYMBOL(gen_pool_destroy);

/**
 * gen_pool_alloc_owner() - take a piece, first fit
 * @pool: pool
 * @size: bytes, rounded up to units
 * @owner: where to leave whose it is; may be NULL
 *
 * mirrors lib/genalloc.c:gen_pool_alloc_owner, v5.2
 *
 * Context: any.  Return: address, or 0.
 */
unsigned long gen_pool_alloc_owner(struct gen_pool *pool, size_t size, void **owner)
{
	unsigned int order = pool->min_alloc_order;
	unsigned long nbits, addr = 0;
	struct gen_pool_chunk *chunk;

	if (!size)
		return 0;
	nbits = ((size - 1) >> order) + 1;

	spin_lock(&pool->lock);
	list_for_each_entry(chunk, &pool->chunks, next_chunk) {
		unsigned long end_bit = chunk_size(chunk) >> order;
		unsigned long start_bit;

		if (size > chunk->avail)
			continue;
		start_bit = find_clear_run(chunk->bits, end_bit, nbits);
		if (start_bit >= end_bit)
			continue;
		change_bits(chunk->bits, start_bit, nbits, true);
		chunk->avail -= nbits << order;
		addr = chunk->start_addr + (start_bit << order);
		if (owner)
			*owner = chunk->owner;
		break;
	}
	spin_unlock(&pool->lock);
	return addr;
}
EXPORT_SYMBOL(gen_pool_alloc_owner);

/* The same for whoever does not ask; mirrors gen_pool_alloc, v4.19. */
unsigned long gen_pool_alloc(struct gen_pool *pool, size_t size)
{
	return gen_pool_alloc_owner(pool, size, NULL);
}
EXPORT_SYMBOL(gen_pool_alloc);

/**
 * gen_pool_free_owner() - give a piece back
 * @pool: pool
 * @addr: what gen_pool_alloc() returned; anything else is a bug
 * @size: the size it was asked for
 * @owner: where to leave whose it is; may be NULL
 *
 * mirrors lib/genalloc.c:gen_pool_free_owner, v5.2
 *
 * Context: any.
 */
void gen_pool_free_owner(struct gen_pool *pool, unsigned long addr, size_t size, void **owner)
{
	unsigned int order = pool->min_alloc_order;
	unsigned long nbits = (size + BIT(order) - 1) >> order;
	struct gen_pool_chunk *chunk;

	spin_lock(&pool->lock);
	list_for_each_entry(chunk, &pool->chunks, next_chunk) {
		unsigned long start_bit;

		if (addr < chunk->start_addr || addr > chunk->end_addr)
			continue;
		BUG_ON(addr + size - 1 > chunk->end_addr);
		start_bit = (addr - chunk->start_addr) >> order;
		for (unsigned long i = 0; i < nbits; i++)
			BUG_ON(!test_bit(chunk->bits, start_bit + i));
		change_bits(chunk->bits, start_bit, nbits, false);
		chunk->avail += nbits << order;
		if (owner)
			*owner = chunk->owner;
		spin_unlock(&pool->lock);
		return;
	}
	spin_unlock(&pool->lock);
	BUG();
}
EXPORT_SYMBOL(gen_pool_free_owner);

/* The same for whoever does not ask; mirrors gen_pool_free, v4.19. */
void gen_pool_free(struct gen_pool *pool, unsigned long addr, size_t size)
{
	gen_pool_free_owner(pool, addr, size, NULL);
}
EXPORT_SYMBOL(gen_pool_free);

/* mirrors lib/genalloc.c:gen_pool_virt_to_phys, v4.19; all ones if not in the pool */
phys_addr_t gen_pool_virt_to_phys(struct gen_pool *pool, unsigned long addr)
{
	struct gen_pool_chunk *chunk;
	phys_addr_t paddr = ~0ULL;

	spin_lock(&pool->lock);
	list_for_each_entry(chunk, &pool->chunks, next_chunk) {
		if (addr >= chunk->start_addr && addr <= chunk->end_addr) {
			paddr = chunk->phys_addr + (addr - chunk->start_addr);
			break;
		}
	}
	spin_unlock(&pool->lock);
	return paddr;
}
EXPORT_SYMBOL(gen_pool_virt_to_phys);

/* mirrors lib/genalloc.c:gen_pool_avail, v4.19 */
size_t gen_pool_avail(struct gen_pool *pool)
{
	struct gen_pool_chunk *chunk;
	size_t avail = 0;

	spin_lock(&pool->lock);
	list_for_each_entry(chunk, &pool->chunks, next_chunk)
		avail += chunk->avail;
	spin_unlock(&pool->lock);
	return avail;
}
EXPORT_SYMBOL_GPL(gen_pool_avail);

/* mirrors lib/genalloc.c:gen_pool_size, v4.19 */
size_t gen_pool_size(struct gen_pool *pool)
{
	struct gen_pool_chunk *chunk;
	size_t size = 0;

	spin_lock(&pool->lock);
	list_for_each_entry(chunk, &pool->chunks, next_chunk)
		size += chunk_size(chunk);
	spin_unlock(&pool->lock);
	return size;
}
EXPORT_SYMBOL_GPL(gen_pool_size);
