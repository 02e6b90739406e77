/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_SHELF_H
#define EMU_SHELF_H

/*
 * What costs more to map, fault in and unmap than to clean: each thread keeps the last one of a
 * kind that was given back, for the next one that is wanted.
 */

#include <stdbool.h>

enum shelf {
	SHELF_MACHINE,
	SHELF_SEARCH,
	SHELF_UNDO,
	SHELF_KCSAN,
	NR_SHELVES,
};

/** shelf_take() - what this thread has kept of a kind, as clean as it was kept; NULL: nothing */
void *shelf_take(enum shelf kind);

/** shelf_is_full() - has this thread kept one already?  Then cleaning another is in vain */
bool shelf_is_full(enum shelf kind);

/**
 * shelf_keep() - keep it for the next who wants one
 * @kind: of which it is
 * @what: clean
 * @drop: frees it when the thread ends
 *
 * Return: false if it is not wanted: free it.
 */
bool shelf_keep(enum shelf kind, void *what, void (*drop)(void *what));

#endif
