/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_LISTED_DRIVER_H
#define _LINUX_LISTED_DRIVER_H

#include <linux/completion.h>
#include <linux/device.h>
#include <linux/memremap.h>
#include <linux/percpu-refcount.h>

/* What a step does.  An argument is only used where one is named. */
enum listed_call {
	LISTED_ALLOC, /* devm_kzalloc() of the driver's data: ref, completion, pagemap */
	LISTED_REQUEST_REGION,
	LISTED_INIT_REF, /* flags of percpu_ref_init() */
	LISTED_MEMREMAP_PAGES,
	LISTED_MEMUNMAP_PAGES,
	LISTED_ADD_ACTION, /* number of the action */
	LISTED_ADD_ACTION_OR_RESET,
	LISTED_REMOVE_ACTION,
	LISTED_RELEASE_ACTION,
	LISTED_KILL,
	LISTED_GET,
	LISTED_PUT,
	LISTED_EXIT,
	LISTED_COMPLETE,
	LISTED_WAIT,
	LISTED_KZALLOC, /* devm_kzalloc() of so many bytes */
	LISTED_RCU_BARRIER,
	LISTED_SYNCHRONIZE_RCU,
	LISTED_FAIL, /* returns this error */
	LISTED_NOTHING, /* a callback that is there and does nothing */
	NR_LISTED_CALLS
};

/* When a list of steps runs. */
enum listed_event {
	LISTED_PROBE,
	LISTED_REMOVE,
	LISTED_REF_RELEASE, /* the ref has come to zero */
	LISTED_PAGEMAP_KILL,
	LISTED_PAGEMAP_CLEANUP,
	LISTED_PAGE_FREE,
	LISTED_MAP_FAILED, /* devm_memremap_pages() has, and probe returns its error then */
	LISTED_PAGE_FAULT, /* the CPU touched a private page */
	LISTED_ACTION /* the first of the actions */
};

#define MAX_LISTED_ACTIONS 8
#define NR_LISTED_EVENTS (LISTED_ACTION + MAX_LISTED_ACTIONS)
#define MAX_LISTED_STEPS 24

struct listed_step {
	int call;
	long arg;
};

/**
 * struct listed_driver - a driver that is given as lists of steps
 * @drv: on the platform bus
 * @res: range of its device
 * @type: of its pages
 * @nr: steps of each list
 * @steps: which
 */
struct listed_driver {
	struct device_driver drv;
	struct resource res;
	enum memory_type type;
	int nr[NR_LISTED_EVENTS];
	struct listed_step steps[NR_LISTED_EVENTS][MAX_LISTED_STEPS];
};

struct listed_driver *listed_driver_new(const char *name, resource_size_t start,
					resource_size_t end, enum memory_type type);

#endif
