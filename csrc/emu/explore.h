/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_EXPLORE_H
#define EMU_EXPLORE_H

/*
 * Exploration of schedules: see explore.c.
 *
 * A task gives way at every visible operation, before it is carried out, and
 * tells what it is about to do; where nobody else is to be tried it goes on at
 * once (going_on.c).  Everything it does from there to its next visible
 * operation is one step.
 */

#include <stdbool.h>
#include <stdint.h>

/* Tasks of a program. */
#define MAX_PROGRAM_TASKS 8

struct explorer;
struct machine;

enum access_kind {
	ACCESS_NONE, /* conflicts with nothing */
	ACCESS_READ,
	ACCESS_WRITE,
	ACCESS_ACQUIRE, /* of a lock: possible only while it is free */
	ACCESS_FREE, /* of all of an object */
	ACCESS_RELEASE, /* of a lock, by who has it: see explore_unlock() */
};

/**
 * struct access - what a step begins with
 * @start: first byte of what is accessed; for struct pages their addresses
 * @end: first byte behind it
 * @kind: enum access_kind
 * @rcu_read: flavours (bit mask) whose read section it enters
 * @rcu_write: flavours whose grace period it asks for, and RCU_QUEUE() of those whose callbacks'
 *	order it is about
 *	(PAGES_GIVEN_UP in either is about no flavour)
 * @compares: size in bytes of a compare-and-exchange, or of a lock's owner, 0: it is none
 * @exclusive: for ACCESS_ACQUIRE: whoever has it has it alone
 * @ready: for ACCESS_ACQUIRE: can the lock at @start be acquired now?
 * @expected: what a compare-and-exchange wants to find, or who has the lock
 */
struct access {
	uintptr_t start;
	uintptr_t end;
	enum access_kind kind;
	uint8_t rcu_read;
	uint8_t rcu_write;
	uint8_t compares;
	bool exclusive;
	union {
		bool (*ready)(const void *lock);
		uint64_t expected;
	};
};

/* Of struct access: callbacks run in the order in which they are queued. */
#define RCU_QUEUE(flavour) ((uint8_t)(0x10U << (flavour)))
#define RCU_QUEUES 0xf0
/* The same of who looks whether a page was given up, as rcu_read, and of who gives one up. */
#define PAGES_GIVEN_UP 0x4

/** operation_breaks_a_rule() - so the running one has begun, whatever it has shown of itself */
void operation_breaks_a_rule(struct machine *m);
/** explore_point() - give way before @access; returns when it is to be carried out */
void explore_point(struct machine *m, const struct access *access);
/** explore_access() - the same for a read or write of @size bytes */
void explore_access(struct machine *m, const void *addr, unsigned long size, bool write);
/** explore_free() - the same for a free: whoever uses the object may come first or last */
void explore_free(struct machine *m, const void *object, unsigned long size);
/** explore_compare() - the same for a compare-and-exchange: a read if it will fail */
void explore_compare(struct machine *m, const void *addr, unsigned long size, uint64_t expected);
/**
 * explore_fallible() - @n calls alike may fail
 *
 * Return: how many succeed before one fails, @n: none does.
 */
unsigned long explore_fallible(struct machine *m, unsigned long n);
/** explore_acquire() - the same for a lock, that others cannot have as well if @exclusive */
void explore_acquire(struct machine *m, const void *lock, bool (*ready)(const void *lock),
		     bool exclusive);
/**
 * explore_unlock() - the same before a lock is released, where some task only tries to have one, or
 *	may release one that it does not have
 */
void explore_unlock(struct machine *m, const void *lock);
/**
 * explore_read_unlock() - the same before a reader's lock is released, where some task may release
 *	one that it does not have: nobody need have had it first who acquires it behind that
 */
void explore_read_unlock(struct machine *m, const void *lock);
/** explore_release() - whoever acquires @object later comes after this */
void explore_release(struct machine *m, const void *object);
/** explore_wake() - what @task does once it runs comes after this */
struct emu_task;
void explore_wake(struct machine *m, const struct emu_task *task);
/** explore_grace_period() - @task goes on because a grace period of @flavour has ended */
void explore_grace_period(struct machine *m, const struct emu_task *task, int flavour);
/** explore_rcu_queued() - a callback of @flavour was queued: it comes after this */
void explore_rcu_queued(struct machine *m, int flavour);
/**
 * explore_rcu_exit() - a read section of @flavour ended
 *
 * What waits for it, because it asked after @start, comes after this.
 */
void explore_rcu_exit(struct machine *m, int flavour, unsigned long start);
/** explore_loses() - of this execution not everything can be told: the search is not exhaustive */
void explore_loses(struct machine *m);

#endif
