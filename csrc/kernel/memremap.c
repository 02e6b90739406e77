// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device memory with struct pages.
 *
 * A driver that owns a physical range asks for struct pages with
 * devm_memremap_pages().  What that does, and its release undoes:
 *
 *	index		pfn -> pagemap, for get_dev_pagemap()
 *	memory type	cached like RAM, on the whole section
 *	sections	memmap, shadow and linear map, on the whole section
 *	pages		each holds pgmap->ref once
 *
 * Two kinds of reference keep apart what is easily mistaken for one:
 *
 *	page count	1 idle, more in use, 0 given up by the mapping
 *	pgmap->ref	one for every page until its count is 0, one for every
 *			get_dev_pagemap(), and the driver's initial one
 *
 * The release kills the ref, drops the mapping's own count on every page and
 * takes the memory away, without waiting for anybody.  Whoever registered the
 * ref's exit before the mapping waits there, after the memory is gone: a page
 * still in use by then is used by its address only.  Before "Fix shutdown
 * handling" the kill is an action of the driver's as well; since "fix final
 * page put race" the wait is the pagemap's and comes before the memory goes.
 */
#include <linux/device.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/kasan.h>
#include <linux/memory_hotplug.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/patches.h>
#include <linux/percpu-refcount.h>
#include <linux/swapops.h>
#include <linux/topology.h>

EXPORT_SYMBOL(devmap_managed_key);

#define pgmap_lock (kernel_data()->memremap.pgmap_lock)
#define pgmap_radix (kernel_data()->memremap.pgmap_radix)
#define devmap_managed_key (kernel_data()->memremap.devmap_managed_key)
#define devmap_enable (kernel_data()->memremap.devmap_enable)

#define SECTION_SIZE ((resource_size_t)1 << PA_SECTION_SHIFT)

/* ---- the index ---- */

/*
 * The pfns of a resource are indexed in naturally aligned powers of two, each
 * as large as its place and what is left allow.
 *
 * Return: order of the block that begins @pgoff pages into @res, ULONG_MAX at
 * its end.
 */
static unsigned long order_at(const struct resource *res, unsigned long pgoff)
{
	unsigned long pfn = PHYS_PFN(res->start) + pgoff;
	unsigned long left = PHYS_PFN(resource_size(res)) - pgoff;
	unsigned long largest;

	if (!left)
		return ULONG_MAX;
	largest = 1UL << (BITS_PER_LONG - 1 - __builtin_clzl(left));
	return (unsigned long)__builtin_ctzl(pfn | largest);
}

#define foreach_order(res, pgoff, order)                                            \
	for ((pgoff) = 0, (order) = order_at((res), (pgoff)); (order) != ULONG_MAX; \
	     (pgoff) += 1UL << (order), (order) = order_at((res), (pgoff)))

/*
 * Takes the blocks of @res that begin before @end_pgoff out of the index.
 * Readers that found one of them are gone afterwards.
 */
static noinline void pgmap_radix_release(struct resource *res, unsigned long end_pgoff)
{
	unsigned long pgoff, order;

	mutex_lock(&pgmap_lock);
	foreach_order(res, pgoff, order)
	{
		if (pgoff >= end_pgoff)
			break;
		radix_tree_delete(&pgmap_radix, PHYS_PFN(res->start) + pgoff);
	}
	mutex_unlock(&pgmap_lock);

	synchronize_rcu();
}

static noinline struct dev_pagemap *lookup_dev_pagemap(unsigned long pfn)
{
	struct dev_pagemap *pgmap;

	rcu_read_lock();
	pgmap = radix_tree_lookup(&pgmap_radix, pfn);
	if (pgmap && !percpu_ref_tryget_live(pgmap->ref))
		pgmap = NULL;
	rcu_read_unlock();
	return pgmap;
}

/* get_dev_pagemap() of a page that @pgmap does not cover. */
struct dev_pagemap *__get_dev_pagemap(unsigned long pfn, struct dev_pagemap *pgmap)
{
	/* Only a stub: there are no pagemaps. */
	if (!kernel_data()->config.zone_device)
		return NULL;
	if (pgmap)
		put_dev_pagemap(pgmap);
	return lookup_dev_pagemap(pfn);
}

/**
 * get_dev_pagemap() - the live pagemap that covers a page frame
 * @pfn: page frame number
 * @pgmap: pagemap of which the caller holds a reference, or NULL
 *
 * Meant for loops: as long as @pgmap covers @pfn, the reference on it is
 * simply kept.  Otherwise it is dropped.
 *
 * mirrors kernel/memremap.c:get_dev_pagemap, v4.19
 *
 * Context: any.
 * Return: the pagemap with a reference for put_dev_pagemap(), or NULL if there
 * is none or its ref has been killed.
 */
struct dev_pagemap *get_dev_pagemap(unsigned long pfn, struct dev_pagemap *pgmap)
{
	resource_size_t phys = PFN_PHYS(pfn);

	if (likely(pgmap && pgmap->res.start <= phys && phys <= pgmap->res.end))
		return pgmap;
	return __get_dev_pagemap(pfn, pgmap);
}
EXPORT_SYMBOL_GPL(get_dev_pagemap);

/**
 * put_dev_pagemap() - drop a reference of get_dev_pagemap()
 * @pgmap: pagemap or NULL
 *
 * Context: any; may run the release callback of the pagemap's ref.
 */
void put_dev_pagemap(struct dev_pagemap *pgmap)
{
	if (pgmap)
		percpu_ref_put(pgmap->ref);
}

/*
 * put_dev_pagemap() @n times over.  Once the ref is atomic, the put that makes
 * it zero calls release; more puts than references must not step over it.
 */
static void put_dev_pagemap_many(struct dev_pagemap *pgmap, unsigned long n)
{
	while (n) {
		struct percpu_ref *ref = pgmap->ref;
		unsigned long step = n;
		unsigned long *counters;

		rcu_read_lock_sched();
		if (__ref_is_percpu(ref, &counters)) {
			this_cpu_sub(*counters, n);
		} else {
			long count = atomic_long_read(&ref->count);

			do {
				step = count > 0 ? min((unsigned long)count, n) : n;
			} while (!atomic_long_try_cmpxchg(&ref->count, &count, count - (long)step));
			if (count == (long)step)
				ref->release(ref);
		}
		rcu_read_unlock_sched();
		n -= step;
	}
}

/* ---- the pages ---- */

/* Pages in front of this one are the driver's or hold the memmap. */
static unsigned long pfn_first(struct dev_pagemap *pgmap)
{
	unsigned long pfn = PHYS_PFN(pgmap->res.start);

	/* Counted from the resource, though an altmap begins with its section. */
	if (pgmap->altmap_valid)
		pfn += vmem_altmap_offset(&pgmap->altmap);
	return pfn;
}

static unsigned long pfn_end(struct dev_pagemap *pgmap)
{
	const struct resource *res = &pgmap->res;

	return PHYS_PFN(res->start + resource_size(res));
}

/* Every device page becomes the pagemap's and holds its ref. */
static void claim_device_pages(struct dev_pagemap *pgmap)
{
	unsigned long end = pfn_end(pgmap);
	unsigned long pfn, n;

	for (pfn = pfn_first(pgmap); pfn < end; pfn += n) {
		n = memmap_claim_range(pfn, end, pgmap);
		percpu_ref_get_many(pgmap->ref, n);
		cond_resched_pages(n);
	}
}

/* The mapping's own count of every device page is dropped. */
static noinline void put_device_pages(struct dev_pagemap *pgmap)
{
	unsigned long end = pfn_end(pgmap);
	unsigned long pfn, n;

	for (pfn = pfn_first(pgmap); pfn < end; pfn += n) {
		struct page *page = pfn_to_page(pfn);

		n = memmap_put_idle_range(pfn, end);
		if (n) {
			put_dev_pagemap_many(page_pgmap(page), n);
		} else {
			put_page(page);
			n = 1;
		}
		/* B09: only the loop of the setup gave way to others. */
		if (!mode(MODE_NO_RESCHED))
			cond_resched_pages(n);
	}
}

/* ---- mapping and release ---- */

/* Sections come whole: the range that @res takes up in them. */
static void section_range(const struct resource *res, resource_size_t *start, resource_size_t *size)
{
	*start = ALIGN_DOWN(res->start, SECTION_SIZE);
	*size = ALIGN(res->start + resource_size(res), SECTION_SIZE) - *start;
}

/* The same for what a release takes away. */
static void release_range(const struct resource *res, resource_size_t *start, resource_size_t *size)
{
	section_range(res, start, size);
	/* B07: the size alone was rounded, which is one section short across a border. */
	if (mode(MODE_RELEASE_SIZE))
		*size = ALIGN(resource_size(res), SECTION_SIZE);
}

/*
 * B01: the altmap used to be found through the index, by whoever freed the
 * memmap, and the index was emptied before that.
 */
static struct vmem_altmap *altmap_of_index(unsigned long pfn)
{
	struct dev_pagemap *pgmap;

	rcu_read_lock();
	pgmap = radix_tree_lookup(&pgmap_radix, pfn);
	rcu_read_unlock();
	return pgmap && pgmap->altmap_valid ? &pgmap->altmap : NULL;
}

/* Is the memory only described, not mapped?  Before the series HMM did that itself. */
static bool is_unaddressable(const struct dev_pagemap *pgmap)
{
	return patched(PATCH_DEVICE_PRIVATE) && pgmap->type == MEMORY_DEVICE_PRIVATE;
}

/* The end of a ref as far as the pagemap is in charge of it. */
static void kill_ref(struct dev_pagemap *pgmap)
{
	pgmap->kill(pgmap->ref);
}

static void cleanup_ref(struct dev_pagemap *pgmap)
{
	if (patched(PATCH_FINAL_PUT))
		pgmap->cleanup(pgmap->ref);
}

/* mirrors kernel/memremap.c:devm_memremap_pages_release, v4.19 with 3/7, 4/7, final-put */
static noinline void devm_memremap_pages_release(void *data)
{
	struct dev_pagemap *pgmap = data;
	struct device *dev = pgmap->dev;
	struct vmem_altmap *altmap = pgmap->altmap_valid ? &pgmap->altmap : NULL;
	resource_size_t align_start, align_size;

	if (patched(PATCH_SHUTDOWN))
		kill_ref(pgmap);
	put_device_pages(pgmap);
	cleanup_ref(pgmap);
	/* Who forgot to kill it has no later chance of being told. */
	if (!patched(PATCH_SHUTDOWN) && percpu_ref_tryget_live(pgmap->ref)) {
		dev_WARN(dev, "%s: page mapping is still live!\n", __func__);
		percpu_ref_put(pgmap->ref);
	}

	release_range(&pgmap->res, &align_start, &align_size);
	if (mode(MODE_INDEX_FIRST)) {
		pgmap_radix_release(&pgmap->res, ULONG_MAX);
		altmap = altmap_of_index(PHYS_PFN(align_start));
	}
	mem_hotplug_begin();
	if (is_unaddressable(pgmap)) {
		unsigned long pfn = PHYS_PFN(align_start);

		__remove_pages(page_zone(pfn_to_page(pfn)), pfn, PHYS_PFN(align_size), NULL);
	} else {
		arch_remove_memory(align_start, align_size, altmap);
		kasan_remove_zero_shadow(__va(align_start), align_size);
	}
	mem_hotplug_done();

	untrack_pfn(NULL, PHYS_PFN(align_start), align_size);
	if (!mode(MODE_INDEX_FIRST))
		pgmap_radix_release(&pgmap->res, ULONG_MAX);
	dev_WARN_ONCE(dev, pgmap->altmap.alloc, "%s: failed to free all reserved pages\n",
		      __func__);
}

/* Has the pagemap a ref, and what it takes to end it? */
static bool has_ref(const struct dev_pagemap *pgmap)
{
	return pgmap->ref && (!patched(PATCH_SHUTDOWN) || pgmap->kill) &&
	       (!patched(PATCH_FINAL_PUT) || pgmap->cleanup);
}

/* Every device page belongs to @pgmap and holds its ref once. */
static void init_device_pages(struct dev_pagemap *pgmap, struct zone *zone, unsigned long start_pfn,
			      unsigned long nr_pages)
{
	if (!patched(PATCH_DEFERRED_INIT)) {
		claim_device_pages(pgmap);
		return;
	}
	memmap_init_zone_device(zone, start_pfn, nr_pages, pgmap);
	/* A14: lost when the loop that took one for each page went away. */
	if (mode(MODE_NO_GET_MANY))
		return;
	percpu_ref_get_many(pgmap->ref, pfn_end(pgmap) - pfn_first(pgmap));
}

/**
 * devm_memremap_pages() - struct pages for a device range, until unbind
 * @dev: the device
 * @pgmap: what to map; @res, @ref, @kill and @type are set, and @altmap if
 *	@altmap_valid. Must stay until the release has run.
 *
 * @pgmap->ref is live on entry and has gained one reference for each device
 * page on success.  At release, or if mapping fails once it has begun, it is
 * killed; a missing ref or kill and a conflict with a live mapping in the
 * first or last section are found before that and leave it alone.
 *
 * Before the series the kill is the caller's business throughout, a range of
 * System RAM is answered with its address and nothing else, and a release that
 * could not be registered goes unnoticed.  Since "fix final page put race" a
 * conflict ends the ref like any other failure.
 *
 * What a failure leaves behind: the linear map, sections added before the one
 * that failed, and the altmap's count of pages for them.
 *
 * mirrors kernel/memremap.c:devm_memremap_pages, v4.19 to v5.2
 *
 * Context: process, may sleep.
 * Return: address of the range in the direct map, or ERR_PTR: -EINVAL (no ref,
 * no kill, bad altmap), -ENOMEM (conflict, memory), -ENXIO (RAM), -EEXIST (in
 * the index already), -EBUSY (memory type).
 */
void *devm_memremap_pages(struct device *dev, struct dev_pagemap *pgmap)
{
	struct resource *res = &pgmap->res;
	struct vmem_altmap *altmap = pgmap->altmap_valid ? &pgmap->altmap : NULL;
	resource_size_t align_start, align_size, align_end;
	unsigned long pgoff, order;
	pgprot_t pgprot = PAGE_KERNEL;
	struct dev_pagemap *conflict;
	struct zone *zone = NULL;
	int error, nid, is_ram;

	if (!kernel_data()->config.zone_device) {
		WARN_ON_ONCE(1);
		return ERR_PTR(-ENXIO);
	}
	if (patched(PATCH_SHUTDOWN) && !has_ref(pgmap)) {
		WARN(patched(PATCH_FINAL_PUT), "Missing reference count teardown definition\n");
		return ERR_PTR(-EINVAL);
	}

	section_range(res, &align_start, &align_size);
	align_end = align_start + align_size - 1;

	/* A section has one memmap, and its end takes all of it away. */
	error = -ENOMEM;
	conflict = get_dev_pagemap(PHYS_PFN(align_start), NULL);
	if (conflict) {
		dev_WARN(dev, "Conflicting mapping in same section\n");
		put_dev_pagemap(conflict);
		goto err_conflict;
	}
	conflict = get_dev_pagemap(PHYS_PFN(align_end), NULL);
	if (conflict) {
		dev_WARN(dev, "Conflicting mapping in same section\n");
		put_dev_pagemap(conflict);
		goto err_conflict;
	}

	is_ram = region_intersects(align_start, align_size, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE);
	if (patched(PATCH_SYSTEM_RAM) ? is_ram != REGION_DISJOINT : is_ram == REGION_MIXED) {
		WARN_ONCE(1, "%s attempted on %s region %pr\n", __func__,
			  is_ram == REGION_MIXED ? "mixed" : "ram", res);
		error = -ENXIO;
		goto err_kill;
	}
	/* RAM has its struct pages; nobody will ever kill the ref. */
	if (is_ram == REGION_INTERSECTS)
		return __va(res->start);

	if (!patched(PATCH_SHUTDOWN) && !has_ref(pgmap))
		return ERR_PTR(-EINVAL);

	pgmap->dev = dev;

	mutex_lock(&pgmap_lock);
	error = 0;
	foreach_order(res, pgoff, order)
	{
		error = __radix_tree_insert(&pgmap_radix, PHYS_PFN(res->start) + pgoff,
					    (unsigned int)order, pgmap);
		if (error) {
			dev_err(dev, "%s: failed: %d\n", __func__, error);
			break;
		}
	}
	mutex_unlock(&pgmap_lock);
	/* B06: the end of the range, and with it entries that belong to others. */
	if (error && mode(MODE_COLLISION))
		pgoff = ULONG_MAX;
	if (error)
		goto err_radix;

	nid = dev_to_node(dev);
	if (nid < 0)
		nid = numa_mem_id();

	error = track_pfn_remap(NULL, &pgprot, PHYS_PFN(align_start), 0, align_size);
	if (error)
		goto err_radix;

	mem_hotplug_begin();
	/*
	 * The CPU cannot reach private memory: it needs struct pages but
	 * neither linear map nor shadow, and its memmap is never stored on it.
	 */
	if (is_unaddressable(pgmap)) {
		error = add_pages(nid, PHYS_PFN(align_start), PHYS_PFN(align_size), NULL, false);
	} else {
		error = kasan_add_zero_shadow(__va(align_start), align_size);
		if (error) {
			mem_hotplug_done();
			goto err_kasan;
		}
		error = arch_add_memory(nid, align_start, align_size, altmap, false);
	}
	if (!error) {
		zone = &NODE_DATA(nid)->zone_device;
		move_pfn_range_to_zone(zone, PHYS_PFN(align_start), PHYS_PFN(align_size), altmap);
	}
	mem_hotplug_done();
	if (error)
		goto err_add_memory;

	init_device_pages(pgmap, zone, PHYS_PFN(align_start), PHYS_PFN(align_size));

	if (patched(PATCH_SHUTDOWN)) {
		/* If this fails it has run the whole release, kill included. */
		error = devm_add_action_or_reset(dev, devm_memremap_pages_release, pgmap);
		if (error)
			return ERR_PTR(error);
	} else {
		/* If this fails the mapping stays for ever and nobody knows. */
		devm_add_action(dev, devm_memremap_pages_release, pgmap);
	}
	return __va(res->start);

err_add_memory:
	/* Also for private memory, which has none. */
	kasan_remove_zero_shadow(__va(align_start), align_size);
err_kasan:
	untrack_pfn(NULL, PHYS_PFN(align_start), align_size);
err_radix:
	pgmap_radix_release(res, pgoff);
err_kill:
	if (patched(PATCH_SHUTDOWN))
		kill_ref(pgmap);
	cleanup_ref(pgmap);
	return ERR_PTR(error);

err_conflict:
	/* An early return until the ref had an owner. */
	if (patched(PATCH_FINAL_PUT))
		goto err_kill;
	return ERR_PTR(error);
}
EXPORT_SYMBOL_GPL(devm_memremap_pages);

/**
 * devm_memunmap_pages() - end a mapping before unbind does
 * @dev: the device
 * @pgmap: mapped for @dev by devm_memremap_pages()
 *
 * From "introduce devm_memunmap_pages" on.
 *
 * Context: process, may sleep.
 */
void devm_memunmap_pages(struct device *dev, struct dev_pagemap *pgmap)
{
	devm_release_action(dev, devm_memremap_pages_release, pgmap);
}
EXPORT_SYMBOL_GPL(devm_memunmap_pages);

/* ---- storage of the memmap ---- */

/* Number of pages at the base of a mapping that are no device pages. */
unsigned long vmem_altmap_offset(struct vmem_altmap *altmap)
{
	return altmap->reserve + altmap->free;
}

/* Alignment is not given back: what was lost may serve again or not. */
void vmem_altmap_free(struct vmem_altmap *altmap, unsigned long nr_pfns)
{
	altmap->alloc -= nr_pfns;
}

/* ---- pages that tell their driver ---- */

/**
 * dev_pagemap_get_ops() - from now on idle pages are announced
 *
 * For drivers whose pagemaps have a page_free callback.  Counted.
 *
 * Context: process, may sleep; not inside mem_hotplug_begin().
 */
noinline void dev_pagemap_get_ops(void)
{
	if (!kernel_data()->config.dev_pagemap_ops)
		return;
	if (atomic_inc_return(&devmap_enable) == 1)
		static_branch_enable(&devmap_managed_key);
}
EXPORT_SYMBOL_GPL(dev_pagemap_get_ops);

/* The reverse of dev_pagemap_get_ops(). Context as there. */
noinline void dev_pagemap_put_ops(void)
{
	if (!kernel_data()->config.dev_pagemap_ops)
		return;
	if (atomic_dec_and_test(&devmap_enable))
		static_branch_disable(&devmap_managed_key);
}
EXPORT_SYMBOL_GPL(dev_pagemap_put_ops);

/**
 * __put_devmap_managed_page() - put_page() of a page whose driver listens
 * @page: the page
 *
 * mirrors kernel/memremap.c:__put_devmap_managed_page, v4.19; memory control
 * groups, which would be uncharged, are not here
 *
 * Context: any; runs page_free, which must not sleep.
 */
void __put_devmap_managed_page(struct page *page)
{
	int count = page_ref_dec_return(page);

	if (count == 1) {
		struct dev_pagemap *pgmap = page_pgmap(page);

		ClearPageActive(page);
		ClearPageWaiters(page);
		pgmap->page_free(page, pgmap->data);
	} else if (!count) {
		__put_page(page);
	}
}
EXPORT_SYMBOL(__put_devmap_managed_page);

/**
 * device_private_entry_fault() - the CPU touched a page it cannot reach
 * @vma: where
 * @addr: where in @vma
 * @entry: the swap entry that stands for the page
 * @flags: FAULT_FLAG_*
 * @pmdp: page table
 *
 * mirrors kernel/memremap.c:device_private_entry_fault, v4.19
 *
 * Context: mmap_sem held for reading, no page table lock; may sleep.
 * Return: what the driver says, VM_FAULT_*.
 */
int device_private_entry_fault(struct vm_area_struct *vma, unsigned long addr, swp_entry_t entry,
			       unsigned int flags, pmd_t *pmdp)
{
	struct page *page = device_private_entry_to_page(entry);

	if (!kernel_data()->config.device_private)
		return VM_FAULT_SIGBUS;
	return page_pgmap(page)->page_fault(vma, addr, page, flags, pmdp);
}
EXPORT_SYMBOL(device_private_entry_fault);

void memremap_init(void)
{
	mutex_init(&pgmap_lock);
	INIT_RADIX_TREE(&pgmap_radix, GFP_KERNEL);
	devmap_managed_key.enabled = 0;
	devmap_managed_key.name = "devmap_managed_key";
	atomic_set(&devmap_enable, 0);
}
