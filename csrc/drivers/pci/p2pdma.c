// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory in the BARs of a PCI function, with struct pages, for transfers
 * between devices that do not pass through system memory.
 *
 * All resources of a function share one reference, and with it one end: the
 * mapping that is released first, the one added last, kills it; the others
 * find it dying.  pci_p2pdma_release() was registered before all of them, so
 * it runs when the last page has been put by its mapping, and waits there for
 * those who hold memory from the pool.
 */
#include <linux/err.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/patches.h>
#include <linux/pci-p2pdma.h>

/*
 * The driver is younger than the series and was written for what was before
 * it.  Until it was converted every mapping of its was refused.
 */
static bool converted(void)
{
	return patched(PATCH_SHUTDOWN) && !mode(MODE_P2PDMA_UNCONVERTED);
}

static noinline void pci_p2pdma_percpu_release(struct percpu_ref *ref)
{
	struct pci_p2pdma *p2p = container_of(ref, struct pci_p2pdma, devmap_ref);

	complete_all(&p2p->devmap_ref_done);
}

/* Called once for each resource: only the first one kills. */
static noinline void pci_p2pdma_percpu_kill(struct percpu_ref *ref)
{
	if (percpu_ref_is_dying(ref))
		return;
	percpu_ref_kill(ref);
}

/* The same as an action, in a driver that the series has not reached. */
static noinline void pci_p2pdma_percpu_kill_action(void *data)
{
	pci_p2pdma_percpu_kill(data);
}

static noinline void pci_p2pdma_release(void *data)
{
	struct pci_dev *pdev = data;

	if (!pdev->p2pdma)
		return;

	wait_for_completion(&pdev->p2pdma->devmap_ref_done);
	percpu_ref_exit(&pdev->p2pdma->devmap_ref);

	gen_pool_destroy(pdev->p2pdma->pool);
	pdev->p2pdma->sysfs = false;
	pdev->p2pdma = NULL;
}

/*
 * What a function with p2p memory has once.
 *
 * mirrors drivers/pci/p2pdma.c:pci_p2pdma_setup, v4.20
 */
static int pci_p2pdma_setup(struct pci_dev *pdev)
{
	struct pci_p2pdma *p2p;
	int error = -ENOMEM;

	p2p = devm_kzalloc(&pdev->dev, sizeof(*p2p), GFP_KERNEL);
	if (!p2p)
		return -ENOMEM;

	p2p->pool = gen_pool_create(PAGE_SHIFT, dev_to_node(&pdev->dev));
	if (!p2p->pool)
		goto out;

	init_completion(&p2p->devmap_ref_done);
	error = percpu_ref_init(&p2p->devmap_ref, pci_p2pdma_percpu_release, 0, GFP_KERNEL);
	if (error)
		goto out_pool_destroy;

	/* If this fails it finds nothing to release: the reference is lost. */
	error = devm_add_action_or_reset(&pdev->dev, pci_p2pdma_release, pdev);
	if (error)
		goto out_pool_destroy;

	pdev->p2pdma = p2p;
	/* The attributes of the group are three fields, and making it cannot fail here. */
	p2p->sysfs = true;
	return 0;

out_pool_destroy:
	pdev->p2pdma = NULL;
	gen_pool_destroy(p2p->pool);
out:
	devm_kfree(&pdev->dev, p2p);
	return error;
}

/**
 * pci_p2pdma_add_resource() - offer part of a BAR
 * @pdev: the function
 * @bar: which BAR
 * @size: bytes; 0: all that follows @offset
 * @offset: where in the BAR
 *
 * If the pool cannot take the range its pagemap is freed under a mapping that
 * is already registered for release.
 *
 * mirrors drivers/pci/p2pdma.c:pci_p2pdma_add_resource, v4.20, with or without
 * the patch that gives the pagemap its kill callback
 *
 * Context: process, may sleep.
 * Return: 0, -EINVAL (no memory BAR, outside it), -ENOMEM, or what
 * devm_memremap_pages() answers.
 */
int pci_p2pdma_add_resource(struct pci_dev *pdev, int bar, size_t size, u64 offset)
{
	struct dev_pagemap *pgmap;
	void *addr;
	int error;

	if (!(pci_resource_flags(pdev, bar) & IORESOURCE_MEM))
		return -EINVAL;
	if (offset >= pci_resource_len(pdev, bar))
		return -EINVAL;
	if (!size)
		size = pci_resource_len(pdev, bar) - offset;
	if (size + offset > pci_resource_len(pdev, bar))
		return -EINVAL;

	if (!pdev->p2pdma) {
		error = pci_p2pdma_setup(pdev);
		if (error)
			return error;
	}

	pgmap = devm_kzalloc(&pdev->dev, sizeof(*pgmap), GFP_KERNEL);
	if (!pgmap)
		return -ENOMEM;

	pgmap->res.start = pci_resource_start(pdev, bar) + offset;
	pgmap->res.end = pgmap->res.start + size - 1;
	pgmap->res.flags = pci_resource_flags(pdev, bar);
	pgmap->ref = &pdev->p2pdma->devmap_ref;
	pgmap->type = MEMORY_DEVICE_PCI_P2PDMA;
	pgmap->pci_p2pdma_bus_offset = pci_bus_address(pdev, bar) - pci_resource_start(pdev, bar);
	if (converted())
		pgmap->kill = pci_p2pdma_percpu_kill;

	addr = devm_memremap_pages(&pdev->dev, pgmap);
	if (IS_ERR(addr)) {
		error = (int)PTR_ERR(addr);
		goto pgmap_free;
	}

	error = gen_pool_add_virt(pdev->p2pdma->pool, (unsigned long)addr,
				  pci_bus_address(pdev, bar) + offset, resource_size(&pgmap->res),
				  dev_to_node(&pdev->dev));
	if (error)
		goto pgmap_free;

	if (!converted()) {
		error = devm_add_action_or_reset(&pdev->dev, pci_p2pdma_percpu_kill_action,
						 &pdev->p2pdma->devmap_ref);
		if (error)
			goto pgmap_free;
	}

	pci_info(pdev, "added peer-to-peer DMA memory %pR\n", &pgmap->res);
	return 0;

pgmap_free:
	devm_kfree(&pdev->dev, pgmap);
	return error;
}
EXPORT_SYMBOL_GPL(pci_p2pdma_add_resource);

/**
 * pci_has_p2pmem() - does the function offer memory to others?
 * @pdev: the function
 *
 * mirrors drivers/pci/p2pdma.c:pci_has_p2pmem, v4.20
 */
bool pci_has_p2pmem(struct pci_dev *pdev)
{
	return pdev->p2pdma && pdev->p2pdma->p2pmem_published;
}
EXPORT_SYMBOL_GPL(pci_has_p2pmem);

/**
 * pci_alloc_p2pmem() - take memory of a function
 * @pdev: the function
 * @size: bytes
 *
 * mirrors drivers/pci/p2pdma.c:pci_alloc_p2pmem, v4.20
 *
 * Context: any.
 * Return: its address, or NULL: there is none (left), or it is going away.
 */
void *pci_alloc_p2pmem(struct pci_dev *pdev, size_t size)
{
	void *addr;

	if (unlikely(!pdev->p2pdma))
		return NULL;
	if (unlikely(!percpu_ref_tryget_live(&pdev->p2pdma->devmap_ref)))
		return NULL;

	addr = (void *)gen_pool_alloc(pdev->p2pdma->pool, size);
	if (unlikely(!addr))
		percpu_ref_put(&pdev->p2pdma->devmap_ref);
	return addr;
}
EXPORT_SYMBOL_GPL(pci_alloc_p2pmem);

/**
 * pci_free_p2pmem() - give memory back
 * @pdev: the function
 * @addr: from pci_alloc_p2pmem()
 * @size: the size it was asked for
 *
 * mirrors drivers/pci/p2pdma.c:pci_free_p2pmem, v4.20
 *
 * Context: any.
 */
void pci_free_p2pmem(struct pci_dev *pdev, void *addr, size_t size)
{
	gen_pool_free(pdev->p2pdma->pool, (unsigned long)addr, size);
	percpu_ref_put(&pdev->p2pdma->devmap_ref);
}
EXPORT_SYMBOL_GPL(pci_free_p2pmem);

/* mirrors drivers/pci/p2pdma.c:pci_p2pmem_virt_to_bus, v4.20; 0 if there is none */
u64 pci_p2pmem_virt_to_bus(struct pci_dev *pdev, void *addr)
{
	if (!addr || !pdev->p2pdma)
		return 0;
	return gen_pool_virt_to_phys(pdev->p2pdma->pool, (unsigned long)addr);
}
EXPORT_SYMBOL_GPL(pci_p2pmem_virt_to_bus);

/**
 * pci_p2pmem_publish() - let others find the memory, or not
 * @pdev: the function
 * @publish: which of the two
 *
 * mirrors drivers/pci/p2pdma.c:pci_p2pmem_publish, v4.20
 */
void pci_p2pmem_publish(struct pci_dev *pdev, bool publish)
{
	if (publish && !pdev->p2pdma)
		return;
	pdev->p2pdma->p2pmem_published = publish;
}
EXPORT_SYMBOL_GPL(pci_p2pmem_publish);
