// SPDX-License-Identifier: GPL-2.0-only
/*
 * States that a search has met, by hash.  A state is all that decides what can
 * follow: the arena, the stacks of the tasks and how many calls may still fail.
 */
#include "cache.h"
#include "findings.h"

#include <stdlib.h>

#define FIRST_SIZE (1UL << 12)
#define MAX_SIZE (1UL << 26)

/**
 * struct state_cache - open addressing
 * @nr: states in it
 * @size: places, a power of two
 * @state: hash, in its lowest bits who slept each time that it was met; 0: free
 */
struct state_cache {
	size_t nr;
	size_t size;
	uint64_t *state;
};

#define SLEEP_BITS ((1UL << MAX_PROCS) - 1)

bool cache_prepare(struct explorer *x)
{
	struct state_cache *c = calloc(1, sizeof(*c));

	if (!c)
		return false;
	c->state = calloc(FIRST_SIZE, sizeof(*c->state));
	if (!c->state) {
		free(c);
		return false;
	}
	c->size = FIRST_SIZE;
	x->cache = c;
	return true;
}

void cache_free(struct explorer *x)
{
	if (x->cache)
		free(x->cache->state);
	free(x->cache);
	x->cache = NULL;
}

static uint64_t *place_of(uint64_t *table, size_t size, uint64_t hash)
{
	size_t at = hash >> 20;

	while (table[at & (size - 1)] && (table[at & (size - 1)] ^ hash) & ~SLEEP_BITS)
		at++;
	return &table[at & (size - 1)];
}

/* Twice the places; without memory for them it stays as it is. */
static void grow(struct state_cache *c)
{
	uint64_t *grown = c->size < MAX_SIZE ? calloc(2 * c->size, sizeof(*grown)) : NULL;

	if (!grown)
		return;
	for (size_t i = 0; i < c->size; i++)
		if (c->state[i])
			*place_of(grown, 2 * c->size, c->state[i]) = c->state[i];
	free(c->state);
	c->state = grown;
	c->size *= 2;
}

uint32_t cache_state(struct explorer *x, unsigned int fails, uint32_t choices, uint32_t sleep)
{
	struct state_cache *c = x->cache;
	uint64_t hash = snapshot_distance(x->m, x->snapshot, fails) | 1UL << MAX_PROCS;
	uint64_t *place;
	uint32_t slept;

	if (2 * c->nr >= c->size)
		grow(c);
	place = place_of(c->state, c->size, hash);
	if (*place) {
		slept = (uint32_t)(*place & SLEEP_BITS);
		*place &= ~(uint64_t)(slept & ~sleep);
		/* What has broken a rule in a new way on the way here goes on to where that is kept. */
		return choices & ~sleep & (findings_known(x) ? slept : ~0U);
	}
	/* Full: what is not remembered is searched again. */
	if (4 * c->nr < 3 * c->size) {
		*place = (hash & ~SLEEP_BITS) | sleep;
		c->nr++;
		x->result->states++;
	}
	return choices & ~sleep;
}
