// SPDX-License-Identifier: GPL-2.0-only
/*
 * Data races while schedules are explored.
 *
 * Two accesses of different tasks to the same bytes, one of them a write and
 * one of them plain, race unless synchronisation orders them.  A free races
 * with plain accesses before it; marked ones are tried behind it by the
 * explorer, and then they are used after free.  What orders is
 * kept in vector clocks, what was accessed in epochs (task, time) of up to
 * four accesses for each eight bytes, after Flanagan and Freund, "FastTrack:
 * efficient and precise dynamic race detection", PLDI 2009.  A fifth access
 * displaces the oldest, and of many callbacks a later one takes the number of one that is over:
 * a race can be missed, none is invented.
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
 * - RCU: the ends of read sections before the end of a grace period that was asked for
 *   after their beginning, call_rcu() before its callback, callbacks before the end of rcu_barrier().
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
#include "kcsan_tables.h"
#include "pages.h"
#include "shelf.h"

#undef memset
#undef memcpy
#undef snprintf
#undef strncmp
#include <stdio.h>
#include <string.h>

/* This module, as the linker calls it. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));

static inline const void *pc_of(accessed_t a)
{
	return __ehdr_start + (uint32_t)a;
}

static void order_after(struct order *restrict a, const struct order *restrict b)
{
	for (unsigned int i = 0; i < KCSAN_TASKS; i++)
		a->at[i] = a->at[i] < b->at[i] ? b->at[i] : a->at[i];
}

typedef uint16_t order_vector __attribute__((vector_size(16), may_alias));

/* Does @a come after @b already? */
static bool is_after(const struct order *a, const struct order *b)
{
	const order_vector *to = (const order_vector *)a->at;
	const order_vector *from = (const order_vector *)b->at;
	union {
		order_vector vector;
		uint64_t words[sizeof(order_vector) / 8];
	} less = { .vector = { 0 } };

	for (unsigned int i = 0; i < sizeof(*a) / sizeof(*to); i++)
		less.vector |= (order_vector)(to[i] < from[i]);
	return !(less.words[0] | less.words[1]);
}

bool kcsan_prepare(struct machine *m)
{
	if (m->kcsan)
		return true;
	m->kcsan = shelf_take(SHELF_KCSAN);
	if (!m->kcsan)
		m->kcsan = map_pages(sizeof(*m->kcsan));
	if (!m->kcsan)
		return false;
	/* What another machine has left is of an earlier generation. */
	kcsan_forget(m);
	m->kcsan->last = m->kcsan->tasks;
	return true;
}

/*
 * What orders accesses cannot be remembered any more.  No race is told of in this execution from
 * here on: it might be none.
 */
static noinline void lose_orders(struct machine *m)
{
	struct kcsan *k = m->kcsan;

	undo_record(m, &k->lost, sizeof(k->lost));
	k->lost = true;
	explore_loses(m);
}

static bool is_there(const struct machine *m, const struct kcsan_task *task)
{
	for (int i = 0; i < m->s->nr_tasks; i++)
		if (m->s->tasks[i]->kind != TASK_FREE && m->s->tasks[i]->serial == task->serial)
			return true;
	return false;
}

/*
 * The oldest callback, or item of work, that is over and was where the running one is, which goes on
 * with its number and its time: the two are not held against each other.  NULL: there is none.
 */
static struct kcsan_task *find_over(struct machine *m)
{
	const struct task_struct *running = &m->running->t;
	struct kcsan *k = m->kcsan;
	struct kcsan_task *oldest = NULL;

	for (struct kcsan_task *task = k->tasks; task < k->tasks + k->nr_tasks; task++)
		if (task->cpu == running->cpu && (!oldest || task->serial < oldest->serial) &&
		    !strncmp(task->name, running->comm, sizeof(task->name)) && !is_there(m, task))
			oldest = task;
	return oldest;
}

/* The task that runs, which is not the one that was asked for last. */
static noinline struct kcsan_task *find_task(struct machine *m)
{
	const struct emu_task *running = m->running;
	/* However many callbacks have run, there is room for those of the program. */
	const unsigned int room =
		KCSAN_TASKS - (running->kind == TASK_DIRECT ? 0 : MAX_PROGRAM_TASKS);
	struct kcsan *k = m->kcsan;
	struct kcsan_task *task;
	uint16_t time = 0;

	for (unsigned int i = 0; i < k->nr_tasks; i++)
		if (k->tasks[i].serial == running->serial) {
			k->last = &k->tasks[i];
			return k->last;
		}
	task = k->nr_tasks < room ? NULL : find_over(m);
	if (task) {
		undo_record(m, task, sizeof(*task));
		time = task->order.at[task->number];
	} else if (k->nr_tasks < KCSAN_TASKS) {
		undo_record(m, &k->nr_tasks, sizeof(k->nr_tasks));
		task = &k->tasks[k->nr_tasks++];
	} else {
		lose_orders(m);
		return NULL;
	}
	memset(task, 0, sizeof(*task));
	task->serial = running->serial;
	task->number = (uint16_t)(task - k->tasks);
	task->cpu = running->t.cpu;
	memcpy(task->name, running->t.comm, sizeof(task->name));
	task->order.at[task->number] = (uint16_t)(time + 1);
	k->last = task;
	return task;
}

/* Is it the one that was asked for last? */
static inline bool is_last(const struct kcsan *k, const struct emu_task *running)
{
	return k->last->number < k->nr_tasks && k->last->serial == running->serial;
}

/* The running task, NULL if nothing is to be watched. */
static inline struct kcsan_task *kcsan_task(struct machine *m)
{
	const struct emu_task *running = m->running;
	struct kcsan *k = m->kcsan;

	if (!running || m->quiet || !k)
		return NULL;
	return likely(is_last(k, running)) ? k->last : find_task(m);
}

/* Where the releases of @object are kept or would be; NULL: no room. */
static struct released *released_place(const struct machine *m, uintptr_t object)
{
	struct kcsan *k = m->kcsan;
	/* By its offset, the same wherever the arena is; objects begin at multiples of 64. */
	size_t at = ((object - (uintptr_t)m->arena) >> 3) * 0x9e3779b97f4a7c15UL >> 54;

	for (unsigned int i = 0; i < KCSAN_PROBES; i++) {
		struct released *r = &k->released[(at + i) % KCSAN_OBJECTS];

		if (r->generation != k->generation || r->address == object)
			return r;
	}
	return NULL;
}

/* What the releases of @object order; NULL: there was none. */
static const struct order *released_order(const struct machine *m, uintptr_t object)
{
	const struct released *r = released_place(m, object);

	return r && r->generation == m->kcsan->generation ? &r->order : NULL;
}

/* The same about to be changed, an empty one if there was none; NULL: no room. */
static struct order *change_released_order(struct machine *m, uintptr_t object)
{
	struct kcsan *k = m->kcsan;
	struct released *r = released_place(m, object);

	if (!r) {
		lose_orders(m);
		return NULL;
	}
	if (r->generation == k->generation) {
		undo_record(m, &r->order, sizeof(r->order));
		return &r->order;
	}
	/* With its generation of before it is free again, whatever is in it. */
	undo_record(m, &r->generation, sizeof(r->generation));
	r->generation = k->generation;
	r->address = object;
	memset(&r->order, 0, sizeof(r->order));
	return &r->order;
}

/* What the task has in @order comes after what the releases of @object order. */
static void acquire(struct machine *m, struct order *order, uintptr_t object)
{
	const struct order *released = released_order(m, object);

	if (!released || is_after(order, released))
		return;
	undo_record(m, order, sizeof(*order));
	order_after(order, released);
}

static void next_time(struct machine *m, struct kcsan_task *task)
{
	uint16_t *time = &task->order.at[task->number];

	undo_record(m, time, sizeof(*time));
	++*time;
}

void kcsan_acquire(struct machine *m, const void *object)
{
	struct kcsan_task *task = kcsan_task(m);

	if (task)
		acquire(m, &task->order, (uintptr_t)object);
}

void kcsan_release(struct machine *m, const void *object)
{
	struct kcsan_task *task = kcsan_task(m);
	struct order *order;

	if (!task)
		return;
	order = change_released_order(m, (uintptr_t)object);
	if (order)
		order_after(order, &task->order);
	next_time(m, task);
}

void kcsan_section_ends(struct machine *m, int flavour, unsigned long start)
{
	struct kcsan_task *task = kcsan_task(m);
	struct sections *sections;
	unsigned int i;

	if (!task)
		return;
	sections = &m->kcsan->sections[flavour];
	for (i = sections->nr; i && sections->start[i - 1] != start;)
		i--;
	if (i) {
		undo_record(m, &sections->order[i - 1], sizeof(struct order));
		order_after(&sections->order[i - 1], &task->order);
	} else if (sections->nr == KCSAN_SECTIONS) {
		lose_orders(m);
	} else {
		undo_record(m, &sections->start[sections->nr], sizeof(unsigned long));
		undo_record(m, &sections->order[sections->nr], sizeof(struct order));
		undo_record(m, &sections->nr, sizeof(sections->nr));
		sections->start[sections->nr] = start;
		sections->order[sections->nr++] = task->order;
	}
	next_time(m, task);
}

void kcsan_grace_period(struct machine *m, int flavour, unsigned long clock)
{
	struct kcsan_task *task = kcsan_task(m);
	const struct sections *sections;

	if (!task)
		return;
	sections = &m->kcsan->sections[flavour];
	undo_record(m, &task->order, sizeof(task->order));
	for (unsigned int i = 0; i < sections->nr; i++)
		if (sections->start[i] <= clock)
			order_after(&task->order, &sections->order[i]);
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

static noinline void report_race(struct machine *m, const accessed_t *earlier, accessed_t second,
				 uintptr_t addr)
{
	const accessed_t first = *earlier;
	const void *const pc[2] = { pc_of(first), pc_of(second) };
	struct kcsan *k = m->kcsan;
	const struct kcsan_task *one = &k->tasks[by_task(first)];
	const struct kcsan_task *two = &k->tasks[by_task(second)];
	const struct alloc_header *h = find_object(m, (const void *)addr);
	char name[2][64], object[96];
	const char *func[2];

	if (h && h->kind == OBJECT_MACHINE)
		return;
	if (h && h->kind == OBJECT_PERCPU && one->cpu == two->cpu && !(second & ACCESSED_FREE))
		return;
	for (unsigned int i = 0; i < k->nr_reports; i++)
		if ((k->reported[i][0] == pc[0] && k->reported[i][1] == pc[1]) ||
		    (k->reported[i][1] == pc[0] && k->reported[i][0] == pc[1]))
			return;
	if (k->lost || k->nr_reports == KCSAN_REPORTS)
		return;
	undo_record(m, &k->nr_reports, sizeof(k->nr_reports));
	k->reported[k->nr_reports][0] = pc[0];
	k->reported[k->nr_reports++][1] = pc[1];
	func[0] = symbol_name(m, pc[0], name[0], sizeof(name[0]));
	func[1] = symbol_name(m, pc[1], name[1], sizeof(name[1]));
	if (h)
		snprintf(object, sizeof(object), "+0x%lx of an object allocated in %s()",
			 (unsigned long)(addr - (uintptr_t)h - sizeof(*h)), h->site);
	else
		snprintf(object, sizeof(object), "+0x%lx of the kernel's data",
			 (unsigned long)(addr - (uintptr_t)&m->s->kernel));
	report_violation_in(VIOLATION_DATA_RACE, func[1],
			    "%s%s of %d bytes at %s in %s() [%s] and %s%s in %s() [%s]",
			    second & ACCESSED_MARKED ? "marked " : "",
			    second & ACCESSED_FREE  ? "free" :
			    second & ACCESSED_WRITE ? "write" :
						      "read",
			    __builtin_popcount(bytes_of(second)), object, func[1] ? func[1] : "?",
			    two->name, first & ACCESSED_MARKED ? "marked " : "",
			    first & ACCESSED_WRITE ? "write" : "read", func[0] ? func[0] : "?",
			    one->name);
	if (unlikely(m->backtraces != NULL))
		stacks_of_race(m, earlier);
}

/* A plain write of a whole, aligned word or less (see above). */
static bool is_whole(accessed_t a)
{
	unsigned int bytes = bytes_of(a), size = (unsigned int)__builtin_popcount(bytes);

	return (a & ACCESSED_WRITE) && !(a & ACCESSED_MARKED) && !(size & (size - 1)) &&
	       (unsigned int)__builtin_ctz(bytes) % size == 0;
}

static bool is_marked_read(accessed_t a)
{
	return (a & ACCESSED_MARKED) && !(a & ACCESSED_WRITE);
}

static bool may_race(accessed_t a, accessed_t b)
{
	if (!bytes_of(a & b) || (a & b & ACCESSED_MARKED) || !((a | b) & ACCESSED_WRITE))
		return false;
	return !(is_whole(a) && is_marked_read(b)) && !(is_whole(b) && is_marked_read(a));
}

/* Is it there from the same epoch?  Whoever came in between has been held against that one. */
static inline bool seen(const struct granule *g, accessed_t now)
{
	_Static_assert(KCSAN_SLOTS == 4, "each is looked at");

	return !((g->slots[0] ^ now) >> ACCESSED_TIME_SHIFT) ||
	       !((g->slots[1] ^ now) >> ACCESSED_TIME_SHIFT) ||
	       !((g->slots[2] ^ now) >> ACCESSED_TIME_SHIFT) ||
	       !((g->slots[3] ^ now) >> ACCESSED_TIME_SHIFT);
}

/* At @g, where it has not been seen in this epoch. */
static noinline void access_granule(struct machine *m, const struct kcsan_task *task,
				    struct granule *g, uintptr_t address, accessed_t now)
{
	struct kcsan *k = m->kcsan;
	accessed_t *place = NULL;

	if (g->generation != k->generation) {
		/* With its generation of before it is free again, whatever is in it. */
		undo_record(m, &g->generation, sizeof(g->generation));
		g->generation = k->generation;
		g->address = address;
		g->next = 0;
		memset(g->slots, 0, sizeof(g->slots));
		place = g->slots;
		goto keep;
	}
	for (unsigned int i = 0; i < KCSAN_SLOTS; i++) {
		const accessed_t before = g->slots[i];

		if (!before) {
			if (!place)
				place = &g->slots[i];
		} else if (by_task(before) == by_task(now)) {
			if (!((before ^ now) >> ACCESSED_BYTES_SHIFT))
				place = &g->slots[i];
		} else if (unlikely(time_of(before) > task->order.at[by_task(before)]) &&
			   may_race(before, now)) {
			report_race(m, &g->slots[i], now,
				    address + (unsigned int)__builtin_ctz(bytes_of(now)));
		}
	}
	if (!place) {
		undo_record(m, &g->next, sizeof(g->next));
		place = &g->slots[g->next++ % KCSAN_SLOTS];
	}
	undo_record(m, place, sizeof(*place));
keep:
	*place = now;
	k->touched[address / 64 % KCSAN_LINES] |= 1U << by_task(now);
	if (!(now & ACCESSED_MARKED))
		k->users[address / 64 % KCSAN_LINES] |= 1U << by_task(now);
	if (unlikely(m->backtraces != NULL))
		stacks_keep(m, place, EMU_STACK_OTHER_ACCESS);
}

static noinline void access_granules(struct machine *m, const struct kcsan_task *task,
				     uintptr_t start, uintptr_t end, accessed_t now)
{
	for (uintptr_t at = start & ~7UL; at < end; at += 8) {
		unsigned int from = start > at ? (unsigned int)(start - at) : 0;
		unsigned int to = end < at + 8 ? (unsigned int)(end - at) : 8;
		struct granule *g = find_granule(m->kcsan, at);

		now &= ~(0xffUL << ACCESSED_BYTES_SHIFT);
		now |= ((1UL << to) - (1UL << from)) << ACCESSED_BYTES_SHIFT;
		if (g && (g->generation != m->kcsan->generation || !seen(g, now)))
			access_granule(m, task, g, at, now);
	}
}

/* @how: ACCESSED_WRITE and ACCESSED_MARKED */
static inline void access_bytes(struct machine *m, const struct kcsan_task *task, const void *addr,
				size_t size, uint64_t how, const void *pc)
{
	const uint64_t number = task->number;
	const uintptr_t start = (uintptr_t)addr, offset = start & 7;
	accessed_t now = (uint32_t)((const char *)pc - __ehdr_start) |
			 (uint64_t)task->order.at[number] << ACCESSED_TIME_SHIFT |
			 number << ACCESSED_TASK_SHIFT | how;
	struct granule *g = &m->kcsan->granules[start / 8 % KCSAN_GRANULES];

	/* Nearly all are in one granule, which is in its place, and repeat one of before. */
	if (unlikely(offset + size > 8 ||
		     (g->address != start - offset && g->generation == m->kcsan->generation))) {
		access_granules(m, task, start, start + size, now);
		return;
	}
	now |= ((1UL << size) - 1) << offset << ACCESSED_BYTES_SHIFT;
	if (g->generation != m->kcsan->generation || !seen(g, now))
		access_granule(m, task, g, start - offset, now);
}

static inline bool watched(const struct machine *m, const void *addr)
{
	size_t off = (size_t)((const char *)addr - m->arena);
	const size_t kernel = offsetof(struct machine_state, kernel);

	/* The state is at the start of the arena, and of it only what is the kernel's counts. */
	return off < m->arena_size &&
	       (off >= sizeof(struct machine_state) || off - kernel < sizeof(m->s->kernel));
}

/* Once after each switch of tasks: apart, so that the others have nothing to keep. */
static noinline void plain_of_another_task(struct machine *m, const void *addr, size_t size,
					   bool write, const void *pc)
{
	if (find_task(m))
		kcsan_plain(m, addr, size, write, pc);
}

void kcsan_plain(struct machine *m, const void *addr, size_t size, bool write, const void *pc)
{
	struct kcsan *k = m->kcsan;

	if (!watched(m, addr) || !m->running || m->quiet || !k)
		return;
	if (unlikely(!is_last(k, m->running)))
		plain_of_another_task(m, addr, size, write, pc);
	else
		access_bytes(m, k->last, addr, size, write ? ACCESSED_WRITE : 0, pc);
}

/* Is it, plain and by another task, before a free by @task that nothing orders with it? */
static bool races_with_free(const struct kcsan_task *task, accessed_t before)
{
	const unsigned int other = by_task(before);

	/* What depends on what a relaxed load saw, that a count is zero say, comes after it. */
	return before && !(before & ACCESSED_MARKED) && other != task->number &&
	       time_of(before) > task->order.at[other] && time_of(before) > task->seen.at[other];
}

/* One race stands for all: the one with the latest access. */
void kcsan_object_free(struct machine *m, const void *object, size_t size, const void *pc)
{
	const struct kcsan_task *task = kcsan_task(m);
	const uintptr_t start = (uintptr_t)object;
	struct kcsan *k = m->kcsan;
	const accessed_t *latest = NULL;
	uintptr_t where = 0;

	if (!task)
		return;
	for (uintptr_t at = start; at < start + size; at += 8) {
		const struct granule *g;

		/* Most of an object nobody else has ever had to do with. */
		if (!(k->users[at / 64 % KCSAN_LINES] & ~(1U << task->number))) {
			at |= 56;
			continue;
		}
		g = find_granule(k, at);
		if (!g || g->generation != k->generation)
			continue;
		for (unsigned int i = 0; i < KCSAN_SLOTS; i++)
			if (unlikely(races_with_free(task, g->slots[i])) &&
			    (!latest || time_of(g->slots[i]) > time_of(*latest))) {
				latest = &g->slots[i];
				where = at + (unsigned int)__builtin_ctz(bytes_of(*latest));
			}
	}
	if (latest)
		report_race(m, latest,
			    (uint32_t)((const char *)pc - __ehdr_start) | ACCESSED_WRITE |
				    ACCESSED_FREE | (*latest & 0xffUL << ACCESSED_BYTES_SHIFT) |
				    (uint64_t)task->number << ACCESSED_TASK_SHIFT,
			    where);
}

void kcsan_marked(struct machine *m, const void *addr, size_t size, enum kcsan_access kind,
		  int order, const void *pc)
{
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
	access_bytes(m, task, addr, size,
		     ACCESSED_MARKED | (kind != KCSAN_LOAD ? ACCESSED_WRITE : 0), pc);
	if (kind != KCSAN_STORE)
		acquire(m, acquires ? &task->order : &task->seen, (uintptr_t)addr);
	if (kind == KCSAN_LOAD)
		return;
	released = change_released_order(m, (uintptr_t)addr);
	if (!released)
		return;
	/* A store's value is nobody else's; an update carries on what it has changed. */
	if (kind == KCSAN_STORE)
		*released = releases ? task->order : task->fence;
	else
		order_after(released, releases ? &task->order : &task->fence);
	if (releases)
		next_time(m, task);
}

void kcsan_forget(struct machine *m)
{
	if (!m->kcsan)
		return;
	if (unlikely(!++m->kcsan->generation)) {
		/* Every number has been used. */
		madvise(m->kcsan, page_up(sizeof(*m->kcsan)), MADV_DONTNEED);
		m->kcsan->generation = 1;
		m->kcsan->last = m->kcsan->tasks;
	}
	m->kcsan->nr_tasks = 0;
	m->kcsan->nr_reports = 0;
	m->kcsan->lost = false;
	m->kcsan->sections[0].nr = m->kcsan->sections[1].nr = 0;
}

static void unmap_kcsan(void *kcsan)
{
	unmap_pages(kcsan, sizeof(struct kcsan));
}

void kcsan_free(struct machine *m)
{
	if (m->kcsan && !shelf_keep(SHELF_KCSAN, m->kcsan, unmap_kcsan))
		unmap_kcsan(m->kcsan);
	m->kcsan = NULL;
}
