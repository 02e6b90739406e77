/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_KCSAN_H
#define EMU_KCSAN_H

/*
 * Data races while schedules are explored: see kcsan.c.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct emu_task;
struct machine;

/* How an access is carried out; the atomic ones have a C11 memory order besides. */
enum kcsan_access {
	KCSAN_PLAIN,
	KCSAN_LOAD,
	KCSAN_STORE,
	KCSAN_UPDATE,
};

/** kcsan_plain() - the running task is about to access memory plainly */
void kcsan_plain(struct machine *m, const void *addr, size_t size, bool write, const void *pc);
/** kcsan_marked() - the same for an atomic or volatile access of memory @order */
void kcsan_marked(struct machine *m, const void *addr, size_t size, enum kcsan_access kind,
		  int order, const void *pc);
/** kcsan_object_free() - it is about to free an object, whose plain accesses must be over */
void kcsan_object_free(struct machine *m, const void *object, size_t size, const void *pc);
/** kcsan_fence() - a full memory barrier */
void kcsan_fence(struct machine *m);
/** kcsan_acquire() - what the task does from here comes after each release of @object */
void kcsan_acquire(struct machine *m, const void *object);
/** kcsan_release() - what the task has done comes before later acquisitions of @object */
void kcsan_release(struct machine *m, const void *object);
/**
 * kcsan_concurrent() - hash of the accesses of others that do not come before what @task does
 *	next, and of what orders them before what comes later
 */
uint64_t kcsan_concurrent(struct machine *m, const struct emu_task *task);
/** kcsan_section_ends() - of @flavour, by the running task; it began at @start */
void kcsan_section_ends(struct machine *m, int flavour, unsigned long start);
/** kcsan_grace_period() - what the task does from here comes after the sections waited for at @clock */
void kcsan_grace_period(struct machine *m, int flavour, unsigned long clock);
/** kcsan_prepare() - schedules will be explored; false: the host is out of memory */
bool kcsan_prepare(struct machine *m);
/** kcsan_forget() - another execution begins */
void kcsan_forget(struct machine *m);
/** kcsan_free() - the machine goes away */
void kcsan_free(struct machine *m);

#endif
