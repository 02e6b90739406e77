// SPDX-License-Identifier: GPL-2.0-only
/*
 * Orders of locks while schedules are explored.
 *
 * A class is all locks of one name, or one completion.  Whoever takes a lock
 * or waits for a completion while it holds locks adds an edge from each of
 * those.  Whoever completes adds an edge from the completion to each lock that
 * it has taken since it began, held or not: it had to get that far.  A cycle
 * is a deadlock in some schedule, unless something else excludes it, and is
 * reported although this execution did not deadlock.
 *
 * Edges here are those of one execution, so the schedule that is reported
 * shows the cycle when it is replayed.  All of its tasks have run in it, so
 * all of a cycle is there unless parts of it exclude each other: those are put
 * together in lock_union.c.
 *
 * In a deadlock every task waits for one thing.  So each edge of a cycle must
 * be of another task, or it is none.  Two locks of one class are not told
 * apart: there is no edge from a class to itself (parent and child devices).
 */
#include "lockdep.h"
#include "lock_union.h"

#undef memset
#undef memcpy
#undef strcmp
#undef strncmp
#undef strlen
#undef snprintf
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCKDEP_HELD 16
#define LOCKDEP_REPORTS 8
#define LOCKDEP_ALIASES 64

struct lock_class {
	const char *name;
	const void *completion; /* NULL: a lock */
	unsigned int united; /* of a lock: its number in all executions */
};

struct lockdep_task {
	unsigned long serial;
	unsigned int proc;
	char name[16];
	uint64_t taken; /* since it began */
	unsigned int nr_held;
	struct {
		const void *lock;
		unsigned int class;
	} held[LOCKDEP_HELD];
};

/**
 * struct lock_alias - another place where the machine keeps the name of a class
 */
struct lock_alias {
	const char *key;
	const void *completion;
	unsigned int class;
};

struct lockdep {
	unsigned int nr_classes;
	unsigned int nr_aliases;
	unsigned int nr_tasks;
	unsigned int nr_reported;
	uint64_t reported[LOCKDEP_REPORTS]; /* classes of each cycle */
	struct lock_graph graph;
	struct lock_class classes[LOCKDEP_CLASSES];
	char names[LOCKDEP_CLASSES][LOCKDEP_NAME]; /* of those that have no other place for it */
	unsigned int of_united[LOCKDEP_CLASSES]; /* class with that number in all executions */
	struct lock_alias aliases[LOCKDEP_ALIASES];
	struct lockdep_task tasks[LOCKDEP_TASKS];
};

bool lockdep_prepare(struct machine *m)
{
	if (!m->lockdep)
		m->lockdep = calloc(1, sizeof(*m->lockdep));
	return m->lockdep != NULL;
}

/* The running task, NULL if it is one too many. */
static struct lockdep_task *lockdep_task(struct machine *m)
{
	const struct emu_task *running = m->running;
	struct lockdep *l = m->lockdep;
	struct lockdep_task *task;

	if (!running || !l)
		return NULL;
	for (unsigned int i = 0; i < l->nr_tasks; i++)
		if (l->tasks[i].serial == running->serial)
			return &l->tasks[i];
	if (l->nr_tasks == LOCKDEP_TASKS)
		return NULL;
	undo_record(m, &l->nr_tasks, sizeof(l->nr_tasks));
	task = &l->tasks[l->nr_tasks++];
	memset(task, 0, sizeof(*task));
	task->serial = running->serial;
	memcpy(task->name, running->t.comm, sizeof(task->name));
	task->proc = lock_union_proc(m->explorer, task->name);
	return task;
}

/* One that there has not been; LOCKDEP_CLASSES: no room. */
static unsigned int new_class(struct machine *m, const char *name, const void *completion,
			      unsigned int united)
{
	struct lockdep *l = m->lockdep;
	const unsigned int i = l->nr_classes;
	struct lock_class *class = &l->classes[i];

	if (i == LOCKDEP_CLASSES)
		return i;
	undo_record(m, &l->nr_classes, sizeof(l->nr_classes));
	l->nr_classes++;
	l->graph.after[i] = 0;
	memset(l->graph.by[i], 0, sizeof(l->graph.by[i]));
	class->name = name;
	class->completion = completion;
	class->united = united;
	if (united != LOCKDEP_CLASSES)
		l->of_united[united] = i;
	return i;
}

/* The class of that name, wherever it is kept. */
static noinline unsigned int class_named(struct machine *m, const char *name,
					 const void *completion)
{
	struct lockdep *l = m->lockdep;
	unsigned int united = LOCKDEP_CLASSES, i;
	char text[LOCKDEP_NAME];

	/* Once for each class in each execution: not by snprintf(). */
	strncpy(text, string_or_unknown(m, name), sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (i = 0; i < l->nr_classes; i++)
		if (l->classes[i].completion == completion && !strcmp(l->classes[i].name, text))
			return i;
	if (i == LOCKDEP_CLASSES)
		return i;
	if (!completion)
		united = lock_union_class(m->explorer, text);
	if (united != LOCKDEP_CLASSES)
		return new_class(m, lock_union_name(m->explorer, united), NULL, united);
	memcpy(l->names[i], text, sizeof(text));
	return new_class(m, l->names[i], completion, united);
}

/* Its class, LOCKDEP_CLASSES if it is one too many. */
static unsigned int class_of(struct machine *m, const char *name, const void *completion)
{
	struct lockdep *l = m->lockdep;
	struct lock_alias *alias;
	unsigned int i;

	for (i = 0; i < l->nr_aliases; i++)
		if (l->aliases[i].key == name && l->aliases[i].completion == completion)
			return l->aliases[i].class;
	i = class_named(m, name, completion);
	if (l->nr_aliases < LOCKDEP_ALIASES) {
		undo_record(m, &l->nr_aliases, sizeof(l->nr_aliases));
		alias = &l->aliases[l->nr_aliases++];
		alias->key = name;
		alias->completion = completion;
		alias->class = i;
	}
	return i;
}

/* The same of a lock: nearly all have their name from the code, and are found by where that is. */
static unsigned int class_of_lock(struct machine *m, const char *name)
{
	struct lockdep *l = m->lockdep;
	unsigned int united, i;

	if (!is_constant(name))
		return class_of(m, name, NULL);
	united = lock_union_literal(m->explorer, name);
	if (united == LOCKDEP_CLASSES)
		return class_of(m, name, NULL);
	/* What stands there may be of an execution before, or of a step that was taken back. */
	i = l->of_united[united];
	if (i < l->nr_classes && l->classes[i].united == united)
		return i;
	return new_class(m, lock_union_name(m->explorer, united), NULL, united);
}

/* Can one come from @from to @to at all? */
static bool reaches(const struct lock_graph *g, unsigned int from, unsigned int to)
{
	uint64_t seen = 1UL << from, todo = seen;

	while (todo) {
		uint64_t next = g->after[__builtin_ctzl(todo)] & ~seen;

		if (next & 1UL << to)
			return true;
		todo = (todo & (todo - 1)) | next;
		seen |= next;
	}
	return false;
}

/*
 * A way from @at to @to of at most @most edges, each by another task and none
 * by one of @used; how many it has, 0: there is none.
 */
static unsigned int find_way(const struct lock_graph *g, unsigned int at, unsigned int to,
			     uint32_t used, uint64_t seen, unsigned int most,
			     struct lock_edge *edges)
{
	for (uint64_t next = g->after[at] & ~seen; next; next &= next - 1) {
		const unsigned int class = (unsigned int)__builtin_ctzl(next);

		for (uint32_t by = g->by[at][class] & ~used; by; by &= by - 1) {
			const unsigned int task = (unsigned int)__builtin_ctz(by);
			unsigned int n = 0;

			*edges = (struct lock_edge){ .class = at, .task = task };
			if (class == to)
				return 1;
			if (most > 1)
				n = find_way(g, class, to, used | 1U << task, seen | 1UL << class,
					     most - 1, edges + 1);
			if (n)
				return n + 1;
		}
	}
	return 0;
}

void lock_cycle_text(char text[LOCKDEP_TEXT], const struct lock_edge *edges, unsigned int nr,
		     const char *(*name_of)(const void *data, unsigned int class, bool *completion),
		     const char *(*task_of)(const void *data, unsigned int task), const void *data)
{
	unsigned int first = 0;
	size_t length = 0;
	bool a, b;

	for (unsigned int i = 1; i < nr; i++)
		if (strcmp(name_of(data, edges[i].class, &a),
			   name_of(data, edges[first].class, &b)) < 0)
			first = i;
	*text = '\0';
	for (unsigned int i = 0; i < nr && length < LOCKDEP_TEXT; i++) {
		const struct lock_edge *edge = &edges[(first + i) % nr];
		const char *from = name_of(data, edge->class, &a);
		const char *to = name_of(data, edges[(first + i + 1) % nr].class, &b);
		int wrote = snprintf(text + length, LOCKDEP_TEXT - length, "%s%s%s -> %s%s [%s]",
				     i ? ", " : "", a ? "completion " : "", from,
				     b ? "completion " : "", to, task_of(data, edge->task));

		length += wrote > 0 ? (size_t)wrote : 0;
	}
}

static const char *class_name(const void *data, unsigned int class, bool *completion)
{
	const struct lockdep *l = data;

	*completion = l->classes[class].completion != NULL;
	return l->classes[class].name;
}

static const char *task_name(const void *data, unsigned int task)
{
	return ((const struct lockdep *)data)->tasks[task].name;
}

/* The first edge is new: does it close a cycle? */
static void look_for_cycle(struct lockdep *l, struct lock_edge edges[LOCKDEP_TASKS],
			   unsigned int to)
{
	const uint32_t used = 1U << edges[0].task;
	char text[LOCKDEP_TEXT];
	uint64_t classes = 0;
	unsigned int n = 0;

	/* A shortest one; it has no more edges than there are tasks. */
	for (unsigned int most = 1; !n && most < l->nr_tasks; most++)
		n = find_way(&l->graph, to, edges[0].class, used, 1UL << to, most, edges + 1);
	if (!n)
		return;
	for (unsigned int i = 0; i <= n; i++)
		classes |= 1UL << edges[i].class;
	for (unsigned int i = 0; i < l->nr_reported; i++)
		if (l->reported[i] == classes)
			return;
	if (l->nr_reported == LOCKDEP_REPORTS)
		return;
	undo_record(this_machine(), &l->nr_reported, sizeof(l->nr_reported));
	l->reported[l->nr_reported++] = classes;
	lock_cycle_text(text, edges, n + 1, class_name, task_name, l);
	report_violation(VIOLATION_LOCK_ORDER, "cycle of locks: %s", text);
}

/* A new edge: which order of locks is it for all executions, with what this one has shown? */
static void tell_union(struct explorer *x, const struct lockdep *l, const struct lockdep_task *task,
		       unsigned int from, unsigned int to)
{
	const struct lock_class *a = &l->classes[from], *b = &l->classes[to];
	const struct lock_graph *g = &l->graph;

	if (x->starting)
		return;
	if (!a->completion && !b->completion) {
		lock_union_learn(x, a->united, b->united, task->proc);
		return;
	}
	if (b->completion) {
		for (uint64_t next = g->after[to]; next; next &= next - 1) {
			const unsigned int class = (unsigned int)__builtin_ctzl(next);

			for (uint32_t by = g->by[to][class]; by; by &= by - 1)
				lock_union_learn_wait(x, a->united, l->classes[class].united,
						      task->proc, l->tasks[__builtin_ctz(by)].proc,
						      b->name);
		}
		return;
	}
	for (unsigned int class = 0; class < l->nr_classes; class ++)
		if (g->after[class] & 1UL << from)
			for (uint32_t by = g->by[class][from]; by; by &= by - 1)
				lock_union_learn_wait(x, l->classes[class].united, b->united,
						      l->tasks[__builtin_ctz(by)].proc, task->proc,
						      a->name);
}

static void add_edge(struct lockdep *l, const struct lockdep_task *task, unsigned int from,
		     unsigned int to)
{
	const unsigned int number = (unsigned int)(task - l->tasks);
	struct lock_edge edges[LOCKDEP_TASKS + 1];
	uint64_t *after = &l->graph.after[from];
	uint32_t *by = &l->graph.by[from][to];
	struct machine *m = this_machine();

	if (from == to || *by & 1U << number)
		return;
	undo_record(m, after, sizeof(*after));
	undo_record(m, by, sizeof(*by));
	*after |= 1UL << to;
	*by |= 1U << number;
	tell_union(m->explorer, l, task, from, to);
	if (!reaches(&l->graph, to, from))
		return;
	edges[0] = (struct lock_edge){ .class = from, .task = number };
	look_for_cycle(l, edges, to);
}

static void waits_for(struct lockdep *l, const struct lockdep_task *task, unsigned int class)
{
	for (unsigned int i = 0; i < task->nr_held; i++)
		add_edge(l, task, task->held[i].class, class);
}

void lockdep_acquire(struct machine *m, const void *lock, const char *name, bool tried)
{
	struct lockdep_task *task = lockdep_task(m);
	unsigned int class;

	if (!task)
		return;
	class = class_of_lock(m, name);
	if (class == LOCKDEP_CLASSES)
		return;
	if (!tried) {
		waits_for(m->lockdep, task, class);
		undo_record(m, &task->taken, sizeof(task->taken));
		task->taken |= 1UL << class;
	}
	if (task->nr_held == LOCKDEP_HELD)
		return;
	undo_record(m, &task->nr_held, sizeof(task->nr_held));
	undo_record(m, &task->held[task->nr_held], sizeof(task->held[0]));
	task->held[task->nr_held].lock = lock;
	task->held[task->nr_held++].class = class;
}

void lockdep_release(struct machine *m, const void *lock)
{
	struct lockdep_task *task = lockdep_task(m);

	if (!task)
		return;
	for (unsigned int i = task->nr_held; i-- > 0;)
		if (task->held[i].lock == lock) {
			undo_record(m, &task->nr_held, sizeof(task->nr_held));
			undo_record(m, &task->held[i], sizeof(task->held[i]));
			task->held[i] = task->held[--task->nr_held];
			return;
		}
}

void lockdep_wait(struct machine *m, const void *completion, const char *name)
{
	struct lockdep_task *task = lockdep_task(m);
	unsigned int class;

	if (!task)
		return;
	class = class_of(m, name, completion);
	if (class != LOCKDEP_CLASSES)
		waits_for(m->lockdep, task, class);
}

void lockdep_complete(struct machine *m, const void *completion, const char *name)
{
	struct lockdep_task *task = lockdep_task(m);
	unsigned int class;

	if (!task)
		return;
	class = class_of(m, name, completion);
	if (class == LOCKDEP_CLASSES)
		return;
	for (uint64_t taken = task->taken; taken; taken &= taken - 1)
		add_edge(m->lockdep, task, class, (unsigned int)__builtin_ctzl(taken));
}

void lockdep_shown(struct explorer *x)
{
	const struct lockdep *l = x->m->lockdep;

	for (unsigned int i = 0; i < l->nr_reported; i++) {
		uint64_t united = 0;
		bool all = true;

		for (uint64_t classes = l->reported[i]; classes; classes &= classes - 1) {
			const struct lock_class *class = &l->classes[__builtin_ctzl(classes)];

			if (class->united != LOCKDEP_CLASSES)
				united |= 1UL << class->united;
			else if (!class->completion)
				all = false;
		}
		if (all)
			lock_union_shown(x, united);
	}
}

void lockdep_forget(struct machine *m)
{
	if (!m->lockdep)
		return;
	m->lockdep->nr_classes = 0;
	m->lockdep->nr_aliases = 0;
	m->lockdep->nr_tasks = 0;
	m->lockdep->nr_reported = 0;
}

void lockdep_free(struct machine *m)
{
	free(m->lockdep);
	m->lockdep = NULL;
}
