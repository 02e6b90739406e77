/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_MODULE_H
#define _LINUX_MODULE_H

#include <linux/export.h>
#include <linux/list.h>

#define MODULE_NAME_LEN 56

/* Symbol that a module uses; one that is weak may be missing. */
struct module_symbol {
	struct list_head list;
	const char *name;
	bool weak;
};

/**
 * struct module - an object file, and the module that it becomes
 * @list: link in modules while it is loaded
 * @name: name, without ".ko"
 * @license: its MODULE_LICENSE, NULL if it has none
 * @intree: built with the kernel
 * @vermagic: says which kernel it was built for; else only force loads it
 * @sig_ok: signed by a key that the kernel trusts
 * @needs: undefined symbols, struct module_symbol
 * @taints: TAINT_* of its own, valid once it is being loaded
 * @loaded: in the list of modules
 */
struct module {
	struct list_head list;
	const char *name;
	const char *license;
	bool intree;
	bool vermagic;
	bool sig_ok;
	struct list_head needs;
	unsigned long taints;
	bool loaded;
};

enum export {
	NOT_EXPORTED,
	EXPORTED,
	EXPORTED_GPL,
};

void modules_init(void);
enum export kernel_symbol_export(const struct kernel_symbol *ksym);
bool license_is_gpl_compatible(const char *license);
const struct kernel_symbol *find_symbol(const char *name, bool gplok);
const struct kernel_symbol *resolve_symbol(struct module *mod, const char *name);
/** module_is_loaded() - in the list of modules, and all of it has been done */
bool module_is_loaded(const struct module *mod);
int load_module(struct module *mod, bool force);
int delete_module(struct module *mod);

/* What building a module says; kernel/modpost.c. Return: exit status. */
int modpost_check(const struct module *mod, char *buf, size_t size, size_t *length);

#endif
