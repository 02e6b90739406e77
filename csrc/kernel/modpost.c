// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the build of a module says about its symbols and its licence.
 *
 * Not part of a kernel but of its build: a program that looks at the finished
 * object.  A module without any licence is let through, with a warning; it is
 * refused when it is loaded.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/string.h>

struct modpost_text {
	char *buf;
	size_t size;
	size_t length;
};

static void __printf(2, 3) say(struct modpost_text *text, const char *fmt, ...)
{
	size_t at = min(text->length, text->size);
	va_list args;

	va_start(args, fmt);
	text->length += (size_t)vsnprintf(text->buf + at, text->size - at, fmt, args);
	va_end(args);
}

/**
 * modpost_check() - check a module against the exports of the kernel
 * @mod: the module; its symbols in the order in which they are looked at
 * @buf: for what goes to stderr
 * @size: its size
 * @length: length of the text, whether it fitted or not
 *
 * mirrors scripts/mod/modpost.c:check_exports and read_symbols, v4.19
 *
 * Return: exit status.
 */
int modpost_check(const struct module *mod, char *buf, size_t size, size_t *length)
{
	bool gpl_compatible = !mod->license || license_is_gpl_compatible(mod->license);
	struct modpost_text text = { .buf = buf, .size = size };
	const struct module_symbol *sym;
	int err = 0;

	say(&text, "%s", "");
	if (!mod->license)
		say(&text,
		    "WARNING: modpost: missing MODULE_LICENSE() in %s.o\n"
		    "see include/linux/module.h for more information\n",
		    mod->name);

	list_for_each_entry(sym, &mod->needs, list) {
		const struct kernel_symbol *ksym = find_symbol(sym->name, true);

		if (!ksym) {
			if (sym->weak)
				continue;
			say(&text, "ERROR: \"%s\" [%s.ko] undefined!\n", sym->name, mod->name);
			err = 1;
			continue;
		}
		if (kernel_symbol_export(ksym) == EXPORTED_GPL && !gpl_compatible) {
			say(&text,
			    "FATAL: modpost: GPL-incompatible module %s.ko uses GPL-only symbol '%s'\n",
			    mod->name, sym->name);
			err = 1;
			break;
		}
	}
	*length = text.length;
	return err;
}
