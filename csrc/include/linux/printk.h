/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_PRINTK_H
#define _LINUX_PRINTK_H

#include <linux/types.h>

#define LOGLEVEL_EMERG 0
#define LOGLEVEL_ALERT 1
#define LOGLEVEL_CRIT 2
#define LOGLEVEL_ERR 3
#define LOGLEVEL_WARNING 4
#define LOGLEVEL_NOTICE 5
#define LOGLEVEL_INFO 6
#define LOGLEVEL_DEBUG 7
#define LOGLEVEL_DEFAULT LOGLEVEL_WARNING

/**
 * printk_level() - append to the kernel log
 * @level: LOGLEVEL_*
 * @fmt: kernel format (lib/vsprintf.c); text up to a newline is one record, a
 *	text that does not end in one is completed by the next record
 * @...: what it takes
 *
 * Context: any.
 */
void printk_level(int level, const char *fmt, ...);
void vprintk_level(int level, const char *fmt, va_list args);

#define printk(fmt, ...) printk_level(LOGLEVEL_DEFAULT, fmt, ##__VA_ARGS__)
#define pr_crit(fmt, ...) printk_level(LOGLEVEL_CRIT, fmt, ##__VA_ARGS__)
#define pr_err(fmt, ...) printk_level(LOGLEVEL_ERR, fmt, ##__VA_ARGS__)
#define pr_warn(fmt, ...) printk_level(LOGLEVEL_WARNING, fmt, ##__VA_ARGS__)
#define pr_info(fmt, ...) printk_level(LOGLEVEL_INFO, fmt, ##__VA_ARGS__)
#define pr_debug(fmt, ...) printk_level(LOGLEVEL_DEBUG, fmt, ##__VA_ARGS__)

/* "Once" is once per machine and call site, remembered by the machine. */
#define __pr_once(level, fmt, ...)                               \
	do {                                                     \
		static const char __once_site;                   \
		if (first_time_here(&__once_site))               \
			printk_level(level, fmt, ##__VA_ARGS__); \
	} while (0)
#define pr_err_once(fmt, ...) __pr_once(LOGLEVEL_ERR, fmt, ##__VA_ARGS__)
#define pr_warn_once(fmt, ...) __pr_once(LOGLEVEL_WARNING, fmt, ##__VA_ARGS__)

/**
 * first_time_here() - has this call site not been passed before?
 * @site: any object whose address stands for the call site
 *
 * Return: true the first time since the machine was made (or its once-flags
 * were cleared), false afterwards.
 */
bool first_time_here(const void *site);

#endif
