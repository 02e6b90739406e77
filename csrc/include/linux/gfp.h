/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_GFP_H
#define _LINUX_GFP_H

#include <linux/kernel_data.h>
#include <linux/slab.h>

/*
 * Whole pages for the kernel's own use come from the slab allocator: nobody
 * looks at their struct pages, and there they are watched like all memory.
 * Return: address, or 0.
 */
#define __get_free_pages(gfp, order) \
	((unsigned long)kmalloc((size_t)1 << (kernel_data()->config.page_shift + (order)), gfp))

static inline void free_pages(unsigned long addr, unsigned int order)
{
	(void)order;
	kfree((const void *)addr);
}

#endif
