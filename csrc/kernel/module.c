// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading of modules, as far as symbols and licences go.
 *
 * Whether a module may use a GPL-only symbol depends on the module's own
 * taint, not on what its licence says at that moment: to a proprietary module
 * such a symbol does not exist, and the message is the one for a symbol that
 * does not.
 */
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/hmm.h>
#include <linux/kernel.h>
#include <linux/kernel_data.h>
#include <linux/module.h>
#include <linux/patches.h>
#include <linux/string.h>

#define module_mutex (kernel_data()->module.module_mutex)
#define modules (kernel_data()->module.modules)

extern const struct kernel_symbol *const __start_kernel_symbols[]
	__attribute__((visibility("hidden")));
extern const struct kernel_symbol *const __stop_kernel_symbols[]
	__attribute__((visibility("hidden")));

/* What patches have done to exports; all others are as they are written. */
static const struct {
	const char *name;
	enum patch patch;
	enum { ADDED, REMOVED, MADE_GPL } change;
} export_changes[] = {
	{ "devm_memremap_pages", PATCH_MEMREMAP_GPL, MADE_GPL },
	{ "__wrap_devm_memremap_pages", PATCH_MEMREMAP_GPL, MADE_GPL },
	{ "hmm_devmem_remove", PATCH_HMM_DEVM, REMOVED },
	{ "hmm_devmem_add", PATCH_HMM_GPL, MADE_GPL },
	{ "hmm_devmem_add_resource", PATCH_HMM_GPL, MADE_GPL },
	{ "devm_release_action", PATCH_RELEASE_ACTION, ADDED },
	{ "devm_memunmap_pages", PATCH_MEMUNMAP_PAGES, ADDED },
};

/* What is only built, and so only exported, in some configurations. */
static const struct {
	const char *name;
	enum { ZONE_DEVICE_MEMORY, PRIVATE_MEMORY, PAGEMAP_OPS, HMM } needs;
} configured_exports[] = {
	{ "devm_memremap_pages", ZONE_DEVICE_MEMORY },
	{ "devm_memunmap_pages", ZONE_DEVICE_MEMORY },
	{ "get_dev_pagemap", ZONE_DEVICE_MEMORY },
	{ "pci_p2pdma_add_resource", ZONE_DEVICE_MEMORY },
	{ "pci_has_p2pmem", ZONE_DEVICE_MEMORY },
	{ "pci_alloc_p2pmem", ZONE_DEVICE_MEMORY },
	{ "pci_free_p2pmem", ZONE_DEVICE_MEMORY },
	{ "pci_p2pmem_virt_to_bus", ZONE_DEVICE_MEMORY },
	{ "pci_p2pmem_publish", ZONE_DEVICE_MEMORY },
	{ "device_private_entry_fault", PRIVATE_MEMORY },
	{ "dev_pagemap_get_ops", PAGEMAP_OPS },
	{ "dev_pagemap_put_ops", PAGEMAP_OPS },
	{ "devmap_managed_key", PAGEMAP_OPS },
	{ "__put_devmap_managed_page", PAGEMAP_OPS },
	{ "hmm_devmem_add", HMM },
	{ "hmm_devmem_add_resource", HMM },
	{ "hmm_devmem_remove", HMM },
	{ "hmm_device_new", HMM },
	{ "hmm_device_put", HMM },
};

static bool is_built(const char *name)
{
	const struct kernel_config *config = &kernel_data()->config;
	const bool have[] = {
		[ZONE_DEVICE_MEMORY] = config->zone_device,
		[PRIVATE_MEMORY] = config->device_private,
		[PAGEMAP_OPS] = config->dev_pagemap_ops,
		[HMM] = hmm_configured(),
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(configured_exports); i++)
		if (!strcmp(configured_exports[i].name, name))
			return have[configured_exports[i].needs];
	return true;
}

/**
 * kernel_symbol_export() - how a symbol is exported by this kernel
 * @ksym: symbol
 *
 * Return: how.
 */
enum export kernel_symbol_export(const struct kernel_symbol *ksym)
{
	if (!is_built(ksym->name))
		return NOT_EXPORTED;
	for (unsigned int i = 0; i < ARRAY_SIZE(export_changes); i++) {
		if (strcmp(export_changes[i].name, ksym->name))
			continue;
		if (export_changes[i].change == MADE_GPL)
			return patched(export_changes[i].patch) ? EXPORTED_GPL : EXPORTED;
		if (patched(export_changes[i].patch) != (export_changes[i].change == ADDED))
			return NOT_EXPORTED;
	}
	return ksym->gpl_only ? EXPORTED_GPL : EXPORTED;
}

/**
 * find_symbol() - look an exported symbol up
 * @name: symbol
 * @gplok: GPL-only symbols, too
 *
 * mirrors kernel/module.c:find_symbol, v4.19; modules export nothing here
 *
 * Return: the symbol, or NULL if there is none that may be used.
 */
const struct kernel_symbol *find_symbol(const char *name, bool gplok)
{
	const struct kernel_symbol *const *p;

	for (p = __start_kernel_symbols; p < __stop_kernel_symbols; p++) {
		enum export export;

		if (strcmp((*p)->name, name))
			continue;
		export = kernel_symbol_export(*p);
		return export == EXPORTED || (export == EXPORTED_GPL && gplok) ? *p : NULL;
	}
	return NULL;
}
EXPORT_SYMBOL_GPL(find_symbol);

/* mirrors kernel/module.c:find_module, v4.19; under module_mutex */
static struct module *find_module(const char *name)
{
	struct module *mod;

	list_for_each_entry(mod, &modules, list)
		if (!strcmp(mod->name, name))
			return mod;
	return NULL;
}

static void add_taint_module(struct module *mod, unsigned int flag, enum lockdep_ok lockdep_ok)
{
	add_taint(flag, lockdep_ok);
	WRITE_ONCE(mod->taints, READ_ONCE(mod->taints) | BIT(flag));
}

/* The whole list; anything else, and any other spelling, is proprietary. */
bool license_is_gpl_compatible(const char *license)
{
	static const char *const compatible[] = {
		"GPL",		"GPL v2",	"GPL and additional rights",
		"Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL",
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(compatible); i++)
		if (!strcmp(compatible[i], license))
			return true;
	return false;
}

/* mirrors kernel/module.c:set_license, v4.19 */
static void set_license(struct module *mod, const char *license)
{
	if (!license)
		license = "unspecified";
	if (license_is_gpl_compatible(license))
		return;
	if (!test_taint(TAINT_PROPRIETARY_MODULE))
		pr_warn("%s: module license '%s' taints kernel.\n", mod->name, license);
	add_taint_module(mod, TAINT_PROPRIETARY_MODULE, LOCKDEP_NOW_UNRELIABLE);
}

/* mirrors kernel/module.c:check_modinfo, v4.19 */
static int check_modinfo(struct module *mod, bool force)
{
	if (!mod->vermagic) {
		if (!force)
			return -ENOEXEC;
		if (!test_taint(TAINT_FORCED_MODULE))
			pr_warn("%s: %s: kernel tainted.\n", mod->name, "bad vermagic");
		add_taint_module(mod, TAINT_FORCED_MODULE, LOCKDEP_NOW_UNRELIABLE);
	}
	if (!mod->intree) {
		if (!test_taint(TAINT_OOT_MODULE))
			pr_warn("%s: loading out-of-tree module taints kernel.\n", mod->name);
		add_taint_module(mod, TAINT_OOT_MODULE, LOCKDEP_STILL_OK);
	}
	set_license(mod, mod->license);
	return 0;
}

/*
 * Names that are known for what they bring with them, whatever they say.
 *
 * mirrors kernel/module.c:check_module_license_and_versions, v4.19
 */
static void check_module_license(struct module *mod)
{
	static const char *const suspects[] = { "ndiswrapper", "driverloader", "lve" };
	bool tainted_before = test_taint(TAINT_PROPRIETARY_MODULE);

	for (unsigned int i = 0; i < ARRAY_SIZE(suspects); i++)
		if (!strcmp(mod->name, suspects[i]))
			add_taint_module(mod, TAINT_PROPRIETARY_MODULE, LOCKDEP_NOW_UNRELIABLE);
	if (!tainted_before && test_taint(TAINT_PROPRIETARY_MODULE))
		pr_warn("%s: module license taints kernel.\n", mod->name);
}

/**
 * resolve_symbol() - the symbol that a module means
 * @mod: the module; its taint decides
 * @name: symbol
 *
 * mirrors kernel/module.c:resolve_symbol, v4.19
 *
 * Return: the symbol, or NULL: to this module there is none.
 */
const struct kernel_symbol *resolve_symbol(struct module *mod, const char *name)
{
	return find_symbol(name, !(READ_ONCE(mod->taints) & BIT(TAINT_PROPRIETARY_MODULE)));
}

/*
 * Every symbol that is missing is named, not only the first.
 *
 * mirrors kernel/module.c:simplify_symbols, v4.19
 */
static int simplify_symbols(struct module *mod)
{
	const struct module_symbol *sym;
	int ret = 0;

	list_for_each_entry(sym, &mod->needs, list) {
		if (resolve_symbol(mod, sym->name) || sym->weak)
			continue;
		ret = -ENOENT;
		pr_warn("%s: Unknown symbol %s (err %d)\n", mod->name, sym->name, ret);
	}
	return ret;
}

bool module_is_loaded(const struct module *mod)
{
	return READ_ONCE(mod->loaded);
}

/**
 * load_module() - insmod
 * @mod: the module, not loaded
 * @force: although its version does not fit
 *
 * A failure leaves the kernel tainted all the same.
 *
 * mirrors kernel/module.c:load_module, v4.19
 *
 * Context: process, may sleep.
 * Return: 0, -ENOEXEC (made for another kernel), -EEXIST (one of that name is
 * loaded), -ENOENT (a symbol is missing).
 */
int load_module(struct module *mod, bool force)
{
	int err;

	WRITE_ONCE(mod->taints, 0);
	err = check_modinfo(mod, force);
	if (err)
		return err;

	mutex_lock(&module_mutex);
	if (find_module(mod->name)) {
		mutex_unlock(&module_mutex);
		return -EEXIST;
	}
	list_add_tail(&mod->list, &modules);
	mutex_unlock(&module_mutex);

	if (!mod->sig_ok) {
		pr_warn_once(
			"%s: module verification failed: signature and/or required key missing - tainting kernel\n",
			mod->name);
		add_taint_module(mod, TAINT_UNSIGNED_MODULE, LOCKDEP_STILL_OK);
	}
	check_module_license(mod);

	err = simplify_symbols(mod);
	if (err) {
		mutex_lock(&module_mutex);
		list_del(&mod->list);
		mutex_unlock(&module_mutex);
		return err;
	}
	WRITE_ONCE(mod->loaded, true);
	return 0;
}

/**
 * delete_module() - rmmod
 * @mod: the module
 *
 * Return: 0, or -ENOENT if it is not loaded.
 */
int delete_module(struct module *mod)
{
	mutex_lock(&module_mutex);
	if (!module_is_loaded(mod)) {
		mutex_unlock(&module_mutex);
		return -ENOENT;
	}
	list_del(&mod->list);
	WRITE_ONCE(mod->loaded, false);
	mutex_unlock(&module_mutex);
	return 0;
}

void __init modules_init(void)
{
	mutex_init(&module_mutex);
	INIT_LIST_HEAD(&modules);
}
