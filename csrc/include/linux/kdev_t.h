/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_KDEV_T_H
#define _LINUX_KDEV_T_H

#include <linux/types.h>

/* dev_t of the kernel: the C library has a wider type of that name. */
typedef u32 kernel_dev_t;

#define MINORBITS 20
#define MINORMASK ((1U << MINORBITS) - 1)
#define MAJOR(dev) ((unsigned int)((dev) >> MINORBITS))
#define MINOR(dev) ((unsigned int)((dev)&MINORMASK))
#define MKDEV(ma, mi) ((kernel_dev_t)(((ma) << MINORBITS) | (mi)))

#endif
