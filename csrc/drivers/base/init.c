// SPDX-License-Identifier: GPL-2.0-only
/*
 * Starting the driver core.
 */

#include <linux/kernel_data.h>
#include <linux/platform_device.h>

#include "base.h"

/**
 * driver_core_init() - initialise the driver core's variables and its buses
 *
 * mirrors drivers/base/init.c:driver_init, v4.19
 *
 * Context: process, after workqueue_init(), before anything that may fail is
 * made to fail.
 */
void __init driver_core_init(void)
{
	spin_lock_init(&kernel_data()->driver_core.buses_lock);
	INIT_LIST_HEAD(&kernel_data()->driver_core.buses);
	driver_deferred_probe_init();
	BUG_ON(platform_bus_init());
}
