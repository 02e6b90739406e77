// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which lines of the arena have been written since the snapshot that a restore
 * will most likely go back to.
 *
 * The compiler is told to instrument for the kernel's address sanitizer, stores
 * only, as calls; there is no such run time, these are its entry points.  So it
 * does the machine's files, and in the plain build the emulated kernel's; in the
 * checked build the hooks of kasan.c see those.  What that leaves out is marked by
 * hand: this file, kasan.c, snapshot.c and coroutine.c are not instrumented,
 * memmap.c and batch.c are not because they are on the shortest paths, and
 * memcpy() and friends are not by gcc.
 *
 * The plain build does not even want to pay for a mark where counts go up and
 * down all the time.  What a task counts of its own (raw_cpu_add()) is marked
 * when it is switched to; per-CPU counters and the page that was touched last
 * are hot: restored whether they were written or not.
 *
 * The build for AddressSanitizer, which no compiler combines with this one,
 * sees nothing and restores everything.
 */
#include "machine.h"

#undef memset
#undef memcpy
#include <string.h>

#ifdef TRACK_STORES

static noinline void stored_first(struct machine *m, size_t off, size_t size)
{
	const bool wipes = m->wipes;

	/* Once is enough, and called last, so jumped to: nothing tells whether this was called. */
	m->wipes = false;
	mark_dirty(m, off, size);
	m->wipes = wipes;
	if (CHECKED_BUILD && unlikely(wipes))
		wipe_stack();
}

/*
 * Nearly all stores are to one line, which has been marked; so that these need no registers to be
 * saved, what the others need is jumped to.
 */
static inline void stored(unsigned long addr, size_t size)
{
	struct machine *m = current_machine;
	size_t off, line;

	if (unlikely(m == NULL))
		return;
	off = addr - (unsigned long)m->arena;
	line = off / DIRTY_LINE;
	if (likely(off < m->dirty_size) && likely(off % DIRTY_LINE + size <= DIRTY_LINE)) {
		if (CHECKED_BUILD && m->undo) {
			/* What has been kept since the last mark has been marked, too. */
			if (likely(m->undo->saved[line] == m->undo->epoch))
				return;
		} else {
			m->dirty[line / BITS_PER_LONG] |= 1UL << (line % BITS_PER_LONG);
			return;
		}
	} else if (off >= m->dirty_size && !(CHECKED_BUILD && m->undo)) {
		return;
	}
	stored_first(m, off, size);
}

void machine_dirty(const void *p, size_t size)
{
	stored((unsigned long)p, size);
}

void machine_hot(struct machine *m, const void *p, size_t size)
{
	size_t off = (size_t)((const char *)p - m->arena);

	if (CHECKED_BUILD)
		return; /* there every store is seen */
	for (size_t line = off / DIRTY_LINE; line <= (off + size - 1) / DIRTY_LINE; line++)
		m->hot[line / BITS_PER_LONG] |= 1UL << (line % BITS_PER_LONG);
	mark_dirty(m, off, size);
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

/* Clang calls this for arguments that are structures, whatever it is told. */
void __asan_loadN_noabort(unsigned long addr, size_t size);
void __asan_loadN_noabort(unsigned long addr, size_t size)
{
	(void)addr;
	(void)size;
}

/* Clang: each file begins with this. */
void __asan_init(void);
void __asan_init(void)
{
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
