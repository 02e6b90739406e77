/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_PCI_P2PDMA_H
#define _LINUX_PCI_P2PDMA_H

#include <linux/completion.h>
#include <linux/genalloc.h>
#include <linux/pci.h>
#include <linux/percpu-refcount.h>

/**
 * struct pci_p2pdma - memory of a PCI function that other devices may use
 * @devmap_ref: held once by each page of every resource, and by each piece
 *	of memory that is handed out
 * @devmap_ref_done: all of those are gone
 * @pool: what is left to be handed out
 * @p2pmem_published: others may find it
 * @sysfs: the group "p2pmem" (size, available, published) is there
 */
struct pci_p2pdma {
	struct percpu_ref devmap_ref;
	struct completion devmap_ref_done;
	struct gen_pool *pool;
	bool p2pmem_published;
	bool sysfs;
};

int pci_p2pdma_add_resource(struct pci_dev *pdev, int bar, size_t size, u64 offset);
bool pci_has_p2pmem(struct pci_dev *pdev);
void *pci_alloc_p2pmem(struct pci_dev *pdev, size_t size);
void pci_free_p2pmem(struct pci_dev *pdev, void *addr, size_t size);
u64 pci_p2pmem_virt_to_bus(struct pci_dev *pdev, void *addr);
void pci_p2pmem_publish(struct pci_dev *pdev, bool publish);

/* drivers/pci/p2pmem.c: a driver that offers every BAR of its device. */
int p2pmem_init(void);

#endif
