/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _EMU_MACHINE_H
#define _EMU_MACHINE_H

/*
 * The machine: what hardware, compiler instrumentation and scheduler are to a
 * real kernel.
 *
 * One mapping holds everything that belongs to a machine:
 *
 *	stacks | struct machine | arena: state, heap | shadow | log | trace
 *
 * What a snapshot must bring back lives in the arena (the state first, the
 * heap behind it, up to the allocation mark) and on the stacks of parked
 * tasks; log and trace only grow, so their lengths, which are state, are
 * enough.  struct machine itself is the host's view and survives a restore.
 *
 * Stacks grow away from struct machine, the first one next to it: what a
 * machine uses that does little is a handful of neighbouring pages.
 */

#include <linux/kernel_data.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "explore.h"
#include "stacks.h"
#include "undo.h"
#include "memmap.h"
#include "memremap_emu.h"

#ifdef KERNEL_CHECKED
#define CHECKED_BUILD true
#else
#define CHECKED_BUILD false
#endif

/* Does the machine know which lines of the arena were written? See dirty.c. */
#ifdef TRACK_STORES
#define TRACKS_STORES true
#else
#define TRACKS_STORES false
#endif

/* Sizes of the parts of the mapping; all are address space, not memory. */
#define TASK_STACK_SIZE (64UL << 10)
#define TASK_STACK_GUARD 4096UL
#define MAX_TASKS 128
#define MACHINE_CLOSED (~0UL) /* in place of a thread that is inside */
/* About a second. */
#define SOFT_LOCKUP_STEPS (1L << 28)
/* Pages that can be put one by one in the 20 s after which a watchdog barks. */
#define SOFT_LOCKUP_PAGES 100000000UL
#define LOG_SIZE (1UL << 20)
#define TRACE_EVENTS (1UL << 15)
#define MAX_FAULT_PLANS 8
#define MAX_FAULT_SITES 96
#define MAX_ONCE_SITES 64
#define NR_CALLBACK_SYMBOLS 16

enum violation_kind {
	VIOLATION_HANG,
	VIOLATION_USE_AFTER_FREE,
	VIOLATION_OUT_OF_BOUNDS,
	VIOLATION_DOUBLE_FREE,
	VIOLATION_UNINITIALIZED,
	VIOLATION_MEMMAP_REMOVED,
	VIOLATION_REFCOUNT,
	VIOLATION_DATA_RACE,
	VIOLATION_LOCK_ORDER,
	VIOLATION_ATOMIC_SLEEP,
	VIOLATION_SOFT_LOCKUP,
	VIOLATION_LEAK,
	VIOLATION_CONTRACT,
	VIOLATION_WARN,
	VIOLATION_BUG,
	VIOLATION_LINEAR_MAP,
	NR_VIOLATION_KINDS,
};

/**
 * struct violation - one broken rule
 * @kind: enum violation_kind
 * @task: pid of the task that broke it, 0 for the host
 * @log_end: length of the log when it was found
 * @trace_end: number of trace events by then
 * @func: function that broke it, "" if unknown
 * @message: what happened
 */
struct violation {
	int kind;
	int task;
	unsigned long log_end;
	unsigned long trace_end;
	char func[64];
	char message[320];
};

enum task_kind {
	TASK_FREE,
	TASK_DIRECT, /* one call from the host */
	TASK_CONTEXT, /* k.task(): lives from call to call */
	TASK_SOFTIRQ, /* one RCU callback */
	TASK_WORKER, /* one item of the workqueue */
};

enum run_state {
	RUN_IDLE, /* a context between two calls */
	RUN_READY,
	RUN_BLOCKED,
	RUN_UPCALL, /* wants the host to run a callback */
	RUN_DONE,
	RUN_DEAD, /* oopsed: never runs again, its locks stay held */
};

#define TASK_ARGS 6

typedef int64_t (*task_fn)(const int64_t *args);

/**
 * struct upcall_frame - a callback of the host in progress, on the task's stack
 * @id: which callback
 * @args: its arguments
 * @result: what it returned
 * @done: the callback has ended
 * @parked: the callback issued @request and left; it is continued when that ends
 * @request: an operation that the callback wants run in this task, or NULL
 * @request_args: arguments of @request
 * @request_result: its result
 * @request_done: @request has ended
 * @prev: the frame below
 */
struct upcall_frame {
	long id;
	int64_t args[2];
	int64_t result;
	bool done;
	bool parked;
	task_fn request;
	int64_t request_args[TASK_ARGS];
	int64_t request_result;
	bool request_done;
	struct upcall_frame *prev;
};

/**
 * struct emu_task - a coroutine
 * @t: what the kernel sees
 * @sp: saved stack pointer while it does not run
 * @stack: index of its stack
 * @run: enum run_state
 * @pending: what it does next, while schedules are explored
 * @kind: enum task_kind
 * @fn: what it runs
 * @args: arguments of @fn, copied: the caller may be gone when it ends
 * @result: result of @fn
 * @wait_what: what it waits for, in words
 * @wait_object: the object it waits on
 * @wait_kind: kind of that object
 * @deadline: clock at which it is woken at the latest, 0 never
 * @gp_flavour: flavour of the grace period that it waits for
 * @gp_clock: when it asked for it, 0: it does not wait for one
 * @upcalls: innermost callback in progress
 * @upcall_depth: how many of them
 * @owner: the device on whose behalf it runs, for accounting
 * @ready: link in the run queue
 * @steps: pages handled since the last scheduling point
 * @serial: tells reuses of this structure apart
 */
struct emu_task {
	struct task_struct t;
	/* Written whenever it gives way: in one line, as one is kept to be brought back. */
	void *sp;
	int stack;
	enum run_state run;
	struct access pending;
	enum task_kind kind;
	task_fn fn;
	int64_t args[TASK_ARGS];
	int64_t result;
	const char *wait_what;
	const void *wait_object;
	const char *wait_kind;
	unsigned long deadline;
	int gp_flavour;
	unsigned long gp_clock;
	struct upcall_frame *upcalls;
	int upcall_depth;
	const void *owner;
	struct list_head ready;
	unsigned long steps;
	unsigned long serial;
	const char *operation; /* of a program, that has not done anything visible yet */
	int64_t operation_argument;
};

/**
 * struct rcu_queue - callbacks of one flavour, oldest first
 */
struct rcu_queue {
	struct rcu_item *head;
	struct rcu_item **tail;
	unsigned long pending;
	unsigned long queued;
	unsigned long invoked;
};

struct fault_plan {
	const char *site; /* NULL: any */
	unsigned long nth; /* counted from when the plan was made, 1 the next */
	unsigned long seen;
	unsigned long hits;
	bool sticky; /* every call from the n-th on fails */
	bool slab; /* only calls of the slab allocator count, as with failslab */
};

struct fault_site {
	const char *name;
	unsigned long calls;
};

enum rcu_mode { RCU_EAGER, RCU_MANUAL };

/**
 * struct machine_state - everything that a snapshot brings back
 */
struct machine_state {
	struct kernel_data kernel;
	struct memmap memmap;
	unsigned long brk; /* first unused byte of the arena */
	unsigned long serial; /* allocations, tasks: every name that must not repeat */
	unsigned long live_objects;
	unsigned long live_bytes;
	struct emu_task *tasks[MAX_TASKS];
	int nr_tasks; /* slots of @tasks up to the last one in use */
	int nr_sleepers; /* tasks that wake by themselves when time passes */
	int next_pid;
	struct list_head ready;
	struct rcu_queue rcu[2]; /* RCU, RCU-sched */
	int rcu_budget; /* callbacks that may run although grace periods are manual */
	int rcu_waiters; /* tasks inside synchronize_rcu and friends */
	int rcu_barriers; /* tasks inside rcu_barrier: callbacks must run */
	struct fault_plan plans[MAX_FAULT_PLANS];
	int nr_plans;
	struct fault_site sites[MAX_FAULT_SITES];
	int nr_sites;
	unsigned long fallible_calls;
	const void *once[MAX_ONCE_SITES];
	int nr_once;
	struct object_table *objects;
	const char *callback_symbols[NR_CALLBACK_SYMBOLS];
	int nr_callback_symbols;
	int host_get_ops; /* dev_pagemap_get_ops() by the host that it has not put */
	int hmm_get_ops; /* and by HMM, which never puts it, on behalf of the host */
	/* What the platform bus compares names with, once the host's drivers may answer instead. */
	int (*platform_match)(struct device *dev, struct device_driver *drv);
	struct host_action *actions; /* what devm actions of the host stand for */
	struct resource walk; /* what a resource walker has just handed to the host */
	unsigned long log_end;
	unsigned long trace_end;
	int nr_violations;
	unsigned long warnings;
	bool panicked;
	unsigned long clock;
};

/**
 * struct machine - the host's view
 * @mapping: start of the mapping that this structure is in
 * @mapping_size: bytes of it
 * @arena: first byte of the arena, where the state is
 * @arena_size: bytes
 * @shadow: one byte for each 8 of the arena
 * @trace_on: record function entries
 */
struct machine {
	char *mapping;
	size_t mapping_size;
	char *arena;
	size_t arena_size;
	unsigned char *shadow;
	unsigned long *dirty; /* one bit for each line written */
	unsigned long *hot; /* one bit for each line that is taken to be written always */
	size_t dirty_size; /* bytes of the arena that are watched, 0: nobody wants to know */
	struct snapshot *dirty_since; /* the snapshot that all other lines agree with */
	char *log;
	struct emu_event *trace;
	char *stacks; /* their upper end: the first one is the highest */
	struct machine_state *s;
	struct emu_task *running;
	void *host_sp;
	struct violation *violations;
	int violations_cap;
	emu_upcall_fn upcall;
	void *upcall_data;
	struct emu_task *upcall_task;
	struct upcall_frame *upcall_frame;
	int depth; /* calls of the host inside each other */
	unsigned long thread; /* which host thread is inside, 0 none, or MACHINE_CLOSED */
	bool trace_on;
	enum rcu_mode rcu_mode;
	unsigned long call_log_start; /* where the log stood when the outermost call began */
	int call_violations_start;
	unsigned long calls;
	unsigned long handle_serial; /* never goes back: stale handles stay stale */
	int64_t context; /* task in which calls run that name none */
	struct explorer *explorer; /* schedules are being explored */
	struct undo *undo; /* and steps are taken back, NULL: they are not */
	struct lockdep *lockdep; /* which locks were taken meanwhile */
	struct stacks *backtraces; /* kept for reports while a schedule is replayed, else NULL */
	struct kcsan *kcsan; /* what was accessed meanwhile, NULL: nothing yet */
	bool arena_full;
	long steps; /* accesses of the running task since it was switched to (checked build) */
	long ticks; /* of the plain build's watchdog that found it on its stack since then */
	bool refused; /* the running operation was asked something it cannot do */
	bool wipes; /* hooks leave no trace on the stacks of tasks, which are part of the state */
	bool quiet; /* no reports: the machine looks at its own objects */
	int stacks_made;
	bool task_died; /* at any time, restored or not */
	struct {
		unsigned long brk, log_end, trace_end;
	} most; /* of these at any time before the last restore */
	struct snapshot *snapshots;
	const void *host_stack; /* which the running task was entered from, for asan.h */
	size_t host_stack_size;
	unsigned long status_detail;
	char error[256];
	struct symbol_cache *symbols;
	char symbol[64]; /* where kernel_symbol_name() leaves its answer */
};

extern __thread struct machine *current_machine __attribute__((tls_model("initial-exec")));

/* A task goes on in whichever thread lets it: see this_context(). */
#ifdef __x86_64__
static __always_inline struct machine *this_machine(void)
{
	return current_machine;
}
#else
struct machine *this_machine(void);
#endif

/* Could anybody run but the task that runs? Errs on the side of yes. */
static inline bool others_pending(const struct machine *m)
{
	const struct machine_state *s = m->s;

	return !list_empty(&s->ready) || s->rcu[0].head || s->rcu[1].head ||
	       !list_empty(&s->kernel.workqueue.worklist) || s->nr_sleepers;
}

/*
 * Functions that write the host's structures and not the arena, or call
 * machine_dirty() themselves, need no hooks.
 */
#ifdef TRACK_STORES
#define __untracked __attribute__((no_sanitize("kernel-address")))
#else
#define __untracked
#endif

#define DIRTY_LINE 64UL
#define DIRTY_WORD (DIRTY_LINE * BITS_PER_LONG) /* bytes that one word of bits stands for */

_Static_assert(offsetof(struct emu_task, sp) / DIRTY_LINE ==
		       (offsetof(struct emu_task, kind) - 1) / DIRTY_LINE,
	       "what is written whenever a task gives way is in one line");

static inline void mark_line(struct machine *m, size_t line)
{
	m->dirty[line / BITS_PER_LONG] |= 1UL << (line % BITS_PER_LONG);
	/* Steps are taken back in the checked build alone: schedules are explored there. */
	if (CHECKED_BUILD && unlikely(m->undo != NULL) && m->undo->saved[line] != m->undo->epoch)
		undo_line(m, line);
}

/* Marks [@off, @off + @size) of the arena, @size not 0; what is outside is left out. */
static inline void mark_dirty(struct machine *m, size_t off, size_t size)
{
	size_t line = off / DIRTY_LINE, last = (off + size - 1) / DIRTY_LINE;

	if (off >= m->dirty_size) {
		if (CHECKED_BUILD && unlikely(m->undo != NULL))
			undo_elsewhere(m, m->arena + off, size);
		return;
	}
	mark_line(m, line);
	while (unlikely(line < last))
		mark_line(m, ++line);
}

/* See undo_keep(). */
static inline void undo_record(struct machine *m, void *what, size_t size)
{
	undo_keep(m->undo, what, size);
}

/* The number of the next handle, or task: a search gives out the same ones in every execution. */
static inline unsigned long next_serial(struct machine *m)
{
	undo_record(m, &m->handle_serial, sizeof(m->handle_serial));
	return ++m->handle_serial;
}

/* Lowest and highest address of the stack with this index. */
static __always_inline char *stack_top(const struct machine *m, int stack)
{
	return m->stacks - (size_t)stack * (TASK_STACK_SIZE + TASK_STACK_GUARD);
}

static __always_inline char *stack_bottom(const struct machine *m, int stack)
{
	return stack_top(m, stack) - TASK_STACK_SIZE;
}

static inline struct emu_task *task_of(struct task_struct *t)
{
	return (struct emu_task *)t;
}

/* --- arena.c --- */

enum object_kind {
	OBJECT_KERNEL, /* kmalloc */
	OBJECT_PERCPU,
	OBJECT_MACHINE, /* storage of the machine itself, not checked */
};

#define ALLOC_MAGIC 0x6d656d72656d6170UL

/**
 * struct alloc_header - stands before every object of the heap, its left redzone
 * @magic: ALLOC_MAGIC
 * @size: bytes asked for
 * @span: bytes from this header to the next
 * @kind: enum object_kind
 * @freed: kfree() has been called
 * @site: function that allocated it
 * @free_func: address of the code that freed it
 * @owner: device on whose behalf
 * @serial: order of allocation
 * @task: pid that allocated it
 * @free_task: pid that freed it
 */
struct alloc_header {
	unsigned long magic;
	unsigned long size;
	u32 span;
	u8 kind;
	u8 freed;
	u16 pad;
	const char *site;
	const void *free_func;
	const void *owner;
	u32 serial;
	u32 task;
	u32 free_task;
	u32 pad2;
};

/**
 * machine_alloc() - storage of the machine's own in the arena
 * @m: machine
 * @size: bytes
 *
 * 64-byte aligned, zeroed, brought back by restore, invisible to kasan.  Does
 * not return when the arena is exhausted: the running call ends with
 * EMU_ARENA_FULL.  On the host's stack, where none runs, it returns NULL and
 * sets arena_full.
 */
void *machine_alloc(struct machine *m, size_t size);
void machine_free(struct machine *m, void *p);
void *kernel_alloc(struct machine *m, size_t size, enum object_kind kind, const char *site);
struct alloc_header *find_object(struct machine *m, const void *addr);
struct alloc_header *first_object(struct machine *m);
struct alloc_header *next_object(struct machine *m, struct alloc_header *h);

#define SHADOW_NEVER 0x00
#define SHADOW_FULL 0x08
#define SHADOW_REDZONE 0xfa
#define SHADOW_FREED 0xfd
#define SHADOW_MACHINE 0xf0

/* --- sched.c --- */

struct emu_task *task_create(struct machine *m, enum task_kind kind, const char *comm, int cpu);
/** tasks_reserve() - storage for @n more tasks, so that none is needed for them; false: no room */
bool tasks_reserve(struct machine *m, int n);
void task_free(struct machine *m, struct emu_task *task);
/** task_start() - give an idle task something to run; it becomes ready */
void task_start(struct machine *m, struct emu_task *task, task_fn fn, const int64_t *args,
		int nargs);
/** task_wait_text() - what a task waits for and, if it is a lock, who has that */
void task_wait_text(const struct machine *m, const struct emu_task *task, char *buf, size_t size);
/** task_block() - park the running task until task_wake(); returns when woken */
void task_block(const char *kind, const void *object, const char *what);
/** task_block_until() - the same, woken at the latest at clock @deadline (0: never) */
void task_block_until(const char *kind, const void *object, const char *what,
		      unsigned long deadline);
void task_wake(struct emu_task *task);
/** pass_time() - nobody can run: until the first sleeper with a deadline wakes; it, NULL: nobody */
struct emu_task *pass_time(struct machine *m);
/** worker_task() - a task for what is on the workqueue, NULL if nothing is */
struct emu_task *worker_task(struct machine *m);
/** task_die() - the running task oopsed */
void task_die(void) __attribute__((noreturn));
/** run_task() - run the ready @task (and whoever else can run) until it is done or stuck */
int run_task(struct machine *m, struct emu_task *task);
/** run_alone() - run the ready @task, and nobody else, until it ends or blocks */
int run_alone(struct machine *m, struct emu_task *task);
/** run_others() - run everything that is ready and every due callback */
void run_others(struct machine *m);
/** upcall() - on a task: have the host run callback @id */
int64_t upcall(long id, int64_t a, int64_t b);
/** nested_request() - from a callback: run @fn in the task whose callback it is */
int nested_request(struct machine *m, task_fn fn, const int64_t *args, int nargs, int64_t *result);
/** watch_pages() - report a task that has handled too many pages without giving way */
void watch_pages(struct machine *m);
/** soft_lockup() - the running task goes round in circles: end it */
void soft_lockup(struct machine *m) __attribute__((noreturn));
/** watchdog_off() - the running operation may take as long as the host asked for */
static inline void watchdog_off(void)
{
	this_machine()->steps = -(1L << 62);
	this_machine()->ticks = -(1L << 62);
}
void arena_exhausted(struct machine *m) __attribute__((noreturn));

/* --- rcu.c --- */

struct rcu_item;
void rcu_init(struct machine *m);
/** rcu_oldest_clock() - when the grace period of the oldest callback was asked for; there is one */
unsigned long rcu_oldest_clock(const struct machine *m, int flavour);
/** rcu_oldest_access() - what it begins with; NULL: there is none */
const struct access *rcu_oldest_access(const struct machine *m, int flavour);
/** rcu_flavour_due() - may the oldest callback of one flavour run? */
bool rcu_flavour_due(struct machine *m, int flavour);
/** rcu_flavour_task() - take it: a task that is ready to run */
struct emu_task *rcu_flavour_task(struct machine *m, int flavour);
/** rcu_entering() - flavours whose section @task has announced but not entered yet */
unsigned int rcu_entering(const struct emu_task *task);
/** rcu_enter() - the sections that @task has announced begin now */
void rcu_enter(struct machine *m, struct emu_task *task);
/** rcu_next_task() - take the oldest due callback; a ready task, or NULL if none may run */
struct emu_task *rcu_next_task(struct machine *m);
bool rcu_callback_due(struct machine *m);
/** rcu_wake_waiters() - wake whoever waits for a grace period that has ended */
void rcu_wake_waiters(struct machine *m);

/* --- locks.c --- */

/**
 * _raw_spin_lock_irqsave() - the lock of @object, of @size bytes, which @func uses; released by
 *	spin_unlock_irq().  Stacks show its name.
 */
void _raw_spin_lock_irqsave(spinlock_t *lock, const void *object, size_t size, const char *func);

/* --- observe.c --- */

/** is_constant() - is @p in this module, as names of the code's own are? */
bool is_constant(const char *p);
/** string_or_unknown() - @p, or "?" if it is no string: locks in wild memory have wild names */
const char *string_or_unknown(const struct machine *m, const char *p);

/* --- kasan.c --- */

/**
 * kasan_touch() - @func uses an object of the kernel
 *
 * For the machine's own services, which no compiler instruments.
 */
void kasan_touch(const void *p, size_t size, bool write, const char *func);

/**
 * wipe_stack() - what calls have left below the caller's frame is gone
 *
 * Frames have holes, stacks are part of a state that a search remembers, and
 * what the machine's own calls leave there depends on what they had to do.
 */
void wipe_stack(void);

/* --- fault.c --- */

/** fault_here() - is this fallible call one that fails?  @slab: a call of the slab allocator */
bool fault_here(struct machine *m, const char *site, bool slab);
/** fault_among() - how many of @n fallible calls succeed before one fails? */
unsigned long fault_among(struct machine *m, const char *site, unsigned long n, bool slab);

/* --- trace.c --- */

enum event_type {
	EVENT_FUNC = 1,
	EVENT_ALLOC,
	EVENT_FREE,
	EVENT_LOCK,
	EVENT_UNLOCK,
	EVENT_BLOCK,
	EVENT_WAKE,
	EVENT_RCU_QUEUE,
	EVENT_RCU_RUN,
	EVENT_PRINTK,
	EVENT_UPCALL,
	EVENT_FAULT,
	EVENT_VIOLATION,
	EVENT_TASK, /* of a program that is explored, in its order; b: process id */
	EVENT_FALLIBLE, /* a: name of the fault point, b: how many calls */
	EVENT_OPERATION, /* of a program that is explored; a: its name, b: its first argument */
	EVENT_NEXT, /* of a program that is explored: what comes is of the next operation */
};

void __trace_event(struct machine *m, enum event_type type, uint64_t a, uint64_t b);

static inline void trace_event(struct machine *m, enum event_type type, uint64_t a, uint64_t b)
{
	if (unlikely(m->trace_on))
		__trace_event(m, type, a, b);
}

/** symbol_name() - name of the function at or around @addr, NULL if unknown */
const char *symbol_name(struct machine *m, const void *addr, char *buf, size_t size);
/** symbol_ranges() - pairs of first address and end of the functions called @name */
size_t symbol_ranges(const char *name, uint64_t *ranges, size_t max);

/* --- printk.c, bug.c --- */

void log_append(struct machine *m, int level, const char *text, size_t len);
void report_violation(enum violation_kind kind, const char *fmt, ...);
/* as report_violation(), naming the function that did it */
void report_violation_in(enum violation_kind kind, const char *func, const char *fmt, ...);
void report_violation_at(enum violation_kind kind, const void *pc, const char *fmt, ...);
const char *violation_kind_name(int kind);
void clear_once_flags(struct machine *m);

/* --- dirty.c --- */

/** machine_dirty() - something in the arena is written in a way that the compiler does not see */
#ifdef TRACK_STORES
void machine_dirty(const void *p, size_t size);
#else
static inline void machine_dirty(const void *p, size_t size)
{
	(void)p;
	(void)size;
}
#endif

/** machine_hot() - the plain build writes this without a mark: its lines are always dirty */
#ifdef TRACK_STORES
void machine_hot(struct machine *m, const void *p, size_t size);
#else
static inline void machine_hot(struct machine *m, const void *p, size_t size)
{
	(void)m;
	(void)p;
	(void)size;
}
#endif

/* --- snapshot.c --- */
struct snapshot;
/** snapshot_take() - remember this state; its id, or -1 if the host is out of memory */
long snapshot_take(struct machine *m);
/** snapshot_restore() - go back to it; -1 if there is no such snapshot */
int snapshot_restore(struct machine *m, long id);
bool snapshot_exists(struct machine *m, long id);
/** snapshot_serial() - that of the last handle given out before it was taken; it exists */
unsigned long snapshot_serial(struct machine *m, long id);
/**
 * snapshot_distance() - hash of what differs from the snapshot, stacks of tasks included
 *
 * Equal states that were reached from it have equal hashes.
 */
uint64_t snapshot_distance(struct machine *m, long id, uint64_t seed);
/** snapshot_differs() - does the arena differ from the snapshot? The offset, or -1; -2 if none */
long snapshot_differs(struct machine *m, long id);
int snapshot_drop(struct machine *m, long id);
void snapshot_drop_all(struct machine *m);

/* --- page_fault.c --- */
void page_fault_init(void);
/** redirect_task() - from a signal handler: the running task goes on in @to, on a fresh stack */
void redirect_task(struct machine *m, void *context, void (*to)(void));
extern __thread bool page_fault_stack_ready __attribute__((tls_model("initial-exec")));
void page_fault_stack_slow(void);
/** page_fault_stack() - a task of this thread may overrun its stack: be ready */
static __always_inline void page_fault_stack(void)
{
	if (unlikely(!page_fault_stack_ready))
		page_fault_stack_slow();
}

/* --- watchdog.c --- */
extern __thread bool watchdog_armed __attribute__((tls_model("initial-exec")));
void watchdog_arm_slow(void);
/** watchdog_arm() - tasks of this thread are watched from now on */
static __always_inline void watchdog_arm(void)
{
	if (unlikely(!watchdog_armed))
		watchdog_arm_slow();
}

#endif
