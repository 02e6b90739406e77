// SPDX-License-Identifier: GPL-2.0-only
/*
 * Looking at a machine: log, trace, violations, faults, statistics.  None of
 * this runs anything in it.
 */
#define _GNU_SOURCE
#include "api.h"

#undef snprintf
#undef vsnprintf
#undef memset
#undef memcpy
#undef strlen
#undef strcmp
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int emu_stats(emu_machine *m, struct emu_stats *stats)
{
	struct machine_state *s = m->s;

	memset(stats, 0, sizeof(*stats));
	stats->arena_used = s->brk;
	stats->arena_size = m->arena_size;
	stats->live_objects = s->live_objects;
	stats->live_bytes = s->live_bytes;
	stats->page_runs = memmap_page_runs(&s->memmap);
	stats->section_runs = memmap_section_runs(&s->memmap);
	stats->fallible_calls = s->fallible_calls;
	stats->log_end = s->log_end;
	stats->trace_end = s->trace_end;
	stats->violations = (uint64_t)s->nr_violations;
	stats->warnings = s->warnings;
	stats->rcu_pending = s->rcu[0].pending + s->rcu[1].pending;
	stats->taint = s->kernel.panic.tainted_mask;
	stats->call_log_start = m->call_log_start;
	stats->call_violations_start = (uint64_t)m->call_violations_start;
	stats->calls = m->calls;
	stats->clock = s->clock;
	for (int i = 0; i < s->nr_tasks; i++)
		if (s->tasks[i]->kind != TASK_FREE && s->tasks[i]->run == RUN_BLOCKED)
			stats->blocked_tasks++;
	return EMU_OK;
}

int emu_call_logged(emu_machine *m)
{
	return m && m->s->log_end != m->call_log_start;
}

int emu_log_read(emu_machine *m, uint64_t from, char *buf, size_t size, size_t *length)
{
	uint64_t end = m->s->log_end;
	size_t n = 0;

	if (end - from > LOG_SIZE || from > end)
		from = end > LOG_SIZE ? end - LOG_SIZE : 0;
	while (from < end && n < size) {
		size_t piece = min(LOG_SIZE - from % LOG_SIZE, min(end - from, size - n));

		memcpy(buf + n, m->log + from % LOG_SIZE, piece);
		from += piece;
		n += piece;
	}
	*length = n;
	return EMU_OK;
}

int emu_trace_read(emu_machine *m, uint64_t from, struct emu_event *events, size_t max,
		   size_t *count)
{
	uint64_t end = m->s->trace_end;
	size_t n = 0;

	if (from > end)
		from = end;
	if (end - from > TRACE_EVENTS)
		from = end - TRACE_EVENTS;
	while (from < end && n < max)
		events[n++] = m->trace[from++ % TRACE_EVENTS];
	*count = n;
	return EMU_OK;
}

/* Most functions are of no interest: a bit for each 64 bytes of code says of which that is sure. */
#define CODE_BITS 1024
#define CODE_BIT(address) ((address) / 64 % CODE_BITS)

static void mark_code(uint64_t *code, const uint64_t *ranges, size_t nr_ranges)
{
	memset(code, 0, CODE_BITS / 8);
	for (size_t i = 0; i < nr_ranges; i++) {
		uint64_t at = ranges[2 * i] & ~63UL;

		for (unsigned int n = 0; at < ranges[2 * i + 1] && n < CODE_BITS; n++, at += 64)
			code[CODE_BIT(at) / 64] |= 1UL << (CODE_BIT(at) % 64);
	}
}

static bool selected(const struct emu_event *event, uint32_t types, const uint64_t *ranges,
		     size_t nr_ranges, const uint64_t *code)
{
	size_t low = 0, high = nr_ranges;

	if (!(types >> event->type & 1))
		return false;
	if (event->type != EVENT_FUNC)
		return true;
	if (!(code[CODE_BIT(event->a) / 64] >> (CODE_BIT(event->a) % 64) & 1))
		return false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (event->a >= ranges[2 * middle + 1])
			low = middle + 1;
		else
			high = middle;
	}
	return low < nr_ranges && event->a >= ranges[2 * low];
}

int emu_trace_select(emu_machine *m, uint64_t from, uint32_t types, const uint64_t *ranges,
		     size_t nr_ranges, struct emu_event *events, size_t max, size_t *count)
{
	uint64_t code[CODE_BITS / 64];
	uint64_t end = m->s->trace_end;
	size_t n = 0;

	mark_code(code, ranges, nr_ranges);
	if (end > TRACE_EVENTS && from < end - TRACE_EVENTS)
		from = end - TRACE_EVENTS;
	for (; from < end && n < max; from++) {
		const struct emu_event *event = &m->trace[from % TRACE_EVENTS];

		if (selected(event, types, ranges, nr_ranges, code))
			events[n++] = *event;
	}
	*count = n;
	return EMU_OK;
}

int emu_trace_enable(emu_machine *m, int on)
{
	m->trace_on = on != 0;
	return EMU_OK;
}

int emu_symbol(emu_machine *m, uint64_t address, char *buf, size_t size)
{
	(void)m;
	return symbol_name(m, (const void *)(uintptr_t)address, buf, size) ? EMU_OK :
									     EMU_BAD_ARGUMENT;
}

/* This object file as the linker has laid it out. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));

/* Strings that events carry are constants of this object file or lie in the arena. */
int emu_symbol_ranges(emu_machine *m, const char *name, uint64_t *ranges, size_t max, size_t *count)
{
	(void)m;
	*count = symbol_ranges(name, ranges, max);
	return EMU_OK;
}

bool is_constant(const char *p)
{
	return p >= __ehdr_start && p < _end;
}

static bool is_string(const struct machine *m, const char *p)
{
	return (uint64_t)(p - m->arena) < m->s->brk || is_constant(p);
}

const char *string_or_unknown(const struct machine *m, const char *p)
{
	return p && is_string(m, p) ? p : "?";
}

int emu_string_at(emu_machine *m, uint64_t address, char *buf, size_t size)
{
	if (!size || !is_string(m, (const char *)(uintptr_t)address))
		return EMU_BAD_ARGUMENT;
	snprintf(buf, size, "%s", (const char *)(uintptr_t)address);
	return EMU_OK;
}

int emu_violation(emu_machine *m, uint64_t index, struct emu_violation *out)
{
	const struct violation *v;

	if (index >= (uint64_t)m->s->nr_violations)
		return EMU_BAD_ARGUMENT;
	v = &m->violations[index];
	out->kind = v->kind;
	out->task = v->task;
	out->log_end = v->log_end;
	out->trace_end = v->trace_end;
	out->func = v->func;
	out->message = v->message;
	return EMU_OK;
}

const char *emu_violation_kind_name(int kind)
{
	return violation_kind_name(kind);
}

int emu_violation_report(emu_machine *m, int kind, const char *func, const char *message)
{
	struct machine *saved = current_machine;

	if (kind < 0 || kind >= NR_VIOLATION_KINDS)
		return EMU_BAD_ARGUMENT;
	current_machine = m;
	report_violation_in((enum violation_kind)kind, func, "%s", message);
	current_machine = saved;
	return EMU_OK;
}

static int fault_plan(struct machine *m, const char *site, uint64_t nth, int flags, int *plan)
{
	struct machine_state *s = m->s;
	struct fault_plan *p;
	const char *name = NULL;

	if (!nth) {
		snprintf(m->error, sizeof(m->error), "calls are counted from 1");
		return EMU_BAD_ARGUMENT;
	}
	if (s->nr_plans == MAX_FAULT_PLANS) {
		snprintf(m->error, sizeof(m->error), "more than %d fault plans at once",
			 MAX_FAULT_PLANS);
		return EMU_BAD_ARGUMENT;
	}
	if (site) {
		size_t len = strlen(site) + 1;
		char *copy;

		if (len > 128 || s->brk + 4096 > m->arena_size) {
			snprintf(m->error, sizeof(m->error), "no such fault point");
			return EMU_BAD_ARGUMENT;
		}
		copy = machine_alloc(m, len);
		memcpy(copy, site, len);
		name = copy;
	}
	p = &s->plans[s->nr_plans];
	*p = (struct fault_plan){ .site = name,
				  .nth = nth,
				  .sticky = flags & EMU_FAULT_STICKY,
				  .slab = flags & EMU_FAULT_SLAB };
	*plan = s->nr_plans++;
	return EMU_OK;
}

int emu_fault_plan(emu_machine *m, const char *site, uint64_t nth, int flags, int *plan)
{
	struct entry saved;
	int status = machine_look(m, &saved);

	if (status == EMU_OK) {
		status = fault_plan(m, site, nth, flags, plan);
		machine_look_away(m, &saved);
	}
	return status;
}

int emu_fault_hits(emu_machine *m, int plan, uint64_t *hits, uint64_t *seen)
{
	if (plan < 0 || plan >= m->s->nr_plans)
		return EMU_BAD_ARGUMENT;
	*hits = m->s->plans[plan].hits;
	*seen = m->s->plans[plan].seen;
	return EMU_OK;
}

int emu_fault_clear(emu_machine *m, int first)
{
	struct entry saved;
	int status = machine_look(m, &saved);

	if (status == EMU_OK) {
		if (first >= 0 && first < m->s->nr_plans)
			m->s->nr_plans = first;
		machine_look_away(m, &saved);
	}
	return status;
}

int emu_fault_sites(emu_machine *m, const char **names, uint64_t *calls, int max, int *count)
{
	*count = m->s->nr_sites;
	for (int i = 0; i < m->s->nr_sites && i < max; i++) {
		names[i] = m->s->sites[i].name;
		calls[i] = m->s->sites[i].calls;
	}
	return EMU_OK;
}
