/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_KCSAN_TABLES_H
#define EMU_KCSAN_TABLES_H

/*
 * What is remembered of accesses and of what orders them: for kcsan.c, and for who tells states
 * apart by it.
 */

#include "machine.h"

#define KCSAN_TASKS 32
#define KCSAN_GRANULES (1U << 15)
#define KCSAN_OBJECTS (1U << 10)
#define KCSAN_PROBES 16
#define KCSAN_SLOTS 4
#define KCSAN_REPORTS 8
#define KCSAN_SECTIONS 64

struct order {
	uint16_t at[KCSAN_TASKS];
} __attribute__((aligned(16)));

/*
 * One access to bytes of a granule, in one word, 0: none.  From its low end:
 * the code that made it, as an offset into this module; the time of its task;
 * which bytes; which task; whether it writes and whether it is marked.
 */
typedef uint64_t accessed_t;

#define ACCESSED_TIME_SHIFT 32
#define ACCESSED_BYTES_SHIFT 48
#define ACCESSED_TASK_SHIFT 56
#define ACCESSED_WRITE (1UL << 61)
#define ACCESSED_MARKED (1UL << 62)
#define ACCESSED_FREE (1UL << 63) /* of the whole object; it is not kept */
/* All but when and by whom. */
#define ACCESSED_HOW \
	(ACCESSED_WRITE | ACCESSED_MARKED | 0xffUL << ACCESSED_BYTES_SHIFT | 0xffffffffUL)

_Static_assert(KCSAN_TASKS == 32, "five bits");
_Static_assert(KCSAN_OBJECTS == 1U << 10, "ten bits of a hash");

#define KCSAN_LINES (1U << 12)

static inline unsigned int time_of(accessed_t a)
{
	return (uint16_t)(a >> ACCESSED_TIME_SHIFT);
}

static inline unsigned int bytes_of(accessed_t a)
{
	return (uint8_t)(a >> ACCESSED_BYTES_SHIFT);
}

static inline unsigned int by_task(accessed_t a)
{
	return a >> ACCESSED_TASK_SHIFT & (KCSAN_TASKS - 1);
}

struct granule {
	uintptr_t address;
	uint32_t generation;
	uint32_t next; /* slot to be displaced */
	accessed_t slots[KCSAN_SLOTS];
};

struct released {
	uintptr_t address;
	uint32_t generation;
	struct order order;
};

struct kcsan_task {
	unsigned long serial;
	uint16_t number;
	int cpu;
	char name[16];
	struct order order;
	struct order fence; /* what it had done at its last fence */
	struct order seen; /* what relaxed loads saw, for its next fence */
};

/**
 * struct sections - read sections of a flavour of RCU that have ended
 * @nr: how many beginnings of them there are
 * @start: of each, on the clock of grace periods: one that began no later waits for those
 * @order: what comes before the ends of those that began then
 */
struct sections {
	unsigned int nr;
	unsigned long start[KCSAN_SECTIONS];
	struct order order[KCSAN_SECTIONS];
};

/**
 * struct kcsan - what is known of an execution
 * @lost: there was no room for all that orders accesses
 * @users: by line of 64 bytes, some of which share a place: bit mask of the numbers of those who
 *	have ever had a plain access to it, in this execution or not
 * @touched: the same of those who have had any access to it
 */
struct kcsan {
	uint32_t generation;
	unsigned int nr_tasks;
	unsigned int nr_reports;
	bool lost;
	struct kcsan_task *last; /* that was asked for */
	const void *reported[KCSAN_REPORTS][2];
	struct kcsan_task tasks[KCSAN_TASKS];
	struct sections sections[2];
	struct released released[KCSAN_OBJECTS];
	struct granule granules[KCSAN_GRANULES];
	uint32_t users[KCSAN_LINES];
	uint32_t touched[KCSAN_LINES];
};

/* Where accesses to the granule at @address are kept or would be; NULL: no room. */
static inline struct granule *find_granule(struct kcsan *k, uintptr_t address)
{
	for (unsigned int i = 0; i < KCSAN_PROBES; i++) {
		struct granule *g = &k->granules[(address / 8 + i) % KCSAN_GRANULES];

		if (likely(g->generation != k->generation || g->address == address))
			return g;
	}
	return NULL;
}

#endif
