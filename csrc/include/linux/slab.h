/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_SLAB_H
#define _LINUX_SLAB_H

#include <linux/types.h>

#define __GFP_ZERO 0x8000u
#define __GFP_DIRECT_RECLAIM 0x200000u
#define __GFP_NOWARN 0x200u
#define GFP_ATOMIC 0x480020u
#define GFP_KERNEL 0x6000c0u
#define GFP_HIGHUSER 0x6200c2u
#define GFP_NOWAIT 0x400000u

/* What kmalloc(0) returns: valid to pass around and to kfree(), not to use. */
#define ZERO_SIZE_PTR ((void *)16)

/**
 * kmalloc_caller() - allocate memory
 * @size: bytes
 * @gfp: GFP_*; may sleep if it has __GFP_DIRECT_RECLAIM; zeroed if __GFP_ZERO
 * @caller: function on whose behalf, the name of the fault point
 *
 * Return: the memory, or NULL if this allocation is one that fails.
 */
void *kmalloc_caller(size_t size, gfp_t gfp, const char *caller);
void *kcalloc_caller(size_t n, size_t size, gfp_t gfp, const char *caller);
void kfree(const void *p);

#define kmalloc(size, gfp) kmalloc_caller(size, gfp, __func__)
#define kzalloc(size, gfp) kmalloc_caller(size, (gfp) | __GFP_ZERO, __func__)
#define kcalloc(n, size, gfp) kcalloc_caller(n, size, (gfp) | __GFP_ZERO, __func__)
#define kmalloc_array(n, size, gfp) kcalloc_caller(n, size, gfp, __func__)
#define kzalloc_node(size, gfp, nid) ((void)(nid), kzalloc(size, gfp))
char *kstrdup_caller(const char *s, gfp_t gfp, const char *caller);
#define kstrdup(s, gfp) kstrdup_caller(s, gfp, __func__)

/**
 * reserve_pages_caller() - ask for several equal allocations at once
 * @n: how many
 * @caller: name of the fault point, counted once for each
 *
 * Stands for a loop that allocates the same thing for each section of a range
 * when nobody looks at the sections one by one.  Nothing is handed out: what
 * is allocated is page storage, which the machine accounts for elsewhere.
 *
 * Return: how many of the @n succeed before the first that fails.
 */
unsigned long reserve_pages_caller(unsigned long n, const char *caller);
#define reserve_pages(n) reserve_pages_caller(n, __func__)

#endif
