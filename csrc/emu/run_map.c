// SPDX-License-Identifier: GPL-2.0-only
#include "machine.h"

#undef memcpy
#include <string.h>

#include "run_map.h"

#define FIRST_CAPACITY 4

unsigned long run_map_index(const struct run_map *map, unsigned long key)
{
	unsigned long low = 0, high = map->nr;

	while (low < high) {
		unsigned long middle = low + (high - low) / 2;

		if (run_end(&map->runs[middle]) <= key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct run *run_map_find(const struct run_map *map, unsigned long key)
{
	unsigned long i = run_map_index(map, key);

	if (i < map->nr && map->runs[i].start <= key)
		return &map->runs[i];
	return NULL;
}

unsigned long run_map_stretch(const struct run_map *map, unsigned long key, unsigned long n,
			      bool *present)
{
	unsigned long i = run_map_index(map, key);
	unsigned long end = key + n;
	unsigned long reach = key;

	*present = i < map->nr && map->runs[i].start <= key;
	if (!*present)
		reach = i < map->nr ? map->runs[i].start : end;
	else
		while (i < map->nr && map->runs[i].start <= reach && reach < end)
			reach = run_end(&map->runs[i++]);
	return (reach < end ? reach : end) - key;
}

static bool same_words(const struct run *a, const struct run *b)
{
	unsigned long difference = 0;

	for (int i = 0; i < RUN_WORDS; i++)
		difference |= a->word[i] ^ b->word[i];
	return difference == 0;
}

/* What is to stand in place of some neighbouring runs, already merged. */
struct replacement {
	unsigned int nr;
	struct run run[5];
};

static void append(struct replacement *with, unsigned long start, unsigned long end,
		   const unsigned long word[RUN_WORDS])
{
	struct run *run = &with->run[with->nr];

	run->start = start;
	run->n = end - start;
	memcpy(run->word, word, sizeof(run->word));
	if (with->nr && run_end(run - 1) == start && same_words(run - 1, run))
		run[-1].n += run->n;
	else
		with->nr++;
}

static void make_room(struct run_map *map, unsigned long nr)
{
	unsigned long capacity = map->capacity ? map->capacity : FIRST_CAPACITY;
	struct run *runs;

	if (nr <= map->capacity)
		return;
	while (capacity < nr)
		capacity *= 2;
	runs = machine_alloc(this_machine(), capacity * sizeof(*runs));
	if (map->nr)
		memcpy(runs, map->runs, map->nr * sizeof(*runs));
	map->runs = runs;
	map->capacity = capacity;
}

void run_map_reserve(struct run_map *map, unsigned long n)
{
	make_room(map, map->nr + n);
}

/* Replaces the runs [i, j). */
static void splice(struct run_map *map, unsigned long i, unsigned long j,
		   const struct replacement *with)
{
	unsigned long nr = map->nr - (j - i) + with->nr;

	make_room(map, nr);
	if (with->nr == j - i)
		machine_dirty(&map->runs[i], with->nr * sizeof(*map->runs));
	else
		machine_dirty(&map->runs[i], (max(nr, map->nr) - i) * sizeof(*map->runs));
	if (with->nr != j - i && j < map->nr)
		memmove(&map->runs[i + with->nr], &map->runs[j],
			(map->nr - j) * sizeof(*map->runs));
	if (with->nr)
		memcpy(&map->runs[i], with->run, with->nr * sizeof(*map->runs));
	map->nr = nr;
}

static void overwrite(struct run_map *map, unsigned long start, unsigned long n,
		      const unsigned long *word)
{
	unsigned long end = start + n;
	unsigned long i, j;
	struct replacement with;

	if (!n)
		return;
	with.nr = 0;
	i = run_map_index(map, start);
	for (j = i; j < map->nr && map->runs[j].start < end; j++)
		;
	if (i < j && map->runs[i].start < start) {
		append(&with, map->runs[i].start, start, map->runs[i].word);
	} else if (word && i > 0 && run_end(&map->runs[i - 1]) == start) {
		/* The neighbour may be about to become equal. */
		i--;
		append(&with, map->runs[i].start, start, map->runs[i].word);
	}
	if (word)
		append(&with, start, end, word);
	if (i < j && run_end(&map->runs[j - 1]) > end) {
		append(&with, end, run_end(&map->runs[j - 1]), map->runs[j - 1].word);
	} else if (word && j < map->nr && map->runs[j].start == end) {
		append(&with, end, run_end(&map->runs[j]), map->runs[j].word);
		j++;
	}
	splice(map, i, j, &with);
}

static bool holds(const struct run *run, const unsigned long word[RUN_WORDS])
{
	unsigned long difference = 0;

	for (int i = 0; i < RUN_WORDS; i++)
		difference |= run->word[i] ^ word[i];
	return difference == 0;
}

/*
 * The two changes of a single key that move no run: it holds these words
 * already, or it leaves the run behind it for the one before.
 */
static bool set_in_place(struct run_map *map, unsigned long key,
			 const unsigned long word[RUN_WORDS])
{
	unsigned long i = run_map_index(map, key);
	struct run *run = &map->runs[i];

	if (i == map->nr || run->start > key)
		return false;
	if (holds(run, word))
		return true;
	if (i && run->start == key && run->n > 1 && run_end(run - 1) == key &&
	    holds(run - 1, word)) {
		run[-1].n++;
		run->start++;
		run->n--;
		return true;
	}
	return false;
}

void run_map_set(struct run_map *map, unsigned long start, unsigned long n,
		 const unsigned long word[RUN_WORDS])
{
	if (n == 1 && set_in_place(map, start, word))
		return;
	overwrite(map, start, n, word);
}

void run_map_clear(struct run_map *map, unsigned long start, unsigned long n)
{
	overwrite(map, start, n, NULL);
}

unsigned long run_map_count_with(const struct run_map *map, unsigned long key,
				 const unsigned long word[RUN_WORDS])
{
	unsigned long i = run_map_index(map, key), nr = map->nr;
	const struct run *run = &map->runs[i];

	if (holds(run, word))
		return nr;
	if (run->start < key)
		nr++;
	else if (i && run_end(run - 1) == key && holds(run - 1, word))
		nr--;
	if (run_end(run) > key + 1)
		nr++;
	else if (i + 1 < map->nr && run[1].start == key + 1 && holds(run + 1, word))
		nr--;
	return nr;
}

const char *run_map_check(const struct run_map *map)
{
	for (unsigned long i = 0; i < map->nr; i++) {
		const struct run *run = &map->runs[i];

		if (!run->n || run_end(run) < run->start)
			return "a run is empty or wraps around";
		if (!i)
			continue;
		if (run_end(run - 1) > run->start)
			return "runs overlap or are out of order";
		if (run_end(run - 1) == run->start && same_words(run - 1, run))
			return "equal neighbours are not merged";
	}
	return NULL;
}
