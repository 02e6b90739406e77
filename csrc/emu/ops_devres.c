// SPDX-License-Identifier: GPL-2.0-only
/* Operations on managed resources. */
#include <linux/percpu-refcount.h>

#include "../drivers/base/base.h"
#include "ops.h"

#include <linux/device.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>

/**
 * struct host_action - what a devm action of the host stands for
 *
 * The kernel tells actions apart by (function, data).  The function is always
 * the same here, so each pair of the host's gets a record of its own, and the
 * same pair the same record.
 */
struct host_action {
	struct host_action *next;
	int64_t callback;
	int64_t data;
};

/**
 * struct host_res - payload of a devres entry of the host
 */
struct host_res {
	int64_t callback;
	int64_t data;
};

static struct host_action *action_of(int64_t callback, int64_t data)
{
	struct machine *m = this_machine();
	struct host_action *a;

	for (a = m->s->actions; a; a = a->next)
		if (a->callback == callback && a->data == data)
			return a;
	a = machine_alloc(m, sizeof(*a));
	a->callback = callback;
	a->data = data;
	a->next = m->s->actions;
	m->s->actions = a;
	return a;
}

static void host_action(void *data)
{
	struct host_action *a = data;

	upcall(a->callback, a->data, 0);
}

static void host_devres_release(struct device *dev, void *res)
{
	struct host_res *h = res;

	upcall(h->callback, h->data, object_or_new('D', dev, dev));
}

static int match_host_res(struct device *dev, void *res, void *match_data)
{
	struct host_res *have = res, *want = match_data;

	(void)dev;
	return have->callback == want->callback && (want->data < 0 || have->data == want->data);
}

static int64_t op_add_action(const int64_t *args)
{
	return devm_add_action(ARG(struct device, 0), host_action, action_of(args[1], args[2]));
}

static int64_t op_add_action_or_reset(const int64_t *args)
{
	return devm_add_action_or_reset(ARG(struct device, 0), host_action,
					action_of(args[1], args[2]));
}

static int64_t op_remove_action(const int64_t *args)
{
	devm_remove_action(ARG(struct device, 0), host_action, action_of(args[1], args[2]));
	return 0;
}

static int64_t op_alloc(const int64_t *args)
{
	struct host_res *h =
		devres_alloc_node(host_devres_release, sizeof(*h), GFP_KERNEL, NUMA_NO_NODE);

	if (!h)
		return 0;
	h->callback = args[0];
	h->data = args[1];
	return object_new('V', h, NULL);
}

static int64_t op_free(const int64_t *args)
{
	devres_free(ARG(void, 0));
	object_forget(ARG(void, 0));
	return 0;
}

static int64_t op_add(const int64_t *args)
{
	devres_add(ARG(struct device, 0), ARG(void, 1));
	return 0;
}

/* Data of the newest entry with this callback (and data, unless negative), or -1. */
static int64_t op_find(const int64_t *args)
{
	struct host_res want = { args[1], args[2] };
	struct host_res *found =
		devres_find(ARG(struct device, 0), host_devres_release, match_host_res, &want);

	return found ? found->data : -1;
}

static int64_t op_remove(const int64_t *args)
{
	struct host_res want = { args[1], args[2] };
	struct host_res *found =
		devres_remove(ARG(struct device, 0), host_devres_release, match_host_res, &want);
	int64_t data = found ? found->data : -1;

	if (found)
		devres_free(found);
	return data;
}

static int64_t op_destroy(const int64_t *args)
{
	struct host_res want = { args[1], args[2] };

	return devres_destroy(ARG(struct device, 0), host_devres_release, match_host_res, &want);
}

static int64_t op_release(const int64_t *args)
{
	struct host_res want = { args[1], args[2] };

	return devres_release(ARG(struct device, 0), host_devres_release, match_host_res, &want);
}

static int64_t op_release_all(const int64_t *args)
{
	return devres_release_all(ARG(struct device, 0));
}

/* devres_get() of a new entry; the data of the one that is registered then. */
static int64_t op_get(const int64_t *args)
{
	struct host_res want = { args[1], args[2] }, *found;
	struct host_res *new =
		devres_alloc_node(host_devres_release, sizeof(*new), GFP_KERNEL, NUMA_NO_NODE);

	if (!new)
		return -1;
	new->callback = args[1];
	new->data = args[3];
	found = devres_get(ARG(struct device, 0), new, match_host_res, &want);
	return found->data;
}

static void count_entry(struct device *dev, void *res, void *data)
{
	int64_t *count = data;

	(void)dev;
	(void)res;
	++*count;
}

/* How many entries have this callback (and data, unless negative). */
static int64_t op_for_each(const int64_t *args)
{
	struct host_res want = { args[1], args[2] };
	int64_t count = 0;

	devres_for_each_res(ARG(struct device, 0), host_devres_release, match_host_res, &want,
			    count_entry, &count);
	return count;
}

#define GROUP(i) ((void *)(uintptr_t)args[i])

static int64_t op_open_group(const int64_t *args)
{
	return (int64_t)(uintptr_t)devres_open_group(ARG(struct device, 0), GROUP(1), GFP_KERNEL);
}

static int64_t op_close_group(const int64_t *args)
{
	devres_close_group(ARG(struct device, 0), GROUP(1));
	return 0;
}

static int64_t op_remove_group(const int64_t *args)
{
	devres_remove_group(ARG(struct device, 0), GROUP(1));
	return 0;
}

static int64_t op_release_group(const int64_t *args)
{
	return devres_release_group(ARG(struct device, 0), GROUP(1));
}

static int64_t op_kmalloc(const int64_t *args)
{
	void *p = devm_kmalloc(ARG(struct device, 0), (size_t)args[1], GFP_KERNEL);

	return object_new('A', p, NULL);
}

static int64_t op_kzalloc(const int64_t *args)
{
	void *p = devm_kzalloc(ARG(struct device, 0), (size_t)args[1], GFP_KERNEL);

	return object_new('A', p, NULL);
}

static int64_t op_kmalloc_array(const int64_t *args)
{
	void *p = devm_kmalloc_array(ARG(struct device, 0), (size_t)args[1], (size_t)args[2],
				     GFP_KERNEL);

	return object_new('A', p, NULL);
}

static int64_t op_kstrdup(const int64_t *args)
{
	const char *s = args[1] ? STRING(1) : NULL;

	return object_new('A', devm_kstrdup(ARG(struct device, 0), s, GFP_KERNEL), NULL);
}

/* "text.number" */
static int64_t op_kasprintf(const int64_t *args)
{
	char *p = devm_kasprintf(ARG(struct device, 0), GFP_KERNEL, "%s.%ld", STRING(1),
				 (long)args[2]);

	return object_new('A', p, NULL);
}

static int64_t op_memremap(const int64_t *args)
{
	if (args[1] < 0 || args[2] <= 0)
		return bad_argument("an address and a size");
	return (int64_t)(uintptr_t)devm_memremap(ARG(struct device, 0), (resource_size_t)args[1],
						 (size_t)args[2], (unsigned long)args[3]);
}

static int64_t op_memunmap(const int64_t *args)
{
	devm_memunmap(ARG(struct device, 0), (void *)(uintptr_t)args[1]);
	return 0;
}

static int64_t op_ioremap_resource(const int64_t *args)
{
	struct resource *res = args[1] ? ARG(struct resource, 1) : NULL;

	return (int64_t)(uintptr_t)devm_ioremap_resource(ARG(struct device, 0), res);
}

static int64_t op_iounmap(const int64_t *args)
{
	devm_iounmap(ARG(struct device, 0), (void *)(uintptr_t)args[1]);
	return 0;
}

static int64_t op_kfree(const int64_t *args)
{
	devm_kfree(ARG(struct device, 0), ARG(void, 1));
	if (args[1])
		object_forget(ARG(void, 1));
	return 0;
}

static int64_t op_get_free_pages(const int64_t *args)
{
	if (args[1] < 0 || args[1] > 10)
		return bad_argument("order must be 0..10");
	return (int64_t)devm_get_free_pages(ARG(struct device, 0), GFP_KERNEL,
					    (unsigned int)args[1]);
}

static int64_t op_free_pages(const int64_t *args)
{
	devm_free_pages(ARG(struct device, 0), (unsigned long)args[1]);
	return 0;
}

static int64_t op_alloc_percpu(const int64_t *args)
{
	void *p = devm_alloc_percpu(ARG(struct device, 0), unsigned long);

	return object_new('A', p, NULL);
}

static int64_t op_free_percpu(const int64_t *args)
{
	devm_free_percpu(ARG(struct device, 0), ARG(void, 1));
	if (args[1])
		object_forget(ARG(void, 1));
	return 0;
}

static int64_t op_request_region(const int64_t *args)
{
	struct resource *res = __devm_request_region(ARG(struct device, 0), ARG(struct resource, 1),
						     (resource_size_t)args[2],
						     (resource_size_t)args[3],
						     args[4] ? STRING(4) : NULL);

	return object_or_new('E', res, res);
}

static int64_t op_release_region(const int64_t *args)
{
	__devm_release_region(ARG(struct device, 0), ARG(struct resource, 1),
			      (resource_size_t)args[2], (resource_size_t)args[3]);
	return 0;
}

static int64_t op_request_resource(const int64_t *args)
{
	if (!resource_can_be_linked(ARG(struct resource, 1), ARG(struct resource, 2)))
		return 0;
	return devm_request_resource(ARG(struct device, 0), ARG(struct resource, 1),
				     ARG(struct resource, 2));
}

static int64_t op_release_resource(const int64_t *args)
{
	devm_release_resource(ARG(struct device, 0), ARG(struct resource, 1));
	return 0;
}

/*
 * Address of what the n-th entry, oldest first, will call: the action of an
 * action, else its release. 0 beyond the last.
 */
static int64_t op_entry(const int64_t *args)
{
	struct device *dev = ARG(struct device, 0);
	struct devres_node *node;
	int64_t n = args[1];

	list_for_each_entry(node, &dev->devres_head, entry) {
		const struct devres *dr = container_of(node, struct devres, node);
		const struct action_devres *action = (const struct action_devres *)dr->data;

		if (n--)
			continue;
		if (node->release == devm_action_release)
			return (int64_t)(uintptr_t)action->action;
		return (int64_t)(uintptr_t)node->release;
	}
	return 0;
}

static const struct op ops[] = {
	OP("devm_add_action", "Dxi", "e", op_add_action),
	OP("devm_add_action_or_reset", "Dxi", "e", op_add_action_or_reset),
	OP("devres_get", "Dxii", "u", op_get),
	OP("devres_for_each_res", "Dxi", "u", op_for_each),
	OP("devm_kmalloc_array", "Dii", "A", op_kmalloc_array),
	OP("devm_kstrdup", "Ds", "A", op_kstrdup),
	OP("devm_kasprintf", "Dsi", "A", op_kasprintf),
	OP("devm_memremap", "Diii", "u", op_memremap),
	OP("devm_memunmap", "Di", "v", op_memunmap),
	OP("devm_ioremap_resource", "De", "u", op_ioremap_resource),
	OP("devm_iounmap", "Di", "v", op_iounmap),
	OP("devm_remove_action", "Dxi", "v", op_remove_action),
	OP("devres_entry", "Di", "u", op_entry),
	OP("devres_alloc", "xi", "V", op_alloc),
	OP("devres_free", "V", "v", op_free),
	OP("devres_add", "DV", "v", op_add),
	OP("devres_find", "Dxi", "u", op_find),
	OP("devres_remove", "Dxi", "u", op_remove),
	OP("devres_destroy", "Dxi", "e", op_destroy),
	OP("devres_release", "Dxi", "e", op_release),
	OP("devres_release_all", "D", "u", op_release_all),
	OP("devres_open_group", "Di", "u", op_open_group),
	OP("devres_close_group", "Di", "v", op_close_group),
	OP("devres_remove_group", "Di", "v", op_remove_group),
	OP("devres_release_group", "Di", "u", op_release_group),
	OP("devm_kmalloc", "Di", "A", op_kmalloc),
	OP("devm_kzalloc", "Di", "A", op_kzalloc),
	OP("devm_kfree", "Da", "v", op_kfree),
	OP("devm_get_free_pages", "Di", "u", op_get_free_pages),
	OP("devm_free_pages", "Di", "v", op_free_pages),
	OP("devm_alloc_percpu", "D", "A", op_alloc_percpu),
	OP("devm_free_percpu", "Da", "v", op_free_percpu),
	OP("devm_request_region", "DEiis", "E", op_request_region),
	OP("devm_release_region", "DEii", "v", op_release_region),
	OP("devm_request_resource", "DEE", "e", op_request_resource),
	OP("devm_release_resource", "DE", "v", op_release_resource),
};
OP_TABLE(ops_devres, ops);
