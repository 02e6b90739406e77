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
 * @size: bytes that @log has room for
 * @full: something was overwritten that is not here: nothing can be taken back
 * @saved: one bit for each line of the arena that is in @log since the last mark
 * @touched: those lines
 * @nr_touched: how many
 * @max_touched: how many @touched has room for
 */
struct undo {
	char *log;
	size_t used;
	size_t size;
	bool full;
	unsigned long *saved;
	uint32_t *touched;
	size_t nr_touched;
	size_t max_touched;
};

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
/** undo_record() - @size bytes outside the arena, or of a stack, are about to be written */
void undo_record(struct machine *m, void *p, size_t size);
/** undo_forget() - what is known is void: everything was brought back by other means */
void undo_forget(struct machine *m);

#endif
