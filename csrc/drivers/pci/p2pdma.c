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
 *
 * Since "track pgmap references per resource, not globally" each resource has
 * a reference of its own, which its chunk of the pool owns: whoever holds memory
 * holds that of the resource it lies in, and each mapping waits for its own.
 */
#include <linux/err.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/patches.h>
#include <linux/pci-p2pdma.h>
#include <linux/rcupdate.h>

/*
 * The driver is younger than the series and was written for what was before
 * it.  Until it was converted every mapping of its was refused.
 */
static bool converted(void)
{
	return patched(PATCH_SHUTDOWN) && !mode(MODE_P2PDMA_UNCONVERTED);
}

static bool ref_per_resource(void)
{
	return patched(PATCH_P2PDMA_RESOURCE_REF) && !mode(MODE_P2PDMA_SHARED_REF);
}

/**
 * struct p2pdma_pagemap - a resource with a reference of its own
 * @pgmap: its mapping
 * @ref: held once by each page, and by each piece of memory that is handed out
 * @ref_done: all of those are gone
 */
struct p2pdma_pagemap {
	struct dev_pagemap pgmap;
	struct percpu_ref ref;
	struct completion ref_done;
};

static noinline void p2pdma_pagemap_release(struct percpu_ref *ref)
{
	struct p2pdma_pagemap *p2p_pgmap = container_of(ref, struct p2pdma_pagemap, ref);

	complete(&p2p_pgmap->ref_done);
}

static noinline void p2pdma_pagemap_kill(struct percpu_ref *ref)
{
	percpu_ref_kill(ref);
}

static noinline void p2pdma_pagemap_cleanup(struct percpu_ref *ref)
{
	struct p2pdma_pagemap *p2p_pgmap = container_of(ref, struct p2pdma_pagemap, ref);

	wait_for_completion(&p2p_pgmap->ref_done);
	percpu_ref_exit(&p2p_pgmap->ref);
}

/* The same as an action, under a core that does not clean up. */
static noinline void p2pdma_pagemap_cleanup_action(void *ref)
{
	p2pdma_pagemap_cleanup(ref);
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

/* What a core that waits calls for each resource; the ref's end is the function's. */
static noinline void pci_p2pdma_percpu_wait(struct percpu_ref *ref)
{
	struct pci_p2pdma *p2p = container_of(ref, struct pci_p2pdma, devmap_ref);

	wait_for_completion(&p2p->devmap_ref_done);
}

/* By now the mappings have ended, each by itself: only lookups are still about. */
static void unpublish(struct pci_dev *pdev)
{
	struct pci_p2pdma *p2p = pdev->p2pdma;

	pdev->p2pdma = NULL;
	synchronize_rcu();
	gen_pool_destroy(p2p->pool);
	p2p->sysfs = false;
}

static noinline void pci_p2pdma_release(void *data)
{
	struct pci_dev *pdev = data;

	if (!pdev->p2pdma)
		return;
	if (ref_per_resource()) {
		unpublish(pdev);
		return;
	}

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

	if (!ref_per_resource()) {
		init_completion(&p2p->devmap_ref_done);
		error = percpu_ref_init(&p2p->devmap_ref, pci_p2pdma_percpu_release, 0, GFP_KERNEL);
		if (error)
			goto out_pool_destroy;
	}

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

/* A pagemap without a range, its ref live: the resource's own or the function's. */
static struct dev_pagemap *new_pagemap(struct pci_dev *pdev)
{
	struct p2pdma_pagemap *p2p_pgmap;
	struct dev_pagemap *pgmap;
	int error;

	if (!ref_per_resource()) {
		pgmap = devm_kzalloc(&pdev->dev, sizeof(*pgmap), GFP_KERNEL);
		if (!pgmap)
			return ERR_PTR(-ENOMEM);
		pgmap->ref = &pdev->p2pdma->devmap_ref;
		if (converted())
			pgmap->kill = pci_p2pdma_percpu_kill;
		if (mode(MODE_P2PDMA_SHARED_REF))
			pgmap->cleanup = pci_p2pdma_percpu_wait;
		return pgmap;
	}

	p2p_pgmap = devm_kzalloc(&pdev->dev, sizeof(*p2p_pgmap), GFP_KERNEL);
	if (!p2p_pgmap)
		return ERR_PTR(-ENOMEM);
	init_completion(&p2p_pgmap->ref_done);
	error = percpu_ref_init(&p2p_pgmap->ref, p2pdma_pagemap_release, 0, GFP_KERNEL);
	if (error)
		goto out_free;
	pgmap = &p2p_pgmap->pgmap;
	pgmap->ref = &p2p_pgmap->ref;
	if (converted())
		pgmap->kill = p2pdma_pagemap_kill;
	if (patched(PATCH_FINAL_PUT)) {
		pgmap->cleanup = p2pdma_pagemap_cleanup;
		return pgmap;
	}
	error = devm_add_action(&pdev->dev, p2pdma_pagemap_cleanup_action, pgmap->ref);
	if (error)
		goto out_exit;
	return pgmap;

out_exit:
	percpu_ref_exit(&p2p_pgmap->ref);
out_free:
	devm_kfree(&pdev->dev, p2p_pgmap);
	return ERR_PTR(error);
}

/**
 * pci_p2pdma_add_resource() - offer part of a BAR
 * @pdev: the function
 * @bar: which BAR
 * @size: bytes; 0: all that follows @offset
 * @offset: where in the BAR
 *
 * If the pool cannot take the range its pagemap is freed under a mapping that
 * is already registered for release; since "fix the gen_pool_add_virt() failure
 * path" the mapping ends first.
 *
 * mirrors drivers/pci/p2pdma.c:pci_p2pdma_add_resource, v4.20, with or without
 * the patch that gives the pagemap its kill callback, to v5.2
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

	pgmap = new_pagemap(pdev);
	if (IS_ERR(pgmap))
		return (int)PTR_ERR(pgmap);

	pgmap->res.start = pci_resource_start(pdev, bar) + offset;
	pgmap->res.end = pgmap->res.start + size - 1;
	pgmap->res.flags = pci_resource_flags(pdev, bar);
	pgmap->type = MEMORY_DEVICE_PCI_P2PDMA;
	pgmap->pci_p2pdma_bus_offset = pci_bus_address(pdev, bar) - pci_resource_start(pdev, bar);

	addr = devm_memremap_pages(&pdev->dev, pgmap);
	if (IS_ERR(addr)) {
		error = (int)PTR_ERR(addr);
		/* Even if the core has just killed it and its switch is under way. */
		if (ref_per_resource() && !patched(PATCH_FINAL_PUT)) {
			devm_remove_action(&pdev->dev, p2pdma_pagemap_cleanup_action, pgmap->ref);
			percpu_ref_exit(pgmap->ref);
		}
		goto pgmap_free;
	}

	error = gen_pool_add_owner(pdev->p2pdma->pool, (unsigned long)addr,
				   pci_bus_address(pdev, bar) + offset, resource_size(&pgmap->res),
				   dev_to_node(&pdev->dev), pgmap->ref);
	if (error)
		goto pages_free;

	if (!converted()) {
		error = devm_add_action_or_reset(&pdev->dev, pci_p2pdma_percpu_kill_action,
						 &pdev->p2pdma->devmap_ref);
		if (error)
			goto pgmap_free;
	}

	pci_info(pdev, "added peer-to-peer DMA memory %pR\n", &pgmap->res);
	return 0;

pages_free:
	if (patched(PATCH_P2PDMA_GEN_POOL)) {
		devm_memunmap_pages(&pdev->dev, pgmap);
		if (ref_per_resource() && !patched(PATCH_FINAL_PUT))
			devm_release_action(&pdev->dev, p2pdma_pagemap_cleanup_action, pgmap->ref);
	}
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

/* Memory together with a reference on the resource that it lies in. */
static void *alloc_owned(struct pci_dev *pdev, size_t size)
{
	void *addr = NULL, *ref;

	rcu_read_lock();
	if (unlikely(!pdev->p2pdma))
		goto out;
	addr = (void *)gen_pool_alloc_owner(pdev->p2pdma->pool, size, &ref);
	if (!addr)
		goto out;
	if (unlikely(!percpu_ref_tryget_live(ref))) {
		gen_pool_free(pdev->p2pdma->pool, (unsigned long)addr, size);
		addr = NULL;
	}
out:
	rcu_read_unlock();
	return addr;
}

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

	if (ref_per_resource())
		return alloc_owned(pdev, size);
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
	void *ref;

	if (ref_per_resource()) {
		gen_pool_free_owner(pdev->p2pdma->pool, (unsigned long)addr, size, &ref);
		percpu_ref_put(ref);
		return;
	}
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
