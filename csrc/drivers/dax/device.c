// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device-dax: memory as a character device.
 *
 * The region is held by its registration with the providing device, by each
 * instance, and by the provider while it makes instances.
 */

#include <linux/dax.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/kernel_data.h>
#include <linux/string.h>

static void dax_region_free(struct kref *kref)
{
	kfree(container_of(kref, struct dax_region, kref));
}

/* mirrors drivers/dax/device.c:dax_region_put, v4.19 */
void dax_region_put(struct dax_region *dax_region)
{
	kref_put(&dax_region->kref, dax_region_free);
}
EXPORT_SYMBOL_GPL(dax_region_put);

/* mirrors drivers/dax/device.c:dax_region_unregister, v4.19 */
static void dax_region_unregister(void *region)
{
	dax_region_put(region);
}

/**
 * alloc_dax_region() - register memory from which instances shall be made
 * @parent: providing device; its driver data becomes the region
 * @region_id: number of the region
 * @res: physical range
 * @align: of every instance; @res is aligned to it
 * @addr: virtual address
 * @pfn_flags: PFN_DEV, PFN_MAP
 *
 * Return: the region, with a reference for the caller besides the one that is
 * dropped when @parent is unbound; or NULL.  When the drop cannot be arranged,
 * the caller's reference is lost, as in v4.19.
 *
 * mirrors drivers/dax/device.c:alloc_dax_region, v4.19
 */
struct dax_region *alloc_dax_region(struct device *parent, int region_id, struct resource *res,
				    unsigned int align, void *addr, u64 pfn_flags)
{
	struct dax_region *dax_region;

	if (dev_get_drvdata(parent)) {
		dev_WARN(parent, "dax core failed to setup private data\n");
		return NULL;
	}

	if (!IS_ALIGNED(res->start, align) || !IS_ALIGNED(resource_size(res), align))
		return NULL;

	dax_region = kzalloc(sizeof(*dax_region), GFP_KERNEL);
	if (!dax_region)
		return NULL;

	dev_set_drvdata(parent, dax_region);
	memcpy(&dax_region->res, res, sizeof(*res));
	dax_region->pfn_flags = pfn_flags;
	kref_init(&dax_region->kref);
	dax_region->id = region_id;
	dax_region->align = align;
	dax_region->dev = parent;
	dax_region->base = addr;

	kref_get(&dax_region->kref);
	if (devm_add_action_or_reset(parent, dax_region_unregister, dax_region))
		return NULL;
	return dax_region;
}
EXPORT_SYMBOL_GPL(alloc_dax_region);

/* The last one who had the device open has gone. */
static void dev_dax_release(struct device *dev)
{
	struct dev_dax *dev_dax = to_dev_dax(dev);

	dax_region_put(dev_dax->region);
	put_dax(dev_dax->dax_dev);
	kfree(dev_dax);
}

static void kill_dev_dax(struct dev_dax *dev_dax)
{
	kill_dax(dev_dax->dax_dev);
}

/* mirrors drivers/dax/device.c:unregister_dev_dax, v4.19 */
static void unregister_dev_dax(void *_dev)
{
	struct device *dev = _dev;
	struct dev_dax *dev_dax = to_dev_dax(dev);

	dev_dbg(dev, "trace\n");

	kill_dev_dax(dev_dax);
	device_del(dev);
	put_device(dev);
}

/**
 * devm_create_dev_dax() - make an instance, for as long as the region's device is bound
 * @dax_region: region that it is part of
 * @id: its number
 * @res: its ranges, in the region
 * @count: how many
 *
 * Return: the instance, or ERR_PTR(-EINVAL) if a range does not fit,
 * ERR_PTR(-ENOMEM) or an error of device_add().
 *
 * mirrors drivers/dax/device.c:devm_create_dev_dax, v4.19
 */
struct dev_dax *devm_create_dev_dax(struct dax_region *dax_region, int id, struct resource *res,
				    int count)
{
	struct device *parent = dax_region->dev;
	struct dax_device *dax_dev;
	struct dev_dax *dev_dax;
	struct device *dev;
	int rc, i;

	if (!count)
		return ERR_PTR(-EINVAL);

	dev_dax = kzalloc(sizeof(*dev_dax) + sizeof(*res) * (size_t)count, GFP_KERNEL);
	if (!dev_dax)
		return ERR_PTR(-ENOMEM);

	for (i = 0; i < count; i++) {
		if (!IS_ALIGNED(res[i].start, dax_region->align) ||
		    !IS_ALIGNED(resource_size(&res[i]), dax_region->align)) {
			rc = -EINVAL;
			break;
		}
		dev_dax->res[i].start = res[i].start;
		dev_dax->res[i].end = res[i].end;
	}
	if (i < count)
		goto err_id;

	/* Nobody looks it up by name, hence no host; and its driver maps it itself. */
	dax_dev = alloc_dax(dev_dax, NULL, NULL);
	if (!dax_dev) {
		rc = -ENOMEM;
		goto err_id;
	}

	/* From here on dev_dax_release() cleans up. */
	dev = &dev_dax->dev;
	device_initialize(dev);

	dev_dax->num_resources = count;
	dev_dax->dax_dev = dax_dev;
	dev_dax->region = dax_region;
	kref_get(&dax_region->kref);

	dev->class = &kernel_data()->dax.dax_class;
	dev->parent = parent;
	dev->release = dev_dax_release;
	/* A failure shows in device_add(): no name, -EINVAL. */
	(void)dev_set_name(dev, "dax%d.%d", dax_region->id, id);

	rc = device_add(dev);
	if (rc) {
		kill_dev_dax(dev_dax);
		put_device(dev);
		return ERR_PTR(rc);
	}

	rc = devm_add_action_or_reset(dax_region->dev, unregister_dev_dax, dev);
	if (rc)
		return ERR_PTR(rc);
	return dev_dax;

err_id:
	kfree(dev_dax);
	return ERR_PTR(rc);
}
EXPORT_SYMBOL_GPL(devm_create_dev_dax);
