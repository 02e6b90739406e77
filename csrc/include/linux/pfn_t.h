/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_PFN_T_H
#define _LINUX_PFN_T_H

#include <linux/types.h>

/*
 * What is known of a page frame, in the top bits of its number: PFN_DEV, it
 * belongs to a device; PFN_MAP, it has a struct page.
 */
typedef struct {
	u64 val;
} pfn_t;

#define PFN_DEV (1ULL << 61)
#define PFN_MAP (1ULL << 60)
#define PFN_FLAGS_MASK (0xfffULL << 52)

#endif
