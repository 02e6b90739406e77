/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_STACKS_H
#define EMU_STACKS_H

/*
 * Stacks of what a violation is about, while a schedule is replayed: see stacks.c.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct alloc_header;
struct machine;
struct stacks;
struct emu_violation_stacks;

/** stacks_new() - nothing kept; NULL: the host is out of memory */
struct stacks *stacks_new(void);
/** stacks_free() - NULL is none */
void stacks_free(struct stacks *stacks);
/** stacks_forget() - another execution begins */
void stacks_forget(struct stacks *stacks);
/** walk_stack() - up to @max return addresses of the running task, from its frame @fp on */
void walk_stack(const struct machine *m, const void *fp, uint64_t *pc, unsigned int max);
/** stacks_keep() - where the running task is has to do with @key: an enum emu_stack_kind */
void stacks_keep(struct machine *m, const void *key, int kind);
/** stacks_of_object() - the violation just reported is an access to, or a free of, an object */
void stacks_of_object(struct machine *m, const struct alloc_header *object, int kind);
/** stacks_of_race() - the violation just reported is a race with the access kept as @earlier */
void stacks_of_race(struct machine *m, const void *earlier);
/** stacks_read() - of the violation with this number; false: there is none */
bool stacks_read(const struct stacks *stacks, uint32_t number, struct emu_violation_stacks *out);

#endif
