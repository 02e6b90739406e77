// SPDX-License-Identifier: GPL-2.0-only
/*
 * What each thread keeps for the next one who wants the same.
 */
#include "shelf.h"

#include <pthread.h>
#include <stdlib.h>

struct kept {
	void *what;
	void (*drop)(void *what);
};

static pthread_once_t shelves_made = PTHREAD_ONCE_INIT;
static pthread_key_t shelves_of_thread;
static bool has_key; /* a process has only so many: without one nothing is kept */

static void drop_all(void *shelves)
{
	struct kept *kept = shelves;

	for (int i = 0; i < NR_SHELVES; i++)
		if (kept[i].what)
			kept[i].drop(kept[i].what);
	free(kept);
}

static void make_shelves(void)
{
	has_key = !pthread_key_create(&shelves_of_thread, drop_all);
}

static struct kept *shelf_of(enum shelf kind)
{
	struct kept *shelves;

	pthread_once(&shelves_made, make_shelves);
	shelves = has_key ? pthread_getspecific(shelves_of_thread) : NULL;
	return shelves ? &shelves[kind] : NULL;
}

void *shelf_take(enum shelf kind)
{
	struct kept *kept = shelf_of(kind);
	void *what;

	if (!kept)
		return NULL;
	what = kept->what;
	kept->what = NULL;
	return what;
}

bool shelf_is_full(enum shelf kind)
{
	const struct kept *kept = shelf_of(kind);

	return kept && kept->what;
}

bool shelf_keep(enum shelf kind, void *what, void (*drop)(void *what))
{
	struct kept *kept = shelf_of(kind);

	if (!has_key)
		return false;
	if (!kept) {
		struct kept *shelves = calloc(NR_SHELVES, sizeof(*shelves));

		if (!shelves || pthread_setspecific(shelves_of_thread, shelves)) {
			free(shelves);
			return false;
		}
		kept = &shelves[kind];
	}
	if (kept->what)
		return false;
	*kept = (struct kept){ .what = what, .drop = drop };
	return true;
}
