// SPDX-License-Identifier: GPL-2.0-only
#include <linux/device.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/outline.h>
#include <linux/percpu-refcount.h>

void outline_percpu_ref_get_many(struct percpu_ref *ref, unsigned long nr)
{
	percpu_ref_get_many(ref, nr);
}

void outline_percpu_ref_put_many(struct percpu_ref *ref, unsigned long nr)
{
	percpu_ref_put_many(ref, nr);
}

bool outline_percpu_ref_tryget(struct percpu_ref *ref)
{
	return percpu_ref_tryget(ref);
}

bool outline_percpu_ref_tryget_live(struct percpu_ref *ref)
{
	return percpu_ref_tryget_live(ref);
}

bool outline_percpu_ref_is_dying(struct percpu_ref *ref)
{
	return percpu_ref_is_dying(ref);
}

bool outline_percpu_ref_is_zero(struct percpu_ref *ref)
{
	return percpu_ref_is_zero(ref);
}

void outline_get_page(struct page *page)
{
	get_page(page);
}

void outline_put_page(struct page *page)
{
	put_page(page);
}

/* Loops do not ask: without ZONE_DEVICE nobody gives them the pagemap that they would have in hand. */
struct dev_pagemap *outline_get_dev_pagemap(unsigned long pfn, struct dev_pagemap *pgmap)
{
	return kernel_data()->config.zone_device ? get_dev_pagemap(pfn, pgmap) : NULL;
}

void *outline_dev_get_drvdata(const struct device *dev)
{
	return dev_get_drvdata(dev);
}

void outline_dev_set_drvdata(struct device *dev, void *data)
{
	dev_set_drvdata(dev, data);
}

void outline_set_driver(struct device *dev, struct device_driver *drv)
{
	WRITE_ONCE(dev->driver, drv);
}
