// SPDX-License-Identifier: GPL-2.0-only
/* Operations on percpu_refs. */
#include <linux/percpu-refcount.h>

#include "ops.h"

#include <linux/completion.h>
#include <linux/kernel.h>
#include <linux/outline.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/string.h>

static struct host_ref *host_ref(struct percpu_ref *ref)
{
	return container_of(ref, struct host_ref, ref);
}

/*
 * Messages name a ref by the symbol of its release function, so each name
 * that the host uses needs a function of its own.  There are a few; whoever
 * comes later shares the last one.
 */
static void host_release(struct percpu_ref *ref)
{
	upcall(host_ref(ref)->release, (int64_t)(uintptr_t)ref, 0);
}

#define RELEASE(n)                                           \
	static void host_release_##n(struct percpu_ref *ref) \
	{                                                    \
		host_release(ref);                           \
	}
#define RELEASES(X) \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
RELEASES(RELEASE)
#define RELEASE_ADDRESS(n) host_release_##n,
static percpu_ref_func_t *const release_functions[] = { RELEASES(RELEASE_ADDRESS) };

_Static_assert(ARRAY_SIZE(release_functions) == NR_CALLBACK_SYMBOLS, "one name for each");

const char *callback_symbol(const void *addr);
const char *callback_symbol(const void *addr)
{
	struct machine_state *s = this_machine()->s;

	for (int i = 0; i < s->nr_callback_symbols; i++)
		if (addr == (const void *)release_functions[i])
			return s->callback_symbols[i];
	return NULL;
}

static percpu_ref_func_t *release_function(const char *name)
{
	struct machine_state *s = this_machine()->s;
	int i;

	for (i = 0; i < s->nr_callback_symbols; i++)
		if (!kernel_strcmp(s->callback_symbols[i], name))
			return release_functions[i];
	if (i == NR_CALLBACK_SYMBOLS)
		return release_functions[NR_CALLBACK_SYMBOLS - 1];
	s->callback_symbols[s->nr_callback_symbols++] = name;
	return release_functions[i];
}

static void host_confirm(struct percpu_ref *ref)
{
	upcall(host_ref(ref)->confirm, (int64_t)(uintptr_t)ref, 0);
}

static void no_release(struct percpu_ref *ref)
{
	(void)ref;
}

/* What drivers do; unlike a callback of the host it can be explored. */
static void completing_release(struct percpu_ref *ref)
{
	struct host_ref *h = host_ref(ref);

	if (h->zero)
		report_violation_in(VIOLATION_REFCOUNT, __func__, "percpu_ref released twice");
	h->zero = true;
	complete(h->released);
}

static void completing_confirm(struct percpu_ref *ref)
{
	complete(host_ref(ref)->confirmed);
}

static percpu_ref_func_t *confirm_of(struct percpu_ref *ref, int64_t callback)
{
	if (!callback)
		return NULL;
	host_ref(ref)->confirm = callback;
	return host_confirm;
}

/* Is it one that the host made, and can it call the host back? */
static bool by_host(struct percpu_ref *ref)
{
	return object_handle('H', ref) != 0;
}

static int64_t op_alloc(const int64_t *args)
{
	struct host_ref *h = kzalloc(sizeof(*h), GFP_KERNEL);

	if (!h)
		return 0;
	h->release = args[0];
	object_new('H', &h->ref, h);
	return object_new('R', &h->ref, h);
}

static int64_t op_init(const int64_t *args)
{
	struct percpu_ref *ref = ARG(struct percpu_ref, 0);
	percpu_ref_func_t *release = no_release;

	if (args[1] & ~3)
		return bad_argument(
			"flags must be PERCPU_REF_INIT_ATOMIC (1) | PERCPU_REF_INIT_DEAD (2)");
	if (!by_host(ref))
		return bad_argument("this percpu_ref belongs to a driver");
	if (host_ref(ref)->release)
		release = release_function(args[2] ? STRING(2) : "release");
	return percpu_ref_init(ref, release, (unsigned int)args[1], GFP_KERNEL);
}

static int64_t op_complete_on_release(const int64_t *args)
{
	struct percpu_ref *ref = ARG(struct percpu_ref, 0);

	if (!by_host(ref))
		return bad_argument("this percpu_ref belongs to a driver");
	host_ref(ref)->released = ARG(struct completion, 1);
	ref->release = completing_release;
	return 0;
}

static bool exited(const struct percpu_ref *ref)
{
	return debug_percpu_ref_exited(ref->percpu_count_ptr);
}

/* Are references in the counters of CPUs, if not all of them? */
static bool is_per_cpu(const struct percpu_ref *ref)
{
	return !exited(ref) && (!(ref->percpu_count_ptr & 1) || ref->confirm_switch);
}

/* References held, the initial one included, wherever they are counted. */
static long references(const struct percpu_ref *ref)
{
	const unsigned long *counters = (const unsigned long *)(ref->percpu_count_ptr & ~3UL);
	unsigned long count = (unsigned long)atomic_long_read(&ref->count);
	int cpu;

	if (is_per_cpu(ref)) {
		count -= 1UL << 63;
		for_each_possible_cpu(cpu)
			count += counters[cpu];
		count -= ref->confirm_switch ? 1 : 0; /* the pending callback's own */
	}
	return (long)count;
}

static void misuse(const char *func, const char *what)
{
	/*
	 * Looks at counters of all CPUs, which no operation does: what it would
	 * say depends on the order of steps that are independent otherwise.
	 */
	if (this_machine()->explorer)
		return;
	report_violation_in(VIOLATION_REFCOUNT, func, "%s", what);
}

/*
 * While schedules are explored the operation's own accesses are looked at: before them nobody is
 * let in.
 */
static void touch(const struct percpu_ref *ref, bool write, const char *func)
{
	if (!this_machine()->explorer)
		kasan_touch(ref, sizeof(*ref), write, func);
}

/*
 * What nobody can see who adds to a counter of one CPU; gets and puts in atomic
 * mode are looked at where they are done, see debug_percpu_ref.c.
 */
static void watch_get(const struct percpu_ref *ref, const char *func)
{
	touch(ref, true, func);
	if (!ref->percpu_count_ptr)
		misuse(func, "reference taken on a percpu_ref whose init failed");
	else if (is_per_cpu(ref) && references(ref) <= 0)
		misuse(func, "reference taken on a percpu_ref that nobody holds");
}

static void watch_put(const struct percpu_ref *ref, unsigned long n, const char *func)
{
	long left;

	touch(ref, true, func);
	if (!ref->percpu_count_ptr)
		misuse(func, "reference dropped on a percpu_ref whose init failed");
	if (!is_per_cpu(ref))
		return;
	left = references(ref) - (long)n;
	if (left < 0)
		misuse(func, "more references dropped than were taken");
	else if (left == 0 && !(ref->percpu_count_ptr & 2) && !(ref->percpu_count_ptr & 1))
		misuse(func, "initial reference dropped by a put instead of a kill");
}

static int64_t op_exit(const int64_t *args)
{
	struct percpu_ref *ref = ARG(struct percpu_ref, 0);

	if (!exited(ref)) {
		if (ref->confirm_switch)
			misuse("percpu_ref_exit",
			       "percpu_ref exited while a switch to atomic is in flight");
		else if (!(ref->percpu_count_ptr & 2))
			misuse("percpu_ref_exit", "percpu_ref exited without having been killed");
		else if (references(ref))
			misuse("percpu_ref_exit", "percpu_ref exited while references are held");
	}
	percpu_ref_exit(ref);
	return 0;
}

static int64_t op_free(const int64_t *args)
{
	struct percpu_ref *ref = ARG(struct percpu_ref, 0);

	if (!by_host(ref))
		return bad_argument("this percpu_ref belongs to a driver");
	kfree(host_ref(ref));
	return 0;
}

static int64_t op_get(const int64_t *args)
{
	watch_get(ARG(struct percpu_ref, 0), "percpu_ref_get");
	outline_percpu_ref_get_many(ARG(struct percpu_ref, 0), 1);
	return 0;
}

static int64_t op_get_many(const int64_t *args)
{
	watch_get(ARG(struct percpu_ref, 0), "percpu_ref_get_many");
	outline_percpu_ref_get_many(ARG(struct percpu_ref, 0), (unsigned long)args[1]);
	return 0;
}

static int64_t op_put(const int64_t *args)
{
	watch_put(ARG(struct percpu_ref, 0), 1, "percpu_ref_put");
	outline_percpu_ref_put_many(ARG(struct percpu_ref, 0), 1);
	return 0;
}

static int64_t op_put_many(const int64_t *args)
{
	watch_put(ARG(struct percpu_ref, 0), (unsigned long)args[1], "percpu_ref_put_many");
	outline_percpu_ref_put_many(ARG(struct percpu_ref, 0), (unsigned long)args[1]);
	return 0;
}

static int64_t op_tryget(const int64_t *args)
{
	touch(ARG(struct percpu_ref, 0), true, "percpu_ref_tryget");
	return outline_percpu_ref_tryget(ARG(struct percpu_ref, 0));
}

static int64_t op_tryget_live(const int64_t *args)
{
	touch(ARG(struct percpu_ref, 0), true, "percpu_ref_tryget_live");
	return outline_percpu_ref_tryget_live(ARG(struct percpu_ref, 0));
}

/* What a user that holds nothing does. */
static int64_t op_use(const int64_t *args)
{
	if (!op_tryget_live(args))
		return 0;
	op_put(args);
	return 1;
}

static int64_t op_is_dying(const int64_t *args)
{
	touch(ARG(struct percpu_ref, 0), false, "percpu_ref_is_dying");
	return outline_percpu_ref_is_dying(ARG(struct percpu_ref, 0));
}

static int64_t op_is_zero(const int64_t *args)
{
	touch(ARG(struct percpu_ref, 0), false, "percpu_ref_is_zero");
	return outline_percpu_ref_is_zero(ARG(struct percpu_ref, 0));
}

static int64_t op_kill(const int64_t *args)
{
	struct percpu_ref *ref = ARG(struct percpu_ref, 0);

	if (args[1] && !by_host(ref))
		return bad_argument("no callback on a driver's percpu_ref");
	percpu_ref_kill_and_confirm(ref, confirm_of(ref, args[1]));
	return 0;
}

static int64_t op_kill_and_complete(const int64_t *args)
{
	struct percpu_ref *ref = ARG(struct percpu_ref, 0);

	if (!by_host(ref))
		return bad_argument("no callback on a driver's percpu_ref");
	host_ref(ref)->confirmed = ARG(struct completion, 1);
	percpu_ref_kill_and_confirm(ref, completing_confirm);
	return 0;
}

static int64_t op_switch_to_atomic(const int64_t *args)
{
	struct percpu_ref *ref = ARG(struct percpu_ref, 0);

	if (args[1] && !by_host(ref))
		return bad_argument("no callback on a driver's percpu_ref");
	percpu_ref_switch_to_atomic(ref, confirm_of(ref, args[1]));
	return 0;
}

static int64_t op_switch_to_atomic_sync(const int64_t *args)
{
	percpu_ref_switch_to_atomic_sync(ARG(struct percpu_ref, 0));
	return 0;
}

static int64_t op_switch_to_percpu(const int64_t *args)
{
	percpu_ref_switch_to_percpu(ARG(struct percpu_ref, 0));
	return 0;
}

static int64_t op_reinit(const int64_t *args)
{
	struct percpu_ref *ref = ARG(struct percpu_ref, 0);

	if (by_host(ref))
		host_ref(ref)->zero = false;
	percpu_ref_reinit(ref);
	return 0;
}

static int64_t op_count(const int64_t *args)
{
	return atomic_long_read(&ARG(struct percpu_ref, 0)->count);
}

static int64_t op_percpu_sum(const int64_t *args)
{
	const struct percpu_ref *ref = ARG(struct percpu_ref, 0);
	unsigned long *counters = (unsigned long *)(ref->percpu_count_ptr & ~3UL);
	unsigned long sum = 0;
	int cpu;

	if (counters)
		for_each_possible_cpu(cpu)
			sum += counters[cpu];
	return (int64_t)sum;
}

/* Bits 0 and 1 as in the word, 2 counters present, 3 switch in flight, 4 force_atomic. */
static int64_t op_state(const int64_t *args)
{
	const struct percpu_ref *ref = ARG(struct percpu_ref, 0);

	return (int64_t)(ref->percpu_count_ptr & 3) | ((ref->percpu_count_ptr & ~3UL) ? 4 : 0) |
	       (ref->confirm_switch ? 8 : 0) | (ref->force_atomic ? 16 : 0);
}

static const struct op ops[] = {
	OP("percpu_ref_alloc", "x", "R", op_alloc),
	OP("percpu_ref_free", "R", "v", op_free),
	OP("percpu_ref_init", "Ris", "e", op_init),
	OP("percpu_ref_complete_on_release", "RC", "v", op_complete_on_release),
	OP("percpu_ref_exit", "R", "v", op_exit),
	OP("percpu_ref_get", "R", "v", op_get),
	OP("percpu_ref_get_many", "Ri", "v", op_get_many),
	OP("percpu_ref_put", "R", "v", op_put),
	OP("percpu_ref_put_many", "Ri", "v", op_put_many),
	OP("percpu_ref_tryget", "R", "b", op_tryget),
	OP("percpu_ref_tryget_live", "R", "b", op_tryget_live),
	OP("percpu_ref_use", "R", "b", op_use),
	OP("percpu_ref_is_dying", "R", "b", op_is_dying),
	OP("percpu_ref_is_zero", "R", "b", op_is_zero),
	OP("percpu_ref_kill_and_confirm", "Rx", "v", op_kill),
	OP("percpu_ref_kill_and_complete", "RC", "v", op_kill_and_complete),
	OP("percpu_ref_switch_to_atomic", "Rx", "v", op_switch_to_atomic),
	OP("percpu_ref_switch_to_atomic_sync", "R", "v", op_switch_to_atomic_sync),
	OP("percpu_ref_switch_to_percpu", "R", "v", op_switch_to_percpu),
	OP("percpu_ref_reinit", "R", "v", op_reinit),
	OP("percpu_ref_count", "R", "u", op_count),
	OP("percpu_ref_percpu_sum", "R", "u", op_percpu_sum),
	OP("percpu_ref_state", "R", "u", op_state),
};
OP_TABLE(ops_percpu_ref, ops);
