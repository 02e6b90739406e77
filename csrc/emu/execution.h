/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_EXECUTION_H
#define EMU_EXECUTION_H

/*
 * One execution of a program that is being explored: processes, steps, and
 * what happens before what.  The search over executions is explore.c.
 */

#include "api.h"
#include "state_hash.h"
#include "strategy.h"

#include <linux/workqueue.h>

#define PROC_RCU MAX_PROGRAM_TASKS
#define PROC_RCU_SCHED (MAX_PROGRAM_TASKS + 1)
#define PROC_WORKER (MAX_PROGRAM_TASKS + 2)
#define MAX_PROCS (MAX_PROGRAM_TASKS + 3)
#define MAX_STEPS 4096
#define MAX_LOCKS 256 /* a power of two */
#define MAX_FAILS 4 /* failing calls of an execution that a search can try */
#define MAX_QUEUED 64
#define MAX_CHANGES 16 /* of priorities, in an execution of EMU_PCT */
#define MAX_FINAL_STATES 4096
#define MAX_RACES 1024 /* of an item with the steps that it was given */

/* Room for a whole number of vectors. */
#define CLOCK_SIZE 16

/* Lists of steps that can conflict: of small accesses by place, of wide ones, of RCU's. */
#define SMALL_LISTS 64
#define LIST_WIDE SMALL_LISTS
#define LIST_WIDE_PAGES (SMALL_LISTS + 1)
#define LIST_RCU_READ (SMALL_LISTS + 2)
#define LIST_RCU_WRITE (SMALL_LISTS + 3)
#define NR_LISTS (SMALL_LISTS + 4)
#define LINE_LISTS 256
#define WIDE_LINES 64 /* of an access, beyond which it is held against every step */
#define USER_BITS 12

struct clock {
	uint16_t at[CLOCK_SIZE];
} __attribute__((aligned(16)));

_Static_assert(MAX_PROCS <= CLOCK_SIZE, "a clock counts every process");

#define NO_MARK (~(size_t)0)

/**
 * struct step - one step of the execution at hand
 * @proc: who went
 * @index: its how-manieth step this is, from 1
 * @access: what it began with
 * @begin: what happens before it, and the step itself
 * @clock: what happens before the end of this step
 * @enabled: who could have gone
 * @backtrack: who is to be tried from here
 * @done: who has been
 * @sleep: who need not be tried: what would follow has been seen
 * @before: depth + 1 of the step before in its list of accesses, 0: none
 * @before_line: depth + 1 of the step before whose access is in 64 bytes of the same list
 * @before_held: for an acquisition: the same, all those left out that come before it because
 *	whoever had the lock had it alone
 * @before_read: the same in the list of those that enter a read section of RCU
 * @before_write: the same in the list of those that ask for a grace period
 * @mark: to take it back to, see undo.h; NO_MARK: it is not expected to be come back to
 * @calls: that may fail, met in it so far
 * @nr_fails: how many of them fail
 * @fails: which, counted from 1, in order
 * @limits: for each of them, the last that can take its place
 * @failed: how many have failed so far
 * @fails_before: how many in the steps before
 * @preemptions: how many steps up to this one took the processor from somebody who could go on
 */
struct step {
	unsigned int proc;
	uint16_t index;
	struct access access;
	struct clock begin;
	struct clock clock;
	uint16_t before;
	uint16_t before_line;
	uint16_t before_held;
	uint16_t before_read;
	uint16_t before_write;
	size_t mark;
	uint32_t calls;
	uint32_t nr_fails;
	uint32_t fails[MAX_FAILS];
	uint32_t limits[MAX_FAILS];
	uint32_t failed;
	uint32_t fails_before;
	uint32_t preemptions;
	uint32_t enabled;
	uint32_t backtrack;
	uint32_t done;
	uint32_t sleep;
} __attribute__((aligned(64)));

struct lock_clock {
	const void *object;
	struct clock clock;
};

/**
 * struct proc - one that can be chosen
 * @task: what runs when it is, NULL between two callbacks
 * @clock: what happens before its next step
 * @steps: steps so far
 */
struct proc {
	struct emu_task *task;
	struct clock clock;
	uint16_t steps;
};

struct queued {
	struct clock clock[MAX_QUEUED];
	unsigned int head, tail;
};

/**
 * struct freed - an object that was freed
 * @start: its first byte
 * @end: behind its last one
 * @depth: of the step that did it
 */
struct freed {
	uintptr_t start, end;
	unsigned int depth;
};

#define MAX_FREED 512
#define MAX_EXITS 64
#define MANY_CALLS 64 /* alike and in a row: no more than these all fail in turn */

/**
 * struct rcu_exits - read sections of a flavour that have ended
 * @nr: how many beginnings of them there are
 * @start: of each, on the clock of grace periods: one that began no later waits for those
 * @clock: what happens before the ends of those that began then
 * @rest: of those for which there was no room: everybody is taken to have waited for them, which
 *	leaves something out
 */
struct rcu_exits {
	unsigned int nr;
	unsigned long start[MAX_EXITS];
	struct clock clock[MAX_EXITS];
	struct clock rest;
};

/**
 * struct explorer - a search over the executions of a program
 * @m: machine
 * @program: tasks, copied
 * @options: as asked for, copied
 * @result: what has been found
 * @snapshot: state that every execution starts from
 * @fallible_start: fallible calls before the program begins
 * @known: violations before the program begins
 * @serials: of handles: every execution gives out the same ones
 * @random: state of the generator
 * @priority: EMU_PCT: the highest goes
 * @change: EMU_PCT: depths at which the one that goes loses its priority
 * @bound: EMU_PREEMPTIONS: pre-emptions in the round at hand
 * @cut: enum emu_explore_bound: what has left something out
 * @running: process that is taking a step
 * @depth: steps of the execution at hand
 * @listed: steps of it that are in the lists
 * @last: of each list: depth + 1 of its last step, 0: none
 * @last_line: the same of the lists of accesses that are in one line of 64 bytes
 * @word_users: by eight bytes, some of which share a place: who (bit mask) has ever begun a step
 *	with an access there, in this execution or not
 * @line_users: the same by 64 bytes
 * @askers: of each flavour: who has ever asked for a grace period
 * @freed: objects, from the first step on
 * @nr_freed: how many of them there are
 * @met: depths of the steps that the one at hand conflicts with, as far as they are known
 * @prefix: steps of it that repeat the one before
 * @live: the machine is in the middle of that execution, and steps can be taken back
 * @sleep: who need not be tried at the step behind the one at hand
 * @enabled: who could take it, as found out by the task that was to; 0: nobody has looked, or none
 * @starting: tasks go to their first visible operation
 * @seconds: that earlier slices took
 * @asked: executions when it was last asked whether the search is worthwhile, EMU_PHASES
 * @estimated: how many there would be in all, then
 * @still: at how many questions in a row that has grown as they have
 * @cache: hashes of states, EMU_CACHE
 * @phases: states that begin a phase, EMU_PHASES
 * @frozen: first steps that are given and not searched
 * @given: first steps at which somebody else makes the choices, see items.c; 0: none
 * @races: that would have entered somebody there
 * @full: an item has found more than there is room for
 * @over: the execution at hand is over: what follows its last choice was taken over
 * @pause: first steps at which a new choice ends the run
 * @hurry: is set if somebody waits for the run to end; NULL: nobody does
 * @least: seconds after which it ends then
 * @settled: first steps that no choice of this run has changed
 * @final: hashes of final states, open addressing
 * @final_order: the same as they were met
 * @frames: by stack: how a task got to its next step; NULL: nobody wants to know
 * @path: the same, of the steps of the execution at hand
 * @stacks: of what violations are about; NULL: no schedule is replayed
 * @lock_union: orders of locks, of all executions so far
 * @orders: in which orders dependent steps came; NULL: nobody wants to know
 * @worker: what may leave the worker, or give it, another item: the lock of the queue is taken
 * @tries: some task asks whether a lock is free and does not wait for it, or may release one that
 *	it does not have
 * @strays: some task may release a reader's lock that it does not have
 * @looks: some task looks whether a page was given up
 */
struct explorer {
	struct machine *m;
	struct emu_program_task program[MAX_PROGRAM_TASKS];
	int nr_tasks;
	struct emu_explore_options options;
	struct emu_explore_result *result;
	long snapshot;
	unsigned long fallible_start;
	int known;
	const struct strategy *strategy;
	unsigned long serials;
	uint64_t random;
	uint64_t priority[MAX_PROCS];
	unsigned int change[MAX_CHANGES];
	unsigned int changes;
	unsigned int bound;
	uint32_t cut;
	unsigned int running;
	unsigned int depth;
	unsigned int listed;
	uint16_t last[NR_LISTS];
	uint16_t last_line[LINE_LISTS];
	uint16_t word_users[1U << USER_BITS];
	uint16_t line_users[1U << USER_BITS];
	uint16_t askers[2];
	struct freed freed[MAX_FREED];
	unsigned int nr_freed;
	uint16_t met[MAX_STEPS];
	unsigned int prefix;
	bool live;
	uint32_t sleep;
	uint32_t enabled;
	bool starting;
	double seconds;
	uint64_t asked;
	double estimated;
	unsigned int still;
	struct proc procs[MAX_PROCS];
	struct rcu_exits rcu_exits[2];
	struct queued queued[2];
	struct lock_clock locks[MAX_LOCKS];
	int64_t *decoded[MAX_PROGRAM_TASKS];
	struct state_cache *cache;
	struct phases *phases;
	unsigned int frozen;
	unsigned int given;
	unsigned int nr_races;
	struct emu_search_race races[MAX_RACES];
	bool full;
	bool over;
	unsigned int pause;
	const char *hurry;
	double least;
	unsigned int settled;
	struct emu_search_frames *frames;
	struct emu_search_frames *path;
	struct stacks *stacks;
	struct lock_union *lock_union;
	struct orders *orders;
	struct access worker;
	bool tries;
	bool strays;
	bool looks;
	uint64_t final[MAX_FINAL_STATES];
	uint64_t final_order[MAX_FINAL_STATES];
	struct step steps[MAX_STEPS];
};

/* Is what happens before what of use?  Only to whoever finds out by races who is to be tried. */
static inline bool keeps_clocks(const struct explorer *x)
{
	return x->strategy->reduces;
}

/* What happens before @b happens before @a, too. */
static inline void join(struct clock *restrict a, const struct clock *restrict b)
{
	/* In this form the compiler makes three instructions of eight counts. */
	for (unsigned int i = 0; i < CLOCK_SIZE; i++)
		a->at[i] = a->at[i] < b->at[i] ? b->at[i] : a->at[i];
}

/* An access of nothing has no bytes. */
static inline bool overlap(const struct access *a, const struct access *b)
{
	return a->start < b->end && b->start < a->end;
}

/* Of one lock: who has it lets go of it before the next one has it, and nobody else can. */
static inline bool hands_over(enum access_kind a, enum access_kind b)
{
	return unlikely(a == ACCESS_RELEASE) ? b == ACCESS_RELEASE || b == ACCESS_ACQUIRE :
	       unlikely(b == ACCESS_RELEASE) ? a == ACCESS_ACQUIRE :
					       false;
}

/* May the order of two steps that begin with these, @a of @kind, make a difference? */
static inline bool conflicts_as(const struct access *a, enum access_kind kind,
				const struct access *b)
{
	if (overlap(a, b))
		if ((kind != ACCESS_READ || b->kind != ACCESS_READ) && !hands_over(kind, b->kind))
			return true;
	return (a->rcu_read & b->rcu_write) || (a->rcu_write & b->rcu_read) ||
	       (a->rcu_write & b->rcu_write & RCU_QUEUES);
}

static inline bool conflicts(const struct access *a, const struct access *b)
{
	return conflicts_as(a, a->kind, b);
}

/* Of the unit of 1 << @shift bytes that @at is in; by its offset, the same wherever the arena is. */
static inline uint64_t unit_hash(const struct explorer *x, uintptr_t at, unsigned int shift)
{
	return ((at - (uintptr_t)x->m->arena) >> shift) * 0x9e3779b97f4a7c15UL;
}

static inline uint16_t *word_users(struct explorer *x, uintptr_t at)
{
	return &x->word_users[unit_hash(x, at, 3) >> (64 - USER_BITS)];
}

static inline uint16_t *line_users(struct explorer *x, uintptr_t at)
{
	return &x->line_users[unit_hash(x, at, 6) >> (64 - USER_BITS)];
}

/* Is @i among what happens before an event with clock @clock? */
static inline bool happens_before(const struct step *i, const struct clock *clock)
{
	return clock->at[i->proc] >= i->index;
}

/** is_over() - do all steps that begin with an access to @object come before @before? */
bool is_over(const struct explorer *x, const struct access *object, const struct clock *before);
/** find_free() - depth + 1 of the step that has freed some of what @access is to; 0: none */
unsigned int find_free(const struct explorer *x, const struct access *access);

/* The same, told at once where nothing has been freed. */
static inline unsigned int freed_in_step(const struct explorer *x, const struct access *access)
{
	const struct machine *m = x->m;
	const size_t off = access->start - (uintptr_t)m->arena;

	if (off >= m->arena_size || likely(m->shadow[off / 8] != SHADOW_FREED))
		return 0;
	return find_free(x, access);
}

/** lock_clock() - what the next acquisition of @object comes after; NULL: too many locks */
struct lock_clock *lock_clock(struct explorer *x, const void *object);
bool task_over(const struct emu_task *task);
/** kernel_idles() - has the kernel nothing to do of its own, neither begun nor queued? */
static inline bool kernel_idles(const struct explorer *x)
{
	const struct machine_state *s = x->m->s;

	for (unsigned int i = PROC_RCU; i < MAX_PROCS; i++)
		if (x->procs[i].task)
			return false;
	return !s->rcu[0].head && !s->rcu[1].head && list_empty(&s->kernel.workqueue.worklist);
}

/** enabled_procs() - bit mask of who can take a step */
uint32_t enabled_procs(struct explorer *x);
/** let_time_pass() - nobody can take a step: whoever wakes by himself first does; false: nobody */
bool let_time_pass(struct explorer *x);
/** pending_of() - what the next step of @proc begins with */
static inline const struct access *pending_of(const struct explorer *x, unsigned int proc)
{
	static const struct access nothing = { .kind = ACCESS_NONE };
	const struct emu_task *task = x->procs[proc].task;
	const struct access *callback;

	if (likely(task != NULL))
		return &task->pending;
	if (proc == PROC_WORKER)
		return &x->worker;
	/* A position from outside may have somebody asleep who is not there. */
	if (proc < PROC_RCU)
		return &nothing;
	callback = rcu_oldest_access(x->m, (int)(proc - PROC_RCU));
	return callback ? callback : &nothing;
}

/**
 * kind_now() - what @access would be now: a compare-and-exchange that fails only looks, and a lock
 *	that has been taken away meanwhile is not handed over but taken away in turn
 */
static inline enum access_kind kind_now(const struct access *access)
{
	if (access->compares &&
	    __builtin_memcmp((const void *)access->start, &access->expected, access->compares))
		return access->kind == ACCESS_RELEASE ? ACCESS_WRITE : ACCESS_READ;
	return access->kind;
}

/** begin_step() - @step->proc is about to go: what it may change is kept */
void begin_step(struct explorer *x, struct step *step);
/** join_callback() - the oldest callback comes after it was queued, and after those it waited for */
void join_callback(struct explorer *x, unsigned int proc);
/** run_proc() - let @proc go to its next visible operation */
void run_proc(struct explorer *x, unsigned int proc);
/**
 * goes_on() - need the running task, which has announced what it is about to do, not give way?
 *
 * Return: its next step has begun; false: it gives way.
 */
bool goes_on(struct explorer *x);
/** run_program_task() - what the task of a program runs */
int64_t run_program_task(const int64_t *args);

#endif
