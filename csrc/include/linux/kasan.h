/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_KASAN_H
#define _LINUX_KASAN_H

/* One shadow byte for each granule of this many bytes. */
#define KASAN_SHADOW_SCALE_SHIFT 3
#define KASAN_SHADOW_SCALE_SIZE (1UL << KASAN_SHADOW_SCALE_SHIFT)

int kasan_add_zero_shadow(void *start, unsigned long size);
void kasan_remove_zero_shadow(void *start, unsigned long size);

#endif
