/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_COMPILER_H
#define _LINUX_COMPILER_H

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define __must_check __attribute__((warn_unused_result))
#define __maybe_unused __attribute__((unused))
#define __used __attribute__((used))
#define __printf(a, b) __attribute__((format(printf, a, b)))
#define __section(name) __attribute__((section(name)))
#define __aligned(x) __attribute__((aligned(x)))
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define noinline __attribute__((noinline))
#define __percpu
#define __init
#define __rcu
#define __force
#define __iomem

#define barrier() __asm__ __volatile__("" : : : "memory")

/*
 * Volatile accesses are the scheduler's business: the checked build tells
 * them apart from plain ones, which are checked but never scheduling points.
 */
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

/*
 * Adding and storing where only this CPU or this task writes.  Like the per-CPU
 * operations of a real kernel they are single instructions where that makes them
 * faster: where the compiler would otherwise make a call of the store.
 */
#if defined(__x86_64__) && defined(TRACK_STORES) && !defined(KERNEL_CHECKED)
#define raw_cpu_add(var, n)                                                                      \
	do {                                                                                     \
		if (sizeof(var) == 8)                                                            \
			__asm__("addq %1, %0" : "+m"(var) : "re"((__typeof__(var))(n)) : "cc");  \
		else                                                                             \
			__asm__("addl %k1, %0" : "+m"(var) : "re"((__typeof__(var))(n)) : "cc"); \
	} while (0)
#define raw_cpu_store(var, v) __asm__("mov %1, %0" : "=m"(var) : "r"((__typeof__(var))(v)))
#else
#define raw_cpu_add(var, n) ((void)((var) += (__typeof__(var))(n)))
#define raw_cpu_store(var, v) ((void)((var) = (v)))
#endif

#define smp_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define smp_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define smp_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)

#endif
