// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hash of a state: that of the kernel's objects.
 */
#include "state_hash.h"
#include "api.h"

#include <linux/kernel.h>

/* This module, as the linker calls it: functions and constants that objects point to. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));

/*
 * An address as what it is relative to the machine's arena, its stacks or this
 * module.  Stacks lie below the arena: what is less than @least, which is the
 * lower one of both and this module, is no address.
 */
static inline uint64_t __untracked relative(const struct machine *m, uint64_t v, uint64_t least)
{
	if (likely(v < least))
		return v;

	uint64_t in_arena = v - (uint64_t)(uintptr_t)m->arena;
	uint64_t in_stacks = (uint64_t)(uintptr_t)m->stacks - v; /* their upper end */
	uint64_t in_module = v - (uint64_t)(uintptr_t)__ehdr_start;

	if (in_arena < m->arena_size)
		return in_arena;
	if (in_module < (uint64_t)(_end - __ehdr_start))
		return in_module;
	return in_stacks < MAX_TASKS * (TASK_STACK_SIZE + TASK_STACK_GUARD) ? in_stacks : v;
}

/*
 * FNV-1a over 64-bit words, in four lanes that do not wait for each other:
 * equal states, equal hashes; the rest is luck.
 */
static uint64_t __untracked hash_words(const struct machine *m, uint64_t hash, const void *data,
				       size_t size)
{
	const uint64_t prime = 0x100000001b3UL;
	const uint64_t *p = data, *end = p + size / 8;
	/* One lane carries what came before: in two it would cancel out where they are joined. */
	uint64_t a = hash, b = 0x6c62272e07bb0142UL, c = 0x62b821756295c58dUL, d = prime;
	const uint64_t least = min((uint64_t)(uintptr_t)stack_bottom(m, MAX_TASKS - 1),
				   (uint64_t)(uintptr_t)__ehdr_start);

	for (; end - p >= 4; p += 4) {
		a = (a ^ relative(m, p[0], least)) * prime;
		b = (b ^ relative(m, p[1], least)) * prime;
		c = (c ^ relative(m, p[2], least)) * prime;
		d = (d ^ relative(m, p[3], least)) * prime;
	}
	for (; p < end; p++)
		a = (a ^ relative(m, *p, least)) * prime;
	return (((((a ^ b) * prime) ^ c) * prime) ^ d) * prime;
}

/* Does it hold what it held when the snapshot was taken? */
static bool is_unwritten(const struct machine *m, const struct alloc_header *h, size_t size)
{
	const size_t first = (size_t)((const char *)h + sizeof(*h) - m->arena) / DIRTY_LINE;
	const size_t last = first + (size + DIRTY_LINE - 1) / DIRTY_LINE;

	for (size_t line = first; line < last; line++)
		if (m->dirty[line / BITS_PER_LONG] & 1UL << (line % BITS_PER_LONG))
			return false;
	return true;
}

/* Of the object numbered @n: what it held is hashed once. */
static uint64_t hash_object(const struct machine *m, const struct alloc_header *h, size_t n,
			    struct kept_hashes *kept)
{
	const uint64_t basis = 0xcbf29ce484222325UL;
	const void *object = h + 1;

	if (!kept || n >= KEPT_OBJECTS || (size_t)((const char *)h - m->arena) >= kept->end ||
	    !is_unwritten(m, h, h->size))
		return hash_words(m, basis, object, h->size);
	if (!kept->known[n]) {
		kept->hash[n] = hash_words(m, basis, object, h->size);
		kept->known[n] = true;
	}
	return kept->hash[n];
}

uint64_t state_hash(struct machine *m)
{
	struct kept_hashes *kept = snapshot_hashes(m);
	uint64_t hash = 0xcbf29ce484222325UL;
	struct run_map *maps[MEMMAP_NR_MAPS];
	size_t n = 0;

	memmap_maps(&m->s->memmap, maps);
	for (int i = 0; i < MEMMAP_NR_MAPS; i++)
		for (unsigned long r = 0; r < maps[i]->nr; r++)
			hash = hash_words(m, hash, &maps[i]->runs[r], sizeof(maps[i]->runs[r]));
	for (struct alloc_header *h = first_object(m); h; h = next_object(m, h), n++)
		if (!h->freed && h->kind != OBJECT_MACHINE)
			hash = (hash ^ hash_object(m, h, n, kept)) * 0x9e3779b97f4a7c15UL;
	return hash;
}

/*
 * The kernel's objects, addresses made relative (a task may leave some of its
 * stack behind), so that two machines in equal states agree.
 */
int emu_state_hash(emu_machine *m, uint64_t *out)
{
	struct entry saved;
	int status = machine_look(m, &saved);

	if (status != EMU_OK)
		return status;
	*out = state_hash(m);
	machine_look_away(m, &saved);
	return EMU_OK;
}
