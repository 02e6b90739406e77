// SPDX-License-Identifier: GPL-2.0-only
/*
 * The platform bus: devices that are simply there.
 */

#include <linux/platform_device.h>
#include <linux/string.h>

/*
 * "oracle.3" is the third device for the driver "oracle".
 *
 * mirrors drivers/base/platform.c:platform_match, v4.19; the name without its
 * number is read off the device's name, for want of a struct platform_device
 */
static int platform_match(struct device *dev, struct device_driver *drv)
{
	const char *name = dev_name(dev);
	size_t length = strlen(name);
	size_t i;

	for (i = length; i > 0; i--) {
		if (name[i - 1] == '.') {
			length = i - 1;
			break;
		}
	}
	return strlen(drv->name) == length && strncmp(drv->name, name, length) == 0;
}

/**
 * platform_bus_init() - register the platform bus
 *
 * mirrors drivers/base/platform.c:platform_bus_init, v4.19
 *
 * Return: 0 or -ENOMEM.
 */
int __init platform_bus_init(void)
{
	platform_bus_type.name = "platform";
	platform_bus_type.match = platform_match;
	return bus_register(&platform_bus_type);
}
