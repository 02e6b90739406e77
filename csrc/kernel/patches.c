// SPDX-License-Identifier: GPL-2.0-only
/*
 * The patches that this kernel knows, what each needs, the versions that are
 * made of them, and the mistakes that it can be told to make.
 */
#include <linux/kernel.h>
#include <linux/patches.h>

#define BIT_OF(patch) (1UL << (patch))

static const struct patch_info patch_infos[NR_PATCHES] = {
	[PATCH_MEMREMAP_GPL] = {
		.name = "memremap-gpl",
		.title = "mm, devm_memremap_pages: Mark devm_memremap_pages() EXPORT_SYMBOL_GPL",
	},
	[PATCH_SYSTEM_RAM] = {
		.name = "system-ram",
		.title = "mm, devm_memremap_pages: Kill mapping \"System RAM\" support",
	},
	[PATCH_SHUTDOWN] = {
		.name = "shutdown",
		.title = "mm, devm_memremap_pages: Fix shutdown handling",
	},
	[PATCH_DEVICE_PRIVATE] = {
		.name = "device-private",
		.title = "mm, devm_memremap_pages: Add MEMORY_DEVICE_PRIVATE support",
	},
	[PATCH_HMM_DEVM] = {
		.name = "hmm-devm",
		.title = "mm, hmm: Use devm semantics for hmm_devmem_{add, remove}",
	},
	/* HMM hands over its kill, its private memory, and its clean-up to devm. */
	[PATCH_HMM_MEMREMAP] = {
		.name = "hmm-memremap",
		.title = "mm, hmm: Replace hmm_devmem_pages_create() with devm_memremap_pages()",
		.needs = BIT_OF(PATCH_SHUTDOWN) | BIT_OF(PATCH_DEVICE_PRIVATE) |
			 BIT_OF(PATCH_HMM_DEVM),
	},
	[PATCH_HMM_GPL] = {
		.name = "hmm-gpl",
		.title = "mm, hmm: Mark hmm_devmem_{add, add_resource} EXPORT_SYMBOL_GPL",
	},
	[PATCH_DEFERRED_INIT] = {
		.name = "deferred-init",
		.title = "mm: defer ZONE_DEVICE page initialization to the point where we init "
			 "pgmap",
	},
	[PATCH_RELEASE_ACTION] = {
		.name = "release-action",
		.title = "drivers/base/devres: introduce devm_release_action()",
	},
	[PATCH_MEMUNMAP_PAGES] = {
		.name = "memunmap-pages",
		.title = "mm/devm_memremap_pages: introduce devm_memunmap_pages",
		.needs = BIT_OF(PATCH_RELEASE_ACTION),
	},
	[PATCH_P2PDMA_GEN_POOL] = {
		.name = "p2pdma-gen-pool",
		.title = "PCI/P2PDMA: fix the gen_pool_add_virt() failure path",
		.needs = BIT_OF(PATCH_MEMUNMAP_PAGES),
	},
	[PATCH_P2PDMA_RESOURCE_REF] = {
		.name = "p2pdma-resource-ref",
		.title = "PCI/P2PDMA: track pgmap references per resource, not globally",
		.needs = BIT_OF(PATCH_SHUTDOWN) | BIT_OF(PATCH_P2PDMA_GEN_POOL),
	},
	/* It waits inside the release: a ref that two mappings share would never be idle. */
	[PATCH_FINAL_PUT] = {
		.name = "final-put",
		.title = "mm/devm_memremap_pages: fix final page put race",
		.needs = BIT_OF(PATCH_SHUTDOWN) | BIT_OF(PATCH_HMM_MEMREMAP) |
			 BIT_OF(PATCH_P2PDMA_RESOURCE_REF),
	},
};

static const struct mode_info mode_infos[NR_MODES] = {
	/* "memremap: Fix reference count for pgmap in devm_memremap_pages" is squashed into it. */
	[MODE_NO_GET_MANY] = {
		.name = "a14-no-get-many",
		.title = "mm: defer ZONE_DEVICE page initialization ..., as first posted",
		.needs = BIT_OF(PATCH_DEFERRED_INIT),
	},
	[MODE_KILL_WAITS] = {
		.name = "a15-kill-waits",
		.title = "device-dax: a kill callback that waits for the ref to be idle",
	},
	[MODE_INDEX_FIRST] = {
		.name = "b01-index-first",
		.title = "devm_memremap_pages: fix vmem_altmap lifetime + alignment handling",
	},
	[MODE_COLLISION] = {
		.name = "b06-collision",
		.title = "mm: Fix devm_memremap_pages() collision handling",
	},
	[MODE_RELEASE_SIZE] = {
		.name = "b07-release-size",
		.title = "mm: Fix memory size alignment in devm_memremap_pages_release()",
	},
	[MODE_NO_RESCHED] = {
		.name = "b09-no-resched",
		.title = "memremap: fix softlockup reports at teardown",
	},
	/* Every mapping is refused, for it has no kill. */
	[MODE_P2PDMA_UNCONVERTED] = {
		.name = "p2pdma-unconverted",
		.title = "p2pdma as it was written, before it gave its pagemaps a kill callback",
	},
	[MODE_P2PDMA_SHARED_REF] = {
		.name = "a11-shared-ref",
		.title = "p2pdma with one ref for all resources, on a core that waits for it",
		.needs = BIT_OF(PATCH_FINAL_PUT),
	},
};

static const struct kernel_version kernel_versions[] = {
	{ "v4.19", PATCHES_NONE },
	{ "memremap-v6", PATCHES_SERIES },
	{ "v5.0", PATCHES_V5_0 },
	{ "v5.2", PATCHES_V5_2 },
};

const struct patch_info *patch_info(unsigned int patch)
{
	return patch < NR_PATCHES ? &patch_infos[patch] : NULL;
}

const struct mode_info *mode_info(unsigned int mode)
{
	return mode < NR_MODES ? &mode_infos[mode] : NULL;
}

const struct kernel_version *kernel_version(unsigned int i)
{
	return i < ARRAY_SIZE(kernel_versions) ? &kernel_versions[i] : NULL;
}

unsigned long patches_missing(unsigned long patches, enum patch *patch)
{
	unsigned int i;

	for (i = 0; i < NR_PATCHES; i++) {
		unsigned long missing = patch_infos[i].needs & ~patches;

		if ((patches >> i & 1) && missing) {
			*patch = (enum patch)i;
			return missing;
		}
	}
	return 0;
}

unsigned long modes_missing(unsigned long modes, unsigned long patches, enum mode *mode)
{
	unsigned int i;

	for (i = 0; i < NR_MODES; i++) {
		unsigned long missing = mode_infos[i].needs & ~patches;

		if ((modes >> i & 1) && missing) {
			*mode = (enum mode)i;
			return missing;
		}
	}
	return 0;
}
