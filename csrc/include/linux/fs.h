/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_FS_H
#define _LINUX_FS_H

#include <linux/kdev_t.h>
#include <linux/list.h>

/* Majors handed out to those who ask for none in particular, from the top. */
#define CHRDEV_MAJOR_DYN_TOP 254
#define CHRDEV_MAJOR_DYN_END 234

/**
 * struct char_device_struct - a range of character device numbers in use
 * @list: link in chrdevs
 * @major: its major number
 * @baseminor: first minor
 * @minorct: how many
 * @name: for /proc/devices
 */
struct char_device_struct {
	struct list_head list;
	unsigned int major;
	unsigned int baseminor;
	unsigned int minorct;
	char name[64];
};

void chrdev_init(void);
int alloc_chrdev_region(kernel_dev_t *dev, unsigned int baseminor, unsigned int count,
			const char *name);
void unregister_chrdev_region(kernel_dev_t from, unsigned int count);

#endif
