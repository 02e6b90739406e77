// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices of directly accessible memory.
 *
 * Who uses one asks dax_alive() inside dax_read_lock() and may go on until
 * dax_read_unlock().  kill_dax() makes the answer no and waits for those who
 * have had a yes.
 */

#include <linux/dax.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/kernel_data.h>
#include <linux/rcupdate.h>
#include <linux/srcu.h>
#include <linux/string.h>

#define dax_srcu (kernel_data()->dax.dax_srcu)
#define dax_host_lock (kernel_data()->dax.dax_host_lock)
#define dax_host_list (kernel_data()->dax.dax_host_list)

int dax_read_lock(void)
{
	return srcu_read_lock(&dax_srcu);
}
EXPORT_SYMBOL_GPL(dax_read_lock);

void dax_read_unlock(int id)
{
	srcu_read_unlock(&dax_srcu, id);
}
EXPORT_SYMBOL_GPL(dax_read_unlock);

/* Caller: inside dax_read_lock(). */
bool dax_alive(struct dax_device *dax_dev)
{
	return (READ_ONCE(dax_dev->flags) & (1UL << DAXDEV_ALIVE)) != 0;
}
EXPORT_SYMBOL_GPL(dax_alive);

/**
 * dax_direct_access() - where is the memory?
 * @dax_dev: the device
 * @pgoff: first page
 * @nr_pages: how many are wanted
 * @kaddr: set to the virtual address, if not NULL
 * @pfn: set to the page frame
 *
 * Context: inside dax_read_lock(), and what is returned is good until its end.
 * Return: pages that follow each other there, or -EOPNOTSUPP, -ENXIO (gone),
 * -EINVAL, -ERANGE or an error of the provider.
 *
 * mirrors drivers/dax/super.c:dax_direct_access, v4.19
 */
long dax_direct_access(struct dax_device *dax_dev, unsigned long pgoff, long nr_pages, void **kaddr,
		       pfn_t *pfn)
{
	long avail;

	if (!dax_dev)
		return -EOPNOTSUPP;
	if (!dax_alive(dax_dev))
		return -ENXIO;
	if (nr_pages < 0)
		return -EINVAL;

	avail = dax_dev->ops->direct_access(dax_dev, pgoff, nr_pages, kaddr, pfn);
	if (!avail)
		return -ERANGE;
	return min(avail, nr_pages);
}
EXPORT_SYMBOL_GPL(dax_direct_access);

static void dax_i_callback(struct rcu_head *head)
{
	struct dax_device *dax_dev = container_of(head, struct dax_device, i_rcu);

	kfree(dax_dev->host);
	kfree(dax_dev);
}

/* mirrors drivers/dax/super.c:dax_destroy_inode, v4.19 */
static void dax_destroy_inode(struct kref *count)
{
	struct dax_device *dax_dev = container_of(count, struct dax_device, count);

	WARN_ONCE(dax_alive(dax_dev), "kill_dax() must be called before final iput()\n");
	call_rcu(&dax_dev->i_rcu, dax_i_callback);
}

/**
 * alloc_dax() - make a device
 * @private: of the provider
 * @__host: name of the disk that it belongs to, or NULL
 * @ops: of the provider
 *
 * Return: the device, alive, with one reference, or NULL.
 *
 * mirrors drivers/dax/super.c:alloc_dax, v4.19
 */
struct dax_device *alloc_dax(void *private, const char *__host, const struct dax_operations *ops)
{
	struct dax_device *dax_dev;
	char *host = NULL;

	if (__host) {
		host = kstrdup(__host, GFP_KERNEL);
		if (!host)
			return NULL;
	}

	dax_dev = kzalloc(sizeof(*dax_dev), GFP_KERNEL);
	if (!dax_dev)
		goto err_dev;

	kref_init(&dax_dev->count);
	INIT_LIST_HEAD(&dax_dev->list);
	dax_dev->flags = 1UL << DAXDEV_ALIVE;
	dax_dev->host = host;
	dax_dev->ops = ops;
	dax_dev->private = private;
	if (host) {
		spin_lock(&dax_host_lock);
		list_add(&dax_dev->list, &dax_host_list);
		spin_unlock(&dax_host_lock);
	}
	return dax_dev;

err_dev:
	kfree(host);
	return NULL;
}
EXPORT_SYMBOL_GPL(alloc_dax);

/**
 * kill_dax() - let nobody use the device any more
 * @dax_dev: the device, or NULL
 *
 * Context: process, sleeps until all dax_read_lock() sections have ended.
 *
 * mirrors drivers/dax/super.c:kill_dax, v4.19
 */
void kill_dax(struct dax_device *dax_dev)
{
	if (!dax_dev)
		return;

	WRITE_ONCE(dax_dev->flags, dax_dev->flags & ~(1UL << DAXDEV_ALIVE));

	synchronize_srcu(&dax_srcu);

	spin_lock(&dax_host_lock);
	list_del_init(&dax_dev->list);
	spin_unlock(&dax_host_lock);

	dax_dev->private = NULL;
}
EXPORT_SYMBOL_GPL(kill_dax);

/**
 * put_dax() - drop a reference
 * @dax_dev: the device, or NULL
 *
 * mirrors drivers/dax/super.c:put_dax, v4.19
 */
void put_dax(struct dax_device *dax_dev)
{
	if (dax_dev)
		kref_put(&dax_dev->count, dax_destroy_inode);
}
EXPORT_SYMBOL_GPL(put_dax);

/**
 * dax_get_by_host() - find the device of a disk
 * @host: name of the disk
 *
 * Return: the device, one more reference held, or NULL.
 *
 * mirrors drivers/dax/super.c:dax_get_by_host, v4.19
 */
struct dax_device *dax_get_by_host(const char *host)
{
	struct dax_device *dax_dev, *found = NULL;
	int id;

	if (!host)
		return NULL;

	id = dax_read_lock();
	spin_lock(&dax_host_lock);
	list_for_each_entry(dax_dev, &dax_host_list, list) {
		if (!dax_alive(dax_dev) || strcmp(host, dax_dev->host))
			continue;
		if (kref_get_unless_zero(&dax_dev->count))
			found = dax_dev;
		break;
	}
	spin_unlock(&dax_host_lock);
	dax_read_unlock(id);
	return found;
}
EXPORT_SYMBOL_GPL(dax_get_by_host);

void *dax_get_private(struct dax_device *dax_dev)
{
	return dax_dev->private;
}
EXPORT_SYMBOL_GPL(dax_get_private);

void __init dax_init(void)
{
	init_srcu_struct(&dax_srcu);
	spin_lock_init(&dax_host_lock);
	INIT_LIST_HEAD(&dax_host_list);
	kernel_data()->dax.dax_class.name = "dax";
}
