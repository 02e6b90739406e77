/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef MEMREMAP_EMU_H
#define MEMREMAP_EMU_H

/*
 * The flat C API.  The part between the two marker comments is what cffi
 * parses; the C files include the same header, so drift fails the build.
 *
 * A machine is driven by operations.  An operation has a number, a name and a
 * signature (emu_op_info()); its arguments and its result are 64-bit integers:
 * numbers, object handles, interned strings (emu_intern()) or callbacks of
 * the host.  Handles are checked for kind before anything else happens.
 *
 * Where nothing else is said a function returns a status: EMU_OK or one of the
 * reasons below.  What the kernel answered, error numbers included, is the result.
 */

#include <stddef.h>
#include <stdint.h>

/* --- cffi: begin --- */

typedef struct machine emu_machine;

enum emu_status {
	EMU_OK = 0,
	EMU_BLOCKED, /* the call waits; the result is its task's handle */
	EMU_DEAD, /* the call's task oopsed */
	EMU_ARENA_FULL, /* the machine's memory is used up: reset or restore it */
	EMU_BAD_OPERATION, /* no such operation, or wrong number of arguments */
	EMU_BAD_HANDLE, /* not a handle of the kind that the argument asks for */
	EMU_BAD_ARGUMENT, /* outside what the operation can be asked; see emu_error() */
	EMU_BUSY, /* another thread is inside, or the machine is being used from a callback */
	EMU_NO_TASK, /* too many tasks */
	EMU_NO_MEMORY, /* the host is out of memory */
	EMU_PANICKED, /* the kernel has panicked: only a restore helps */
	EMU_CLOSED, /* no machine */
	EMU_VIOLATION = 256 /* added to any of these: the call broke a rule */
};

/*
 * Configuration of a machine, the kernel's .config: see Config in Python for
 * the meaning and the legal values of each field.
 */
struct emu_config {
	int32_t cpus;
	int32_t page_shift;
	int32_t section_size_bits;
	int32_t max_physmem_bits;
	int32_t physical_bits;
	int32_t numa_nodes;
	int32_t zone_device;
	int32_t device_private;
	int32_t device_public;
	int32_t dev_pagemap_ops;
	int32_t kasan;
	int32_t pat;
	int32_t preempt_rcu;
	int32_t debug_vm;
	int32_t debug_devres;
	int32_t panic_on_warn;
	int32_t rcu_manual;
	int32_t trace;
	uint64_t arena_size;
	uint64_t patches;
	uint64_t modes;
};

/* One operation of a batch. */
struct emu_op {
	int32_t op;
	int32_t nargs;
	int64_t args[6];
};

/*
 * Signature of an operation: one letter an argument and one for the result.
 * i integer, s interned string, x callback (0 none), D device, L driver,
 * R percpu_ref, P pagemap, C completion, M mutex, S spinlock, W rwlock,
 * Q wait queue, E resource, T radix tree, N notifier, A memory, B bio,
 * V devres entry, G hmm_devmem, Y hmm_device, U module, F nfit_test range,
 * Z ref_test; lower case of an object letter: may be 0.
 * Results: v nothing, e a negative errno, else 0 or a handle, b truth value, u number, or the
 * letter of the object made (0: none was).
 */
struct emu_op_info {
	const char *name;
	const char *args;
	const char *result;
};

struct emu_event {
	uint16_t type;
	uint8_t cpu;
	uint8_t softirq;
	uint32_t task;
	uint64_t log_end;
	uint64_t a;
	uint64_t b;
};

struct emu_violation {
	int32_t kind;
	int32_t task;
	uint64_t log_end;
	uint64_t trace_end;
	const char *func;
	const char *message;
};

struct emu_task_info {
	int32_t pid;
	int32_t cpu;
	int32_t state; /* 0 idle, 1 ready, 2 blocked, 3 in a callback, 4 done, 5 dead, -1 gone */
	int32_t preempt_count;
	int32_t irqs_disabled;
	int32_t in_softirq;
	int32_t rcu_nesting;
	int64_t result;
	const char *comm;
	const char *wait_kind;
	const char *wait_what;
};

struct emu_stats {
	uint64_t arena_used;
	uint64_t live_objects;
	uint64_t live_bytes;
	uint64_t page_runs;
	uint64_t section_runs;
	uint64_t fallible_calls;
	uint64_t log_end;
	uint64_t trace_end;
	uint64_t violations;
	uint64_t warnings;
	uint64_t rcu_pending;
	uint64_t taint;
	uint64_t blocked_tasks;
	uint64_t arena_size;
	uint64_t call_log_start;
	uint64_t call_violations_start;
	uint64_t calls;
	uint64_t clock;
};

/*
 * A callback of the host.
 * data: as given to emu_create(); frame: tells nested callbacks apart;
 * id: which callback; a, b: its arguments; resumed: the callback had issued an
 * operation that blocked and left, and a is now the operation's result.
 */
typedef int64_t (*emu_upcall_fn)(void *data, int64_t frame, int64_t id, int64_t a, int64_t b,
				 int resumed);

/**
 * emu_create() - boots a machine
 * @config: its configuration
 * @upcall: how callbacks of the host are called, NULL if it has none
 * @data: given to @upcall
 * @machine: the machine, if one was made
 *
 * Return: EMU_OK; EMU_BAD_ARGUMENT: the configuration is not legal; EMU_NO_MEMORY;
 *   EMU_ARENA_FULL: the arena is too small to boot in.
 */
int emu_create(const struct emu_config *config, emu_upcall_fn upcall, void *data,
	       emu_machine **machine);

/**
 * emu_close() - lets nobody into a machine any more
 * @m: machine
 *
 * Its memory stays, for threads that are about to call: they are told EMU_CLOSED.
 *
 * Return: EMU_OK; EMU_BUSY: somebody is inside; EMU_CLOSED: it is NULL, or was closed before.
 */
int emu_close(emu_machine *m);

/**
 * emu_destroy() - gives a machine back
 * @m: machine, closed or not; no thread may be about to call
 *
 * Return: EMU_OK; EMU_BUSY: somebody is inside; EMU_CLOSED: it is NULL.
 */
int emu_destroy(emu_machine *m);

/**
 * emu_error() - what was wrong with the last call
 * @m: machine
 *
 * Return: a text, empty if there is nothing to say; it is overwritten by the next call.
 */
const char *emu_error(emu_machine *m);

/**
 * emu_is_checked() - is this the build that watches every access?
 *
 * Return: 1 or 0.
 */
int emu_is_checked(void);

/**
 * emu_op_count() - how many operations there are
 *
 * Return: their number; they are counted from 0.
 */
int emu_op_count(void);

/**
 * emu_op_info() - name and signature of an operation
 * @op: its number
 *
 * Return: a constant, NULL if there is no such operation.
 */
const struct emu_op_info *emu_op_info(int op);

/* A patch; needs and patches, here and below, are bit masks. */
struct emu_patch {
	const char *name;
	const char *title;
	uint64_t needs;
};

/* A historic mistake that the kernel can make again. */
struct emu_mode {
	const char *name;
	const char *title;
	uint64_t needs;
};

struct emu_version {
	const char *name;
	uint64_t patches;
};

/**
 * emu_patch() - looks up a patch
 * @i: its number, from 0 in the order in which they apply
 * @patch: filled in
 *
 * Return: EMU_OK; EMU_BAD_ARGUMENT: beyond the last.
 */
int emu_patch(int i, struct emu_patch *patch);

/**
 * emu_mode() - looks up a mode
 * @i: its number, from 0
 * @mode: filled in
 *
 * Return: EMU_OK; EMU_BAD_ARGUMENT: beyond the last.
 */
int emu_mode(int i, struct emu_mode *mode);

/**
 * emu_version() - looks up a named version
 * @i: its number, from 0, oldest first
 * @version: filled in
 *
 * Return: EMU_OK; EMU_BAD_ARGUMENT: beyond the last.
 */
int emu_version(int i, struct emu_version *version);

/**
 * emu_intern() - makes a string that operations can take
 * @m: machine
 * @text: at most 4095 bytes
 * @id: its handle
 *
 * Return: a status.
 */
int emu_intern(emu_machine *m, const char *text, int64_t *id);

/**
 * emu_call() - carries out one operation, and what it wakes
 * @m: machine
 * @task: context to run in, see emu_task_new(); 0: that of emu_set_context(), or a task of its
 *   own
 * @op: number of the operation
 * @nargs: how many arguments
 * @args: they, see struct emu_op_info
 * @result: what the kernel answered; with EMU_BLOCKED and EMU_DEAD the handle of the task
 *
 * Return: a status.
 */
int emu_call(emu_machine *m, int64_t task, int op, int nargs, const int64_t *args, int64_t *result);

/**
 * emu_batch() - many operations in one call
 * @m: machine
 * @task: as of emu_call()
 * @ops: operations
 * @n: how many
 * @results: what the kernel answered to each
 * @done: how many have been carried out; the one behind them is what the status is about
 *
 * Return: EMU_OK, or the status of the operation that ended it.
 */
int emu_batch(emu_machine *m, int64_t task, const struct emu_op *ops, size_t n, int64_t *results,
	      size_t *done);

/**
 * emu_page_get() - get_page()
 * @m: machine
 * @pfn: of the page
 *
 * Return: a status.
 */
int emu_page_get(emu_machine *m, uint64_t pfn);

/**
 * emu_page_put() - put_page()
 * @m: machine
 * @pfn: of the page
 *
 * Return: a status.
 */
int emu_page_put(emu_machine *m, uint64_t pfn);

/**
 * emu_nothing() - does nothing: the price of a call, for benchmarks to compare with
 * @m: machine
 * @pfn: not 0
 *
 * Return: EMU_OK.
 */
int emu_nothing(emu_machine *m, uint64_t pfn);

/**
 * emu_switch_loop() - a task that gives way again and again: the price of a switch, for benchmarks
 * @m: machine
 * @rounds: each is a switch there and a switch back
 * @bare: the yardstick: the registers alone
 *
 * Return: EMU_BAD_ARGUMENT for more than 2^32 rounds, EMU_NO_MEMORY if there is no stack left.
 */
int emu_switch_loop(emu_machine *m, uint64_t rounds, int bare);

/**
 * emu_run() - lets all who can run do so until nobody can
 * @m: machine
 * @callbacks: with grace periods by hand, how many RCU callbacks may run, too; negative: all of
 *   them
 *
 * Return: a status.
 */
int emu_run(emu_machine *m, int callbacks);

/**
 * emu_task_new() - makes a task context: calls in it share locks held and read sections
 * @m: machine
 * @name: what messages call it
 * @cpu: where it runs
 * @task: its handle
 *
 * Return: EMU_OK; EMU_BAD_ARGUMENT: no such CPU; EMU_NO_TASK; EMU_ARENA_FULL.
 */
int emu_task_new(emu_machine *m, const char *name, int cpu, int64_t *task);

/**
 * emu_set_context() - where calls that name no task run from now on
 * @m: machine
 * @task: a task context, 0: each in a task of its own
 * @previous: what it was before
 *
 * Return: EMU_OK; EMU_BAD_HANDLE.
 */
int emu_set_context(emu_machine *m, int64_t task, int64_t *previous);

/**
 * emu_task_info() - looks at a task
 * @m: machine
 * @task: handle of any task, also of a call that blocked
 * @info: filled in; its strings live as long as the task
 *
 * Return: EMU_OK; EMU_BAD_HANDLE: there is none any more, and the state says so.
 */
int emu_task_info(emu_machine *m, int64_t task, struct emu_task_info *info);

/**
 * emu_task_release() - forgets a task that has ended or is idle
 * @m: machine
 * @task: its handle
 *
 * Return: EMU_OK; EMU_BAD_HANDLE; EMU_BUSY: it is neither.
 */
int emu_task_release(emu_machine *m, int64_t task);

/**
 * emu_tasks() - lists the tasks
 * @m: machine
 * @handles: filled in
 * @max: how many there is room for
 *
 * Return: how many tasks there are.
 */
int emu_tasks(emu_machine *m, int64_t *handles, int max);

/**
 * emu_snapshot() - keeps the state as it is now
 * @m: machine
 * @id: what to call it
 *
 * Return: a status.
 */
int emu_snapshot(emu_machine *m, int64_t *id);

/**
 * emu_restore() - goes back to a state that was kept
 * @m: machine
 * @id: of the snapshot, which stays
 *
 * Return: a status; EMU_BUSY from a callback.
 */
int emu_restore(emu_machine *m, int64_t id);

/**
 * emu_restore_loop() - writes to the arena and goes back, again and again, for benchmarks
 * @m: machine
 * @id: of the snapshot
 * @lines: cache lines that are written before each restore, at equal distances
 * @rounds: how often
 * @bare: the yardstick: the lines are written, and the machine goes back once, at the end
 *
 * Return: EMU_BAD_HANDLE if there is no such snapshot, EMU_BAD_ARGUMENT for no lines, more than
 * it has, or more than 2^32 rounds, EMU_BUSY from a callback.
 */
int emu_restore_loop(emu_machine *m, int64_t id, uint64_t lines, uint64_t rounds, int bare);

/**
 * emu_snapshot_drop() - gives a snapshot back
 * @m: machine
 * @id: of the snapshot
 *
 * Return: a status.
 */
int emu_snapshot_drop(emu_machine *m, int64_t id);

/**
 * emu_snapshot_differs() - for tests: compares with a snapshot
 * @m: machine
 * @id: of the snapshot
 * @offset: of the first byte of the arena that differs, -1: none
 *
 * Return: a status.
 */
int emu_snapshot_differs(emu_machine *m, int64_t id, int64_t *offset);

/**
 * emu_stats() - counters of a machine
 * @m: machine
 * @stats: filled in
 *
 * Return: EMU_OK.
 */
int emu_stats(emu_machine *m, struct emu_stats *stats);

/**
 * emu_call_logged() - has the last call logged anything?
 * @m: machine
 *
 * Return: 1, 0 if not or if there is no machine.
 */
int emu_call_logged(emu_machine *m);

/**
 * emu_log_read() - reads the kernel log
 * @m: machine
 * @from: position, counted over all that was ever printed; what is gone already is skipped
 * @buf: filled in, no NUL
 * @size: bytes that there is room for
 * @length: bytes read
 *
 * Return: EMU_OK.
 */
int emu_log_read(emu_machine *m, uint64_t from, char *buf, size_t size, size_t *length);

/**
 * emu_trace_read() - reads events
 * @m: machine
 * @from: position, counted over all that ever happened; what is gone already is skipped
 * @events: filled in
 * @max: how many there is room for
 * @count: events read
 *
 * Return: EMU_OK.
 */
int emu_trace_read(emu_machine *m, uint64_t from, struct emu_event *events, size_t max,
		   size_t *count);

/**
 * emu_trace_select() - reads some events
 * @m: machine
 * @from: as of emu_trace_read()
 * @types: which types, a bit each
 * @ranges: pairs of first address and end, ascending: functions entered elsewhere are left out
 * @nr_ranges: how many pairs
 * @events: filled in
 * @max: how many there is room for
 * @count: events read
 *
 * Return: EMU_OK.
 */
int emu_trace_select(emu_machine *m, uint64_t from, uint32_t types, const uint64_t *ranges,
		     size_t nr_ranges, struct emu_event *events, size_t max, size_t *count);

/**
 * emu_trace_enable() - switches recording
 * @m: machine
 * @on: shall events be recorded?
 *
 * Return: EMU_OK.
 */
int emu_trace_enable(emu_machine *m, int on);

/**
 * emu_symbol() - what lies at an address
 * @m: machine
 * @address: of a function or of static data
 * @buf: filled in
 * @size: bytes that there is room for
 *
 * Return: EMU_OK; EMU_BAD_ARGUMENT: nothing with a name.
 */
int emu_symbol(emu_machine *m, uint64_t address, char *buf, size_t size);

/**
 * emu_symbol_ranges() - where the code of functions lies
 * @m: machine
 * @name: theirs; several may have it
 * @ranges: pairs of first address and end
 * @max: pairs that there is room for
 * @count: pairs found
 *
 * Return: EMU_OK.
 */
int emu_symbol_ranges(emu_machine *m, const char *name, uint64_t *ranges, size_t max,
		      size_t *count);

/**
 * emu_string_at() - a string that an event points to
 * @m: machine
 * @address: as the event has it
 * @buf: filled in
 * @size: bytes that there is room for
 *
 * Return: EMU_OK; EMU_BAD_ARGUMENT: no string lies there.
 */
int emu_string_at(emu_machine *m, uint64_t address, char *buf, size_t size);

/**
 * emu_violation() - looks up a violation
 * @m: machine
 * @index: from 0, oldest first
 * @v: filled in; its strings live as long as the machine is not restored
 *
 * Return: EMU_OK; EMU_BAD_ARGUMENT: beyond the last.
 */
int emu_violation(emu_machine *m, uint64_t index, struct emu_violation *v);

/**
 * emu_violation_kind_name() - what a kind of violation is called
 * @kind: from 0
 *
 * Return: a constant, "?" beyond the last.
 */
const char *emu_violation_kind_name(int kind);

/**
 * emu_violation_report() - adds a violation that the host has found
 * @m: machine
 * @kind: of it
 * @func: where, or NULL
 * @message: what
 *
 * Return: EMU_OK; EMU_BAD_ARGUMENT: no such kind.
 */
int emu_violation_report(emu_machine *m, int kind, const char *func, const char *message);

/**
 * emu_state_hash() - a hash of what the kernel can tell apart
 * @m: machine
 * @hash: the hash: equal states have equal ones
 *
 * Return: EMU_OK.
 */
int emu_state_hash(emu_machine *m, uint64_t *hash);

/* Flags of emu_fault_plan(). */
enum {
	EMU_FAULT_STICKY = 1, /* every call from the n-th on fails */
	EMU_FAULT_SLAB = 2, /* only calls of the slab allocator count */
};

/**
 * emu_fault_plan() - makes a fallible call fail
 * @m: machine
 * @site: name of the calls that count, NULL: of any
 * @nth: which of them fails, counted from 1, from now on
 * @flags: EMU_FAULT_STICKY, EMU_FAULT_SLAB
 * @plan: its number
 *
 * Return: EMU_OK; EMU_BAD_ARGUMENT: too many plans, or no such name.
 */
int emu_fault_plan(emu_machine *m, const char *site, uint64_t nth, int flags, int *plan);

/**
 * emu_fault_hits() - what a plan has done
 * @m: machine
 * @plan: its number
 * @hits: calls that it has failed
 * @seen: calls that counted
 *
 * Return: EMU_OK; EMU_BAD_ARGUMENT: no such plan.
 */
int emu_fault_hits(emu_machine *m, int plan, uint64_t *hits, uint64_t *seen);

/**
 * emu_fault_clear() - forgets a plan and all that were made after it
 * @m: machine
 * @first: its number
 *
 * Return: a status.
 */
int emu_fault_clear(emu_machine *m, int first);

/* What the host asks of a machine, as the function of the same name takes it. */
enum emu_ask {
	EMU_ASK_CALL, /* emu_call(), without a context: what is the operation */
	EMU_ASK_PAGE_GET, /* args: pfn */
	EMU_ASK_PAGE_PUT,
	EMU_ASK_NO_FAULTS, /* emu_fault_clear() */
	EMU_ASK_STATS, /* all but the numbers of calls */
	EMU_ASK_LOG, /* args: from */
	EMU_ASK_LOGGED, /* emu_call_logged() */
	EMU_ASK_TEXT, /* args: a */
	EMU_ASK_QUIESCENCE,
	EMU_ASK_TRACE, /* emu_trace_select(): what are the types; args: from, ranges, nr_ranges */
	EMU_ASK_VIOLATION, /* args: index */
};

struct emu_question {
	int32_t kind; /* enum emu_ask */
	int32_t nargs;
	int64_t what;
	uint64_t size; /* bytes, or events, that there is room for */
	int64_t args[6];
};

/**
 * emu_repeat() - asks the same again and again, with another call failing each time
 * @m: machine
 * @snapshot: that each time begins with; it has a fault plan that is not due yet
 * @questions: what the host asked from there on
 * @n: how many
 * @settled: after so many of them the call has failed, and the state may be one that is known
 * @plan: number of the fault plan
 * @nth: the call that it fails, for each time, as of emu_fault_plan()
 * @nr: how many times
 * @same: for each time: can the host not tell it from the first one?  Either all is answered the
 *	same, or the first @settled questions are and lead to the same state; digests of 64 bits
 *	stand for both.
 *
 * Nothing is the same where the plan fails no call or the kernel wants to call the host.
 *
 * Return: a status; the machine is in the state of the snapshot then.
 */
int emu_repeat(emu_machine *m, int64_t snapshot, const struct emu_question *questions, size_t n,
	       size_t settled, int plan, const uint64_t *nth, size_t nr, uint8_t *same);

/**
 * emu_fault_sites() - where calls can fail
 * @m: machine
 * @names: of the sites met so far; constants
 * @calls: how many calls each has seen
 * @max: sites that there is room for
 * @count: sites that there are
 *
 * Return: EMU_OK.
 */
int emu_fault_sites(emu_machine *m, const char **names, uint64_t *calls, int max, int *count);

/* One task of a program: operations that it carries out one after the other. */
struct emu_program_task {
	const char *name;
	int32_t cpu;
	const struct emu_op *ops;
	size_t nr_ops;
};

enum emu_explore_status {
	EMU_EXPLORE_EXHAUSTED, /* every schedule, up to equivalence */
	EMU_EXPLORE_VIOLATION, /* stopped at the first violation */
	EMU_EXPLORE_BOUND, /* a bound ended it */
	EMU_EXPLORE_TOO_LONG, /* some executions had too many steps: they may never end */
	EMU_EXPLORE_REFUSED, /* an operation of the program cannot be explored */
	EMU_EXPLORE_MISMATCH, /* the schedule is not one of the program, from step schedule_length on */
	EMU_EXPLORE_RUNNING, /* there is more to be done */
	EMU_EXPLORE_SUCCESS /* stopped at the first execution that breaks no rule */
};

/* Why a search is not exhaustive: bits. */
enum emu_explore_bound {
	EMU_BOUND_EXECUTIONS = 1,
	EMU_BOUND_SECONDS = 2,
	EMU_BOUND_PREEMPTIONS = 4,
	EMU_BOUND_STEPS = 8, /* executions that were too long */
	EMU_BOUND_FAULTS = 16, /* of many calls alike some have failed, not all */
	EMU_BOUND_LOCKS = 32, /* more locks, grace periods or frees than there is room for */
	EMU_BOUND_SAMPLES = 64 /* schedules were drawn */
};

enum emu_strategy {
	EMU_DPOR, /* depth first, partial-order reduction */
	EMU_DFS, /* depth first, every schedule: the yardstick */
	EMU_PREEMPTIONS, /* depth first, at most max_preemptions of them */
	EMU_PCT, /* random priorities, max_preemptions changes; sampled */
	EMU_RANDOM, /* anybody, anywhere; sampled */
	EMU_CACHE, /* depth first, but what follows a state is seen once */
	EMU_SLEEP, /* depth first, sleep sets only */
	EMU_GUIDED, /* the schedule says which of those who can go on goes, one byte a step */
	EMU_PHASES /* like EMU_DPOR, but what follows the end of a phase is seen once a state */
};

/*
 * A schedule is the process of each step; with one given, it is replayed.  A
 * byte from 0x80 on belongs to the step before it: in that, the call with this
 * number (counted from 1, of those that may fail) fails; 0xff adds 127 to the
 * byte that follows.  Behind EMU_NEXT_EXECUTION another execution begins: what
 * several of them show together is replayed so.
 */
struct emu_explore_options {
	uint64_t max_executions;
	uint64_t worthwhile; /* give up if by the estimate, which is doubted, more will be needed */
	double max_seconds;
	int32_t stop_at_violation;
	int32_t stop_at_success; /* with the first execution that breaks no rule ... */
	int32_t unbroken; /* ... or not the one of this kind (counted from 1) */
	int32_t under; /* with a schedule: search all executions that begin with it */
	int32_t check_quiescence;
	int32_t strategy; /* enum emu_strategy; one that samples needs a bound */
	int32_t max_preemptions;
	int32_t max_faults; /* failing calls of an execution, tried like schedules */
	int32_t reexecute; /* start every execution from the snapshot */
	int32_t orders; /* remember in which orders dependent steps came */
	uint64_t seed;
	const uint8_t *schedule;
	size_t schedule_length;
};

/* A violation of an exploration: the first of those that differ in numbers only. */
struct emu_explored_violation {
	int32_t kind;
	char func[64];
	char message[320];
	uint64_t execution; /* that showed it first, counted from 1 */
	uint64_t executions; /* that showed it; 0: some did together */
	uint32_t schedule_length;
	uint8_t schedule[4096];
};

struct emu_explore_result {
	int32_t status;
	uint64_t executions;
	uint64_t asleep;
	uint64_t too_long; /* given up after too many steps */
	uint64_t steps;
	uint64_t violating;
	uint64_t first_violation;
	uint64_t final_states; /* distinct ones, by hash */
	uint64_t final_hash; /* of the set of them */
	uint64_t fallible_calls; /* of the execution that met most */
	uint64_t cached; /* given up in a state that had been met */
	uint64_t states; /* that are told apart by EMU_CACHE */
	uint32_t bounds; /* enum emu_explore_bound */
	uint32_t max_depth; /* steps of the longest execution */
	uint32_t preemptions; /* of the last execution */
	double estimate; /* executions that the whole search may take, 0: no idea */
	uint32_t schedule_length;
	uint8_t schedule[4096];
	uint32_t nr_found;
	struct emu_explored_violation found[64]; /* what does not fit is counted in violating */
};

/* One step of the execution at which a search has been interrupted. */
struct emu_search_step {
	uint32_t proc;
	uint32_t enabled;
	uint32_t backtrack;
	uint32_t done;
	uint32_t sleep;
	uint32_t calls; /* that may fail, met in it */
	uint32_t nr_fails;
	uint32_t fails[4];
	uint32_t limits[4];
};

/*
 * A race between a step of an item and one of the steps that it was given: it
 * is for whoever gave them to enter somebody there.
 */
struct emu_search_race {
	uint32_t step; /* which, from 0 */
	uint32_t initials; /* who can begin an execution that reverses it; 0: whoever can go there */
	uint32_t proc; /* who is the first choice among them */
};

/*
 * Where a search stands.  One that was given steps is an item: it searches what
 * follows the choice made at the last of them and never chooses anew there.
 */
struct emu_search_position {
	uint32_t nr_steps; /* of the execution that comes next; an item with none is finished */
	uint32_t nr_final;
	uint32_t nr_races;
	uint32_t bound; /* EMU_PREEMPTIONS: how many of them the round at hand allows */
	uint32_t nr_lock_classes;
	uint32_t nr_lock_cycles;
	uint32_t given; /* first steps that were given, 0: this is a whole search */
	struct emu_search_step steps[4096];
	uint64_t final[4096]; /* hashes of final states, in the order in which they were met */
	char lock_classes[64][48]; /* names of locks, in the order in which they were met */
	uint64_t lock_cycles[64]; /* that executions have shown: bit masks of those */
	struct emu_search_race races[1024]; /* of an item, in the order in which they were met */
};

typedef struct emu_search emu_search;

/**
 * emu_search_new() - begins a search over the schedules of a program
 * @m: machine; every execution begins in the state that it is in now
 * @tasks: the program, which is copied
 * @nr_tasks: 1 to 8
 * @options: how to search; copied
 * @search: the search
 *
 * Return: EMU_OK; EMU_BAD_ARGUMENT, with the reason as emu_error(); EMU_BAD_HANDLE;
 *   EMU_NO_MEMORY; EMU_BUSY.
 */
int emu_search_new(emu_machine *m, const struct emu_program_task *tasks, int nr_tasks,
		   const struct emu_explore_options *options, emu_search **search);

/**
 * emu_search_run() - goes on with a search
 * @search: search
 * @seconds: give up after so long, to be called again; 0: never
 * @pause: give up as well when another process is about to be tried at one of so many first steps
 * @hurry: a byte that somebody else, of another process even, sets to have it given up sooner; NULL:
 *   nobody does
 * @least: but not before so many seconds
 *
 * Return: EMU_OK, and the result says how it stands; EMU_BUSY; EMU_NO_MEMORY.
 */
int emu_search_run(emu_search *search, double seconds, uint32_t pause, const char *hurry,
		   double least);

/**
 * emu_search_result() - what a search has found so far
 * @search: search
 *
 * Return: the result, which lives as long as the search.
 */
const struct emu_explore_result *emu_search_result(const emu_search *search);

/**
 * emu_search_position() - where a search stands, to be written down
 * @search: search
 * @position: filled in
 *
 * Return: EMU_OK; EMU_NO_MEMORY: an item has found more than there is room for, so that what
 *   it knows cannot be told.
 */
int emu_search_position(const emu_search *search, struct emu_search_position *position);

/**
 * emu_search_settled() - what may be worth an item
 * @search: search that has run
 *
 * Return: how many first steps were chosen before the last run and stayed to its end.
 */
int emu_search_settled(const emu_search *search);

/**
 * emu_search_extend() - lets a search go on that has come to its bound of executions or seconds
 * @search: search
 * @max_executions: the new bound, 0: none
 *
 * Return: EMU_OK; EMU_BAD_ARGUMENT: it has not.
 */
int emu_search_extend(emu_search *search, uint64_t max_executions);

/**
 * emu_search_continue() - puts a search that has not begun where another one stood
 * @search: search
 * @position: as emu_search_position() gave it
 * @result: what had been found
 *
 * Return: EMU_OK; EMU_BAD_ARGUMENT: that is no position of this search.
 */
int emu_search_continue(emu_search *search, const struct emu_search_position *position,
			const struct emu_explore_result *result);

/**
 * emu_search_room() - what may be taken over
 * @search: search
 *
 * Return: how many executions of an item, those that were too long included; with more
 *   of them the search by itself would have come to a bound, or asked whether it has.
 */
uint64_t emu_search_room(const emu_search *search);

/**
 * emu_search_take_over() - what an item has found becomes part of the search that comes to it
 * @search: search that is about to make the choice that the item was given
 * @position: where the item stands, finished or not
 * @result: what it has found
 *
 * The search is then as if it had done all that itself.  To be run before its position is
 * asked for.
 *
 * Return: EMU_OK; EMU_BAD_ARGUMENT: it is another choice, or there is no room for what it has
 *   found.
 */
int emu_search_take_over(emu_search *search, const struct emu_search_position *position,
			 const struct emu_explore_result *result);

#define EMU_PATH_FRAMES 8

/* Return addresses, innermost first, that led to a step of the replayed schedule; 0: no more. */
struct emu_search_frames {
	uint32_t proc;
	uint32_t enabled;
	uint64_t pc[8];
};

/**
 * emu_search_path() - what the steps of a replayed schedule were about
 * @search: search that replays a schedule
 * @steps: filled in
 * @max: steps that there is room for
 *
 * Return: how many steps there are, 0: it does not replay.
 */
int emu_search_path(const emu_search *search, struct emu_search_frames *steps, uint32_t max);

enum emu_stack_kind {
	EMU_STACK_ACCESS = 1,
	EMU_STACK_ALLOCATION,
	EMU_STACK_FREE,
	EMU_STACK_SECOND_FREE,
	EMU_STACK_OTHER_ACCESS /* of a data race, the earlier one */
};

#define EMU_STACK_FRAMES 16

/*
 * Where a task was: return addresses, innermost first, 0: no more.  None at all
 * if that was before the program began; then the function may be known.
 */
struct emu_stack {
	int32_t kind; /* enum emu_stack_kind */
	char task[16];
	char function[64];
	uint64_t pc[16];
};

/* A violation of the replayed schedule, and what it is about. */
struct emu_violation_stacks {
	int32_t violation; /* its kind */
	uint32_t nr;
	char message[320];
	struct emu_stack stacks[3];
};

/**
 * emu_search_stacks() - where what a violation is about happened
 * @search: search that has replayed a schedule
 * @number: from 0, of the violations of the last execution that have stacks
 * @stacks: filled in
 *
 * Return: EMU_OK; EMU_BAD_ARGUMENT: there are not so many.
 */
int emu_search_stacks(const emu_search *search, uint32_t number,
		      struct emu_violation_stacks *stacks);

/* A step: whose, its how-manieth from 1, and 1: reads, 2: writes, 3: acquires, 4: frees. */
struct emu_search_event {
	uint32_t proc;
	uint32_t number;
	uint32_t kind;
};

/* Two steps that depend on each other, in the order in which an execution had them. */
struct emu_search_order {
	struct emu_search_event first;
	struct emu_search_event second;
};

/*
 * A lock order that some execution showed: a process took the second while it
 * held the first; or it waited for a completion, and the completer had taken
 * the second.  The first schedule_length bytes of schedule lead there.
 */
struct emu_lock_order {
	char first[48];
	char second[48];
	char completion[48]; /* empty, and no completer: there is none */
	char task[16];
	char completer[16];
	uint32_t proc;
	uint32_t completer_proc; /* 11: nobody */
	uint32_t schedule_length;
	uint8_t schedule[4096];
};

/**
 * emu_search_lock_order() - one of the lock orders that a search has seen
 * @search: search
 * @number: from 0
 * @order: filled in
 *
 * Return: EMU_OK; EMU_BAD_ARGUMENT: there are not so many.
 */
int emu_search_lock_order(const emu_search *search, uint32_t number, struct emu_lock_order *order);

/**
 * emu_search_learn() - a lock order that a part of this search has seen elsewhere
 * @search: of the same program and set-up
 * @order: as emu_search_lock_order() gave it
 *
 * Return: EMU_OK; EMU_BAD_ARGUMENT: it is none, or there is no room for it.
 */
int emu_search_learn(emu_search *search, const struct emu_lock_order *order);

/**
 * emu_search_orders() - in which orders dependent steps came
 * @search: search that remembers them
 * @orders: filled in, each once
 * @max: how many there is room for
 *
 * Return: how many there are in its complete executions since it was made or
 *   loaded; -1: it does not remember them, or the host had too little memory.
 */
long emu_search_orders(const emu_search *search, struct emu_search_order *orders, size_t max);

/**
 * emu_search_free() - ends a search
 * @search: search; NULL is none
 * @closed: its machine has been destroyed already
 */
void emu_search_free(emu_search *search, int closed);

/**
 * emu_text() - formats something as the kernel does
 * @m: machine
 * @what: which text, see csrc/emu/text.c
 * @a: of what: a handle or a number
 * @buf: filled in
 * @size: bytes that there is room for
 * @length: bytes of the text
 *
 * Return: a status.
 */
int emu_text(emu_machine *m, int what, int64_t a, char *buf, size_t size, size_t *length);

/**
 * emu_quiescence() - what has not come back
 * @m: machine
 * @buf: a line for each finding: kind and message
 * @size: bytes that there is room for
 * @length: bytes of the text
 *
 * Return: EMU_OK.
 */
int emu_quiescence(emu_machine *m, char *buf, size_t size, size_t *length);

/**
 * struct emu_sample - what emu_sample() has found
 * @calls: of the host so far, this one included: see emu_calls()
 * @state_hash: see emu_state_hash()
 * @bound: a bit for each device, the lowest one for the first
 * @left_behind: emu_quiescence() would tell of something that is no note
 */
struct emu_sample {
	uint64_t calls;
	uint64_t state_hash;
	uint64_t bound;
	int32_t left_behind;
};

/**
 * emu_sample() - what a test asks after every step, in one call
 * @m: machine
 * @nr_devices: how many devices, at most 64
 * @devices: their handles
 * @nr_pages: how many pages
 * @pfns: theirs
 * @quiescence: shall it be asked whether anything was left behind?
 * @sample: filled in if the status is EMU_OK
 * @counts: page_count() of each page
 *
 * Return: a status, as of emu_call(): devices and pages are read by a task.
 */
int emu_sample(emu_machine *m, int nr_devices, const int64_t *devices, int nr_pages,
	       const uint64_t *pfns, int quiescence, struct emu_sample *sample, int64_t *counts);

/**
 * emu_calls() - how many calls the host has made that can have changed something
 * @m: machine
 *
 * As long as it stays the same, so does the machine.  What a callback calls is part of the call
 * that it was called from, and is not counted.
 *
 * Return: where the number is as long as there is the machine: to look costs no call.
 */
const uint64_t *emu_calls(emu_machine *m);

/* --- cffi: end --- */

/* Steps of a schedule that a result has room for. */
#define EMU_SCHEDULE_LENGTH 4096
/* In a schedule: no process. */
#define EMU_NEXT_EXECUTION 15

#endif
