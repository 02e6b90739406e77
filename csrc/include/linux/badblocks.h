/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_BADBLOCKS_H
#define _LINUX_BADBLOCKS_H

#include <linux/types.h>

struct device;

/**
 * struct badblocks - list of sectors that cannot be read
 * @dev: device that owns @page, NULL when not managed
 * @count: ranges listed
 * @shift: log2 of sectors a block; -1: no list could be allocated
 * @page: the ranges
 */
struct badblocks {
	struct device *dev;
	int count;
	int shift;
	u64 *page;
};

int devm_init_badblocks(struct device *dev, struct badblocks *bb);
void devm_exit_badblocks(struct device *dev, struct badblocks *bb);

#endif
