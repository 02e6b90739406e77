/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_CPU_H
#define _LINUX_CPU_H

#include <linux/kernel_data.h>
#include <linux/mutex.h>

/* CPUs neither come nor go in between. Sleeps. */
static inline void cpus_read_lock(void)
{
	down_read(&kernel_data()->memory_hotplug.cpu_hotplug_lock);
}

static inline void cpus_read_unlock(void)
{
	up_read(&kernel_data()->memory_hotplug.cpu_hotplug_lock);
}

#endif
