/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _MM_HMM_INTERNAL_H
#define _MM_HMM_INTERNAL_H

/*
 * What memory of devices has in common before and since the patch that hands
 * it over to devm_memremap_pages().
 */

#include <linux/hmm.h>
#include <linux/ioport.h>

void hmm_devmem_ref_release(struct percpu_ref *ref);
int hmm_devmem_fault(struct vm_area_struct *vma, unsigned long addr, const struct page *page,
		     unsigned int flags, pmd_t *pmdp);

/**
 * hmm_devmem_init_fields() - a devmem without memory and without reference
 * @devmem: zeroed
 * @ops: what the driver does for it
 * @device: the device
 */
void hmm_devmem_init_fields(struct hmm_devmem *devmem, const struct hmm_devmem_ops *ops,
			    struct device *device);

/**
 * hmm_devmem_request_free() - the highest free range, seen in steps of its size
 * @device: on whose behalf
 * @size: bytes, whole sections
 *
 * If that one cannot be requested no other is tried.
 *
 * Return: a managed region, or ERR_PTR: -ENOMEM, -ERANGE (none is free).
 */
struct resource *hmm_devmem_request_free(struct device *device, unsigned long size);

/** hmm_devmem_add_before() - hmm_devmem_add() before hmm-memremap */
struct hmm_devmem *hmm_devmem_add_before(const struct hmm_devmem_ops *ops, struct device *device,
					 unsigned long size);
/** hmm_devmem_add_resource_before() - hmm_devmem_add_resource() before hmm-memremap */
struct hmm_devmem *hmm_devmem_add_resource_before(const struct hmm_devmem_ops *ops,
						  struct device *device, struct resource *res);
void hmm_before_init(void);

#endif
