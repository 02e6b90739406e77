/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_TOPOLOGY_H
#define _LINUX_TOPOLOGY_H

#include <linux/kernel_data.h>
#include <linux/sched.h>

/* CPUs are dealt out to the nodes in equal blocks. */
static inline int cpu_to_node(int cpu)
{
	return cpu * kernel_data()->config.numa_nodes / kernel_data()->config.cpus;
}

/* The node of this CPU, or the nearest one with memory: all have some. */
static inline int numa_mem_id(void)
{
	return cpu_to_node(smp_processor_id());
}

#endif
