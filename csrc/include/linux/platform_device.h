/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_PLATFORM_DEVICE_H
#define _LINUX_PLATFORM_DEVICE_H

#include <linux/device.h>
#include <linux/kernel_data.h>

#define platform_bus_type (kernel_data()->driver_core.platform_bus)

int platform_bus_init(void);

#endif
