/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_RUN_MAP_H
#define EMU_RUN_MAP_H

/*
 * A map from unsigned long to six words that are mostly the same for long
 * stretches of keys: struct pages, memory sections, page tables.
 *
 *   runs: | start n word[6] | start n word[6] | ...      sorted by start
 *
 * What is not covered by a run is absent.  Runs do not overlap, and two that
 * touch and hold equal words are one: there is exactly one representation of
 * a given content, so comparing two maps is comparing their runs.  Every
 * operation costs the runs that it touches plus a binary search, never keys.
 *
 * The array is machine memory and doubles when it is full; it never shrinks.
 */

#include <stdbool.h>

#define RUN_WORDS 6

/**
 * struct run - a stretch of keys with equal words
 * @start: first key
 * @n: number of keys, not 0
 * @word: what each of them holds
 */
struct run {
	unsigned long start;
	unsigned long n;
	unsigned long word[RUN_WORDS];
} __attribute__((aligned(64)));

struct run_map {
	struct run *runs;
	unsigned long nr;
	unsigned long capacity;
};

static inline unsigned long run_end(const struct run *run)
{
	return run->start + run->n;
}

/**
 * run_map_index() - index of the first run that ends behind @key
 *
 * Return: the index, @map->nr if there is none.
 */
unsigned long run_map_index(const struct run_map *map, unsigned long key);

/**
 * run_map_find() - the run that covers @key
 *
 * The pointer is good until the map is changed.
 *
 * Return: the run or NULL.
 */
struct run *run_map_find(const struct run_map *map, unsigned long key);

/**
 * run_map_stretch() - how far @key's presence or absence reaches
 * @map: map
 * @key: where to begin
 * @n: look at [@key, @key + @n) only, not 0
 * @present: set to whether @key is covered
 *
 * Return: number of keys from @key on that are all covered, with whatever
 * words, or all absent.
 */
unsigned long run_map_stretch(const struct run_map *map, unsigned long key, unsigned long n,
			      bool *present);

/**
 * run_map_set() - give every key in [@start, @start + @n) the same words
 *
 * @word may point into @map.
 */
void run_map_set(struct run_map *map, unsigned long start, unsigned long n,
		 const unsigned long word[RUN_WORDS]);

/**
 * run_map_reserve() - make room for @n more runs
 *
 * As many as that can then come about without an allocation.
 */
void run_map_reserve(struct run_map *map, unsigned long n);

/** run_map_clear() - make every key in [@start, @start + @n) absent */
void run_map_clear(struct run_map *map, unsigned long start, unsigned long n);

/**
 * run_map_count_with() - how many runs there would be with one key changed
 * @map: map, which stays as it is
 * @key: a key that is present
 * @word: what run_map_set() would give it
 */
unsigned long run_map_count_with(const struct run_map *map, unsigned long key,
				 const unsigned long word[RUN_WORDS]);

/**
 * run_map_check() - is @map in its one proper form?
 *
 * Return: NULL, or what is wrong with it.
 */
const char *run_map_check(const struct run_map *map);

#endif
