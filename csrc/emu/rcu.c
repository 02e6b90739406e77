// SPDX-License-Identifier: GPL-2.0-only
/*
 * RCU and RCU-sched.
 *
 * A clock counts the grace periods that somebody has asked for.  A reader
 * remembers the clock of its outermost lock; a callback or a waiter remembers
 * the clock at which it asked and advances it.  Its grace period has ended
 * when no reader is left that began at or before that time.  This is the
 * shortest grace period that the contract allows; a longer one is the same
 * callback run later.
 *
 * Callbacks run one at a time, oldest first, each as a task of its own in
 * softirq context, on the CPU that queued it.
 */
#include "kcsan.h"
#include "machine.h"

#include <linux/rcupdate.h>

enum { FLAVOUR_RCU, FLAVOUR_SCHED };

/**
 * struct rcu_item - one queued callback
 * @head: what the kernel queued
 * @func: its function, kept here: the head may be overwritten by a second queuing
 * @access: what it begins with
 */
struct rcu_item {
	struct rcu_item *next;
	struct rcu_head *head;
	rcu_callback_t func;
	unsigned long clock;
	int cpu;
	const void *owner;
	struct access access;
};

void rcu_init(struct machine *m)
{
	m->s->rcu[FLAVOUR_RCU].tail = &m->s->rcu[FLAVOUR_RCU].head;
	m->s->rcu[FLAVOUR_SCHED].tail = &m->s->rcu[FLAVOUR_SCHED].head;
	m->s->kernel.rcu_clock = 1;
}

/* What the ends of callbacks of a flavour are ordered by. */
static const void *callbacks_of(struct machine *m, int flavour)
{
	return &m->s->rcu[flavour].tail;
}

static int flavour_of(int flavour)
{
	return kernel_data()->config.preempt_rcu ? flavour : FLAVOUR_SCHED;
}

#ifdef KERNEL_CHECKED
/* Not a reader yet: the section begins with the first visible operation in it. */
#define NOT_YET (~0UL)

/*
 * One in which nothing visible was done has never begun: whether it came before who asks for a grace
 * period or behind it is all the same to a search, which tries one of the two.  So it orders nothing,
 * and what it shares with who has asked is a data race in both.
 */
static void section_ends(struct machine *m, int flavour, unsigned long start)
{
	if (start == NOT_YET)
		return;
	kcsan_section_ends(m, flavour, start);
	explore_rcu_exit(m, flavour, start);
	if (m->wipes)
		wipe_stack();
}

static unsigned long section_start(struct machine *m)
{
	return unlikely(m->explorer != NULL) ? NOT_YET : m->s->kernel.rcu_clock;
}

void preempt_disable(void)
{
	struct task_struct *task = current;

	if (task->preempt_count++ == 0)
		task->rcu_sched_start = section_start(this_machine());
}

void preempt_enable(void)
{
	struct machine *m = this_machine();

	if (!current->preempt_count) {
		report_violation_at(VIOLATION_LOCK_ORDER, __builtin_return_address(0),
				    "preempt_enable() without preempt_disable()");
		return;
	}
	if (--current->preempt_count == 0 && unlikely(m->explorer != NULL))
		section_ends(m, FLAVOUR_SCHED, current->rcu_sched_start);
}

/*
 * Entering a section of RCU is visible by itself: the plain loads that follow
 * are what it is there for.  Pre-emption is turned off in front of visible
 * operations, and together with them.
 */
static void enter_section(struct machine *m)
{
	const int flavour = flavour_of(FLAVOUR_RCU);
	const struct access access = { .kind = ACCESS_NONE, .rcu_read = (uint8_t)(1U << flavour) };

	explore_point(m, &access);
	current->rcu_start = m->s->kernel.rcu_clock;
	if (flavour == FLAVOUR_SCHED && !current->preempt_count)
		current->rcu_sched_start = m->s->kernel.rcu_clock;
}

void rcu_read_lock(void)
{
	struct task_struct *task = current;
	struct machine *m = this_machine();
	bool outermost = task->rcu_read_lock_nesting == 0;

	if (outermost)
		task->rcu_start = section_start(m);
	if (outermost && unlikely(m->explorer != NULL))
		enter_section(m);
	task->rcu_read_lock_nesting++;
	if (!kernel_data()->config.preempt_rcu && task->preempt_count++ == 0 && !m->explorer)
		task->rcu_sched_start = section_start(m);
}

void rcu_read_unlock(void)
{
	struct machine *m = this_machine();

	if (!current->rcu_read_lock_nesting) {
		report_violation_at(VIOLATION_LOCK_ORDER, __builtin_return_address(0),
				    "rcu_read_unlock() without rcu_read_lock()");
		return;
	}
	if (!kernel_data()->config.preempt_rcu)
		preempt_enable();
	if (--current->rcu_read_lock_nesting == 0 && unlikely(m->explorer != NULL))
		section_ends(m, FLAVOUR_RCU, current->rcu_start);
}

unsigned int rcu_entering(const struct emu_task *task)
{
	return (task->t.rcu_read_lock_nesting && task->t.rcu_start == NOT_YET ? 1U << FLAVOUR_RCU :
										0) |
	       (task->t.preempt_count && task->t.rcu_sched_start == NOT_YET ? 1U << FLAVOUR_SCHED :
									      0);
}

void rcu_enter(struct machine *m, struct emu_task *task)
{
	if (task->t.rcu_read_lock_nesting && task->t.rcu_start == NOT_YET)
		task->t.rcu_start = m->s->kernel.rcu_clock;
	if (task->t.preempt_count && task->t.rcu_sched_start == NOT_YET)
		task->t.rcu_sched_start = m->s->kernel.rcu_clock;
}
#else
unsigned int rcu_entering(const struct emu_task *task)
{
	(void)task;
	return 0;
}

void rcu_enter(struct machine *m, struct emu_task *task)
{
	(void)m;
	(void)task;
}
#endif

bool rcu_read_lock_held(void)
{
	return current->rcu_read_lock_nesting > 0;
}

bool rcu_read_lock_sched_held(void)
{
	return current->preempt_count > 0 || current->irqs_disabled > 0;
}

/* Has every reader of @flavour left that began at or before @clock? */
static bool readers_gone(struct machine_state *s, int flavour, unsigned long clock)
{
	for (int i = 0; i < s->nr_tasks; i++) {
		const struct emu_task *task = s->tasks[i];

		if (task->kind == TASK_FREE || task->run == RUN_DEAD)
			continue;
		if (flavour == FLAVOUR_SCHED) {
			if (task->t.preempt_count && task->t.rcu_sched_start <= clock)
				return false;
		} else if (task->t.rcu_read_lock_nesting && task->t.rcu_start <= clock) {
			return false;
		}
	}
	return true;
}

/*
 * Visible: whether a reader that is about to begin is waited for depends on the place of who asks
 * for a grace period, which of two callbacks runs first on the order in which they are queued, and
 * whether rcu_barrier() waits for one on which of the two was first.
 */
static void give_way_for(struct machine *m, uint8_t rcu_write)
{
	const struct access access = { .kind = ACCESS_NONE, .rcu_write = rcu_write };

	if (unlikely(m->explorer != NULL))
		explore_point(m, &access);
}

static uint8_t grace_period(int flavour)
{
	return (uint8_t)(1U << flavour);
}

/* Of a head, which is queued, taken off the queue, or freed with what it is in. */
static struct access use_of(const struct rcu_head *head, uint8_t rcu_write)
{
	return (struct access){
		.start = (uintptr_t)head,
		.end = (uintptr_t)head + sizeof(head->next),
		.kind = ACCESS_WRITE,
		.rcu_write = rcu_write,
	};
}

static void queue_callback(int flavour, struct rcu_head *head, rcu_callback_t func)
{
	struct machine *m = this_machine();
	struct machine_state *s = m->s;
	const struct access access = use_of(head, grace_period(flavour) | RCU_QUEUE(flavour));
	struct rcu_queue *q = &s->rcu[flavour];
	struct rcu_item *item;

	if (unlikely(m->explorer != NULL))
		explore_point(m, &access);
	kasan_touch(head, sizeof(*head), true, "__call_rcu");
	for (item = q->head; item; item = item->next)
		if (item->head == head) {
			WARN_ONCE(1, "__call_rcu(): Double-freed CB %p->%pF()!!!", head,
				  (const void *)func);
			return; /* leaked, as with DEBUG_OBJECTS_RCU_HEAD */
		}
	head->func = func;
	head->next = NULL;
	item = machine_alloc(m, sizeof(*item));
	item->head = head;
	item->func = func;
	item->clock = s->kernel.rcu_clock++;
	item->cpu = current->cpu;
	item->owner = m->running->owner;
	item->access = use_of(head, 0);
	*q->tail = item;
	q->tail = &item->next;
	q->pending++;
	q->queued++;
	if (unlikely(m->explorer != NULL)) {
		kcsan_release(m, head);
		explore_rcu_queued(m, flavour);
	}
	trace_event(m, EVENT_RCU_QUEUE, (uint64_t)(uintptr_t)func, (uint64_t)flavour);
}

void call_rcu(struct rcu_head *head, rcu_callback_t func)
{
	queue_callback(flavour_of(FLAVOUR_RCU), head, func);
}

void call_rcu_sched(struct rcu_head *head, rcu_callback_t func)
{
	queue_callback(FLAVOUR_SCHED, head, func);
}

static bool item_due(struct machine_state *s, int flavour, const struct rcu_item *item)
{
	return item && readers_gone(s, flavour, item->clock);
}

bool rcu_callback_due(struct machine *m)
{
	return item_due(m->s, FLAVOUR_RCU, m->s->rcu[FLAVOUR_RCU].head) ||
	       item_due(m->s, FLAVOUR_SCHED, m->s->rcu[FLAVOUR_SCHED].head);
}

/* A callback has run: whoever waits for callbacks looks again. */
static void wake_barriers(struct machine_state *s)
{
	for (int i = 0; i < s->nr_tasks; i++) {
		struct emu_task *task = s->tasks[i];

		if (task->kind != TASK_FREE && task->run == RUN_BLOCKED &&
		    task->wait_object == (const void *)s->rcu && !task->gp_clock)
			task_wake(task);
	}
}

static int64_t run_callback(const int64_t *args)
{
	struct machine *m = this_machine();
	struct rcu_head *head = (struct rcu_head *)(uintptr_t)args[0];
	rcu_callback_t func = (rcu_callback_t)(uintptr_t)args[1];
	struct rcu_queue *q = &m->s->rcu[args[2]];

	current->in_softirq = true;
	preempt_disable();
	trace_event(m, EVENT_RCU_RUN, (uint64_t)args[1], (uint64_t)args[2]);
	kasan_touch(head, sizeof(*head), false, "rcu_process_callbacks");
	if (unlikely(m->explorer != NULL)) {
		kcsan_acquire(m, head);
		kcsan_grace_period(m, (int)args[2], (unsigned long)args[3]);
	}
	func(head);
	if (unlikely(m->explorer != NULL))
		kcsan_release(m, callbacks_of(m, (int)args[2]));
	preempt_enable();
	q->invoked++;
	wake_barriers(m->s);
	return 0;
}

unsigned long rcu_oldest_clock(const struct machine *m, int flavour)
{
	return m->s->rcu[flavour].head->clock;
}

const struct access *rcu_oldest_access(const struct machine *m, int flavour)
{
	const struct rcu_item *item = m->s->rcu[flavour].head;

	return item ? &item->access : NULL;
}

bool rcu_flavour_due(struct machine *m, int flavour)
{
	return item_due(m->s, flavour, m->s->rcu[flavour].head);
}

struct emu_task *rcu_flavour_task(struct machine *m, int flavour)
{
	struct rcu_queue *q = &m->s->rcu[flavour];
	struct rcu_item *item = q->head;
	struct emu_task *task = task_create(m, TASK_SOFTIRQ, "rcu", item->cpu);
	int64_t args[4];

	if (!task)
		return NULL;
	q->head = item->next;
	if (!q->head)
		q->tail = &q->head;
	q->pending--;
	args[0] = (int64_t)(uintptr_t)item->head;
	args[1] = (int64_t)(uintptr_t)item->func;
	args[2] = flavour;
	args[3] = (int64_t)item->clock;
	task->owner = item->owner;
	machine_free(m, item);
	task_start(m, task, run_callback, args, 4);
	return task;
}

/* Takes the oldest due callback and makes it a task that is ready to run. */
struct emu_task *rcu_next_task(struct machine *m)
{
	struct machine_state *s = m->s;
	struct rcu_item *first[2] = { s->rcu[FLAVOUR_RCU].head, s->rcu[FLAVOUR_SCHED].head };
	bool due[2];
	int flavour;

	if (!first[0] && !first[1])
		return NULL;
	/* Manual grace periods end when somebody waits for callbacks, or says so. */
	if (m->rcu_mode == RCU_MANUAL && !s->rcu_barriers && !s->rcu_budget)
		return NULL;
	due[0] = item_due(s, FLAVOUR_RCU, first[0]);
	due[1] = item_due(s, FLAVOUR_SCHED, first[1]);
	if (!due[0] && !due[1])
		return NULL;
	flavour = due[0] && (!due[1] || first[0]->clock < first[1]->clock) ? FLAVOUR_RCU :
									     FLAVOUR_SCHED;
	if (s->rcu_budget)
		s->rcu_budget--;
	return rcu_flavour_task(m, flavour);
}

void rcu_wake_waiters(struct machine *m)
{
	struct machine_state *s = m->s;

	if (!s->rcu_waiters)
		return;
	for (int i = 0; i < s->nr_tasks; i++) {
		struct emu_task *task = s->tasks[i];

		if (task->kind != TASK_FREE && task->run == RUN_BLOCKED && task->gp_clock &&
		    readers_gone(s, task->gp_flavour, task->gp_clock))
			task_wake(task);
	}
}

static void synchronize(int flavour, const char *text, const char *what)
{
	struct machine_state *s = this_machine()->s;
	struct emu_task *task;
	unsigned long clock;

	if (rcu_read_lock_held() || current->preempt_count) {
		printk_level(LOGLEVEL_WARNING, "%s\n", text);
		report_violation_at(VIOLATION_ATOMIC_SLEEP, __builtin_return_address(0), "%s",
				    text);
	}
	might_sleep();
	/*
	 * The only CPU is here, outside any reader.  Where schedules are explored others may have been
	 * left inside one, and are to be waited for as on another CPU.
	 */
	if (flavour == FLAVOUR_SCHED && s->kernel.config.cpus == 1 && !current->preempt_count &&
	    !this_machine()->explorer)
		return;
	give_way_for(this_machine(), grace_period(flavour));
	clock = s->kernel.rcu_clock++;
	task = task_of(current);
	s->rcu_waiters++;
	while (!readers_gone(s, flavour, clock)) {
		task->gp_flavour = flavour;
		task->gp_clock = clock;
		task_block("grace period", s->rcu, what);
		task->gp_clock = 0;
	}
	s->rcu_waiters--;
	if (unlikely(this_machine()->explorer != NULL))
		kcsan_grace_period(this_machine(), flavour, clock);
}

void synchronize_rcu(void)
{
	synchronize(flavour_of(FLAVOUR_RCU),
		    "Illegal synchronize_rcu() in RCU read-side critical section",
		    "synchronize_rcu()");
}

void synchronize_sched(void)
{
	synchronize(FLAVOUR_SCHED,
		    "Illegal synchronize_sched() in RCU-sched read-side critical section",
		    "synchronize_sched()");
}

static void barrier_of(int flavour, const char *what)
{
	struct machine_state *s = this_machine()->s;
	struct rcu_queue *q = &s->rcu[flavour];
	unsigned long target;

	might_sleep();
	give_way_for(this_machine(), RCU_QUEUE(flavour));
	target = q->queued;
	s->rcu_barriers++;
	while (q->invoked < target)
		task_block("RCU callbacks", s->rcu, what);
	s->rcu_barriers--;
	if (unlikely(this_machine()->explorer != NULL))
		kcsan_acquire(this_machine(), callbacks_of(this_machine(), flavour));
}

void rcu_barrier(void)
{
	barrier_of(flavour_of(FLAVOUR_RCU), "rcu_barrier()");
}

void rcu_barrier_sched(void)
{
	barrier_of(FLAVOUR_SCHED, "rcu_barrier_sched()");
}
