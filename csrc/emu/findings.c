// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a search remembers of its executions: how many there were, in which
 * states they ended, and what they have broken, each violation once and with a
 * schedule that shows it.
 */
#include "findings.h"
#include "lockdep.h"
#include "orders.h"

#undef snprintf
#undef memset
#undef memcpy
#undef strlen
#undef strcmp
#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Unfinished tasks, when nobody can go on: they hang. */
static bool somebody_hangs(const struct explorer *x)
{
	for (int i = 0; i < x->nr_tasks; i++)
		if (!task_over(x->procs[i].task))
			return true;
	return false;
}

static void report_hang(struct explorer *x)
{
	for (int i = 0; i < x->nr_tasks; i++) {
		const struct emu_task *task = x->procs[i].task;
		char text[256];

		if (task_over(task))
			continue;
		task_wait_text(x->m, task, text, sizeof(text));
		report_violation(VIOLATION_HANG, "%s", text);
	}
}

/* Each line of the quiescence check is a kind, a tab and what was found. */
static void report_leaks(struct explorer *x)
{
	char text[2048];
	size_t length;

	emu_quiescence(x->m, text, sizeof(text), &length);
	if (!length)
		return;
	text[sizeof(text) - 1] = '\0';
	for (char *save, *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *message = strchr(line, '\t');
		enum violation_kind kind = VIOLATION_LEAK;

		if (!message)
			continue;
		*message++ = '\0';
		if (!strcmp(line, "note"))
			continue; /* permanent by specification */
		for (int i = 0; i < NR_VIOLATION_KINDS; i++)
			if (!strcmp(line, emu_violation_kind_name(i)))
				kind = (enum violation_kind)i;
		report_violation(kind, "%s", message);
	}
}

void judge(struct explorer *x)
{
	if (somebody_hangs(x))
		report_hang(x);
	else if (x->options.check_quiescence)
		report_leaks(x);
}

void add_final_state(struct explorer *x, uint64_t hash)
{
	/* Open addressing; what does not fit is not counted. */
	for (unsigned int i = 0; i < MAX_FINAL_STATES; i++) {
		uint64_t *place = &x->final[(hash + i) % MAX_FINAL_STATES];

		if (*place == hash)
			return;
		if (!*place) {
			*place = hash;
			x->final_order[x->result->final_states++] = hash;
			x->result->final_hash += hash * 0x9e3779b97f4a7c15UL;
			return;
		}
	}
}

static void keep_final_state(struct explorer *x)
{
	add_final_state(x, state_hash(x->m) | 1);
}

uint32_t write_schedule(const struct explorer *x, unsigned int depth, uint8_t *to)
{
	uint32_t n = 0;

	for (unsigned int d = 0; d < depth; d++) {
		const struct step *step = &x->steps[d];

		if (n == EMU_SCHEDULE_LENGTH)
			return n;
		to[n++] = (uint8_t)step->proc;
		for (uint32_t i = 0; i < step->nr_fails; i++) {
			uint32_t number = step->fails[i];

			for (; number >= 127 && n < EMU_SCHEDULE_LENGTH; number -= 127)
				to[n++] = 0xff;
			if (n < EMU_SCHEDULE_LENGTH)
				to[n++] = (uint8_t)(0x80 + number);
		}
	}
	return n;
}

void keep_schedule(struct explorer *x)
{
	x->result->schedule_length = write_schedule(x, x->depth, x->result->schedule);
}

/* Are two messages equal but for the numbers in them? */
static bool same_but_for_numbers(const char *a, const char *b)
{
	while (*a && *b) {
		if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
			while (isxdigit((unsigned char)*a) || *a == 'x')
				a++;
			while (isxdigit((unsigned char)*b) || *b == 'x')
				b++;
		} else if (*a++ != *b++) {
			return false;
		}
	}
	return *a == *b;
}

/* What has been found of a violation; NULL: nothing. */
static struct emu_explored_violation *find_violation(struct emu_explore_result *r, int32_t kind,
						     const char *func, const char *message)
{
	for (struct emu_explored_violation *f = r->found; f < r->found + r->nr_found; f++)
		if (f->kind == kind && !strcmp(f->func, func) &&
		    same_but_for_numbers(f->message, message))
			return f;
	return NULL;
}

bool findings_known(const struct explorer *x)
{
	const struct machine *m = x->m;

	for (int i = x->known; i < m->s->nr_violations; i++) {
		const struct violation *v = &m->violations[i];

		if (!find_violation(x->result, (int32_t)v->kind, v->func, v->message))
			return false;
	}
	return true;
}

/* The place of a violation, with no executions yet if it is new; NULL: there is no room. */
static struct emu_explored_violation *place_of(struct explorer *x, int32_t kind, const char *func,
					       const char *message)
{
	struct emu_explore_result *r = x->result;
	struct emu_explored_violation *f = find_violation(r, kind, func, message);

	if (f)
		return f;
	if (r->nr_found == sizeof(r->found) / sizeof(*r->found)) {
		/* One that whoever takes this over knows would not be counted. */
		x->full = true;
		return NULL;
	}
	f = &r->found[r->nr_found++];
	f->executions = 0;
	return f;
}

_Static_assert(ARRAY_SIZE(((struct emu_explore_result *)NULL)->found) <= 64, "one bit for each");

/* Keeps what the execution at hand has broken, with the schedule that shows it. */
static void keep_violations(struct explorer *x)
{
	struct emu_explore_result *r = x->result;
	struct machine *m = x->m;
	uint64_t counted = 0;

	for (int i = x->known; i < m->s->nr_violations; i++) {
		const struct violation *v = &m->violations[i];
		struct emu_explored_violation *f =
			place_of(x, (int32_t)v->kind, v->func, v->message);

		if (!f || counted >> (f - r->found) & 1)
			continue;
		counted |= 1UL << (f - r->found);
		if (f->executions++)
			continue;
		f->kind = v->kind;
		memcpy(f->func, v->func, sizeof(f->func));
		memcpy(f->message, v->message, sizeof(f->message));
		f->execution = r->executions;
		f->schedule_length = write_schedule(x, x->depth, f->schedule);
	}
}

void keep_findings(struct explorer *x)
{
	struct emu_explore_result *r = x->result;
	struct machine *m = x->m;

	r->executions++;
	if (m->s->fallible_calls - x->fallible_start > r->fallible_calls)
		r->fallible_calls = m->s->fallible_calls - x->fallible_start;
	keep_final_state(x);
	if (x->orders)
		keep_orders(x);
	if (m->s->nr_violations == x->known)
		return;
	r->violating++;
	lockdep_shown(x);
	keep_violations(x);
	if (r->violating == 1) {
		r->first_violation = r->executions;
		keep_schedule(x);
	}
}

bool keep_together(struct explorer *x, int kind, const char *message, const uint8_t *schedule,
		   uint32_t length)
{
	struct emu_explore_result *r = x->result;
	struct emu_explored_violation *f = r->found;

	for (; f < r->found + r->nr_found; f++)
		if (f->kind == kind && same_but_for_numbers(f->message, message))
			return false;
	r->violating++;
	if (r->violating == 1) {
		r->first_violation = r->executions;
		memcpy(r->schedule, schedule, length);
		r->schedule_length = length;
	}
	if (r->nr_found == sizeof(r->found) / sizeof(*r->found))
		return true;
	r->nr_found++;
	f->kind = kind;
	memset(f->func, 0, sizeof(f->func));
	snprintf(f->message, sizeof(f->message), "%s", message);
	f->execution = r->executions;
	f->executions = 0;
	memcpy(f->schedule, schedule, length);
	f->schedule_length = length;
	return true;
}

void add_findings(struct explorer *x, const struct emu_explore_result *more)
{
	struct emu_explore_result *r = x->result;

	for (uint32_t i = 0; i < more->nr_found; i++) {
		const struct emu_explored_violation *v = &more->found[i];
		struct emu_explored_violation *f = place_of(x, v->kind, v->func, v->message);
		uint64_t executions;

		if (!f)
			continue;
		executions = f->executions + v->executions;
		if (!f->executions) {
			*f = *v;
			f->execution += r->executions;
		}
		f->executions = executions;
	}
	if (more->violating && !r->violating) {
		r->first_violation = r->executions + more->first_violation;
		r->schedule_length = more->schedule_length;
		memcpy(r->schedule, more->schedule, sizeof(r->schedule));
	}
	r->violating += more->violating;
	r->executions += more->executions;
	if (more->fallible_calls > r->fallible_calls)
		r->fallible_calls = more->fallible_calls;
}
