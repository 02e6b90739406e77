// SPDX-License-Identifier: GPL-2.0-only
/*
 * A look at the index of pagemaps, as get_dev_pagemap() sees it: a ref that it
 * leads to must not have been exited, also where nobody gets hold of it.
 */
#include <linux/index_test.h>
#include <linux/kernel_data.h>
#include <linux/memremap.h>
#include <linux/percpu-refcount.h>
#include <linux/rcupdate.h>

/**
 * index_leads_to_exited_ref() - is the ref that a lookup of @pfn meets gone?
 * @pfn: page
 *
 * Context: any.  Return: it has been exited, and the index still leads to it.
 */
bool index_leads_to_exited_ref(unsigned long pfn)
{
	struct dev_pagemap *pgmap;
	bool exited = false;

	rcu_read_lock();
	pgmap = radix_tree_lookup(&kernel_data()->memremap.pgmap_radix, pfn);
	if (pgmap && pgmap->ref)
		exited = debug_percpu_ref_exited(READ_ONCE(pgmap->ref->percpu_count_ptr));
	rcu_read_unlock();
	return exited;
}
