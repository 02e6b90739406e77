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
 * Edges are those of one execution.  All of its tasks have run in it, so both
 * halves of a cycle are there unless they exclude each other; and the schedule
 * that is reported shows the cycle when it is replayed.
 *
 * A cycle of edges that one task made is none: it does one thing after the
 * other.  Two locks of one class are not told apart: there is no edge from a class to
 * itself (parent and child devices).
 */
#include "lockdep.h"
#include "machine.h"

#undef memset
#undef strcmp
#undef strlen
#undef snprintf
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCKDEP_CLASSES 64 /* bits of a word */
#define LOCKDEP_TASKS 32
#define LOCKDEP_HELD 16
#define LOCKDEP_REPORTS 8
#define LOCKDEP_ALIASES 64

struct lock_class {
	char name[48];
	const void *completion; /* NULL: a lock */
	uint64_t after; /* classes that have been taken while this was held */
	uint32_t by[LOCKDEP_CLASSES]; /* for each of them: bit mask of the tasks */
};

struct lockdep_task {
	unsigned long serial;
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
	struct lock_class classes[LOCKDEP_CLASSES];
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
	snprintf(task->name, sizeof(task->name), "%s", running->t.comm);
	return task;
}

/* The class of that name, wherever it is kept. */
static noinline unsigned int class_named(struct machine *m, const char *name,
					 const void *completion)
{
	struct lockdep *l = m->lockdep;
	struct lock_class *class;
	char text[sizeof(class->name)];
	unsigned int i;

	snprintf(text, sizeof(text), "%s", string_or_unknown(m, name));
	for (i = 0; i < l->nr_classes; i++)
		if (l->classes[i].completion == completion && !strcmp(l->classes[i].name, text))
			return i;
	if (i == LOCKDEP_CLASSES)
		return i;
	undo_record(m, &l->nr_classes, sizeof(l->nr_classes));
	class = &l->classes[l->nr_classes++];
	memset(class, 0, sizeof(*class));
	snprintf(class->name, sizeof(class->name), "%s", text);
	class->completion = completion;
	return i;
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

/* A shortest way from @from to @to: whence each class on it was reached. */
static bool find_way(const struct lockdep *l, unsigned int from, unsigned int to,
		     uint8_t whence[LOCKDEP_CLASSES])
{
	uint8_t queue[LOCKDEP_CLASSES];
	unsigned int head = 0, tail = 0;
	uint64_t seen = 1UL << from;

	queue[tail++] = (uint8_t)from;
	while (head < tail) {
		unsigned int at = queue[head++];

		for (uint64_t next = l->classes[at].after & ~seen; next; next &= next - 1) {
			unsigned int class = (unsigned int)__builtin_ctzl(next);

			whence[class] = (uint8_t)at;
			if (class == to)
				return true;
			seen |= 1UL << class;
			queue[tail++] = (uint8_t) class;
		}
	}
	return false;
}

static void report_cycle(struct lockdep *l, unsigned int from, unsigned int to,
			 const uint8_t whence[LOCKDEP_CLASSES])
{
	uint8_t cycle[LOCKDEP_CLASSES];
	unsigned int n = 0, first = 0;
	char text[256] = "";
	size_t length = 0;
	uint64_t classes = 0;
	uint32_t tasks = 0;

	/* Backwards from the edge that closes it, then in order of the edges. */
	for (unsigned int at = from;; at = whence[at]) {
		cycle[n++] = (uint8_t)at;
		if (at == to)
			break;
	}
	for (unsigned int i = 0; i < n; i++) {
		classes |= 1UL << cycle[i];
		tasks |= l->classes[cycle[(i + 1) % n]].by[cycle[i]];
	}
	/* One task alone does one thing after the other. */
	if (!(tasks & (tasks - 1)))
		return;
	for (unsigned int i = 0; i < l->nr_reported; i++)
		if (l->reported[i] == classes)
			return;
	if (l->nr_reported == LOCKDEP_REPORTS)
		return;
	undo_record(this_machine(), &l->nr_reported, sizeof(l->nr_reported));
	l->reported[l->nr_reported++] = classes;
	/* The same cycle reads the same, whoever closed it. */
	for (unsigned int i = 1; i < n; i++)
		if (strcmp(l->classes[cycle[i]].name, l->classes[cycle[first]].name) < 0)
			first = i;
	for (unsigned int i = 0; i < n; i++) {
		const struct lock_class *a = &l->classes[cycle[(first + n - i) % n]];
		unsigned int next = cycle[(first + n + n - i - 1) % n];
		const struct lock_class *b = &l->classes[next];
		int wrote = snprintf(text + length, sizeof(text) - length, "%s%s%s -> %s%s [%s]",
				     i ? ", " : "", a->completion ? "completion " : "", a->name,
				     b->completion ? "completion " : "", b->name,
				     l->tasks[__builtin_ctz(a->by[next])].name);

		length += wrote > 0 ? (size_t)wrote : 0;
		if (length >= sizeof(text))
			break;
	}
	report_violation(VIOLATION_LOCK_ORDER, "cycle of locks: %s", text);
}

static void add_edge(struct lockdep *l, const struct lockdep_task *task, unsigned int from,
		     unsigned int to)
{
	struct lock_class *class = &l->classes[from];
	const uint32_t by = 1U << (task - l->tasks);
	uint8_t whence[LOCKDEP_CLASSES];

	if (from == to || class->by[to] & by)
		return;
	undo_record(this_machine(), &class->after, sizeof(class->after));
	undo_record(this_machine(), &class->by[to], sizeof(class->by[to]));
	class->after |= 1UL << to;
	class->by[to] |= by;
	if (find_way(l, to, from, whence))
		report_cycle(l, from, to, whence);
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
	class = class_of(m, name, NULL);
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
