/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_ATOMIC_H
#define _LINUX_ATOMIC_H

#include <linux/types.h>

/*
 * The compiler's atomics: one instruction in the plain build, a call into the
 * machine in the checked one.  Sequentially consistent, as x86 is for locked
 * operations and as the machine's memory model is throughout.
 */
#define __ATOMIC_OPS(type, prefix, word)                                                           \
	static inline word prefix##_read(const type *v)                                            \
	{                                                                                          \
		return READ_ONCE(v->counter);                                                      \
	}                                                                                          \
	static inline void prefix##_set(type *v, word i)                                           \
	{                                                                                          \
		WRITE_ONCE(v->counter, i);                                                         \
	}                                                                                          \
	static inline word prefix##_add_return(word i, type *v)                                    \
	{                                                                                          \
		return __atomic_add_fetch(&v->counter, i, __ATOMIC_SEQ_CST);                       \
	}                                                                                          \
	static inline word prefix##_sub_return(word i, type *v)                                    \
	{                                                                                          \
		return __atomic_sub_fetch(&v->counter, i, __ATOMIC_SEQ_CST);                       \
	}                                                                                          \
	static inline void prefix##_add(word i, type *v)                                           \
	{                                                                                          \
		(void)prefix##_add_return(i, v);                                                   \
	}                                                                                          \
	static inline void prefix##_sub(word i, type *v)                                           \
	{                                                                                          \
		(void)prefix##_sub_return(i, v);                                                   \
	}                                                                                          \
	static inline void prefix##_inc(type *v)                                                   \
	{                                                                                          \
		prefix##_add(1, v);                                                                \
	}                                                                                          \
	static inline void prefix##_dec(type *v)                                                   \
	{                                                                                          \
		prefix##_sub(1, v);                                                                \
	}                                                                                          \
	static inline word prefix##_inc_return(type *v)                                            \
	{                                                                                          \
		return prefix##_add_return(1, v);                                                  \
	}                                                                                          \
	static inline word prefix##_dec_return(type *v)                                            \
	{                                                                                          \
		return prefix##_sub_return(1, v);                                                  \
	}                                                                                          \
	static inline bool prefix##_sub_and_test(word i, type *v)                                  \
	{                                                                                          \
		return prefix##_sub_return(i, v) == 0;                                             \
	}                                                                                          \
	static inline bool prefix##_dec_and_test(type *v)                                          \
	{                                                                                          \
		return prefix##_sub_and_test(1, v);                                                \
	}                                                                                          \
	static inline bool prefix##_inc_not_zero(type *v)                                          \
	{                                                                                          \
		word old = prefix##_read(v);                                                       \
                                                                                                   \
		while (old)                                                                        \
			if (__atomic_compare_exchange_n(&v->counter, &old, old + 1, false,         \
							__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))       \
				return true;                                                       \
		return false;                                                                      \
	}                                                                                          \
	static inline bool prefix##_try_cmpxchg(type *v, word *old, word new)                      \
	{                                                                                          \
		return __atomic_compare_exchange_n(&v->counter, old, new, false, __ATOMIC_SEQ_CST, \
						   __ATOMIC_SEQ_CST);                              \
	}

__ATOMIC_OPS(atomic_t, atomic, int)
__ATOMIC_OPS(atomic_long_t, atomic_long, long)

#define ATOMIC_INIT(i)         \
	{                      \
		.counter = (i) \
	}
#define ATOMIC_LONG_INIT(i)    \
	{                      \
		.counter = (i) \
	}

#endif
