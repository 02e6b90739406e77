// SPDX-License-Identifier: GPL-2.0-only
/*
 * Numbers of character devices, for drivers that do not care which.
 */
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/kernel_data.h>
#include <linux/slab.h>

#define chrdevs_lock (kernel_data()->char_dev.chrdevs_lock)
#define chrdevs (kernel_data()->char_dev.chrdevs)

/* mirrors fs/char_dev.c:find_dynamic_major, v4.19, without the extended majors */
static int find_dynamic_major(void)
{
	const struct char_device_struct *cd;

	for (unsigned int major = CHRDEV_MAJOR_DYN_TOP; major >= CHRDEV_MAJOR_DYN_END; major--) {
		bool taken = false;

		list_for_each_entry(cd, &chrdevs, list)
			taken |= cd->major == major;
		if (!taken)
			return (int)major;
	}
	return -EBUSY;
}

/**
 * alloc_chrdev_region() - get a range of numbers with a major of its own
 * @dev: set to the first
 * @baseminor: first minor
 * @count: how many
 * @name: who wants them
 *
 * mirrors fs/char_dev.c:alloc_chrdev_region, v4.19
 *
 * Context: may sleep.  Return: 0, -ENOMEM, or -EBUSY if no major is left.
 */
int alloc_chrdev_region(kernel_dev_t *dev, unsigned int baseminor, unsigned int count,
			const char *name)
{
	struct char_device_struct *cd = kzalloc(sizeof(*cd), GFP_KERNEL);
	int major;

	if (!cd)
		return -ENOMEM;

	mutex_lock(&chrdevs_lock);
	major = find_dynamic_major();
	if (major < 0) {
		mutex_unlock(&chrdevs_lock);
		kfree(cd);
		return major;
	}
	cd->major = (unsigned int)major;
	cd->baseminor = baseminor;
	cd->minorct = count;
	snprintf(cd->name, sizeof(cd->name), "%s", name);
	list_add_tail(&cd->list, &chrdevs);
	mutex_unlock(&chrdevs_lock);

	*dev = MKDEV(cd->major, cd->baseminor);
	return 0;
}
EXPORT_SYMBOL(alloc_chrdev_region);

/**
 * unregister_chrdev_region() - give a range of numbers back
 * @from: first number
 * @count: how many
 *
 * mirrors fs/char_dev.c:unregister_chrdev_region, v4.19
 */
void unregister_chrdev_region(kernel_dev_t from, unsigned int count)
{
	struct char_device_struct *cd;

	mutex_lock(&chrdevs_lock);
	list_for_each_entry(cd, &chrdevs, list) {
		if (cd->major != MAJOR(from) || cd->baseminor != MINOR(from) ||
		    cd->minorct != count)
			continue;
		list_del(&cd->list);
		kfree(cd);
		break;
	}
	mutex_unlock(&chrdevs_lock);
}
EXPORT_SYMBOL(unregister_chrdev_region);

void __init chrdev_init(void)
{
	mutex_init(&chrdevs_lock);
	INIT_LIST_HEAD(&chrdevs);
}
