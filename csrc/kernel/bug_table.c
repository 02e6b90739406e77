// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where each WARN and BUG stands on the real kernel, so that logs read as
 * they do there.  Facts, not code.
 */
#include <linux/bug_table.h>
#include <linux/kernel.h>
#include <linux/string.h>

#define ROW(func, text, rank, file, line)              \
	{                                              \
		func, text, rank, file, line, false, 0 \
	}
/* A warning that is part of the documented answer to the very call that prints it. */
#define ANSWER(func, text, rank, file, line)          \
	{                                             \
		func, text, rank, file, line, true, 0 \
	}
/* The same for warnings of files that the series changes: line before, line after. */
#define MOVED(func, text, rank, file, before, line, answer)  \
	{                                                    \
		func, text, rank, file, line, answer, before \
	}

static const struct bug_location bug_locations[] = {
	ROW("percpu_ref_exit", "READ_ONCE(ref->confirm_switch)", 0, "lib/percpu-refcount.c", 107),
	ROW("percpu_ref_switch_to_atomic_rcu",
	    "percpu ref (%pf) <= 0 (%ld) after switching to atomic", 0, "lib/percpu-refcount.c",
	    153),
	ROW("__percpu_ref_switch_to_percpu", "!percpu_count", 0, "lib/percpu-refcount.c", 192),
	ROW("percpu_ref_kill_and_confirm", "%s called more than once on %pf!", 0,
	    "lib/percpu-refcount.c", 335),
	ROW("percpu_ref_reinit", "!percpu_ref_is_zero(ref)", 0, "lib/percpu-refcount.c", 363),
	ROW("__radix_tree_insert", "radix_tree_is_internal_node(item)", 0, "lib/radix-tree.c", 992),
	ROW("__insert_resource", "first == new", 0, "kernel/resource.c", 784),
	ROW("devm_release_resource",
	    "devres_release(dev, devm_resource_release, devm_resource_match, new)", 0,
	    "kernel/resource.c", 1387),
	ROW("__devm_release_region",
	    "devres_destroy(dev, devm_region_release, devm_region_match, &match_data)", 0,
	    "kernel/resource.c", 1445),
	ROW("add_dr", "!list_empty(&node->entry)", 0, "drivers/base/devres.c", 109),
	ROW("devres_free", "!list_empty(&dr->node.entry)", 0, "drivers/base/devres.c", 206),
	ROW("remove_nodes", "!grp || list_empty(&grp->node[0].entry)", 0, "drivers/base/devres.c",
	    463),
	ROW("remove_nodes", "grp->color <= 0 || grp->color > 2", 0, "drivers/base/devres.c", 469),
	ROW("devres_release_all", "dev->devres_head.next == NULL", 0, "drivers/base/devres.c", 518),
	ROW("devres_close_group", "1", 0, "drivers/base/devres.c", 606),
	ROW("devres_remove_group", "1", 0, "drivers/base/devres.c", 634),
	ROW("devres_release_group", "1", 0, "drivers/base/devres.c", 672),
	ROW("devm_remove_action",
	    "devres_destroy(dev, devm_action_release, devm_action_match, &devres)", 0,
	    "drivers/base/devres.c", 748),
	ROW("devm_kfree", "devres_destroy(dev, devm_kmalloc_release, devm_kmalloc_match, p)", 0,
	    "drivers/base/devres.c", 893),
	ROW("devm_free_pages", "devres_release(dev, devm_pages_release, devm_pages_match, &devres)",
	    0, "drivers/base/devres.c", 989),
	ROW("devm_free_percpu",
	    "devres_destroy(dev, devm_percpu_release, devm_percpu_match, pdata)", 0,
	    "drivers/base/devres.c", 1054),
	ROW("really_probe", "!list_empty(&dev->devres_head)", 0, "drivers/base/dd.c", 479),
	ROW("device_release",
	    "Device '%s' does not have a release() function, it is broken and must be fixed.\n", 0,
	    "drivers/base/core.c", 893),
	ROW("refcount_inc_checked", "refcount_t: increment on 0; use-after-free.\n", 0,
	    "lib/refcount.c", 153),
	ROW("refcount_sub_and_test_checked", "refcount_t: underflow; use-after-free.\n", 0,
	    "lib/refcount.c", 187),
	MOVED("devm_memremap_pages_release", "%s %s: %s: page mapping is still live!\n", 0,
	      "kernel/memremap.c", 129, 129, false),
	MOVED("devm_memremap_pages", "%s %s: Conflicting mapping in same section\n", 0,
	      "kernel/memremap.c", 190, 195, true),
	MOVED("devm_memremap_pages", "%s %s: Conflicting mapping in same section\n", 1,
	      "kernel/memremap.c", 197, 202, true),
	MOVED("devm_memremap_pages", "%s attempted on %s region %pr\n", 0, "kernel/memremap.c", 206,
	      211, true),
	/* Where the series puts it was not recorded. */
	MOVED("devm_memremap_pages_release", "%s %s: %s: failed to free all reserved pages\n", 0,
	      "kernel/memremap.c", 146, 146, false),
	ANSWER("add_pages", "ret", 0, "arch/x86/mm/init_64.c", 805),
	/* Before the series; "use devm semantics" moves the second one, where to was not recorded. */
	ROW("hmm_devmem_release", "%s %s: %s: page mapping is still live!\n", 0, "mm/hmm.c", 1000),
	ANSWER("hmm_devmem_pages_create", "%s attempted on mixed region %pr\n", 0, "mm/hmm.c",
	       1038),
};

const struct bug_location *bug_location(const char *func, const char *text, int rank)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bug_locations); i++) {
		const struct bug_location *row = &bug_locations[i];

		if (row->rank == rank && !strcmp(row->func, func) && !strcmp(row->text, text))
			return row;
	}
	return NULL;
}
