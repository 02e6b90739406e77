// SPDX-License-Identifier: GPL-2.0-only
/*
 * WARN, BUG, and every other rule that can be broken.
 */
#include "machine.h"

#include <linux/bug.h>
#include <linux/bug_table.h>
#include <linux/kernel.h>
#include <linux/patches.h>

#undef snprintf
#undef vsnprintf
#undef strcmp
#undef strlen

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct bug_site *const __start_bug_sites[] __attribute__((visibility("hidden")));
extern const struct bug_site *const __stop_bug_sites[] __attribute__((visibility("hidden")));

static const char *const kind_names[NR_VIOLATION_KINDS] = {
	[VIOLATION_HANG] = "hang",
	[VIOLATION_USE_AFTER_FREE] = "use-after-free",
	[VIOLATION_OUT_OF_BOUNDS] = "out-of-bounds",
	[VIOLATION_DOUBLE_FREE] = "double-free",
	[VIOLATION_UNINITIALIZED] = "uninitialized",
	[VIOLATION_MEMMAP_REMOVED] = "memmap-removed",
	[VIOLATION_REFCOUNT] = "refcount",
	[VIOLATION_DATA_RACE] = "data-race",
	[VIOLATION_LOCK_ORDER] = "lock-order",
	[VIOLATION_ATOMIC_SLEEP] = "atomic-sleep",
	[VIOLATION_SOFT_LOCKUP] = "soft-lockup",
	[VIOLATION_LEAK] = "leak",
	[VIOLATION_CONTRACT] = "contract",
	[VIOLATION_WARN] = "warn",
	[VIOLATION_BUG] = "bug",
	[VIOLATION_LINEAR_MAP] = "linear-map",
};

const char *violation_kind_name(int kind)
{
	return kind >= 0 && kind < NR_VIOLATION_KINDS ? kind_names[kind] : "?";
}

static void vreport(enum violation_kind kind, const char *func, const char *fmt, va_list args)
{
	struct machine *m = this_machine();
	struct machine_state *s = m->s;
	struct violation *v;

	if (s->nr_violations == m->violations_cap)
		return; /* what matters is the first ones */
	if (!m->violations)
		m->violations = calloc((size_t)m->violations_cap, sizeof(*m->violations));
	if (!m->violations)
		abort(); /* a violation that cannot be told must not be lost */
	v = &m->violations[s->nr_violations++];
	v->kind = (int)kind;
	v->task = m->running ? m->running->t.pid : 0;
	v->log_end = s->log_end;
	v->trace_end = s->trace_end;
	snprintf(v->func, sizeof(v->func), "%s", func ? func : "");
	vsnprintf_kernel(v->message, sizeof(v->message), fmt, args);
	operation_breaks_a_rule(m);
	trace_event(m, EVENT_VIOLATION, (uint64_t)kind, (uint64_t)s->nr_violations);
}

void report_violation(enum violation_kind kind, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vreport(kind, NULL, fmt, args);
	va_end(args);
}

void report_violation_at(enum violation_kind kind, const void *pc, const char *fmt, ...)
{
	char name[64];
	va_list args;

	va_start(args, fmt);
	vreport(kind, symbol_name(this_machine(), pc, name, sizeof(name)), fmt, args);
	va_end(args);
}

/* How many sites of the same function and text stand before @site in the source? */
static int site_rank(const struct bug_site *site)
{
	int rank = 0;

	for (const struct bug_site *const *p = __start_bug_sites; p < __stop_bug_sites; p++)
		if ((*p)->line < site->line && !strcmp((*p)->func, site->func) &&
		    !strcmp((*p)->text, site->text))
			rank++;
	return rank;
}

/* Where @site stands on the real kernel; true if its warning is a documented answer. */
static bool site_location(const struct bug_site *site, const char **file, int *line)
{
	const struct bug_location *where = bug_location(site->func, site->text, site_rank(site));

	*file = where ? where->file : site->file;
	*line = where ? where->line : site->line;
	if (where && where->line_v4_19 && !patched(PATCH_SHUTDOWN))
		*line = where->line_v4_19;
	return where && where->answer;
}

void vwarn_slowpath(const struct bug_site *site, const char *fmt, va_list args)
{
	struct machine *m = this_machine();
	char message[320];
	const char *file;
	bool answer;
	int line;

	answer = site_location(site, &file, &line);
	if (fmt) {
		va_list copy;
		size_t len;

		printk_level(LOGLEVEL_WARNING, "------------[ cut here ]------------\n");
		va_copy(copy, args);
		vprintk_level(LOGLEVEL_WARNING, fmt, copy);
		va_end(copy);
		vsnprintf_kernel(message, sizeof(message), fmt, args);
		len = strlen(message);
		if (len && message[len - 1] == '\n')
			message[len - 1] = '\0';
	} else {
		snprintf(message, sizeof(message), "WARN_ON(%s)", site->text);
	}
	printk_level(LOGLEVEL_WARNING, "WARNING: CPU: %d PID: %d at %s:%d %s\n", current->cpu,
		     current->pid, file, line, site->func);
	if (m->s->kernel.config.panic_on_warn) {
		printk_level(LOGLEVEL_EMERG, "Kernel panic - not syncing: panic_on_warn set ...\n");
		m->s->panicked = true;
	}
	m->s->warnings++;
	add_taint(TAINT_WARN, LOCKDEP_STILL_OK);
	printk_level(LOGLEVEL_WARNING, "---[ end trace %016lx ]---\n", m->s->warnings);
	if (!answer)
		report_violation_in(VIOLATION_WARN, site->func, "%s (%s:%d)", message, file, line);
	if (m->s->panicked)
		task_die();
}

void warn_slowpath(const struct bug_site *site, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vwarn_slowpath(site, fmt, args);
	va_end(args);
}

void bug_slowpath(const struct bug_site *site)
{
	const char *file;
	int line;

	site_location(site, &file, &line);
	printk_level(LOGLEVEL_WARNING, "------------[ cut here ]------------\n");
	printk_level(LOGLEVEL_CRIT, "kernel BUG at %s:%d!\n", file, line);
	add_taint(TAINT_DIE, LOCKDEP_NOW_UNRELIABLE);
	report_violation_in(VIOLATION_BUG, site->func, "kernel BUG at %s:%d! BUG_ON(%s)", file,
			    line, site->text);
	task_die();
}

void report_violation_in(enum violation_kind kind, const char *func, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vreport(kind, func, fmt, args);
	va_end(args);
}

void __might_sleep(const char *file, int line, const char *func)
{
	struct task_struct *t = current;

	watch_pages(this_machine());
	if (likely(!t->preempt_count && !t->irqs_disabled && !t->rcu_read_lock_nesting))
		return;
	if (t->preempt_count || t->irqs_disabled) {
		printk_level(LOGLEVEL_ERR,
			     "BUG: sleeping function called from invalid context at %s:%d\n", file,
			     line);
		printk_level(LOGLEVEL_ERR,
			     "in_atomic(): %d, irqs_disabled(): %d, pid: %d, name: %s\n",
			     t->preempt_count != 0, t->irqs_disabled != 0, t->pid, t->comm);
	} else {
		printk_level(LOGLEVEL_WARNING,
			     "Illegal context switch in RCU read-side critical section!\n");
	}
	report_violation_in(VIOLATION_ATOMIC_SLEEP, func,
			    "sleeping function called from invalid context at %s:%d", file, line);
}
