/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_KERNEL_H
#define _LINUX_KERNEL_H

#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/printk.h>
#include <linux/types.h>
#include <limits.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BITS_PER_LONG 64
#define BIT(n) (1UL << (n))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define __ALIGN_MASK(x, mask) (((x) + (mask)) & ~(mask))
/* @a must be a power of two. */
#define ALIGN(x, a) __ALIGN_MASK(x, (__typeof__(x))(a)-1)
#define ALIGN_DOWN(x, a) ((x) & ~((__typeof__(x))(a)-1))
#define IS_ALIGNED(x, a) (((x) & ((__typeof__(x))(a)-1)) == 0)
#define round_up(x, y) ALIGN(x, y)
#define round_down(x, y) ALIGN_DOWN(x, y)
#define DIV_ROUND_UP(n, d) (((n) + (d)-1) / (d))

#define min(a, b)                                      \
	({                                             \
		__typeof__(a) __min_a = (a);           \
		__typeof__(b) __min_b = (b);           \
		__min_a < __min_b ? __min_a : __min_b; \
	})
#define max(a, b)                                      \
	({                                             \
		__typeof__(a) __max_a = (a);           \
		__typeof__(b) __max_b = (b);           \
		__max_a > __max_b ? __max_a : __max_b; \
	})
#define min_t(type, a, b) min((type)(a), (type)(b))
#define max_t(type, a, b) max((type)(a), (type)(b))

/**
 * might_sleep() - say that the caller may sleep here
 *
 * Where it must not, prints "BUG: sleeping function called from invalid
 * context" (CONFIG_DEBUG_ATOMIC_SLEEP) and carries on.
 */
#define might_sleep() __might_sleep(__FILE__, __LINE__, __func__)
#define might_sleep_if(cond)           \
	do {                           \
		if (cond)              \
			might_sleep(); \
	} while (0)
void __might_sleep(const char *file, int line, const char *func);

/* ---- kernel/panic.c ---- */

#define TAINT_PROPRIETARY_MODULE 0
#define TAINT_FORCED_MODULE 1
#define TAINT_DIE 7
#define TAINT_WARN 9
#define TAINT_OOT_MODULE 12
#define TAINT_UNSIGNED_MODULE 13
#define TAINT_FLAGS_COUNT 18

enum lockdep_ok {
	LOCKDEP_STILL_OK,
	LOCKDEP_NOW_UNRELIABLE,
};

void panic_init(void);
void add_taint(unsigned int flag, enum lockdep_ok lockdep_ok);
bool test_taint(unsigned int flag);
unsigned long get_taint(void);
size_t print_tainted(char *buf, size_t size);

/* Implemented in lib/vsprintf.c: the kernel's own formats, %pR and %pf included. */
int vsnprintf_kernel(char *buf, size_t size, const char *fmt, va_list args);
int snprintf_kernel(char *buf, size_t size, const char *fmt, ...);
#define vsnprintf vsnprintf_kernel
#define snprintf snprintf_kernel

#endif
