// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device-dax on persistent memory.
 *
 * The pages are counted by a reference of the driver's own.  Its end has
 * three parts that must come in this order: kill, by the release of the
 * mapping; the puts of the pages, there too; and the wait for whoever still
 * uses a page, in an action that was registered before the mapping and hence
 * runs after it.  Before "Fix shutdown handling" the kill is an action as well,
 * registered after the mapping; since "fix final page put race" the wait is
 * the mapping's, too, and there is no action left.
 */

#include <linux/completion.h>
#include <linux/dax.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/kernel_data.h>
#include <linux/libnvdimm.h>
#include <linux/patches.h>
#include <linux/string.h>

#define dax_pmem_driver (kernel_data()->nvdimm.dax_pmem_driver)

static struct dax_pmem *to_dax_pmem(struct percpu_ref *ref)
{
	return container_of(ref, struct dax_pmem, ref);
}

static void dax_pmem_percpu_release(struct percpu_ref *ref)
{
	struct dax_pmem *dax_pmem = to_dax_pmem(ref);

	dev_dbg(dax_pmem->dev, "trace\n");
	complete(&dax_pmem->cmp);
}

static void dax_pmem_percpu_exit(void *data)
{
	struct percpu_ref *ref = data;
	struct dax_pmem *dax_pmem = to_dax_pmem(ref);

	dev_dbg(dax_pmem->dev, "trace\n");
	wait_for_completion(&dax_pmem->cmp);
	percpu_ref_exit(ref);
}

/* The pagemap's cleanup callback. */
static void dax_pmem_percpu_cleanup(struct percpu_ref *ref)
{
	dax_pmem_percpu_exit(ref);
}

static void dax_pmem_percpu_kill(struct percpu_ref *ref)
{
	struct dax_pmem *dax_pmem = to_dax_pmem(ref);

	(void)dax_pmem;
	dev_dbg(dax_pmem->dev, "trace\n");
	percpu_ref_kill(ref);
	/* A15: the pages hold it until the very caller of this goes on. */
	if (mode(MODE_KILL_WAITS))
		wait_for_completion(&dax_pmem->cmp);
}

/* The same as an action, before the pagemap had a kill. */
static void dax_pmem_percpu_kill_action(void *ref)
{
	dax_pmem_percpu_kill(ref);
}

/* mirrors drivers/dax/pmem.c:dax_pmem_probe, v4.19 to v5.2 */
static int dax_pmem_probe(struct device *dev)
{
	int rc, id, region_id;
	struct nd_namespace_common *ndns;
	struct nd_namespace_io *nsio;
	struct dax_region *dax_region;
	struct dax_pmem *dax_pmem;
	struct dev_dax *dev_dax;
	struct nd_pfn *nd_pfn;
	struct resource res;
	void *addr;

	ndns = nvdimm_namespace_common_probe(dev);
	if (IS_ERR(ndns))
		return (int)PTR_ERR(ndns);
	nsio = to_nd_namespace_io(dev);
	nd_pfn = &nsio->nd_pfn;

	dax_pmem = devm_kzalloc(dev, sizeof(*dax_pmem), GFP_KERNEL);
	if (!dax_pmem)
		return -ENOMEM;

	/* The info block is read through the namespace. */
	rc = devm_nsio_enable(dev, nsio);
	if (rc)
		return rc;
	rc = nvdimm_setup_pfn(nd_pfn, &dax_pmem->pgmap);
	if (rc)
		return rc;
	devm_nsio_disable(dev, nsio);

	if (!devm_request_mem_region(dev, nsio->res.start, resource_size(&nsio->res), ndns->name)) {
		dev_warn(dev, "could not reserve region %pR\n", &nsio->res);
		return -EBUSY;
	}

	dax_pmem->dev = dev;
	init_completion(&dax_pmem->cmp);
	rc = percpu_ref_init(&dax_pmem->ref, dax_pmem_percpu_release, 0, GFP_KERNEL);
	if (rc)
		return rc;

	if (!patched(PATCH_FINAL_PUT)) {
		/* Not _or_reset: there is nothing to wait for, the ref is alive. */
		rc = devm_add_action(dev, dax_pmem_percpu_exit, &dax_pmem->ref);
		if (rc) {
			percpu_ref_exit(&dax_pmem->ref);
			return rc;
		}
	}

	dax_pmem->pgmap.ref = &dax_pmem->ref;
	if (patched(PATCH_SHUTDOWN))
		dax_pmem->pgmap.kill = dax_pmem_percpu_kill;
	if (patched(PATCH_FINAL_PUT))
		dax_pmem->pgmap.cleanup = dax_pmem_percpu_cleanup;
	addr = devm_memremap_pages(dev, &dax_pmem->pgmap);
	if (IS_ERR(addr)) {
		if (!patched(PATCH_SHUTDOWN)) {
			devm_remove_action(dev, dax_pmem_percpu_exit, &dax_pmem->ref);
			percpu_ref_exit(&dax_pmem->ref);
		}
		return (int)PTR_ERR(addr);
	}

	if (!patched(PATCH_SHUTDOWN)) {
		rc = devm_add_action_or_reset(dev, dax_pmem_percpu_kill_action, &dax_pmem->ref);
		if (rc)
			return rc;
	}

	/* What comes before the data is the driver's and the struct pages'. */
	memcpy(&res, &dax_pmem->pgmap.res, sizeof(res));
	res.start += nd_pfn->pfn_sb.dataoff;

	if (nd_namespace_scan_name(ndns->name, &region_id, &id) != 2)
		return -EINVAL;

	dax_region = alloc_dax_region(dev, region_id, &res, (unsigned int)nd_pfn->align, addr,
				      PFN_DEV | PFN_MAP);
	if (!dax_region)
		return -ENOMEM;

	dev_dax = devm_create_dev_dax(dax_region, id, &res, 1);

	/* The instance holds the region now. */
	dax_region_put(dax_region);

	return IS_ERR(dev_dax) ? (int)PTR_ERR(dev_dax) : 0;
}

/**
 * dax_pmem_init() - register the driver
 *
 * Return: 0 or an error of driver_register().
 */
int __init dax_pmem_init(void)
{
	dax_pmem_driver = (struct nd_device_driver){
		.probe = dax_pmem_probe,
		.drv = { .name = "dax_pmem" },
		.type = ND_DRIVER_DAX_PMEM,
	};
	return nd_driver_register(&dax_pmem_driver);
}
