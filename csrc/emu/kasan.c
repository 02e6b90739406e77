// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the checked build's instrumentation calls: every load, store and
 * atomic of the emulated kernel passes here before it happens, and is looked
 * up in the shadow of the heap.
 *
 * The compiler is told to instrument for its thread sanitizer, whose run time
 * is not linked; these are its entry points.  Accesses outside the arena
 * (constants, the machine's own structures) are nobody's object and are not
 * looked at.
 */
#include "kcsan.h"
#include "machine.h"

#include <linux/kernel.h>
#include <linux/string.h>

#undef memset
#undef memcpy
#undef strlen
#undef strchrnul
#undef strcmp
#undef strncmp
#undef snprintf
#undef vsnprintf
#include <string.h>

#ifdef KERNEL_CHECKED

static noinline void kasan_report(struct machine *m, uintptr_t addr, size_t size, bool write,
				  const void *pc, const char *func_name)
{
	struct alloc_header *h = find_object(m, (const void *)addr);
	enum violation_kind kind = VIOLATION_OUT_OF_BOUNDS;
	const char *name = "out-of-bounds";
	char func[64], freer[64];
	const char *freed_in = NULL;

	if (h && h->kind == OBJECT_MACHINE)
		return; /* an accessor's own storage */
	if (h && h->freed) {
		kind = VIOLATION_USE_AFTER_FREE;
		name = "use-after-free";
		freed_in = symbol_name(m, h->free_func, freer, sizeof(freer));
	}
	if (!func_name)
		func_name = symbol_name(m, pc, func, sizeof(func));
	if (!func_name)
		func_name = "?";
	printk_level(LOGLEVEL_ERR, "BUG: KASAN: %s in %s\n", name, func_name);
	printk_level(LOGLEVEL_ERR, "%s of size %lu by task %s/%d\n", write ? "Write" : "Read",
		     (unsigned long)size, current->comm, current->pid);
	if (h) {
		printk_level(LOGLEVEL_ERR, "Allocated by task %u in %s\n", h->task, h->site);
		if (freed_in)
			printk_level(LOGLEVEL_ERR, "Freed by task %u in %s\n", h->free_task,
				     freed_in);
	}
	if (!h)
		report_violation_in(kind, func_name, "%s of size %lu outside every object",
				    write ? "write" : "read", (unsigned long)size);
	else if (freed_in)
		report_violation_in(
			kind, func_name,
			"%s of %lu bytes at +%ld in an object of %lu bytes allocated in "
			"%s() and freed in %s()",
			write ? "write" : "read", (unsigned long)size,
			(long)(addr - (uintptr_t)h - 64), h->size, h->site, freed_in);
	else
		report_violation_in(
			kind, func_name,
			"%s of %lu bytes at +%ld of an object of %lu bytes allocated in "
			"%s()",
			write ? "write" : "read", (unsigned long)size,
			(long)(addr - (uintptr_t)h - 64), h->size, h->site);
	if (unlikely(m->backtraces != NULL))
		stacks_of_object(m, h, EMU_STACK_ACCESS);
}

/* Are the @size bytes at arena offset @off inside one live object (or the machine's)? */
static noinline bool accessible_slowly(const struct machine *m, size_t off, size_t size)
{
	size_t last = off + size - 1;

	for (size_t g = off / 8; g <= last / 8; g++) {
		unsigned char mark = m->shadow[g];

		if (mark == SHADOW_FULL || mark == SHADOW_MACHINE)
			continue;
		if (mark > SHADOW_NEVER && mark < SHADOW_FULL && g == last / 8 && (last & 7) < mark)
			continue;
		return false;
	}
	return true;
}

/* Most accesses are words in the middle of an object. */
static inline bool accessible_word(const struct machine *m, size_t off, size_t size)
{
	return size <= 8 && likely(m->shadow[off / 8] == SHADOW_FULL) &&
	       likely(m->shadow[(off + size - 1) / 8] == SHADOW_FULL);
}

static inline bool accessible(const struct machine *m, size_t off, size_t size)
{
	return accessible_word(m, off, size) || accessible_slowly(m, off, size);
}

/* The running task accesses something: is it going round in circles? */
static inline void count_access(struct machine *m)
{
	/* Until then the task has given way to nobody. */
	if (unlikely(++m->steps == SOFT_LOCKUP_STEPS) && m->running)
		soft_lockup(m);
}

static inline void check_bytes(struct machine *m, const void *addr, size_t size, bool write,
			       const void *pc)
{
	size_t off = (size_t)((uintptr_t)addr - (uintptr_t)m->arena);

	count_access(m);
	if (TRACKS_STORES && write)
		mark_dirty(m, off, size);
	if (off >= m->arena_size || off < sizeof(struct machine_state))
		return;
	if (unlikely(!accessible(m, off, size)))
		kasan_report(m, (uintptr_t)addr, size, write, pc, NULL);
}

static noinline void check_slowly(struct machine *m, const void *addr, size_t size, bool write,
				  const void *pc)
{
	size_t off = (size_t)((uintptr_t)addr - (uintptr_t)m->arena);

	if (!accessible_slowly(m, off, size))
		kasan_report(m, (uintptr_t)addr, size, write, pc, NULL);
	if (m->explorer)
		kcsan_plain(m, addr, size, write, pc);
}

/*
 * check_bytes() and kcsan_plain(), for the accesses that nearly all are: what is
 * called last is jumped to, so that nothing need be kept for afterwards.
 */
static inline void check_access(const void *addr, size_t size, bool write, const void *pc)
{
	struct machine *m = this_machine();
	size_t off;

	if (unlikely(!m))
		return;
	off = (size_t)((uintptr_t)addr - (uintptr_t)m->arena);
	count_access(m);
	if (TRACKS_STORES && write)
		mark_dirty(m, off, size);
	if (off >= m->arena_size)
		return;
	if (off >= sizeof(struct machine_state) && unlikely(!accessible_word(m, off, size)))
		check_slowly(m, addr, size, write, pc);
	else if (unlikely(m->explorer != NULL))
		kcsan_plain(m, addr, size, write, pc);
}

/* Atomic and volatile accesses. */
static inline void check_marked(const volatile void *addr, size_t size, enum kcsan_access kind,
				int order, const void *pc)
{
	struct machine *m = this_machine();

	if (unlikely(!m))
		return;
	check_bytes(m, (const void *)addr, size, kind != KCSAN_LOAD, pc);
	if (unlikely(m->explorer != NULL))
		kcsan_marked(m, (const void *)addr, size, kind, order, pc);
	if (unlikely(m->wipes))
		wipe_stack();
}

void kasan_touch(const void *p, size_t size, bool write, const char *func)
{
	struct machine *m = this_machine();
	size_t off = (size_t)((uintptr_t)p - (uintptr_t)m->arena);

	if (off < m->arena_size && off >= sizeof(struct machine_state) &&
	    unlikely(!accessible(m, off, size)))
		kasan_report(m, (uintptr_t)p, size, write, NULL, func);
}

#define PC __builtin_return_address(0)

/* Atomics and volatile accesses are where another task may come in between. */
static inline void visible(const volatile void *addr, size_t size, bool write)
{
	struct machine *m = this_machine();

	if (unlikely(m && m->explorer) && (uintptr_t)addr - (uintptr_t)m->arena < m->arena_size)
		explore_access(m, (const void *)addr, size, write);
}

static inline void visible_compare(const volatile void *addr, size_t size, uint64_t expected)
{
	struct machine *m = this_machine();

	if (unlikely(m && m->explorer) && (uintptr_t)addr - (uintptr_t)m->arena < m->arena_size)
		explore_compare(m, (const void *)addr, size, expected);
}

#define ACCESS(name, size, write)                    \
	void name(void *addr);                       \
	void name(void *addr)                        \
	{                                            \
		check_access(addr, size, write, PC); \
	}

#define VISIBLE(name, size, write)                                               \
	void name(void *addr);                                                   \
	void name(void *addr)                                                    \
	{                                                                        \
		visible(addr, size, write);                                      \
		check_marked(addr, size, (write) ? KCSAN_STORE : KCSAN_LOAD,     \
			     (write) ? __ATOMIC_RELAXED : __ATOMIC_CONSUME, PC); \
	}

#define ACCESSES(size)                                             \
	ACCESS(__tsan_read##size, size, false)                     \
	ACCESS(__tsan_write##size, size, true)                     \
	ACCESS(__tsan_unaligned_read##size, size, false)           \
	ACCESS(__tsan_unaligned_write##size, size, true)           \
	VISIBLE(__tsan_volatile_read##size, size, false)           \
	VISIBLE(__tsan_volatile_write##size, size, true)           \
	VISIBLE(__tsan_unaligned_volatile_read##size, size, false) \
	VISIBLE(__tsan_unaligned_volatile_write##size, size, true) \
	ACCESS(__tsan_read_write##size, size, true)                \
	ACCESS(__tsan_unaligned_read_write##size, size, true)

ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)

void __tsan_read_range(void *addr, size_t size);
void __tsan_read_range(void *addr, size_t size)
{
	if (size)
		check_access(addr, size, false, PC);
}

void __tsan_write_range(void *addr, size_t size);
void __tsan_write_range(void *addr, size_t size)
{
	if (size)
		check_access(addr, size, true, PC);
}

#define ATOMICS(bits)                                                                       \
	typedef uint##bits##_t a##bits;                                                     \
	a##bits __tsan_atomic##bits##_load(const volatile a##bits *p, int order);           \
	a##bits __tsan_atomic##bits##_load(const volatile a##bits *p, int order)            \
	{                                                                                   \
		visible(p, sizeof(*p), false);                                              \
		check_marked(p, sizeof(*p), KCSAN_LOAD, order, PC);                         \
		return *p;                                                                  \
	}                                                                                   \
	void __tsan_atomic##bits##_store(volatile a##bits *p, a##bits v, int order);        \
	void __tsan_atomic##bits##_store(volatile a##bits *p, a##bits v, int order)         \
	{                                                                                   \
		visible(p, sizeof(*p), true);                                               \
		check_marked(p, sizeof(*p), KCSAN_STORE, order, PC);                        \
		*p = v;                                                                     \
	}                                                                                   \
	RMW(bits, exchange, v)                                                              \
	RMW(bits, fetch_add, (a##bits)(old + v))                                            \
	RMW(bits, fetch_sub, (a##bits)(old - v))                                            \
	RMW(bits, fetch_and, (a##bits)(old & v))                                            \
	RMW(bits, fetch_or, (a##bits)(old | v))                                             \
	RMW(bits, fetch_xor, (a##bits)(old ^ v))                                            \
	RMW(bits, fetch_nand, (a##bits)(~(old & v)))                                        \
	CAS(bits, strong)                                                                   \
	CAS(bits, weak)                                                                     \
	a##bits __tsan_atomic##bits##_compare_exchange_val(volatile a##bits *p, a##bits c,  \
							   a##bits v, int order, int fail); \
	a##bits __tsan_atomic##bits##_compare_exchange_val(volatile a##bits *p, a##bits c,  \
							   a##bits v, int order, int fail)  \
	{                                                                                   \
		a##bits old;                                                                \
                                                                                            \
		(void)fail;                                                                 \
		visible_compare(p, sizeof(*p), c);                                          \
		check_marked(p, sizeof(*p), KCSAN_UPDATE, order, PC);                       \
		old = *p;                                                                   \
		if (old == c)                                                               \
			*p = v;                                                             \
		return old;                                                                 \
	}

#define RMW(bits, name, expression)                                                      \
	a##bits __tsan_atomic##bits##_##name(volatile a##bits *p, a##bits v, int order); \
	a##bits __tsan_atomic##bits##_##name(volatile a##bits *p, a##bits v, int order)  \
	{                                                                                \
		a##bits old;                                                             \
                                                                                         \
		visible(p, sizeof(*p), true);                                            \
		check_marked(p, sizeof(*p), KCSAN_UPDATE, order, PC);                    \
		old = *p;                                                                \
		*p = (expression);                                                       \
		return old;                                                              \
	}

#define CAS(bits, name)                                                                    \
	int __tsan_atomic##bits##_compare_exchange_##name(volatile a##bits *p, a##bits *c, \
							  a##bits v, int order, int fail); \
	int __tsan_atomic##bits##_compare_exchange_##name(volatile a##bits *p, a##bits *c, \
							  a##bits v, int order, int fail)  \
	{                                                                                  \
		(void)fail;                                                                \
		visible_compare(p, sizeof(*p), *c);                                        \
		check_marked(p, sizeof(*p), KCSAN_UPDATE, order, PC);                      \
		if (*p == *c) {                                                            \
			*p = v;                                                            \
			return 1;                                                          \
		}                                                                          \
		*c = *p;                                                                   \
		return 0;                                                                  \
	}

ATOMICS(8)
ATOMICS(16)
ATOMICS(32)
ATOMICS(64)

void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_thread_fence(int order)
{
	struct machine *m = this_machine();

	(void)order;
	if (unlikely(m && m->explorer))
		kcsan_fence(m);
}

void __tsan_atomic_signal_fence(int order);
void __tsan_atomic_signal_fence(int order)
{
	(void)order;
}

void __tsan_func_entry(void *caller);
void __tsan_func_entry(void *caller)
{
	struct machine *m = this_machine();

	(void)caller;
	/* Constructors run, and tables of facts are read, while there is no machine. */
	if (likely(m != NULL))
		trace_event(m, EVENT_FUNC, (uint64_t)(uintptr_t)PC, 0);
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
}

void __tsan_init(void);
void __tsan_init(void)
{
}

#else

void kasan_touch(const void *p, size_t size, bool write, const char *func)
{
	(void)p;
	(void)size;
	(void)write;
	(void)func;
}

static inline void check_access(const void *addr, size_t size, bool write, const void *pc)
{
	(void)pc;
	if (write)
		machine_dirty(addr, size);
}

#endif

void noinline wipe_stack(void)
{
	char below[1024];

	memset(below, 0, sizeof(below));
	__asm__ volatile("" : : "r"(below) : "memory");
}

void *kernel_memset(void *dst, int c, size_t n)
{
	if (n)
		check_access(dst, n, true, __builtin_return_address(0));
	return memset(dst, c, n);
}

void *kernel_memcpy(void *dst, const void *src, size_t n)
{
	if (n) {
		check_access(src, n, false, __builtin_return_address(0));
		check_access(dst, n, true, __builtin_return_address(0));
	}
	return memcpy(dst, src, n);
}

size_t kernel_strlen(const char *s)
{
	size_t n = strlen(s);

	check_access(s, n + 1, false, __builtin_return_address(0));
	return n;
}

char *kernel_strchrnul(const char *s, int c)
{
	const char *end = strchr(s, c);

	if (!end)
		end = s + strlen(s);
	check_access(s, (size_t)(end - s) + 1, false, __builtin_return_address(0));
	return (char *)(uintptr_t)end;
}

int kernel_strcmp(const char *a, const char *b)
{
	return strcmp(a, b);
}

int kernel_strncmp(const char *a, const char *b, size_t n)
{
	return strncmp(a, b, n);
}
