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
#include "pages.h"
#include "shelf.h"

#undef memset
#undef memcpy
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* An execution whose records take more than this is repeated from its start. */
#define MAX_LOG (64UL << 20)
#define FIRST_LOG (256UL << 10)
/* One that has grown beyond this is not kept for the next search. */
#define KEPT_LOG (1UL << 20)

#define LINE_BYTES (DIRTY_LINE + DIRTY_LINE / 8)

static void free_undo(void *undo)
{
	struct undo *u = undo;

	unmap_pages(u->saved, u->saved_bytes);
	free(u->log);
	free(u);
}

/* As large as the arena allows, and as little of @saved used as of the arena. */
static struct undo *new_undo(size_t saved_bytes)
{
	struct undo *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	*u = (struct undo){
		.log = malloc(FIRST_LOG),
		.size = FIRST_LOG,
		.saved = map_pages(saved_bytes),
		.saved_bytes = saved_bytes,
	};
	if (u->log && u->saved)
		return u;
	free_undo(u);
	return NULL;
}

static void next_epoch(struct undo *u)
{
	if (likely(++u->epoch))
		return;
	/* Every number has been used. */
	madvise(u->saved, u->saved_bytes, MADV_DONTNEED);
	u->epoch = 1;
}

/* What has been kept is void. */
static void start_anew(struct undo *u)
{
	next_epoch(u);
	u->used = 0;
	u->room = u->size;
	u->full = false;
}

bool undo_begin(struct machine *m)
{
	/* A store may begin in the arena's last line and end behind it. */
	const size_t bytes = (m->arena_size / DIRTY_LINE + 1) * sizeof(*m->undo->saved);
	struct undo *u;

	if (!TRACKS_STORES)
		return true;
	u = shelf_take(SHELF_UNDO);
	if (u && u->saved_bytes != bytes) {
		free_undo(u);
		u = NULL;
	}
	if (!u)
		u = new_undo(bytes);
	if (!u)
		return false;
	start_anew(u);
	m->undo = u;
	/* Objects that are younger than the snapshot, too. */
	m->dirty_size = m->arena_size;
	return true;
}

void undo_end(struct machine *m)
{
	struct undo *u = m->undo;

	m->undo = NULL;
	if (u && (u->size > KEPT_LOG || !shelf_keep(SHELF_UNDO, u, free_undo)))
		free_undo(u);
}

bool noinline undo_grow(struct undo *u, size_t bytes)
{
	size_t grown = 2 * u->size;
	char *log = NULL;

	if (u->full)
		return false;
	while (grown < u->used + bytes)
		grown *= 2;
	if (grown <= MAX_LOG)
		log = realloc(u->log, grown);
	if (!log) {
		u->full = true;
		u->room = 0;
		return false;
	}
	u->log = log;
	u->room = u->size = grown;
	return true;
}

static inline void keep_line(struct machine *m, size_t line)
{
	struct undo *u = m->undo;
	struct undo_entry *entry;
	char *p;

	u->saved[line] = u->epoch;
	p = undo_take(u, LINE_BYTES, &entry);
	if (!p)
		return;
	memcpy(p, m->arena + line * DIRTY_LINE, DIRTY_LINE);
	memcpy(p + DIRTY_LINE, m->shadow + line * DIRTY_LINE / 8, DIRTY_LINE / 8);
	entry->p = (char *)line;
	entry->size = 0;
}

/* Where the log is leaves its trace on the task's stack. */
static noinline void keep_line_and_wipe(struct machine *m, size_t line)
{
	keep_line(m, line);
	wipe_stack();
}

void undo_line(struct machine *m, size_t line)
{
	if (unlikely(m->wipes))
		keep_line_and_wipe(m, line);
	else
		keep_line(m, line);
}

/* What a task waits with lies on its stack, and whoever wakes it writes there. */
void undo_elsewhere(struct machine *m, char *p, size_t size)
{
	const struct emu_task *running = m->running;

	/* Nearly all are to the running task's own. */
	if (running && (size_t)(p - stack_bottom(m, running->stack)) < TASK_STACK_SIZE)
		return;
	if (p >= m->stacks || p < stack_bottom(m, MAX_TASKS - 1))
		return;
	undo_record(m, p, size);
}

size_t undo_mark(struct machine *m)
{
	next_epoch(m->undo);
	return m->undo->used;
}

/* Most entries have one of a few sizes, for which a call would take longer than the copy. */
static inline void put_back(char *to, const char *from, size_t size)
{
	switch (size) {
	case 2:
		memcpy(to, from, 2);
		break;
	case 4:
		memcpy(to, from, 4);
		break;
	case 8:
		memcpy(to, from, 8);
		break;
	case 16:
		memcpy(to, from, 16);
		break;
	case 32:
		memcpy(to, from, 32);
		break;
	case 64:
		memcpy(to, from, 64);
		break;
	default:
		memcpy(to, from, size);
	}
}

void undo_back(struct machine *m, size_t mark)
{
	struct undo *u = m->undo;

	const char *next = u->log + u->used, *const stop = u->log + mark;
	/* For all that the compiler knows, copying a line could change these in @m. */
	unsigned char *const shadow = m->shadow;
	char *const arena = m->arena;

	next_epoch(u);
	while (next > stop) {
		const struct undo_entry *entry = (const struct undo_entry *)(const void *)next - 1;
		const size_t size = entry->size;

		next = (const char *)entry;
		if (size) {
			next -= (size + 7) & ~7UL;
			put_back(entry->p, next, size);
		} else {
			const size_t line = (size_t)entry->p;

			next -= LINE_BYTES;
			memcpy(arena + line * DIRTY_LINE, next, DIRTY_LINE);
			memcpy(shadow + line * DIRTY_LINE / 8, next + DIRTY_LINE, DIRTY_LINE / 8);
		}
	}
	u->used = mark;
}

void undo_forget(struct machine *m)
{
	if (!m->undo)
		return;
	start_anew(m->undo);
}
