// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver whose probe, remove, actions and callbacks are lists of steps: the
 * order of a teardown as data.
 *
 * A step that fails ends its list, and what probe returns is its error, as in
 * "if (rc) return rc;".  Everything the driver has is in one managed object,
 * as with the drivers that this stands for.
 */
#include <linux/err.h>
#include <linux/ioport.h>
#include <linux/listed_driver.h>
#include <linux/mm.h>
#include <linux/platform_device.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

struct listed_data;

/**
 * struct listed_action - what a devm action gets
 */
struct listed_action {
	struct listed_data *data;
	enum listed_event event;
};

/**
 * struct listed_data - driver data of a device
 */
struct listed_data {
	const struct listed_driver *driver;
	struct device *dev;
	struct percpu_ref ref;
	struct completion done;
	struct dev_pagemap pgmap;
	struct listed_action actions[MAX_LISTED_ACTIONS];
};

static int listed_run(const struct listed_driver *driver, struct device *dev,
		      struct listed_data *data, enum listed_event event);

static void listed_ref_release(struct percpu_ref *ref)
{
	struct listed_data *data = container_of(ref, struct listed_data, ref);

	listed_run(data->driver, data->dev, data, LISTED_REF_RELEASE);
}

static void listed_pagemap_kill(struct percpu_ref *ref)
{
	struct listed_data *data = container_of(ref, struct listed_data, ref);

	listed_run(data->driver, data->dev, data, LISTED_PAGEMAP_KILL);
}

static void listed_pagemap_cleanup(struct percpu_ref *ref)
{
	struct listed_data *data = container_of(ref, struct listed_data, ref);

	listed_run(data->driver, data->dev, data, LISTED_PAGEMAP_CLEANUP);
}

static void listed_page_free(struct page *page, void *_data)
{
	struct listed_data *data = _data;

	(void)page;
	listed_run(data->driver, data->dev, data, LISTED_PAGE_FREE);
}

static int listed_page_fault(struct vm_area_struct *vma, unsigned long addr,
			     const struct page *page, unsigned int flags, pmd_t *pmdp)
{
	struct listed_data *data = page_pgmap(page)->data;

	(void)vma;
	(void)addr;
	(void)flags;
	(void)pmdp;
	return listed_run(data->driver, data->dev, data, LISTED_PAGE_FAULT) ? VM_FAULT_SIGBUS : 0;
}

static void listed_action(void *_action)
{
	const struct listed_action *action = _action;
	struct listed_data *data = action->data;

	listed_run(data->driver, data->dev, data, action->event);
}

static int listed_alloc(const struct listed_driver *driver, struct device *dev)
{
	struct listed_data *data = devm_kzalloc(dev, sizeof(*data), GFP_KERNEL);

	if (!data)
		return -ENOMEM;
	data->driver = driver;
	data->dev = dev;
	init_completion(&data->done);
	data->pgmap.res = driver->res;
	data->pgmap.type = driver->type;
	data->pgmap.ref = &data->ref;
	data->pgmap.data = data;
	if (driver->nr[LISTED_PAGEMAP_KILL])
		data->pgmap.kill = listed_pagemap_kill;
	if (driver->nr[LISTED_PAGEMAP_CLEANUP])
		data->pgmap.cleanup = listed_pagemap_cleanup;
	if (driver->nr[LISTED_PAGE_FREE])
		data->pgmap.page_free = listed_page_free;
	if (driver->nr[LISTED_PAGE_FAULT])
		data->pgmap.page_fault = listed_page_fault;
	for (int i = 0; i < MAX_LISTED_ACTIONS; i++) {
		data->actions[i].data = data;
		data->actions[i].event = (enum listed_event)(LISTED_ACTION + i);
	}
	dev_set_drvdata(dev, data);
	return 0;
}

static int listed_step(const struct listed_driver *driver, struct device *dev,
		       struct listed_data *data, const struct listed_step *step)
{
	struct listed_action *action = NULL;
	void *addr;

	if (step->call >= LISTED_ADD_ACTION && step->call <= LISTED_RELEASE_ACTION)
		action = &data->actions[step->arg];
	switch (step->call) {
	case LISTED_ALLOC:
		return listed_alloc(driver, dev);
	case LISTED_REQUEST_REGION:
		if (!devm_request_mem_region(dev, driver->res.start, resource_size(&driver->res),
					     dev_name(dev)))
			return -EBUSY;
		return 0;
	case LISTED_INIT_REF:
		return percpu_ref_init(&data->ref, listed_ref_release, (unsigned int)step->arg,
				       GFP_KERNEL);
	case LISTED_MEMREMAP_PAGES:
		addr = devm_memremap_pages(dev, &data->pgmap);
		if (!IS_ERR(addr))
			return 0;
		listed_run(driver, dev, data, LISTED_MAP_FAILED);
		return (int)PTR_ERR(addr);
	case LISTED_MEMUNMAP_PAGES:
		devm_memunmap_pages(dev, &data->pgmap);
		return 0;
	case LISTED_ADD_ACTION:
		return devm_add_action(dev, listed_action, action);
	case LISTED_ADD_ACTION_OR_RESET:
		return devm_add_action_or_reset(dev, listed_action, action);
	case LISTED_REMOVE_ACTION:
		devm_remove_action(dev, listed_action, action);
		return 0;
	case LISTED_RELEASE_ACTION:
		devm_release_action(dev, listed_action, action);
		return 0;
	case LISTED_KILL:
		percpu_ref_kill(&data->ref);
		return 0;
	case LISTED_GET:
		percpu_ref_get(&data->ref);
		return 0;
	case LISTED_PUT:
		percpu_ref_put(&data->ref);
		return 0;
	case LISTED_EXIT:
		percpu_ref_exit(&data->ref);
		return 0;
	case LISTED_COMPLETE:
		complete(&data->done);
		return 0;
	case LISTED_WAIT:
		wait_for_completion(&data->done);
		return 0;
	case LISTED_KZALLOC:
		return devm_kzalloc(dev, (size_t)step->arg, GFP_KERNEL) ? 0 : -ENOMEM;
	case LISTED_RCU_BARRIER:
		rcu_barrier();
		return 0;
	case LISTED_SYNCHRONIZE_RCU:
		synchronize_rcu();
		return 0;
	case LISTED_NOTHING:
		return 0;
	default:
		return -(int)step->arg;
	}
}

static int listed_run(const struct listed_driver *driver, struct device *dev,
		      struct listed_data *data, enum listed_event event)
{
	for (int i = 0; i < driver->nr[event]; i++) {
		const struct listed_step *step = &driver->steps[event][i];
		int error = listed_step(driver, dev, data, step);

		if (error)
			return error;
		if (step->call == LISTED_ALLOC)
			data = dev_get_drvdata(dev);
	}
	return 0;
}

static int listed_probe(struct device *dev)
{
	return listed_run(container_of(dev->driver, struct listed_driver, drv), dev, NULL,
			  LISTED_PROBE);
}

static int listed_remove(struct device *dev)
{
	return listed_run(container_of(dev->driver, struct listed_driver, drv), dev,
			  dev_get_drvdata(dev), LISTED_REMOVE);
}

/**
 * listed_driver_new() - a driver of the platform bus without any steps yet
 * @name: of the driver; its devices are called "name.N"
 * @start: first address of its device's memory
 * @end: last one
 * @type: of its pages
 *
 * Return: the driver, not registered, or NULL.
 */
struct listed_driver *listed_driver_new(const char *name, resource_size_t start,
					resource_size_t end, enum memory_type type)
{
	struct listed_driver *driver = kzalloc(sizeof(*driver), GFP_KERNEL);

	if (!driver)
		return NULL;
	driver->drv.name = name;
	driver->drv.bus = &platform_bus_type;
	driver->drv.probe = listed_probe;
	driver->drv.remove = listed_remove;
	driver->res.start = start;
	driver->res.end = end;
	driver->res.flags = IORESOURCE_MEM;
	driver->res.name = name;
	driver->type = type;
	return driver;
}
