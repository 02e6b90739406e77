// SPDX-License-Identifier: GPL-2.0-only
/*
 * The heap of a machine: a bump allocator.
 *
 * Freed memory is not used again before the machine is reset, so that every
 * use after free meets memory that is still marked as freed.  Each object is
 * preceded by its header, which serves as the left redzone; the slack up to
 * the next header, at least 16 bytes, is the right one.  Objects start on 64
 * bytes: the radix tree tells child nodes from siblings by it.
 */
#include "kcsan.h"
#include "machine.h"

#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/string.h>

#undef memset
#undef memcpy
#undef strlen
#include <string.h>

#define MIN_REDZONE 16UL
#define HEADER_SIZE 64UL
/* What kmalloc() memory holds before it is written: always the same. */
#define UNINITIALISED_BYTE 0xa5

_Static_assert(sizeof(struct alloc_header) <= HEADER_SIZE, "header outgrew its place");

static void set_shadow(struct machine *m, const void *start, size_t size, unsigned char mark)
{
	size_t off;

	if (!CHECKED_BUILD)
		return;
	off = (size_t)((const char *)start - m->arena);
	/* A line and its shadow go together. */
	if (TRACKS_STORES && size)
		mark_dirty(m, off, size);
	memset(m->shadow + off / 8, mark, size / 8);
}

static struct alloc_header *heap_take(struct machine *m, size_t size, size_t redzone)
{
	struct machine_state *s = m->s;
	size_t span = (HEADER_SIZE + size + redzone + 63) & ~63UL;
	struct alloc_header *h;

	if (size > m->arena_size || s->brk + span > m->arena_size || span > 0xffffffffUL) {
		if (m->running)
			arena_exhausted(m);
		/* The host's stack has no call to end: it is told. */
		m->arena_full = true;
		return NULL;
	}
	h = (struct alloc_header *)(m->arena + s->brk);
	s->brk += span;
	/* Equal states look equal, whatever was here in an execution that was taken back. */
	*h = (struct alloc_header){
		.magic = ALLOC_MAGIC,
		.size = size,
		.span = (u32)span,
		.serial = (u32)++s->serial,
	};
	if (CHECKED_BUILD)
		memset((char *)h + HEADER_SIZE + size, 0, span - HEADER_SIZE - size);
	return h;
}

void *machine_alloc(struct machine *m, size_t size)
{
	struct alloc_header *h = heap_take(m, size, 0);
	void *p = (char *)h + HEADER_SIZE;

	if (!h)
		return NULL;
	h->kind = OBJECT_MACHINE;
	h->site = "machine";
	h->owner = NULL;
	h->task = 0;
	memset(p, 0, size);
	set_shadow(m, h, h->span, SHADOW_MACHINE);
	return p;
}

void machine_free(struct machine *m, void *p)
{
	struct alloc_header *h;

	(void)m;
	if (!p)
		return;
	h = (struct alloc_header *)((char *)p - HEADER_SIZE);
	h->freed = 1;
}

void *kernel_alloc(struct machine *m, size_t size, enum object_kind kind, const char *site)
{
	struct alloc_header *h = heap_take(m, size, MIN_REDZONE);
	char *p = (char *)h + HEADER_SIZE;
	size_t full = size & ~7UL;

	h->kind = (u8)kind;
	h->site = site;
	h->owner = m->running ? m->running->owner : NULL;
	h->task = m->running ? (u32)m->running->t.pid : 0;
	m->s->live_objects++;
	m->s->live_bytes += size;
	set_shadow(m, h, HEADER_SIZE, SHADOW_REDZONE);
	set_shadow(m, p, full, SHADOW_FULL);
	set_shadow(m, p + full, h->span - HEADER_SIZE - full, SHADOW_REDZONE);
	if (CHECKED_BUILD && (size & 7))
		m->shadow[(size_t)(p + full - m->arena) / 8] = (unsigned char)(size & 7);
	if (unlikely(m->backtraces != NULL))
		stacks_keep(m, p, EMU_STACK_ALLOCATION);
	trace_event(m, EVENT_ALLOC, (uint64_t)(p - m->arena), (uint64_t)(uintptr_t)site);
	return p;
}

struct alloc_header *first_object(struct machine *m)
{
	size_t start = (sizeof(struct machine_state) + 63) & ~63UL;

	return start < m->s->brk ? (struct alloc_header *)(m->arena + start) : NULL;
}

struct alloc_header *next_object(struct machine *m, struct alloc_header *h)
{
	char *next = (char *)h + h->span;

	return next < m->arena + m->s->brk ? (struct alloc_header *)next : NULL;
}

/* Slow: walks the heap. For reports only. */
struct alloc_header *find_object(struct machine *m, const void *addr)
{
	struct alloc_header *h;

	for (h = first_object(m); h; h = next_object(m, h))
		if ((const char *)addr < (const char *)h + h->span)
			return (const char *)addr >= (const char *)h ? h : NULL;
	return NULL;
}

void *kmalloc_caller(size_t size, gfp_t gfp, const char *caller)
{
	struct machine *m = this_machine();
	void *p;

	might_sleep_if(gfp & __GFP_DIRECT_RECLAIM);
	if (fault_here(m, caller, true))
		return NULL;
	if (size > m->arena_size)
		return NULL; /* larger than any machine's memory: the allocator refuses */
	p = kernel_alloc(m, size ? size : 1, OBJECT_KERNEL, caller);
	memset(p, gfp & __GFP_ZERO ? 0 : UNINITIALISED_BYTE, size);
	return p;
}

void *kcalloc_caller(size_t n, size_t size, gfp_t gfp, const char *caller)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		return NULL;
	return kmalloc_caller(bytes, gfp, caller);
}

char *kstrdup_caller(const char *s, gfp_t gfp, const char *caller)
{
	size_t len;
	char *p;

	if (!s)
		return NULL;
	len = strlen(s) + 1;
	p = kmalloc_caller(len, gfp, caller);
	if (p)
		memcpy(p, s, len);
	return p;
}

static void object_free(const void *p, const void *pc)
{
	struct machine *m = this_machine();
	struct alloc_header *h = (struct alloc_header *)((const char *)p - HEADER_SIZE);
	const char *heap = (const char *)first_object(m);

	if (!heap || (const char *)h < heap || (const char *)h >= m->arena + m->s->brk ||
	    ((uintptr_t)p & 63) || h->magic != ALLOC_MAGIC || h->kind == OBJECT_MACHINE) {
		report_violation_at(VIOLATION_DOUBLE_FREE, pc,
				    "invalid free: not the start of an object");
		return;
	}
	if (unlikely(m->explorer != NULL)) {
		explore_free(m, p, h->size);
		kcsan_object_free(m, p, h->size, pc);
	}
	if (h->freed) {
		report_violation_at(VIOLATION_DOUBLE_FREE, pc,
				    "double free of an object of %lu bytes allocated in %s()",
				    h->size, h->site);
		if (unlikely(m->backtraces != NULL))
			stacks_of_object(m, h, EMU_STACK_SECOND_FREE);
		return;
	}
	if (unlikely(m->backtraces != NULL))
		stacks_keep(m, p, EMU_STACK_FREE);
	h->freed = 1;
	h->free_func = pc;
	h->free_task = m->running ? (u32)m->running->t.pid : 0;
	m->s->live_objects--;
	m->s->live_bytes -= h->size;
	set_shadow(m, p, h->span - HEADER_SIZE, SHADOW_FREED);
	trace_event(m, EVENT_FREE, (uint64_t)((const char *)p - m->arena),
		    (uint64_t)(uintptr_t)h->site);
}

void kfree(const void *p)
{
	if (!p || p == ZERO_SIZE_PTR)
		return;
	object_free(p, __builtin_return_address(0));
}

void *alloc_percpu_caller(size_t size, gfp_t gfp, const char *caller)
{
	struct machine *m = this_machine();
	size_t bytes = size * (size_t)m->s->kernel.config.cpus;
	void *p;

	might_sleep_if(gfp & __GFP_DIRECT_RECLAIM);
	if (fault_here(m, caller, false))
		return NULL;
	p = kernel_alloc(m, bytes, OBJECT_PERCPU, caller);
	memset(p, 0, bytes);
	machine_hot(m, p, bytes);
	return p;
}

void free_percpu(void *p)
{
	if (p)
		object_free(p, __builtin_return_address(0));
}

unsigned long reserve_pages_caller(unsigned long n, const char *caller)
{
	return fault_among(this_machine(), caller, n, false);
}
