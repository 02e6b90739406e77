// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings that are used again.
 *
 * Most of what a machine costs that does little is to map it, to fault its
 * pages in, and to unmap it.  So each thread keeps the mapping of the last one
 * that it closed, of one size, for the next one that it makes.  What has been
 * written is zeroed, which is cheap as long as it is little: the first page of
 * the first stack, and the used parts of arena, shadow, log and trace; stacks
 * are given back to the system beyond that page.  A machine that has used
 * much, or in which something went wrong that may have written anywhere, is
 * unmapped.
 */
#include "spare.h"
#include "shelf.h"

#include <linux/kernel.h>

#undef memset
#include <string.h>
#include <sys/mman.h>

#define STACK_KEPT 4096UL
#define ARENA_CLEANED (64UL << 10)
#define LOG_CLEANED (16UL << 10)
#define TRACE_CLEANED 128UL

static void unmap_spare(void *spare)
{
	struct machine *m = spare;

	munmap(m->mapping, m->mapping_size);
}

struct machine *spare_take(size_t size)
{
	struct machine *m = shelf_take(SHELF_MACHINE);

	if (!m || m->mapping_size == size)
		return m;
	if (!shelf_keep(SHELF_MACHINE, m, unmap_spare))
		unmap_spare(m);
	return NULL;
}

bool spare_keep(struct machine *m)
{
	const struct machine_state *s = m->s;
	size_t brk = max(m->most.brk, s->brk);
	size_t log = max(m->most.log_end, s->log_end);
	size_t trace = max(m->most.trace_end, s->trace_end);
	struct machine kept = { .mapping = m->mapping,
				.mapping_size = m->mapping_size,
				.stacks_made = m->stacks_made };

	/* Violations are allocated with the first one, restored since or not. */
	if (m->task_died || m->violations || s->panicked || brk > ARENA_CLEANED ||
	    log > LOG_CLEANED || trace > TRACE_CLEANED || shelf_is_full(SHELF_MACHINE))
		return false;
	if (m->stacks_made) {
		char *bottom = stack_bottom(m, m->stacks_made - 1);
		char *top = stack_top(m, 0) - STACK_KEPT;

		/* Guards stay where they are. */
		if (madvise(bottom, (size_t)(top - bottom), MADV_DONTNEED))
			return false;
		memset(top, 0, STACK_KEPT);
	}
	memset(m->log, 0, log);
	memset(m->trace, 0, trace * sizeof(*m->trace));
	if (CHECKED_BUILD)
		memset(m->shadow, 0, (brk + 7) / 8);
	if (TRACKS_STORES) {
		memset(m->dirty, 0, brk / DIRTY_LINE / 8 + sizeof(*m->dirty));
		memset(m->hot, 0, brk / DIRTY_LINE / 8 + sizeof(*m->hot));
	}
	memset(m->arena, 0, brk);
	*m = kept;
	return shelf_keep(SHELF_MACHINE, m, unmap_spare);
}
