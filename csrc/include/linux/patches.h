/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_PATCHES_H
#define _LINUX_PATCHES_H

#include <linux/kernel_data.h>

/**
 * enum patch - what may have been applied to v4.19
 *
 * The seven patches of the v6 series "mm: Merge hmm into devm_memremap_pages,
 * mark GPL-only" in their order, then what the following releases added.
 * Titles, and what needs what: kernel/patches.c.
 */
enum patch {
	PATCH_MEMREMAP_GPL,
	PATCH_SYSTEM_RAM,
	PATCH_SHUTDOWN,
	PATCH_DEVICE_PRIVATE,
	PATCH_HMM_DEVM,
	PATCH_HMM_MEMREMAP,
	PATCH_HMM_GPL,
	PATCH_DEFERRED_INIT,
	PATCH_RELEASE_ACTION,
	PATCH_MEMUNMAP_PAGES,
	PATCH_P2PDMA_GEN_POOL,
	PATCH_P2PDMA_RESOURCE_REF,
	PATCH_FINAL_PUT,
	NR_PATCHES,
};

#define PATCHES_NONE 0UL
#define PATCHES_SERIES ((1UL << (PATCH_HMM_GPL + 1)) - 1)
#define PATCHES_V5_0 (PATCHES_SERIES | 1UL << PATCH_DEFERRED_INIT)
#define PATCHES_V5_2 ((1UL << NR_PATCHES) - 1)

/* To this kernel what IS_ENABLED() is to a real one. */
static inline bool patched(enum patch patch)
{
	return kernel_data()->config.patches >> patch & 1;
}

/**
 * enum mode - historic mistakes that this kernel can make again
 *
 * Each undoes one step of the code that is right.  They stand beside the
 * patches, to show that a mistake of that kind is noticed.
 */
enum mode {
	MODE_NO_GET_MANY,
	MODE_KILL_WAITS,
	MODE_INDEX_FIRST,
	MODE_COLLISION,
	MODE_RELEASE_SIZE,
	MODE_NO_RESCHED,
	MODE_P2PDMA_UNCONVERTED,
	MODE_P2PDMA_SHARED_REF,
	NR_MODES,
};

static inline bool mode(enum mode mode)
{
	return kernel_data()->config.modes >> mode & 1;
}

/**
 * struct patch_info - one patch
 * @name: short name
 * @title: upstream title
 * @needs: bit mask of the patches without which it makes no kernel
 */
struct patch_info {
	const char *name;
	const char *title;
	unsigned long needs;
};

/**
 * struct mode_info - one mode
 * @name: short name
 * @title: upstream title of what put it right, or what it is
 * @needs: bit mask of the patches without which it means nothing
 */
struct mode_info {
	const char *name;
	const char *title;
	unsigned long needs;
};

/**
 * struct kernel_version - a set of patches with a name
 */
struct kernel_version {
	const char *name;
	unsigned long patches;
};

/* NULL beyond the last. */
const struct patch_info *patch_info(unsigned int patch);
const struct mode_info *mode_info(unsigned int mode);
const struct kernel_version *kernel_version(unsigned int i);

/**
 * patches_missing() - does every patch of a set have what it needs?
 * @patches: bit mask of enum patch
 * @patch: set to the first one that has not
 *
 * Return: what that patch misses, 0 if nothing is missing.
 */
unsigned long patches_missing(unsigned long patches, enum patch *patch);
/* The same for modes. */
unsigned long modes_missing(unsigned long modes, unsigned long patches, enum mode *mode);

#endif
