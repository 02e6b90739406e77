/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_HMM_H
#define _LINUX_HMM_H

/*
 * Heterogeneous memory management, the half about memory of a device.
 *
 * A driver whose device has memory of its own gets struct pages for it, so
 * that memory of a process can live there: private memory, which the CPU
 * cannot reach and which has no place in the physical address space but a free
 * one that is found for it, or public memory, which is cache coherent and has
 * an address.
 */

#include <linux/completion.h>
#include <linux/device.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/percpu-refcount.h>

struct hmm_devmem;

/**
 * struct hmm_devmem_ops - what a driver does for its memory
 * @free: the last user of a page is gone, the page is the driver's again; its
 *	count is 1. Context: that of the last put_page(); must not sleep.
 * @fault: the CPU touched a private page: migrate at least @addr back to
 *	system memory. The page is a hint. Must not fail for lack of memory
 *	accounting. Context: mmap_sem held for reading; may sleep.
 *	Return: 0, VM_FAULT_MAJOR, or VM_FAULT_SIGBUS.
 */
struct hmm_devmem_ops {
	void (*free)(struct hmm_devmem *devmem, struct page *page);
	int (*fault)(struct hmm_devmem *devmem, struct vm_area_struct *vma, unsigned long addr,
		     const struct page *page, unsigned int flags, pmd_t *pmdp);
};

/**
 * struct hmm_devmem - memory of a device with struct pages
 * @completion: all references on @ref are gone
 * @pfn_first: first page, -1 until it is known
 * @pfn_last: first page behind it, -1 until it is known
 * @resource: the range
 * @device: the device
 * @pagemap: its mapping
 * @ops: the driver's
 * @ref: held once by each page
 */
struct hmm_devmem {
	struct completion completion;
	unsigned long pfn_first;
	unsigned long pfn_last;
	struct resource *resource;
	struct device *device;
	struct dev_pagemap pagemap;
	const struct hmm_devmem_ops *ops;
	struct percpu_ref ref;
};

struct hmm_devmem *hmm_devmem_add(const struct hmm_devmem_ops *ops, struct device *device,
				  unsigned long size);
struct hmm_devmem *hmm_devmem_add_resource(const struct hmm_devmem_ops *ops, struct device *device,
					   struct resource *res);
void hmm_devmem_remove(struct hmm_devmem *devmem);
struct page *hmm_vma_alloc_locked_page(struct vm_area_struct *vma, unsigned long addr);

/* A word for each page that is the driver's as long as the page is. */
static inline void hmm_devmem_page_set_drvdata(struct page *page, unsigned long data)
{
	set_page_hmm_data(page, data);
}

static inline unsigned long hmm_devmem_page_get_drvdata(const struct page *page)
{
	return page_hmm_data(page);
}

/**
 * struct hmm_device - a device for memory that no bus knows of
 * @device: initialised, never added
 * @minor: its number
 */
struct hmm_device {
	struct device device;
	unsigned int minor;
};

#define HMM_DEVICE_MAX 256

struct hmm_device *hmm_device_new(void *drvdata);
void hmm_device_put(struct hmm_device *hmm_device);

/* page_free of HMM's pagemaps, by which they can be told from others. */
void hmm_devmem_free(struct page *page, void *data);

int hmm_init(void);

/* Is mm/hmm.c's half about device memory built? */
static inline bool hmm_configured(void)
{
	const struct kernel_config *config = &kernel_data()->config;

	return config->device_private || config->device_public;
}

#endif
