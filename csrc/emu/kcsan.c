// SPDX-License-Identifier: GPL-2.0-only
/*
 * Data races while schedules are explored.
 *
 * Two accesses of different tasks to the same bytes, one of them a write and
 * one of them plain, race unless synchronisation orders them.  What orders is
 * kept in vector clocks, what was accessed in epochs (task, time) of up to
 * four accesses for each eight bytes, after Flanagan and Freund, "FastTrack:
 * efficient and precise dynamic race detection", PLDI 2009.  A fifth access
 * displaces the oldest: a race can be missed, none is invented.
 *
 * This order is not the explorer's, which orders every two visible operations
 * that conflict.  Here only these order:
 *
 * - a lock: its release before its next acquisition; of a readers' lock,
 *   readers only after and before writers.  Completions, wait queues and the
 *   workqueue are lists under a lock and are ordered by it;
 * - atomics by their memory orders: a release and what acquires the value.
 *   Relaxed ones only together with fences;
 * - READ_ONCE() as an address dependency, like memory_order_consume that is
 *   taken for acquire: it comes after the release store, such as
 *   rcu_assign_pointer(), whose value it reads.  WRITE_ONCE() is relaxed;
 * - counts of struct pages: each change is a full barrier;
 * - RCU: the ends of read sections before the end of a grace period, call_rcu()
 *   before its callback, callbacks before the end of rcu_barrier().
 *
 * Not reported, by rule:
 *
 * - marked accesses among each other: they are what the marks are for;
 * - a plain, aligned write of at most a word against a marked read: no
 *   compiler tears it, and the kernel relies on that (percpu_ref changes its
 *   mode so), as KCSAN assumes by default;
 * - per-CPU data by two tasks of one CPU: this_cpu operations are one
 *   instruction there.
 */
#include "kcsan.h"
#include "machine.h"

#undef memset
#undef memcpy
#undef snprintf
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KCSAN_TASKS 32
#define KCSAN_GRANULES (1U << 15)
#define KCSAN_OBJECTS (1U << 10)
#define KCSAN_PROBES 16
#define KCSAN_SLOTS 4
#define KCSAN_REPORTS 8

typedef uint16_t order_vector __attribute__((vector_size(16), may_alias));

struct order {
	uint16_t at[KCSAN_TASKS];
} __attribute__((aligned(16)));

/**
 * struct accessed - one access to bytes of a granule
 * @time: of the task that made it, 0: none
 * @task: which
 * @bytes: bit mask
 * @all: all of that in one word
 */
struct accessed {
	const void *pc;
	union {
		struct {
			uint16_t time;
			uint8_t task;
			uint8_t bytes;
			bool write, marked;
		};
		uint64_t all;
	};
};

_Static_assert(sizeof(struct accessed) == 16, "two words");

struct granule {
	uintptr_t address;
	uint32_t generation;
	uint32_t next; /* slot to be displaced */
	struct accessed slots[KCSAN_SLOTS];
};

struct released {
	uintptr_t address;
	uint32_t generation;
	struct order order;
};

struct kcsan_task {
	unsigned long serial;
	int cpu;
	char name[16];
	struct order order;
	struct order fence; /* what it had done at its last fence */
	struct order seen; /* what relaxed loads saw, for its next fence */
};

struct kcsan {
	uint32_t generation;
	unsigned int nr_tasks;
	unsigned int nr_reports;
	unsigned int last; /* task that was asked for last */
	const void *reported[KCSAN_REPORTS][2];
	struct kcsan_task tasks[KCSAN_TASKS];
	struct released released[KCSAN_OBJECTS];
	struct granule granules[KCSAN_GRANULES];
};

static void order_after(struct order *a, const struct order *b)
{
	order_vector *to = (order_vector *)a->at;
	const order_vector *from = (const order_vector *)b->at;

	for (unsigned int i = 0; i < sizeof(*a) / sizeof(*to); i++) {
		order_vector less = (order_vector)(to[i] < from[i]);

		to[i] = (from[i] & less) | (to[i] & ~less);
	}
}

bool kcsan_prepare(struct machine *m)
{
	if (m->kcsan)
		return true;
	m->kcsan = calloc(1, sizeof(*m->kcsan));
	if (m->kcsan)
		m->kcsan->generation = 1;
	return m->kcsan != NULL;
}

/* The task that runs, which is not the one that was asked for last. */
static noinline struct kcsan_task *find_task(struct machine *m)
{
	const struct emu_task *running = m->running;
	struct kcsan *k = m->kcsan;
	struct kcsan_task *task;

	for (unsigned int i = 0; i < k->nr_tasks; i++)
		if (k->tasks[i].serial == running->serial) {
			k->last = i;
			return &k->tasks[i];
		}
	if (k->nr_tasks == KCSAN_TASKS)
		return NULL;
	undo_record(m, &k->nr_tasks, sizeof(k->nr_tasks));
	task = &k->tasks[k->nr_tasks];
	memset(task, 0, sizeof(*task));
	task->serial = running->serial;
	task->cpu = running->t.cpu;
	snprintf(task->name, sizeof(task->name), "%s", running->t.comm);
	task->order.at[k->nr_tasks++] = 1;
	return task;
}

/* The running task, NULL if nothing is to be watched. */
static inline struct kcsan_task *kcsan_task(struct machine *m)
{
	const struct emu_task *running = m->running;
	struct kcsan *k = m->kcsan;

	if (!running || m->quiet || !k)
		return NULL;
	if (likely(k->last < k->nr_tasks && k->tasks[k->last].serial == running->serial))
		return &k->tasks[k->last];
	return find_task(m);
}

/* What the releases of @object order, an empty one if there was none; NULL: no room. */
static struct order *released_order(struct machine *m, uintptr_t object)
{
	struct kcsan *k = m->kcsan;
	size_t at = (object >> 3) * 0x9e3779b1U;

	for (unsigned int i = 0; i < KCSAN_PROBES; i++) {
		struct released *r = &k->released[(at + i) % KCSAN_OBJECTS];

		if (r->generation != k->generation) {
			/* With its generation of before it is free again, whatever is in it. */
			undo_record(m, &r->generation, sizeof(r->generation));
			r->generation = k->generation;
			r->address = object;
			memset(&r->order, 0, sizeof(r->order));
			return &r->order;
		}
		if (r->address == object)
			return &r->order;
	}
	return NULL;
}

static void next_time(struct machine *m, struct kcsan_task *task)
{
	uint16_t *time = &task->order.at[task - m->kcsan->tasks];

	undo_record(m, time, sizeof(*time));
	++*time;
}

void kcsan_acquire(struct machine *m, const void *object)
{
	struct kcsan_task *task = kcsan_task(m);
	struct order *order;

	if (!task)
		return;
	order = released_order(m, (uintptr_t)object);
	if (!order)
		return;
	undo_record(m, &task->order, sizeof(task->order));
	order_after(&task->order, order);
}

void kcsan_release(struct machine *m, const void *object)
{
	struct kcsan_task *task = kcsan_task(m);
	struct order *order;

	if (!task)
		return;
	order = released_order(m, (uintptr_t)object);
	if (order) {
		undo_record(m, order, sizeof(*order));
		order_after(order, &task->order);
	}
	next_time(m, task);
}

void kcsan_fence(struct machine *m)
{
	struct kcsan_task *task = kcsan_task(m);

	if (!task)
		return;
	undo_record(m, &task->order, sizeof(task->order));
	undo_record(m, &task->fence, sizeof(task->fence));
	order_after(&task->order, &task->seen);
	task->fence = task->order;
	next_time(m, task);
}

static noinline void report_race(struct machine *m, const struct accessed *first,
				 const struct accessed *second, uintptr_t addr)
{
	struct kcsan *k = m->kcsan;
	const struct kcsan_task *one = &k->tasks[first->task], *two = &k->tasks[second->task];
	const struct alloc_header *h = find_object(m, (const void *)addr);
	char name[2][64], object[96];
	const char *func[2];

	if (h && h->kind == OBJECT_MACHINE)
		return;
	if (h && h->kind == OBJECT_PERCPU && one->cpu == two->cpu)
		return;
	for (unsigned int i = 0; i < k->nr_reports; i++)
		if ((k->reported[i][0] == first->pc && k->reported[i][1] == second->pc) ||
		    (k->reported[i][1] == first->pc && k->reported[i][0] == second->pc))
			return;
	if (k->nr_reports == KCSAN_REPORTS)
		return;
	undo_record(m, &k->nr_reports, sizeof(k->nr_reports));
	k->reported[k->nr_reports][0] = first->pc;
	k->reported[k->nr_reports++][1] = second->pc;
	func[0] = symbol_name(m, first->pc, name[0], sizeof(name[0]));
	func[1] = symbol_name(m, second->pc, name[1], sizeof(name[1]));
	if (h)
		snprintf(object, sizeof(object), "+0x%lx of an object allocated in %s()",
			 (unsigned long)(addr - (uintptr_t)h - sizeof(*h)), h->site);
	else
		snprintf(object, sizeof(object), "+0x%lx of the kernel's data",
			 (unsigned long)(addr - (uintptr_t)&m->s->kernel));
	report_violation_in(VIOLATION_DATA_RACE, func[1],
			    "%s%s of %d bytes at %s in %s() [%s] and %s%s in %s() [%s]",
			    second->marked ? "marked " : "", second->write ? "write" : "read",
			    __builtin_popcount(second->bytes), object, func[1] ? func[1] : "?",
			    two->name, first->marked ? "marked " : "",
			    first->write ? "write" : "read", func[0] ? func[0] : "?", one->name);
	if (unlikely(m->backtraces != NULL))
		stacks_of_race(m, first);
}

static struct granule *find_granule(struct machine *m, uintptr_t address)
{
	struct kcsan *k = m->kcsan;

	for (unsigned int i = 0; i < KCSAN_PROBES; i++) {
		struct granule *g = &k->granules[(address / 8 + i) % KCSAN_GRANULES];

		if (g->generation != k->generation) {
			undo_record(m, &g->generation, sizeof(g->generation));
			g->generation = k->generation;
			g->address = address;
			g->next = 0;
			memset(g->slots, 0, sizeof(g->slots));
			return g;
		}
		if (g->address == address)
			return g;
	}
	return NULL;
}

/* A plain write of a whole, aligned word or less (see above). */
static bool is_whole(const struct accessed *a)
{
	unsigned int size = (unsigned int)__builtin_popcount(a->bytes);

	return a->write && !a->marked && !(size & (size - 1)) &&
	       (unsigned int)__builtin_ctz(a->bytes) % size == 0;
}

static bool may_race(const struct accessed *a, const struct accessed *b)
{
	if (!(a->bytes & b->bytes) || (a->marked && b->marked) || (!a->write && !b->write))
		return false;
	return !(is_whole(a) && b->marked && !b->write) && !(is_whole(b) && a->marked && !a->write);
}

static void access_granule(struct machine *m, const struct kcsan_task *task, uintptr_t address,
			   const struct accessed *now)
{
	struct granule *g = find_granule(m, address);
	struct accessed *place = NULL;

	if (!g)
		return;
	/* Once more in the same epoch: whoever came in between has been held against it. */
	for (unsigned int i = 0; i < KCSAN_SLOTS; i++)
		if (g->slots[i].all == now->all)
			return;
	for (unsigned int i = 0; i < KCSAN_SLOTS; i++) {
		struct accessed *before = &g->slots[i];

		if (!before->time) {
			if (!place)
				place = before;
			continue;
		}
		if (before->task == now->task) {
			if (before->bytes == now->bytes && before->write == now->write &&
			    before->marked == now->marked)
				place = before;
			continue;
		}
		if (before->time > task->order.at[before->task] && may_race(before, now))
			report_race(m, before, now,
				    address + (unsigned int)__builtin_ctz(now->bytes));
	}
	if (!place) {
		undo_record(m, &g->next, sizeof(g->next));
		place = &g->slots[g->next++ % KCSAN_SLOTS];
	}
	undo_record(m, place, sizeof(*place));
	*place = *now;
	if (unlikely(m->backtraces != NULL))
		stacks_keep(m, place, EMU_STACK_OTHER_ACCESS);
}

static void access_bytes(struct machine *m, const struct kcsan_task *task, const void *addr,
			 size_t size, struct accessed *now)
{
	uintptr_t start = (uintptr_t)addr, end = start + size;

	now->task = (uint8_t)(task - m->kcsan->tasks);
	now->time = task->order.at[now->task];
	for (uintptr_t g = start & ~7UL; g < end; g += 8) {
		unsigned int from = start > g ? (unsigned int)(start - g) : 0;
		unsigned int to = end < g + 8 ? (unsigned int)(end - g) : 8;

		now->bytes = (uint8_t)((1U << to) - (1U << from));
		access_granule(m, task, g, now);
	}
}

static bool watched(const struct machine *m, const void *addr)
{
	size_t off = (size_t)((const char *)addr - m->arena);
	size_t kernel = (size_t)((const char *)&m->s->kernel - m->arena);

	return off < m->arena_size && (off >= sizeof(struct machine_state) ||
				       (off >= kernel && off - kernel < sizeof(m->s->kernel)));
}

void kcsan_plain(struct machine *m, const void *addr, size_t size, bool write, const void *pc)
{
	struct accessed now = { .pc = pc, .write = write };
	const struct kcsan_task *task;

	if (!watched(m, addr))
		return;
	task = kcsan_task(m);
	if (task)
		access_bytes(m, task, addr, size, &now);
}

void kcsan_marked(struct machine *m, const void *addr, size_t size, enum kcsan_access kind,
		  int order, const void *pc)
{
	struct accessed now = { .pc = pc, .write = kind != KCSAN_LOAD, .marked = true };
	bool acquires = order != __ATOMIC_RELAXED && order != __ATOMIC_RELEASE;
	bool releases = order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL ||
			order == __ATOMIC_SEQ_CST;
	struct kcsan_task *task;
	struct order *released;

	if (!watched(m, addr))
		return;
	task = kcsan_task(m);
	if (!task)
		return;
	access_bytes(m, task, addr, size, &now);
	released = released_order(m, (uintptr_t)addr);
	if (!released)
		return;
	if (kind != KCSAN_STORE) {
		struct order *order = acquires ? &task->order : &task->seen;

		undo_record(m, order, sizeof(*order));
		order_after(order, released);
	}
	if (kind == KCSAN_LOAD)
		return;
	undo_record(m, released, sizeof(*released));
	/* A store's value is nobody else's; an update carries on what it has changed. */
	if (kind == KCSAN_STORE)
		memset(released, 0, sizeof(*released));
	order_after(released, releases ? &task->order : &task->fence);
	if (releases)
		next_time(m, task);
}

void kcsan_forget(struct machine *m)
{
	if (!m->kcsan)
		return;
	m->kcsan->generation++;
	m->kcsan->nr_tasks = 0;
	m->kcsan->nr_reports = 0;
}

void kcsan_free(struct machine *m)
{
	free(m->kcsan);
	m->kcsan = NULL;
}
