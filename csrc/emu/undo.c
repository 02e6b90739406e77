// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking steps back.
 *
 * A search that goes back to an earlier step of an execution need not start
 * the execution anew if what was written since is still known.  The hooks that
 * tell which lines have been written (dirty.c) come before the store, so the
 * first one that meets a line since the last mark keeps what was there, with
 * its shadow.  Watchers and the explorer keep what they change in tables of
 * their own; the stack of a task is kept before the task runs.
 *
 * Where stores are not seen there is nothing to take back with, and every
 * execution starts from the snapshot.
 */
#include "undo.h"
#include "machine.h"

#undef memset
#undef memcpy
#include <stdlib.h>
#include <string.h>

/* An execution whose records take more than this is repeated from its start. */
#define MAX_LOG (64UL << 20)
#define FIRST_LOG (256UL << 10)

/**
 * struct record - stands behind the bytes that it is about, so that the last one is found
 * @p: where they were
 * @size: how many, rounded up to 8 in the log; 0: a line of the arena and its shadow
 */
struct record {
	char *p;
	size_t size;
};

#define LINE_BYTES (DIRTY_LINE + DIRTY_LINE / 8)

static size_t bitmap_bytes(const struct machine *m)
{
	return (m->arena_size / DIRTY_LINE / 8 & ~7UL) + 8;
}

bool undo_begin(struct machine *m)
{
	struct undo *u;

	if (!TRACKS_STORES)
		return true;
	u = calloc(1, sizeof(*u));
	if (!u)
		return false;
	u->log = malloc(FIRST_LOG);
	u->saved = calloc(1, bitmap_bytes(m));
	u->max_touched = 256;
	u->touched = malloc(u->max_touched * sizeof(*u->touched));
	if (!u->log || !u->saved || !u->touched) {
		free(u->log);
		free(u->saved);
		free(u->touched);
		free(u);
		return false;
	}
	u->size = FIRST_LOG;
	m->undo = u;
	/* Objects that are younger than the snapshot, too. */
	m->dirty_size = m->arena_size;
	return true;
}

void undo_end(struct machine *m)
{
	struct undo *u = m->undo;

	m->undo = NULL;
	if (!u)
		return;
	free(u->log);
	free(u->saved);
	free(u->touched);
	free(u);
}

/* More room, @bytes at least; false, and it is full, if there is none. */
static noinline bool grow(struct undo *u, size_t bytes)
{
	size_t grown = 2 * u->size;
	char *log = NULL;

	while (grown < u->used + bytes)
		grown *= 2;
	if (grown <= MAX_LOG)
		log = realloc(u->log, grown);
	if (!log) {
		u->full = true;
		return false;
	}
	u->log = log;
	u->size = grown;
	return true;
}

/* Room for @size bytes and their record; NULL, and it is full, if there is none. */
static inline __attribute__((always_inline)) char *take(struct undo *u, size_t size,
							struct record **record)
{
	size_t bytes = (size + 7) & ~7UL;
	char *p;

	if (unlikely(u->used + bytes + sizeof(**record) > u->size) &&
	    !grow(u, bytes + sizeof(**record)))
		return NULL;
	p = u->log + u->used;
	*record = (struct record *)(void *)(p + bytes);
	u->used += bytes + sizeof(**record);
	return p;
}

void undo_line(struct machine *m, size_t line)
{
	struct undo *u = m->undo;
	struct record *record;
	char *p;

	if (u->nr_touched == u->max_touched) {
		uint32_t *touched = realloc(u->touched, 2 * u->max_touched * sizeof(*touched));

		if (!touched) {
			u->full = true;
			return;
		}
		u->touched = touched;
		u->max_touched *= 2;
	}
	/* Only what is in the table is taken out of the set again. */
	u->touched[u->nr_touched++] = (uint32_t)line;
	u->saved[line / BITS_PER_LONG] |= 1UL << (line % BITS_PER_LONG);
	if (u->full)
		return;
	p = take(u, LINE_BYTES, &record);
	if (!p)
		return;
	memcpy(p, m->arena + line * DIRTY_LINE, DIRTY_LINE);
	memcpy(p + DIRTY_LINE, m->shadow + line * DIRTY_LINE / 8, DIRTY_LINE / 8);
	record->p = (char *)line;
	record->size = 0;
}

void undo_record(struct machine *m, void *what, size_t size)
{
	struct undo *u = m->undo;
	struct record *record;
	char *p;

	if (!u || u->full || !size)
		return;
	p = take(u, size, &record);
	if (!p)
		return;
	memcpy(p, what, size);
	record->p = what;
	record->size = size;
}

/* What a task waits with lies on its stack, and whoever wakes it writes there. */
void undo_elsewhere(struct machine *m, char *p, size_t size)
{
	const struct emu_task *running = m->running;

	if (p >= m->stacks || p < stack_bottom(m, MAX_TASKS - 1))
		return;
	if (running && p >= stack_bottom(m, running->stack) && p < stack_top(m, running->stack))
		return;
	undo_record(m, p, size);
}

static void next_epoch(struct undo *u)
{
	for (size_t i = 0; i < u->nr_touched; i++)
		u->saved[u->touched[i] / BITS_PER_LONG] &=
			~(1UL << (u->touched[i] % BITS_PER_LONG));
	u->nr_touched = 0;
}

size_t undo_mark(struct machine *m)
{
	next_epoch(m->undo);
	return m->undo->used;
}

void undo_back(struct machine *m, size_t mark)
{
	struct undo *u = m->undo;

	next_epoch(u);
	while (u->used > mark) {
		const struct record *record =
			(const void *)(u->log + u->used - sizeof(struct record));

		if (record->size) {
			u->used -= ((record->size + 7) & ~7UL) + sizeof(*record);
			memcpy(record->p, u->log + u->used, record->size);
		} else {
			size_t line = (size_t)record->p;
			const char *p;

			u->used -= LINE_BYTES + sizeof(*record);
			p = u->log + u->used;
			memcpy(m->arena + line * DIRTY_LINE, p, DIRTY_LINE);
			memcpy(m->shadow + line * DIRTY_LINE / 8, p + DIRTY_LINE, DIRTY_LINE / 8);
		}
	}
}

void undo_forget(struct machine *m)
{
	if (!m->undo)
		return;
	next_epoch(m->undo);
	m->undo->used = 0;
	m->undo->full = false;
}
