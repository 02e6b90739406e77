/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_UNDO_H
#define EMU_UNDO_H

/*
 * Taking steps back: see undo.c.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct machine;

/**
 * struct undo - what has been overwritten, oldest first
 * @log: records
 * @used: bytes of them
 * @room: bytes that @log has room for, 0: it is full
 * @size: the same, full or not
 * @full: something was overwritten that is not here: nothing can be taken back
 * @saved: of each line of the arena: the last epoch in which it was kept
 * @saved_bytes: size of that table
 * @epoch: which began with the last mark
 */
struct undo {
	char *log;
	size_t used;
	size_t room;
	size_t size;
	bool full;
	uint32_t *saved;
	size_t saved_bytes;
	uint32_t epoch;
};

/**
 * struct undo_entry - stands behind the bytes that it is about, so that the last one is found
 * @p: where they were
 * @size: how many, rounded up to 8 in the log; 0: a line of the arena and its shadow
 */
struct undo_entry {
	char *p;
	size_t size;
};

/** undo_grow() - more room, @bytes at least; false, and it is full, if there is none */
bool undo_grow(struct undo *u, size_t bytes);

/* Room for @size bytes and their entry; NULL, and it is full, if there is none. */
static inline char *undo_take(struct undo *u, size_t size, struct undo_entry **entry)
{
	const size_t bytes = (size + 7) & ~7UL;
	char *p;

	if (__builtin_expect(u->used + bytes + sizeof(**entry) > u->room, 0) &&
	    !undo_grow(u, bytes + sizeof(**entry)))
		return NULL;
	p = u->log + u->used;
	*entry = (struct undo_entry *)(void *)(p + bytes);
	u->used += bytes + sizeof(**entry);
	return p;
}

/** undo_keep() - @size bytes outside the arena, or of a stack, are about to be written */
static inline void undo_keep(struct undo *u, void *what, size_t size)
{
	struct undo_entry *entry;
	char *p;

	if (!u || !size)
		return;
	p = undo_take(u, size, &entry);
	if (!p)
		return;
	__builtin_memcpy(p, what, size);
	entry->p = what;
	entry->size = size;
}

/** undo_begin() - from now on what is overwritten is kept; false: the host is out of memory */
bool undo_begin(struct machine *m);
/** undo_end() - no longer */
void undo_end(struct machine *m);
/** undo_mark() - a point to come back to */
size_t undo_mark(struct machine *m);
/** undo_back() - everything is as it was at @mark; only if it is not full */
void undo_back(struct machine *m, size_t mark);
/** undo_line() - a line of the arena is about to be written; for mark_dirty() */
void undo_line(struct machine *m, size_t line);
/** undo_elsewhere() - something outside the arena is about to be written: another task's stack? */
void undo_elsewhere(struct machine *m, char *p, size_t size);
/** undo_forget() - what is known is void: everything was brought back by other means */
void undo_forget(struct machine *m);

#endif
