/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_LIBNVDIMM_H
#define _LINUX_LIBNVDIMM_H

#include <linux/badblocks.h>
#include <linux/completion.h>
#include <linux/device.h>
#include <linux/ioport.h>
#include <linux/memremap.h>
#include <linux/nd.h>
#include <linux/percpu-refcount.h>
#include <linux/sizes.h>
#include <linux/types.h>

struct dax_device;
struct gendisk;
struct kernfs_node;

/* nd_region.flags */
#define ND_REGION_PAGEMAP 0 /* its plain namespaces get struct pages too */

/**
 * struct nd_region - memory that namespaces are made of
 * @flags: bits ND_REGION_*
 * @ndr_mappings: DIMMs behind it; 0 if the firmware names none, and then
 *	nothing is known about flushing either
 */
struct nd_region {
	unsigned long flags;
	int ndr_mappings;
};

#define NSIO_NAME_LEN 32

/**
 * struct nd_namespace_common - what all namespaces have
 * @force_raw: no struct pages, whatever the region says
 * @dev: device that the driver binds to: the namespace, or what claims it
 * @name: of the namespace, for the resource tree
 */
struct nd_namespace_common {
	bool force_raw;
	struct device dev;
	char name[NSIO_NAME_LEN];
};

enum nd_pfn_mode {
	PFN_MODE_NONE,
	PFN_MODE_RAM, /* struct pages in ordinary memory */
	PFN_MODE_PMEM, /* struct pages in the namespace itself */
};

/**
 * struct nd_pfn_sb - info block: how a namespace is divided
 * @dataoff: bytes before the data, from the padded start
 * @npfns: 4 KiB pages of data
 * @mode: enum nd_pfn_mode
 * @start_pad: bytes given up at the start, to begin in a section of its own
 * @end_trunc: bytes given up at the end
 */
struct nd_pfn_sb {
	u64 dataoff;
	u64 npfns;
	u32 mode;
	u32 start_pad;
	u32 end_trunc;
};

/**
 * struct nd_pfn - claims a namespace to give it struct pages
 * @mode: wanted
 * @align: of the data, bytes
 * @npfns: pages of data, set by nvdimm_setup_pfn()
 * @pfn_sb: info block
 * @ndns: the namespace; NULL: none is claimed
 */
struct nd_pfn {
	enum nd_pfn_mode mode;
	unsigned long align;
	unsigned long npfns;
	struct nd_pfn_sb pfn_sb;
	struct nd_namespace_common *ndns;
};

/**
 * struct nd_namespace_io - a namespace that is one physical range
 * @common: what all namespaces have
 * @res: the range
 * @size: of the range while enabled for raw access
 * @addr: mapping while enabled for raw access
 * @bb: bad sectors while enabled for raw access
 * @nd_region: region that it is part of
 * @nd_pfn: what claims it, if anything does
 */
struct nd_namespace_io {
	struct nd_namespace_common common;
	struct resource res;
	resource_size_t size;
	void *addr;
	struct badblocks bb;
	struct nd_region nd_region;
	struct nd_pfn nd_pfn;
};

static inline struct nd_namespace_common *to_ndns(struct device *dev)
{
	return container_of(dev, struct nd_namespace_common, dev);
}

static inline struct nd_namespace_io *to_nd_namespace_io(struct device *dev)
{
	return container_of(to_ndns(dev), struct nd_namespace_io, common);
}

static inline struct nd_pfn *to_nd_pfn(struct device *dev)
{
	return &to_nd_namespace_io(dev)->nd_pfn;
}

/* ---- drivers/nvdimm/bus.c ---- */

void nvdimm_init(void);

/* ---- drivers/nvdimm/namespace_devs.c ---- */

/**
 * enum nd_mode - what a namespace is configured for
 *
 * ND_MODE_RAW: a disk without struct pages
 * ND_MODE_MEMORY: a disk with struct pages, without an info block
 * ND_MODE_FSDAX: a disk with struct pages and an info block
 * ND_MODE_DEVDAX: a device-dax instance
 */
enum nd_mode {
	ND_MODE_RAW,
	ND_MODE_MEMORY,
	ND_MODE_FSDAX,
	ND_MODE_DEVDAX,
};

struct nd_namespace_io *nd_namespace_create(const char *name, resource_size_t start,
					    resource_size_t size, enum nd_mode mode, bool altmap);
struct nd_namespace_common *nvdimm_namespace_common_probe(struct device *dev);
void nvdimm_namespace_disk_name(struct nd_namespace_common *ndns, char *name, size_t size);
int nd_namespace_scan_name(const char *name, int *region_id, int *id);
bool pmem_should_map_pages(struct device *dev);
bool is_nd_pfn(const struct device *dev);
bool is_nd_dax(const struct device *dev);
int nvdimm_has_flush(const struct nd_region *nd_region);

/* ---- drivers/nvdimm/pfn_devs.c ---- */

int nd_pfn_init(struct nd_pfn *nd_pfn);
int nvdimm_setup_pfn(struct nd_pfn *nd_pfn, struct dev_pagemap *pgmap);

/* ---- drivers/nvdimm/claim.c ---- */

int devm_nsio_enable(struct device *dev, struct nd_namespace_io *nsio);
void devm_nsio_disable(struct device *dev, struct nd_namespace_io *nsio);

/* ---- drivers/nvdimm/pmem.c ---- */

/**
 * struct pmem_device - a namespace as a disk; driver data of the bound device
 * @phys_addr: of the namespace
 * @data_offset: bytes before the first sector
 * @pfn_flags: PFN_DEV, and PFN_MAP if there are struct pages
 * @virt_addr: of the mapping
 * @size: of the namespace
 * @pfn_pad: bytes of it that the mapping leaves out
 * @bb_state: file to notify when @bb changes, or NULL
 * @bb: bad sectors
 * @dax_dev: for direct access
 * @disk: the disk
 * @pgmap: struct pages, in the modes that have them
 */
struct pmem_device {
	phys_addr_t phys_addr;
	phys_addr_t data_offset;
	u64 pfn_flags;
	void *virt_addr;
	size_t size;
	u32 pfn_pad;
	struct kernfs_node *bb_state;
	struct badblocks bb;
	struct dax_device *dax_dev;
	struct gendisk *disk;
	struct dev_pagemap pgmap;
};

int nd_pmem_init(void);

/* ---- drivers/dax/pmem.c ---- */

/**
 * struct dax_pmem - persistent memory for device-dax
 * @dev: bound device
 * @ref: counts the pages of @pgmap
 * @pgmap: struct pages
 * @cmp: completed when @ref has become zero
 */
struct dax_pmem {
	struct device *dev;
	struct percpu_ref ref;
	struct dev_pagemap pgmap;
	struct completion cmp;
};

int dax_pmem_init(void);

#endif
