/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_MMDEBUG_H
#define _LINUX_MMDEBUG_H

#include <linux/bug.h>
#include <linux/kernel_data.h>

struct page;

/* Prints the state of @page and why. */
void dump_page(struct page *page, const char *reason);

/* CONFIG_DEBUG_VM; @cond is not evaluated without. */
#define VM_BUG_ON_PAGE(cond, page)                                                \
	do {                                                                      \
		if (unlikely(kernel_data()->config.debug_vm) && unlikely(cond)) { \
			dump_page(page, "VM_BUG_ON_PAGE(" #cond ")");             \
			BUG();                                                    \
		}                                                                 \
	} while (0)

#endif
