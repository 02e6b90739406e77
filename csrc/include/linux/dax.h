/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_DAX_H
#define _LINUX_DAX_H

#include <linux/device.h>
#include <linux/ioport.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/pfn_t.h>
#include <linux/types.h>

struct dax_device;

/**
 * struct dax_operations - what a provider of directly accessible memory does
 * @direct_access: where is it? Return: pages from @pgoff on that can be
 *	accessed at *@kaddr and *@pfn, or a negative errno
 */
struct dax_operations {
	long (*direct_access)(struct dax_device *dax_dev, unsigned long pgoff, long nr_pages,
			      void **kaddr, pfn_t *pfn);
};

/* dax_device.flags */
#define DAXDEV_ALIVE 0

/**
 * struct dax_device - memory that can be mapped into processes
 * @list: link in dax_host_list while it can be found by @host
 * @flags: bit DAXDEV_ALIVE, cleared by kill_dax()
 * @host: name of the disk that it belongs to, or NULL
 * @private: of the provider; NULL once killed
 * @ops: of the provider, or NULL
 * @count: references
 * @i_rcu: for the free
 */
struct dax_device {
	struct list_head list;
	unsigned long flags;
	char *host;
	void *private;
	const struct dax_operations *ops;
	struct kref count;
	struct rcu_head i_rcu;
};

/* ---- drivers/dax/super.c ---- */

void dax_init(void);
int dax_read_lock(void);
void dax_read_unlock(int id);
bool dax_alive(struct dax_device *dax_dev);
struct dax_device *alloc_dax(void *private, const char *host, const struct dax_operations *ops);
void kill_dax(struct dax_device *dax_dev);
void put_dax(struct dax_device *dax_dev);
struct dax_device *dax_get_by_host(const char *host);
void *dax_get_private(struct dax_device *dax_dev);
long dax_direct_access(struct dax_device *dax_dev, unsigned long pgoff, long nr_pages, void **kaddr,
		       pfn_t *pfn);

/* ---- drivers/dax/device.c ---- */

/**
 * struct dax_region - memory from which device-dax instances are made
 * @id: of the region
 * @base: virtual address
 * @kref: held by each instance, by the registration and while probing
 * @dev: device that provides the memory; its driver data is the region
 * @align: of each instance
 * @res: physical range
 * @pfn_flags: PFN_DEV, PFN_MAP
 */
struct dax_region {
	int id;
	void *base;
	struct kref kref;
	struct device *dev;
	unsigned int align;
	struct resource res;
	u64 pfn_flags;
};

/**
 * struct dev_dax - a character device whose mappings are the memory itself
 * @region: it is part of
 * @dax_dev: its dax_device
 * @dev: its device, child of the region's; held by everyone who has it open
 * @num_resources: length of @res
 * @res: its ranges
 */
struct dev_dax {
	struct dax_region *region;
	struct dax_device *dax_dev;
	struct device dev;
	int num_resources;
	struct resource res[];
};

static inline struct dev_dax *to_dev_dax(struct device *dev)
{
	return container_of(dev, struct dev_dax, dev);
}

void dax_region_put(struct dax_region *dax_region);
struct dax_region *alloc_dax_region(struct device *parent, int region_id, struct resource *res,
				    unsigned int align, void *addr, u64 flags);
struct dev_dax *devm_create_dev_dax(struct dax_region *dax_region, int id, struct resource *res,
				    int count);

#endif
