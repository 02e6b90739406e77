/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_BUG_H
#define _LINUX_BUG_H

#include <linux/compiler.h>
#include <linux/printk.h>
#include <linux/types.h>

/**
 * struct bug_site - one WARN or BUG in the source
 * @file: file that holds it
 * @line: its line there; only its order among equal sites of @func counts
 * @func: function that holds it
 * @text: format or stringified condition; with @func the key under which
 *	kernel/bug_table.c lists file and line on the real kernel
 */
struct bug_site {
	const char *file;
	int line;
	const char *func;
	const char *text;
};

#define __BUG_SITE(_text)                                                                       \
	({                                                                                      \
		static const struct bug_site __bug_site = {                                     \
			.file = __FILE__,                                                       \
			.line = __LINE__,                                                       \
			.func = __func__,                                                       \
			.text = _text,                                                          \
		};                                                                              \
		static const struct bug_site *const __bug_entry __used __section("bug_sites") = \
			&__bug_site;                                                            \
		(void)__bug_entry;                                                              \
		&__bug_site;                                                                    \
	})

/**
 * warn_slowpath() - print a warning with or without a message
 * @site: where
 * @fmt: message, or NULL for a bare WARN_ON
 * @...: what it takes
 *
 * Context: any.
 */
void warn_slowpath(const struct bug_site *site, const char *fmt, ...);
void vwarn_slowpath(const struct bug_site *site, const char *fmt, va_list args);
/** bug_slowpath() - print an oops; the current task dies, its locks stay held */
void bug_slowpath(const struct bug_site *site) __attribute__((noreturn));

#define WARN(cond, fmt, ...)                                                \
	({                                                                  \
		bool __warn_ret = !!(cond);                                 \
		if (unlikely(__warn_ret))                                   \
			warn_slowpath(__BUG_SITE(fmt), fmt, ##__VA_ARGS__); \
		unlikely(__warn_ret);                                       \
	})
#define WARN_ON(cond)                                           \
	({                                                      \
		bool __warn_ret = !!(cond);                     \
		if (unlikely(__warn_ret))                       \
			warn_slowpath(__BUG_SITE(#cond), NULL); \
		unlikely(__warn_ret);                           \
	})
#define WARN_ONCE(cond, fmt, ...)                                          \
	({                                                                 \
		bool __warn_ret = !!(cond);                                \
		if (unlikely(__warn_ret)) {                                \
			const struct bug_site *__site = __BUG_SITE(fmt);   \
			if (first_time_here(__site))                       \
				warn_slowpath(__site, fmt, ##__VA_ARGS__); \
		}                                                          \
		unlikely(__warn_ret);                                      \
	})
#define WARN_ON_ONCE(cond)                                                 \
	({                                                                 \
		bool __warn_ret = !!(cond);                                \
		if (unlikely(__warn_ret)) {                                \
			const struct bug_site *__site = __BUG_SITE(#cond); \
			if (first_time_here(__site))                       \
				warn_slowpath(__site, NULL);               \
		}                                                          \
		unlikely(__warn_ret);                                      \
	})
#define BUG_ON(cond)                                     \
	do {                                             \
		if (unlikely(cond))                      \
			bug_slowpath(__BUG_SITE(#cond)); \
	} while (0)
#define BUG() bug_slowpath(__BUG_SITE("BUG()"))

#define BUILD_BUG_ON(cond) _Static_assert(!(cond), #cond)

#endif
