// SPDX-License-Identifier: GPL-2.0-only
/*
 * Orders of locks over all executions of a search.
 *
 * What lockdep.c finds in one execution is kept here across executions, each
 * order with the schedule that led to it.  When the search is over, cycles are
 * reported whose orders no execution has all: where one task takes b after a,
 * another task cannot have taken a after b any more, because the first has
 * told it not to, say.  The schedule of such a cycle is those of its orders, one
 * behind the other; replayed, each is an execution, and together they show it.
 *
 * What is put together so need not have to do with each other, hence:
 *
 * - all executions begin in one state, so a process is the same in all of them;
 *   locks are told apart by their names alone, here as there;
 * - who completes what somebody waits for may be another one in each execution.
 *   So a wait under one lock and the completion by a task that has taken another
 *   are one order of these two locks, and of two tasks, and are from one execution;
 * - each order of a cycle must be of other tasks, as in one execution;
 * - there is no cycle if one task has made all of its orders, in whichever
 *   executions: it does one thing after the other, and where another task does
 *   the same instead (two that unbind one device) it is in its place.
 *
 * Nothing here is taken back with a step: what an execution showed stays true.
 */
#include "lock_union.h"

#include "findings.h"

#undef memset
#undef memcpy
#undef memcmp
#undef strcmp
#undef strlen
#undef snprintf
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SHOWN 64
#define MAX_CYCLES 8
/* Looking for cycles is given up after so many steps: it is exponential in tasks. */
#define MAX_EFFORT (1UL << 20)
#define NOBODY MAX_PROCS
#define NAME LOCKDEP_NAME
#define LITERALS 64 /* a power of two */

/**
 * struct order - @to has been taken after @from
 * @from: class
 * @to: class
 * @proc: that took it, or waited for @completion, under @from
 * @completer: that had taken @to when it completed it, NOBODY: there is none
 * @completion: its name
 * @length: of @schedule
 * @schedule: as far as the step that showed it, see memremap_emu.h
 */
struct order {
	unsigned int from, to, proc, completer;
	char completion[NAME];
	uint32_t length;
	uint8_t *schedule;
};

/**
 * struct lock_union - orders of all executions
 * @names: of the classes of locks
 * @literals: constants of this module that have been asked for, by address, and their classes
 * @graph: orders without a completion; tasks are processes
 * @waits: the others: for each two classes and waiting process, bit mask of completing ones
 * @tasks: names of the processes
 * @orders: in the order in which they were found
 * @shown: cycles that one execution has shown, as bit masks of classes
 */
struct lock_union {
	unsigned int nr_classes;
	char names[LOCKDEP_CLASSES][NAME];
	struct {
		const char *name;
		unsigned int class;
	} literals[LITERALS];
	struct lock_graph graph;
	uint16_t waits[LOCKDEP_CLASSES][LOCKDEP_CLASSES][MAX_PROCS];
	char tasks[MAX_PROCS][16];
	unsigned int nr_orders;
	unsigned int max_orders;
	struct order *orders;
	unsigned int nr_shown;
	uint64_t shown[MAX_SHOWN];
};

_Static_assert(MAX_PROCS <= LOCKDEP_TASKS && MAX_PROCS <= 16, "processes are bits");
_Static_assert(MAX_PROCS <= EMU_NEXT_EXECUTION, "no process has its number");

bool lock_union_prepare(struct explorer *x)
{
	x->lock_union = calloc(1, sizeof(*x->lock_union));
	return x->lock_union != NULL;
}

void lock_union_free(struct explorer *x)
{
	struct lock_union *u = x->lock_union;

	if (!u)
		return;
	for (unsigned int i = 0; i < u->nr_orders; i++)
		free(u->orders[i].schedule);
	free(u->orders);
	free(u);
	x->lock_union = NULL;
}

unsigned int lock_union_class(struct explorer *x, const char *name)
{
	struct lock_union *u = x->lock_union;
	unsigned int i;

	for (i = 0; i < u->nr_classes; i++)
		if (*u->names[i] == *name && !strcmp(u->names[i], name))
			return i;
	if (i == LOCKDEP_CLASSES) {
		/* Whoever takes this over may know it. */
		x->full = true;
		return i;
	}
	snprintf(u->names[u->nr_classes++], NAME, "%s", name);
	return i;
}

unsigned int lock_union_literal(struct explorer *x, const char *name)
{
	struct lock_union *u = x->lock_union;
	const size_t at = ((uintptr_t)name * 0x9e3779b97f4a7c15UL >> 32) % LITERALS;
	char text[NAME];

	if (u->literals[at].name != name) {
		snprintf(text, sizeof(text), "%s", name);
		u->literals[at].class = lock_union_class(x, text);
		u->literals[at].name = name;
	}
	return u->literals[at].class;
}

const char *lock_union_name(const struct explorer *x, unsigned int class)
{
	return x->lock_union->names[class];
}

static bool known(const struct lock_union *u, unsigned int from, unsigned int to, unsigned int proc,
		  unsigned int completer)
{
	if (completer == NOBODY)
		return u->graph.by[from][to] & 1U << proc;
	return u->waits[from][to][proc] & 1U << completer;
}

/* Keeps one that is not known; false: no room. */
static bool add_order(struct lock_union *u, const struct order *order, const uint8_t *schedule)
{
	struct order *kept;

	if (u->nr_orders == u->max_orders) {
		const unsigned int more = u->max_orders ? 2 * u->max_orders : 64;

		kept = realloc(u->orders, more * sizeof(*kept));
		if (!kept)
			return false;
		u->orders = kept;
		u->max_orders = more;
	}
	kept = &u->orders[u->nr_orders];
	*kept = *order;
	kept->schedule = malloc(order->length + 1);
	if (!kept->schedule)
		return false;
	memcpy(kept->schedule, schedule, order->length);
	u->nr_orders++;
	u->graph.after[order->from] |= 1UL << order->to;
	if (order->completer == NOBODY)
		u->graph.by[order->from][order->to] |= 1U << order->proc;
	else
		u->waits[order->from][order->to][order->proc] |= (uint16_t)(1U << order->completer);
	return true;
}

static void learn(struct explorer *x, struct order *order)
{
	uint8_t schedule[EMU_SCHEDULE_LENGTH];

	order->length = write_schedule(x, x->depth + 1, schedule);
	add_order(x->lock_union, order, schedule);
}

unsigned int lock_union_proc(struct explorer *x, const char *task)
{
	struct lock_union *u = x->lock_union;

	if (!u->tasks[x->running][0])
		snprintf(u->tasks[x->running], sizeof(u->tasks[0]), "%s", task);
	return x->running;
}

void lock_union_learn(struct explorer *x, unsigned int from, unsigned int to, unsigned int proc)
{
	struct order order = { .from = from, .to = to, .proc = proc, .completer = NOBODY };

	if (from != LOCKDEP_CLASSES && to != LOCKDEP_CLASSES &&
	    !known(x->lock_union, from, to, proc, NOBODY))
		learn(x, &order);
}

void lock_union_learn_wait(struct explorer *x, unsigned int from, unsigned int to,
			   unsigned int proc, unsigned int completer, const char *completion)
{
	struct order order;

	if (from == LOCKDEP_CLASSES || to == LOCKDEP_CLASSES || from == to || proc == completer ||
	    known(x->lock_union, from, to, proc, completer))
		return;
	order = (struct order){ .from = from, .to = to, .proc = proc, .completer = completer };
	snprintf(order.completion, sizeof(order.completion), "%s", completion);
	learn(x, &order);
}

void lock_union_shown(struct explorer *x, uint64_t classes)
{
	struct lock_union *u = x->lock_union;

	for (unsigned int i = 0; i < u->nr_shown; i++)
		if (u->shown[i] == classes)
			return;
	if (u->nr_shown < MAX_SHOWN)
		u->shown[u->nr_shown++] = classes;
	else
		x->full = true;
}

/* --- cycles --- */

/**
 * struct cycle - the one of its classes that reads first
 */
struct cycle {
	uint64_t classes;
	unsigned int nr;
	const struct order *orders[MAX_PROCS];
	char text[LOCKDEP_TEXT];
};

struct cycles {
	const struct lock_union *u;
	unsigned long effort;
	unsigned int nr;
	struct cycle found[MAX_CYCLES];
	const struct order *orders[MAX_PROCS];
};

/* Classes from LOCKDEP_CLASSES on are completions, of the order with that number. */
static const char *class_name(const void *data, unsigned int class, bool *completion)
{
	const struct lock_union *u = data;

	*completion = class >= LOCKDEP_CLASSES;
	return *completion ? u->orders[class - LOCKDEP_CLASSES].completion : u->names[class];
}

static const char *task_name(const void *data, unsigned int task)
{
	return ((const struct lock_union *)data)->tasks[task];
}

static void write_text(const struct lock_union *u, const struct order *const *orders,
		       unsigned int nr, char text[LOCKDEP_TEXT])
{
	struct lock_edge edges[2 * MAX_PROCS];
	unsigned int n = 0;

	for (unsigned int i = 0; i < nr; i++) {
		const struct order *order = orders[i];

		edges[n++] = (struct lock_edge){ .class = order->from, .task = order->proc };
		if (order->completer != NOBODY)
			edges[n++] = (struct lock_edge){
				.class = LOCKDEP_CLASSES + (unsigned int)(order - u->orders),
				.task = order->completer,
			};
	}
	lock_cycle_text(text, edges, n, class_name, task_name, u);
}

/* Has one task made all of it? */
static bool is_of_one_task(const struct lock_union *u, const struct order *const *orders,
			   unsigned int nr)
{
	uint32_t tasks = ~0U;

	for (unsigned int i = 0; i < nr; i++) {
		if (orders[i]->completer != NOBODY)
			return false;
		tasks &= u->graph.by[orders[i]->from][orders[i]->to];
	}
	return tasks != 0;
}

static void keep_cycle(struct cycles *c, unsigned int nr, uint64_t classes)
{
	struct cycle *cycle = c->found;
	char text[LOCKDEP_TEXT];

	for (unsigned int i = 0; i < c->u->nr_shown; i++)
		if (c->u->shown[i] == classes)
			return;
	if (is_of_one_task(c->u, c->orders, nr))
		return;
	write_text(c->u, c->orders, nr, text);
	while (cycle < c->found + c->nr && cycle->classes != classes)
		cycle++;
	if (cycle == c->found + c->nr) {
		if (c->nr == MAX_CYCLES)
			return;
		c->nr++;
	} else if (strcmp(cycle->text, text) <= 0) {
		return;
	}
	cycle->classes = classes;
	cycle->nr = nr;
	memcpy(cycle->orders, c->orders, sizeof(cycle->orders));
	memcpy(cycle->text, text, sizeof(text));
}

/*
 * All cycles through @first, of classes with higher numbers otherwise, each
 * order by processes that no other has.
 */
static void find_cycles(struct cycles *c, unsigned int first, unsigned int at, unsigned int nr,
			uint32_t used, uint64_t seen)
{
	const struct lock_union *u = c->u;

	for (const struct order *o = u->orders; o < u->orders + u->nr_orders; o++) {
		const uint32_t procs = 1U << o->proc |
				       (o->completer == NOBODY ? 0 : 1U << o->completer);

		if (o->from != at || procs & used || o->to < first ||
		    (seen & 1UL << o->to && o->to != first))
			continue;
		if (c->effort++ >= MAX_EFFORT)
			return;
		c->orders[nr] = o;
		if (o->to == first)
			keep_cycle(c, nr + 1, seen);
		else
			find_cycles(c, first, o->to, nr + 1, used | procs, seen | 1UL << o->to);
	}
}

/* Is @o's schedule the beginning of @other's, down to the calls that fail? */
static bool begins(const struct order *o, const struct order *other)
{
	if (other->length < o->length || memcmp(other->schedule, o->schedule, o->length) != 0)
		return false;
	return other->length == o->length || other->schedule[o->length] < 0x80;
}

/* The schedules of its orders, each once, in the order in which they were found; 0: too long. */
static uint32_t write_schedules(const struct cycle *cycle, uint8_t to[EMU_SCHEDULE_LENGTH])
{
	const struct order *all[MAX_PROCS];
	uint32_t length = 0;

	for (unsigned int i = 0; i < cycle->nr; i++) {
		all[i] = cycle->orders[i];
		for (unsigned int k = i; k && all[k] < all[k - 1]; k--) {
			const struct order *swap = all[k];

			all[k] = all[k - 1];
			all[k - 1] = swap;
		}
	}
	for (unsigned int i = 0; i < cycle->nr; i++) {
		const struct order *o = all[i];
		bool more = true;

		/* One that another begins with adds nothing. */
		for (unsigned int k = 0; k < cycle->nr && more; k++)
			more = k == i || !begins(o, all[k]) || (k > i && begins(all[k], o));
		if (!more)
			continue;
		if (length + 1 + o->length > EMU_SCHEDULE_LENGTH)
			return 0;
		if (length)
			to[length++] = EMU_NEXT_EXECUTION;
		memcpy(to + length, o->schedule, o->length);
		length += o->length;
	}
	return length;
}

bool lock_union_judge(struct explorer *x)
{
	struct lock_union *u = x->lock_union;
	struct cycles *c = calloc(1, sizeof(*c));
	uint8_t schedule[EMU_SCHEDULE_LENGTH];
	char text[LOCKDEP_TEXT + 64];
	bool found = false;

	if (!c)
		return false;
	c->u = u;
	for (unsigned int first = 0; first < u->nr_classes; first++)
		find_cycles(c, first, first, 0, 0, 1UL << first);
	for (unsigned int i = 0; i < c->nr; i++) {
		uint32_t length = write_schedules(&c->found[i], schedule);

		if (!length)
			continue;
		snprintf(text, sizeof(text), "cycle of locks in several executions: %s",
			 c->found[i].text);
		if (!keep_together(x, VIOLATION_LOCK_ORDER, text, schedule, length))
			continue;
		report_violation(VIOLATION_LOCK_ORDER, "%s", text);
		found = true;
	}
	free(c);
	return found;
}

/* --- for the host --- */

bool lock_union_order(const struct explorer *x, unsigned int number, struct emu_lock_order *order)
{
	const struct lock_union *u = x->lock_union;
	const struct order *o;

	if (number >= u->nr_orders)
		return false;
	o = &u->orders[number];
	memset(order, 0, sizeof(*order));
	memcpy(order->first, u->names[o->from], NAME);
	memcpy(order->second, u->names[o->to], NAME);
	memcpy(order->completion, o->completion, NAME);
	memcpy(order->task, u->tasks[o->proc], sizeof(order->task));
	if (o->completer != NOBODY)
		memcpy(order->completer, u->tasks[o->completer], sizeof(order->completer));
	order->proc = o->proc;
	order->completer_proc = o->completer;
	order->schedule_length = o->length;
	memcpy(order->schedule, o->schedule, o->length);
	return true;
}

#define IS_TEXT(array) (strnlen(array, sizeof(array)) < sizeof(array))

bool lock_union_add(struct explorer *x, const struct emu_lock_order *order)
{
	struct lock_union *u = x->lock_union;
	struct order o = {
		.proc = order->proc,
		.completer = order->completer_proc,
		.length = order->schedule_length,
	};

	if (!IS_TEXT(order->first) || !IS_TEXT(order->second) || !IS_TEXT(order->completion) ||
	    !IS_TEXT(order->task) || !IS_TEXT(order->completer) || o.proc >= MAX_PROCS ||
	    o.completer > NOBODY || o.completer == o.proc || o.length > EMU_SCHEDULE_LENGTH)
		return false;
	o.from = lock_union_class(x, order->first);
	o.to = lock_union_class(x, order->second);
	if (o.from == LOCKDEP_CLASSES || o.to == LOCKDEP_CLASSES || o.from == o.to)
		return false;
	if (known(u, o.from, o.to, o.proc, o.completer))
		return true;
	memcpy(o.completion, order->completion, NAME);
	memcpy(u->tasks[o.proc], order->task, sizeof(order->task));
	if (o.completer != NOBODY)
		memcpy(u->tasks[o.completer], order->completer, sizeof(order->completer));
	return add_order(u, &o, order->schedule);
}

_Static_assert(LOCKDEP_CLASSES == 64 && MAX_SHOWN == 64 && NAME == 48,
	       "as in struct emu_search_position");

void lock_union_read(const struct explorer *x, struct emu_search_position *position)
{
	const struct lock_union *u = x->lock_union;

	position->nr_lock_classes = u->nr_classes;
	position->nr_lock_cycles = u->nr_shown;
	memcpy(position->lock_classes, u->names, sizeof(u->names));
	memcpy(position->lock_cycles, u->shown, sizeof(u->shown));
}

bool lock_union_fits(const struct emu_search_position *position)
{
	const unsigned int nr = position->nr_lock_classes;

	if (nr > LOCKDEP_CLASSES || position->nr_lock_cycles > MAX_SHOWN)
		return false;
	for (unsigned int i = 0; i < nr; i++)
		if (!IS_TEXT(position->lock_classes[i]))
			return false;
	for (unsigned int i = 0; nr < LOCKDEP_CLASSES && i < position->nr_lock_cycles; i++)
		if (position->lock_cycles[i] >> nr)
			return false;
	return true;
}

void lock_union_meet(struct explorer *x, const struct emu_search_position *position)
{
	unsigned int ours[LOCKDEP_CLASSES];

	for (unsigned int i = 0; i < position->nr_lock_classes; i++)
		ours[i] = lock_union_class(x, position->lock_classes[i]);
	for (unsigned int i = 0; i < position->nr_lock_cycles; i++) {
		uint64_t cycle = 0;
		bool known = true;

		for (uint64_t left = position->lock_cycles[i]; left; left &= left - 1) {
			const unsigned int class = ours[__builtin_ctzl(left)];

			if (class == LOCKDEP_CLASSES)
				known = false;
			else
				cycle |= 1UL << class;
		}
		if (known)
			lock_union_shown(x, cycle);
	}
}
