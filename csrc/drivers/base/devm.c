// SPDX-License-Identifier: GPL-2.0-only
/*
 * What drivers mostly use of devres: actions and managed memory.
 *
 * All of it is at home in drivers/base/devres.c; it stands here by itself
 * because it uses nothing of the list but its public functions.
 */

#include <linux/device.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/percpu.h>
#include <linux/string.h>

#include "base.h"

/* ---- actions ---- */

static int devm_action_match(struct device *dev, void *res, void *p)
{
	const struct action_devres *devres = res;
	const struct action_devres *target = p;

	(void)dev;
	return devres->action == target->action && devres->data == target->data;
}

void devm_action_release(struct device *dev, void *res)
{
	const struct action_devres *devres = res;

	(void)dev;
	devres->action(devres->data);
}

/**
 * devm_add_action() - call a function when the driver is unbound
 * @dev: device
 * @action: the function; not called if this fails
 * @data: its argument
 *
 * mirrors drivers/base/devres.c:devm_add_action, v4.19
 *
 * Return: 0 or -ENOMEM. Context: may sleep.
 */
int devm_add_action(struct device *dev, void (*action)(void *data), void *data)
{
	struct action_devres *devres;

	devres = devres_alloc(devm_action_release, sizeof(*devres), GFP_KERNEL);
	if (!devres)
		return -ENOMEM;
	devres->data = data;
	devres->action = action;
	devres_add(dev, devres);
	return 0;
}
EXPORT_SYMBOL_GPL(devm_add_action);

/**
 * devm_add_action_or_reset() - the same, undoing at once what cannot be undone later
 * @dev: device
 * @action: the function; called before this returns if this fails
 * @data: its argument
 *
 * mirrors include/linux/device.h:devm_add_action_or_reset, v4.19
 *
 * Return: 0 or -ENOMEM. Context: may sleep, and what @action needs.
 */
int devm_add_action_or_reset(struct device *dev, void (*action)(void *data), void *data)
{
	int ret = devm_add_action(dev, action, data);

	if (ret)
		action(data);
	return ret;
}

/**
 * devm_remove_action() - forget an action without calling it
 * @dev: device
 * @action: the function
 * @data: its argument; the newest entry with both is removed
 *
 * mirrors drivers/base/devres.c:devm_remove_action, v4.19
 */
void devm_remove_action(struct device *dev, void (*action)(void *data), void *data)
{
	struct action_devres devres = { .data = data, .action = action };

	WARN_ON(devres_destroy(dev, devm_action_release, devm_action_match, &devres));
}
EXPORT_SYMBOL_GPL(devm_remove_action);

/**
 * devm_release_action() - call an action now instead of later
 * @dev: device
 * @action: the function
 * @data: its argument; the newest entry with both is released
 *
 * mirrors drivers/base/devres.c:devm_release_action, v5.2; nothing older calls it
 *
 * Context: what @action needs.
 */
void devm_release_action(struct device *dev, void (*action)(void *data), void *data)
{
	struct action_devres devres = { .data = data, .action = action };

	WARN_ON(devres_release(dev, devm_action_release, devm_action_match, &devres));
}
EXPORT_SYMBOL_GPL(devm_release_action);

/* ---- memory ---- */

static void devm_kmalloc_release(struct device *dev, void *res)
{
	(void)dev;
	(void)res;
}

static int devm_kmalloc_match(struct device *dev, void *res, void *data)
{
	(void)dev;
	return res == data;
}

/**
 * devm_kmalloc() - memory that is freed when the driver is unbound
 * @dev: device
 * @size: bytes; 0 gives a valid pointer to nothing
 * @gfp: allocation flags; zeroed only with __GFP_ZERO
 *
 * mirrors drivers/base/devres.c:devm_kmalloc, v4.19
 *
 * Return: the memory or NULL.
 */
void *devm_kmalloc(struct device *dev, size_t size, gfp_t gfp)
{
	/* The log has always known this one by the name of a sister. */
	struct devres *dr =
		alloc_dr(devm_kmalloc_release, size, gfp, "devm_kzalloc_release", __func__);

	if (unlikely(!dr))
		return NULL;
	devres_add(dev, dr->data);
	return dr->data;
}
EXPORT_SYMBOL_GPL(devm_kmalloc);

/**
 * devm_kmalloc_array() - managed memory for an array
 * @dev: device
 * @n: elements
 * @size: bytes of one
 * @gfp: allocation flags
 *
 * mirrors include/linux/device.h:devm_kmalloc_array, v4.19
 *
 * Return: the memory or NULL, also when @n * @size overflows.
 */
void *devm_kmalloc_array(struct device *dev, size_t n, size_t size, gfp_t gfp)
{
	size_t bytes;

	if (unlikely(__builtin_mul_overflow(n, size, &bytes)))
		return NULL;
	return devm_kmalloc(dev, bytes, gfp);
}

/**
 * devm_kmemdup() - managed copy of some memory
 * @dev: device
 * @src: what to copy
 * @len: bytes
 * @gfp: allocation flags
 *
 * mirrors drivers/base/devres.c:devm_kmemdup, v4.19
 *
 * Return: the copy or NULL.
 */
void *devm_kmemdup(struct device *dev, const void *src, size_t len, gfp_t gfp)
{
	void *p = devm_kmalloc(dev, len, gfp);

	if (p)
		memcpy(p, src, len);
	return p;
}
EXPORT_SYMBOL_GPL(devm_kmemdup);

/**
 * devm_kstrdup() - managed copy of a string
 * @dev: device
 * @s: string or NULL
 * @gfp: allocation flags
 *
 * mirrors drivers/base/devres.c:devm_kstrdup, v4.19
 *
 * Return: the copy or NULL.
 */
char *devm_kstrdup(struct device *dev, const char *s, gfp_t gfp)
{
	return s ? devm_kmemdup(dev, s, strlen(s) + 1, gfp) : NULL;
}
EXPORT_SYMBOL_GPL(devm_kstrdup);

/**
 * devm_kvasprintf() - managed formatted string
 * @dev: device
 * @gfp: allocation flags
 * @fmt: format
 * @ap: its arguments
 *
 * mirrors drivers/base/devres.c:devm_kvasprintf, v4.19
 *
 * Return: the string or NULL.
 */
char *devm_kvasprintf(struct device *dev, gfp_t gfp, const char *fmt, va_list ap)
{
	size_t size;
	va_list aq;
	char *p;

	va_copy(aq, ap);
	size = (size_t)vsnprintf(NULL, 0, fmt, aq) + 1;
	va_end(aq);

	p = devm_kmalloc(dev, size, gfp);
	if (p)
		vsnprintf(p, size, fmt, ap);
	return p;
}
EXPORT_SYMBOL(devm_kvasprintf);

/**
 * devm_kasprintf() - managed formatted string
 * @dev: device
 * @gfp: allocation flags
 * @fmt: format
 * @...: what it takes
 *
 * mirrors drivers/base/devres.c:devm_kasprintf, v4.19
 *
 * Return: the string or NULL.
 */
char *devm_kasprintf(struct device *dev, gfp_t gfp, const char *fmt, ...)
{
	va_list ap;
	char *p;

	va_start(ap, fmt);
	p = devm_kvasprintf(dev, gfp, fmt, ap);
	va_end(ap);
	return p;
}
EXPORT_SYMBOL_GPL(devm_kasprintf);

/**
 * devm_kfree() - free managed memory early
 * @dev: device
 * @p: memory of devm_kmalloc() and its relatives; anything else warns
 *
 * mirrors drivers/base/devres.c:devm_kfree, v4.19
 */
void devm_kfree(struct device *dev, void *p)
{
	WARN_ON(devres_destroy(dev, devm_kmalloc_release, devm_kmalloc_match, p));
}
EXPORT_SYMBOL_GPL(devm_kfree);

/* ---- pages ---- */

struct pages_devres {
	unsigned long addr;
	unsigned int order;
};

static int devm_pages_match(struct device *dev, void *res, void *p)
{
	const struct pages_devres *devres = res;
	const struct pages_devres *target = p;

	(void)dev;
	return devres->addr == target->addr;
}

static void devm_pages_release(struct device *dev, void *res)
{
	const struct pages_devres *devres = res;

	(void)dev;
	free_pages(devres->addr, devres->order);
}

/**
 * devm_get_free_pages() - managed pages
 * @dev: device
 * @gfp: allocation flags
 * @order: log2 of the number of pages
 *
 * mirrors drivers/base/devres.c:devm_get_free_pages, v4.19
 *
 * Return: address or 0.
 */
unsigned long devm_get_free_pages(struct device *dev, gfp_t gfp, unsigned int order)
{
	unsigned long addr = __get_free_pages(gfp, order);
	struct pages_devres *devres;

	if (unlikely(!addr))
		return 0;
	devres = devres_alloc(devm_pages_release, sizeof(*devres), GFP_KERNEL);
	if (unlikely(!devres)) {
		free_pages(addr, order);
		return 0;
	}
	devres->addr = addr;
	devres->order = order;
	devres_add(dev, devres);
	return addr;
}
EXPORT_SYMBOL_GPL(devm_get_free_pages);

/**
 * devm_free_pages() - free managed pages early
 * @dev: device
 * @addr: address from devm_get_free_pages(); anything else warns
 *
 * mirrors drivers/base/devres.c:devm_free_pages, v4.19
 */
void devm_free_pages(struct device *dev, unsigned long addr)
{
	struct pages_devres devres = { .addr = addr };

	WARN_ON(devres_release(dev, devm_pages_release, devm_pages_match, &devres));
}
EXPORT_SYMBOL_GPL(devm_free_pages);

/* ---- per-CPU memory ---- */

static void devm_percpu_release(struct device *dev, void *res)
{
	void __percpu *p = *(void __percpu **)res;

	(void)dev;
	free_percpu(p);
}

static int devm_percpu_match(struct device *dev, void *res, void *p)
{
	(void)dev;
	return *(void __percpu **)res == p;
}

/**
 * __devm_alloc_percpu() - managed per-CPU memory
 * @dev: device
 * @size: bytes for each CPU
 * @align: alignment, which every allocation here satisfies
 *
 * mirrors drivers/base/devres.c:__devm_alloc_percpu, v4.19
 *
 * Return: per-CPU pointer or NULL.
 */
void __percpu *__devm_alloc_percpu(struct device *dev, size_t size, size_t align)
{
	void __percpu *pcpu = alloc_percpu_caller(size, GFP_KERNEL, __func__);
	void __percpu **p;

	(void)align;
	if (!pcpu)
		return NULL;
	p = devres_alloc(devm_percpu_release, sizeof(*p), GFP_KERNEL);
	if (!p) {
		free_percpu(pcpu);
		return NULL;
	}
	*p = pcpu;
	devres_add(dev, p);
	return pcpu;
}
EXPORT_SYMBOL_GPL(__devm_alloc_percpu);

/**
 * devm_free_percpu() - forget managed per-CPU memory
 * @dev: device
 * @pdata: pointer from devm_alloc_percpu(); anything else warns
 *
 * The entry is destroyed, not released: the memory itself is leaked, as it is
 * in v4.19.
 *
 * mirrors drivers/base/devres.c:devm_free_percpu, v4.19
 */
void devm_free_percpu(struct device *dev, void __percpu *pdata)
{
	WARN_ON(devres_destroy(dev, devm_percpu_release, devm_percpu_match, pdata));
}
EXPORT_SYMBOL_GPL(devm_free_percpu);
