/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EMU_EXECUTION_H
#define EMU_EXECUTION_H

/*
 * One execution of a program that is being explored: processes, steps, and
 * what happens before what.  The search over executions is explore.c.
 */

#include "api.h"
#include "strategy.h"

#define PROC_RCU MAX_PROGRAM_TASKS
#define PROC_RCU_SCHED (MAX_PROGRAM_TASKS + 1)
#define PROC_WORKER (MAX_PROGRAM_TASKS + 2)
#define MAX_PROCS (MAX_PROGRAM_TASKS + 3)
#define MAX_STEPS 4096
#define MAX_LOCKS 64
#define MAX_QUEUED 64
#define MAX_CHANGES 16 /* of priorities, in an execution of EMU_PCT */
#define MAX_FINAL_STATES 4096

struct clock {
	uint16_t at[MAX_PROCS];
};

/**
 * struct step - one step of the execution at hand
 * @proc: who went
 * @index: its how-manieth step this is, from 1
 * @access: what it began with
 * @clock: what happens before the end of this step
 * @enabled: who could have gone
 * @backtrack: who is to be tried from here
 * @done: who has been
 * @sleep: who need not be tried: what would follow has been seen
 */
struct step {
	unsigned int proc;
	uint16_t index;
	struct access access;
	struct clock clock;
	uint32_t enabled;
	uint32_t backtrack;
	uint32_t done;
	uint32_t sleep;
};

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

#define MAX_EXITS 32

/**
 * struct rcu_exits - read sections of a flavour that have ended
 * @nr: how many of them are apart
 * @start: of each, on the clock of grace periods: one that began no later waits for it
 * @clock: what happens before its end
 * @rest: of those for which there was no room: everybody is taken to have waited for them
 */
struct rcu_exits {
	unsigned int nr;
	unsigned long start[MAX_EXITS];
	struct clock clock[MAX_EXITS];
	struct clock rest;
};

struct explorer {
	struct machine *m;
	const struct emu_program_task *program;
	int nr_tasks;
	const struct emu_explore_options *options;
	struct emu_explore_result *result;
	long snapshot;
	unsigned long fallible_start; /* fallible calls before the program begins */
	const struct strategy *strategy;
	uint64_t random; /* state of the generator */
	uint64_t priority[MAX_PROCS]; /* EMU_PCT: the highest goes */
	unsigned int change[MAX_CHANGES]; /* depths at which the one that goes loses its own */
	unsigned int changes;
	unsigned int longest; /* execution so far, in steps */
	bool cut; /* a bound on choices has left something out */
	unsigned int running; /* process that is taking a step */
	unsigned int depth;
	unsigned int prefix; /* steps that repeat the execution before */
	struct proc procs[MAX_PROCS];
	struct rcu_exits rcu_exits[2];
	struct queued queued[2];
	struct lock_clock locks[MAX_LOCKS];
	unsigned int nr_locks;
	int64_t *decoded[MAX_PROGRAM_TASKS];
	uint64_t final[MAX_FINAL_STATES];
	struct step steps[MAX_STEPS];
};

/* What happens before @b happens before @a, too. */
static inline void join(struct clock *a, const struct clock *b)
{
	for (unsigned int i = 0; i < MAX_PROCS; i++)
		if (a->at[i] < b->at[i])
			a->at[i] = b->at[i];
}

/* May the order of two steps that begin with these make a difference? */
static inline bool conflicts(const struct access *a, const struct access *b)
{
	if ((a->rcu_read & b->rcu_write) || (a->rcu_write & b->rcu_read))
		return true;
	if (a->kind == ACCESS_NONE || b->kind == ACCESS_NONE)
		return false;
	if (a->kind == ACCESS_READ && b->kind == ACCESS_READ)
		return false;
	return a->start < b->end && b->start < a->end;
}

/** lock_clock() - what the next acquisition of @object comes after; NULL: too many locks */
struct lock_clock *lock_clock(struct explorer *x, const void *object);
bool task_over(const struct emu_task *task);
/** enabled_procs() - bit mask of who can take a step */
uint32_t enabled_procs(struct explorer *x);
/** pending_of() - what the next step of @proc begins with */
const struct access *pending_of(const struct explorer *x, unsigned int proc);
/** run_proc() - let @proc go to its next visible operation */
void run_proc(struct explorer *x, unsigned int proc);
/** run_program_task() - what the task of a program runs */
int64_t run_program_task(const int64_t *args);

#endif
