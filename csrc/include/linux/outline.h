/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_OUTLINE_H
#define _LINUX_OUTLINE_H

#include <linux/percpu-refcount.h>
#include <linux/types.h>

struct dev_pagemap;
struct device;
struct device_driver;
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
/** outline_get_dev_pagemap() - the stub where there is no ZONE_DEVICE, whatever it is given */
struct dev_pagemap *outline_get_dev_pagemap(unsigned long pfn, struct dev_pagemap *pgmap);
void *outline_dev_get_drvdata(const struct device *dev);
void outline_dev_set_drvdata(struct device *dev, void *data);
/** outline_set_driver() - what a bus does that knows the driver; the device lock is held */
void outline_set_driver(struct device *dev, struct device_driver *drv);

#endif
