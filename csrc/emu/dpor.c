// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dynamic partial-order reduction by source sets and sleep sets (Abdulla,
 * Aronis, Jonsson, Sagonas: "Optimal dynamic partial order reduction", POPL
 * 2014, algorithm 1).
 *
 * Two steps are dependent if they begin with accesses that conflict, if one of
 * them makes the other possible, or frees what the other uses.  Happens-before
 * is kept in vector clocks.  When a step turns out to race with an earlier one,
 * the order of the two is reversed some day: somebody who can begin such a
 * reversal is entered in the earlier step's backtrack set, unless it holds one
 * already.
 *
 * A compare-and-exchange that fails only reads.  Whether it does can change
 * only by a step that it conflicts with either way.
 *
 * RCU: entering a read section is a read of the flavour, asking for a grace
 * period is a write.  So both orders are tried, and with them both answers to
 * the question whether the grace period waits for that reader.  To queue a
 * callback depends on others that are queued, and on rcu_barrier().  The end of a
 * section makes callbacks possible and is no scheduling point: nothing else
 * can see it.
 */
#include "dpor.h"
#include "items.h"
#include "phases.h"

#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/percpu-refcount.h>

void enter_initial(struct explorer *x, unsigned int i, uint32_t initials, unsigned int proc)
{
	struct step *race = &x->steps[i];
	uint32_t entered = race->enabled;

	/* If there are none, who goes first there has to be made possible by somebody. */
	if (initials & race->backtrack)
		return;
	if (initials)
		entered = initials & 1U << proc ? 1U << proc : initials & -initials;
	if (i < x->given)
		keep_race(x, i, initials, proc);
	else
		race->backtrack |= entered;
}

/* Has any of the processes @procs a step, from its @first one on, before @clock? */
static bool any_before(uint32_t procs, const uint16_t *first, const struct clock *clock)
{
	for (; procs; procs &= procs - 1) {
		unsigned int proc = (unsigned int)__builtin_ctz(procs);

		if (clock->at[proc] >= first[proc])
			return true;
	}
	return false;
}

/*
 * Who can begin an execution that goes on after step @i with those of the steps up to @d that do
 * not come after it: whose first step among them, @first, comes after none of the others; @among
 * is who has any.
 */
static uint32_t find_initials(const struct explorer *x, unsigned int i, unsigned int d,
			      uint16_t *first, uint32_t *among)
{
	const struct step *race = &x->steps[i];
	uint32_t initials = 0, looked_at = 0;

	*among = 0;
	for (unsigned int k = i + 1; k < d; k++) {
		const struct step *step = &x->steps[k];
		const uint32_t bit = 1U << step->proc;

		if (looked_at & bit)
			continue;
		looked_at |= bit;
		/* With the first step of a process all that it does comes after the race. */
		if (happens_before(race, &step->clock))
			continue;
		if (!any_before(*among, first, &step->clock))
			initials |= bit;
		first[step->proc] = step->index;
		*among |= bit;
	}
	return initials;
}

void reverse_later(struct explorer *x, unsigned int i, unsigned int proc)
{
	const uint32_t enabled = x->steps[i].enabled;
	uint16_t first[MAX_PROCS];
	uint32_t among;
	const uint32_t initials = find_initials(x, i, x->depth, first, &among);

	enter_initial(x, i, (among ? initials : 1U << proc) & enabled, proc);
}

/*
 * Step @d, now on the stack, races with step @i: enter somebody in @i's
 * backtrack set who can begin an execution in which @d comes first.  Such an
 * execution goes on after @i with the steps that do not come after it; who can
 * begin is whose first step among them comes after none of the others.
 *
 * @before is what comes before @d; the steps behind @i that it conflicts with
 * are the @nr_met in @x->met.
 */
static void reverse_race(struct explorer *x, unsigned int i, unsigned int d,
			 const struct clock *before, unsigned int nr_met)
{
	struct step *race = &x->steps[i];
	const struct step *last = &x->steps[d];
	const uint32_t last_bit = 1U << last->proc;
	uint16_t first[MAX_PROCS];
	uint32_t initials, among;
	bool last_is_initial;

	initials = find_initials(x, i, d, first, &among);
	last_is_initial = !(among & last_bit) && !any_before(among, first, before);
	for (unsigned int n = 0; n < nr_met && last_is_initial; n++)
		last_is_initial = happens_before(race, &x->steps[x->met[n]].clock);
	if (last_is_initial)
		initials |= last_bit;
	enter_initial(x, i, initials & race->enabled, last->proc);
}

static bool is_in_line(const struct access *access)
{
	return access->start >> 6 == (access->end - 1) >> 6;
}

/* Of struct pages?  There are no others outside the arena, and each is a line. */
static bool is_of_pages(const struct explorer *x, const struct access *access)
{
	return access->start - (uintptr_t)x->m->arena >= x->m->arena_size;
}

static unsigned int wide_list_of(const struct explorer *x, const struct access *access)
{
	return is_of_pages(x, access) ? LIST_WIDE_PAGES : LIST_WIDE;
}

/*
 * Small accesses can conflict only if they are in the same eight bytes, or are of the same struct
 * page, so only steps of one list need be looked at, and those with wide accesses.
 */
static unsigned int list_of(const struct explorer *x, const struct access *access)
{
	if (access->start >> 3 != (access->end - 1) >> 3 &&
	    !(is_in_line(access) && is_of_pages(x, access)))
		return wide_list_of(x, access);
	return (unsigned int)(unit_hash(x, access->start, 3) >> 58);
}

_Static_assert(SMALL_LISTS == 64, "six bits of a hash");

/* Was what is at @access written last by what comes before @clock, or before the program began? */
static bool written_before(const struct explorer *x, const struct access *access,
			   const struct clock *clock)
{
	for (unsigned int i = x->last[list_of(x, access)]; i; i = x->steps[i - 1].before)
		if (x->steps[i - 1].access.kind == ACCESS_WRITE &&
		    overlap(&x->steps[i - 1].access, access))
			return happens_before(&x->steps[i - 1], clock);
	return true;
}

/* Not if the pagemap has been killed before that: no lookup behind it asks. */
bool gives_up(const struct explorer *x, unsigned int proc, const struct access *access)
{
	unsigned long pfn, end;
	const struct percpu_ref *ref;

	if (access->kind != ACCESS_WRITE || !is_of_pages(x, access))
		return false;
	pfn = page_to_pfn((const struct page *)access->start);
	end = pfn + (access->end - access->start) / STRUCT_PAGE_SIZE;
	while ((ref = memmap_next_ref(x->m, &pfn, end))) {
		const struct access of = {
			.start = (uintptr_t)&ref->percpu_count_ptr,
			.end = (uintptr_t)(&ref->percpu_count_ptr + 1),
		};

		if (!(ref->percpu_count_ptr & __PERCPU_REF_DEAD) ||
		    (keeps_clocks(x) && !written_before(x, &of, &x->procs[proc].clock)))
			return true;
	}
	return false;
}

static bool same_bytes(const struct access *a, const struct access *b)
{
	return a->start == b->start && a->end == b->end;
}

static bool takes_alone(const struct access *access)
{
	return access->kind == ACCESS_ACQUIRE && access->exclusive;
}

/*
 * Step @step has been held against @earlier: the next one in their list that it
 * need be held against.
 */
static unsigned int next_near(const struct step *earlier, const struct step *step,
			      const struct clock *before)
{
	const enum access_kind kind = step->access.kind;

	if (!same_bytes(&earlier->access, &step->access))
		return earlier->before;
	if (kind == ACCESS_ACQUIRE) {
		if (takes_alone(&earlier->access) && happens_before(earlier, before))
			return earlier->before_held;
		return earlier->before;
	}
	/* What conflicts with this step comes before that write, or read of its own, already. */
	if (earlier->access.kind == ACCESS_WRITE ||
	    (kind == ACCESS_READ && earlier->proc == step->proc &&
	     earlier->access.kind == ACCESS_READ))
		return 0;
	return earlier->before;
}

/* What is used after a free is known by itself: see freed_in_step(). */
static bool is_listed(const struct access *access)
{
	return access->start < access->end && access->kind != ACCESS_FREE;
}

static uint16_t *line_list_of(struct explorer *x, const struct access *access)
{
	return &x->last_line[(access->start >> 6) % LINE_LISTS];
}

void list_step(struct explorer *x, unsigned int d)
{
	struct step *step = &x->steps[d];
	const struct access *access = &step->access;

	x->listed = d + 1;
	if (is_listed(access)) {
		uint16_t *last = &x->last[list_of(x, access)];

		*word_users(x, access->start) |= (uint16_t)(1U << step->proc);
		*line_users(x, access->start) |= (uint16_t)(1U << step->proc);
		step->before = step->before_held = *last;
		if (*last && takes_alone(access)) {
			const struct step *held = &x->steps[*last - 1];

			if (takes_alone(&held->access) && same_bytes(&held->access, access))
				step->before_held = held->before_held;
		}
		*last = (uint16_t)(d + 1);
		if (is_in_line(access)) {
			step->before_line = *line_list_of(x, access);
			*line_list_of(x, access) = (uint16_t)(d + 1);
		}
	}
	if (access->rcu_read) {
		step->before_read = x->last[LIST_RCU_READ];
		x->last[LIST_RCU_READ] = (uint16_t)(d + 1);
	}
	if (access->rcu_write) {
		x->askers[0] |= (uint16_t)((access->rcu_write & 1U) << step->proc);
		x->askers[1] |= (uint16_t)((access->rcu_write >> 1 & 1U) << step->proc);
		step->before_write = x->last[LIST_RCU_WRITE];
		x->last[LIST_RCU_WRITE] = (uint16_t)(d + 1);
	}
}

void unlist_steps(struct explorer *x, unsigned int depth)
{
	while (x->listed > depth) {
		const struct step *step = &x->steps[--x->listed];
		const struct access *access = &step->access;

		if (is_listed(access)) {
			x->last[list_of(x, access)] = step->before;
			if (is_in_line(access))
				*line_list_of(x, access) = step->before_line;
		}
		if (access->rcu_read)
			x->last[LIST_RCU_READ] = step->before_read;
		if (access->rcu_write)
			x->last[LIST_RCU_WRITE] = step->before_write;
	}
	while (x->nr_freed && x->freed[x->nr_freed - 1].depth >= depth)
		x->nr_freed--;
}

/**
 * struct candidates - steps that the one at hand may conflict with: depth + 1 of the next one
 *	of each list, 0: no more
 * @freed: the same of the one that has freed what it is an access to
 */
struct candidates {
	unsigned int near, wide, all, read, write, freed;
};

/* Is @step by another process than @of, with an access to some of the same bytes? */
static inline bool meets(const struct step *step, const struct step *of)
{
	return step->proc != of->proc && overlap(&step->access, &of->access);
}

/*
 * Depth + 1 of the last of the first @d steps of other processes than that of @step that have an
 * access to some of the same bytes, all of them in one line.
 */
static unsigned int last_overlapping(const struct explorer *x, const struct step *step,
				     unsigned int d)
{
	const uintptr_t first = step->access.start >> 6, last = (step->access.end - 1) >> 6;
	unsigned int found = 0;

	if (last - first >= WIDE_LINES) {
		while (d && !meets(&x->steps[d - 1], step))
			d--;
		return d;
	}
	for (uintptr_t line = first; line <= last; line++) {
		unsigned int i = x->last_line[line % LINE_LISTS];

		while (i > found && (i > d || !meets(&x->steps[i - 1], step)))
			i = x->steps[i - 1].before_line;
		found = max(found, i);
	}
	return found;
}

bool is_over(const struct explorer *x, const struct access *object, const struct clock *before)
{
	if (object->end - object->start > WIDE_LINES * 64)
		return false;
	for (uintptr_t line = object->start >> 6; line <= (object->end - 1) >> 6; line++)
		for (unsigned int i = x->last_line[line % LINE_LISTS]; i;
		     i = x->steps[i - 1].before_line)
			if (!happens_before(&x->steps[i - 1], before) &&
			    overlap(&x->steps[i - 1].access, object))
				return false;
	return true;
}

static struct candidates candidates_of(const struct explorer *x, unsigned int d)
{
	const struct access *access = &x->steps[d].access;
	struct candidates c = { 0 };

	if (access->start < access->end) {
		unsigned int list = list_of(x, access);

		c.freed = freed_in_step(x, access);
		if (list < SMALL_LISTS)
			c.near = x->last[list];
		else if (access->kind != ACCESS_FREE ||
			 !is_over(x, access, &x->procs[x->steps[d].proc].clock))
			c.all = last_overlapping(x, &x->steps[d], d);
		c.wide = x->last[wide_list_of(x, access)];
	}
	if (access->rcu_read || access->rcu_write & RCU_QUEUES)
		c.write = x->last[LIST_RCU_WRITE];
	if (access->rcu_write)
		c.read = x->last[LIST_RCU_READ];
	return c;
}

/* From the latest on, each once, whatever lists it is in; 0: there are no more. */
static unsigned int next_candidate(const struct explorer *x, struct candidates *c,
				   const struct step *step, const struct clock *before)
{
	const struct step *earlier;
	unsigned int i = c->near;

	/* Nearly always there is one list. */
	if (likely(!(c->wide | c->read | c->write | c->all | c->freed))) {
		if (i)
			c->near = next_near(&x->steps[i - 1], step, before);
		return i;
	}
	i = max(max(max(i, c->wide), max(c->read, c->write)), max(c->all, c->freed));
	earlier = &x->steps[i - 1];
	if (i == c->near)
		c->near = next_near(earlier, step, before);
	if (i == c->wide)
		c->wide = earlier->before;
	if (i == c->read)
		c->read = earlier->before_read;
	if (i == c->write)
		c->write = earlier->before_write;
	if (i == c->all)
		c->all = last_overlapping(x, step, i - 1);
	if (i == c->freed)
		c->freed = 0;
	return i;
}

/* Whole: a copy of a vector of which one count has just been written waits for that. */
static inline void set_time(struct clock *clock, unsigned int proc, uint16_t time)
{
	const uint16_t place = (uint16_t)proc;

	for (uint16_t i = 0; i < CLOCK_SIZE; i++)
		clock->at[i] = i == place ? time : clock->at[i];
}

/* What comes before the step has been joined: it is the next one of its process. */
static inline void tick(struct step *step, struct proc *p)
{
	set_time(&p->clock, step->proc, step->index);
	step->begin = step->clock = p->clock;
}

void account(struct explorer *x, unsigned int d, bool races)
{
	struct step *step = &x->steps[d];
	struct proc *p = &x->procs[step->proc];
	unsigned int freed, nr_met = 0, i;
	struct candidates candidates;
	struct lock_clock *lock;
	struct clock before;

	if (unlikely(!p->task) && step->proc != PROC_WORKER)
		join_callback(x, step->proc);
	candidates = candidates_of(x, d);
	freed = candidates.freed;
	before = p->clock;

	step->index = ++p->steps;
	while ((i = next_candidate(x, &candidates, step, &before))) {
		const struct step *earlier = &x->steps[i - 1];

		if ((!conflicts(&earlier->access, &step->access) && i != freed) ||
		    earlier->proc == step->proc)
			continue;
		if (races && !happens_before(earlier, &p->clock)) {
			reverse_race(x, i - 1, d, &before, nr_met);
			if (x->phases)
				phases_race(x, i - 1);
		}
		x->met[nr_met++] = (uint16_t)(i - 1);
		/* A lock is handed over by its release, not by its acquisition. */
		if (step->access.kind != ACCESS_ACQUIRE)
			join(&p->clock, &earlier->clock);
	}
	if (step->access.kind == ACCESS_ACQUIRE) {
		lock = lock_clock(x, (const void *)step->access.start);
		if (lock)
			join(&p->clock, &lock->clock);
	}
	tick(step, p);
}

void account_own(struct explorer *x, unsigned int d)
{
	struct step *step = &x->steps[d];
	struct proc *p = &x->procs[step->proc];

	/* Somebody else's access to more than a word is in no place of that. */
	if (x->last[LIST_WIDE] || step->access.kind == ACCESS_ACQUIRE || step->access.rcu_read ||
	    freed_in_step(x, &step->access)) {
		account(x, d, true);
		return;
	}
	step->index = ++p->steps;
	tick(step, p);
}

void account_again(struct explorer *x, unsigned int d)
{
	const struct step *step = &x->steps[d];
	struct proc *p = &x->procs[step->proc];

	p->steps = step->index;
	p->clock = step->begin;
}

/* Whoever hangs at a lock might have had it first: that race is one, too. */
void account_blocked(struct explorer *x, uint32_t enabled)
{
	for (unsigned int i = 0; i < MAX_PROCS; i++) {
		const struct emu_task *task = x->procs[i].task;

		if (!task || task->run != RUN_READY || task->pending.kind != ACCESS_ACQUIRE ||
		    enabled & 1U << i)
			continue;
		x->steps[x->depth].proc = i;
		x->steps[x->depth].access = task->pending;
		undo_record(x->m, &x->procs[i], sizeof(x->procs[i]));
		account(x, x->depth, true);
	}
}

uint32_t still_asleep(const struct explorer *x, uint32_t candidates, const struct access *access)
{
	uint32_t asleep = 0;

	for (; candidates; candidates &= candidates - 1) {
		unsigned int proc = (unsigned int)__builtin_ctz(candidates);
		const struct access *pending = pending_of(x, proc);

		if (conflicts_as(pending, kind_now(pending), access))
			continue;
		if (unlikely(access->rcu_read & PAGES_GIVEN_UP) && gives_up(x, proc, pending))
			continue;
		asleep |= 1U << proc;
	}
	return asleep;
}
