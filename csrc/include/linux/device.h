/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_DEVICE_H
#define _LINUX_DEVICE_H

#include <linux/kdev_t.h>
#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/numa.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

struct device;
struct device_driver;
struct device_private;
struct driver_private;
struct module;
struct subsys_private;

/*
 * What has no object here: device links, asynchronous probing, runtime PM,
 * pinctrl, DMA configuration, uevents and the sysfs tree.  Where their place
 * in an order matters, the driver core says so in a comment.
 */

/* ---- buses and drivers ---- */

/**
 * struct bus_type - kind of connection between devices and the machine
 * @name: for messages, and the driver string of an unbound device
 * @match: can this driver handle this device? >0 yes, 0 no, <0 error, which
 *	stops the walk that asked (-EPROBE_DEFER: ask again later)
 * @probe: called instead of the driver's, or NULL
 * @remove: called instead of the driver's, or NULL; result ignored
 * @need_parent_lock: bind and unbind hold the parent's device lock too
 * @p: private to the driver core; NULL when not registered
 */
struct bus_type {
	const char *name;
	int (*match)(struct device *dev, struct device_driver *drv);
	int (*probe)(struct device *dev);
	int (*remove)(struct device *dev);
	bool need_parent_lock;
	struct subsys_private *p;
};

/**
 * struct device_driver - a driver
 * @name: unique on its bus
 * @bus: the bus whose devices it drives
 * @owner: module, or NULL
 * @suppress_bind_attrs: no bind and unbind files
 * @probe: take the device; 0 or a negative errno
 * @remove: give it back; result ignored
 * @p: private to the driver core
 */
struct device_driver {
	const char *name;
	struct bus_type *bus;
	struct module *owner;
	bool suppress_bind_attrs;
	int (*probe)(struct device *dev);
	int (*remove)(struct device *dev);
	struct driver_private *p;
};

struct device_type {
	const char *name;
	void (*release)(struct device *dev);
};

struct class
{
	const char *name;
	void (*dev_release)(struct device *dev);
};

/**
 * struct device - a device
 * @parent: holds a reference while the device is added
 * @p: private to the driver core, allocated by device_add()
 * @kobj: name and reference count
 * @init_name: name that device_add() will copy, or NULL
 * @type: or NULL
 * @mutex: the device lock; held during bind and unbind
 * @bus: or NULL
 * @driver: the bound driver, also during probe and while devres callbacks
 *	run. Written under the device lock, read without it by messages, the
 *	bind and unbind files and the notifiers, hence marked.
 * @platform_data: of the board code
 * @driver_data: of the bound driver
 * @numa_node: node, or NUMA_NO_NODE
 * @devt: its number, if it has one
 * @devres_lock: protects @devres_head
 * @devres_head: managed resources, oldest first
 * @class: or NULL
 * @release: frees the device; called with the last reference
 */
struct device {
	struct device *parent;
	struct device_private *p;
	struct kobject kobj;
	const char *init_name;
	const struct device_type *type;
	struct mutex mutex;
	struct bus_type *bus;
	struct device_driver *driver;
	void *platform_data;
	void *driver_data;
	int numa_node;
	kernel_dev_t devt;
	spinlock_t devres_lock;
	struct list_head devres_head;
	struct class *class;
	void (*release)(struct device *dev);
};

static inline struct device *kobj_to_dev(struct kobject *kobj)
{
	return container_of(kobj, struct device, kobj);
}

static inline const char *dev_name(const struct device *dev)
{
	return dev->init_name ? dev->init_name : kobject_name(&dev->kobj);
}

static inline int dev_to_node(const struct device *dev)
{
	return dev->numa_node;
}

static inline void set_dev_node(struct device *dev, int node)
{
	dev->numa_node = node;
}

static inline void *dev_get_drvdata(const struct device *dev)
{
	return dev->driver_data;
}

static inline void dev_set_drvdata(struct device *dev, void *data)
{
	dev->driver_data = data;
}

static inline void *dev_get_platdata(const struct device *dev)
{
	return dev->platform_data;
}

static inline bool device_is_registered(const struct device *dev)
{
	return READ_ONCE(dev->kobj.state_in_sysfs);
}

static inline void device_lock(struct device *dev)
{
	mutex_lock(&dev->mutex);
}

static inline int device_trylock(struct device *dev)
{
	return mutex_trylock(&dev->mutex);
}

static inline void device_unlock(struct device *dev)
{
	mutex_unlock(&dev->mutex);
}

/* ---- drivers/base/core.c ---- */

void device_initialize(struct device *dev);
int __must_check device_add(struct device *dev);
void device_del(struct device *dev);
int __must_check device_register(struct device *dev);
void device_unregister(struct device *dev);
struct device *get_device(struct device *dev);
void put_device(struct device *dev);
int __printf(2, 3) dev_set_name(struct device *dev, const char *fmt, ...);
const char *dev_driver_string(const struct device *dev);

void __printf(3, 4) dev_printk(int level, const struct device *dev, const char *fmt, ...);
void __printf(2, 3) dev_err(const struct device *dev, const char *fmt, ...);
void __printf(2, 3) dev_warn(const struct device *dev, const char *fmt, ...);
void __printf(2, 3) dev_info(const struct device *dev, const char *fmt, ...);
/* Dynamic debug is off: arguments are checked by the compiler, never printed. */
#define dev_dbg(dev, fmt, ...)                                               \
	do {                                                                 \
		if (0)                                                       \
			dev_printk(LOGLEVEL_DEBUG, dev, fmt, ##__VA_ARGS__); \
	} while (0)

#define dev_WARN(dev, fmt, ...) \
	WARN(1, "%s %s: " fmt, dev_driver_string(dev), dev_name(dev), ##__VA_ARGS__)
#define dev_WARN_ONCE(dev, condition, fmt, ...) \
	WARN_ONCE(condition, "%s %s: " fmt, dev_driver_string(dev), dev_name(dev), ##__VA_ARGS__)

/* ---- drivers/base/class.c ---- */

struct class *__must_check __class_create(struct module *owner, const char *name);
#define class_create(owner, name) __class_create(owner, name)
void class_destroy(struct class *cls);

/* ---- drivers/base/bus.c, driver.c ---- */

#define BUS_NOTIFY_ADD_DEVICE 0x00000001
#define BUS_NOTIFY_DEL_DEVICE 0x00000002
#define BUS_NOTIFY_REMOVED_DEVICE 0x00000003
#define BUS_NOTIFY_BIND_DRIVER 0x00000004
#define BUS_NOTIFY_BOUND_DRIVER 0x00000005
#define BUS_NOTIFY_UNBIND_DRIVER 0x00000006
#define BUS_NOTIFY_UNBOUND_DRIVER 0x00000007
#define BUS_NOTIFY_DRIVER_NOT_BOUND 0x00000008

int __must_check bus_register(struct bus_type *bus);
int bus_register_notifier(struct bus_type *bus, struct notifier_block *nb);
int bus_unregister_notifier(struct bus_type *bus, struct notifier_block *nb);
int bus_for_each_dev(struct bus_type *bus, struct device *start, void *data,
		     int (*fn)(struct device *dev, void *data));
int bus_for_each_drv(struct bus_type *bus, struct device_driver *start, void *data,
		     int (*fn)(struct device_driver *drv, void *data));
struct device *bus_find_device_by_name(struct bus_type *bus, struct device *start,
				       const char *name);

/*
 * The bind, unbind, drivers_probe and drivers_autoprobe files: @buf is what
 * was written, NUL-terminated, @count its length. Return @count or an error.
 */
int bus_bind_store(struct device_driver *drv, const char *buf, size_t count);
int bus_unbind_store(struct device_driver *drv, const char *buf, size_t count);
int bus_drivers_probe_store(struct bus_type *bus, const char *buf, size_t count);
int bus_drivers_autoprobe_store(struct bus_type *bus, const char *buf, size_t count);
bool bus_drivers_autoprobe(struct bus_type *bus);

int __must_check driver_register(struct device_driver *drv);
void driver_unregister(struct device_driver *drv);
struct device_driver *driver_find(const char *name, struct bus_type *bus);

/* ---- drivers/base/dd.c ---- */

int __must_check device_bind_driver(struct device *dev);
void device_release_driver(struct device *dev);
void device_release_driver_internal(struct device *dev, struct device_driver *drv,
				    struct device *parent);
int __must_check device_attach(struct device *dev);
int __must_check driver_attach(struct device_driver *drv);
void wait_for_device_probe(void);
void device_block_probing(void);
void device_unblock_probing(void);
bool device_is_bound(struct device *dev);

/* ---- drivers/base/devres.c ---- */

typedef void (*dr_release_t)(struct device *dev, void *res);
typedef int (*dr_match_t)(struct device *dev, void *res, void *match_data);

void *__devres_alloc_node(dr_release_t release, size_t size, gfp_t gfp, int nid, const char *name,
			  const char *caller);
#define devres_alloc_node(release, size, gfp, nid) \
	__devres_alloc_node(release, size, gfp, nid, #release, __func__)
#define devres_alloc(release, size, gfp) \
	__devres_alloc_node(release, size, gfp, NUMA_NO_NODE, #release, __func__)

void devres_free(void *res);
void devres_add(struct device *dev, void *res);
void *devres_find(struct device *dev, dr_release_t release, dr_match_t match, void *match_data);
void *devres_get(struct device *dev, void *new_res, dr_match_t match, void *match_data);
void *devres_remove(struct device *dev, dr_release_t release, dr_match_t match, void *match_data);
int devres_destroy(struct device *dev, dr_release_t release, dr_match_t match, void *match_data);
int devres_release(struct device *dev, dr_release_t release, dr_match_t match, void *match_data);
void devres_for_each_res(struct device *dev, dr_release_t release, dr_match_t match,
			 void *match_data, void (*fn)(struct device *dev, void *res, void *data),
			 void *data);
int devres_release_all(struct device *dev);

void *devres_open_group(struct device *dev, void *id, gfp_t gfp);
void devres_close_group(struct device *dev, void *id);
void devres_remove_group(struct device *dev, void *id);
int devres_release_group(struct device *dev, void *id);

int devm_add_action(struct device *dev, void (*action)(void *data), void *data);
int devm_add_action_or_reset(struct device *dev, void (*action)(void *data), void *data);
void devm_remove_action(struct device *dev, void (*action)(void *data), void *data);
void devm_release_action(struct device *dev, void (*action)(void *data), void *data);

void *devm_kmalloc(struct device *dev, size_t size, gfp_t gfp);
void devm_kfree(struct device *dev, void *p);
char *devm_kstrdup(struct device *dev, const char *s, gfp_t gfp);
void *devm_kmemdup(struct device *dev, const void *src, size_t len, gfp_t gfp);
char *__printf(3, 0) devm_kvasprintf(struct device *dev, gfp_t gfp, const char *fmt, va_list ap);
char *__printf(3, 4) devm_kasprintf(struct device *dev, gfp_t gfp, const char *fmt, ...);
void *devm_kmalloc_array(struct device *dev, size_t n, size_t size, gfp_t gfp);

static inline void *devm_kzalloc(struct device *dev, size_t size, gfp_t gfp)
{
	return devm_kmalloc(dev, size, gfp | __GFP_ZERO);
}

static inline void *devm_kcalloc(struct device *dev, size_t n, size_t size, gfp_t gfp)
{
	return devm_kmalloc_array(dev, n, size, gfp | __GFP_ZERO);
}

unsigned long devm_get_free_pages(struct device *dev, gfp_t gfp, unsigned int order);
void devm_free_pages(struct device *dev, unsigned long addr);

void *__devm_alloc_percpu(struct device *dev, size_t size, size_t align);
#define devm_alloc_percpu(dev, type) \
	((type __percpu *)__devm_alloc_percpu(dev, sizeof(type), __alignof__(type)))
void devm_free_percpu(struct device *dev, void __percpu *pdata);

/* drivers/base/init.c: the file-scope variables of the driver core, and the platform bus. */
void driver_core_init(void);

#endif
