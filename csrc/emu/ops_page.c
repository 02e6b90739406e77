// SPDX-License-Identifier: GPL-2.0-only
/* Operations on struct pages. */
#include "ops.h"

#include <linux/kernel.h>
#include <linux/memory_hotplug.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/outline.h>

bool pfn_in_range(int64_t pfn)
{
	const struct kernel_config *c = &kernel_data()->config;

	return pfn >= 0 && (unsigned long)pfn < 1UL << (c->max_physmem_bits - c->page_shift);
}

struct page *page_at(int64_t pfn)
{
	if (!pfn_in_range(pfn)) {
		bad_argument("pfn beyond the physical address space");
		return NULL;
	}
	return pfn_to_page((unsigned long)pfn);
}

int64_t op_get_page(const int64_t *args);
int64_t op_get_page(const int64_t *args)
{
	struct page *page = page_at(args[0]);

	if (page)
		outline_get_page(page);
	return 0;
}

int64_t op_put_page(const int64_t *args);
int64_t op_put_page(const int64_t *args)
{
	struct page *page = page_at(args[0]);

	if (page)
		outline_put_page(page);
	return 0;
}

enum page_field {
	FIELD_COUNT,
	FIELD_MAPCOUNT,
	FIELD_FLAGS, /* locked, active, waiters, reserved */
	FIELD_ZONE,
	FIELD_NID,
	FIELD_PGMAP, /* 0 none, 1 a pagemap, 2 own list, 3 poison, 4 uninitialised */
	FIELD_HMM_DATA,
	FIELD_MAPPING,
	FIELD_PGMAP_HANDLE,
	FIELD_IS_PRIVATE,
	FIELD_IS_PUBLIC,
	FIELD_IS_ZONE_DEVICE,
	FIELD_POISONED,
	FIELD_VALID,
	FIELD_ONLINE,
	FIELD_OF_DEVICE, /* there, initialised, and of a pagemap */
};

static int64_t pgmap_kind(const struct page *page)
{
	unsigned long word = page_pgmap_word(page);

	if (!word)
		return 0;
	/* Behind the compound head's word: lru is the second word of the page. */
	if (word == (unsigned long)page + 8)
		return 2;
	if (word == ~0UL)
		return 4;
	return word >> 48 == 0xdead ? 3 : 1;
}

static int64_t op_page_field(const int64_t *args)
{
	struct page *page;

	/* These two are questions about any pfn, also about one behind the last. */
	if (args[1] == FIELD_VALID)
		return pfn_in_range(args[0]) && pfn_valid((unsigned long)args[0]);
	if (args[1] == FIELD_ONLINE)
		return pfn_in_range(args[0]) && pfn_to_online_page((unsigned long)args[0]) != NULL;
	if (args[1] == FIELD_OF_DEVICE &&
	    !(pfn_in_range(args[0]) && pfn_valid((unsigned long)args[0])))
		return false;
	page = page_at(args[0]);
	if (!page)
		return 0;
	switch (args[1]) {
	case FIELD_OF_DEVICE:
		return !page_is_poisoned(page) && pgmap_kind(page) == 1;
	case FIELD_COUNT:
		return page_count(page);
	case FIELD_MAPCOUNT:
		return page_mapcount(page);
	case FIELD_FLAGS:
		return PageLocked(page) | PageActive(page) << 1 | PageWaiters(page) << 2 |
		       PageReserved(page) << 3;
	case FIELD_ZONE:
		return page_zonenum(page);
	case FIELD_NID:
		return page_to_nid(page);
	case FIELD_PGMAP:
		return pgmap_kind(page);
	case FIELD_HMM_DATA:
		return (int64_t)page_hmm_data(page);
	case FIELD_MAPPING:
		return (int64_t)page_mapping(page);
	case FIELD_PGMAP_HANDLE:
		return pgmap_kind(page) == 1 ? object_or_new('P', page_pgmap(page), NULL) : 0;
	case FIELD_IS_PRIVATE:
		return is_device_private_page(page);
	case FIELD_IS_PUBLIC:
		return is_device_public_page(page);
	case FIELD_IS_ZONE_DEVICE:
		return is_zone_device_page(page);
	case FIELD_POISONED:
		return page_is_poisoned(page);
	default:
		return bad_argument("no such field");
	}
}

/* 0..3 the flags of FIELD_FLAGS, 4 mapping, 5 hmm_data */
static int64_t op_page_set(const int64_t *args)
{
	struct page *page = page_at(args[0]);

	if (!page)
		return 0;
	if (args[1] >= 0 && args[1] <= PG_reserved)
		change_page_flag(page, (enum pageflags)args[1], args[2] != 0);
	else if (args[1] == 4)
		set_page_mapping(page, (unsigned long)args[2]);
	else if (args[1] == 5)
		set_page_hmm_data(page, (unsigned long)args[2]);
	else
		return bad_argument("no such field");
	return 0;
}

static const struct op ops[] = {
	OP("get_page", "i", "v", op_get_page),
	OP("put_page", "i", "v", op_put_page),
	OP("page_field", "ii", "u", op_page_field),
	OP("page_set", "iii", "v", op_page_set),
};
OP_TABLE(ops_page, ops);
