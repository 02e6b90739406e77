/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_NFIT_TEST_H
#define _LINUX_NFIT_TEST_H

#include <linux/ioport.h>
#include <linux/list.h>

struct dev_pagemap;
struct device;

/**
 * struct nfit_test_resource - a range that exists only in a test
 * @list: link in the list of all of them
 * @res: the range
 * @buf: its contents
 */
struct nfit_test_resource {
	struct list_head list;
	struct resource res;
	void *buf;
};

void nfit_test_init(void);
struct nfit_test_resource *nfit_test_resource_add(resource_size_t start, size_t size);
void nfit_test_resource_del(struct nfit_test_resource *nfit_res);
struct nfit_test_resource *get_nfit_res(resource_size_t resource);

void *__wrap_devm_memremap_pages(struct device *dev, struct dev_pagemap *pgmap);

#endif
