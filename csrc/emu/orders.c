// SPDX-License-Identifier: GPL-2.0-only
/*
 * In which orders dependent steps came, over all executions of a search.
 *
 * Executions that differ only in the order of independent steps have the same
 * steps, told apart by their processes and numbers, and order the dependent
 * ones alike.  So a search that covers every execution up to that difference
 * sees each ordered pair that the search over all of them sees; this is for
 * tests that hold the one against the other.
 */
#include "orders.h"

#include <stdlib.h>

#define NUMBER_BITS 13
#define KIND_BITS 3
#define EVENT_BITS 24

_Static_assert(MAX_STEPS < 1 << NUMBER_BITS && ACCESS_RELEASE < 1 << KIND_BITS &&
		       MAX_PROCS < 1 << (EVENT_BITS - NUMBER_BITS - KIND_BITS),
	       "an event has room");

/**
 * struct orders - a set of pairs
 * @pairs: open addressing; 0: a free place.  Numbers count from 1, so no pair is 0.
 * @size: places, a power of two
 * @nr: pairs
 * @full: the host has no memory for more: some are missing
 */
struct orders {
	uint64_t *pairs;
	size_t size;
	size_t nr;
	bool full;
};

bool orders_prepare(struct explorer *x)
{
	x->orders = calloc(1, sizeof(*x->orders));
	if (!x->orders)
		return false;
	x->orders->size = 1024;
	x->orders->pairs = calloc(x->orders->size, sizeof(uint64_t));
	return x->orders->pairs != NULL;
}

void orders_free(struct explorer *x)
{
	if (x->orders)
		free(x->orders->pairs);
	free(x->orders);
	x->orders = NULL;
}

/* Where it is or belongs. */
static uint64_t *place_of(uint64_t *pairs, size_t size, uint64_t pair)
{
	size_t at = (size_t)((pair * 0x9e3779b97f4a7c15UL) >> 20);

	while (pairs[at & (size - 1)] && pairs[at & (size - 1)] != pair)
		at++;
	return &pairs[at & (size - 1)];
}

static bool grow(struct orders *o)
{
	uint64_t *pairs = calloc(2 * o->size, sizeof(*pairs));

	if (!pairs)
		return false;
	for (size_t i = 0; i < o->size; i++)
		if (o->pairs[i])
			*place_of(pairs, 2 * o->size, o->pairs[i]) = o->pairs[i];
	free(o->pairs);
	o->pairs = pairs;
	o->size *= 2;
	return true;
}

static void keep(struct orders *o, uint64_t pair)
{
	uint64_t *place = place_of(o->pairs, o->size, pair);

	if (*place || o->full)
		return;
	if (o->nr >= o->size / 2) {
		if (!grow(o)) {
			o->full = true;
			return;
		}
		place = place_of(o->pairs, o->size, pair);
	}
	*place = pair;
	o->nr++;
}

void keep_orders(struct explorer *x)
{
	unsigned int steps[MAX_PROCS] = { 0 };
	uint32_t events[MAX_STEPS];

	for (unsigned int d = 0; d < x->depth; d++) {
		const struct step *step = &x->steps[d];

		events[d] = step->proc << (NUMBER_BITS + KIND_BITS) |
			    (uint32_t)step->access.kind << NUMBER_BITS | ++steps[step->proc];
		for (unsigned int i = 0; i < d; i++)
			if (x->steps[i].proc != step->proc &&
			    conflicts(&x->steps[i].access, &step->access))
				keep(x->orders, (uint64_t)events[i] << EVENT_BITS | events[d]);
	}
}

static struct emu_search_event event_of(uint64_t event)
{
	return (struct emu_search_event){
		.proc = (uint32_t)(event >> (NUMBER_BITS + KIND_BITS)),
		.kind = (uint32_t)(event >> NUMBER_BITS) & ((1U << KIND_BITS) - 1),
		.number = (uint32_t)event & ((1U << NUMBER_BITS) - 1),
	};
}

long read_orders(const struct explorer *x, struct emu_search_order *pairs, size_t max)
{
	const uint64_t mask = (1UL << EVENT_BITS) - 1;
	const struct orders *o = x->orders;
	size_t n = 0;

	if (!o || o->full)
		return -1;
	for (size_t i = 0; i < o->size; i++) {
		if (!o->pairs[i])
			continue;
		if (n < max) {
			pairs[n].first = event_of(o->pairs[i] >> EVENT_BITS);
			pairs[n].second = event_of(o->pairs[i] & mask);
		}
		n++;
	}
	return (long)n;
}
