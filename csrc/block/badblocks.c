// SPDX-License-Identifier: GPL-2.0-only

#include <linux/badblocks.h>
#include <linux/device.h>
#include <linux/export.h>
#include <linux/kernel_data.h>
#include <linux/mm.h>

/**
 * devm_init_badblocks() - start with no bad sectors
 * @dev: whose managed memory the list shall be
 * @bb: the list
 *
 * Return: 0 or -ENOMEM.
 *
 * mirrors block/badblocks.c:devm_init_badblocks, v4.19
 */
int devm_init_badblocks(struct device *dev, struct badblocks *bb)
{
	if (!bb)
		return -EINVAL;

	bb->dev = dev;
	bb->count = 0;
	bb->shift = 0;
	bb->page = devm_kzalloc(dev, PAGE_SIZE, GFP_KERNEL);
	if (!bb->page) {
		bb->shift = -1;
		return -ENOMEM;
	}
	return 0;
}
EXPORT_SYMBOL_GPL(devm_init_badblocks);

/**
 * devm_exit_badblocks() - give the list back before the device is unbound
 * @dev: device given to devm_init_badblocks()
 * @bb: the list
 *
 * mirrors block/badblocks.h:devm_exit_badblocks, v4.19
 */
void devm_exit_badblocks(struct device *dev, struct badblocks *bb)
{
	if (bb->dev != dev) {
		dev_WARN_ONCE(dev, 1, "%s: badblocks instance not associated\n", __func__);
		return;
	}
	devm_kfree(dev, bb->page);
	bb->page = NULL;
}
