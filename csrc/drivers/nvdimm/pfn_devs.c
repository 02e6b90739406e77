// SPDX-License-Identifier: GPL-2.0-only
/*
 * Info blocks: how a namespace is divided into metadata and data.
 *
 *	start   + start_pad         + 8 KiB          + dataoff      - end_trunc
 *	|  pad  | label, info block | [struct pages] | data         |  pad  |
 *
 * The pads keep a mapping, which is made of whole sections, out of sections
 * that hold System RAM.
 */

#include <linux/device.h>
#include <linux/export.h>
#include <linux/kernel_data.h>
#include <linux/libnvdimm.h>
#include <linux/mm.h>
#include <linux/string.h>

#define PHYS_SECTION_SIZE (1ULL << PA_SECTION_SHIFT)
#define PHYS_SECTION_ALIGN_DOWN(x) ALIGN_DOWN(x, PHYS_SECTION_SIZE)
#define PHYS_SECTION_ALIGN_UP(x) ALIGN(x, PHYS_SECTION_SIZE)
#define PFN_SECTION_ALIGN_DOWN(x) ((x)&PAGE_SECTION_MASK)
#define PFN_SECTION_ALIGN_UP(x) (((x) + PAGES_PER_SECTION - 1) & PAGE_SECTION_MASK)

/* A struct page is planned for at this size, whatever it is. */
#define PFN_STRUCT_PAGE_SIZE 64
/* Device-dax keeps room for labels. */
#define DAX_LABEL_RESERVE SZ_128K

/* mirrors drivers/nvdimm/pfn_devs.c:trim_pfn_device, v4.19 */
static void trim_pfn_device(struct nd_pfn *nd_pfn, u32 *start_pad, u32 *end_trunc)
{
	struct nd_namespace_io *nsio = to_nd_namespace_io(&nd_pfn->ndns->dev);
	const struct resource *res = &nsio->res;
	resource_size_t start, end = res->end + 1;

	*start_pad = 0;
	*end_trunc = 0;

	start = PHYS_SECTION_ALIGN_DOWN(res->start);
	if (region_intersects(start, end - start, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE) ==
	    REGION_MIXED)
		*start_pad = (u32)(PHYS_SECTION_ALIGN_UP(res->start) - res->start);

	start = res->start;
	if (region_intersects(start, PHYS_SECTION_ALIGN_UP(end) - start, IORESOURCE_SYSTEM_RAM,
			      IORES_DESC_NONE) == REGION_MIXED)
		*end_trunc = (u32)(end - PHYS_SECTION_ALIGN_DOWN(end));
	else if (!IS_ALIGNED(end, nd_pfn->align))
		*end_trunc = (u32)(end - ALIGN_DOWN(end, nd_pfn->align));

	if (*start_pad + *end_trunc)
		dev_info(&nd_pfn->ndns->dev, "%s alignment collision, truncate %d bytes\n",
			 nd_pfn->ndns->name, *start_pad + *end_trunc);
}

/**
 * nd_pfn_init() - write the info block of a namespace that has none
 * @nd_pfn: its mode and alignment set
 *
 * The data begins behind 8 KiB of metadata, for device-dax the labels, and in
 * PFN_MODE_PMEM the struct pages, aligned to a huge page at least.
 *
 * Return: 0 or -ENXIO if no data would be left.
 *
 * mirrors drivers/nvdimm/pfn_devs.c:nd_pfn_init, v4.19
 */
int nd_pfn_init(struct nd_pfn *nd_pfn)
{
	struct nd_namespace_io *nsio = to_nd_namespace_io(&nd_pfn->ndns->dev);
	u64 label_reserve = is_nd_dax(&nd_pfn->ndns->dev) ? DAX_LABEL_RESERVE : 0;
	struct nd_pfn_sb *pfn_sb = &nd_pfn->pfn_sb;
	u64 size = resource_size(&nsio->res);
	u32 start_pad, end_trunc;
	unsigned long npfns;
	u64 offset, pads;

	trim_pfn_device(nd_pfn, &start_pad, &end_trunc);
	pads = (u64)start_pad + end_trunc;
	if (pads + SZ_8K >= size)
		goto no_room;

	switch (nd_pfn->mode) {
	case PFN_MODE_PMEM:
		npfns = PFN_SECTION_ALIGN_UP(PHYS_PFN(size - pads - SZ_8K));
		offset = ALIGN(SZ_8K + PFN_STRUCT_PAGE_SIZE * (u64)npfns + label_reserve,
			       max(nd_pfn->align, SZ_2M));
		break;
	case PFN_MODE_RAM:
		offset = ALIGN(SZ_8K + label_reserve, nd_pfn->align);
		break;
	default:
		return -ENXIO;
	}

	if (offset + pads >= size)
		goto no_room;

	pfn_sb->mode = nd_pfn->mode;
	pfn_sb->dataoff = offset;
	pfn_sb->npfns = (size - offset - pads) / SZ_4K;
	pfn_sb->start_pad = start_pad;
	pfn_sb->end_trunc = end_trunc;
	return 0;

no_room:
	dev_err(&nd_pfn->ndns->dev, "%s unable to satisfy requested alignment\n",
		nd_pfn->ndns->name);
	return -ENXIO;
}

/*
 * The altmap counts from the start of the first section, because the memory
 * that is added starts there: what lies between it and the namespace, and the
 * metadata, is reserved.
 */
static struct vmem_altmap init_altmap(resource_size_t base)
{
	unsigned long base_pfn = PHYS_PFN(base);

	return (struct vmem_altmap){
		.base_pfn = PFN_SECTION_ALIGN_DOWN(base_pfn),
		.reserve = PHYS_PFN(SZ_8K) + base_pfn - PFN_SECTION_ALIGN_DOWN(base_pfn),
	};
}

/* mirrors drivers/nvdimm/pfn_devs.c:__nvdimm_setup_pfn, v4.19 */
static int __nvdimm_setup_pfn(struct nd_pfn *nd_pfn, struct dev_pagemap *pgmap)
{
	struct nd_namespace_io *nsio = to_nd_namespace_io(&nd_pfn->ndns->dev);
	const struct nd_pfn_sb *pfn_sb = &nd_pfn->pfn_sb;
	resource_size_t base = nsio->res.start + pfn_sb->start_pad;
	struct vmem_altmap *altmap = &pgmap->altmap;
	struct vmem_altmap __altmap = init_altmap(base);
	struct resource *res = &pgmap->res;
	u64 offset = pfn_sb->dataoff;

	memcpy(res, &nsio->res, sizeof(*res));
	res->start += pfn_sb->start_pad;
	res->end -= pfn_sb->end_trunc;

	switch (pfn_sb->mode) {
	case PFN_MODE_RAM:
		if (offset < SZ_8K)
			return -EINVAL;
		nd_pfn->npfns = (unsigned long)pfn_sb->npfns;
		pgmap->altmap_valid = false;
		break;
	case PFN_MODE_PMEM:
		nd_pfn->npfns = PFN_SECTION_ALIGN_UP(PHYS_PFN(resource_size(res) - offset));
		if (pfn_sb->npfns > nd_pfn->npfns)
			dev_info(&nd_pfn->ndns->dev, "number of pfns truncated from %lld to %ld\n",
				 pfn_sb->npfns, nd_pfn->npfns);
		memcpy(altmap, &__altmap, sizeof(*altmap));
		altmap->free = PHYS_PFN(offset - SZ_8K);
		altmap->alloc = 0;
		pgmap->altmap_valid = true;
		break;
	default:
		return -ENXIO;
	}
	return 0;
}

/**
 * nvdimm_setup_pfn() - fill in a pagemap as the info block says
 * @nd_pfn: claims a namespace that is enabled for raw access
 * @pgmap: its range and altmap are set
 *
 * Return: 0; -ENODEV if no namespace is claimed; -ENXIO or -EINVAL if the info
 * block makes no sense.
 *
 * mirrors drivers/nvdimm/pfn_devs.c:nvdimm_setup_pfn, v4.19
 */
int nvdimm_setup_pfn(struct nd_pfn *nd_pfn, struct dev_pagemap *pgmap)
{
	if (!nd_pfn->ndns)
		return -ENODEV;
	return __nvdimm_setup_pfn(nd_pfn, pgmap);
}
EXPORT_SYMBOL_GPL(nvdimm_setup_pfn);
