// SPDX-License-Identifier: GPL-2.0-only
/*
 * Snapshots: everything up to the allocation mark, and the used part of the
 * stacks of tasks that are parked.
 *
 * Where stores are tracked (dirty.c), a restore brings back the lines that
 * were written since; otherwise, and when it goes back to another snapshot
 * than the last one taken or restored, it copies everything.
 */
#include "asan.h"
#include "coroutine.h"
#include "kcsan.h"
#include "lockdep.h"
#include "machine.h"
#include "state_hash.h"

#include <linux/kernel.h>

#include <stdlib.h>
#include <string.h>

/**
 * struct saved_stack - the used part of one parked task's stack
 */
struct saved_stack {
	char *from;
	size_t size;
	size_t offset; /* into snapshot.image */
};

/**
 * struct snapshot - a state to come back to
 * @arena_size: bytes of the arena in @image
 * @shadow_size: bytes of shadow that follow
 * @serial: of the last handle that had been given out
 * @hashes: of its objects
 */
struct snapshot {
	struct snapshot *next;
	long id;
	size_t arena_size;
	size_t shadow_size;
	unsigned long serial;
	struct kept_hashes hashes;
	int nr_stacks;
	struct saved_stack stacks[MAX_TASKS];
	char image[] __aligned(DIRTY_LINE); /* as the arena: a line is copied to a line */
};

static bool is_parked(const struct emu_task *task)
{
	return task->kind != TASK_FREE && (task->run == RUN_BLOCKED || task->run == RUN_READY);
}

/* Words of dirty bits that cover the first @size bytes of the arena. */
static size_t dirty_words(size_t size)
{
	return (size + DIRTY_WORD - 1) / DIRTY_WORD;
}

/* From now on the arena differs from @snap in dirty lines only. */
static void track_from(struct machine *m, struct snapshot *snap)
{
	if (!TRACKS_STORES)
		return;
	memcpy(m->dirty, m->hot, dirty_words(snap->arena_size) * sizeof(*m->dirty));
	m->dirty_size = snap->arena_size;
	m->dirty_since = snap;
}

long snapshot_take(struct machine *m)
{
	struct machine_state *s = m->s;
	size_t arena = s->brk;
	size_t shadow = CHECKED_BUILD ? (arena + 7) / 8 : 0;
	size_t stacks = 0;
	struct snapshot *snap;
	size_t size, offset;
	int i;

	for (i = 0; i < s->nr_tasks; i++)
		if (is_parked(s->tasks[i]))
			stacks += (size_t)(stack_top(m, s->tasks[i]->stack) -
					   (char *)s->tasks[i]->sp);
	size = sizeof(*snap) + arena + shadow + stacks;
	snap = aligned_alloc(DIRTY_LINE, (size + DIRTY_LINE - 1) & ~(DIRTY_LINE - 1));
	if (!snap)
		return -1;
	snap->arena_size = arena;
	snap->shadow_size = shadow;
	snap->serial = m->handle_serial;
	snap->hashes.image = snap->image;
	snap->hashes.end = arena / DIRTY_LINE;
	snap->hashes.nr = 0;
	snap->nr_stacks = 0;
	memcpy(snap->image, m->arena, arena);
	memcpy(snap->image + arena, m->shadow, shadow);
	offset = arena + shadow;
	for (i = 0; i < s->nr_tasks; i++) {
		struct emu_task *task = s->tasks[i];
		struct saved_stack *saved;

		if (!is_parked(task))
			continue;
		saved = &snap->stacks[snap->nr_stacks++];
		saved->from = task->sp;
		saved->size = (size_t)(stack_top(m, task->stack) - saved->from);
		saved->offset = offset;
		asan_forget_frames(saved->from, saved->size);
		memcpy(snap->image + offset, saved->from, saved->size);
		offset += saved->size;
	}
	snap->id = m->snapshots ? m->snapshots->id + 1 : 1;
	snap->next = m->snapshots;
	m->snapshots = snap;
	track_from(m, snap);
	return snap->id;
}

static struct snapshot *snapshot_find(struct machine *m, long id)
{
	struct snapshot *snap = m->snapshots;

	while (snap && snap->id != id)
		snap = snap->next;
	return snap;
}

/* Brings back every line that was written since @snap, and its shadow. */
static void restore_dirty(struct machine *m, const struct snapshot *snap)
{
	/* For all that the compiler knows, copying a line could change these in @m. */
	unsigned long *dirty = m->dirty;
	const unsigned long *hot = m->hot;
	char *arena = m->arena;
	unsigned char *shadow = m->shadow;
	size_t size = snap->arena_size, words = dirty_words(size);

	for (size_t i = 0; i < words; i++) {
		unsigned long bits = dirty[i];

		dirty[i] = hot[i];
		for (; bits; bits &= bits - 1) {
			size_t off = i * DIRTY_WORD + (size_t)__builtin_ctzl(bits) * DIRTY_LINE;

			if (off >= size)
				break;
			memcpy(arena + off, snap->image + off, DIRTY_LINE);
			if (CHECKED_BUILD)
				memcpy(shadow + off / 8, snap->image + size + off / 8,
				       DIRTY_LINE / 8);
		}
	}
}

static void restore_all(struct machine *m, struct snapshot *snap)
{
	memcpy(m->arena, snap->image, snap->arena_size);
	if (CHECKED_BUILD)
		memcpy(m->shadow, snap->image + snap->arena_size, snap->shadow_size);
	track_from(m, snap);
}

int snapshot_restore(struct machine *m, long id)
{
	struct snapshot *snap = snapshot_find(m, id);
	size_t brk = m->s->brk;
	int i;

	if (!snap)
		return -1;
	m->most.brk = max(m->most.brk, brk);
	m->most.log_end = max(m->most.log_end, m->s->log_end);
	m->most.trace_end = max(m->most.trace_end, m->s->trace_end);
	if (TRACKS_STORES && m->dirty_since == snap)
		restore_dirty(m, snap);
	else
		restore_all(m, snap);
	if (CHECKED_BUILD && brk > snap->arena_size)
		memset(m->shadow + snap->shadow_size, SHADOW_NEVER,
		       (brk + 7) / 8 - snap->shadow_size);
	for (i = 0; i < snap->nr_stacks; i++) {
		const struct saved_stack *saved = &snap->stacks[i];

		asan_forget_frames(saved->from, saved->size);
		memcpy(saved->from, snap->image + saved->offset, saved->size);
	}
	m->arena_full = false;
	undo_forget(m);
	kcsan_forget(m);
	lockdep_forget(m);
	return 0;
}

struct kept_hashes *snapshot_hashes(struct machine *m)
{
	return m->dirty_since ? &m->dirty_since->hashes : NULL;
}

unsigned long snapshot_serial(struct machine *m, long id)
{
	return snapshot_find(m, id)->serial;
}

bool snapshot_exists(struct machine *m, long id)
{
	return snapshot_find(m, id) != NULL;
}

/* Stacks are read as bytes, whatever frames lie there. */
static __attribute__((no_sanitize("address"))) uint64_t mix(uint64_t hash, const void *p,
							    size_t words)
{
	const uint64_t *word = p;

	for (size_t i = 0; i < words; i++) {
		hash = (hash ^ word[i]) * 0x9e3779b97f4a7c15UL;
		hash ^= hash >> 29;
	}
	return hash;
}

/*
 * The used part of a parked task's stack.  Functions that switch keep nothing in
 * the red zone that tells states apart: what lies there is left over from
 * whatever they called before.
 */
static uint64_t mix_stack(uint64_t hash, const struct machine *m, const struct emu_task *task)
{
	const char *const frames = (const char *)task->sp + COROUTINE_SAVED + COROUTINE_RED_ZONE;

	hash = mix(hash, task->sp, COROUTINE_SAVED / 8);
	return mix(hash, frames, (size_t)(stack_top(m, task->stack) - frames) / 8);
}

uint64_t snapshot_distance(struct machine *m, long id, uint64_t seed)
{
	const struct snapshot *snap = snapshot_find(m, id);
	const struct machine_state *s = m->s;
	uint64_t hash = seed + 1;
	size_t words = dirty_words(snap->arena_size);

	for (size_t i = 0; i < words; i++) {
		unsigned long bits = TRACKS_STORES ? m->dirty[i] : ~0UL;

		for (; bits; bits &= bits - 1) {
			size_t off = i * DIRTY_WORD + (size_t)__builtin_ctzl(bits) * DIRTY_LINE;

			if (off >= snap->arena_size)
				break;
			if (!memcmp(m->arena + off, snap->image + off, DIRTY_LINE))
				continue;
			hash = mix(hash, &off, 1);
			hash = mix(hash, m->arena + off, DIRTY_LINE / 8);
		}
	}
	if (s->brk > snap->arena_size)
		hash = mix(hash, m->arena + snap->arena_size, (s->brk - snap->arena_size) / 8);
	for (int i = 0; i < s->nr_tasks; i++) {
		const struct emu_task *task = s->tasks[i];

		if (is_parked(task))
			hash = mix_stack(hash, m, task);
	}
	return hash;
}

long snapshot_differs(struct machine *m, long id)
{
	struct snapshot *snap = snapshot_find(m, id);
	const char *shadow;
	size_t i;

	if (!snap)
		return -2;
	for (i = 0; i < snap->arena_size; i++)
		if (m->arena[i] != snap->image[i])
			return (long)i;
	shadow = snap->image + snap->arena_size;
	for (i = 0; i < snap->shadow_size; i++)
		if (m->shadow[i] != (unsigned char)shadow[i])
			return (long)(i * 8);
	return -1;
}

int snapshot_drop(struct machine *m, long id)
{
	struct snapshot **link = &m->snapshots;

	for (; *link; link = &(*link)->next)
		if ((*link)->id == id) {
			struct snapshot *snap = *link;

			*link = snap->next;
			if (m->dirty_since == snap)
				m->dirty_since = NULL;
			free(snap);
			return 0;
		}
	return -1;
}

void snapshot_drop_all(struct machine *m)
{
	while (m->snapshots)
		snapshot_drop(m, m->snapshots->id);
}
