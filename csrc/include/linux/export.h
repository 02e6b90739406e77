/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_EXPORT_H
#define _LINUX_EXPORT_H

#include <linux/compiler.h>
#include <linux/types.h>

/**
 * struct kernel_symbol - one entry of the export table
 * @name: symbol
 * @gpl_only: only modules with a GPL-compatible licence may use it
 */
struct kernel_symbol {
	const char *name;
	bool gpl_only;
};

/*
 * The name is pasted here and now: a file-scope variable is a macro (see
 * kernel_data.h) that one more level would expand.
 */
#define EXPORT_SYMBOL(sym) __EXPORT_SYMBOL(#sym, __ksym_##sym, __ksymtab_##sym, false)
#define EXPORT_SYMBOL_GPL(sym) __EXPORT_SYMBOL(#sym, __ksym_##sym, __ksymtab_##sym, true)
#define __EXPORT_SYMBOL(sym, entry, slot, gpl)      \
	static const struct kernel_symbol entry = { \
		.name = sym,                        \
		.gpl_only = gpl,                    \
	};                                          \
	static const struct kernel_symbol *const slot __used __section("kernel_symbols") = &entry

#endif
