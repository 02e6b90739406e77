// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow for memory that is always valid: an eighth of its size in page
 * tables that all lead to one page of zeroes.
 */
#include <linux/kasan.h>
#include <linux/mm.h>
#include <linux/slab.h>

/*
 * Entries of the top table that a shadow range touches.  Each is good for
 * three lower levels of page tables.
 */
static unsigned long pgd_entries(unsigned long shadow_start, unsigned long shadow_end)
{
	unsigned int shift = PAGE_SHIFT + 3 * (PAGE_SHIFT - 3);

	if (shift >= BITS_PER_LONG)
		return 1;
	return ((shadow_end - 1) >> shift) - (shadow_start >> shift) + 1;
}

/* Return: false if a table could not be had. */
static noinline bool zero_pud_populate(unsigned long entries)
{
	return reserve_pages(entries) == entries;
}

/*
 * Only the top level looks at what the levels below return, and then only at
 * its own allocation: a shadow that could not be mapped is not noticed.
 */
static noinline int kasan_populate_zero_shadow(unsigned long start, unsigned long size)
{
	unsigned long shadow_start = start >> KASAN_SHADOW_SCALE_SHIFT;
	unsigned long shadow_end = (start + size) >> KASAN_SHADOW_SCALE_SHIFT;
	unsigned long entries;

	if (shadow_start == shadow_end)
		return 0;
	entries = pgd_entries(shadow_start, shadow_end);
	if (reserve_pages(entries) < entries)
		return -ENOMEM;
	if (zero_pud_populate(entries))
		set_zero_shadow(PFN_DOWN(start), PFN_DOWN(size));
	return 0;
}

/**
 * kasan_add_zero_shadow() - give memory a shadow that says "all valid"
 * @start: virtual address in the linear map, multiple of 8 pages
 * @size: bytes, multiple of 8 pages
 *
 * mirrors mm/kasan/kasan_init.c:kasan_add_zero_shadow, v4.19
 *
 * Context: process, may sleep.
 * Return: 0, -EINVAL, -ENOMEM for the top level of the tables only.
 */
noinline int kasan_add_zero_shadow(void *start, unsigned long size)
{
	unsigned long unit = KASAN_SHADOW_SCALE_SIZE * PAGE_SIZE;

	if (!kernel_data()->config.kasan)
		return 0;
	if (WARN_ON((unsigned long)start % unit) || WARN_ON(size % unit))
		return -EINVAL;
	return kasan_populate_zero_shadow(__pa(start), size);
}

/**
 * kasan_remove_zero_shadow() - the reverse of kasan_add_zero_shadow()
 * @start: virtual address in the linear map, multiple of 8 pages
 * @size: bytes, multiple of 8 pages
 *
 * Removing what is not there is harmless, and done.
 *
 * mirrors mm/kasan/kasan_init.c:kasan_remove_zero_shadow, v4.19
 */
noinline void kasan_remove_zero_shadow(void *start, unsigned long size)
{
	unsigned long unit = KASAN_SHADOW_SCALE_SIZE * PAGE_SIZE;

	if (!kernel_data()->config.kasan)
		return;
	if (WARN_ON((unsigned long)start % unit) || WARN_ON(size % unit))
		return;
	clear_zero_shadow(PFN_DOWN(__pa(start)), PFN_DOWN(size));
}
