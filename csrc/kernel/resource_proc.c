// SPDX-License-Identifier: GPL-2.0-only
/*
 * The resource tree as text: /proc/iomem and /proc/ioports.
 */

#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/kernel_data.h>
#include <linux/spinlock.h>

#define resource_lock (kernel_data()->resource.resource_lock)

/* Deeper levels are shown, but not indented further. */
#define MAX_IORES_LEVEL 5

/**
 * resource_proc_show() - write what /proc/iomem shows
 * @root: &iomem_resource or &ioport_resource, itself not shown
 * @privileged: the reader has CAP_SYS_ADMIN; others see zeros for addresses
 * @buf: output, terminated if @size is not 0
 * @size: size of @buf in bytes
 *
 * Context: process.
 * Return: length of the whole text without terminator, as snprintf().
 *
 * mirrors kernel/resource.c:r_show, v4.19
 */
size_t resource_proc_show(struct resource *root, bool privileged, char *buf, size_t size)
{
	int width = root->end < 0x10000 ? 4 : 8;
	struct resource *res = root->child;
	size_t len = 0;
	int depth = 0;

	if (size)
		buf[0] = '\0';

	read_lock(&resource_lock);
	while (res) {
		size_t room = len < size ? size - len : 0;
		int n = snprintf(room ? buf + len : NULL, room, "%*s%0*llx-%0*llx : %s\n",
				 2 * min(depth, MAX_IORES_LEVEL), "", width,
				 privileged ? res->start : 0ULL, width,
				 privileged ? res->end : 0ULL, res->name ? res->name : "<BAD>");

		len += (size_t)n;

		if (res->child) {
			res = res->child;
			depth++;
			continue;
		}
		while (!res->sibling && res->parent != root) {
			res = res->parent;
			depth--;
		}
		res = res->sibling;
	}
	read_unlock(&resource_lock);
	return len;
}
