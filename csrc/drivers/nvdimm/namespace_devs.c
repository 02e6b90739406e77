// SPDX-License-Identifier: GPL-2.0-only
/*
 * Namespaces: pieces of persistent memory, configured for one use each.
 *
 * In the kernel a namespace that has an info block is claimed by a second
 * device (pfn0.0, dax0.0), and the driver binds to that one.  Here one device
 * stands for both: it bears the name and the type of the claim, and the
 * namespace keeps the name that the resource tree shows.
 */

#include <linux/device.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/kernel_data.h>
#include <linux/libnvdimm.h>
#include <linux/slab.h>
#include <linux/string.h>

#define nvdimm_bus_type (kernel_data()->nvdimm.nvdimm_bus_type)

static void namespace_io_release(struct device *dev)
{
	kfree(to_nd_namespace_io(dev));
}

static const struct device_type namespace_io_device_type = {
	.name = "nd_namespace_io",
	.release = namespace_io_release,
};

static const struct device_type nd_pfn_device_type = {
	.name = "nd_pfn",
	.release = namespace_io_release,
};

static const struct device_type nd_dax_device_type = {
	.name = "nd_dax",
	.release = namespace_io_release,
};

bool is_nd_pfn(const struct device *dev)
{
	return dev->type == &nd_pfn_device_type;
}
EXPORT_SYMBOL(is_nd_pfn);

bool is_nd_dax(const struct device *dev)
{
	return dev->type == &nd_dax_device_type;
}
EXPORT_SYMBOL(is_nd_dax);

/* Scans "%d": the number, or nothing if there are no digits. */
static const char *scan_number(const char *s, int *value)
{
	int n = 0;

	if (*s < '0' || *s > '9')
		return NULL;
	for (; *s >= '0' && *s <= '9'; s++)
		n = n * 10 + (*s - '0');
	*value = n;
	return s;
}

/**
 * nd_namespace_scan_name() - sscanf() of "namespace%d.%d"
 * @name: a name
 * @region_id: set to the first number
 * @id: set to the second number
 *
 * Return: how many of the two were found.
 */
int nd_namespace_scan_name(const char *name, int *region_id, int *id)
{
	static const char prefix[] = "namespace";

	if (strncmp(name, prefix, sizeof(prefix) - 1))
		return 0;
	name = scan_number(name + sizeof(prefix) - 1, region_id);
	if (!name)
		return 0;
	if (*name != '.' || !scan_number(name + 1, id))
		return 1;
	return 2;
}

/* pfn0.0 and dax0.0 claim namespace0.0; any other name is a namespace's own. */
static void name_namespace(struct nd_namespace_common *ndns, const char *name)
{
	bool claim = !strncmp(name, "pfn", 3) || !strncmp(name, "dax", 3);
	char own[NSIO_NAME_LEN];
	int region_id, id;

	if (claim) {
		snprintf(own, sizeof(own), "namespace%s", name + 3);
		claim = nd_namespace_scan_name(own, &region_id, &id) == 2;
	}
	snprintf(ndns->name, sizeof(ndns->name), "%s", claim ? own : name);
}

/**
 * nd_namespace_create() - make a namespace
 * @name: of the device that a driver will bind to
 * @start: first physical address
 * @size: bytes
 * @mode: what it is for
 * @altmap: in the modes with an info block: keep the struct pages in the
 *	namespace itself
 *
 * An info block is written at once, by the resource tree as it is now.  If
 * there is no room for one, no driver will be able to use the namespace.  A
 * range that the tree shows as ordinary persistent memory has DIMMs behind it;
 * a legacy range has not.
 *
 * Context: process, may sleep.
 * Return: the namespace with one reference, to be passed to device_add() and
 * put_device(), or NULL.
 */
struct nd_namespace_io *nd_namespace_create(const char *name, resource_size_t start,
					    resource_size_t size, enum nd_mode mode, bool altmap)
{
	struct nd_namespace_io *nsio;
	struct nd_pfn *nd_pfn;
	struct device *dev;

	nsio = kzalloc(sizeof(*nsio), GFP_KERNEL);
	if (!nsio)
		return NULL;

	dev = &nsio->common.dev;
	device_initialize(dev);
	dev->bus = &nvdimm_bus_type;
	dev->type = &namespace_io_device_type;
	name_namespace(&nsio->common, name);
	nsio->res.name = nsio->common.name;
	nsio->res.start = start;
	nsio->res.end = start + size - 1;
	nsio->res.flags = IORESOURCE_MEM;
	if (dev_set_name(dev, "%s", name)) {
		put_device(dev);
		return NULL;
	}

	if (region_intersects(start, size, IORESOURCE_MEM, IORES_DESC_PERSISTENT_MEMORY) ==
	    REGION_INTERSECTS)
		nsio->nd_region.ndr_mappings = 1;

	switch (mode) {
	case ND_MODE_RAW:
		nsio->common.force_raw = true;
		break;
	case ND_MODE_MEMORY:
		nsio->nd_region.flags = 1UL << ND_REGION_PAGEMAP;
		break;
	case ND_MODE_FSDAX:
	case ND_MODE_DEVDAX:
		dev->type = mode == ND_MODE_FSDAX ? &nd_pfn_device_type : &nd_dax_device_type;
		nd_pfn = &nsio->nd_pfn;
		nd_pfn->ndns = &nsio->common;
		nd_pfn->mode = altmap ? PFN_MODE_PMEM : PFN_MODE_RAM;
		nd_pfn->align = SZ_2M;
		(void)nd_pfn_init(nd_pfn);
		break;
	}
	return nsio;
}

/* mirrors drivers/nvdimm/namespace_devs.c:nvdimm_namespace_common_probe, v4.19 */
struct nd_namespace_common *nvdimm_namespace_common_probe(struct device *dev)
{
	struct nd_pfn *nd_pfn = to_nd_pfn(dev);

	/* A claim without a namespace. */
	if ((is_nd_pfn(dev) || is_nd_dax(dev)) && !nd_pfn->ndns)
		return ERR_PTR(-ENODEV);
	return to_ndns(dev);
}
EXPORT_SYMBOL(nvdimm_namespace_common_probe);

/* mirrors drivers/nvdimm/namespace_devs.c:nvdimm_namespace_disk_name, v4.19 */
void nvdimm_namespace_disk_name(struct nd_namespace_common *ndns, char *name, size_t size)
{
	int region_id = 0, id = 0;

	nd_namespace_scan_name(ndns->name, &region_id, &id);
	if (id)
		snprintf(name, size, "pmem%d.%d", region_id, id);
	else
		snprintf(name, size, "pmem%d", region_id);
}
EXPORT_SYMBOL(nvdimm_namespace_disk_name);

/**
 * pmem_should_map_pages() - does a plain namespace get struct pages?
 * @dev: device being bound
 *
 * mirrors drivers/nvdimm/namespace_devs.c:pmem_should_map_pages, v4.19
 */
bool pmem_should_map_pages(struct device *dev)
{
	struct nd_namespace_io *nsio = to_nd_namespace_io(dev);

	if (!kernel_data()->config.zone_device)
		return false;
	if (!(nsio->nd_region.flags & (1UL << ND_REGION_PAGEMAP)))
		return false;
	if (is_nd_pfn(dev))
		return false;
	if (nsio->common.force_raw)
		return false;
	if (region_intersects(nsio->res.start, resource_size(&nsio->res), IORESOURCE_SYSTEM_RAM,
			      IORES_DESC_NONE) == REGION_MIXED)
		return false;
	return ARCH_MEMREMAP_PMEM == MEMREMAP_WB;
}
EXPORT_SYMBOL(pmem_should_map_pages);

/**
 * nvdimm_has_flush() - can writes be made to reach the medium?
 * @nd_region: region
 *
 * Return: 1, or -ENXIO if nothing is known.
 *
 * mirrors drivers/nvdimm/region_devs.c:nvdimm_has_flush, v4.19
 */
int nvdimm_has_flush(const struct nd_region *nd_region)
{
	return nd_region->ndr_mappings ? 1 : -ENXIO;
}
EXPORT_SYMBOL_GPL(nvdimm_has_flush);
