/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_PAGES_H
#define EMU_PAGES_H

/*
 * Large tables of which little is used: only the pages that are touched cost
 * anything.  From calloc() they are zeroed whole as soon as one has been freed.
 */

#include <stddef.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096UL

/** page_up() - whole pages for @size bytes */
static inline size_t page_up(size_t size)
{
	return (size + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

/** map_pages() - @size bytes that read as zeroes; NULL: the host is out of memory */
static inline void *map_pages(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/** unmap_pages() - they are not needed any more; @p may be NULL */
static inline void unmap_pages(void *p, size_t size)
{
	if (p)
		munmap(p, size);
}

#endif
