// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hash of a state: that of the kernel's objects.
 */
#include "state_hash.h"
#include "api.h"

#include <linux/kernel.h>

#undef memset
#include <string.h>

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

/* What the object numbered @n adds to the hash of a state. */
static uint64_t hash_object(const struct machine *m, const struct alloc_header *h, size_t n)
{
	const uint64_t basis = 0xcbf29ce484222325UL;

	if (h->freed || h->kind == OBJECT_MACHINE)
		return 0;
	return mix_word(n, hash_words(m, basis, h + 1, h->size));
}

/* Where an object begins; NULL: behind the last one. */
static struct alloc_header *header_in(const struct machine *m, size_t line)
{
	const size_t off = line * DIRTY_LINE;

	return off < m->s->brk ? (struct alloc_header *)(void *)(m->arena + off) : NULL;
}

static void hash_image(struct machine *m, struct kept_hashes *kept)
{
	size_t line = (size_t)((const char *)first_object(m) - m->arena) / DIRTY_LINE;

	kept->sum = 0;
	memset(kept->hashed, 0, sizeof(kept->hashed));
	while (kept->nr < KEPT_OBJECTS && line < kept->end) {
		const void *at = kept->image + line * DIRTY_LINE;
		const struct alloc_header *h = at;
		const size_t next = line + h->span / DIRTY_LINE;
		const uint64_t hash = hash_object(m, h, kept->nr);

		if (next > KEPT_LINES)
			break;
		kept->line[kept->nr] = (uint32_t)line;
		kept->hash[kept->nr] = hash;
		kept->sum += hash;
		for (; line < next; line++) {
			kept->object[line] = (uint8_t)kept->nr;
			/* What is freed, or the machine's own, stays so. */
			if (hash)
				kept->hashed[line / BITS_PER_LONG] |= 1UL << line % BITS_PER_LONG;
		}
		kept->nr++;
	}
	kept->line[kept->nr] = (uint32_t)line;
}

/* What has become of the sum by objects that have been written. */
static uint64_t sum_now(const struct machine *m, const struct kept_hashes *kept)
{
	const size_t words = (kept->line[kept->nr] + BITS_PER_LONG - 1) / BITS_PER_LONG;
	uint64_t sum = kept->sum;
	size_t behind = 0; /* the last object that has been looked at */

	for (size_t i = kept->line[0] / BITS_PER_LONG; i < words; i++) {
		unsigned long written = m->dirty[i] & kept->hashed[i];

		for (; written; written &= written - 1) {
			const size_t line = i * BITS_PER_LONG + (size_t)__builtin_ctzl(written);
			unsigned int n;

			if (line < behind)
				continue;
			n = kept->object[line];
			behind = kept->line[n + 1];
			sum -= kept->hash[n];
			sum += hash_object(m, header_in(m, kept->line[n]), n);
		}
	}
	return sum;
}

uint64_t state_hash(struct machine *m)
{
	struct kept_hashes *kept = snapshot_hashes(m);
	uint64_t hash = 0xcbf29ce484222325UL, sum = 0;
	struct alloc_header *h = first_object(m);
	struct run_map *maps[MEMMAP_NR_MAPS];
	size_t n = 0;

	memmap_maps(&m->s->memmap, maps);
	for (int i = 0; i < MEMMAP_NR_MAPS; i++)
		for (unsigned long r = 0; r < maps[i]->nr; r++)
			hash = hash_words(m, hash, &maps[i]->runs[r], sizeof(maps[i]->runs[r]));
	if (kept && h) {
		if (!kept->nr)
			hash_image(m, kept);
		sum = sum_now(m, kept);
		n = kept->nr;
		h = header_in(m, kept->line[n]);
	}
	/* Those that are younger. */
	for (; h; h = next_object(m, h), n++)
		sum += hash_object(m, h, n);
	return mix_word(hash, sum);
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
