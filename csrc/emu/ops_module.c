// SPDX-License-Identifier: GPL-2.0-only
/* Operations on modules and on the table of exported symbols. */
#include <linux/percpu-refcount.h>

#include "ops.h"

#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/string.h>

/* Name, licence (none: no tag) and bits: 1 in tree, 2 vermagic fits, 4 signed. */
static int64_t op_module_new(const int64_t *args)
{
	struct module *mod;

	if (!args[0])
		return bad_argument("a module has a name");
	mod = machine_alloc(this_machine(), sizeof(*mod));
	mod->name = STRING(0);
	mod->license = args[1] ? STRING(1) : NULL;
	mod->intree = args[2] & 1;
	mod->vermagic = args[2] & 2;
	mod->sig_ok = args[2] & 4;
	INIT_LIST_HEAD(&mod->needs);
	return object_new('U', mod, NULL);
}

static int64_t op_module_need(const int64_t *args)
{
	struct module *mod = ARG(struct module, 0);
	struct module_symbol *sym;

	if (!args[1])
		return bad_argument("a symbol has a name");
	if (module_is_loaded(mod))
		return bad_argument("the module is loaded");
	sym = machine_alloc(this_machine(), sizeof(*sym));
	sym->name = STRING(1);
	sym->weak = args[2] != 0;
	list_add_tail(&sym->list, &mod->needs);
	return 0;
}

static int64_t op_load_module(const int64_t *args)
{
	if (module_is_loaded(ARG(struct module, 0)))
		return bad_argument("the module is loaded");
	return load_module(ARG(struct module, 0), args[1] != 0);
}

static int64_t op_delete_module(const int64_t *args)
{
	return delete_module(ARG(struct module, 0));
}

static int64_t kind_of(const struct kernel_symbol *ksym)
{
	return ksym ? kernel_symbol_export(ksym) : NOT_EXPORTED;
}

static int64_t op_resolve_symbol(const int64_t *args)
{
	struct module *mod = ARG(struct module, 0);

	if (!args[1])
		return bad_argument("a symbol has a name");
	/* Loading would begin with the licence. */
	if (!mod->taints && !(mod->license && license_is_gpl_compatible(mod->license)))
		return kind_of(find_symbol(STRING(1), false));
	return kind_of(resolve_symbol(mod, STRING(1)));
}

static int64_t op_find_symbol(const int64_t *args)
{
	if (!args[0])
		return bad_argument("a symbol has a name");
	return kind_of(find_symbol(STRING(0), args[1] != 0));
}

static int64_t op_module_field(const int64_t *args)
{
	const struct module *mod = ARG(struct module, 0);

	switch (args[1]) {
	case 0:
		return (int64_t)mod->taints;
	case 1:
		return module_is_loaded(mod);
	default:
		return bad_argument("no such field");
	}
}

static int64_t op_license_is_gpl_compatible(const int64_t *args)
{
	return args[0] && license_is_gpl_compatible(STRING(0));
}

static const struct op ops[] = {
	OP("module_new", "ssi", "U", op_module_new),
	OP("module_need", "Usi", "v", op_module_need),
	OP("load_module", "Ui", "e", op_load_module),
	OP("delete_module", "U", "e", op_delete_module),
	OP("resolve_symbol", "Us", "u", op_resolve_symbol),
	OP("find_symbol", "si", "u", op_find_symbol),
	OP("module_field", "Ui", "u", op_module_field),
	OP("license_is_gpl_compatible", "s", "b", op_license_is_gpl_compatible),
};
OP_TABLE(ops_module, ops);
