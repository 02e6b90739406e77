// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which lines of the arena have been written since the snapshot that a restore
 * will most likely go back to.
 *
 * In the checked build every store is seen: the emulated kernel's by the hooks
 * of kasan.c, the machine's own by those here.  The compiler is told to
 * instrument the machine's files for the kernel's address sanitizer, stores
 * only, as calls; there is no such run time, these are its entry points.  What
 * that leaves out is marked by hand: this file, kasan.c, snapshot.c and
 * coroutine.c are not instrumented, memmap.c and batch.c are not because they
 * are on the shortest paths, and memcpy() and friends are not by gcc.
 *
 * The plain build sees nothing and restores everything, and so does the build
 * for AddressSanitizer, which no compiler combines with this one.
 */
#include "machine.h"

#undef memset
#undef memcpy
#include <string.h>

#ifdef TRACK_STORES

static inline void stored(unsigned long addr, size_t size)
{
	struct machine *m = current_machine;

	if (likely(m != NULL))
		mark_dirty(m, addr - (unsigned long)m->arena, size);
}

void machine_dirty(const void *p, size_t size)
{
	stored((unsigned long)p, size);
}

#define STORE(n)                                            \
	void __asan_store##n##_noabort(unsigned long addr); \
	void __asan_store##n##_noabort(unsigned long addr)  \
	{                                                   \
		stored(addr, n);                            \
	}

STORE(1)
STORE(2)
STORE(4)
STORE(8)
STORE(16)

void __asan_storeN_noabort(unsigned long addr, size_t size);
void __asan_storeN_noabort(unsigned long addr, size_t size)
{
	if (size)
		stored(addr, size);
}

void __asan_handle_no_return(void);
void __asan_handle_no_return(void)
{
}

/* Clang calls these for memcpy() and friends, gcc leaves them as they are. */
void *__asan_memcpy(void *to, const void *from, size_t n);
void *__asan_memcpy(void *to, const void *from, size_t n)
{
	machine_dirty(to, n);
	return memcpy(to, from, n);
}

void *__asan_memmove(void *to, const void *from, size_t n);
void *__asan_memmove(void *to, const void *from, size_t n)
{
	machine_dirty(to, n);
	return memmove(to, from, n);
}

void *__asan_memset(void *to, int c, size_t n);
void *__asan_memset(void *to, int c, size_t n)
{
	machine_dirty(to, n);
	return memset(to, c, n);
}

#endif
