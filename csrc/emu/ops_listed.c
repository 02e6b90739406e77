// SPDX-License-Identifier: GPL-2.0-only
/* Operations on drivers that are given as lists of steps. */
#include <linux/percpu-refcount.h>

#include "ops.h"

#include <linux/kernel.h>
#include <linux/listed_driver.h>
#include <linux/platform_device.h>

static int64_t op_new(const int64_t *args)
{
	struct listed_driver *driver;

	if (args[3] < 0 || args[3] > MEMORY_DEVICE_PCI_P2PDMA)
		return bad_argument("type must be 0..%d", MEMORY_DEVICE_PCI_P2PDMA);
	driver = listed_driver_new(STRING(0), (resource_size_t)args[1], (resource_size_t)args[2],
				   (enum memory_type)args[3]);
	if (!driver)
		return 0;
	object_new('K', driver, NULL);
	return object_new('L', &driver->drv, NULL);
}

static bool needs_data(int64_t call)
{
	return call != LISTED_ALLOC && call != LISTED_REQUEST_REGION && call != LISTED_KZALLOC &&
	       call != LISTED_NOTHING && call != LISTED_RCU_BARRIER &&
	       call != LISTED_SYNCHRONIZE_RCU && call != LISTED_FAIL;
}

/* Steps before the data are there would follow a NULL pointer. */
static bool has_data(const struct listed_driver *driver, int64_t event)
{
	if (event != LISTED_PROBE)
		return true;
	for (int i = 0; i < driver->nr[event]; i++)
		if (driver->steps[event][i].call == LISTED_ALLOC)
			return true;
	return false;
}

static int64_t op_step(const int64_t *args)
{
	struct device_driver *drv = ARG(struct device_driver, 0);
	struct listed_driver *driver = container_of(drv, struct listed_driver, drv);
	const int64_t event = args[1], call = args[2], arg = args[3];

	if (!object_handle('K', driver))
		return bad_argument("not a driver of steps");
	if (event < 0 || event >= NR_LISTED_EVENTS || call < 0 || call >= NR_LISTED_CALLS)
		return bad_argument("no such event or call");
	if (driver->nr[event] == MAX_LISTED_STEPS)
		return bad_argument("more than %d steps", MAX_LISTED_STEPS);
	if (call >= LISTED_ADD_ACTION && call <= LISTED_RELEASE_ACTION &&
	    (arg < 0 || arg >= MAX_LISTED_ACTIONS))
		return bad_argument("action must be 0..%d", MAX_LISTED_ACTIONS - 1);
	if (call == LISTED_FAIL && (arg < 1 || arg > 4095))
		return bad_argument("an error is 1..4095");
	if (call == LISTED_KZALLOC && (arg < 1 || arg > 1 << 20))
		return bad_argument("size must be 1..1048576");
	if (call == LISTED_INIT_REF && (arg & ~3))
		return bad_argument("flags must be 0..3");
	if (call == LISTED_ALLOC && (event != LISTED_PROBE || has_data(driver, event)))
		return bad_argument("alloc is for probe, once");
	if (event == LISTED_MAP_FAILED && call == LISTED_MEMREMAP_PAGES)
		return bad_argument("would fail again");
	if (needs_data(call) && !has_data(driver, event))
		return bad_argument("alloc comes first");
	driver->steps[event][driver->nr[event]].call = (int)call;
	driver->steps[event][driver->nr[event]++].arg = arg;
	return 0;
}

static const struct op ops[] = {
	OP("listed_driver_new", "siii", "L", op_new),
	OP("listed_driver_step", "Liii", "v", op_step),
};
OP_TABLE(ops_listed, ops);
