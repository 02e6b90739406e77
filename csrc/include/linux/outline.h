/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_OUTLINE_H
#define _LINUX_OUTLINE_H

#include <linux/percpu-refcount.h>
#include <linux/types.h>

struct page;

/*
 * What headers define inline, as functions, for callers that are not compiled
 * as part of the kernel: kernel/outline.c.
 */
void outline_percpu_ref_get_many(struct percpu_ref *ref, unsigned long nr);
void outline_percpu_ref_put_many(struct percpu_ref *ref, unsigned long nr);
bool outline_percpu_ref_tryget(struct percpu_ref *ref);
bool outline_percpu_ref_tryget_live(struct percpu_ref *ref);
bool outline_percpu_ref_is_dying(struct percpu_ref *ref);
bool outline_percpu_ref_is_zero(struct percpu_ref *ref);
void outline_get_page(struct page *page);
void outline_put_page(struct page *page);

#endif
