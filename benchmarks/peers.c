// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lookups of the same keys in containers of other libraries: liburcu's lock-free
 * hash table, inside a read section as it must be, and libjudy's JudyL.
 * test_lookup.py compiles this.
 */
#define _LGPL_SOURCE
#include <Judy.h>
#include <stdint.h>
#include <stdlib.h>
#include <urcu/urcu-memb.h>

#include <urcu/rculfhash.h>

struct entry {
	unsigned long pfn;
	struct cds_lfht_node node;
};

/* The keys that radix_tree_lookup_loop of the machine looks up. */
#define NEXT(x) ((x) ^= (x) << 13, (x) ^= (x) >> 7, (x) ^= (x) << 17)
#define SEED 88172645463325252UL

static unsigned long hash(unsigned long pfn)
{
	return pfn * 0x9e3779b97f4a7c15UL >> 32;
}

static int matches(struct cds_lfht_node *node, const void *key)
{
	return caa_container_of(node, struct entry, node)->pfn == *(const unsigned long *)key;
}

struct cds_lfht *urcu_new(unsigned long first, unsigned long n)
{
	static __thread int registered;
	struct cds_lfht *table;

	if (!registered++)
		urcu_memb_register_thread();
	table = cds_lfht_new_flavor(n, n, 0, 0, &urcu_memb_flavor, NULL);
	for (unsigned long i = 0; i < n; i++) {
		struct entry *entry = malloc(sizeof(*entry));

		entry->pfn = first + i;
		urcu_memb_read_lock();
		cds_lfht_add(table, hash(entry->pfn), &entry->node);
		urcu_memb_read_unlock();
	}
	return table;
}

long urcu_lookups(struct cds_lfht *table, unsigned long first, unsigned long span, long loops)
{
	unsigned long x = SEED;
	long hits = 0;

	for (long i = 0; i < loops; i++) {
		struct cds_lfht_iter iter;
		unsigned long pfn = first + (NEXT(x) & (span - 1));

		urcu_memb_read_lock();
		cds_lfht_lookup(table, hash(pfn), matches, &pfn, &iter);
		hits += cds_lfht_iter_get_node(&iter) != NULL;
		urcu_memb_read_unlock();
	}
	return hits;
}

void *judy_new(unsigned long first, unsigned long n)
{
	Pvoid_t array = NULL;

	for (unsigned long i = 0; i < n; i++) {
		Word_t *value = (Word_t *)JudyLIns(&array, first + i, PJE0);

		*value = 4;
	}
	return array;
}

long judy_lookups(void *array, unsigned long first, unsigned long span, long loops)
{
	unsigned long x = SEED;
	long hits = 0;

	for (long i = 0; i < loops; i++)
		hits += JudyLGet(array, first + (NEXT(x) & (span - 1)), PJE0) != NULL;
	return hits;
}
