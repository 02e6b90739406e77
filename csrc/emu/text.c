// SPDX-License-Identifier: GPL-2.0-only
/*
 * Text that the kernel formats: /proc/iomem, %pR and %pr, names, exported symbols.
 */
#include <linux/percpu-refcount.h>

#include "api.h"

#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/module.h>

enum text_kind {
	TEXT_IOMEM, /* a: bit 0 unprivileged, bit 1 ioports */
	TEXT_PR, /* a: resource handle; %pR */
	TEXT_PR_RAW, /* a: resource handle; %pr */
	TEXT_RESOURCE_NAME, /* a: resource handle */
	TEXT_DEVICE_NAME, /* a: device handle */
	TEXT_DRIVER_NAME, /* a: driver handle */
	TEXT_RESOURCE_TREE, /* a: resource handle: its tree in the format of /proc/iomem */
	TEXT_EXPORTS, /* the symbols that modules may use, a line for each */
	TEXT_MODPOST, /* a: module handle: exit status and text of its build */
	TEXT_TAINTED, /* the taint flags as an oops shows them */
};

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

/**
 * struct text_request - one call of emu_text(), as its task sees it
 */
struct text_request {
	int what;
	int64_t a;
	char *buf;
	size_t size;
	size_t length;
	int status;
};

extern const struct kernel_symbol *const __start_kernel_symbols[]
	__attribute__((visibility("hidden")));
extern const struct kernel_symbol *const __stop_kernel_symbols[]
	__attribute__((visibility("hidden")));

static size_t format_exports(char *buf, size_t size)
{
	const struct kernel_symbol *const *p;
	size_t length = 0;

	for (p = __start_kernel_symbols; p < __stop_kernel_symbols; p++) {
		enum export export = kernel_symbol_export(*p);
		size_t at = length < size ? length : size;

		if (export != NOT_EXPORTED)
			length += (size_t)snprintf(buf + at, size - at, "EXPORT_SYMBOL%s %s\n",
						   export == EXPORTED_GPL ? "_GPL" : "",
						   (*p)->name);
	}
	return length;
}

static size_t format_modpost(const struct module *mod, char *buf, size_t size)
{
	size_t length = 0;
	int status;

	if (!size)
		return 0;
	status = modpost_check(mod, buf + 1, size - 1, &length);
	buf[0] = (char)('0' + status);
	return length + 1;
}

static int64_t format_text(const int64_t *args)
{
	struct text_request *r = (struct text_request *)(uintptr_t)args[0];
	const void *p = NULL;

	if (r->what == TEXT_PR || r->what == TEXT_PR_RAW || r->what == TEXT_RESOURCE_NAME ||
	    r->what == TEXT_RESOURCE_TREE)
		p = object_at('E', r->a);
	else if (r->what == TEXT_DEVICE_NAME)
		p = object_at('D', r->a);
	else if (r->what == TEXT_DRIVER_NAME)
		p = object_at('L', r->a);
	else if (r->what == TEXT_MODPOST)
		p = object_at('U', r->a);
	if (!p && r->what != TEXT_IOMEM && r->what != TEXT_EXPORTS && r->what != TEXT_TAINTED &&
	    !(r->a == 0 && (r->what == TEXT_PR || r->what == TEXT_PR_RAW))) {
		r->status = EMU_BAD_HANDLE;
		return 0;
	}
	switch (r->what) {
	case TEXT_IOMEM:
		r->length = resource_proc_show(r->a & 2 ? &ioport_resource : &iomem_resource,
					       !(r->a & 1), r->buf, r->size);
		break;
	case TEXT_RESOURCE_TREE:
		r->length =
			resource_proc_show((struct resource *)(uintptr_t)p, true, r->buf, r->size);
		break;
	case TEXT_PR:
		r->length = (size_t)snprintf(r->buf, r->size, "%pR", p);
		break;
	case TEXT_PR_RAW:
		r->length = (size_t)snprintf(r->buf, r->size, "%pr", p);
		break;
	case TEXT_RESOURCE_NAME:
		r->length = (size_t)snprintf(r->buf, r->size, "%s",
					     or_empty(((const struct resource *)p)->name));
		break;
	case TEXT_DEVICE_NAME:
		r->length = (size_t)snprintf(r->buf, r->size, "%s", or_empty(dev_name(p)));
		break;
	case TEXT_DRIVER_NAME:
		r->length = (size_t)snprintf(r->buf, r->size, "%s",
					     or_empty(((const struct device_driver *)p)->name));
		break;
	case TEXT_EXPORTS:
		r->length = format_exports(r->buf, r->size);
		break;
	case TEXT_MODPOST:
		r->length = format_modpost(p, r->buf, r->size);
		break;
	case TEXT_TAINTED:
		r->length = print_tainted(r->buf, r->size);
		break;
	default:
		r->status = EMU_BAD_ARGUMENT;
	}
	return 0;
}

int emu_text(emu_machine *m, int what, int64_t a, char *buf, size_t size, size_t *length)
{
	struct text_request r = { .what = what, .a = a, .buf = buf, .size = size };
	int64_t args[1] = { (int64_t)(uintptr_t)&r };
	int status = call_in_passing(m, format_text, args, 1);

	*length = r.length;
	return status == EMU_OK ? r.status : status;
}
