/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_SWAPOPS_H
#define _LINUX_SWAPOPS_H

#include <linux/mm.h>

/* Device-private pages are mapped by swap entries of these two types. */
#define SWP_TYPE_SHIFT 58
#define SWP_DEVICE_WRITE 30UL
#define SWP_DEVICE_READ 31UL

static inline unsigned long swp_type(swp_entry_t entry)
{
	return entry.val >> SWP_TYPE_SHIFT;
}

static inline unsigned long swp_offset(swp_entry_t entry)
{
	return entry.val & ((1UL << SWP_TYPE_SHIFT) - 1);
}

static inline swp_entry_t make_device_private_entry(struct page *page, bool write)
{
	swp_entry_t entry = {
		(write ? SWP_DEVICE_WRITE : SWP_DEVICE_READ) << SWP_TYPE_SHIFT | page_to_pfn(page),
	};

	return entry;
}

static inline struct page *device_private_entry_to_page(swp_entry_t entry)
{
	return pfn_to_page(swp_offset(entry));
}

int device_private_entry_fault(struct vm_area_struct *vma, unsigned long addr, swp_entry_t entry,
			       unsigned int flags, pmd_t *pmdp);

#endif
