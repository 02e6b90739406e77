/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_ERRNO_H
#define _LINUX_ERRNO_H

/* Not <errno.h>: the C library takes its numbers from this very file name. */
#include <asm/errno.h>

/* Never seen by user space, hence in no libc header. */
#ifndef ERESTARTSYS
#define ERESTARTSYS 512
#endif
#ifndef EPROBE_DEFER
#define EPROBE_DEFER 517
#endif

#endif
