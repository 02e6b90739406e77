// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stacks of what a violation is about: where it happened, where the object was
 * allocated and freed, where the other access of a race was.
 *
 * They are kept while one schedule is replayed, when time does not matter, and
 * only then; a search has no more than a test whether to.  What was allocated
 * before the program began has no stack, only the function that its header
 * names.
 */
#include "stacks.h"

#include "machine.h"

#undef memset
#undef memcpy
#undef snprintf
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_KEPT (1UL << 18)
#define MAX_REPORTS 16

struct kept {
	const void *key;
	struct emu_stack stack;
};

/**
 * struct stacks - by what they have to do with, and those of violations
 * @kept: open addressing; a free place has no kind
 * @size: places, a power of two
 * @nr: how many are taken
 */
struct stacks {
	struct kept *kept;
	size_t size;
	size_t nr;
	unsigned int nr_reports;
	struct emu_violation_stacks reports[MAX_REPORTS];
};

struct stacks *stacks_new(void)
{
	struct stacks *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->size = 1024;
	s->kept = calloc(s->size, sizeof(*s->kept));
	if (s->kept)
		return s;
	free(s);
	return NULL;
}

void stacks_free(struct stacks *s)
{
	if (s)
		free(s->kept);
	free(s);
}

void stacks_forget(struct stacks *s)
{
	memset(s->kept, 0, s->size * sizeof(*s->kept));
	s->nr = 0;
	s->nr_reports = 0;
}

void walk_stack(const struct machine *m, const void *fp, uint64_t *pc, unsigned int max)
{
	const char *top = stack_top(m, m->running->stack);
	const char *frame = fp;
	unsigned int n = 0;

	memset(pc, 0, max * sizeof(*pc));
	while (n < max && frame >= stack_bottom(m, m->running->stack) &&
	       frame + 2 * sizeof(void *) <= top && !((uintptr_t)frame & 7)) {
		const char *above;

		memcpy(&pc[n++], frame + sizeof(void *), sizeof(void *));
		memcpy(&above, frame, sizeof(above));
		if (above <= frame)
			break;
		frame = above;
	}
}

static struct kept *place_of(struct kept *kept, size_t size, const void *key, int kind)
{
	size_t at = ((uintptr_t)key >> 3) * 0x9e3779b97f4a7c15UL >> 20;

	for (at += (size_t)kind;; at++) {
		struct kept *k = &kept[at & (size - 1)];

		if (!k->stack.kind || (k->key == key && k->stack.kind == kind))
			return k;
	}
}

static bool grow(struct stacks *s)
{
	struct kept *more = s->size < MAX_KEPT ? calloc(2 * s->size, sizeof(*more)) : NULL;

	if (!more)
		return false;
	for (size_t i = 0; i < s->size; i++)
		if (s->kept[i].stack.kind)
			*place_of(more, 2 * s->size, s->kept[i].key, s->kept[i].stack.kind) =
				s->kept[i];
	free(s->kept);
	s->kept = more;
	s->size *= 2;
	return true;
}

static __attribute__((always_inline)) inline void fill_in(const struct machine *m,
							  struct emu_stack *stack, int kind)
{
	memset(stack, 0, sizeof(*stack));
	stack->kind = kind;
	snprintf(stack->task, sizeof(stack->task), "%s", m->running->t.comm);
	walk_stack(m, __builtin_frame_address(0), stack->pc, EMU_STACK_FRAMES);
}

noinline void stacks_keep(struct machine *m, const void *key, int kind)
{
	struct stacks *s = m->backtraces;
	struct kept *place;

	if (!m->running || (s->nr >= s->size / 2 && !grow(s)))
		return;
	place = place_of(s->kept, s->size, key, kind);
	if (!place->stack.kind)
		s->nr++;
	place->key = key;
	fill_in(m, &place->stack, kind);
}

/* Of the violation just reported, with the running task's stack; NULL if there is no room. */
static noinline struct emu_violation_stacks *new_report(struct machine *m, int kind)
{
	struct stacks *s = m->backtraces;
	struct emu_violation_stacks *report = &s->reports[s->nr_reports];
	const struct violation *v;

	if (s->nr_reports == MAX_REPORTS || !m->running || !m->s->nr_violations)
		return NULL;
	s->nr_reports++;
	v = &m->violations[m->s->nr_violations - 1];
	memset(report, 0, sizeof(*report));
	report->violation = v->kind;
	memcpy(report->message, v->message, sizeof(report->message));
	report->nr = 1;
	fill_in(m, &report->stacks[0], kind);
	/* For when the machine itself touches it on behalf of that function. */
	snprintf(report->stacks[0].function, sizeof(report->stacks[0].function), "%s", v->func);
	return report;
}

static void add_kept(const struct stacks *s, struct emu_violation_stacks *report, const void *key,
		     int kind, const char *func)
{
	struct emu_stack *stack = &report->stacks[report->nr++];

	*stack = place_of(s->kept, s->size, key, kind)->stack;
	stack->kind = kind;
	snprintf(stack->function, sizeof(stack->function), "%s", func ? func : "");
}

noinline void stacks_of_object(struct machine *m, const struct alloc_header *object, int kind)
{
	struct emu_violation_stacks *report = new_report(m, kind);
	const void *key;
	char name[64];

	if (!report || !object)
		return;
	key = object + 1;
	add_kept(m->backtraces, report, key, EMU_STACK_ALLOCATION, object->site);
	if (object->freed)
		add_kept(m->backtraces, report, key, EMU_STACK_FREE,
			 symbol_name(m, object->free_func, name, sizeof(name)));
}

noinline void stacks_of_race(struct machine *m, const void *earlier)
{
	struct emu_violation_stacks *report = new_report(m, EMU_STACK_ACCESS);

	if (report)
		add_kept(m->backtraces, report, earlier, EMU_STACK_OTHER_ACCESS, NULL);
}

bool stacks_read(const struct stacks *s, uint32_t number, struct emu_violation_stacks *out)
{
	if (!s || number >= s->nr_reports)
		return false;
	*out = s->reports[number];
	return true;
}
