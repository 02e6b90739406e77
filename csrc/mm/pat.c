// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory types (arch/x86/mm/pat.c): all mappings of a physical range must
 * agree on how it is cached, so whoever maps one reserves it.
 *
 * A caller that says where to put the answer takes what the range already
 * has; one that does not insists on what it asks for.  A range that already
 * has two types cannot be given to either.
 */
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/slab.h>

#define memtype_lock (kernel_data()->pat.memtype_lock)
#define memtypes (kernel_data()->pat.memtypes)

bool pat_enabled(void)
{
	return kernel_data()->config.pat;
}

static const char *cattr_name(enum page_cache_mode pcm)
{
	switch (pcm) {
	case _PAGE_CACHE_MODE_UC:
		return "uncached";
	case _PAGE_CACHE_MODE_UC_MINUS:
		return "uncached-minus";
	case _PAGE_CACHE_MODE_WB:
		return "write-back";
	case _PAGE_CACHE_MODE_WC:
		return "write-combining";
	case _PAGE_CACHE_MODE_WT:
		return "write-through";
	case _PAGE_CACHE_MODE_WP:
		return "write-protected";
	default:
		return "broken";
	}
}

static int count_ram_pages(unsigned long pfn, unsigned long nr_pages, void *arg)
{
	unsigned long *ram_pages = arg;

	(void)pfn;
	*ram_pages += nr_pages;
	return 0;
}

/* Return: 1 if [@start, @end) is RAM, 0 if none of it is, -1 if it is mixed. */
static int pat_pagerange_is_ram(u64 start, u64 end)
{
	unsigned long start_pfn = PFN_DOWN(start);
	unsigned long end_pfn = PFN_UP(end);
	unsigned long ram_pages = 0;

	walk_system_ram_range(start_pfn, end_pfn - start_pfn, &ram_pages, count_ram_pages);
	if (!ram_pages)
		return 0;
	return ram_pages == end_pfn - start_pfn ? 1 : -1;
}

/* First reservation at or behind @entry that overlaps @new, or NULL. */
static struct memtype *memtype_match(struct memtype *entry, const struct memtype *new)
{
	for (; &entry->list != &memtypes; entry = list_next_entry(entry, list)) {
		if (entry->start >= new->end)
			break;
		if (entry->end > new->start)
			return entry;
	}
	return NULL;
}

/*
 * May @new be reserved?  The type that the range already has goes to
 * @new_type, if that is not NULL.
 */
static int memtype_check_conflict(const struct memtype *new, enum page_cache_mode *new_type)
{
	enum page_cache_mode found_type = new->type;
	struct memtype *match;

	match = memtype_match(list_first_entry(&memtypes, struct memtype, list), new);
	if (match && new_type)
		found_type = match->type;
	for (; match; match = memtype_match(list_next_entry(match, list), new)) {
		if (match->type == found_type)
			continue;
		pr_info("x86/PAT: %s:%d conflicting memory types %llx-%llx %s<->%s\n",
			current->comm, current->pid, new->start, new->end, cattr_name(found_type),
			cattr_name(match->type));
		return -EBUSY;
	}
	if (new_type)
		*new_type = found_type;
	return 0;
}

static void memtype_insert(struct memtype *new)
{
	struct memtype *entry;

	list_for_each_entry(entry, &memtypes, list)
		if (entry->start > new->start)
			break;
	list_add_tail(&new->list, &entry->list);
}

/**
 * reserve_memtype() - reserve a physical range for mapping it with one type
 * @start: first address
 * @end: first address behind it
 * @req_type: type wanted
 * @new_type: where to put the type to use, or NULL to insist on @req_type
 *
 * mirrors arch/x86/mm/pat.c:reserve_memtype, v4.19; the types of RAM, which
 * are kept in its struct pages, are always write-back here
 *
 * Context: process, may sleep.
 * Return: 0, -EBUSY on a conflict, -EINVAL if the range is RAM in part or RAM
 * and not wanted as such, -ENOMEM.
 */
int reserve_memtype(u64 start, u64 end, enum page_cache_mode req_type,
		    enum page_cache_mode *new_type)
{
	struct memtype *new;
	int is_range_ram;
	int err;

	BUG_ON(start >= end);
	if (!pat_enabled()) {
		if (new_type)
			*new_type = req_type == _PAGE_CACHE_MODE_WC ? _PAGE_CACHE_MODE_UC_MINUS :
								      req_type;
		return 0;
	}
	if (new_type)
		*new_type = req_type;

	is_range_ram = pat_pagerange_is_ram(start, end);
	if (is_range_ram == 1)
		return req_type == _PAGE_CACHE_MODE_WB ? 0 : -EINVAL;
	if (is_range_ram < 0)
		return -EINVAL;

	new = kzalloc(sizeof(*new), GFP_KERNEL);
	if (!new)
		return -ENOMEM;
	new->start = start;
	new->end = end;
	new->type = req_type;

	spin_lock(&memtype_lock);
	err = memtype_check_conflict(new, new_type);
	if (err) {
		pr_info("x86/PAT: reserve_memtype failed [mem %#010Lx-%#010Lx], track %s, req %s\n",
			start, end - 1, cattr_name(new->type), cattr_name(req_type));
		spin_unlock(&memtype_lock);
		kfree(new);
		return err;
	}
	if (new_type)
		new->type = *new_type;
	memtype_insert(new);
	spin_unlock(&memtype_lock);
	return 0;
}

/**
 * free_memtype() - give a reservation back
 * @start: first address, as reserved
 * @end: first address behind it, as reserved
 *
 * mirrors arch/x86/mm/pat.c:free_memtype, v4.19
 *
 * Return: 0, -EINVAL if there is no such reservation.
 */
int free_memtype(u64 start, u64 end)
{
	struct memtype *entry, *found = NULL;
	int is_range_ram;

	if (!pat_enabled())
		return 0;
	is_range_ram = pat_pagerange_is_ram(start, end);
	if (is_range_ram)
		return is_range_ram == 1 ? 0 : -EINVAL;

	spin_lock(&memtype_lock);
	list_for_each_entry(entry, &memtypes, list) {
		if (entry->start == start && entry->end == end) {
			found = entry;
			list_del(&found->list);
			break;
		}
	}
	spin_unlock(&memtype_lock);
	if (!found) {
		pr_info("x86/PAT: %s:%d freeing invalid memtype [mem %#010Lx-%#010Lx]\n",
			current->comm, current->pid, start, end - 1);
		return -EINVAL;
	}
	kfree(found);
	return 0;
}

/* Mappings that ask for less caching than the range has are refused. */
bool is_new_memtype_allowed(enum page_cache_mode pcm, enum page_cache_mode new_pcm)
{
	switch (pcm) {
	case _PAGE_CACHE_MODE_UC_MINUS:
	case _PAGE_CACHE_MODE_UC:
	case _PAGE_CACHE_MODE_WC:
		return new_pcm != _PAGE_CACHE_MODE_WB && new_pcm != _PAGE_CACHE_MODE_WT;
	case _PAGE_CACHE_MODE_WT:
		return new_pcm != _PAGE_CACHE_MODE_WB && new_pcm != _PAGE_CACHE_MODE_WC;
	default:
		return true;
	}
}

/**
 * track_pfn_remap() - reserve the memory type of a range about to be mapped
 * @vma: NULL: a mapping of the kernel's own
 * @prot: protection wanted; its cache mode becomes what the range has
 * @pfn: first page
 * @addr: not used without @vma
 * @size: bytes
 *
 * mirrors arch/x86/mm/pat.c:track_pfn_remap, v4.19, without @vma
 *
 * Return: as reserve_memtype().
 */
noinline int track_pfn_remap(struct vm_area_struct *vma, pgprot_t *prot, unsigned long pfn,
			     unsigned long addr, unsigned long size)
{
	u64 paddr = PFN_PHYS(pfn);
	enum page_cache_mode want_pcm = prot->pgprot;
	enum page_cache_mode pcm = want_pcm;
	int ret;

	(void)vma;
	(void)addr;
	ret = reserve_memtype(paddr, paddr + size, want_pcm, &pcm);
	if (ret)
		return ret;
	if (pcm != want_pcm) {
		if (!is_new_memtype_allowed(want_pcm, pcm)) {
			free_memtype(paddr, paddr + size);
			return -EINVAL;
		}
		prot->pgprot = pcm;
	}
	return 0;
}

/**
 * untrack_pfn() - the reverse of track_pfn_remap()
 * @vma: NULL
 * @pfn: first page
 * @size: bytes
 *
 * mirrors arch/x86/mm/pat.c:untrack_pfn, v4.19, without @vma
 */
noinline void untrack_pfn(struct vm_area_struct *vma, unsigned long pfn, unsigned long size)
{
	u64 paddr = PFN_PHYS(pfn);

	(void)vma;
	free_memtype(paddr, paddr + size);
}

void pat_init(void)
{
	spin_lock_init(&memtype_lock);
	INIT_LIST_HEAD(&memtypes);
}
